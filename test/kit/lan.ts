/**
 * Three nodes on one Ethernet, in network namespaces held by processes that end with the test; call `enterOwnNamespace` first.
 *
 *   one    192.0.2.1 or 2001:db8::1   Weft's eBPF programs     containers oneA, oneB
 *   two    192.0.2.2 or 2001:db8::2   Weft's eBPF programs     container  twoA
 *   three  192.0.2.3 or 2001:db8::3   the kernel's own vxlan device and a bridge, static entries: container threeA
 *
 * Containers have 10.0.0.<n> and fd00::<n> in VNI 42, MAC 02:42:0a:00:00:0<n>; the tables of all nodes are complete.
 */

import { join } from 'node:path';
import {
  enums,
  fdbEntry,
  fdbKey,
  floodEntry,
  neighbour,
  neighbourKey,
  network,
  networkKey,
  peer,
  peerKey,
  port,
  portKey,
  settings,
  vtep,
} from '../../src/datapath/ebpf/layout.gen.ts';
import * as bpf from '../../src/native/binding.ts';
import { run, start } from './command.ts';
import { address, mac } from './frame.ts';
import { makeBridge, makeKernelVtep, zeroChecksums } from './kernel-vtep.ts';
import { difference, mapped, readCounters, tunnelPort, u32, vni } from './programs.ts';

export interface Host {
  /** The words before a command that make it run inside. */
  readonly inside: readonly string[];
  readonly pid: number;
  release(): Promise<unknown>;
}

export interface Container extends Host {
  readonly mac: string;
  readonly ipv4: string;
  readonly ipv6: string;
}

export interface WeftNode extends Host {
  readonly id: number;
  readonly address: string;
  map(name: string): bpf.MapFd;
  /** Packets counted since the last call, by reason. */
  counts(): Readonly<Record<string, number>>;
  ifindex(device: string): Promise<number>;
}

export interface Lan {
  readonly one: WeftNode;
  readonly two: WeftNode;
  readonly three: Host;
  readonly oneA: Container;
  readonly oneB: Container;
  readonly twoA: Container;
  readonly threeA: Container;
  /** Makes three's vxlan device anew, with options of `ip link`. */
  remakeKernel(options: readonly string[]): Promise<void>;
  /** Ends the processes that hold the namespaces, and with them the namespaces. */
  close(): Promise<void>;
}

const object = new URL('../../native/build/overlay.bpf.o', import.meta.url).pathname;
/** What an underlay of 1500 bytes leaves in outer headers of either family. */
const containerMtu = 1430;
const own = { ipv4: (id: number) => `192.0.2.${id}`, ipv6: (id: number) => `2001:db8::${id}` } as const;

export async function createLan(bpfRoot: string, underlay: keyof typeof own = 'ipv4'): Promise<Lan> {
  const lan = await createHost();
  await inside(lan, ['ip', 'link', 'add', 'lan', 'type', 'bridge']);
  await inside(lan, ['ip', 'link', 'set', 'lan', 'up']);
  const [one, two, three] = [await createHost(), await createHost(), await createHost()];
  for (const [index, node] of [one, two, three].entries()) await plugIn(lan, node, index + 1, own[underlay](index + 1));
  const oneA = await createContainer(one, 1);
  const oneB = await createContainer(one, 2);
  const twoA = await createContainer(two, 3);
  const threeA = await createContainer(three, 4);
  const all = [oneA, oneB, twoA, threeA];
  const first = await becomeWeft({ ...one, id: 1, address: own[underlay](1) }, bpfRoot);
  const second = await becomeWeft({ ...two, id: 2, address: own[underlay](2) }, bpfRoot);
  await fillTables(
    first,
    [oneA, oneB],
    [
      [2, twoA],
      [3, threeA],
    ],
  );
  await fillTables(
    second,
    [twoA],
    [
      [1, oneA],
      [1, oneB],
      [3, threeA],
    ],
  );
  await makeBridge(three, 'c4');
  const remakeKernel = (options: readonly string[]) =>
    makeKernelVtep({ ...three, address: own[underlay](3) }, options, [
      [own[underlay](1), [oneA, oneB]],
      [own[underlay](2), [twoA]],
    ]);
  await remakeKernel([]);
  for (const container of all) await settle(container);
  const close = async () => {
    for (const host of [lan, one, two, three, ...all]) await host.release();
  };
  return { one: first, two: second, three, oneA, oneB, twoA, threeA, remakeKernel, close };
}

/** Runs a command inside to its end and returns what it printed. */
export function inside(host: Host, argv: readonly string[], timeoutMs = 20_000): Promise<string> {
  return run([...host.inside, ...argv], { timeoutMs });
}

async function createHost(): Promise<Host> {
  const holder = await start(['unshare', '--net', 'sleep', 'infinity']);
  const host = {
    pid: holder.pid,
    inside: ['nsenter', `--net=/proc/${holder.pid}/ns/net`, '--'],
    release: () => holder.stop(),
  };
  // The process is there before its namespace is.
  while ((await run(['readlink', `/proc/${host.pid}/ns/net`])) === (await run(['readlink', '/proc/self/ns/net'])));
  await inside(host, ['ip', 'link', 'set', 'lo', 'up']);
  return host;
}

/** Gives a node its underlay device `u0`, the other end of which is a port of the LAN. */
async function plugIn(lan: Host, node: Host, index: number, address: string): Promise<void> {
  await inside(lan, [
    'ip',
    'link',
    'add',
    `p${index}`,
    'type',
    'veth',
    'peer',
    'name',
    'u0',
    'netns',
    String(node.pid),
  ]);
  await inside(lan, ['ip', 'link', 'set', `p${index}`, 'master', 'lan', 'up']);
  const [length, flags] = address.includes(':') ? ['64', ['nodad']] : ['24', []];
  await inside(node, ['ip', 'address', 'add', `${address}/${length}`, 'dev', 'u0', ...flags]);
  await inside(node, ['ip', 'link', 'set', 'u0', 'address', `02:11:00:00:00:0${index}`, 'up']);
}

/** A container whose `eth0` leads to device `c<n>` of the node. */
async function createContainer(node: Host, index: number): Promise<Container> {
  const host = await createHost();
  const container = { ...host, mac: `02:42:0a:00:00:0${index}`, ipv4: `10.0.0.${index}`, ipv6: `fd00::${index}` };
  const name = `c${index}`;
  await inside(node, ['ip', 'link', 'add', name, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', String(host.pid)]);
  await inside(node, ['ip', 'link', 'set', name, 'up']);
  await inside(host, ['ip', 'link', 'set', 'eth0', 'address', container.mac, 'mtu', String(containerMtu), 'up']);
  await inside(host, ['ip', 'address', 'add', `${container.ipv4}/24`, 'dev', 'eth0']);
  return container;
}

/** Duplicate detection runs for real: the address is usable once nobody has claimed it. */
async function settle(container: Container): Promise<void> {
  await inside(container, ['ip', 'address', 'add', `${container.ipv6}/64`, 'dev', 'eth0']);
}

async function becomeWeft(host: Host & Pick<WeftNode, 'id' | 'address'>, bpfRoot: string): Promise<WeftNode> {
  const { id } = host;
  const { programs, maps } = bpf.loadObject({ path: object, pinPath: null, rodata: {} });
  const vxlan = [
    'type',
    'vxlan',
    'external',
    'dstport',
    String(tunnelPort),
    'nolearning',
    'noudpcsum',
    ...zeroChecksums,
  ];
  await inside(host, ['ip', 'link', 'add', 'x0', ...vxlan]);
  await inside(host, ['ip', 'link', 'set', 'x0', 'up']);
  const devices = (await inside(host, ['ls', '/proc/sys/net/ipv4/conf']))
    .split(/\s+/)
    .filter((name) => /^[cux]\d$/.test(name));
  for (const [name, program] of programs) bpf.pin(program, join(bpfRoot, `${name}-${id}`));
  for (const device of devices) {
    const program = device.startsWith('c')
      ? 'from_container'
      : device.startsWith('u')
        ? 'from_underlay'
        : 'from_tunnel';
    await inside(host, ['tc', 'qdisc', 'add', 'dev', device, 'clsact']);
    const filter = ['bpf', 'direct-action', 'object-pinned', join(bpfRoot, `${program}-${id}`)];
    await inside(host, ['tc', 'filter', 'add', 'dev', device, 'ingress', ...filter]);
  }
  const map = (name: string) => maps.get(name) ?? missing(name);
  let last = readCounters(map('counters'));
  return {
    ...host,
    map,
    counts() {
      const now = readCounters(map('counters'));
      const changed = difference(last, now);
      last = now;
      return changed;
    },
    ifindex: async (device) => Number.parseInt(await inside(host, ['ip', '-o', 'link', 'show', device]), 10),
  };
}

type Remote = readonly [node: number, container: Container];

async function fillTables(node: WeftNode, local: readonly Container[], remote: readonly Remote[]): Promise<void> {
  const put = (name: string, key: Uint8Array, value: Uint8Array) => bpf.mapUpdate(node.map(name), key, value);
  const ipv4 = node.address.includes(':') ? new Uint8Array(4) : address(node.address);
  const ipv6 = node.address.includes(':') ? address(node.address) : new Uint8Array(16);
  put('settings', u32(0), settings.encode({ ipv4, ipv6, port: tunnelPort }));
  put(
    'networks',
    networkKey.encode({ vni }),
    network.encode({ mtu: containerMtu, flags: enums.network_flags.NETWORK_MULTICAST }),
  );
  const others = [...new Set(remote.map(([id]) => id))];
  for (const id of others) {
    await putVtep(node, id, {});
    put('peers', peerKey.encode({ vni, address: mapped(neighbourOf(node, id)) }), peer.encode({ vtep: id }));
  }
  const copies = [];
  for (const container of local) {
    const index = await node.ifindex(`c${container.ipv4.slice(-1)}`);
    await putPort(node, container, 0);
    put('fdb', fdbKey.encode({ vni, mac: mac(container.mac) }), fdbEntry.encode({ ifindex: index, vtep: 0, flags: 0 }));
    copies.push({ kind: enums.flood_kind.FLOOD_LOCAL, target: index });
  }
  for (const [id, container] of remote) {
    put('fdb', fdbKey.encode({ vni, mac: mac(container.mac) }), fdbEntry.encode({ ifindex: 0, vtep: id, flags: 0 }));
  }
  for (const container of [...local, ...remote.map(([, container]) => container)]) {
    const entry = neighbour.encode({ mac: mac(container.mac), flags: 0 });
    put('neighbours', neighbourKey.encode({ vni, address: mapped(container.ipv4) }), entry);
    put('neighbours', neighbourKey.encode({ vni, address: mapped(container.ipv6) }), entry);
  }
  const values = [...copies, ...others.map((id) => ({ kind: enums.flood_kind.FLOOD_REMOTE, target: id }))];
  const list = bpf.createArray({
    name: 'flood',
    valueSize: floodEntry.size,
    values: values.map((copy) => floodEntry.encode(copy)),
  });
  bpf.mapUpdateInner(node.map('flood'), networkKey.encode({ vni }), list);
  bpf.closeFd(list);
}

/** Address of the node with another id on the same LAN. */
function neighbourOf({ address: text }: WeftNode, id: number): string {
  return text.replace(/\d+$/, String(id));
}

/** Writes how a node reaches another: on the link at its own address unless told otherwise. */
export async function putVtep(
  node: WeftNode,
  id: number,
  changed: { readonly address?: string; readonly gateway?: string; readonly mtu?: number },
): Promise<void> {
  const record = {
    address: mapped(changed.address ?? neighbourOf(node, id)),
    gateway: changed.gateway === undefined ? new Uint8Array(16) : mapped(changed.gateway),
    ifindex: await node.ifindex('u0'),
    tunnelIfindex: await node.ifindex('x0'),
    mtu: changed.mtu ?? 1500,
    provenMtu: 0,
    hops: 0,
    port: tunnelPort,
    family: node.address.includes(':') ? 10 : 2,
  };
  bpf.mapUpdate(node.map('vteps'), u32(id), vtep.encode(record));
}

/** Writes the port of a container, with flags of `port_flags`. */
export async function putPort(node: WeftNode, container: Container, flags: number): Promise<void> {
  const key = portKey.encode({ ifindex: await node.ifindex(`c${container.ipv4.slice(-1)}`) });
  const addresses = { ipv4: address(container.ipv4), ipv6: address(container.ipv6) };
  bpf.mapUpdate(
    node.map('ports'),
    key,
    port.encode({ vni, mtu: containerMtu, mac: mac(container.mac), flags, ...addresses }),
  );
}

function missing(name: string): never {
  throw new Error(`the object has no map ${name}`);
}

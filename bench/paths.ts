/**
 * The paths that are compared, each with nodes and containers of its own, all over the same kind of cable:
 *
 *   underlay     node to node, nothing in between: what cannot be beaten
 *   plain        container to container, handed on by two BPF programs of one line, without encapsulation: the floor
 *   forward      container to container, routed by the nodes' kernels, without encapsulation
 *   weft         container to container, two daemons, attached through the plugin protocol
 *   kernel       container to container over a vxlan device and a bridge, programmed as Docker's overlay does it:
 *                entries given, no outer checksum, and packets on the bridge shown to iptables (br_netfilter), Docker's default
 *   kernel_nonf  the same with br_netfilter's calls off
 *   veth         two containers of one node, joined by one cable
 *   bridge       two containers of one node on a bridge, with br_netfilter's calls on
 *   weft_local   two containers of one node on Weft
 *
 * plain is laid by standing.ts. Every path has an IPv4 and an IPv6 address inside.
 */

import type { Family } from '../src/core/address.ts';
import { attempt, run } from '../test/kit/command.ts';
import { insideNetns, ipBatch, sysctl } from '../test/kit/netns.ts';
import { joinNetwork, type Member } from './attach.ts';
import type { Path } from './meter.ts';
import type { Workshop } from './workshop.ts';

export interface LaidPath extends Path {
  readonly address6: string;
  /** Namespaces of the nodes it crosses by their device eth0. */
  readonly nodes: readonly string[];
}

export interface WeftPaths {
  readonly remote: LaidPath;
  readonly local: LaidPath;
  readonly members: readonly [Member, Member];
  /** Host end of the container that sends. */
  readonly host: string;
}

/** Of containers, by the family of the tunnels between them. */
const mtus = { ipv4: 1450, ipv6: 1430 } as const;
const mtuBytes = mtus.ipv4;
const macs = ['02:42:0a:4c:00:01', '02:42:0a:4c:00:02'] as const;
const addresses = ['10.76.0.1', '10.76.0.2'] as const;
const addresses6 = ['fd00:76::1', 'fd00:76::2'] as const;
/** Weft networks of one store, so two of them. */
const subnets = { ipv4: '10.77.0.0/24', ipv6: '10.78.0.0/24' } as const;
const nodeAddresses6 = ['fd00:75::1', 'fd00:75::2'] as const;

export async function underlay(workshop: Workshop): Promise<LaidPath> {
  const nodes = await workshop.nodePair('u');
  for (const i of [0, 1] as const) await ipBatch(nodes[i].netns, [`address add ${addresses6[i]}/64 dev eth0 nodad`]);
  return laid('underlay', [nodes[0].netns, nodes[1].netns], [nodes[1].address, addresses6[1]], nodes);
}

export async function forward(workshop: Workshop): Promise<LaidPath> {
  const nodes = await workshop.nodePair('f');
  const containers = [await workshop.namespace('fc1'), await workshop.namespace('fc2')] as const;
  for (const i of [0, 1] as const) {
    const [node, peer] = [nodes[i], nodes[1 - i]];
    await ipBatch(node.netns, [
      `link add p0 mtu ${mtuBytes} up type veth peer name eth0 mtu ${mtuBytes} netns ${containers[i]}`,
      `address add 10.76.${i}.1/24 dev p0`,
      `address add fd00:76:${i}::1/64 dev p0 nodad`,
      `address add ${nodeAddresses6[i]}/64 dev eth0 nodad`,
      `route add 10.76.${1 - i}.0/24 via ${peer?.address}`,
      `route add fd00:76:${1 - i}::/64 via ${nodeAddresses6[1 - i]}`,
    ]);
    await sysctl(node.netns, ['net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1']);
    await ipBatch(containers[i], [
      `address add 10.76.${i}.2/24 dev eth0`,
      `address add fd00:76:${i}::2/64 dev eth0 nodad`,
      'link set eth0 up',
      `route add default via 10.76.${i}.1`,
      `route add default via fd00:76:${i}::1`,
    ]);
  }
  return laid('forward', containers, ['10.76.1.2', 'fd00:76:1::2'], nodes);
}

/** @returns null when this kernel has no br_netfilter and it was asked for */
export async function kernel(
  workshop: Workshop,
  label: 'kernel' | 'kernel_nonf',
  over: Family = 'ipv4',
): Promise<LaidPath | null> {
  const id = (label === 'kernel' ? 'k' : 'o') + (over === 'ipv6' ? '6' : '');
  const nodes = await nodePairOf(workshop, id, over);
  const containers = [await workshop.namespace(`${id}c1`), await workshop.namespace(`${id}c2`)] as const;
  for (const i of [0, 1] as const) {
    const { netns, tunnel } = nodes[i];
    await addBridge(netns, mtus[over]);
    await plugIntoBridge({ netns, port: 'p0', mtu: mtus[over] }, containers[i], i);
    const checksums = over === 'ipv6' ? 'udp6zerocsumtx udp6zerocsumrx' : 'noudpcsum';
    await ipBatch(netns, [
      `link add vx0 mtu ${mtus[over]} type vxlan id 42 dstport 4789 local ${tunnel} dev eth0 nolearning ${checksums}`,
      'link set vx0 master br0 up',
    ]);
    const peer = nodes[1 - i]?.tunnel ?? '';
    await run([...insideNetns(netns), 'bridge', 'fdb', 'add', macs[1 - i] ?? '', 'dev', 'vx0', 'dst', peer]);
    if (!(await setBridgeNetfilter(netns, label === 'kernel')) && label === 'kernel') return null;
  }
  return laid(label, containers, [addresses[1], addresses6[1]], nodes);
}

/** Three containers on two nodes: one path between nodes and one on the first node. */
export async function weft(workshop: Workshop, id: string, over: Family = 'ipv4'): Promise<WeftPaths> {
  const nodes = await nodePairOf(workshop, id, over);
  const join = (i: 0 | 1) => {
    const args = ['--vtep', nodes[i].tunnel];
    return joinNetwork(nodes[i].node, { store: workshop.lab.embeddedStore, subnet: subnets[over], args });
  };
  const [one, other] = [await join(0), await join(1)];
  const [first, third] = [await one.hand.run(one.network), await one.hand.run(one.network)];
  const second = await other.hand.run(other.network);
  // IPv6 by addresses that need no network of theirs: a container may send from any address of its link.
  const containers = [first, second, third];
  for (const [i, { netns }] of containers.entries()) {
    const others = containers.flatMap(({ address, endpoint: { mac } }, j) =>
      [address, `fe80::${j + 1}`].flatMap((known) =>
        i === j ? [] : [`neighbour replace ${known} lladdr ${mac} dev eth0 nud permanent`],
      ),
    );
    await ipBatch(netns, [`address add fe80::${i + 1}/64 dev eth0 nodad`, ...others]);
  }
  return {
    remote: laid('weft', [first.netns, second.netns], [second.address, 'fe80::2%eth0'], nodes),
    local: laid('weft_local', [first.netns, third.netns], [third.address, 'fe80::3%eth0'], []),
    members: [one, other],
    host: `wh${first.endpoint.id.slice(0, 12)}`,
  };
}

/** Nodes with their addresses as ends of tunnels. */
async function nodePairOf(workshop: Workshop, id: string, over: Family) {
  const nodes = await workshop.nodePair(id);
  const end = async (i: 0 | 1) => {
    const { netns, address } = nodes[i];
    if (over === 'ipv6') await ipBatch(netns, [`address add ${nodeAddresses6[i]}/64 dev eth0 nodad`]);
    return { node: nodes[i], netns, tunnel: over === 'ipv6' ? nodeAddresses6[i] : address };
  };
  return [await end(0), await end(1)] as const;
}

export async function veth(workshop: Workshop): Promise<LaidPath> {
  const ends = [await workshop.namespace('v1'), await workshop.namespace('v2')] as const;
  await run(['ip', 'link', 'add', 'eth0', 'netns', ends[0], 'type', 'veth', 'peer', 'name', 'eth0', 'netns', ends[1]]);
  for (const i of [0, 1] as const) {
    await ipBatch(ends[i], [
      `address add ${addresses[i]}/24 dev eth0`,
      `address add ${addresses6[i]}/64 dev eth0 nodad`,
      `link set eth0 mtu ${mtuBytes} up`,
    ]);
  }
  return laid('veth', ends, [addresses[1], addresses6[1]], []);
}

/** @returns null when this kernel has no br_netfilter */
export async function bridge(workshop: Workshop): Promise<LaidPath | null> {
  const node = await workshop.namespace('b');
  const containers = [await workshop.namespace('bc1'), await workshop.namespace('bc2')] as const;
  await addBridge(node, mtuBytes);
  for (const i of [0, 1] as const)
    await plugIntoBridge({ netns: node, port: `p${i}`, mtu: mtuBytes }, containers[i], i);
  if (!(await setBridgeNetfilter(node, true))) return null;
  return laid('bridge', containers, [addresses[1], addresses6[1]], []);
}

function laid(
  label: string,
  [from, to]: readonly [string, string],
  [address, address6]: readonly [string, string],
  nodes: readonly { readonly netns: string }[],
): LaidPath {
  return { label, from, to, address, address6, nodes: nodes.map(({ netns }) => netns) };
}

/** Snooping off: there is nothing to snoop, and Docker's overlay has none either. */
function addBridge(netns: string, mtu: number): Promise<void> {
  return ipBatch(netns, [`link add br0 mtu ${mtu} up type bridge forward_delay 0 mcast_snooping 0`]);
}

/** With the other container's addresses known for good, so that no question for them falls into the measurement. */
async function plugIntoBridge(
  at: { readonly netns: string; readonly port: string; readonly mtu: number },
  container: string,
  i: 0 | 1,
): Promise<void> {
  await ipBatch(at.netns, [
    `link add ${at.port} mtu ${at.mtu} type veth peer name eth0 address ${macs[i]} mtu ${at.mtu} netns ${container}`,
    `link set ${at.port} master br0 up`,
  ]);
  await ipBatch(container, [
    'link set eth0 up',
    `address add ${addresses[i]}/24 dev eth0`,
    `address add ${addresses6[i]}/64 dev eth0 nodad`,
    `neighbour add ${addresses[1 - i]} lladdr ${macs[1 - i]} dev eth0 nud permanent`,
    `neighbour add ${addresses6[1 - i]} lladdr ${macs[1 - i]} dev eth0 nud permanent`,
  ]);
}

/** For both families. @returns false when this kernel has no br_netfilter */
async function setBridgeNetfilter(netns: string, on: boolean): Promise<boolean> {
  const settings = ['iptables', 'ip6tables'].map((family) => `net.bridge.bridge-nf-call-${family}=${on ? 1 : 0}`);
  const { code } = await attempt([...insideNetns(netns), 'sysctl', '-qw', ...settings]);
  return code === 0;
}

/**
 * The paths that are compared, each with nodes and containers of its own, all over the same kind of cable:
 *
 *   underlay     node to node, nothing in between: what cannot be beaten
 *   forward      container to container, routed by the nodes' kernels, without encapsulation
 *   weft         container to container, two daemons, attached through the plugin protocol
 *   kernel       container to container over a vxlan device and a bridge, programmed as Docker's overlay does it:
 *                entries given, no outer checksum, and packets on the bridge shown to iptables (br_netfilter), Docker's default
 *   kernel_nonf  the same with br_netfilter's calls off
 *   veth         two containers of one node, joined by one cable
 *   bridge       two containers of one node on a bridge, with br_netfilter's calls on
 *   weft_local   two containers of one node on Weft
 */

import { attempt, run } from '../test/kit/command.ts';
import { insideNetns, ipBatch, sysctl } from '../test/kit/netns.ts';
import { joinNetwork } from './attach.ts';
import type { Path } from './meter.ts';
import type { Workshop } from './workshop.ts';

const mtuBytes = 1450;
const macs = ['02:42:0a:4c:00:01', '02:42:0a:4c:00:02'] as const;
const addresses = ['10.76.0.1', '10.76.0.2'] as const;

export async function underlay(workshop: Workshop): Promise<Path> {
  const [one, other] = await workshop.nodePair('u');
  return { label: 'underlay', from: one.netns, to: other.netns, address: other.address };
}

export async function forward(workshop: Workshop): Promise<Path> {
  const nodes = await workshop.nodePair('f');
  const containers = [await workshop.namespace('fc1'), await workshop.namespace('fc2')] as const;
  for (const i of [0, 1] as const) {
    const [node, peer] = [nodes[i], nodes[1 - i]];
    const [own, others] = [`10.76.${i}`, `10.76.${1 - i}`];
    await ipBatch(node.netns, [
      `link add p0 mtu ${mtuBytes} up type veth peer name eth0 mtu ${mtuBytes} netns ${containers[i]}`,
      `address add ${own}.1/24 dev p0`,
      `route add ${others}.0/24 via ${peer?.address}`,
    ]);
    await sysctl(node.netns, ['net.ipv4.ip_forward=1']);
    await ipBatch(containers[i], [
      `address add ${own}.2/24 dev eth0`,
      'link set eth0 up',
      `route add default via ${own}.1`,
    ]);
  }
  return { label: 'forward', from: containers[0], to: containers[1], address: '10.76.1.2' };
}

/** @returns null when this kernel has no br_netfilter and it was asked for */
export async function kernel(workshop: Workshop, label: 'kernel' | 'kernel_nonf'): Promise<Path | null> {
  const id = label === 'kernel' ? 'k' : 'o';
  const nodes = await workshop.nodePair(id);
  const containers = [await workshop.namespace(`${id}c1`), await workshop.namespace(`${id}c2`)] as const;
  for (const i of [0, 1] as const) {
    const { netns, address } = nodes[i];
    await addBridge(netns);
    await plugIntoBridge({ netns, port: 'p0' }, containers[i], i);
    await ipBatch(netns, [
      `link add vx0 type vxlan id 42 dstport 4789 local ${address} dev eth0 nolearning noudpcsum`,
      'link set vx0 master br0 up',
    ]);
    const peer = nodes[1 - i]?.address ?? '';
    await run([...insideNetns(netns), 'bridge', 'fdb', 'add', macs[1 - i] ?? '', 'dev', 'vx0', 'dst', peer]);
    if (!(await setBridgeNetfilter(netns, label === 'kernel')) && label === 'kernel') return null;
  }
  return { label, from: containers[0], to: containers[1], address: addresses[1] };
}

/** Three containers on two nodes: one path between nodes and one on the first node. */
export async function weft({ lab, nodePair }: Workshop): Promise<readonly [Path, Path]> {
  const nodes = await nodePair('w');
  const options = { store: lab.embeddedStore, subnet: '10.77.0.0/24', args: ['--vtep', 'eth0'] };
  const [one, other] = [await joinNetwork(nodes[0], options), await joinNetwork(nodes[1], options)];
  const [first, third] = [await one.hand.run(one.network), await one.hand.run(one.network)];
  const second = await other.hand.run(other.network);
  return [
    { label: 'weft', from: first.netns, to: second.netns, address: second.address },
    { label: 'weft_local', from: first.netns, to: third.netns, address: third.address },
  ];
}

export async function veth(workshop: Workshop): Promise<Path> {
  const [one, other] = [await workshop.namespace('v1'), await workshop.namespace('v2')] as const;
  await run(['ip', 'link', 'add', 'eth0', 'netns', one, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', other]);
  await ipBatch(one, ['address add 10.76.0.1/24 dev eth0', `link set eth0 mtu ${mtuBytes} up`]);
  await ipBatch(other, ['address add 10.76.0.2/24 dev eth0', `link set eth0 mtu ${mtuBytes} up`]);
  return { label: 'veth', from: one, to: other, address: addresses[1] };
}

/** @returns null when this kernel has no br_netfilter */
export async function bridge(workshop: Workshop): Promise<Path | null> {
  const node = await workshop.namespace('b');
  const containers = [await workshop.namespace('bc1'), await workshop.namespace('bc2')] as const;
  await addBridge(node);
  for (const i of [0, 1] as const) await plugIntoBridge({ netns: node, port: `p${i}` }, containers[i], i);
  if (!(await setBridgeNetfilter(node, true))) return null;
  return { label: 'bridge', from: containers[0], to: containers[1], address: addresses[1] };
}

/** Snooping off: there is nothing to snoop, and Docker's overlay has none either. */
function addBridge(netns: string): Promise<void> {
  return ipBatch(netns, [`link add br0 mtu ${mtuBytes} up type bridge forward_delay 0 mcast_snooping 0`]);
}

/** With the other container's address known for good, so that no question for it falls into the measurement. */
async function plugIntoBridge(
  at: { readonly netns: string; readonly port: string },
  container: string,
  i: 0 | 1,
): Promise<void> {
  await ipBatch(at.netns, [
    `link add ${at.port} mtu ${mtuBytes} type veth peer name eth0 address ${macs[i]} mtu ${mtuBytes} netns ${container}`,
    `link set ${at.port} master br0 up`,
  ]);
  await ipBatch(container, [
    'link set eth0 up',
    `address add ${addresses[i]}/24 dev eth0`,
    `neighbour add ${addresses[1 - i]} lladdr ${macs[1 - i]} dev eth0 nud permanent`,
  ]);
}

/** @returns false when this kernel has no br_netfilter */
async function setBridgeNetfilter(netns: string, on: boolean): Promise<boolean> {
  const setting = 'net.bridge.bridge-nf-call-iptables';
  const { code } = await attempt([...insideNetns(netns), 'sysctl', '-qw', `${setting}=${on ? 1 : 0}`]);
  return code === 0;
}

/** A node with a daemon and one network, and attaching containers to it with a stopwatch, through the plugin's socket. */

import type { Daemon } from '../test/kit/daemon.ts';
import type { LabNode } from '../test/kit/node.ts';
import { createHand, type Hand, type HandNetwork, newId } from '../test/kit/plugin-client.ts';

export interface Member {
  readonly daemon: Daemon;
  readonly hand: Hand;
  readonly network: HandNetwork;
}

export interface Attachment {
  readonly endpointId: string;
  readonly requestAddressMs: number;
  readonly createEndpointMs: number;
  readonly joinMs: number;
}

export interface MemberOptions {
  readonly store: string;
  readonly subnet: string;
  /** More arguments of the daemon. */
  readonly args?: readonly string[];
}

/** `weft daemon` and `docker network create` on a node. */
export async function joinNetwork(node: LabNode, { store, subnet, args = [] }: MemberOptions): Promise<Member> {
  const daemon = await node.daemon({ store, dataPath: 'ebpf', args });
  // It comes last; an engine would try again until it is there.
  const hand = createHand(node, daemon);
  return { daemon, hand, network: await hand.createNetwork({ subnet }) };
}

/** What `docker run --network` asks of the plugin, and how long each answer took. */
export async function attach({ hand, network }: Member): Promise<Attachment> {
  const start = performance.now();
  const { Address } = await hand.call('IpamDriver.RequestAddress', { PoolID: network.pool, Address: '', Options: {} });
  const addressed = performance.now();
  const endpointId = newId();
  const endpoint = { NetworkID: network.id, EndpointID: endpointId };
  const wanted = { Address, AddressIPv6: '', MacAddress: '' };
  await hand.call('NetworkDriver.CreateEndpoint', { ...endpoint, Interface: wanted, Options: {} });
  const created = performance.now();
  await hand.call('NetworkDriver.Join', { ...endpoint, SandboxKey: '', Options: {} });
  return {
    endpointId,
    requestAddressMs: addressed - start,
    createEndpointMs: created - addressed,
    joinMs: performance.now() - created,
  };
}

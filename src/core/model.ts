/**
 * The records everything else is derived from. A node's own endpoints come from its journal, those of others from
 * the store; `forwarding` makes the same kind of entries of both.
 */

import type { Address, Subnet } from './address.ts';
import type { EndpointId, NetworkIdentity, NetworkKey, NodeId } from './identity.ts';
import type { MacAddress } from './mac.ts';
import type { Vni } from './vni.ts';

/** Where a node's tunnel ends: one UDP port, at an address of either family or of both. */
export interface Vtep {
  /** IPv4 where there are both. */
  readonly address: Address;
  readonly port: number;
  /** IPv6, of a node that has both. */
  readonly alternate?: Address | undefined;
}

/** A daemon on a host. */
export interface Node {
  readonly id: NodeId;
  readonly name: string;
  readonly vtep: Vtep;
  /** MTU of the device that owns the VTEP address, in bytes; of two, the smaller. */
  readonly mtuBytes: number;
  /** Grows by one at every start of the daemon. */
  readonly epoch: number;
}

/** An overlay network, alike on every node. */
export interface Network {
  readonly key: NetworkKey;
  readonly identity: NetworkIdentity;
  readonly vni: Vni;
  readonly subnets: readonly Subnet[];
  /** What its containers see, in bytes. */
  readonly mtuBytes: number;
  readonly multicast: boolean;
}

/** A container's attachment to a network. */
export interface Endpoint {
  readonly id: EndpointId;
  readonly network: NetworkKey;
  readonly mac: MacAddress;
  readonly addresses: readonly Address[];
  /** The store's revision of its claim: of two endpoints with one address, the later claim is right. */
  readonly version: number;
  /** May send from any address, for networks behind it. Known of this node's own alone; absent: it may not. */
  readonly isRouter?: true;
}

/** What one node has in one network: its whole contribution to that network's tables. */
export interface Membership {
  readonly node: NodeId;
  readonly network: NetworkKey;
  readonly vtep: Vtep;
  readonly endpoints: readonly Endpoint[];
  /** Multicast groups that its endpoints have joined; absent: that is not known, and it gets all. */
  readonly groups?: readonly Address[] | undefined;
}

/** Everything a node knows: the input of `forwarding`. */
export interface Model {
  readonly self: NodeId;
  readonly networks: readonly Network[];
  /** Other nodes' memberships in those networks, their VTEPs as this node sends to them (vtep.ts `reachable`). */
  readonly remote: readonly Membership[];
  /** This node's joined endpoints. */
  readonly local: readonly Endpoint[];
  /** What the paths to VTEPs were seen to carry, in bytes; those not measured yet, or never, are left out. */
  readonly pathMtus?: ReadonlyMap<Address, number>;
}

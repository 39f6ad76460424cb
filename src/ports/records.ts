/**
 * What stands in the store, as values. The codecs parse bytes at the rim: `decode` throws on anything it does not
 * understand, and the reader decides what a corrupt record costs (it is skipped and reported, the rest goes on).
 */

import type { Address, Subnet } from '../core/address.ts';
import type { EndpointId, Holder, NetworkKey, NodeId } from '../core/identity.ts';
import type { Endpoint, Network, Node, Vtep } from '../core/model.ts';
import type { Vni } from '../core/vni.ts';

/** n/<node>. `boot`, `pid` and `started` tell a crashed daemon's leftover from a living one. */
export interface NodeRecord extends Node {
  readonly boot: string;
  readonly pid: number;
  /** Start time of the process in clock ticks since boot (/proc/PID/stat field 22). */
  readonly started: string;
}

/** net/<network>: the network and who has it; the last one to leave removes it. */
export interface NetworkRecord extends Network {
  readonly holders: readonly Holder[];
  /** Swarm had allocated it and has ended it; who still holds it has not noticed, or is dead. */
  readonly freed?: boolean | undefined;
}

/** vni/<vni> */
export interface VniRecord {
  readonly vni: Vni;
  readonly network: NetworkKey;
  readonly label: string;
}

/** (epoch, generation) grows with every change a node makes to its membership. */
export interface MembershipVersion {
  readonly epoch: number;
  readonly generation: number;
}

/** s/<network>/<node> */
export interface StampRecord extends MembershipVersion {
  readonly vtep: Vtep;
}

/** d/<network>/<node> */
export interface MembershipRecord extends MembershipVersion {
  readonly endpoints: readonly Omit<Endpoint, 'network'>[];
  /** As in `Membership`: a version that knows nothing of groups does not write them. */
  readonly groups?: readonly Address[] | undefined;
}

/** ns/<name space>: subnets of one name space never overlap. */
export interface NameSpaceRecord {
  readonly name: string;
  readonly subnets: readonly Subnet[];
}

/** p/<pool> */
export interface PoolRecord {
  readonly name: string;
  readonly subnet: Subnet;
  readonly gateway: Address | null;
  readonly holders: readonly Holder[];
  /** Swarm's allocator has given it back, but a network that it allocated still has it. */
  readonly returned?: boolean | undefined;
}

/**
 * a/<pool>/<address>. An endpoint's claim is `reserved` while Docker's IPAM call that asked for the address has not
 * been taken back, and `allocated` while swarm's allocator has it; the address is free again when none of the three is
 * left.
 */
export type AddressClaim =
  | {
      readonly kind: 'endpoint';
      readonly node: NodeId;
      readonly endpoint: EndpointId | null;
      readonly reserved: boolean;
      readonly allocated?: boolean | undefined;
    }
  /** Given out by swarm's allocator, to a task or service that has no endpoint under this key. */
  | { readonly kind: 'allocated'; readonly mark?: string | undefined }
  /** Gateways and auxiliary addresses: the same on every engine. */
  | { readonly kind: 'shared'; readonly purpose: 'gateway' | 'auxiliary' };

/** m/<network>/<mac> */
export interface MacClaim {
  readonly node: NodeId;
  readonly endpoint: EndpointId;
}

export interface Codec<Value> {
  encode(value: Value): Uint8Array;
  /** @throws when the bytes are not such a record */
  decode(bytes: Uint8Array): Value;
}

export interface Codecs {
  readonly node: Codec<NodeRecord>;
  readonly network: Codec<NetworkRecord>;
  readonly vni: Codec<VniRecord>;
  readonly stamp: Codec<StampRecord>;
  readonly membership: Codec<MembershipRecord>;
  readonly nameSpace: Codec<NameSpaceRecord>;
  readonly pool: Codec<PoolRecord>;
  readonly addressClaim: Codec<AddressClaim>;
  readonly macClaim: Codec<MacClaim>;
}

/**
 * The other nodes' memberships of one network, ordered by version: an older record never replaces a newer one, in
 * whatever order stamps and records arrive.
 */

import type { NetworkKey, NodeId } from '../core/identity.ts';
import type { Membership } from '../core/model.ts';
import type { MembershipRecord, MembershipVersion, StampRecord } from '../ports/records.ts';

export interface RemoteMembers {
  stamp(node: NodeId): StampRecord | null;
  /** Takes the present stamps: nodes without one are gone. Returns those whose record is older than their stamp. */
  setStamps(stamps: ReadonlyMap<NodeId, StampRecord>): ReadonlyMap<NodeId, MembershipVersion>;
  setRecord(node: NodeId, record: MembershipRecord): void;
  isBehind(node: NodeId): boolean;
  memberships(): readonly Membership[];
}

export function createRemoteMembers(network: NetworkKey): RemoteMembers {
  let stamps: ReadonlyMap<NodeId, StampRecord> = new Map();
  const records = new Map<NodeId, MembershipRecord>();

  const isBehind = (node: NodeId): boolean => {
    const stamp = stamps.get(node);
    const record = records.get(node);
    return stamp !== undefined && (record === undefined || isOlder(record, stamp));
  };
  return {
    stamp: (node) => stamps.get(node) ?? null,
    setStamps(present) {
      stamps = present;
      for (const node of records.keys()) if (!present.has(node)) records.delete(node);
      return new Map([...present].filter(([node]) => isBehind(node)));
    },
    setRecord(node, record) {
      const known = records.get(node);
      if (known === undefined || isOlder(known, record)) records.set(node, record);
    },
    isBehind,
    memberships: () =>
      Array.from(stamps, ([node, { vtep }]) => ({
        node,
        network,
        vtep,
        groups: records.get(node)?.groups,
        endpoints: (records.get(node)?.endpoints ?? []).map((endpoint) => ({ ...endpoint, network })),
      })),
  };
}

/** Whether `left` came before `right`. */
export function isOlder(left: MembershipVersion, right: MembershipVersion): boolean {
  return left.epoch < right.epoch || (left.epoch === right.epoch && left.generation < right.generation);
}

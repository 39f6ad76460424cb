/**
 * What the other nodes have: every node's record, and for each network of this node the memberships of the others.
 *
 * Per network only the stamps are watched (a VTEP and a version per node, some 100 bytes). When one changes, just that
 * node's membership record is read. A stamp alone already makes its VTEP a peer, so broadcast reaches a new node before
 * its endpoints are known. A blind watch withdraws nothing; a record that cannot be read keeps its last good version
 * and is reported. A store that has forgotten what this node wrote was emptied: what it does not say of others is not
 * believed until everybody has written again.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import type { NetworkKey, NodeId } from '../core/identity.ts';
import { lastPart, membershipKey, nodesPrefix, stampsPrefix } from '../core/keys.ts';
import type { Membership, Node } from '../core/model.ts';
import { isOverlayError } from '../errors.ts';
import type { Log } from '../ports/log.ts';
import type { MembershipVersion, StampRecord } from '../ports/records.ts';
import type { StoreEntry } from '../ports/store.ts';
import { timeLimit, untilAborted } from './limit.ts';
import { type EntriesHandler, type PrefixWatch, startPrefixWatch } from './prefix-watch.ts';
import { decoded, type Records } from './records.ts';
import { createRemoteMembers, type RemoteMembers } from './remote-members.ts';

export interface Directory {
  /** Resolves when the nodes are known. */
  ready(signal: AbortSignal): Promise<void>;
  /** Watches a network; resolves when its present state is known. Idempotent. */
  follow(network: NetworkKey, signal: AbortSignal): Promise<void>;
  unfollow(network: NetworkKey): Promise<void>;
  /** Reads one node's membership now, without waiting for its stamp. */
  refresh(network: NetworkKey, node: NodeId, signal: AbortSignal): Promise<void>;
  memberships(): readonly Membership[];
  nodes(): readonly Node[];
  state(): 'live' | 'stale' | 'down';
  problems(): readonly string[];
  /** Reads everything that is watched afresh. */
  reread(): void;
  close(): Promise<void>;
}

export interface DirectorySettings {
  readonly self: NodeId;
  readonly log: Log;
  /** Called after memberships or nodes have changed. */
  onChange(): void;
  isPublished(network: NetworkKey): boolean;
  /** What this node has written is not there any more, by no doing of its own: a stamp, or (null) its own record. */
  onForgotten(network: NetworkKey | null): void;
}

/** Implementation: a record older than its stamp was read from a lagging server; it is there within this time. */
const lagMs = 100;
const lagTries = 20;
/** Implementation: records read at once; Consul takes 64 operations in a transaction. */
const chunk = 60;
const readLimitMs = 2_500;

export function createDirectory(records: Records, settings: DirectorySettings): Directory {
  const { self, log, onChange, isPublished, onForgotten } = settings;
  const { codecs, store } = records;
  const nodes = new Map<NodeId, Node>();
  const corrupt = new Map<string, string>();
  const networks = new Map<NetworkKey, { readonly watch: PrefixWatch; readonly members: RemoteMembers }>();

  const decodeOrReport = <Value>(decode: () => Value, key: string): Value | null => {
    try {
      const value = decode();
      corrupt.delete(key);
      return value;
    } catch (error) {
      if (!isOverlayError(error, 'STORE_RECORD_CORRUPT')) throw error;
      if (!corrupt.has(key)) log.warn({ key, problem: error.message }, 'corrupt record skipped');
      corrupt.set(key, error.message);
      return null;
    }
  };
  const keepCorrupt = (prefix: string, entries: readonly StoreEntry[]): void => {
    const present = new Set(entries.map(({ key }) => key));
    for (const key of corrupt.keys()) if (key.startsWith(prefix) && !present.has(key)) corrupt.delete(key);
  };

  const hasOwn = (entries: readonly StoreEntry[]) => entries.some(({ key }) => lastPart(key) === self);

  const onNodes = async (entries: readonly StoreEntry[]): Promise<void> => {
    keepCorrupt(nodesPrefix, entries);
    if (!hasOwn(entries)) return onForgotten(null);
    const present = new Set(entries.map(({ key }) => lastPart(key)));
    for (const id of nodes.keys()) if (!present.has(id)) nodes.delete(id);
    for (const entry of entries) {
      const found = decodeOrReport(() => decoded(codecs.node, entry), entry.key);
      if (found !== null) nodes.set(found.value.id, found.value);
    }
    onChange();
  };

  const fetchRecords = async (
    network: NetworkKey,
    members: RemoteMembers,
    stamps: ReadonlyMap<NodeId, MembershipVersion>,
  ) => {
    let missing = [...stamps.keys()];
    for (let attempt = 0; missing.length > 0 && attempt < lagTries; attempt += 1) {
      if (attempt > 0) await sleep(lagMs);
      for (let start = 0; start < missing.length; start += chunk) {
        await fetchChunk(network, members, missing.slice(start, start + chunk));
      }
      missing = missing.filter((node) => members.isBehind(node) && !corrupt.has(membershipKey(network, node)));
    }
  };
  const fetchChunk = async (
    network: NetworkKey,
    members: RemoteMembers,
    ids: readonly NodeId[],
    signal?: AbortSignal,
  ) => {
    const keys = new Map(ids.map((node) => [membershipKey(network, node), node]));
    const entries = await store.get([...keys.keys()], signal ?? timeLimit(store, readLimitMs));
    for (const [key, node] of keys) {
      const entry = entries.get(key);
      if (entry === undefined) continue;
      const found = decodeOrReport(() => decoded(codecs.membership, entry), key);
      if (found !== null) members.setRecord(node, found.value);
    }
  };
  /** Of the other nodes; one that cannot be read stays as it was. */
  const stampsOf = (entries: readonly StoreEntry[], members: RemoteMembers): ReadonlyMap<NodeId, StampRecord> => {
    const others = entries.filter(({ key }) => lastPart(key) !== self);
    const stamps = others.flatMap((entry): (readonly [NodeId, StampRecord])[] => {
      const node = lastPart(entry.key) as NodeId;
      const stamp = decodeOrReport(() => decoded(codecs.stamp, entry), entry.key)?.value ?? members.stamp(node);
      return stamp === null ? [] : [[node, stamp]];
    });
    return new Map(stamps);
  };
  const onStamps = async (
    network: NetworkKey,
    members: RemoteMembers,
    entries: readonly StoreEntry[],
  ): Promise<void> => {
    keepCorrupt(stampsPrefix(network), entries);
    if (isPublished(network) && !hasOwn(entries)) return onForgotten(network);
    const behind = members.setStamps(stampsOf(entries, members));
    if (behind.size > 0) await fetchRecords(network, members, behind);
    onChange();
  };

  const startWatch = (prefix: string, onEntries: EntriesHandler) => startPrefixWatch({ store, log, prefix }, onEntries);
  const nodesWatch = startWatch(nodesPrefix, onNodes);
  const watches = () => [...networks.values()].map(({ watch }) => watch);

  return {
    ready: (signal) => untilAborted(nodesWatch.ready, signal),
    async follow(network, signal) {
      let known = networks.get(network);
      if (known === undefined) {
        const members = createRemoteMembers(network);
        known = { members, watch: startWatch(stampsPrefix(network), (entries) => onStamps(network, members, entries)) };
        networks.set(network, known);
      }
      await untilAborted(known.watch.ready, signal);
    },
    async unfollow(network) {
      const known = networks.get(network);
      networks.delete(network);
      await known?.watch.stop();
      keepCorrupt(stampsPrefix(network), []);
      keepCorrupt(membershipKey(network, '' as NodeId), []);
    },
    async refresh(network, node, signal) {
      const known = networks.get(network);
      if (known === undefined || node === self) return;
      await fetchChunk(network, known.members, [node], signal);
      onChange();
    },
    memberships: () => [...networks.values()].flatMap(({ members }) => members.memberships()),
    nodes: () => [...nodes.values()],
    state() {
      if (nodesWatch.blind() !== null) return 'down';
      return watches().some((watch) => watch.blind() !== null) ? 'stale' : 'live';
    },
    problems() {
      const blind = [nodesWatch, ...watches()].map((watch) => watch.blind()).filter((problem) => problem !== null);
      return [...new Set([...corrupt.values(), ...blind])];
    },
    reread() {
      for (const watch of [nodesWatch, ...watches()]) watch.reread();
    },
    async close() {
      await Promise.all([nodesWatch, ...watches()].map((watch) => watch.stop()));
    },
  };
}

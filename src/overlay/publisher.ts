/**
 * Writes what this node has in a network: its membership record and then the stamp that others watch, in one fenced
 * transaction, so a daemon that has been replaced cannot overwrite its successor. One write per network is under way
 * at a time; calls that come meanwhile share the next one.
 */

import type { Address } from '../core/address.ts';
import type { NetworkKey, NodeId } from '../core/identity.ts';
import { membershipKey, stampKey } from '../core/keys.ts';
import type { Endpoint, Vtep } from '../core/model.ts';
import { overlayError } from '../errors.ts';
import type { Lease, StoreOperation } from '../ports/store.ts';
import { timeLimit } from './limit.ts';
import type { Records } from './records.ts';
import { verbLimitMs } from './requests.ts';

/** Implementation: a verb that publishes can still answer within its own limit when this one is used up. */
const writeLimitMs = verbLimitMs * 0.4;

export interface Publisher {
  /** Resolves when a write that began after this call stands in the store. */
  publish(network: NetworkKey): Promise<void>;
  withdraw(network: NetworkKey): Promise<void>;
  /** Whether the store has taken a stamp of this process and was not asked to drop it. */
  isPublished(network: NetworkKey): boolean;
  /** The groups in the record that the store has taken last. */
  groups(network: NetworkKey): readonly Address[] | undefined;
}

export interface PublisherSettings {
  readonly self: NodeId;
  vtep(): Vtep;
  readonly epoch: number;
  lease(): Lease;
  joined(network: NetworkKey): readonly Endpoint[];
  /** Multicast groups that are wanted here; undefined: not known. */
  groups(network: NetworkKey): Promise<readonly Address[] | undefined>;
}

export function createPublisher(records: Records, settings: PublisherSettings): Publisher {
  const { codecs, store } = records;
  const { self, epoch } = settings;
  const queues = new Map<NetworkKey, Promise<void>>();
  const waiting = new Map<NetworkKey, Promise<void>>();
  const published = new Map<NetworkKey, readonly Address[] | undefined>();
  let generation = 0;

  const commit = async (network: NetworkKey, operations: readonly StoreOperation[]): Promise<void> => {
    const fenced: StoreOperation[] = [{ kind: 'fence', lease: settings.lease() }, ...operations];
    const result = await store.commit(fenced, timeLimit(store, writeLimitMs));
    if (!result.committed) throw overlayError('STORE_CONFLICT', { key: membershipKey(network, self), attempts: 1 });
  };
  const write = async (network: NetworkKey): Promise<void> => {
    generation += 1;
    const version = { epoch, generation };
    const endpoints = settings.joined(network);
    const groups = await settings.groups(network);
    const record = codecs.membership.encode({ ...version, endpoints, groups });
    const stamp = codecs.stamp.encode({ ...version, vtep: settings.vtep() });
    await commit(network, [
      { kind: 'put', key: membershipKey(network, self), value: record, expect: 'any' },
      { kind: 'put', key: stampKey(network, self), value: stamp, expect: 'any' },
    ]);
    published.set(network, groups);
  };
  /** Runs after what is under way for this network, whatever became of it. */
  const enqueue = (network: NetworkKey, task: () => Promise<void>): Promise<void> => {
    const next = (queues.get(network) ?? Promise.resolve()).catch(() => undefined).then(task);
    queues.set(network, next);
    next.catch(() => undefined).then(() => queues.get(network) === next && queues.delete(network));
    return next;
  };

  return {
    publish(network) {
      const shared = waiting.get(network);
      if (shared !== undefined) return shared;
      const next = enqueue(network, () => {
        waiting.delete(network);
        return write(network);
      });
      waiting.set(network, next);
      return next;
    },
    withdraw: (network) =>
      enqueue(network, () => {
        published.delete(network);
        return commit(network, [
          { kind: 'delete', key: stampKey(network, self), expect: 'any' },
          { kind: 'delete', key: membershipKey(network, self), expect: 'any' },
        ]);
      }),
    isPublished: (network) => published.has(network),
    groups: (network) => published.get(network),
  };
}

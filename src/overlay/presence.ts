/**
 * This node's record, held by a lease as long as the daemon lives. A daemon that comes back after a crash takes its own
 * record over at once: it knows it by boot, process id and start time, or, after a reboot, by the unchanged VTEP. A
 * living process with the same node id is refused: that is a cloned machine or a shared state directory. The record
 * follows its node to another place on the underlay; id and epoch stay.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { anchorKey, nodeKey, nodesPrefix } from '../core/keys.ts';
import type { Node } from '../core/model.ts';
import { addressesOf } from '../core/vtep.ts';
import { isOverlayError, messageOf, type OverlayError, overlayError } from '../errors.ts';
import type { Log } from '../ports/log.ts';
import type { NodeRecord } from '../ports/records.ts';
import type { Lease } from '../ports/store.ts';
import type { Place } from '../ports/underlay.ts';
import { timeLimit } from './limit.ts';
import type { Records } from './records.ts';
import { verbLimitMs } from './requests.ts';

/** What tells this process from any other, here or elsewhere, now or before. */
export interface ProcessIdentity {
  readonly boot: string;
  readonly pid: number;
  readonly started: string;
  /** Whether a process of this host with that id and start time lives. */
  isAlive(pid: number, started: string): boolean;
}

export interface Presence {
  /** As it is now. */
  readonly node: Node;
  /** The node is elsewhere from now on; the record says so once it is written. */
  move(place: Place): void;
  /** Writes the record as it is now. @throws STORE_CONFLICT when the lease is lost */
  write(signal: AbortSignal): Promise<void>;
  /** The lease as it is now; a fence made of a lost one makes the transaction fail. */
  lease(): Lease;
  /** null when the lease is held, else why not. */
  problem(): string | null;
  /** The record is gone although nobody took it: writes it again under a new lease. */
  retake(): void;
  close(): Promise<void>;
  /** Closes and takes the record away again if this daemon was the first to write it. Never throws. */
  abandon(): Promise<void>;
}

/** Implementation: a lost lease is taken again at this pace. */
const retryMs = 1_000;

export async function createPresence(
  records: Records,
  self: Omit<Node, 'epoch'>,
  identity: ProcessIdentity,
  options: { readonly log: Log; onRegained(): void },
): Promise<Presence> {
  const { codecs, store } = records;
  const key = nodeKey(self.id);
  const closing = new AbortController();
  const limit = () => timeLimit(store, verbLimitMs, closing.signal);

  await store.commit(
    [{ kind: 'put', key: anchorKey(nodesPrefix), value: new TextEncoder().encode('{}'), expect: 0 }],
    limit(),
  );
  const previous = await records.read(codecs.node, key, limit()).catch(() => null);
  let node: Node = { ...self, epoch: (previous?.value.epoch ?? 0) + 1 };
  const { boot, pid, started } = identity;
  const value = () => codecs.node.encode({ ...node, boot, pid, started });
  const isOwnLeftover = (bytes: Uint8Array): boolean => {
    const holder = decodedHolder(bytes, codecs.node.decode);
    if (holder === null) return false;
    // Itself: an attempt to join before this one was cut short, and could not give the lease back.
    if (holder.boot === boot && holder.pid === pid && holder.started === started) return true;
    if (holder.boot === boot) return !identity.isAlive(holder.pid, holder.started);
    return addressesOf(holder.vtep).some((address) => addressesOf(node.vtep).includes(address));
  };
  const take = () =>
    store.lease(key, value(), limit(), isOwnLeftover).catch((error: unknown) => {
      throw isOverlayError(error, 'NODE_ID_IN_USE') ? heldBy(error, codecs.node.decode) : error;
    });

  let lease = await take();
  let problem: string | null = null;
  let gone = new AbortController();
  const isHeld = () => !lease.lost.aborted && !gone.signal.aborted;
  const takeAgain = async (): Promise<void> => {
    try {
      if (gone.signal.aborted) await lease.release();
      lease = await take();
      gone = new AbortController();
      problem = null;
      options.log.info({ node: self.id }, 'node lease regained');
      options.onRegained();
    } catch (error) {
      problem = `the lease of this node's record is lost: ${messageOf(error)}`;
      await sleep(retryMs, undefined, { signal: closing.signal }).catch(() => undefined);
    }
  };
  const keep = async (): Promise<void> => {
    while (!closing.signal.aborted) {
      await aborted(AbortSignal.any([lease.lost, gone.signal, closing.signal]));
      while (!isHeld() && !closing.signal.aborted) await takeAgain();
    }
  };
  const keeping = keep();
  const close = async (): Promise<void> => {
    closing.abort();
    await keeping;
    await lease.release();
  };
  const forget = async (): Promise<void> => {
    const operations = [{ kind: 'fence', lease } as const, { kind: 'delete', key, expect: 'any' } as const];
    if (previous === null) await store.commit(operations, timeLimit(store, verbLimitMs));
  };

  return {
    get node() {
      return node;
    },
    move(place) {
      node = { ...node, ...place };
    },
    async write(signal) {
      const put = { kind: 'put', key, value: value(), expect: 'any' } as const;
      const { committed } = await store.commit([{ kind: 'fence', lease }, put], signal);
      if (!committed) throw overlayError('STORE_CONFLICT', { key, attempts: 1 });
    },
    lease: () => lease,
    problem: () => problem,
    retake: () => gone.abort(),
    close,
    async abandon() {
      const problemOf = (error: unknown) => options.log.warn({ problem: messageOf(error) }, 'node record not given up');
      await forget().catch(problemOf);
      await close().catch(problemOf);
    },
  };
}

/** The same error with the holder in words: what stands in the record is for machines. */
function heldBy(error: OverlayError, decode: (bytes: Uint8Array) => NodeRecord): OverlayError {
  const { node, holder } = error.details;
  const record = decodedHolder(new TextEncoder().encode(String(holder)), decode);
  if (record === null) return error;
  const words = `${record.name}, process ${record.pid}, VTEP ${record.vtep.address}`;
  return overlayError('NODE_ID_IN_USE', { node: String(node), holder: words }, { cause: error });
}

function decodedHolder(bytes: Uint8Array, decode: (bytes: Uint8Array) => NodeRecord): NodeRecord | null {
  try {
    return decode(bytes);
  } catch {
    return null; // A holder that cannot be read is nobody we know.
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}

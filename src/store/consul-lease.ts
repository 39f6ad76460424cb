/**
 * A lease on Consul: a session that locks the key. Behavior=release keeps the key when the session ends, LockDelay=0
 * lets the next holder in at once, no health checks tie it to another machine's fate, and its TTL frees the key 30 to
 * 60 s after the holder has died.
 *
 * A key that is locked belongs to a session that Consul believes in. It is taken all the same when the session was
 * this store's own and is lost or was never confirmed, or when the caller recognises the holder by its value: the old
 * session is destroyed first, which frees the key.
 */

import type { Lease, StoreKey } from '../ports/store.ts';
import { type ConsulClient, ConsulFailure, type ConsulPair } from './consul-client.ts';
import { keepSession } from './consul-session.ts';
import { lockOperation } from './consul-transaction.ts';
import { callLimitMs, type Deadline, startDeadline } from './deadline.ts';
import { heldByOther } from './faults.ts';

export interface Leases {
  /** @throws NODE_ID_IN_USE, ConsulFailure */
  acquire(deadline: Deadline, request: LeaseRequest): Promise<Lease>;
  /** Releases what is held, as far as Consul answers. */
  close(): Promise<void>;
}

export interface LeaseRequest {
  readonly key: StoreKey;
  readonly value: Uint8Array;
  takeOver(holderValue: Uint8Array): boolean;
}

/** Implementation: Consul takes 10 s to 24 h. Shorter means more renewals, and a short pause would cost the lease. */
const sessionTtlMs = 30_000;

/** `root` goes before every key. */
export function createLeases(client: ConsulClient, root: string): Leases {
  /** Sessions of this store that may still lock a key though nobody here holds it. */
  const abandoned = new Set<string>();
  const held = new Set<Lease>();

  const leaseOf = (key: StoreKey, id: string, since: number): Lease => {
    const renew = async (signal: AbortSignal) => {
      await client.call(startDeadline(callLimitMs, signal), (api, options) => api.session.renew({ ...options, id }));
    };
    const session = keepSession({ id, ttlMs: sessionTtlMs, since, renew });
    const lease: Lease = {
      key,
      token: id,
      lost: session.lost,
      async release() {
        held.delete(lease);
        await session.stop();
        abandoned.add(id);
        await destroySession(client, startDeadline(callLimitMs), id).catch(expectFailure);
      },
    };
    session.lost.addEventListener('abort', () => {
      held.delete(lease);
      abandoned.add(id);
    });
    held.add(lease);
    return lease;
  };

  return {
    async acquire(deadline, request) {
      const since = performance.now();
      const id = await createSession(client, deadline);
      abandoned.add(id);
      const path = root + request.key;
      while (!(await lock(client, deadline, lockOperation(path, request.value, id)))) {
        const holder = await holderOf(client, deadline, path);
        if (holder === null) continue;
        if (!abandoned.has(holder.session) && !request.takeOver(holder.value)) {
          await destroySession(client, deadline, id).catch(expectFailure);
          throw heldByOther(request.key, holder.value);
        }
        await destroySession(client, deadline, holder.session);
      }
      abandoned.delete(id);
      return leaseOf(request.key, id, since);
    },
    async close() {
      await Promise.all([...held].map((lease) => lease.release()));
    },
  };
}

async function createSession(client: ConsulClient, deadline: Deadline): Promise<string> {
  const { body } = await client.call(deadline, (api, options) =>
    api.session.create({
      ...options,
      name: 'weft',
      ttl: `${sessionTtlMs / 1_000}s`,
      behavior: 'release',
      lockdelay: '0s',
      checks: [],
    }),
  );
  if (typeof body?.ID !== 'string') throw new ConsulFailure('uncertain', 'the answer to a new session has no id');
  return body.ID;
}

async function destroySession(client: ConsulClient, deadline: Deadline, id: string): Promise<void> {
  await client.call(deadline, (api, options) => api.session.destroy({ ...options, id }));
}

/** False when another session has the key. */
async function lock(
  client: ConsulClient,
  deadline: Deadline,
  operation: ReturnType<typeof lockOperation>,
): Promise<boolean> {
  try {
    await client.call(deadline, (api, options) => api.transaction.create([operation], options));
    return true;
  } catch (error) {
    if (error instanceof ConsulFailure && error.errors.some(({ What }) => What.includes('already held'))) return false;
    throw error;
  }
}

async function holderOf(
  client: ConsulClient,
  deadline: Deadline,
  key: string,
): Promise<{ readonly session: string; readonly value: Uint8Array } | null> {
  const { body } = await client.call<ConsulPair>(deadline, (api, options) =>
    api.kv.get({ ...options, key, buffer: true }),
  );
  if (body?.Session === undefined) return null;
  return { session: body.Session, value: body.Value ?? new Uint8Array() };
}

/** A session that cannot be destroyed now ends by its TTL. */
function expectFailure(error: unknown): void {
  if (!(error instanceof ConsulFailure)) throw error;
}

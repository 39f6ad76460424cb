/**
 * Keeps a Consul session alive and knows when it may be gone.
 *
 *   keep   renew every TTL/3, sooner after a failure
 *   lost   no renewal for a TTL by the monotonic clock, or Consul no longer knows the session
 *
 * The server lets a session live up to twice its TTL, so it is always this side that gives up first.
 */

import { ConsulFailure } from './consul-client.ts';
import { pause } from './deadline.ts';

export interface Session {
  readonly id: string;
  readonly lost: AbortSignal;
  /** Renews no more. */
  stop(): Promise<void>;
}

/** Implementation: between attempts to renew once one has failed. */
const retryMs = 1_000;

export interface SessionSettings {
  readonly id: string;
  readonly ttlMs: number;
  /** When the session was asked for, by performance.now(). */
  readonly since: number;
  /** @throws ConsulFailure of kind 'missing' when Consul does not know the session */
  renew(signal: AbortSignal): Promise<void>;
}

export function keepSession({ id, ttlMs, since, renew }: SessionSettings): Session {
  const stopping = new AbortController();
  const lost = new AbortController();
  const lose = (why: string) => {
    stopping.abort();
    lost.abort(new Error(`session ${id} is lost: ${why}`));
  };
  const expireAfter = (start: number) =>
    setTimeout(() => lose(`no renewal for ${ttlMs} ms`), Math.max(0, start + ttlMs - performance.now()));
  let timer = expireAfter(since);

  /** How long to wait for the next one. */
  const attempt = async (): Promise<number> => {
    const startedAt = performance.now();
    try {
      await renew(stopping.signal);
    } catch (error) {
      if (error instanceof ConsulFailure && error.kind === 'missing') lose('Consul no longer knows it');
      return Math.min(retryMs, ttlMs / 3) * (0.5 + Math.random());
    }
    clearTimeout(timer);
    timer = expireAfter(startedAt);
    return ttlMs / 3;
  };
  const keep = async (): Promise<void> => {
    let waitMs = ttlMs / 3;
    while (!stopping.signal.aborted) {
      await pause(waitMs, stopping.signal);
      if (!stopping.signal.aborted) waitMs = await attempt();
    }
    clearTimeout(timer);
  };
  const keeping = keep();

  return {
    id,
    lost: lost.signal,
    async stop() {
      stopping.abort();
      await keeping;
    },
  };
}

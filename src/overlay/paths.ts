/**
 * The paths to all peers' VTEPs: reachability, round trip, and the largest packet each is proven to carry, which the
 * data path then holds packets to (core/forwarding.ts). Looked at when a peer is new, periodically, and soon after a
 * router refused a packet or the kernel took another way.
 *
 * What was proven stays in force until another size is: silence, a peer that is away or a restart take nothing back.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import type { Address } from '../core/address.ts';
import type { ForwardingState } from '../core/forwarding.ts';
import { messageOf } from '../errors.ts';
import type { Log } from '../ports/log.ts';
import type { PathProbe } from '../ports/path-probe.ts';
import { type PathState, searchPath } from './path-search.ts';

export interface Paths {
  stateOf(vtep: Address): PathState;
  /** What the paths are proven to carry, in bytes. */
  mtus(): ReadonlyMap<Address, number>;
  /** Takes over what an earlier process proved. */
  adopt(state: ForwardingState): void;
  /** There is reason to look at a path again, soon. */
  suspect(vtep: Address): void;
  /** Closes the probe as well: what is under way ends at once. */
  close(): Promise<void>;
}

export interface PathSettings {
  readonly probe: PathProbe;
  readonly log: Log;
  readonly intervalMs: number;
  /** MTU of the own underlay device: the first size tried. */
  mtuBytes(): number;
  vteps(): readonly Address[];
  /** Called when a path is proven to carry another size than before. */
  onChange(): void;
}

const unknown: PathState = { state: 'unknown', mtuBytes: null, rttMs: null };
/** Implementation: a new peer is seen this soon, and a suspicion that proves nothing is followed up this often. */
const pauseMs = 1_000;
/** Implementation: first looks are spread over this time for each peer there is, so that a thousand do not start at once. */
const spreadMs = 5;

export function createPaths({ probe, log, intervalMs, mtuBytes, vteps, onChange }: PathSettings): Paths {
  const closing = new AbortController();
  const states = new Map<Address, PathState>();
  const watches = new Map<Address, Watch>();

  const look = async (vtep: Address, namedBytes: number | null, signal: AbortSignal): Promise<void> => {
    const before = states.get(vtep) ?? unknown;
    try {
      const state = await searchPath(probe, vtep, {
        provenBytes: before.mtuBytes,
        deviceBytes: mtuBytes(),
        namedBytes,
      });
      if (signal.aborted) return;
      states.set(vtep, state);
      if (state.mtuBytes === before.mtuBytes) return;
      log.info({ vtep, mtuBytes: state.mtuBytes, beforeBytes: before.mtuBytes }, 'path MTU proven');
      onChange();
    } catch (error) {
      if (!signal.aborted) log.warn({ vtep, problem: messageOf(error) }, 'path not probed');
    }
  };
  const stop = async (vtep: Address, watch: Watch): Promise<void> => {
    watches.delete(vtep);
    states.delete(vtep);
    await watch.stop();
  };
  const meet = (present: ReadonlySet<Address>): void => {
    for (const [vtep, watch] of watches) if (!present.has(vtep)) void stop(vtep, watch);
    for (const vtep of present) {
      if (watches.has(vtep)) continue;
      const delayMs = Math.random() * spreadMs * present.size;
      const watch = startWatch((namedBytes, signal) => look(vtep, namedBytes, signal), { delayMs, intervalMs });
      watches.set(vtep, watch);
    }
  };
  const run = async (): Promise<void> => {
    while (!closing.signal.aborted) {
      meet(new Set(vteps()));
      await rest(pauseMs, closing.signal);
    }
  };
  probe.onRefused((vtep, namedBytes) => watches.get(vtep)?.suspect(namedBytes));
  const running = run();

  return {
    stateOf: (vtep) => states.get(vtep) ?? unknown,
    mtus: () =>
      new Map([...states].flatMap(([vtep, { mtuBytes: proven }]) => (proven === null ? [] : [[vtep, proven]]))),
    adopt(state) {
      for (const entry of state.values()) {
        if (entry.table !== 'path' || states.has(entry.vtep)) continue;
        states.set(entry.vtep, { ...unknown, mtuBytes: entry.mtuBytes });
      }
    },
    suspect: (vtep) => watches.get(vtep)?.suspect(null),
    async close() {
      closing.abort();
      probe.close();
      await running;
      await Promise.all([...watches].map(([vtep, watch]) => stop(vtep, watch)));
    },
  };
}

/** Looks at one path now and then. */
interface Watch {
  /** There is reason to look soon, and perhaps a size to try. */
  suspect(namedBytes: number | null): void;
  stop(): Promise<void>;
}

type Look = (namedBytes: number | null, signal: AbortSignal) => Promise<void>;

function startWatch(look: Look, times: { readonly delayMs: number; readonly intervalMs: number }): Watch {
  const ended = new AbortController();
  let suspicion: { readonly namedBytes: number | null } | null = null;
  let wake: () => void = () => undefined;

  const run = async (): Promise<void> => {
    await rest(times.delayMs, ended.signal);
    while (!ended.signal.aborted) {
      const namedBytes = suspicion?.namedBytes ?? null;
      suspicion = null;
      await look(namedBytes, ended.signal);
      await rest(pauseMs, ended.signal);
      const sooner = new AbortController();
      wake = () => sooner.abort();
      if (suspicion !== null) continue;
      await rest(times.intervalMs * (0.75 + Math.random() / 2), AbortSignal.any([ended.signal, sooner.signal]));
    }
  };
  const running = run();

  return {
    suspect(namedBytes) {
      suspicion = { namedBytes: namedBytes ?? suspicion?.namedBytes ?? null };
      wake();
    },
    async stop() {
      ended.abort();
      await running;
    },
  };
}

async function rest(milliseconds: number, signal: AbortSignal): Promise<void> {
  await sleep(milliseconds, undefined, { signal }).catch(() => undefined);
}

/** Is every peer's VTEP reachable, how fast, and with how large a packet? Probed at join and periodically; report only. */

import { setTimeout as sleep } from 'node:timers/promises';
import type { Address } from '../core/address.ts';
import { messageOf } from '../errors.ts';
import type { Log } from '../ports/log.ts';
import type { PathProbe } from '../ports/path-probe.ts';
import type { PeerReport } from './report.ts';

export type PathState = Pick<PeerReport, 'state' | 'mtuBytes' | 'rttMs'>;

export interface Paths {
  stateOf(vtep: Address): PathState;
  close(): Promise<void>;
}

export interface PathSettings {
  readonly probe: PathProbe;
  readonly log: Log;
  readonly intervalMs: number;
  /** MTU of the own underlay device: the first size tried. */
  readonly mtuBytes: number;
  vteps(): readonly Address[];
}

const unknown: PathState = { state: 'unknown', mtuBytes: null, rttMs: null };
const timeoutMs = 1_000;
/** Implementation: MTUs that occur on real paths, tried from the own one downwards. */
const ladderBytes = [9000, 8950, 1500, 1492, 1480, 1450, 1420, 1400, 1350, 1280, 576, 84] as const;
/** Implementation: a new peer is probed this soon after it is seen. */
const newPeerMs = 1_000;

export function createPaths({ probe, log, intervalMs, mtuBytes, vteps }: PathSettings): Paths {
  const closing = new AbortController();
  const states = new Map<Address, PathState & { readonly dueAt: number }>();
  const sizes = [mtuBytes, ...ladderBytes.filter((size) => size < mtuBytes)];

  const measure = async (vtep: Address): Promise<PathState> => {
    // Reachability first, with a small packet: a black hole for large ones must not look like a dead peer.
    const small = await probe.probe(vtep, sizes.at(-1) ?? mtuBytes, timeoutMs);
    if (small.kind !== 'reply') return { state: 'unreachable', mtuBytes: null, rttMs: null };
    for (const size of sizes) {
      const result = await probe.probe(vtep, size, timeoutMs);
      if (result.kind === 'reply') return { state: 'reachable', mtuBytes: size, rttMs: small.rttMs };
    }
    return { state: 'reachable', mtuBytes: null, rttMs: small.rttMs };
  };
  const round = async (): Promise<void> => {
    const present = new Set(vteps());
    for (const vtep of states.keys()) if (!present.has(vtep)) states.delete(vtep);
    const due = [...present].filter((vtep) => (states.get(vtep)?.dueAt ?? 0) <= performance.now());
    await Promise.all(
      due.map(async (vtep) => {
        const state = await measure(vtep).catch((error) => {
          if (!closing.signal.aborted) log.warn({ vtep, problem: messageOf(error) }, 'path not probed');
          return unknown;
        });
        states.set(vtep, { ...state, dueAt: performance.now() + intervalMs * (0.75 + Math.random() / 2) });
      }),
    );
  };
  const run = async (): Promise<void> => {
    while (!closing.signal.aborted) {
      await round();
      await sleep(newPeerMs, undefined, { signal: closing.signal }).catch(() => undefined);
    }
  };
  const running = run();

  return {
    stateOf: (vtep) => states.get(vtep) ?? unknown,
    async close() {
      closing.abort();
      await running;
    },
  };
}

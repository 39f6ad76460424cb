/**
 * One look at a path: is the VTEP reachable, how fast, and with how large a packet?
 *
 *   1. what was proven before, and one byte more: on a path that stays as it is one echo and a refusal by the own device
 *   2. when none of that is answered, a small packet: a black hole for large ones must not look like a dead peer
 *   3. the sizes in between, several at once, until the answer is known to the byte
 *
 * Silence is believed only after three tries, and silence alone takes nothing away until the old size was tried three
 * times more at the end: a moment of congestion must not narrow a path.
 */

import { type Address, type Family, familyOf } from '../core/address.ts';
import { largestPacketBytes, nextSizes, nothingKnown, type Trial, withTrials } from '../core/path-mtu.ts';
import type { PathProbe } from '../ports/path-probe.ts';
import type { PeerReport } from './report.ts';

export type PathState = Pick<PeerReport, 'state' | 'mtuBytes' | 'rttMs'>;

export interface PathHints {
  /** What was proven before; null: nothing. */
  readonly provenBytes: number | null;
  /** The first size tried on a path that is not known: the MTU of the own underlay device. */
  readonly deviceBytes: number;
  /** What a router has named since. */
  readonly namedBytes: number | null;
}

/** Implementation: three tries, the later ones for slow paths and busy machines. */
const timeoutsMs = [250, 500, 1_000] as const;
/** Implementation: what ping sends. */
const smallBytes = 84;
/** Implementation: more rounds than any search takes: a ladder, then ninths of at most 56,319 bytes. */
const mostRounds = 12;
/**
 * Specification: no IPv6 link is smaller (RFC 8200 section 5). Implementation: of IPv4 neither; where only smaller
 * echoes are answered something filters large ones, and says nothing of the packets that count.
 */
const leastBytes: Readonly<Record<Family, number>> = { ipv4: 576, ipv6: 1280 };

/** @throws what the probe throws: an AbortError once closed, PRIVILEGE_MISSING, KERNEL_FEATURE_MISSING */
export async function searchPath(probe: PathProbe, vtep: Address, hints: PathHints): Promise<PathState> {
  const { provenBytes, deviceBytes, namedBytes } = hints;
  const start = provenBytes ?? deviceBytes;
  let bounds = nothingKnown;
  let rttMs: number | null = null;

  const trial = async (sizeBytes: number): Promise<Trial> => {
    for (const timeoutMs of timeoutsMs) {
      const result = await probe.probe(vtep, sizeBytes, timeoutMs);
      if (result.kind === 'too-big') return { sizeBytes, outcome: 'refused', namedBytes: result.mtuBytes };
      if (result.kind === 'unreachable') break;
      if (result.kind === 'reply') {
        rttMs = Math.min(rttMs ?? result.rttMs, result.rttMs);
        return { sizeBytes, outcome: 'carried' };
      }
    }
    return { sizeBytes, outcome: 'silent' };
  };
  const tryAll = async (sizes: Iterable<number>): Promise<void> => {
    const tried = [...new Set(sizes)].filter((size) => size >= smallBytes && size <= largestPacketBytes);
    bounds = withTrials(bounds, await Promise.all(tried.map(trial)));
  };

  await tryAll([start, start + 1, ...(namedBytes === null ? [] : [namedBytes, namedBytes + 1])]);
  if (bounds.carriedBytes === 0) await tryAll([smallBytes]);
  if (bounds.carriedBytes === 0) return { state: 'unreachable', mtuBytes: provenBytes, rttMs: null };
  for (let round = 0; round < mostRounds; round += 1) {
    const sizes = nextSizes(bounds);
    if (sizes.length === 0) break;
    await tryAll(sizes);
  }
  const { carriedBytes, refusedBytes } = bounds;
  const isDoubtful = carriedBytes < start && refusedBytes > start;
  const isStillCarried = isDoubtful && (await trial(start)).outcome === 'carried';
  const found = isStillCarried ? start : carriedBytes;
  return { state: 'reachable', mtuBytes: found < leastBytes[familyOf(vtep)] ? provenBytes : found, rttMs };
}

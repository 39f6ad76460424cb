/** A second reading of IGMP and MLD reports, independent of the programs': what a frame says of an endpoint's groups. */

import { addressFromBytes } from '../../src/core/address.ts';
import { recordTypes } from './group-frames.ts';

export interface Saying {
  readonly kind: 'join' | 'leave';
  readonly group: string;
}

/** An IGMP or MLD message, cut to what its packet says is its length. */
export interface Message {
  readonly bytes: Uint8Array;
  readonly isIpv6: boolean;
}

const queries = { ipv4: 0x11, ipv6: 130 } as const;
const leaves = [0x17, 132];
const recordLists = [0x22, 143];
const shortestMessage = 8;

/** Null for a frame that carries none, or is shorter than it says. */
export function messageOf(frame: Uint8Array): Message | null {
  const byte = (at: number) => frame[at] ?? 0;
  const isIpv6 = byte(12) === 0x86;
  const options = isIpv6 ? 8 * (byte(55) + 1) : 0;
  const [at, length] = isIpv6 ? [54 + options, 40 + u16(frame, 18)] : [14 + (byte(14) & 15) * 4, u16(frame, 16)];
  const isOne = isIpv6
    ? byte(14) >> 4 === 6 && byte(20) === 0 && byte(21) === 1 && byte(54) === 58
    : byte(14) >= 0x45 && byte(14) <= 0x4f && byte(23) === 2 && (u16(frame, 20) & 0x3fff) === 0;
  return isOne && 14 + length <= frame.length ? { bytes: frame.subarray(at, 14 + length), isIpv6 } : null;
}

/** Whether only a multicast router would send it. */
export function isOfRouter(frame: Uint8Array): boolean {
  const isIpv6 = frame[12] === 0x86;
  const message = messageOf(frame);
  const isPim = frame[isIpv6 ? 20 : 23] === 103;
  return isPim || (message !== null && message.bytes[0] === queries[isIpv6 ? 'ipv6' : 'ipv4']);
}

/** In their order, up to the first that is broken. */
export function sayingsOf({ bytes, isIpv6 }: Message): readonly Saying[] {
  if (bytes.length < shortestMessage) return [];
  if (recordLists.includes(bytes[0] ?? 0)) return recordsOf(bytes, isIpv6 ? 16 : 4).filter(isSnooped);
  const at = isIpv6 ? 8 : 4;
  const width = isIpv6 ? 16 : 4;
  if (at + width > bytes.length) return [];
  const group = addressFromBytes(bytes.subarray(at, at + width));
  return [{ kind: leaves.includes(bytes[0] ?? 0) ? ('leave' as const) : ('join' as const), group }].filter(isSnooped);
}

function recordsOf(bytes: Uint8Array, width: number): readonly Saying[] {
  const sayings: Saying[] = [];
  let at = shortestMessage;
  for (let left = u16(bytes, 6); left > 0 && at + 4 + width <= bytes.length; left -= 1) {
    const sources = u16(bytes, at + 2);
    const next = at + 4 + width * (sources + 1) + (bytes[at + 1] ?? 0) * 4;
    if (next > bytes.length) break;
    const kind = meaningOf(bytes[at] ?? 0, sources);
    if (kind !== null) sayings.push({ kind, group: addressFromBytes(bytes.subarray(at + 4, at + 4 + width)) });
    at = next;
  }
  return sayings;
}

function meaningOf(type: number, sources: number): Saying['kind'] | null {
  const { isInclude, isExclude, toInclude, toExclude, allow } = recordTypes;
  if (type === isExclude || type === toExclude) return 'join';
  if (type === toInclude && sources === 0) return 'leave';
  const isJoin = type === isInclude || type === toInclude || type === allow;
  return isJoin && sources > 0 ? 'join' : null;
}

function isSnooped({ group }: Saying): boolean {
  if (group.includes(':')) return /^ff[0-9a-f]{2}:/.test(group) && !group.startsWith('ff02:');
  const first = Number(group.split('.')[0]);
  return first >= 224 && first < 240 && !group.startsWith('224.0.0.');
}

function u16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
}

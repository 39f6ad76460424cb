/** VXLAN network identifiers (RFC 7348 §5). */

import { overlayError } from '../errors.ts';
import type { Brand } from './brand.ts';

/** 24 bits wide; 0 is reserved here. */
export type Vni = Brand<number, 'Vni'>;

/** Specification: the largest 24-bit value. */
export const maxVni = 0xff_ffff;

/** @throws VNI_OUT_OF_RANGE */
export function parseVni(value: number): Vni {
  if (!Number.isInteger(value) || value < 1 || value > maxVni) throw overlayError('VNI_OUT_OF_RANGE', { value });
  return value as Vni;
}

/** Where VNIs are drawn from when the user names none: 4096 and up, as Docker's own overlay does. */
export const automaticVnis = { first: 4096, last: maxVni } as const;

/** The n-th VNI to try for a network: a walk through the whole range that starts at the network's own hash. */
export function vniCandidate(hash: bigint, attempt: number): Vni {
  const size = BigInt(automaticVnis.last - automaticVnis.first + 1);
  return parseVni(automaticVnis.first + Number((hash + BigInt(attempt)) % size));
}

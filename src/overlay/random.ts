/** Random whole numbers below a bound, for address and subnet choices. */

import { randomBytes } from 'node:crypto';
import type { Random } from '../core/ipam.ts';

/** 128 random bits modulo the bound: the bias is below 2^-64 for any bound that a /64 can have. */
export const randomBelow: Random = (bound) => BigInt(`0x${randomBytes(16).toString('hex')}`) % bound;

/** Ethernet addresses in canonical form: six lower-case pairs joined by colons. */

import { overlayError } from '../errors.ts';
import type { Address } from './address.ts';
import { addressBytes } from './address.ts';
import type { Brand } from './brand.ts';

/** A unicast Ethernet address, never all zeros. */
export type MacAddress = Brand<string, 'MacAddress'>;

const form = /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/;

/** @throws MAC_INVALID for another form, a group address or all zeros */
export function parseMac(text: string): MacAddress {
  const value = text.toLowerCase().replaceAll('-', ':');
  const isGroup = (Number.parseInt(value.slice(0, 2), 16) & 1) === 1;
  if (!form.test(value) || isGroup || value === '00:00:00:00:00:00') throw overlayError('MAC_INVALID', { value: text });
  return value as MacAddress;
}

/**
 * The address of an endpoint whose user gave none: 02:42 and the four bytes of its IPv4 address, as Docker does
 * (moby libnetwork/netutils GenerateMACFromIP); with IPv6 alone, 02:42 and the last four bytes of that.
 */
export function macFromAddress(address: Address): MacAddress {
  return macFromBytes(Uint8Array.of(0x02, 0x42, ...addressBytes(address).slice(-4)));
}

/** Six bytes in network order. */
export function macBytes(mac: MacAddress): Uint8Array {
  return Uint8Array.from(mac.split(':'), (pair) => Number.parseInt(pair, 16));
}

/** @throws MAC_INVALID */
export function macFromBytes(bytes: Uint8Array): MacAddress {
  return parseMac(Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(':'));
}

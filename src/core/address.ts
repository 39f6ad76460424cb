/**
 * IP addresses and subnets of both families in canonical text (RFC 5952 for IPv6). Family is data, never a second
 * copy of a function. Arithmetic is ip-address' BigInt form; parsing is the only way in.
 */

import { Address4, Address6 } from 'ip-address';
import { overlayError } from '../errors.ts';
import type { Brand } from './brand.ts';

export type Family = 'ipv4' | 'ipv6';
/** An IP address without a prefix length: `10.77.0.2`, `fd00:77::2`. */
export type Address = Brand<string, 'Address'>;
/** A network with its prefix length and no host bits: `10.77.0.0/24`. */
export type Subnet = Brand<string, 'Subnet'>;

/** Specification: address width in bits. */
export const widthBits: Readonly<Record<Family, number>> = { ipv4: 32, ipv6: 128 };

/** @throws ADDRESS_INVALID */
export function parseAddress(text: string): Address {
  const parsed = parseText(text);
  if (parsed === null || text.includes('/')) throw invalidAddress(text, 'it is not an IPv4 or IPv6 address');
  return canonical(parsed);
}

/** Takes `address/length` as Docker sends it and returns the address alone. @throws ADDRESS_INVALID */
export function parseInterfaceAddress(text: string): Address {
  const parsed = parseText(text);
  if (parsed === null) throw invalidAddress(text, 'it is not an address with a prefix length');
  return canonical(parsed);
}

/** @throws SUBNET_INVALID when a part is missing or host bits are set */
export function parseSubnet(text: string): Subnet {
  const parsed = parseText(text);
  if (parsed === null || !text.includes('/')) {
    throw overlayError('SUBNET_INVALID', { value: text, problem: 'write it as ADDRESS/LENGTH, such as 10.77.0.0/24' });
  }
  const first = canonical(parsed.startAddress());
  if (first !== canonical(parsed)) {
    throw overlayError('SUBNET_INVALID', {
      value: text,
      problem: `host bits are set; did you mean ${first}/${parsed.subnetMask}?`,
    });
  }
  return `${first}/${parsed.subnetMask}` as Subnet;
}

export function familyOf(value: Address | Subnet): Family {
  return value.includes(':') ? 'ipv6' : 'ipv4';
}

/** 4 or 16 bytes in network order. */
export function addressBytes(address: Address): Uint8Array {
  return toBytes(addressNumber(address), widthBits[familyOf(address)] / 8);
}

/** 16 bytes: IPv4 as ::ffff:a.b.c.d (RFC 4291 §2.5.5.2), the form the data path's maps use. */
export function mappedBytes(address: Address): Uint8Array {
  const bytes = addressBytes(address);
  return bytes.length === 16 ? bytes : Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, ...bytes);
}

/** The inverse of `addressBytes` and `mappedBytes`. @throws ADDRESS_INVALID for another length */
export function addressFromBytes(bytes: Uint8Array): Address {
  const isMapped =
    bytes.length === 16 && bytes.subarray(0, 12).every((byte, index) => byte === (index < 10 ? 0 : 0xff));
  const own = isMapped ? bytes.subarray(12) : bytes;
  if (own.length === 4) return addressFromNumber('ipv4', toNumber(own));
  if (own.length === 16) return addressFromNumber('ipv6', toNumber(own));
  throw invalidAddress(`${bytes.length} bytes`, 'an address has 4 or 16');
}

export function addressNumber(address: Address): bigint {
  return familyOf(address) === 'ipv4' ? new Address4(address).bigInt() : new Address6(address).bigInt();
}

export function addressFromNumber(family: Family, value: bigint): Address {
  return canonical(family === 'ipv4' ? Address4.fromBigInt(value) : Address6.fromBigInt(value));
}

export function prefixLength(subnet: Subnet): number {
  return Number(subnet.slice(subnet.indexOf('/') + 1));
}

/** `address/length` with the subnet's length, the form in which Docker wants an address back. */
export function withPrefix(address: Address, subnet: Subnet): string {
  return `${address}/${prefixLength(subnet)}`;
}

/** First and last number of the subnet, both inside it. */
export function subnetRange(subnet: Subnet): { readonly first: bigint; readonly last: bigint } {
  const first = addressNumber(subnet.slice(0, subnet.indexOf('/')) as Address);
  const size = 1n << BigInt(widthBits[familyOf(subnet)] - prefixLength(subnet));
  return { first, last: first + size - 1n };
}

export function contains(subnet: Subnet, address: Address): boolean {
  if (familyOf(subnet) !== familyOf(address)) return false;
  const { first, last } = subnetRange(subnet);
  const value = addressNumber(address);
  return value >= first && value <= last;
}

export function overlaps(one: Subnet, other: Subnet): boolean {
  if (familyOf(one) !== familyOf(other)) return false;
  const left = subnetRange(one);
  const right = subnetRange(other);
  return left.first <= right.last && right.first <= left.last;
}

/** The subnet of a given length around an address. */
export function subnetAround(address: Address, length: number): Subnet {
  const family = familyOf(address);
  const hostBits = BigInt(widthBits[family] - length);
  return `${addressFromNumber(family, (addressNumber(address) >> hostBits) << hostBits)}/${length}` as Subnet;
}

function parseText(text: string): Address4 | Address6 | null {
  if (Address4.isValid(text)) return new Address4(text);
  return Address6.isValid(text) && !text.includes('%') ? new Address6(text) : null;
}

function canonical(parsed: Address4 | Address6): Address {
  return parsed.correctForm() as Address;
}

function invalidAddress(value: string, problem: string) {
  return overlayError('ADDRESS_INVALID', { value, problem });
}

function toBytes(value: bigint, length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => Number((value >> BigInt(8 * (length - 1 - index))) & 0xffn));
}

function toNumber(bytes: Uint8Array): bigint {
  return bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
}

/**
 * The attribute codec of netlink: type-length-value records, padded to four bytes, some of which hold records in turn
 * (linux/netlink.h `struct nlattr`). Pure; knows no message.
 *
 *      0        2        4             4 + n    aligned
 *      +--------+--------+---------------+--------+
 *      | length | type   | value         | zeros  |     length = 4 + n, without the padding
 *      +--------+--------+---------------+--------+
 *
 * Numbers are in host order, which is little-endian on every machine Weft runs on, except those named `Be`.
 * Encoding composes: `encodeAttributes([u32(4, 1500), nested(18, [text(1, 'veth')])])`. Decoding gives a map from type
 * to bytes (the last of a type wins) that the readers take apart; a reader answers null for what is absent.
 */

import { overlayError } from '../errors.ts';

/** One attribute ready to be sent, header and padding included. */
export type EncodedAttribute = Buffer;
export type Attributes = ReadonlyMap<number, Buffer>;

const headerBytes = 4;
/** NLA_F_NESTED and NLA_F_NET_BYTEORDER are flags in the two top bits of the type. */
const typeMask = 0x3fff;
const nestedFlag = 0x8000;

export function bytes(type: number, value: Uint8Array): EncodedAttribute {
  const encoded = Buffer.alloc(align(headerBytes + value.length));
  encoded.writeUInt16LE(headerBytes + value.length, 0);
  encoded.writeUInt16LE(type, 2);
  encoded.set(value, headerBytes);
  return encoded;
}

export function u8(type: number, value: number): EncodedAttribute {
  return bytes(type, Uint8Array.of(value));
}

export function u16Be(type: number, value: number): EncodedAttribute {
  const number = Buffer.alloc(2);
  number.writeUInt16BE(value);
  return bytes(type, number);
}

export function u32(type: number, value: number): EncodedAttribute {
  const number = Buffer.alloc(4);
  number.writeUInt32LE(value);
  return bytes(type, number);
}

/** A string with its terminating zero. */
export function text(type: number, value: string): EncodedAttribute {
  return bytes(type, Buffer.from(`${value}\0`));
}

/** Attributes inside an attribute; `head` is the fixed record some of them begin with. */
export function nested(
  type: number,
  inner: readonly EncodedAttribute[],
  head: Uint8Array = Buffer.alloc(0),
): EncodedAttribute {
  return bytes(type | nestedFlag, Buffer.concat([head, ...inner]));
}

export function encodeAttributes(attributes: readonly EncodedAttribute[]): Buffer {
  return Buffer.concat(attributes);
}

/** @throws NETLINK_FAILED with errno EBADMSG when a length leads out of the message */
export function decodeAttributes(message: Uint8Array): Attributes {
  const input = Buffer.from(message.buffer, message.byteOffset, message.byteLength);
  const attributes = new Map<number, Buffer>();
  for (let offset = 0; offset + headerBytes <= input.length; ) {
    const length = input.readUInt16LE(offset);
    if (length < headerBytes || offset + length > input.length) throw malformed('attribute length', length);
    attributes.set(input.readUInt16LE(offset + 2) & typeMask, input.subarray(offset + headerBytes, offset + length));
    offset += align(length);
  }
  return attributes;
}

export function readBytes(attributes: Attributes, type: number): Buffer | null {
  return attributes.get(type) ?? null;
}

export function readU8(attributes: Attributes, type: number): number | null {
  return sized(attributes, type, 1)?.readUInt8() ?? null;
}

export function readU16Be(attributes: Attributes, type: number): number | null {
  return sized(attributes, type, 2)?.readUInt16BE() ?? null;
}

export function readU32(attributes: Attributes, type: number): number | null {
  return sized(attributes, type, 4)?.readUInt32LE() ?? null;
}

export function readI32(attributes: Attributes, type: number): number | null {
  return sized(attributes, type, 4)?.readInt32LE() ?? null;
}

export function readText(attributes: Attributes, type: number): string | null {
  const value = attributes.get(type);
  if (value === undefined) return null;
  const end = value.indexOf(0);
  return value.toString('utf8', 0, end === -1 ? value.length : end);
}

/** The attributes inside an attribute; none where it is absent. */
export function readNested(attributes: Attributes, type: number): Attributes {
  return decodeAttributes(attributes.get(type) ?? new Uint8Array(0));
}

function sized(attributes: Attributes, type: number, size: number): Buffer | undefined {
  const value = attributes.get(type);
  if (value !== undefined && value.length < size) throw malformed(`attribute ${type} of length`, value.length);
  return value;
}

function malformed(what: string, length: number) {
  return overlayError('NETLINK_FAILED', { request: `decode ${what} ${length}`, errno: 'EBADMSG' });
}

function align(length: number): number {
  return (length + 3) & ~3;
}

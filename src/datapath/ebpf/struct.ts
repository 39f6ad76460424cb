/**
 * Reading and writing C structs by field name, with sizes and offsets from layout.gen.ts. Numbers are in host order,
 * which is little-endian on every machine Weft runs on, except those named `Be`. Fields that are not written are zero.
 */

import { type Address, addressFromBytes, mappedBytes } from '../../core/address.ts';

export interface Field {
  readonly offset: number;
  readonly size: number;
}

export interface StructLayout {
  readonly size: number;
  readonly fields: Readonly<Record<string, Field>>;
}

/** `Layout['fields']` keeps field names literal, so that a misspelt one does not compile. */
export type FieldName<Layout extends StructLayout> = keyof Layout['fields'] & string;

export interface StructReader<Name extends string> {
  number(field: Name): number;
  numberBe(field: Name): number;
  /** Of a 64-bit count that stays below 2^53. */
  count(field: Name): number;
  bytes(field: Name): Uint8Array;
  /** Null when zero. */
  address(field: Name): Address | null;
}

export interface StructWriter<Name extends string> {
  number(field: Name, value: number): StructWriter<Name>;
  numberBe(field: Name, value: number): StructWriter<Name>;
  bytes(field: Name, value: Uint8Array): StructWriter<Name>;
  address(field: Name, value: Address | null): StructWriter<Name>;
  readonly whole: Uint8Array;
}

export function readStruct<Layout extends StructLayout>(layout: Layout, input: Uint8Array): StructReader<FieldName<Layout>> {
  const whole = Buffer.from(input.buffer, input.byteOffset, input.byteLength);
  const bytes = (field: string) => {
    const { offset, size } = fieldOf(layout, field);
    return whole.subarray(offset, offset + size);
  };
  return {
    number: (field) => bytes(field).readUIntLE(0, fieldOf(layout, field).size),
    numberBe: (field) => bytes(field).readUIntBE(0, fieldOf(layout, field).size),
    count: (field) => Number(bytes(field).readBigUInt64LE()),
    bytes,
    address: (field) => {
      const value = bytes(field);
      return value.every((byte) => byte === 0) ? null : fastAddress(value);
    },
  };
}

export function writeStruct<Layout extends StructLayout>(layout: Layout): StructWriter<FieldName<Layout>> {
  const whole = Buffer.alloc(layout.size);
  const writer: StructWriter<FieldName<Layout>> = {
    whole,
    number: (field, value) => {
      const { offset, size } = fieldOf(layout, field);
      whole.writeUIntLE(value, offset, size);
      return writer;
    },
    numberBe: (field, value) => {
      const { offset, size } = fieldOf(layout, field);
      whole.writeUIntBE(value, offset, size);
      return writer;
    },
    bytes: (field, value) => {
      whole.set(value, fieldOf(layout, field).offset);
      return writer;
    },
    address: (field, value) => (value === null ? writer : writer.bytes(field, mappedBytes(value))),
  };
  return writer;
}

function fieldOf(layout: StructLayout, name: string): Field {
  const field = layout.fields[name];
  if (field === undefined) throw new RangeError(`no field ${name}`);
  return field;
}

/** IPv4 in its mapped form by hand: a full reading of 100,000 rows would take a second through big integers. */
function fastAddress(bytes: Uint8Array): Address {
  const isMapped = bytes[10] === 0xff && bytes[11] === 0xff && bytes.subarray(0, 10).every((byte) => byte === 0);
  return isMapped ? (bytes.subarray(12, 16).join('.') as Address) : addressFromBytes(bytes);
}

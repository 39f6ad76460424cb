import * as assert from 'uvu/assert';
import {
  bytes,
  decodeAttributes,
  encodeAttributes,
  nested,
  readBytes,
  readI32,
  readNested,
  readText,
  readU8,
  readU16Be,
  readU32,
  text,
  u8,
  u16Be,
  u32,
} from '../../../src/netlink/attributes.ts';
import { hasErrno } from '../../../src/netlink/socket.ts';
import { suite } from '../../kit/suite.ts';

const test = suite('netlink/attributes');

test('an attribute is length, type and value, padded with zeros to four bytes', () => {
  assert.is(text(3, 'lo').toString('hex'), '07000300' + '6c6f00' + '00');
  assert.is(u32(4, 1450).toString('hex'), '08000400' + 'aa050000');
  assert.is(u16Be(15, 14789).toString('hex'), '06000f00' + '39c5' + '0000');
  assert.is(u8(7, 1).toString('hex'), '05000700' + '01' + '000000');
});

test('an attribute that holds others bears the nested flag and, where it has one, its head first', () => {
  const encoded = nested(18, [text(1, 'veth')], Uint8Array.of(1, 2, 3, 4));

  assert.is(encoded.toString('hex'), '14001280' + '01020304' + '09000100' + '7665746800' + '000000');
});

test('every kind of value comes back as it was sent', () => {
  const decoded = decodeAttributes(
    encodeAttributes([
      u8(1, 255),
      u16Be(2, 0xabcd),
      u32(3, 0xffff_ffff),
      text(4, 'wft0'),
      bytes(5, Uint8Array.of(9, 8, 7)),
      nested(6, [u32(1, 7), nested(2, [text(1, 'inner')])]),
    ]),
  );

  assert.is(readU8(decoded, 1), 255);
  assert.is(readU16Be(decoded, 2), 0xabcd);
  assert.is(readU32(decoded, 3), 0xffff_ffff);
  assert.is(readI32(decoded, 3), -1);
  assert.is(readText(decoded, 4), 'wft0');
  assert.equal([...(readBytes(decoded, 5) ?? [])], [9, 8, 7]);
  assert.is(readU32(readNested(decoded, 6), 1), 7);
  assert.is(readText(readNested(readNested(decoded, 6), 2), 1), 'inner');
});

test('values of every length from 0 to 300 survive between neighbours', () => {
  for (let length = 0; length <= 300; length += 1) {
    const value = Uint8Array.from({ length }, (_, index) => (index * 7 + length) & 0xff);

    const decoded = decodeAttributes(encodeAttributes([u32(1, length), bytes(2, value), u32(3, ~length >>> 0)]));

    assert.is(readU32(decoded, 1), length);
    assert.equal([...(readBytes(decoded, 2) ?? [])], [...value]);
    assert.is(readU32(decoded, 3), ~length >>> 0);
  }
});

test('what is absent reads as null, and holds nothing', () => {
  const none = decodeAttributes(new Uint8Array(0));

  assert.is(readU8(none, 1), null);
  assert.is(readU32(none, 1), null);
  assert.is(readText(none, 1), null);
  assert.is(readBytes(none, 1), null);
  assert.is(readNested(none, 1).size, 0);
});

test('a string without its zero is read to its end', () => {
  assert.is(readText(decodeAttributes(bytes(1, Buffer.from('veth'))), 1), 'veth');
});

test('a length that leads out of the message, or is none, is refused', () => {
  const isMalformed = (error: unknown) => hasErrno(error, 'EBADMSG');

  assert.throws(() => decodeAttributes(Buffer.from('08000100aabb', 'hex')), isMalformed);
  assert.throws(() => decodeAttributes(Buffer.from('03000100', 'hex')), isMalformed);
  assert.throws(() => readU32(decodeAttributes(u16Be(1, 5)), 1), isMalformed);
});

test.run();

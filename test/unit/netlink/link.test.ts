import * as assert from 'uvu/assert';
import { parseMac } from '../../../src/core/mac.ts';
import {
  bytes,
  decodeAttributes,
  nested,
  readBytes,
  readNested,
  readText,
  readU16Be,
  readU32,
  text,
  u8,
  u16Be,
  u32,
} from '../../../src/netlink/attributes.ts';
import { decodeLink, encodeLink } from '../../../src/netlink/link.ts';
import { encodeVethPair } from '../../../src/netlink/veth.ts';
import { encodeTunnel } from '../../../src/netlink/vxlan.ts';
import { suite } from '../../kit/suite.ts';

const test = suite('netlink/link');

/** `struct ifinfomsg` of a link with this index and these flags. */
function message(index: number, flags: number, ...attributes: Buffer[]) {
  const head = Buffer.alloc(16);
  head.writeInt32LE(index, 4);
  head.writeUInt32LE(flags, 8);
  return { type: 16, payload: Buffer.concat([head, ...attributes]) };
}

test('a veth end in another namespace names its peer and that namespace', () => {
  const link = decodeLink(
    message(
      7,
      0x1043,
      text(3, 'wft0'),
      u32(4, 1450),
      u32(5, 12),
      u32(37, 3),
      u32(10, 4),
      bytes(1, Buffer.from('02420a4d0002', 'hex')),
      nested(18, [text(1, 'veth')]),
    ),
  );

  assert.equal(link, {
    index: 7,
    name: 'wft0',
    kind: 'veth',
    mac: '02:42:0a:4d:00:02',
    mtuBytes: 1450,
    isUp: true,
    isArp: true,
    alias: null,
    peerIndex: 12,
    linkNetnsId: 3,
    master: 4,
    vxlan: null,
    bridgePort: null,
  });
});

test('a vxlan device tells its port and whether its packets carry their metadata', () => {
  const data = nested(2, [u32(1, 0), u16Be(15, 14789), u8(25, 1), u8(7, 0)]);

  const link = decodeLink(message(9, 0, text(3, 'wx'), u32(5, 0), nested(18, [text(1, 'vxlan'), data])));

  assert.equal(link.vxlan, {
    id: 0,
    port: 14789,
    collectMetadata: true,
    learning: false,
    proxy: false,
    local: null,
  });
  assert.is(link.isUp, false);
  assert.is(link.peerIndex, null);
});

test('an address of zeros, of a group, or of another length is no MAC address', () => {
  for (const hex of ['000000000000', '01005e000001', '0a4d0002']) {
    assert.is(decodeLink(message(1, 1, bytes(1, Buffer.from(hex, 'hex')))).mac, null, hex);
  }
  assert.is(decodeLink(message(1, 1)).mac, null);
});

test('only a change of state touches the flags', () => {
  assert.is(encodeLink({}, []).toString('hex'), '00'.repeat(16));
  assert.is(encodeLink({ isUp: true }, []).toString('hex', 8), '01000000' + '01000000');
  assert.is(encodeLink({ isUp: false }, []).toString('hex', 8), '00000000' + '01000000');
});

test('both ends of a veth pair get the MTU, the container end MAC and segment sizes', () => {
  const pair = {
    name: 'a',
    peerName: 'b',
    peerMac: parseMac('02:42:0a:4d:00:02'),
    mtuBytes: 1430,
    gsoMaxBytes: 60_000,
  };

  const own = decodeAttributes(encodeVethPair(pair).subarray(16));
  const info = readNested(own, 18);
  const peerInfo = readBytes(readNested(info, 2), 1) ?? Buffer.alloc(0);
  const peer = decodeAttributes(peerInfo.subarray(16));

  assert.equal([readText(own, 3), readU32(own, 4), readText(info, 1)], ['a', 1430, 'veth']);
  assert.equal([readText(peer, 3), readU32(peer, 4)], ['b', 1430]);
  assert.is(readBytes(peer, 1)?.toString('hex'), '02420a4d0002');
  assert.equal([readU32(peer, 41), readU32(peer, 63)], [60_000, 60_000]);
  assert.equal([readU32(own, 41), readU32(own, 63)], [null, null]);
});

test('a pair without wishes leaves MAC and segment sizes to the kernel', () => {
  const own = decodeAttributes(encodeVethPair({ name: 'a', peerName: 'b', mtuBytes: 1450 }).subarray(16));
  const peerInfo = readBytes(readNested(readNested(own, 18), 2), 1) ?? Buffer.alloc(0);

  assert.equal([...decodeAttributes(peerInfo.subarray(16)).keys()], [3, 4]);
});

test('a tunnel is asked for without an identifier, its port in network order', () => {
  const own = decodeAttributes(encodeTunnel({ name: 'wx', port: 14789, mtuBytes: 9000 }).subarray(16));
  const data = readNested(readNested(own, 18), 2);

  assert.is(readU32(own, 4), 9000);
  assert.is(readU16Be(data, 15), 14789);
  assert.is(readU32(data, 1), null);
});

test.run();

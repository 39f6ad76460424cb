/** Queries byte by byte; that hosts answer them: test/integration/multicast.test.ts. */

import * as assert from 'uvu/assert';
import { queryFrames } from '../../../../src/datapath/ebpf/query.ts';
import { address, bytes, checksum, u16, u32 } from '../../../kit/frame.ts';
import { suite } from '../../../kit/suite.ts';

const test = suite('datapath/ebpf/query');
const [igmp = new Uint8Array(), mld = new Uint8Array()] = queryFrames({ intervalSeconds: 125, responseMs: 1_000 });

test('an IGMPv3 general query comes from 0.0.0.0 with router alert and right checksums', () => {
  assert.equal(igmp.subarray(0, 6), bytes(0x01, 0x00, 0x5e, 0, 0, 1));
  assert.equal(igmp.subarray(12, 18), bytes(0x08, 0x00, 0x46, 0xc0, u16(36)));
  assert.equal(igmp.subarray(22, 24), bytes(1, 2));
  assert.equal(igmp.subarray(26, 38), bytes(u32(0), address('224.0.0.1'), 0x94, 4, 0, 0));
  assert.is(checksum(igmp.subarray(14, 38)), 0);
  assert.is(checksum(igmp.subarray(38)), 0);
  assert.equal(igmp.subarray(38, 40), bytes(0x11, 10));
  assert.equal(igmp.subarray(42), bytes(u32(0), 2, 125, u16(0)));
});

test('an MLDv2 general query comes from the link, behind router alert, with a right checksum', () => {
  assert.equal(mld.subarray(0, 6), bytes(0x33, 0x33, 0, 0, 0, 1));
  assert.equal(mld.subarray(12, 22), bytes(0x86, 0xdd, u32(0x60000000), u16(36), 0, 1));
  assert.equal(mld.subarray(22, 54), bytes(address('fe80::ffff:ffff:ffff:ffff'), address('ff02::1')));
  assert.equal(mld.subarray(54, 62), bytes(58, 0, 5, 2, u16(0), 1, 0));
  const message = mld.subarray(62);
  assert.is(checksum(mld.subarray(22, 54), u32(message.length), u32(58), message), 0);
  assert.equal(message.subarray(0, 2), bytes(130, 0));
  assert.equal(message.subarray(4), bytes(u16(1_000), u16(0), new Uint8Array(16), 2, 125, u16(0)));
});

test.run();

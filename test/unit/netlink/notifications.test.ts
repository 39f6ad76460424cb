import * as assert from 'uvu/assert';
import { addressBytes, parseAddress } from '../../../src/core/address.ts';
import { bytes, text, u32 } from '../../../src/netlink/attributes.ts';
import { decodeChange } from '../../../src/netlink/notifications.ts';
import { suite } from '../../kit/suite.ts';

const test = suite('netlink/notifications');

function linkPayload(family: number): Buffer {
  const head = Buffer.alloc(16);
  head.writeUInt8(family, 0);
  head.writeInt32LE(4, 4);
  return Buffer.concat([head, text(3, 'wft0')]);
}

test('a link that came or went is named', () => {
  const change = { kind: 'link', ifindex: 4, name: 'wft0' };

  assert.equal(decodeChange({ type: 16, payload: linkPayload(0) }), { ...change, isRemoved: false });
  assert.equal(decodeChange({ type: 17, payload: linkPayload(0) }), { ...change, isRemoved: true });
});

test('a port that left its bridge is not a link that went', () => {
  assert.is(decodeChange({ type: 17, payload: linkPayload(7) }), null);
});

test('an address that went is told with its link', () => {
  const own = parseAddress('10.0.0.1');
  const head = Buffer.from([2, 32, 0, 0, 4, 0, 0, 0]);
  const peer = bytes(1, addressBytes(parseAddress('10.0.0.2')));

  const change = decodeChange({ type: 21, payload: Buffer.concat([head, peer, bytes(2, addressBytes(own))]) });

  assert.equal(change, { kind: 'address', ifindex: 4, address: own, isRemoved: true });
});

test('a route is told, unless it is one that follows an address', () => {
  const head = (table: number) => Buffer.from([2, 0, 0, 0, table, 0, 0, 1, 0, 0, 0, 0]);

  const told = decodeChange({ type: 24, payload: Buffer.concat([head(254), u32(4, 3)]) });

  assert.equal(told, { kind: 'route', destination: 'default', family: 'ipv4', table: 254, isRemoved: false });
  assert.is(decodeChange({ type: 24, payload: Buffer.concat([head(255), u32(4, 3)]) }), null);
});

test('messages of other types say nothing', () => {
  assert.is(decodeChange({ type: 28, payload: Buffer.alloc(12) }), null);
});

test.run();

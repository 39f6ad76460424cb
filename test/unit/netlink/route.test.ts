import * as assert from 'uvu/assert';
import { type Address, addressBytes, parseAddress } from '../../../src/core/address.ts';
import { bytes, nested, u32 } from '../../../src/netlink/attributes.ts';
import { decodeChosenRoute, decodeRoute, encodeRouteQuery } from '../../../src/netlink/route.ts';
import { suite } from '../../kit/suite.ts';

const test = suite('netlink/route');

const oneAddress = parseAddress('192.0.2.1');
const gateway = parseAddress('192.0.2.254');

type Head = { family?: number; prefix?: number; table?: number; type?: number; flags?: number };

/** `struct rtmsg`; IPv4, main table, unicast unless said otherwise. */
function message({ family = 2, prefix = 0, table = 254, type = 1, flags = 0 }: Head, ...attributes: Buffer[]) {
  const head = Buffer.alloc(12);
  head.set([family, prefix, 0, 0, table, 0, 0, type]);
  head.writeUInt32LE(flags, 8);
  return { type: 24, payload: Buffer.concat([head, ...attributes]) };
}

function address(type: number, value: Address): Buffer {
  return bytes(type, addressBytes(value));
}

test('a question names family, full length and destination', () => {
  assert.is(encodeRouteQuery(oneAddress).toString('hex'), `0220${'00'.repeat(10)}08000100c0000201`);
  assert.is(encodeRouteQuery(parseAddress('2001:db8::1')).toString('hex', 0, 2), '0a80');
});

test('a chosen route tells device, gateway, source and the MTU learnt', () => {
  const metrics = nested(8, [u32(2, 1380)]);

  const chosen = decodeChosenRoute(message({}, u32(4, 3), address(5, gateway), address(7, oneAddress), metrics));

  assert.equal(chosen, { ifindex: 3, gateway, source: oneAddress, mtuBytes: 1380, isLocal: false });
});

test('a gateway may be of the other family', () => {
  const next = parseAddress('fe80::1');
  const via = bytes(18, Buffer.concat([Uint8Array.of(10, 0), addressBytes(next)]));

  const chosen = decodeChosenRoute(message({}, u32(4, 3), via, address(7, oneAddress)));

  assert.equal(chosen, { ifindex: 3, gateway: next, source: oneAddress, mtuBytes: null, isLocal: false });
});

test('an answer that leads nowhere is the errno IPv4 would have given', () => {
  assert.is(decodeChosenRoute(message({ type: 7 })), 'EHOSTUNREACH');
  assert.is(decodeChosenRoute(message({ type: 8 })), 'EACCES');
  assert.is(decodeChosenRoute(message({ type: 6 })), 'EINVAL');
  assert.is(decodeChosenRoute(message({})), 'ENETUNREACH');
  assert.is(decodeChosenRoute(message({}, u32(4, 3))), 'EADDRNOTAVAIL');
});

test('a route over several next hops shows the first', () => {
  const attributes = address(5, gateway);
  const hop = Buffer.alloc(8);
  hop.writeUInt16LE(8 + attributes.length, 0);
  hop.writeInt32LE(5, 4);
  const second = Buffer.from(hop);
  second.writeInt32LE(6, 4);

  const route = decodeRoute(message({}, bytes(9, Buffer.concat([hop, attributes, second, attributes])), u32(6, 100)));

  assert.equal(route, { destination: 'default', family: 'ipv4', ifindex: 5, gateway, metric: 100, table: 254 });
});

test('a table beyond 255 is read from its attribute', () => {
  const route = decodeRoute(message({ prefix: 32, table: 252 }, address(1, oneAddress), u32(15, 1000), u32(4, 2)));

  assert.is(route?.table, 1000);
  assert.is(route?.destination, '192.0.2.1/32');
});

test('routes of other families, and those cloned for one destination, are passed over', () => {
  assert.is(decodeRoute(message({ family: 28 })), null);
  assert.is(decodeRoute(message({ family: 10, flags: 0x200 })), null);
});

test.run();

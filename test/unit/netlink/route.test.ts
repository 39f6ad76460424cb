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
  assert.is(encodeRouteQuery({ address: oneAddress }).toString('hex'), `0220${'00'.repeat(10)}08000100c0000201`);
  assert.is(encodeRouteQuery({ address: parseAddress('2001:db8::1') }).toString('hex', 0, 2), '0a80');
});

test('a question may name the source, and ask for the entry that matches', () => {
  const query = encodeRouteQuery({ address: gateway, source: oneAddress, flags: 0x2000 });

  assert.is(query.toString('hex'), `022020${'00'.repeat(6)}200000${'08000100c00002fe'}${'08000200c0000201'}`);
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

test('a route has its next hops with their weights, and tells which are dead', () => {
  const attributes = address(5, gateway);
  const hop = (ifindex: number, flags: number, weight: number, more: Buffer) => {
    const head = Buffer.alloc(8);
    head.writeUInt16LE(8 + more.length, 0);
    head.set([flags, weight - 1], 2);
    head.writeInt32LE(ifindex, 4);
    return Buffer.concat([head, more]);
  };
  const multipath = Buffer.concat([
    hop(5, 0, 1, attributes),
    hop(6, 0x10, 3, attributes),
    hop(7, 0x1, 1, Buffer.alloc(0)),
  ]);

  const route = decodeRoute(message({}, bytes(9, multipath), u32(6, 100)));

  const hops = [
    { ifindex: 5, gateway, weight: 1, isDead: false },
    { ifindex: 6, gateway, weight: 3, isDead: true },
    { ifindex: 7, gateway: null, weight: 1, isDead: true },
  ];
  assert.equal(route, { destination: 'default', family: 'ipv4', hops, metric: 100, table: 254 });
});

test('a route with one next hop has just that, and one that leads nowhere has none', () => {
  assert.equal(decodeRoute(message({}, u32(4, 2), address(5, gateway)))?.hops, [
    { ifindex: 2, gateway, weight: 1, isDead: false },
  ]);
  assert.equal(decodeRoute(message({ type: 7 }))?.hops, []);
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

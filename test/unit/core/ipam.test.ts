import * as assert from 'uvu/assert';
import { type Address, contains, overlaps, parseAddress, parseSubnet } from '../../../src/core/address.ts';
import {
  firstUsable,
  freeAddress,
  freeSubnet,
  poolSize,
  randomAddress,
  requireUsable,
} from '../../../src/core/ipam.ts';
import { suite } from '../../kit/suite.ts';

const test = suite('core/ipam');
const pool = parseSubnet('10.77.0.0/24');
const seeded = (start: number) => {
  let state = start;
  return (bound: bigint) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return BigInt(state) % bound;
  };
};

test('network and broadcast address are never given out', () => {
  const random = seeded(1);
  const given = new Set(Array.from({ length: 5_000 }, () => randomAddress(pool, null, random)));
  assert.is(given.size, 254);
  assert.not(given.has(parseAddress('10.77.0.0')));
  assert.not(given.has(parseAddress('10.77.0.255')));
  assert.throws(() => requireUsable(parseAddress('10.77.0.255'), pool), /not a usable/);
  assert.throws(() => requireUsable(parseAddress('10.78.0.1'), pool), /not a usable/);
});

test('a range narrows the choice', () => {
  const range = parseSubnet('10.77.0.128/25');
  assert.is(poolSize(pool, range), 127n);
  assert.ok(contains(range, randomAddress(pool, range, seeded(2))));
});

test('a /31 and a /32 use all they have', () => {
  assert.is(poolSize(parseSubnet('10.77.0.0/31'), null), 2n);
  assert.is(poolSize(parseSubnet('10.77.0.0/32'), null), 1n);
  assert.is(firstUsable(parseSubnet('10.77.0.0/31')), '10.77.0.0');
});

test('the last free address is found, and a full pool says so', () => {
  const small = parseSubnet('10.77.0.0/29');
  const used = new Set<Address>(['10.77.0.1', '10.77.0.2', '10.77.0.3', '10.77.0.5', '10.77.0.6'].map(parseAddress));
  assert.is(freeAddress(small, null, used, seeded(3)), '10.77.0.4');
  used.add(parseAddress('10.77.0.4'));
  assert.is(freeAddress(small, null, used, seeded(3)), null);
});

test('a chosen subnet overlaps nothing that is taken, until none is left', () => {
  const ranges = { range: parseSubnet('10.208.0.0/22'), length: 24 };
  const taken = [parseSubnet('10.208.0.0/24'), parseSubnet('10.208.2.0/23')];
  const subnet = freeSubnet(ranges, taken, seeded(4));
  assert.is(subnet, '10.208.1.0/24');
  if (subnet !== null) assert.not(taken.some((other) => overlaps(subnet, other)));
  assert.is(freeSubnet(ranges, [parseSubnet('10.0.0.0/8')], seeded(5)), null);
  assert.is(
    freeSubnet({ range: parseSubnet('fd77::/48'), length: 64 }, [], () => 5n),
    'fd77:0:0:5::/64',
  );
});

test.run();

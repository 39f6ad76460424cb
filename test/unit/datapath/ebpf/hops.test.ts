import * as assert from 'uvu/assert';
import { parseAddress } from '../../../../src/core/address.ts';
import { slotsOf } from '../../../../src/datapath/ebpf/hops.ts';
import type { NextHop } from '../../../../src/netlink/route.ts';
import { suite } from '../../../kit/suite.ts';

const test = suite('hops');

const gateway = parseAddress('192.0.2.254');
const hop = (ifindex: number, rest: Partial<NextHop> = {}): NextHop => ({
  ...{ ifindex, gateway, weight: 1, isDead: false },
  ...rest,
});
const devices = (...hops: readonly NextHop[]) => slotsOf(hops).map(({ ifindex }) => ifindex);

test('where there is nothing to choose there are no slots', () => {
  assert.equal(slotsOf([]), []);
  assert.equal(slotsOf([hop(1)]), []);
});

test('each hop has as many slots as it weighs', () => {
  assert.equal(slotsOf([hop(1), hop(2, { gateway: null })]), [
    { ifindex: 1, gateway },
    { ifindex: 2, gateway: null },
  ]);
  assert.equal(devices(hop(1, { weight: 3 }), hop(2)), [1, 1, 1, 2]);
});

test('great weights keep their proportion, and nobody is left out', () => {
  const slots = devices(hop(1, { weight: 200 }), hop(2, { weight: 55 }), hop(3));

  const count = (ifindex: number) => slots.filter((each) => each === ifindex).length;
  assert.equal([count(1), count(2), count(3)], [11, 3, 1]);
});

test('the slots of a dead hop go to the others in turn, and those of the others stay', () => {
  const all = [hop(1, { weight: 2 }), hop(2, { weight: 2 }), hop(3)];
  const [first, second, third] = all as [NextHop, NextHop, NextHop];

  assert.equal(devices(first, { ...second, isDead: true }, third), [1, 1, 1, 1, 3]);
  assert.equal(devices({ ...first, isDead: true }, second, third), [2, 2, 2, 2, 3]);
});

test('where all are dead they stay, for the kernel may be early', () => {
  assert.equal(devices(hop(1, { isDead: true }), hop(2, { isDead: true })), [1, 2]);
});

test('of very many hops as many are used as there are slots', () => {
  assert.is(devices(...Array.from({ length: 40 }, (_, index) => hop(index + 1))).length, 16);
});

test.run();

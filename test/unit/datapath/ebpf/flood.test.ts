import * as assert from 'uvu/assert';
import { planSlots } from '../../../../src/datapath/ebpf/flood.ts';
import type { Target } from '../../../../src/datapath/ebpf/records.ts';
import { chanceFrom } from '../../../kit/models.ts';
import { suite } from '../../../kit/suite.ts';

const test = suite('flood');

const local = (ifindex: number): Target => ({ kind: 'local', ifindex });
const remote = (vtepId: number): Target => ({ kind: 'remote', vtepId });

function apply(slots: ReadonlyArray<Target | null>, copies: readonly Target[]): ReadonlyArray<Target | null> | null {
  const plan = planSlots(slots, copies);
  if (plan === null) return null;
  const next = [...slots];
  for (const [position, copy] of plan) next[position] = copy;
  return next;
}

test('locals are put in from the front, remotes from the back', () => {
  const slots = apply([null, null, null, null], [remote(1), local(5), remote(2), local(6)]);

  assert.equal(slots, [local(5), local(6), remote(2), remote(1)]);
});

test('one more copy is one write, and one less as well', () => {
  const slots = [local(5), null, null, remote(1)];

  assert.equal(planSlots(slots, [local(5), local(6), remote(1)]), [[1, local(6)]]);
  assert.equal(planSlots(slots, [remote(1)]), [[0, null]]);
  assert.equal(planSlots(slots, [local(5), remote(1)]), []);
});

test('a full list is told', () => {
  assert.is(planSlots([local(5), remote(1)], [local(5), local(6), remote(1)]), null);
});

test('a free slot among copies of the other kind is not used for this one', () => {
  assert.is(planSlots([local(5), remote(1), null], [local(5), local(6), remote(1)]), null);
  assert.is(planSlots([null, local(5), remote(1)], [local(5), remote(1), remote(2)]), null);
});

test('copies that are listed twice in the kernel end up there once', () => {
  assert.equal(apply([local(5), local(5), null, remote(1)], [local(5), remote(1)]), [local(5), null, null, remote(1)]);
});

test('after any history the list holds exactly the copies, locals first (seed printed on failure)', () => {
  const seed = Date.now() % 1_000_000;
  const chance = chanceFrom(seed);
  let slots: ReadonlyArray<Target | null> = Array.from({ length: 16 }, () => null);
  for (let round = 0; round < 500; round += 1) {
    const copies = [1, 2, 3, 4, 5, 6]
      .filter(() => chance(2) === 0)
      .map((id) => (id % 2 === 0 ? local(id) : remote(id)));
    const next = apply(slots, copies);
    assert.ok(next !== null, `seed ${seed}`);
    slots = next ?? [];
    const held = slots.filter((slot) => slot !== null);
    const names = (list: readonly Target[]) => list.map((copy) => JSON.stringify(copy)).sort();
    assert.equal(names(held), names(copies), `seed ${seed}`);
    assert.ok(slots.findLastIndex((slot) => slot?.kind === 'local') < firstRemote(slots), `seed ${seed}`);
  }
});

function firstRemote(slots: ReadonlyArray<Target | null>): number {
  const position = slots.findIndex((slot) => slot?.kind === 'remote');
  return position === -1 ? slots.length : position;
}

test.run();

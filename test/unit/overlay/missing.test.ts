/** What a look at the engine leads to, as a table and against random histories. */

import * as assert from 'uvu/assert';
import type { EndpointId, NetworkId } from '../../../src/core/identity.ts';
import {
  type Held,
  isOwnEngine,
  type Look,
  type Missing,
  missingIn,
  suspectsOf,
} from '../../../src/overlay/missing.ts';
import { endpointId, networkId } from '../../kit/overlay-node.ts';
import { suite } from '../../kit/suite.ts';

const test = suite('overlay/missing');
const apartMs = 20;
const [b1, b2] = [networkId('b1'), networkId('b2')];
const [e1, e2] = [endpointId('e1'), endpointId('e2')];

const held = (networks: readonly NetworkId[], endpoints: readonly EndpointId[]): Held => ({
  networks: networks.map((id) => ({ id })),
  endpoints: endpoints.map((id) => ({ id, networkId: b1 })),
});
const inventory = (...ids: readonly string[]): Look['inventory'] => ({
  id: 'ONE',
  version: '28',
  swarm: 'inactive',
  networks: new Map(ids.map((id) => [id as NetworkId, { name: id, driver: 'weft', scope: 'local' }])),
  endpoints: new Set(ids as readonly EndpointId[]),
  nodes: [],
  services: [],
});
const all = held([b1, b2], [e1, e2]);

/** Ids of the suspects after these looks. */
function after(...looks: readonly Look[]): readonly string[] {
  let missing: Missing = new Map();
  let suspects: readonly string[] = [];
  for (const look of looks) {
    missing = missingIn(look, missing);
    const { endpoints, networks } = suspectsOf(missing, look, apartMs);
    suspects = [...endpoints.map(({ id }) => id), ...networks];
  }
  return suspects;
}

test('what is missing in two looks far enough apart is suspect', () => {
  const has = inventory(b1, e1);

  assert.equal(after({ atMs: 0, held: all, inventory: has }), []);
  assert.equal(after({ atMs: 0, held: all, inventory: has }, { atMs: 19, held: all, inventory: has }), []);
  assert.equal(after({ atMs: 0, held: all, inventory: has }, { atMs: 20, held: all, inventory: has }), [e2, b2]);
});

test('looks that follow each other closely count from the first of them', () => {
  const looks = [0, 10, 20].map((atMs) => ({ atMs, held: all, inventory: inventory(b1, b2, e1) }));

  assert.equal(after(...looks), [e2]);
});

test('what was there in a look in between begins anew', () => {
  const looks = [
    { atMs: 0, held: all, inventory: inventory(b1, b2, e1) },
    { atMs: 20, held: all, inventory: inventory(b1, b2, e1, e2) },
    { atMs: 40, held: all, inventory: inventory(b1, b2, e1) },
  ];

  assert.equal(after(...looks), []);
});

test('what was not in the journal at the first look is not suspect at the second', () => {
  const before = held([b1], [e1]);

  assert.equal(
    after({ atMs: 0, held: before, inventory: inventory() }, { atMs: 20, held: all, inventory: inventory() }),
    [e1, b1],
  );
});

test('a network that is not listed is kept as long as one of its containers is', () => {
  const looks = [0, 20].map((atMs) => ({ atMs, held: all, inventory: inventory(e1, b2) }));

  assert.equal(after(...looks), [e2]);
});

test('an engine shows to be the own one by an endpoint, or by a network that only one engine can have', () => {
  const swarm = held(['0123456789abcdefghijklmno' as NetworkId], [e1]);

  assert.is(isOwnEngine(all, inventory(b2)), true);
  assert.is(isOwnEngine(all, inventory(e1)), true);
  assert.is(isOwnEngine(swarm, inventory('0123456789abcdefghijklmno')), false);
  assert.is(isOwnEngine(swarm, inventory('0123456789abcdefghijklmno', e1)), true);
  assert.is(isOwnEngine(all, inventory('f'.repeat(64))), false);
  assert.is(isOwnEngine(held([], []), inventory(b1)), false);
});

test('in any history only what has been held and missing all through the last looks is suspect', () => {
  const ids = ['e1', 'e2', 'e3', 'e4'].map(endpointId);
  const random = sequence(20_261_124);
  for (let round = 0; round < 300; round += 1) {
    const looks = Array.from({ length: 2 + Math.floor(random() * 6) }, (_, index) => ({
      atMs: index * 7,
      held: held(
        [],
        ids.filter(() => random() < 0.8),
      ),
      inventory: inventory(...ids.filter(() => random() < 0.3)),
    }));

    const expected = ids.filter((id) => {
      const isMissing = ({ held: { endpoints }, inventory: { endpoints: listed } }: Look) =>
        endpoints.some((each) => each.id === id) && !listed.has(id);
      const first = looks.findLastIndex((look) => !isMissing(look)) + 1;
      return looks.length - 1 - first >= Math.ceil(apartMs / 7);
    });
    assert.equal(after(...looks), expected, `round ${round}`);
  }
});

test.run();

/** Numbers from 0 to 1, the same for the same seed (Lehmer, 48271 mod 2^31-1). */
function sequence(seed: number): () => number {
  let state = seed % 2_147_483_647;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}

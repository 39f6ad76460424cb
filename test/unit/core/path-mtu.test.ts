import * as assert from 'uvu/assert';
import { nextSizes, nothingKnown, type PathBounds, type Trial, withTrials } from '../../../src/core/path-mtu.ts';
import { chanceFrom } from '../../kit/models.ts';
import { suite } from '../../kit/suite.ts';

const test = suite('core/path-mtu');

/** What a path tells of a size. */
type Path = (sizeBytes: number) => Trial;

const blackHole =
  (mtu: number): Path =>
  (sizeBytes) => ({ sizeBytes, outcome: sizeBytes <= mtu ? 'carried' : 'silent' });
const routed =
  (mtu: number): Path =>
  (sizeBytes) =>
    sizeBytes <= mtu ? { sizeBytes, outcome: 'carried' } : { sizeBytes, outcome: 'refused', namedBytes: mtu };
/** The own device refuses without a size, what lies behind it is silent. */
const device =
  (mtu: number, beyond: number): Path =>
  (sizeBytes) =>
    sizeBytes > mtu ? { sizeBytes, outcome: 'refused', namedBytes: null } : blackHole(beyond)(sizeBytes);

function search(path: Path, first: readonly number[]): { readonly found: number; readonly rounds: number } {
  let bounds: PathBounds = withTrials(nothingKnown, first.map(path));
  for (let rounds = 0; ; rounds += 1) {
    const sizes = nextSizes(bounds);
    if (sizes.length === 0) return { found: bounds.carriedBytes, rounds };
    bounds = withTrials(bounds, sizes.map(path));
  }
}

test('a path that is as it was proven takes no search', () => {
  assert.equal(search(device(1500, 1500), [1500, 1501]), { found: 1500, rounds: 0 });
  assert.equal(search(blackHole(1400), [1400, 1401]), { found: 1400, rounds: 0 });
});

test('a size that a router names is tried at once, and settles it', () => {
  assert.equal(search(routed(1400), [1500, 1501]), { found: 1400, rounds: 1 });
});

test('any MTU is found to the byte, with routers that speak, with silent ones and behind a smaller device', () => {
  const chance = chanceFrom(1);
  for (const mtu of [
    84,
    85,
    576,
    1280,
    1300,
    1499,
    8951,
    65_534,
    65_535,
    ...Array.from({ length: 200 }, () => 84 + chance(65_000)),
  ]) {
    for (const path of [blackHole(mtu), routed(mtu), device(Math.max(mtu, 9000), mtu), device(mtu, mtu)]) {
      const { found, rounds } = search(path, [84, 1500, 1501]);
      assert.is(found, mtu);
      assert.ok(rounds <= 8, `${rounds} rounds for ${mtu}`);
    }
  }
});

test('what is answered refutes an earlier refusal', () => {
  const refused = withTrials(nothingKnown, [{ sizeBytes: 1500, outcome: 'refused', namedBytes: 1300 }]);
  const answered = withTrials(refused, [{ sizeBytes: 1500, outcome: 'carried' }]);

  assert.is(answered.carriedBytes, 1500);
  assert.ok(nextSizes(answered).includes(9000));
});

test('a router that names more than it refuses, or less than was answered, leads nowhere and does no harm', () => {
  const lying: Path = (sizeBytes) =>
    sizeBytes <= 1400 ? { sizeBytes, outcome: 'carried' } : { sizeBytes, outcome: 'refused', namedBytes: 9000 };
  assert.is(search(lying, [84, 1500]).found, 1400);
  const low: Path = (sizeBytes) =>
    sizeBytes <= 1400 ? { sizeBytes, outcome: 'carried' } : { sizeBytes, outcome: 'refused', namedBytes: 68 };
  assert.is(search(low, [84, 1500]).found, 1400);
});

test.run();

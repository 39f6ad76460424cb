import * as assert from 'uvu/assert';
import { createHoldDown, distanceMs } from '../../../src/store/hold-down.ts';
import { suite } from '../../kit/suite.ts';

const test = suite('hold-down');

const pace = { shortestMs: 100, longestMs: 5_000, bytesPerSecond: 64 * 1024 };
const waited = async (holdDown: ReturnType<typeof createHoldDown>): Promise<number> => {
  const started = performance.now();
  await holdDown.wait(new AbortController().signal);
  return performance.now() - started;
};

test('the distance grows with the size of a read between its bounds', () => {
  assert.is(distanceMs(pace, 0), 100);
  assert.is(distanceMs(pace, 64 * 1024), 1_000);
  assert.is(distanceMs(pace, 10_000_000), 5_000);
});

test('jitter moves the distance by a quarter to either side', async () => {
  for (const [random, expected] of [
    [0, 75],
    [1, 125],
  ] as const) {
    const holdDown = createHoldDown(pace, () => random);
    holdDown.note(0);

    const time = await waited(holdDown);

    assert.ok(time > expected - 3 && time < expected + 100, `${time} ms`);
  }
});

test('before the first read and after a quiet time nothing is held down', async () => {
  const holdDown = createHoldDown({ ...pace, shortestMs: 20 });
  assert.ok((await waited(holdDown)) < 10);

  holdDown.note(0);
  await new Promise((resolve) => setTimeout(resolve, 30));

  assert.ok((await waited(holdDown)) < 10);
});

test('an abort ends the wait', async () => {
  const holdDown = createHoldDown({ ...pace, shortestMs: 5_000 });
  holdDown.note(0);
  const started = performance.now();

  await holdDown.wait(AbortSignal.timeout(20));

  assert.ok(performance.now() - started < 1_000);
});

test.run();

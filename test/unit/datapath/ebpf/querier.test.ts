import * as assert from 'uvu/assert';
import { startQuerier } from '../../../../src/datapath/ebpf/querier.ts';
import { suite } from '../../../kit/suite.ts';

const test = suite('datapath/ebpf/querier');
const intervalMs = 5;

/** Runs rounds until so many were asked; `fails` says which attempts to ask fail. */
async function rounds(count: number, fails: (attempt: number) => boolean) {
  const expired: bigint[] = [];
  const asked: bigint[] = [];
  let attempts = 0;
  let failures = 0;
  // The querier by itself keeps no process alive.
  const alive = setInterval(() => undefined, 1_000);
  await new Promise<void>((resolve) => {
    const querier = startQuerier(
      {
        ask: async () => {
          attempts += 1;
          if (fails(attempts)) throw new Error('not now');
          asked.push(process.hrtime.bigint());
          if (asked.length === count) void querier.stop().then(resolve);
        },
        expire: async (before) => void expired.push(before),
        failed: () => {
          failures += 1;
        },
      },
      intervalMs,
    );
  });
  clearInterval(alive);
  return { expired, asked, failures };
}

test('what two rounds of questions brought no answer for is forgotten, and nothing before', async () => {
  const { expired, asked, failures } = await rounds(5, () => false);

  assert.equal(expired.slice(0, 2), [0n, 0n]);
  for (const [round, before] of expired.slice(2).entries()) {
    assert.ok(before > 0n && before <= (asked[round] ?? 0n), `round ${round + 2}`);
    assert.ok(round === 0 || before > (asked[round - 1] ?? 0n));
  }
  assert.is(failures, 0);
});

test('a round that could not ask is none', async () => {
  const { expired, failures } = await rounds(2, (attempt) => attempt % 2 === 0);

  assert.is(failures, 1);
  assert.equal(expired, [0n, 0n, 0n]);
});

test.run();

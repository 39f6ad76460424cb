import { setTimeout as sleep } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import { ConsulFailure } from '../../../src/store/consul-client.ts';
import { keepSession } from '../../../src/store/consul-session.ts';
import { suite } from '../../kit/suite.ts';

const test = suite('consul session');

const ttlMs = 150;
const start = (renew: (signal: AbortSignal) => Promise<void>, since = performance.now()) =>
  keepSession({ id: 's', ttlMs, since, renew });

test('a session that is renewed is not lost, and is renewed three times in its time to live', async () => {
  let renewals = 0;
  const session = start(async () => {
    renewals += 1;
  });

  await sleep(3 * ttlMs);

  assert.not(session.lost.aborted);
  assert.ok(renewals >= 5 && renewals <= 9, `${renewals} renewals`);
  await session.stop();
});

test('a session that cannot be renewed is lost when its time to live is over, not before', async () => {
  const session = start(async () => Promise.reject(new ConsulFailure('unsent', 'ECONNREFUSED')));

  await sleep(ttlMs * 0.7);
  const isLostEarly = session.lost.aborted;
  await sleep(ttlMs * 0.6);

  assert.not(isLostEarly);
  assert.ok(session.lost.aborted);
  await session.stop();
});

test('the time to live counts from when the session was asked for', async () => {
  const session = start(async () => Promise.reject(new ConsulFailure('unsent', 'x')), performance.now() - 2 * ttlMs);

  await sleep(20);

  assert.ok(session.lost.aborted);
  await session.stop();
});

test('a renewal that hangs does not keep a session from being lost', async () => {
  const session = start(
    (signal) => new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
  );

  await sleep(ttlMs + 50);

  assert.ok(session.lost.aborted);
  await session.stop();
});

test('a session that Consul does not know is lost at once', async () => {
  const session = start(async () => Promise.reject(new ConsulFailure('missing', 'HTTP 404')));

  await sleep(ttlMs / 3 + 40);

  assert.ok(session.lost.aborted);
  await session.stop();
});

test('one failed renewal is made good by the next', async () => {
  let attempts = 0;
  const session = start(async () => {
    attempts += 1;
    if (attempts % 2 === 1) throw new ConsulFailure('uncertain', 'ECONNRESET');
  });

  await sleep(3 * ttlMs);

  assert.not(session.lost.aborted);
  await session.stop();
});

test('a session that is stopped is renewed no more and not lost', async () => {
  let renewals = 0;
  const session = start(async () => {
    renewals += 1;
  });

  await session.stop();
  await sleep(2 * ttlMs);

  assert.is(renewals, 0);
  assert.not(session.lost.aborted);
});

test.run();

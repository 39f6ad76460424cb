import * as assert from 'uvu/assert';
import { isOverlayError, overlayError } from '../../../src/errors.ts';
import type { Overlay } from '../../../src/overlay/overlay.ts';
import { standBy } from '../../../src/overlay/standby.ts';
import type { Log } from '../../../src/ports/log.ts';
import { createMemoryStore } from '../../../src/store/memory.ts';
import { eventually, networkId, networkRequest, startOverlayNode } from '../../kit/overlay-node.ts';
import { suite } from '../../kit/suite.ts';

const test = suite('standing by for the store');

const silent: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const node = { id: '0000000000000001', name: 'node-1', vtep: '10.10.1.2', port: 14789, epoch: 0 };
const waiting = { node, version: 'test', storeKind: 'consul' };
const away = () => overlayError('STORE_UNREACHABLE', { store: 'consul://10.0.0.1:8500', problem: 'ECONNREFUSED' });

/** Fails as often as there are errors, then opens a real overlay over a memory store. */
function opening(...errors: Error[]): { readonly open: () => Promise<Overlay>; tries(): number } {
  let tries = 0;
  const open = async (): Promise<Overlay> => {
    tries += 1;
    const error = errors.shift();
    if (error !== undefined) throw error;
    return startOverlayNode(createMemoryStore(), 1);
  };
  return { open, tries: () => tries };
}

test('a store that answers at once makes no difference', async () => {
  const { open, tries } = opening();
  const overlay = await standBy(open, waiting, silent);

  await overlay.verbs.createNetwork(networkRequest('b1'));
  assert.is((await overlay.reports.status()).networks.length, 1);
  assert.is(tries(), 1);
  await overlay.close();
});

test('while the store is away verbs are refused with the reason, and status says it', async () => {
  const overlay = await standBy(opening(...Array.from({ length: 50 }, away)).open, waiting, silent);

  for (const call of [
    () => overlay.verbs.createNetwork(networkRequest('b1')),
    () => overlay.verbs.deleteNetwork(networkId('b1')),
    () => overlay.reports.networks(),
  ]) {
    const refusal = await call().catch((error: unknown) => error);
    assert.ok(isOverlayError(refusal, 'STORE_UNREACHABLE'));
    assert.match(String(refusal), 'try again when it is back');
  }
  const status = await overlay.reports.status();
  assert.equal([status.node, status.store.kind, status.store.state], [node, 'consul', 'down']);
  assert.match(status.problems[0] ?? '', 'consul://10.0.0.1:8500 cannot be reached: ECONNREFUSED');
  assert.equal(await overlay.reports.counters(), {});
  await overlay.close();
});

test('when the store answers the node joins by itself', async () => {
  const { open, tries } = opening(away(), away());
  const overlay = await standBy(open, waiting, silent);

  await eventually(async () => assert.is((await overlay.reports.status()).store.state, 'live'), 10_000);
  await overlay.verbs.createNetwork(networkRequest('b1'));

  assert.is((await overlay.reports.networks()).length, 1);
  assert.is(tries(), 3);
  await overlay.close();
});

test('another reason than an absent store ends the start, also when it shows later', async () => {
  const denied = () => overlayError('STORE_DENIED', { store: 'consul', key: 'weft/v1/_', prefix: 'weft/v1/' });
  const atOnce = await standBy(opening(denied()).open, waiting, silent).catch((error: unknown) => error);
  assert.ok(isOverlayError(atOnce, 'STORE_DENIED'));

  const later = await standBy(opening(away(), denied()).open, waiting, silent);
  assert.ok(isOverlayError(await later.failed.catch((error: unknown) => error), 'STORE_DENIED'));
  await later.close();
});

test('a daemon that is ended while it waits ends at once', async () => {
  const { open, tries } = opening(...Array.from({ length: 50 }, away));
  const overlay = await standBy(open, waiting, silent);
  await overlay.close();
  const before = tries();

  await new Promise((resolve) => setTimeout(resolve, 700));
  assert.is(tries(), before);
});

test.run();

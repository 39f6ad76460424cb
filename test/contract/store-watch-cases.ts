/** The store contract, second part: watches and leases. */

import { setTimeout as sleep } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import type { Store } from '../../src/ports/store.ts';
import { suite } from '../kit/suite.ts';
import { contents, failureOf, observe, put, type Stage } from './store-stage.ts';
import { bytes, text } from './store-work.ts';

export function runWatchContract(name: string, prepare: () => Promise<Stage>): void {
  const play: Play = { stage: null, store: null, test: suite(`watches and leases of the ${name} store`) };
  play.test.before(async () => {
    play.stage = await prepare();
    play.store = await play.stage.open();
  });
  play.test.after(async () => {
    await play.store?.close();
    await play.stage?.close();
  });
  watches(play);
  anchors(play);
  leases(play);
  takeovers(play);
  play.test.run();
}

interface Play {
  stage: Stage | null;
  store: Store | null;
  readonly test: ReturnType<typeof suite>;
}

const setOf = ({ stage, store }: Play): { readonly stage: Stage; readonly store: Store } => {
  if (stage === null || store === null) throw new Error('the stage is not set');
  return { stage, store };
};

function watches(play: Play): void {
  const { test } = play;
  test('a watch begins with the present state, without the anchor, and shows changes and deletions', async () => {
    const { store } = setOf(play);
    await put(store, 'watch/_', '');
    await put(store, 'watch/a', 'one');
    const watch = observe(store, 'watch/');

    const first = await watch.next();
    await put(store, 'watch/b', 'two');
    const added = await watch.until((state) => state.has('watch/b'));
    await store.commit([{ kind: 'delete', key: 'watch/a', expect: 'any' }]);
    const removed = await watch.until((state) => !state.has('watch/a'));

    assert.equal(first.kind === 'snapshot' && contents(first.entries), new Map([['watch/a', 'one']]));
    assert.equal(
      [...contents(added)],
      [
        ['watch/a', 'one'],
        ['watch/b', 'two'],
      ],
    );
    assert.equal([...contents(removed)], [['watch/b', 'two']]);
    await watch.end();
  });

  test('a watch sees what another client writes, soon after a quiet time', async () => {
    const { stage, store } = setOf(play);
    const other = await stage.open();
    await put(store, 'other/_', '');
    const watch = observe(store, 'other/');
    await watch.next();
    await sleep(500);

    const started = performance.now();
    await put(other, 'other/a', 'x');
    await watch.until((state) => state.has('other/a'), 1_000);

    assert.ok(performance.now() - started < 500);
    await watch.end();
    await other.close();
  });

  test('a burst of two hundred writes is few events, and the last state arrives', async () => {
    const { store } = setOf(play);
    await put(store, 'burst/_', '');
    const watch = observe(store, 'burst/');
    await watch.next();

    for (let count = 1; count <= 200; count += 1) await put(store, 'burst/a', String(count));
    await watch.until((state) => state.get('burst/a') === '200');

    assert.ok(watch.count() < 100, `${watch.count()} events`);
    await watch.end();
  });

  test('what changes outside the prefix, or rewrites the anchor alone, is no event', async () => {
    const { store } = setOf(play);
    await put(store, 'quiet/_', '');
    const watch = observe(store, 'quiet/');
    await watch.next();

    await put(store, 'quiet-not/a', 'x');
    await put(store, 'quiet/_', 'again');
    await sleep(1_300);

    assert.is(watch.count(), 1);
    await watch.end();
  });

  test('two watches of one prefix both see every state', async () => {
    const { store } = setOf(play);
    await put(store, 'twice/_', '');
    const watches = [observe(store, 'twice/'), observe(store, 'twice/')];

    await put(store, 'twice/a', 'x');

    for (const watch of watches) await watch.until((state) => state.get('twice/a') === 'x');
    for (const watch of watches) await watch.end();
  });
}

function anchors(play: Play): void {
  const { test } = play;
  test('a prefix without an anchor is a lost watch, said once, and a snapshot follows when the anchor comes', async () => {
    const { store } = setOf(play);
    await put(store, 'anchor/a', 'x');
    const watch = observe(store, 'anchor/');

    const lost = await watch.next();
    await sleep(1_000);
    const saidSinceThen = watch.count();
    await put(store, 'anchor/_', '');
    const seen = await watch.next();

    assert.is(lost.kind === 'lost' && 'code' in lost.error && lost.error.code, 'STORE_ANCHOR_MISSING');
    assert.is(saidSinceThen, 1);
    assert.equal(seen.kind === 'snapshot' && contents(seen.entries), new Map([['anchor/a', 'x']]));
    await watch.end();
  });

  test('a prefix that is emptied, anchor and all, is a lost watch and never an empty state', async () => {
    const { store } = setOf(play);
    await put(store, 'wiped/_', '');
    await put(store, 'wiped/a', 'x');
    const watch = observe(store, 'wiped/');
    await watch.next();

    await store.commit([
      { kind: 'delete', key: 'wiped/_', expect: 'any' },
      { kind: 'delete', key: 'wiped/a', expect: 'any' },
    ]);
    const event = await watch.next();

    assert.is(event.kind === 'lost' && 'code' in event.error && event.error.code, 'STORE_ANCHOR_MISSING');
    await watch.end();
  });
}

function leases(play: Play): void {
  const { test } = play;
  test('a lease writes its value, and a second holder is refused with the value of the first', async () => {
    const { stage, store } = setOf(play);
    const other = await stage.open();
    const lease = await store.lease('lease/one', bytes('holder one'));

    const refused = await failureOf(other.lease('lease/one', bytes('holder two')));
    const again = await failureOf(store.lease('lease/one', bytes('holder one, again')));

    assert.is(refused.code, 'NODE_ID_IN_USE');
    assert.match(refused.message, 'holder one');
    assert.is(again.code, 'NODE_ID_IN_USE');
    assert.is(text((await store.get(['lease/one'])).get('lease/one')?.value), 'holder one');
    await lease.release();
    await other.close();
  });

  test('a lease that is released is free at once, and its key stays', async () => {
    const { stage, store } = setOf(play);
    const other = await stage.open();
    const lease = await store.lease('lease/two', bytes('first'));

    await lease.release();
    const left = contents(await store.list('lease/'));
    const next = await other.lease('lease/two', bytes('second'));

    assert.is(left.get('lease/two'), 'first');
    assert.is(text((await store.get(['lease/two'])).get('lease/two')?.value), 'second');
    await next.release();
    await other.close();
  });

  test('an entry says whether a lease on its key is held, to the one who reads it alone, with others or by prefix', async () => {
    const { stage, store } = setOf(play);
    const other = await stage.open();
    const lease = await other.lease('held/one', bytes('holder'));
    await put(store, 'held/two', 'nobody');
    const seen = async () => {
      const alone = (await store.get(['held/one'])).get('held/one')?.isHeld;
      const together = await store.get(['held/one', 'held/two']);
      const listed = (await store.list('held/')).map(({ isHeld }) => isHeld);
      return [alone, together.get('held/one')?.isHeld, together.get('held/two')?.isHeld, ...listed];
    };

    assert.equal(await seen(), [true, true, false, true, false]);
    await lease.release();
    assert.equal(await seen(), [false, false, false, false, false]);
    await other.close();
  });

  test('a store that is closed gives its leases up', async () => {
    const { stage, store } = setOf(play);
    const other = await stage.open();
    await other.lease('lease/three', bytes('first'));

    await other.close();

    await (await store.lease('lease/three', bytes('second'))).release();
  });

  test('a fenced transaction is done while the lease is held, and its key can be written', async () => {
    const { store } = setOf(play);
    const lease = await store.lease('lease/four', bytes('me'));
    const fenced = (value: string) =>
      store.commit([
        { kind: 'fence', lease },
        { kind: 'put', key: 'lease/four', value: bytes(value), expect: 'any' },
        { kind: 'put', key: 'fenced/a', value: bytes(value), expect: 'any' },
      ]);

    const held = await fenced('while held');
    const refused = await failureOf(store.lease('lease/four', bytes('another')));
    await lease.release();
    const released = await fenced('after release');

    assert.ok(held.committed);
    assert.is(refused.code, 'NODE_ID_IN_USE');
    assert.equal(released, { committed: false, conflicts: [] });
    assert.is(text((await store.get(['fenced/a'])).get('fenced/a')?.value), 'while held');
  });
}

function takeovers(play: Play): void {
  const { test } = play;
  test('a holder that is recognised is replaced at once: its fence fails and it is told', async () => {
    const { stage, store } = setOf(play);
    const other = await stage.open();
    const lease = await other.lease('take/one', bytes('my former self'));
    const asked: string[] = [];

    const next = await store.lease('take/one', bytes('myself'), undefined, (holder) => {
      asked.push(text(holder));
      return true;
    });
    const zombie = await other.commit([
      { kind: 'fence', lease },
      { kind: 'put', key: 'take/written', value: bytes('by a zombie'), expect: 'any' },
    ]);

    assert.equal(asked, ['my former self']);
    assert.equal(zombie, { committed: false, conflicts: [] });
    assert.is((await store.get(['take/written'])).size, 0);
    await next.release();
    await other.close();
  });

  test('a holder that is not recognised keeps its lease', async () => {
    const { stage, store } = setOf(play);
    const other = await stage.open();
    const lease = await other.lease('take/two', bytes('somebody'));

    const refused = await failureOf(store.lease('take/two', bytes('me'), undefined, () => false));
    const fenced = await other.commit([{ kind: 'fence', lease }]);

    assert.is(refused.code, 'NODE_ID_IN_USE');
    assert.ok(fenced.committed);
    await other.close();
  });

  test('a process that is killed gives its lease up: at once to who recognises it', async () => {
    const { stage, store } = setOf(play);
    const worker = stage.employ({ kind: 'hold', key: 'take/three', value: 'killed' });
    assert.is(await worker.line, 'held');
    assert.is((await failureOf(store.lease('take/three', bytes('early')))).code, 'NODE_ID_IN_USE');

    await worker.kill();
    const lease = await store.lease('take/three', bytes('next'), undefined, (holder) => text(holder) === 'killed');

    assert.not(lease.lost.aborted);
    await lease.release();
  });
}

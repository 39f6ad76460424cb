/** The store contract: what every adapter must do alike (src/ports/store.ts). */

import { setTimeout as sleep } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import type { Store, StoreOperation } from '../../src/ports/store.ts';
import { suite } from '../kit/suite.ts';
import { contents, failureOf, observe, put, type Stage } from './store-stage.ts';
import { bytes, text } from './store-work.ts';

/** Declares and runs the suite for one kind of store. */
export function runStoreContract(name: string, prepare: () => Promise<Stage>): void {
  const play: Play = { stage: null, store: null, test: suite(`${name} store`) };
  play.test.before(async () => {
    play.stage = await prepare();
    play.store = await play.stage.open();
  });
  play.test.after(async () => {
    await play.store?.close();
    await play.stage?.close();
  });
  reads(play);
  transactions(play);
  limits(play);
  aborts(play);
  contention(play);
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

function reads(play: Play): void {
  const { test } = play;
  test('a key that was put is read back with its revision, and a missing one is missing', async () => {
    const { store } = setOf(play);
    const revision = await put(store, 'read/one', 'first');

    const found = await store.get(['read/one', 'read/none', 'read/nothing']);

    assert.equal([...found.keys()], ['read/one']);
    assert.equal(text(found.get('read/one')?.value), 'first');
    assert.is(found.get('read/one')?.revision, revision);
    assert.is((await store.get(['read/none'])).size, 0);
    assert.is((await store.get([])).size, 0);
  });

  test('bytes and emptiness come back as they were', async () => {
    const { store } = setOf(play);
    const value = Uint8Array.from({ length: 256 }, (_, index) => index);
    await store.commit([
      { kind: 'put', key: 'bytes/all', value, expect: 0 },
      { kind: 'put', key: 'bytes/none', value: new Uint8Array(), expect: 0 },
    ]);

    const found = await store.get(['bytes/all', 'bytes/none']);

    assert.equal([...(found.get('bytes/all')?.value ?? [])], [...value]);
    assert.is(found.get('bytes/none')?.value.length, 0);
    assert.is((await store.get(['bytes/none'])).get('bytes/none')?.value.length, 0);
  });

  test('a list is everything under the prefix in key order, anchors included, and nothing else', async () => {
    const { store } = setOf(play);
    for (const key of ['list/b', 'list/_', 'list/a/c', 'list/a', 'list-b/x', 'lis/x']) await put(store, key, key);

    const keys = (await store.list('list/')).map((entry) => entry.key);

    assert.equal(keys, ['list/_', 'list/a', 'list/a/c', 'list/b']);
    assert.equal(await store.list('list/none/'), []);
  });

  test('more keys are read at once than fit one request', async () => {
    const { store } = setOf(play);
    const keys = Array.from({ length: 150 }, (_, index) => `many/${index}`);
    for (let start = 0; start < keys.length; start += 50) {
      const puts = keys.slice(start, start + 50);
      await store.commit(puts.map((key) => ({ kind: 'put', key, value: bytes(key), expect: 0 })));
    }

    const found = await store.get([...keys, 'many/none']);

    assert.equal([...found.keys()].sort(), [...keys].sort());
    assert.ok([...found.values()].every(({ key, value }) => text(value) === key));
  });
}

function transactions(play: Play): void {
  const { test } = play;
  test('a stale compare-and-set is lost and changes nothing', async () => {
    const { store } = setOf(play);
    const first = await put(store, 'cas/one', 'first');
    const second = await put(store, 'cas/one', 'second');

    const result = await store.commit([{ kind: 'put', key: 'cas/one', value: bytes('third'), expect: first }]);
    const create = await store.commit([{ kind: 'put', key: 'cas/one', value: bytes('third'), expect: 0 }]);
    const missing = await store.commit([{ kind: 'put', key: 'cas/none', value: bytes('third'), expect: first }]);

    assert.ok(second > first);
    assert.equal(result, { committed: false, conflicts: ['cas/one'] });
    assert.equal(create, { committed: false, conflicts: ['cas/one'] });
    assert.equal(missing, { committed: false, conflicts: ['cas/none'] });
    assert.equal(contents(await store.list('cas/')), new Map([['cas/one', 'second']]));
  });

  test('a put of the same value is a change too, and the revision given is the one to compare with', async () => {
    const { store } = setOf(play);
    const first = await put(store, 'same/one', 'same');
    const both = await store.commit([
      { kind: 'put', key: 'same/one', value: bytes('same'), expect: first },
      { kind: 'put', key: 'same/other', value: bytes('new'), expect: 0 },
    ]);

    assert.ok(both.committed && both.revision > first);
    const revision = both.committed ? both.revision : 0;
    const next = await store.commit([
      { kind: 'put', key: 'same/one', value: bytes('a'), expect: revision },
      { kind: 'put', key: 'same/other', value: bytes('b'), expect: revision },
    ]);
    assert.ok(next.committed);
  });

  test('of several operations all are done or none, and each key in conflict is named', async () => {
    const { store } = setOf(play);
    const revision = await put(store, 'all/there', 'old');
    const attempt = (expectThere: number): StoreOperation[] => [
      { kind: 'put', key: 'all/new', value: bytes('new'), expect: 0 },
      { kind: 'delete', key: 'all/there', expect: expectThere },
      { kind: 'put', key: 'all/missing', value: bytes('x'), expect: expectThere === revision ? 0 : 7 },
    ];

    const refused = await store.commit(attempt(revision + 1));
    const before = contents(await store.list('all/'));
    const done = await store.commit(attempt(revision));

    assert.is(refused.committed, false);
    assert.equal(refused.committed ? [] : [...refused.conflicts].sort(), ['all/missing', 'all/there']);
    assert.equal(before, new Map([['all/there', 'old']]));
    assert.ok(done.committed);
    assert.equal([...contents(await store.list('all/')).keys()], ['all/missing', 'all/new']);
  });

  test('a key is deleted on condition or without, and a missing one only without', async () => {
    const { store } = setOf(play);
    const revision = await put(store, 'delete/one', 'x');
    await put(store, 'delete/two', 'x');

    const stale = await store.commit([{ kind: 'delete', key: 'delete/one', expect: revision - 1 }]);
    const exact = await store.commit([{ kind: 'delete', key: 'delete/one', expect: revision }]);
    const gone = await store.commit([{ kind: 'delete', key: 'delete/one', expect: revision }]);
    const any = await store.commit([
      { kind: 'delete', key: 'delete/one', expect: 'any' },
      { kind: 'delete', key: 'delete/two', expect: 'any' },
    ]);

    assert.equal(stale, { committed: false, conflicts: ['delete/one'] });
    assert.ok(exact.committed);
    assert.equal(gone, { committed: false, conflicts: ['delete/one'] });
    assert.ok(any.committed);
    assert.equal(await store.list('delete/'), []);
  });

  test('sixty operations are one transaction', async () => {
    const { store } = setOf(play);
    const keys = Array.from({ length: 60 }, (_, index) => `sixty/${index}`);

    const created = await store.commit(keys.map((key) => ({ kind: 'put', key, value: bytes(key), expect: 0 })));
    const revision = created.committed ? created.revision : 0;
    const deleted = await store.commit(keys.map((key) => ({ kind: 'delete', key, expect: revision })));

    assert.ok(created.committed);
    assert.ok(deleted.committed);
    assert.equal(await store.list('sixty/'), []);
  });
}

function limits(play: Play): void {
  const { test } = play;
  test('a value that is too large is refused before it is sent, and one of 380,000 bytes is not', async () => {
    const { store } = setOf(play);
    const large = (length: number): StoreOperation[] => [
      { kind: 'put', key: 'large/one', value: new Uint8Array(length), expect: 'any' },
    ];

    const refused = await failureOf(store.commit(large(524_289)));
    const taken = await store.commit(large(380_000));

    assert.is(refused.code, 'STORE_VALUE_TOO_LARGE');
    assert.match(refused.message, 'large/one');
    assert.ok(taken.committed);
    assert.is((await store.get(['large/one'])).get('large/one')?.value.length, 380_000);
  });

  test('a transaction with 61 operations, a key twice, or a key of other characters is refused', async () => {
    const { store } = setOf(play);
    const remove = (key: string): StoreOperation => ({ kind: 'delete', key, expect: 'any' });
    const tooMany = Array.from({ length: 61 }, (_, index) => remove(`x/${index}`));

    for (const operations of [tooMany, [remove('x/a'), remove('x/a')], [remove('x/A:b')], [remove('/x')]]) {
      assert.is((await failureOf(store.commit(operations))).code, 'STORE_MISUSED');
    }
    assert.is((await failureOf(store.get(['x y']))).code, 'STORE_MISUSED');
    assert.is((await failureOf(store.list('x'))).code, 'STORE_MISUSED');
  });
}

function aborts(play: Play): void {
  const { test } = play;
  test('a call whose signal is aborted ends with the reason of the abort', async () => {
    const { store } = setOf(play);
    const reason = new Error('enough');
    const signal = AbortSignal.abort(reason);
    const value = bytes('x');

    assert.is(await failureOf(store.get(['abort/a'], signal)), reason);
    assert.is(await failureOf(store.list('abort/', signal)), reason);
    assert.is(await failureOf(store.commit([{ kind: 'put', key: 'abort/a', value, expect: 0 }], signal)), reason);
    assert.is(await failureOf(store.lease('abort/a', value, signal)), reason);
    assert.equal(await store.list('abort/'), []);
  });

  test('a watch ends when its signal aborts, at once and while it waits', async () => {
    const { store } = setOf(play);
    await put(store, 'abort-watch/_', '');
    const watch = observe(store, 'abort-watch/');
    await watch.next();

    await watch.end();
    for await (const event of store.watch('abort-watch/', AbortSignal.abort())) assert.unreachable(event.kind);
  });

  test('a closed store refuses calls and ends its watches', async () => {
    const { stage } = setOf(play);
    const store = await stage.open();
    await put(store, 'closed/_', '');
    const watch = observe(store, 'closed/');
    await watch.next();

    await store.close();

    await watch.end();
    assert.is((await failureOf(store.get(['closed/_']))).code, 'STORE_UNREACHABLE');
    assert.is((await failureOf(store.commit([]))).code, 'STORE_UNREACHABLE');
    await store.close();
  });
}

function contention(play: Play): void {
  const { test } = play;
  test('of two clients that create the same keys exactly one gets each', async () => {
    const { stage, store } = setOf(play);
    const count = 100;
    const task = { kind: 'create', prefix: 'race/', count } as const;

    const won = await Promise.all([stage.employ(task).line, stage.employ(task).line]);

    assert.is(Number(won[0]) + Number(won[1]), count);
    assert.is((await store.list('race/')).length, count);
  });

  test('two clients that add to one counter lose no update', async () => {
    const { stage, store } = setOf(play);
    const times = 150;
    const task = { kind: 'add', key: 'sum/one', times } as const;

    await Promise.all([stage.employ(task).line, stage.employ(task).line]);
    await sleep(0);

    assert.is(text((await store.get(['sum/one'])).get('sum/one')?.value), String(2 * times));
  });
}

/** What only an LMDB store has to stand: its writers killed or stopped, its file damaged or gone. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, rename, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import * as assert from 'uvu/assert';
import { openStore } from '../../src/store/open.ts';
import { suite } from '../kit/suite.ts';
import { contents, employProcess, failureOf, lmdbStage, observe, put, within } from './store-stage.ts';
import { bytes, text } from './store-work.ts';

type Stage = Awaited<ReturnType<typeof lmdbStage>>;

const test = suite<{ stage?: Stage }>('lmdb store on its own ground');

test.before.each(async (context) => {
  context.stage = await lmdbStage();
});
test.after.each(async (context) => {
  await context.stage?.close();
});

const stageOf = ({ stage }: { stage?: Stage }): Stage => {
  if (stage === undefined) throw new Error('the stage is not set');
  return stage;
};

test('its directory is made for its owner alone', async (context) => {
  const stage = stageOf(context);
  const store = await stage.open();

  assert.is((await stat(stage.directory)).mode & 0o777, 0o700);
  await store.close();
});

test('writers that are killed leave no half transaction and no lock', async (context) => {
  const stage = stageOf(context);
  const store = await stage.open();
  await put(store, 'killed/_', '');
  const watch = observe(store, 'killed/');

  for (let round = 0; round < 5; round += 1) {
    const writer = stage.employ({ kind: 'write', prefix: 'killed/' });
    assert.is(await writer.line, 'writing');
    await sleep(Math.random() * 100);
    await writer.kill();

    const state = contents(await store.list('killed/'));
    assert.is(state.get('killed/one'), state.get('killed/other'));
    const started = performance.now();
    await put(store, 'killed/after', String(round));
    assert.ok(performance.now() - started < 1_000);
    await watch.until((seen) => seen.get('killed/after') === String(round));
  }

  await watch.end();
  await store.close();
});

test('the lease of a process that is killed is free at once', async (context) => {
  const stage = stageOf(context);
  const store = await stage.open();
  const holder = stage.employ({ kind: 'hold', key: 'n/one', value: 'killed' });
  assert.is(await holder.line, 'held');
  assert.match((await failureOf(store.lease('n/one', bytes('early')))).message, 'killed');

  await holder.kill();
  const lease = await store.lease('n/one', bytes('next'));

  assert.is(text((await store.get(['n/one'])).get('n/one')?.value), 'next');
  await lease.release();
  await store.close();
});

test('a holder that is replaced learns of it soon', async (context) => {
  const stage = stageOf(context);
  const [first, second] = [await stage.open(), await stage.open()];
  const lease = await first.lease('n/one', bytes('first'));

  await second.lease('n/one', bytes('second'), undefined, () => true);
  if (!lease.lost.aborted) await within(3_000, 'the lease is not lost', once(lease.lost, 'abort'));

  await first.lease('n/one', bytes('first again'), undefined, () => true);
  await first.close();
  await second.close();
});

test('a writer that is stopped with the lock makes writes ambiguous within 3 s, and reads go on', async (context) => {
  const stage = stageOf(context);
  const store = await stage.open();
  await put(store, 'f/a', 'before');
  const freezer = await freeze(stage.directory);
  const write = (value: string, signal?: AbortSignal) =>
    store.commit([{ kind: 'put', key: 'f/a', value: bytes(value), expect: 'any' }], signal);
  try {
    const late = await within(3_000, 'the write does not end', failureOf(write('late')));
    const aborted = await within(500, 'the abort is not heard', failureOf(write('late', AbortSignal.timeout(100))));

    assert.is(late.code, 'STORE_AMBIGUOUS');
    assert.is(aborted instanceof Error && aborted.name, 'TimeoutError');
    assert.is(text((await store.get(['f/a'])).get('f/a')?.value), 'before');
  } finally {
    freezer.kill('SIGKILL');
    await once(freezer, 'exit');
  }

  await within(3_000, 'the lock stays', write('after'));
  assert.is(text((await store.get(['f/a'])).get('f/a')?.value), 'after');
  await store.close();
});

test('a damaged data file is an error that names it, not the end of the process', async (context) => {
  const stage = stageOf(context);
  const file = join(stage.directory, 'data.mdb');
  const store = await stage.open();
  for (let count = 0; count < 20; count += 1) await put(store, `f/${count}`, 'x'.repeat(5_000));
  await store.close();

  await truncate(file, 8_192);
  const truncated = await failureOf(stage.open());
  await writeFile(file, Buffer.alloc(65_536, 0x5a));
  const garbage = await failureOf(stage.open());
  await writeFile(file, Buffer.alloc(65_536));
  const zeros = await failureOf(stage.open());

  for (const error of [truncated, garbage, zeros]) {
    assert.is(error.code, 'STORE_UNREACHABLE');
    assert.match(error.message, file);
  }
});

test('a place that cannot be a store is an error that names it', async (context) => {
  const stage = stageOf(context);
  await writeFile(stage.directory, 'a file');

  for (const path of [stage.directory, '/proc/nowhere/store']) {
    const error = await within(3_000, 'open does not end', failureOf(openStore(`lmdb://${path}`)));
    assert.is(error.code, 'STORE_UNREACHABLE');
    assert.match(error.message, path);
  }
});

test('a store that is replaced under its feet is lost, not written to in secret', async (context) => {
  const stage = stageOf(context);
  const store = await stage.open();
  await put(store, 'f/_', '');
  const watch = observe(store, 'f/');
  await watch.next();

  await rename(stage.directory, `${stage.directory}-old`);
  await mkdir(stage.directory);
  const lost = await watch.next();
  const refused = await failureOf(put(store, 'f/a', 'x'));

  assert.is(lost.kind === 'lost' && 'code' in lost.error && lost.error.code, 'STORE_UNREACHABLE');
  assert.is(refused.code, 'STORE_UNREACHABLE');
  await watch.end();
  await store.close();
  await rm(`${stage.directory}-old`, { recursive: true });
});

test('a process in another network namespace shares the store', async (context) => {
  const stage = stageOf(context);
  const store = await stage.open();
  await put(store, 'race/_', '');
  const watch = observe(store, 'race/');
  await watch.next();
  const task = { kind: 'create', prefix: 'race/', count: 50 } as const;

  const elsewhere = employProcess(stage.url, task, ['unshare', '--net']);
  const won = await Promise.all([elsewhere.line, stage.employ(task).line]);

  assert.is(Number(won[0]) + Number(won[1]), 50);
  await watch.until((state) => state.size === 50);
  await watch.end();
  await store.close();
});

test('a store grows while another process has it open', async (context) => {
  const stage = stageOf(context);
  const [first, second] = [await stage.open(), await stage.open()];
  const value = new Uint8Array(300_000).fill(7);

  for (let count = 0; count < 60; count += 1) {
    const writer = count % 2 === 0 ? first : second;
    await writer.commit([{ kind: 'put', key: `grow/${count}`, value, expect: 0 }]);
  }

  for (const store of [first, second]) {
    const entries = await store.list('grow/');
    assert.is(entries.length, 60);
    assert.ok(entries.every((entry) => Buffer.compare(entry.value, value) === 0));
    await store.close();
  }
});

async function freeze(directory: string): Promise<ChildProcess> {
  const program = fileURLToPath(new URL('lmdb-freezer.ts', import.meta.url));
  const command = ['--pdeathsig', 'KILL', process.execPath, '--import', 'tsx', program, directory];
  const child = spawn('setpriv', command, { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  await sleep(100);
  return child;
}

test.run();

/** Records from the kernel: delivery on the event loop, draining, closing, and processes that end meanwhile. */

import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import * as assert from 'uvu/assert';
import * as bpf from '../../src/native/binding.ts';
import { bpfSuite, eventually, failure, frame, number, u32 } from '../kit/bpf-object.ts';

const test = bpfSuite('native rings', import.meta.url);

test('records arrive in order on the event loop, a flood of them in full', async (object) => {
  const loaded = object.load({ rodata: {} });
  const seen: number[] = [];
  const ring = bpf.ringOpen(loaded.map('ring'), (bytes) => seen.push(number(bytes.subarray(4, 8))));

  const context = new Uint8Array(192);
  for (let mark = 0; mark < 1000; mark++) {
    context.set(u32(mark), 8);
    bpf.testRun({ program: loaded.program('submit'), data: frame, context });
  }
  assert.equal(seen, []);
  assert.ok(await eventually(() => seen.length === 1000));
  assert.equal(
    seen,
    Array.from({ length: 1000 }, (_, index) => index),
  );
  ring.close();
  loaded.close();
});

test('records submitted without wake-up come by draining', (object) => {
  const loaded = object.load({ rodata: {} });
  const seen: Uint8Array[] = [];
  const ring = bpf.ringOpen(loaded.map('ring'), (bytes) => seen.push(bytes));

  bpf.testRun({ program: loaded.program('submit_silently'), data: frame, repeat: 3 });
  assert.is(ring.drain(), 3);
  assert.equal(
    seen.map((bytes) => number(bytes.subarray(0, 4))),
    [60, 60, 60],
  );
  ring.close();
  assert.is(ring.drain(), 0);
  loaded.close();
});

test('a ring closed from its own callback delivers nothing more, and closing twice is harmless', async (object) => {
  const loaded = object.load({ rodata: {} });
  let delivered = 0;
  const ring = bpf.ringOpen(loaded.map('ring'), () => {
    delivered++;
    ring.close();
  });

  bpf.testRun({ program: loaded.program('submit'), data: frame, repeat: 9 });
  assert.ok(await eventually(() => delivered > 0));
  await sleep(20);
  ring.close();
  assert.is(delivered, 1);
  loaded.close();
});

test('what a callback throws is an uncaught exception and costs no other record', async (object) => {
  const loaded = object.load({ rodata: {} });
  const [seen, uncaught]: [Uint8Array[], Error[]] = [[], []];
  const listener = (error: Error): void => void uncaught.push(error);
  process.on('uncaughtException', listener);
  const ring = bpf.ringOpen(loaded.map('ring'), (bytes) => {
    if (seen.push(bytes) === 2) throw new Error('second');
  });

  bpf.testRun({ program: loaded.program('submit'), data: frame, repeat: 4 });
  const all = await eventually(() => seen.length === 4);
  process.off('uncaughtException', listener);
  assert.ok(all);
  assert.equal(
    uncaught.map(({ message }) => message),
    ['second'],
  );
  ring.close();
  loaded.close();
});

test('an open ring keeps neither a process nor a worker from ending', (object) => {
  const addon = fileURLToPath(new URL('../../native/build/Release/weft.node', import.meta.url));
  const script = join(object.directory, 'ring.cjs');
  const worker = join(object.directory, 'worker.cjs');
  writeFileSync(
    script,
    `const addon = require('${addon}');
    const source = { path: '${object.directory}/fixture.bpf.o', pinPath: null, rodata: [], maxEntries: [], programs: [] };
    const [, ring] = addon.loadObject(source).maps.find(([name]) => name === 'ring');
    globalThis.open = addon.ringOpen(ring, () => {});`,
  );
  writeFileSync(worker, `new (require('node:worker_threads').Worker)('${script}')`);

  for (const file of [script, worker]) {
    const run = spawnSync(process.execPath, [file], { encoding: 'utf8', timeout: 20_000 });
    assert.equal([run.status, run.signal, run.stderr], [0, null, '']);
  }
});

test('what is not a ring buffer is refused', (object) => {
  const loaded = object.load({ rodata: {} });

  assert.is(bpf.errnoOf(failure(() => bpf.ringOpen(loaded.map('hits'), () => {}))), 'EINVAL');
  loaded.close();
});

test.run();

/** Map entries singly and in batches, per CPU, and maps within maps. */

import * as assert from 'uvu/assert';
import * as bpf from '../../src/native/binding.ts';
import * as probe from '../../src/native/probe.ts';
import { bpfSuite, eventually, failure, frame, number, total, u32, u64 } from '../kit/bpf-object.ts';

const test = bpfSuite('native maps', import.meta.url);

test('entries are put, read and deleted, and absence is told from failure', (object) => {
  const loaded = object.load({ rodata: {} });
  const table = loaded.map('table');

  bpf.mapUpdate(table, u32(1), u64(10n), 'create');
  assert.is(bpf.errnoOf(failure(() => bpf.mapUpdate(table, u32(1), u64(11n), 'create'))), 'EEXIST');
  assert.is(bpf.errnoOf(failure(() => bpf.mapUpdate(table, u32(2), u64(11n), 'exist'))), 'ENOENT');
  assert.equal(bpf.mapLookup(table, u32(1)), u64(10n));
  assert.is(bpf.mapLookup(table, u32(2)), null);
  assert.is(bpf.mapDelete(table, u32(1)), true);
  assert.is(bpf.mapDelete(table, u32(1)), false);
  assert.equal(bpf.mapEntries(table), []);
  loaded.close();
});

test('keys and values of the wrong size never reach the kernel', (object) => {
  const loaded = object.load({ rodata: {} });
  const table = loaded.map('table');

  assert.match(failure(() => bpf.mapLookup(table, new Uint8Array(3))).message, /key is 3 bytes, the map takes 4/);
  assert.match(failure(() => bpf.mapUpdate(table, u32(1), u32(1))).message, /value is 4 bytes, the map takes 8/);
  assert.match(failure(() => bpf.mapUpdateBatch(table, [u32(1)], [])).message, /1 keys but 0 values/);
  assert.match(
    failure(() => bpf.mapUpdateBatch(table, [u32(1), u64(1n)], [u64(1n), u64(1n)])).message,
    /item 1 is 8 bytes/,
  );
  assert.match(failure(() => bpf.mapDeleteBatch(table, [u64(1n)])).message, /key is 8 bytes, the map takes 4/);
  loaded.close();
});

test('ten thousand entries go in, come out and leave in batches', (object) => {
  const loaded = object.load({ rodata: {} });
  const table = loaded.map('table');
  const keys = Array.from({ length: 10_000 }, (_, index) => u32(index));

  bpf.mapUpdateBatch(
    table,
    keys,
    keys.map((_, index) => u64(BigInt(index) * 3n)),
  );
  const entries = new Map(bpf.mapEntries(table).map(([key, value]) => [number(key), number(value)]));
  assert.is(entries.size, 10_000);
  assert.ok([...entries].every(([key, value]) => value === key * 3));
  bpf.mapDelete(table, u32(4321));
  assert.is(bpf.mapDeleteBatch(table, keys.slice(4000, 5000)), 999);
  assert.is(bpf.mapDeleteBatch(table, [u32(99_999), ...keys]), 9000);
  assert.equal(bpf.mapEntries(table), []);
  loaded.close();
});

test('a digest is the same for the same entries, in whatever order they came, and another after any change', (object) => {
  const loaded = object.load({ rodata: {} });
  const table = loaded.map('table');
  const keys = Array.from({ length: 1_000 }, (_, index) => u32(index));
  const fill = (order: readonly Uint8Array[]) =>
    bpf.mapUpdateBatch(
      table,
      order,
      order.map((key) => u64(BigInt(number(key)))),
    );
  const empty = bpf.mapDigest(table);

  fill(keys);
  const filled = bpf.mapDigest(table);
  assert.is(bpf.mapDigest(table), filled);
  bpf.mapUpdate(table, u32(7), u64(8n));
  assert.is.not(bpf.mapDigest(table), filled);
  bpf.mapUpdate(table, u32(8), u64(7n));
  assert.is.not(bpf.mapDigest(table), filled, 'two values changed places');
  bpf.mapDelete(table, u32(9));
  assert.is.not(bpf.mapDigest(table), filled);
  bpf.mapDeleteBatch(table, keys);
  assert.is(bpf.mapDigest(table), empty);
  fill(keys.toReversed());
  assert.is(bpf.mapDigest(table), filled);
  loaded.close();
});

test('a batch into a map too small says how far it came', (object) => {
  const loaded = object.load({ rodata: {}, maxEntries: { table: 4 } });
  const keys = [1, 2, 3, 4, 5, 6].map(u32);

  const error = failure(() =>
    bpf.mapUpdateBatch(
      loaded.map('table'),
      keys,
      keys.map(() => u64(1n)),
    ),
  );
  assert.is(bpf.errnoOf(error), 'E2BIG');
  assert.match(error.message, /4 of 6 entries are in place/);
  loaded.close();
});

test('per-CPU maps give every CPU its padded value, singly and in batches', (object) => {
  const loaded = object.load({ rodata: {} });
  const shares = loaded.map('shares');
  const perCpu = new Uint8Array(8 * probe.possibleCpus());
  perCpu.fill(3, 0, 4);

  bpf.testRun({ program: loaded.program('count_second'), data: frame, repeat: 5 });
  assert.is(total(loaded.map('hits'), 1), 5);
  bpf.mapUpdateBatch(shares, [u32(1), u32(2)], [perCpu, perCpu]);
  assert.equal(bpf.mapLookup(shares, u32(2)), perCpu);
  assert.is(bpf.mapEntries(shares).length, 2);
  assert.is(bpf.mapEntries(loaded.map('hits')).length, 2);
  loaded.close();
});

test('a map type without fast batches serves the same calls', (object) => {
  const loaded = object.load({ rodata: {} });
  const prefixes = loaded.map('prefixes');
  const keys = [8, 16, 24].map((length) => Uint8Array.of(...u32(length), 10, 77, 1, 0));

  bpf.mapUpdateBatch(
    prefixes,
    keys,
    keys.map((_, index) => u32(index)),
  );
  assert.equal(
    bpf
      .mapEntries(prefixes)
      .map(([, value]) => number(value))
      .sort(),
    [0, 1, 2],
  );
  assert.is(bpf.mapDeleteBatch(prefixes, keys), 3);
  loaded.close();
});

test('an inner map is replaced whole, by one of another length, and goes when it is replaced', async (object) => {
  const loaded = object.load({ rodata: {} });
  const [lists, read] = [loaded.map('lists'), loaded.program('read_list')];

  const ids = [[1], [1, 2, 30], [1, 2, 40]].map((values) => {
    const inner = bpf.createArray({ name: 'list', valueSize: 4, values: values.map(u32) });
    bpf.mapUpdateInner(lists, u32(7), inner);
    const { id } = bpf.mapInfo(inner);
    bpf.closeFd(inner);
    assert.is(bpf.testRun({ program: read, data: frame }).verdict, values[2] ?? 0);
    assert.equal(
      bpf.mapEntries(lists).map(([key, value]) => [number(key), number(value)]),
      [[7, id]],
    );
    return id;
  });
  const last = bpf.mapById(ids[2] ?? 0);
  assert.ok(last !== null);
  assert.is(bpf.mapInfo(last).maxEntries, 3);
  bpf.closeFd(last);
  assert.ok(await eventually(() => isGone(ids[0] ?? 0) && isGone(ids[1] ?? 0)));
  assert.match(
    failure(() => bpf.createArray({ name: 'list', valueSize: 4, values: [] })).message,
    /at least one value/,
  );
  loaded.close();
});

test.run();

function isGone(mapId: number): boolean {
  const fd = bpf.mapById(mapId);
  if (fd !== null) bpf.closeFd(fd);
  return fd === null;
}

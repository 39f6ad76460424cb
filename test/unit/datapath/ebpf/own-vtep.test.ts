import { setTimeout as sleep } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import { parseAddress } from '../../../../src/core/address.ts';
import type { Vtep } from '../../../../src/core/model.ts';
import { createOwnVtep } from '../../../../src/datapath/ebpf/own-vtep.ts';
import type { Table } from '../../../../src/datapath/ebpf/table.ts';
import { suite } from '../../../kit/suite.ts';

const test = suite('own VTEP');

const vtep = (address: string, port = 14789): Vtep => ({ address: parseAddress(address), port });
const [first, second] = [vtep('192.0.2.1'), vtep('192.0.2.2')];

/** Two rows, as the map has them, and what was written in order. */
function createSettings() {
  const rows: (Vtep | null)[] = [null, null];
  const written: (readonly [number, Vtep | null])[] = [];
  const table: Table<number, Vtep | null> = {
    get: (key) => rows[key] ?? null,
    put: (entries) => {
      for (const [key, value] of entries) {
        rows[key] = value;
        written.push([key, value]);
      }
    },
    remove: () => {},
    rows: () => rows.entries(),
  };
  return { table, written };
}

test('the first VTEP has no former', () => {
  const { table } = createSettings();
  const own = createOwnVtep(table, first);
  own.write();

  assert.equal([table.get(0), own.former()], [first, null]);
});

test('what was in the settings becomes the former before the new one is there', () => {
  const { table, written } = createSettings();
  createOwnVtep(table, first).write();
  written.length = 0;
  const next = createOwnVtep(table, { ...first, port: 4789 });
  next.write();
  next.write();

  assert.equal(written, [
    [1, first],
    [0, { ...first, port: 4789 }],
  ]);
  assert.equal([...next.ports()], [4789, 14789]);
});

test('what somebody else wrote is put right, and is no former VTEP', () => {
  const { table } = createSettings();
  const own = createOwnVtep(table, first);
  const repairs = [own.write()];
  table.put([[0, second]]);
  repairs.push(own.write(), own.write());

  assert.equal(repairs, [false, true, false]);
  assert.equal([table.get(0), own.former()], [first, null]);
});

test('the former is kept for as long as something comes to it, and a while longer', async () => {
  const { table } = createSettings();
  const own = createOwnVtep(table, first, 30);
  own.write();
  own.become(second);
  own.write();
  for (const received of [5, 6, 7]) {
    own.retire(received);
    await sleep(40);
  }
  assert.equal(own.former(), first);
  own.retire(7);

  assert.is(own.former(), null);
  assert.equal([...own.ports()], [14789]);
});

test.run();

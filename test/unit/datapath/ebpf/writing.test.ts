import * as assert from 'uvu/assert';
import { parseAddress } from '../../../../src/core/address.ts';
import { parseVni } from '../../../../src/core/vni.ts';
import { runsOf } from '../../../../src/datapath/ebpf/writing.ts';
import { suite } from '../../../kit/suite.ts';

const test = suite('writing');

test('neighbouring changes of one kind and table go together, and nothing changes its turn', () => {
  const vtep = (last: number) => ({ table: 'vtep' as const, address: parseAddress(`192.0.2.${last}`), port: 14789 });
  const flood = { table: 'flood' as const, vni: parseVni(1), endpoints: [], vteps: [] };
  const runs = runsOf([
    { kind: 'put', entry: vtep(1) },
    { kind: 'put', entry: vtep(2) },
    { kind: 'put', entry: flood },
    { kind: 'remove', entry: flood },
    { kind: 'put', entry: vtep(3) },
  ]);

  assert.equal(
    runs.map(({ kind, table, entries }) => `${kind} ${table} ${entries.length}`),
    ['put vtep 2', 'put flood 1', 'remove flood 1', 'put vtep 1'],
  );
});

test.run();

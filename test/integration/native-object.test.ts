/** Loading: settings, sizes, sections, refusals, pinned maps; and what a failed load says. */

import { spawnSync } from 'node:child_process';
import { cpSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as assert from 'uvu/assert';
import * as bpf from '../../src/native/binding.ts';
import * as probe from '../../src/native/probe.ts';
import { bpfSuite, compile, failure, frame, u32, u64 } from '../kit/bpf-object.ts';

const broken = `
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
struct { __uint(type, BPF_MAP_TYPE_HASH); __type(key, __u32); __type(value, __u64); __uint(max_entries, 4);
  __uint(pinning, LIBBPF_PIN_BY_NAME); } orphan SEC(".maps");
SEC("tc") int peek(struct __sk_buff *skb) { __u32 key = 0; bpf_map_lookup_elem(&orphan, &key); return *(__u8 *)(long)skb->data; }
char _license[] SEC("license") = "Dual BSD/GPL";
`;

const test = bpfSuite('native objects', import.meta.url);

test('an object loads with its settings, sections unknown to libbpf included', (object) => {
  const loaded = object.load({ rodata: { verdict: 2, mac: Uint8Array.of(0, 0, 0, 0, 0, 9) } });

  assert.equal(bpf.testRun({ program: loaded.program('count_first'), data: frame }).verdict, 2);
  assert.equal(bpf.testRun({ program: loaded.program('tell_ifindex'), data: frame }).verdict, 9);
  assert.is(bpf.programInfo(loaded.program('count_second')).name, 'count_second');
  assert.match(bpf.programInfo(loaded.program('count_second')).tag, /^[0-9a-f]{16}$/);
  assert.equal([...loaded.names.maps].sort(), ['hits', 'lists', 'prefixes', 'ring', 'shares', 'table']);
  loaded.close();
});

test('only the programs asked for load, and map sizes can be set', (object) => {
  const loaded = object.load({ rodata: {}, programs: ['submit'], maxEntries: { table: 77 } });

  assert.equal(loaded.names.programs, ['submit']);
  const { name, keySize, valueSize, maxEntries } = bpf.mapInfo(loaded.map('table'));
  assert.equal([name, keySize, valueSize, maxEntries], ['table', 4, 8, 77]);
  loaded.close();
});

test('names and values that do not fit the object are refused', (object) => {
  assert.match(failure(() => object.load({ rodata: { verdit: 1 } })).message, /no const volatile variable verdit/);
  assert.match(
    failure(() => object.load({ rodata: { mac: Uint8Array.of(1) } })).message,
    /variable mac is 6 bytes, not 1/,
  );
  assert.match(
    failure(() => object.load({ rodata: { verdict: 2 ** 32 } })).message,
    /4 bytes, 4294967296 does not fit/,
  );
  assert.match(failure(() => object.load({ rodata: { verdict: 0.5 } })).message, /verdict cannot be 0.5/);
  assert.match(failure(() => object.load({ rodata: {}, programs: ['nobody'] })).message, /no program nobody/);
  assert.match(failure(() => object.load({ rodata: {}, maxEntries: { nowhere: 1 } })).message, /no map nowhere/);
  assert.is(
    bpf.errnoOf(failure(() => bpf.loadObject({ path: '/nowhere.bpf.o', pinPath: null, rodata: {} }))),
    'ENOENT',
  );
});

test('a program the verifier refuses is named with the reason and the log, and leaves no pin', (object) => {
  const path = compile(object.directory, 'broken', broken);
  const error = failure(() => bpf.loadObject({ path, pinPath: object.pins, rodata: {} }));

  assert.is(bpf.errnoOf(error), 'EACCES');
  assert.match(error.message, /Permission denied \(EACCES\): program peek: .*outside of the packet/);
  assert.match(String(error.details['log']), /processed \d+ insns/);
  assert.equal(readdirSync(object.pins), []);
});

test('a pinned map keeps its entries when every descriptor is closed, and is reused by name', (object) => {
  const first = object.load({ rodata: {}, pinPath: object.pins });
  bpf.mapUpdate(first.map('table'), u32(5), u64(55n));
  const { id } = bpf.mapInfo(first.map('table'));
  first.close();

  const second = object.load({ rodata: {}, pinPath: object.pins });
  assert.is(bpf.mapInfo(second.map('table')).id, id);
  assert.equal(bpf.mapLookup(second.map('table'), u32(5)), u64(55n));
  second.close();
  const error = failure(() => object.load({ rodata: {}, pinPath: object.pins, maxEntries: { table: 3 } }));
  assert.match(error.message, /parameter mismatch/);
});

test('a pin opens as what it is and nothing else', (object) => {
  const loaded = object.load({ rodata: {} });
  const path = join(object.pins, 'pinned');
  bpf.pin(loaded.program('submit'), path);

  assert.is(bpf.errnoOf(failure(() => bpf.pin(loaded.map('hits'), path))), 'EEXIST');
  assert.is(bpf.errnoOf(failure(() => bpf.openPinnedMap(path))), 'EINVAL');
  assert.is(bpf.openPinnedMap(join(object.pins, 'absent')), null);
  const again = bpf.openPinnedProgram(path);
  assert.ok(again !== null);
  assert.equal(bpf.programInfo(again), bpf.programInfo(loaded.program('submit')));
  bpf.closeFd(again);
  assert.is(bpf.errnoOf(failure(() => bpf.closeFd(again))), 'EBADF');
  loaded.close();
});

test('the probes agree with what this kernel was seen to do', (object) => {
  const features = probe.probeKernel();

  assert.equal(
    Object.entries(features).filter(([name, has]) => !has && name !== 'decapL4'),
    [],
  );
  assert.is(probe.isBpfFileSystem(object.pins), true);
  assert.is(probe.isBpfFileSystem(object.directory), false);
  assert.throws(() => probe.isBpfFileSystem('/nowhere'), /ENOENT/);
});

test('an addon that is not built is an error that names every place looked at', (object) => {
  const root = join(object.directory, 'elsewhere');
  for (const path of ['src/native', 'src/core/brand.ts', 'src/errors.ts', 'package.json']) {
    cpSync(fileURLToPath(new URL(`../../${path}`, import.meta.url)), join(root, path), { recursive: true });
  }
  const script = join(root, 'ask.ts');
  writeFileSync(script, `import { possibleCpus } from './src/native/probe.ts';\npossibleCpus();\n`);

  const { status, stderr } = spawnSync(process.execPath, ['--import', 'tsx', script], { encoding: 'utf8' });
  assert.is(status, 1);
  for (const directory of [root, join(root, 'src'), join(root, 'src/native')]) {
    assert.match(stderr, `${directory}/native/build/Release/weft.node (Cannot find module`);
  }
});

test.run();

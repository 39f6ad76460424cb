/**
 * What the tests of the addon share: one small BPF object with a map of each kind and a program for each use, compiled
 * when a suite starts; a suite each test of which has an empty pin directory and may leave no descriptor open.
 */

import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import { isOverlayError, type OverlayError } from '../../src/errors.ts';
import * as bpf from '../../src/native/binding.ts';
import { enterOwnNamespace, run } from './own-namespace.ts';
import { suite } from './suite.ts';

const source = `
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
struct { __uint(type, BPF_MAP_TYPE_HASH); __type(key, __u32); __type(value, __u64); __uint(max_entries, 20000);
  __uint(pinning, LIBBPF_PIN_BY_NAME); } table SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY); __type(key, __u32); __type(value, __u32); __uint(max_entries, 2); } hits SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_PERCPU_HASH); __type(key, __u32); __type(value, __u32); __uint(max_entries, 8); } shares SEC(".maps");
struct prefix { __u32 length; __u8 address[4]; };
struct { __uint(type, BPF_MAP_TYPE_LPM_TRIE); __uint(map_flags, BPF_F_NO_PREALLOC); __type(key, struct prefix); __type(value, __u32);
  __uint(max_entries, 64); } prefixes SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 65536); } ring SEC(".maps");
struct list { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(map_flags, BPF_F_INNER_MAP); __type(key, __u32); __type(value, __u32);
  __uint(max_entries, 1); };
struct { __uint(type, BPF_MAP_TYPE_HASH_OF_MAPS); __type(key, __u32); __uint(max_entries, 8); __array(values, struct list); } lists SEC(".maps");
const volatile __u32 verdict = 1;
const volatile __u8 mac[6];
static int hit(__u32 index) { __u32 *count = bpf_map_lookup_elem(&hits, &index); if (count) *count += 1; return verdict; }
SEC("tc") int count_first(struct __sk_buff *skb) { return hit(0); }
SEC("tcx/ingress") int count_second(struct __sk_buff *skb) { return hit(1); }
SEC("tc") int tell_ifindex(struct __sk_buff *skb) { skb->mark = skb->ifindex; return mac[5]; }
SEC("tc") int grow(struct __sk_buff *skb) { return bpf_skb_change_tail(skb, 100, 0); }
SEC("tc") int submit(struct __sk_buff *skb) { __u32 n[2] = { skb->len, skb->mark }; return bpf_ringbuf_output(&ring, n, sizeof(n), 0); }
SEC("tc") int submit_silently(struct __sk_buff *skb) { __u32 n[2] = { skb->len, skb->mark };
  return bpf_ringbuf_output(&ring, n, sizeof(n), BPF_RB_NO_WAKEUP); }
SEC("tc") int read_list(struct __sk_buff *skb) { __u32 key = 7, last = 2; void *inner = bpf_map_lookup_elem(&lists, &key);
  __u32 *value = inner ? bpf_map_lookup_elem(inner, &last) : 0; return value ? *value : 0; }
char _license[] SEC("license") = "Dual BSD/GPL";
`;

/** A frame long enough for any test run. */
export const frame = new Uint8Array(60).fill(0xab);

export interface BpfObject {
  /** Holds the compiled files. */
  readonly directory: string;
  /** On a bpf file system; there during a test. */
  readonly pins: string;
  load(settings: Omit<bpf.ObjectSource, 'path' | 'pinPath'> & { readonly pinPath?: string }): Loaded;
}

/** The fixture's programs and maps by name, closed together. */
export interface Loaded {
  program(name: string): bpf.ProgramFd;
  map(name: string): bpf.MapFd;
  readonly names: { readonly programs: readonly string[]; readonly maps: readonly string[] };
  close(): void;
}

export interface BpfSuite {
  (test: string, body: (object: BpfObject) => void | Promise<void>): void;
  run(): void;
}

/** Enters own namespaces first: nothing before this call runs inside. */
export function bpfSuite(name: string, testFile: string): BpfSuite {
  const { bpfRoot } = enterOwnNamespace(testFile);
  const pins = join(bpfRoot, 'pins');
  const directory = mkdtempSync(join(tmpdir(), `wft-${process.pid}-object-`));
  process.on('exit', () => rmSync(directory, { recursive: true, force: true }));
  const whole = suite(name, {});
  whole.before(() => {
    compile(directory, 'fixture', source);
  });
  const object: BpfObject = { directory, pins, load: (settings) => load(join(directory, 'fixture.bpf.o'), settings) };
  const declare = (test: string, body: (object: BpfObject) => void | Promise<void>) => {
    whole(test, () => cleanly(pins, () => body(object)));
  };
  return Object.assign(declare, { run: () => whole.run() });
}

/** Compiles C to an object file, whose path it returns. */
export function compile(directory: string, name: string, text: string): string {
  const path = join(directory, `${name}.bpf.c`);
  writeFileSync(path, text);
  const machine = process.arch === 'arm64' ? 'aarch64' : 'x86_64';
  const object = join(directory, `${name}.bpf.o`);
  run('clang', '-O2', '-g', '-target', 'bpf', `-I/usr/include/${machine}-linux-gnu`, '-c', path, '-o', object);
  return object;
}

/** The BPF failure of a call that must fail. */
export function failure(call: () => unknown): OverlayError {
  try {
    call();
  } catch (error) {
    if (isOverlayError(error, 'BPF_FAILED')) return error;
    throw error;
  }
  throw new Error('the call should have failed');
}

/** Whether it holds within two seconds. */
export async function eventually(holds: () => boolean): Promise<boolean> {
  for (let attempt = 0; attempt < 200 && !holds(); attempt++) await sleep(10);
  return holds();
}

/** The sum over all CPUs of a counter of the map `hits`. */
export function total(counters: bpf.MapFd, index: number): number {
  const values = bpf.mapLookup(counters, u32(index)) ?? new Uint8Array(0);
  return new BigUint64Array(values.slice().buffer).reduce((sum, value) => sum + Number(value & 0xffff_ffffn), 0);
}

export function u32(value: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(value).buffer);
}

export function u64(value: bigint): Uint8Array {
  return new Uint8Array(BigUint64Array.of(value).buffer);
}

/** The number in the first four bytes, in host order. */
export function number(bytes: Uint8Array): number {
  return new Uint32Array(bytes.slice(0, 4).buffer)[0] ?? 0;
}

/** Not hooks: uvu loses the error of a test when a hook after it fails as well. */
async function cleanly(pins: string, body: () => void | Promise<void>): Promise<void> {
  const descriptors = readdirSync('/proc/self/fd').length;
  mkdirSync(pins);
  try {
    await body();
  } finally {
    rmSync(pins, { recursive: true });
    spawnSync('ip', ['link', 'del', 'wft0']);
  }
  assert.ok(await eventually(() => readdirSync('/proc/self/fd').length === descriptors), 'descriptors leaked');
}

function load(path: string, settings: Parameters<BpfObject['load']>[0]): Loaded {
  const { programs, maps } = bpf.loadObject({ path, pinPath: null, ...settings });
  return {
    program: (name) => existing(programs, name),
    map: (name) => existing(maps, name),
    names: { programs: [...programs.keys()], maps: [...maps.keys()] },
    close() {
      for (const fds of [programs, maps]) for (const fd of fds.values()) bpf.closeFd(fd);
    },
  };
}

function existing<Fd>(fds: ReadonlyMap<string, Fd>, name: string): Fd {
  const fd = fds.get(name);
  if (fd === undefined) throw new Error(`the fixture has no ${name}`);
  return fd;
}

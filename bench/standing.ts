/**
 * Weft as it stands when its daemons have ended: devices, tables and programs remain in the kernel and carry packets, and
 * nobody puts right what is changed of them. So its programs can be exchanged, and rows added that no store knows.
 */

import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { directoriesOf } from '../src/datapath/ebpf/names.ts';
import { closeFd, type LoadedObject, linkInfo, loadObject, pin, updateLink } from '../src/native/binding.ts';
import { run } from '../test/kit/command.ts';
import { repositoryRoot } from '../test/kit/paths.ts';
import { type LaidPath, type WeftPaths, weft } from './paths.ts';
import type { Workshop } from './workshop.ts';

export interface Side {
  /** Pins of the links: of the container's host end, and of the underlay device. */
  readonly links: Readonly<Record<ProgramName, string>>;
  readonly maps: string;
  /** Pins of the flood lists. */
  readonly flood: string;
  /** Holds pins of programs. */
  readonly root: string;
  /** The interfaces' indexes on the node. */
  readonly container: number;
  readonly underlay: number;
}

export interface Standing extends WeftPaths {
  readonly sides: readonly [Side, Side];
}

type ProgramName = 'from_container' | 'from_underlay';
type Rodata = Readonly<Record<string, number>>;
/** A file below native/bpf, a text that is in it once, and what takes its place. */
export type Edit = readonly [file: string, text: string, replacement: string];

const programNames: readonly ProgramName[] = ['from_container', 'from_underlay'];

export async function standing(workshop: Workshop, id: string): Promise<Standing> {
  const paths = await weft(workshop, id);
  for (const { daemon } of paths.members) await daemon.kill9();
  const [one, other] = paths.members;
  return { ...paths, sides: [sideOf(one.daemon.bpfDir, paths.host), sideOf(other.daemon.bpfDir, null)] };
}

/** The floor of paths.ts, over devices that are Weft's in all but the programs. */
export async function plain(workshop: Workshop): Promise<LaidPath> {
  const { remote, sides } = await standing(workshop, 'p');
  const object = await compile(workshop.lab.directory, 'plain.bpf.c');
  for (const side of sides) exchange(side, object, { container: side.container, underlay: side.underlay });
  return { ...remote, label: 'plain' };
}

/** @param host the host end of the container, where the node has several */
function sideOf(bpfDir: string, host: string | null): Side {
  const { links, maps, flood, root } = directoriesOf(bpfDir);
  const name = host ?? readdirSync(links).find((link) => link.startsWith('wh')) ?? '';
  const paths = { from_container: join(links, name), from_underlay: join(links, 'eth0') };
  const index = (path: string) => linkInfo(path)?.ifindex ?? 0;
  return {
    links: paths,
    maps,
    flood,
    root,
    container: index(paths.from_container),
    underlay: index(paths.from_underlay),
  };
}

/** Compiles a program of the bench. @returns the object's path */
export async function compile(directory: string, source: string): Promise<string> {
  const object = join(directory, `${source}.o`);
  const machine = process.arch === 'arm64' ? 'aarch64' : 'x86_64';
  const flags = ['-O2', '-g', '-target', 'bpf', '-mcpu=v3', `-I/usr/include/${machine}-linux-gnu`];
  await run(['clang', ...flags, '-c', join(import.meta.dirname, source), '-o', object]);
  return object;
}

/** Compiles Weft's programs with edits. @throws when an edit's text is not there, or there twice */
export async function compileEdited(directory: string, edits: readonly Edit[]): Promise<string> {
  mkdirSync(directory);
  const native = join(repositoryRoot, 'native');
  for (const part of ['bpf', 'Makefile']) cpSync(join(native, part), join(directory, part), { recursive: true });
  for (const [file, text, replacement] of edits) {
    const path = join(directory, 'bpf', file);
    const before = readFileSync(path, 'utf8');
    if (before.split(text).length !== 2) throw new Error(`${file} has not once: ${text.trim().split('\n')[0]}`);
    writeFileSync(
      path,
      before.replace(text, () => replacement),
    );
  }
  await run(['make', '-s', '-C', directory, 'bpf', `BUILD=${directory}`]);
  return join(directory, 'overlay.bpf.o');
}

/** Puts an object's programs in the place of Weft's on one node, over the same tables. */
export function exchange(side: Side, object: string, rodata: Rodata): void {
  withObject(side, object, rodata, ({ programs }) => {
    for (const name of programNames) {
      const program = programs.get(name);
      if (program !== undefined) updateLink(side.links[name], program);
    }
  });
}

/** Pins an object's programs. @returns `LINK=PROGRAM` for the meter */
export function prepare(side: Side, object: string, label: string, rodata: Rodata): readonly string[] {
  const directory = join(side.root, `bench_${label}`);
  mkdirSync(directory);
  return withObject(side, object, rodata, ({ programs }) =>
    programNames.map((name) => {
      const program = programs.get(name);
      if (program === undefined) throw new Error(`${label} has no ${name}`);
      pin(program, join(directory, name));
      return `${side.links[name]}=${join(directory, name)}`;
    }),
  );
}

function withObject<Result>(
  { maps }: Side,
  path: string,
  rodata: Rodata,
  use: (object: LoadedObject) => Result,
): Result {
  const object = loadObject({ path, pinPath: maps, rodata });
  try {
    return use(object);
  } finally {
    for (const fd of [...object.programs.values(), ...object.maps.values()]) closeFd(fd);
  }
}

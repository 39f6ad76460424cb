/**
 * The compiled object, loaded: programs of this build over the tables that are pinned already, or new ones. Pins live in
 * a bpf file system, and nowhere else would they outlive the daemon.
 */

import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { overlayError } from '../../errors.ts';
import { closeFd, errnoOf, loadObject, type MapFd, type ProgramFd } from '../../native/binding.ts';
import { isBpfFileSystem, type KernelFeatures } from '../../native/probe.ts';
import { type Directories, directoriesOf } from './names.ts';
import { makeDirectories } from './pins.ts';
import { formerTables, takeOver } from './takeover.ts';

export interface Programs {
  readonly fromContainer: ProgramFd;
  readonly fromUnderlay: ProgramFd;
  readonly fromTunnel: ProgramFd;
  /** Run, not attached: puts a frame on the wire to a port. */
  readonly intoContainer: ProgramFd;
  /** Whether programs before these took note of what endpoints join. */
  readonly hadMembers: boolean;
  readonly directories: Directories;
  /** All that are pinned, by name. */
  readonly maps: ReadonlyMap<string, MapFd>;
  /** @throws BPF_FAILED when the object has no such map */
  map(name: string): MapFd;
  /** What is attached and pinned stays. */
  close(): void;
}

const objectFile = join('native', 'build', 'overlay.bpf.o');
/** BPF_F_ADJ_ROOM_DECAP_L4_UDP of linux/bpf.h. */
const decapL4Udp = 1 << 9;

/** @throws CONFIG_INVALID without a bpf file system, BPF_FAILED */
export function loadPrograms(bpfDir: string, features: KernelFeatures): Programs {
  requireBpfFileSystem(bpfDir);
  const directories = directoriesOf(bpfDir);
  const former = formerTables(bpfDir);
  if (former !== null) for (const _ of takeOver(former, directories, () => loadTables(directories)));
  makeDirectories(directories);
  const hadMembers = existsSync(join(directories.maps, 'members'));
  const object = load(directories, features);
  const { programs, maps } = object;
  const program = (name: string) => found(programs, `program ${name}`, name);
  return {
    fromContainer: program('from_container'),
    fromUnderlay: program('from_underlay'),
    fromTunnel: program('from_tunnel'),
    intoContainer: program('into_container'),
    hadMembers,
    directories,
    maps,
    map: (name) => found(maps, `map ${name}`, name),
    close: () => {
      for (const fd of [...programs.values(), ...maps.values()]) closeFd(fd);
    },
  };
}

/** @throws CONFIG_INVALID */
function requireBpfFileSystem(bpfDir: string): void {
  let mounted = bpfDir;
  while (!existsSync(mounted)) mounted = dirname(mounted);
  if (isBpfFileSystem(mounted)) return;
  const remedy = 'mount one with: mount -t bpf bpf /sys/fs/bpf, and choose a directory below it';
  throw overlayError('CONFIG_INVALID', {
    setting: '--bpf-dir',
    problem: `${bpfDir} is not on a bpf file system`,
    remedy,
  });
}

function load({ root, maps }: Directories, { decapL4 }: KernelFeatures) {
  try {
    return loadObject({ path: objectPath(), pinPath: maps, rodata: { decap_flags: decapL4 ? decapL4Udp : 0 } });
  } catch (error) {
    if (errnoOf(error) !== 'EINVAL' || !String(error).includes('reuse pinned map')) throw error;
    const facts = { directory: root, problem: 'their layout differs', remedy: 'start the version that made them' };
    throw overlayError('PINS_INCOMPATIBLE', facts, { cause: error });
  }
}

/** New tables without programs, pinned. The descriptors are the caller's to close. */
export function loadTables({ maps }: Directories): ReadonlyMap<string, MapFd> {
  return loadObject({ path: objectPath(), pinPath: maps, rodata: {}, programs: [] }).maps;
}

/** Looks in every directory above this file, so `src` and `dist` find the same build. */
function objectPath(): string {
  let directory = dirname(fileURLToPath(import.meta.url));
  for (;;) {
    const path = join(directory, objectFile);
    if (existsSync(path)) return path;
    const parent = dirname(directory);
    if (parent !== directory) {
      directory = parent;
      continue;
    }
    const problem = `${objectFile} is in no directory above the program; build it with npm run build`;
    throw overlayError('BPF_FAILED', { operation: 'loading the programs', problem, errno: 'ENOENT' });
  }
}

function found<Fd>(all: ReadonlyMap<string, Fd>, what: string, name: string): Fd {
  const fd = all.get(name);
  if (fd !== undefined) return fd;
  throw overlayError('BPF_FAILED', {
    operation: 'loading the programs',
    problem: `the object has no ${what}`,
    errno: 'ENOENT',
  });
}

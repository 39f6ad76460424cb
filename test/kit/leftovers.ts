/**
 * What a lab or a test can leave on the machine, and its removal. Everything the kit makes carries a name that begins
 * with `wft-<pid of the maker>-`, and every process it starts carries an environment variable; so a thing whose maker
 * is gone is a leftover, whoever looks. Synchronous, because it must also work while a process exits.
 */

import { execFileSync } from 'node:child_process';
import { existsSync, lstatSync, readdirSync, readFileSync, readlinkSync, rmdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Leftover {
  readonly kind: 'process' | 'cgroup' | 'mount' | 'namespace' | 'link' | 'pin' | 'directory';
  /** A pid, a path or a name. */
  readonly name: string;
}

/** What the kit names; and, where a stray daemon would put them, what the product names. */
const kitName = /^wft-/;
const ourName = /^(wft-|weft)/;
const bpfRoot = '/sys/fs/bpf';
const cgroupRoot = '/sys/fs/cgroup';

/** Things on this machine with a name of ours for which the question is answered with yes. */
export function findLeftovers(isLeftover: (name: string) => boolean): readonly Leftover[] {
  const wanted = (name: string) => kitName.test(name) && isLeftover(name);
  const wantedOrProduct = (name: string) => ourName.test(name) && isLeftover(name);
  return [
    ...cgroups(wanted),
    ...mountPoints().flatMap((path) => (path.split('/').some(wanted) ? [{ kind: 'mount', name: path } as const] : [])),
    ...entries('/run/netns')
      .filter(wanted)
      .map((name) => ({ kind: 'namespace', name }) as const),
    ...entries('/sys/class/net')
      .filter(wantedOrProduct)
      .map((name) => ({ kind: 'link', name }) as const),
    ...entries(bpfRoot)
      .filter(wantedOrProduct)
      .map((name) => ({ kind: 'pin', name: join(bpfRoot, name) }) as const),
    ...entries(tmpdir())
      .filter(wanted)
      .map((name) => ({ kind: 'directory', name: join(tmpdir(), name) }) as const),
  ];
}

/** Processes whose environment has the variable with this value. */
export function findProcesses(variable: string, value: string): readonly Leftover[] {
  return markedProcesses(variable, (found) => found === value);
}

/** What makers that are gone left, and the processes that have the variable with the name of one. */
export function findOrphans(variable: string): readonly Leftover[] {
  return [...markedProcesses(variable, isMakerGone), ...findLeftovers(isMakerGone)];
}

function markedProcesses(variable: string, isWanted: (value: string) => boolean): readonly Leftover[] {
  const prefix = `${variable}=`;
  return entries('/proc')
    .filter((pid) => /^\d+$/.test(pid) && Number(pid) !== process.pid)
    .filter((pid) => {
      const setting = readIfThere(`/proc/${pid}/environ`)
        .split('\0')
        .find((each) => each.startsWith(prefix));
      return setting !== undefined && isWanted(setting.slice(prefix.length));
    })
    .map((pid) => ({ kind: 'process', name: pid }) as const);
}

/**
 * Processes in the mount namespace of a process, itself included, and what they started elsewhere (containers of an
 * engine); none when that is the namespace of this process or of the machine.
 */
export function findInMountNamespace(pid: number): readonly Leftover[] {
  const wanted = linkIfThere(`/proc/${pid}/ns/mnt`);
  if (wanted === '' || wanted === linkIfThere('/proc/self/ns/mnt') || wanted === linkIfThere('/proc/1/ns/mnt'))
    return [];
  const all = entries('/proc').filter((entry) => /^\d+$/.test(entry));
  const found = new Set(all.filter((entry) => linkIfThere(`/proc/${entry}/ns/mnt`) === wanted));
  // A child usually has a higher pid than its parent, but pids wrap round.
  for (let before = -1; before !== found.size; ) {
    before = found.size;
    for (const entry of all) if (found.has(parentOf(entry))) found.add(entry);
  }
  return [...found].map((name) => ({ kind: 'process', name }) as const);
}

function parentOf(pid: string): string {
  return /^PPid:\s+(\d+)/m.exec(readIfThere(`/proc/${pid}/status`))?.[1] ?? '0';
}

/** Kills what runs in a cgroup of this name. */
export function endCgroup(name: string): void {
  for (const cgroup of cgroups((found) => found === name)) {
    for (const pid of processesIn(cgroup.name)) signalIfThere(pid, 'SIGKILL');
  }
}

/** Whether the kit gave this name: only such things are removed. */
export function hasMaker(name: string): boolean {
  return /(^|\/)wft-\d+-/.test(name);
}

/** Whether the process that made a thing of this name is gone. */
function isMakerGone(name: string): boolean {
  const pid = /^wft-(\d+)-/.exec(name)?.[1];
  // A kernel thread with a reused pid has no command line.
  return pid !== undefined && readIfThere(`/proc/${pid}/cmdline`) === '';
}

/** Removes them, in the order of the table below, and waits until those are gone. @returns what could not be removed, and why */
export function removeLeftovers(found: readonly Leftover[]): readonly string[] {
  const order = Object.keys(removal);
  const byOrder = found.toSorted((a, b) => order.indexOf(a.kind) - order.indexOf(b.kind));
  return byOrder.flatMap((leftover) => {
    try {
      removal[leftover.kind](leftover.name);
      return [];
    } catch (error) {
      return [`${leftover.kind} ${leftover.name}: ${error instanceof Error ? error.message : String(error)}`];
    }
  });
}

/** In this order: what runs holds what is mounted, which holds the rest. */
const removal: Readonly<Record<Leftover['kind'], (name: string) => void>> = {
  process: (name) => endProcess(Number(name)),
  cgroup: removeCgroup,
  mount: (path) => command('umount', path),
  namespace: removeNamespace,
  // One end of a pair takes the other along.
  link: (name) => (existsSync(`/sys/class/net/${name}`) ? command('ip', 'link', 'delete', name) : undefined),
  pin: removeTree,
  directory: removeTree,
};

/** With all that runs in it: a managed plugin, for one, bears no mark of ours and outlives an engine that is killed. */
function removeNamespace(name: string): void {
  const pids = execFileSync('ip', ['netns', 'pids', name], { stdio: 'pipe', encoding: 'utf8' });
  for (const pid of pids.split('\n').filter(Boolean)) endProcess(Number(pid));
  command('ip', 'netns', 'delete', name);
}

function command(program: string, ...parameters: readonly string[]): void {
  execFileSync(program, parameters, { stdio: 'pipe' });
}

function removeTree(path: string): void {
  rmSync(path, { recursive: true, force: true });
}

/** Kills a process and waits until the kernel has taken down what it held. */
export function endProcess(pid: number): void {
  signalIfThere(pid, 'SIGKILL');
  for (let round = 0; round < 200 && isAlive(pid); round++) sleepSync(10);
}

/** Kills what runs in a cgroup and below, and removes it. */
function removeCgroup(path: string): void {
  const pids = processesIn(path);
  for (const pid of pids) signalIfThere(pid, 'SIGKILL');
  for (const pid of pids) endProcess(pid);
  for (const child of directories(path)) removeCgroup(join(path, child));
  // The kernel lets go of it a moment after its last process ended.
  for (let round = 0; round < 100 && existsSync(path); round++) {
    try {
      rmdirSync(path);
    } catch {
      sleepSync(10);
    }
  }
  if (existsSync(path)) throw new Error('still in use after a second');
}

function processesIn(cgroup: string): readonly number[] {
  const own = readIfThere(join(cgroup, 'cgroup.procs')).split('\n').filter(Boolean).map(Number);
  return [...own, ...directories(cgroup).flatMap((child) => processesIn(join(cgroup, child)))];
}

/** Cgroups of ours, in each hierarchy (version 1) or the one (version 2). */
function cgroups(wanted: (name: string) => boolean): readonly Leftover[] {
  const hierarchies = [cgroupRoot, ...directories(cgroupRoot).map((name) => join(cgroupRoot, name))];
  return hierarchies.flatMap((hierarchy) =>
    directories(hierarchy)
      .filter(wanted)
      .map((name) => ({ kind: 'cgroup', name: join(hierarchy, name) }) as const),
  );
}

/** Mount points of this mount namespace, the innermost first. */
function mountPoints(): readonly string[] {
  const points = readIfThere('/proc/self/mountinfo')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '');
  return points.filter((path) => path !== '' && !path.startsWith('/run/netns/')).toReversed();
}

function entries(directory: string): readonly string[] {
  try {
    return readdirSync(directory);
  } catch {
    // Not there on this machine: then it holds nothing of ours.
    return [];
  }
}

function directories(path: string): readonly string[] {
  return entries(path).filter((name) => lstatSync(join(path, name), { throwIfNoEntry: false })?.isDirectory() === true);
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    // A process or cgroup that ended meanwhile.
    return '';
  }
}

function linkIfThere(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    // A process that ended meanwhile.
    return '';
  }
}

function isAlive(pid: number): boolean {
  const state = /\) (\S)/.exec(readIfThere(`/proc/${pid}/stat`))?.[1];
  return state !== undefined && state !== 'Z' && state !== 'X';
}

function signalIfThere(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It ended meanwhile, which is what was wanted.
  }
}

function sleepSync(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

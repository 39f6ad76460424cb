/**
 * Runs test files, each in a process of its own under a time limit: two at a time, but for those e2e files that are not
 * patient. After each that ran alone, and after each group that did not, what it left on the machine is
 * listed, removed and held against it. A file that ran no test fails.
 *
 *   node --import tsx scripts/test.ts [PART_OF_A_PATH …]
 *
 * The last line is `N passed, N failed`, in files; the exit code is 0 only when at least one passed and none failed.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { findLeftovers, findProcesses, hasMaker, type Leftover, removeLeftovers } from '../test/kit/leftovers.ts';
import { repositoryRoot } from '../test/kit/paths.ts';

interface Level {
  readonly directory: string;
  /** Of its files only those, or all but those, that mostly wait for engines and lose nothing when they wait longer. */
  readonly patient?: boolean;
  readonly limitSeconds: number;
  readonly atOnce: number;
}

const levels: readonly Level[] = [
  { directory: 'test/unit', limitSeconds: 60, atOnce: 2 },
  { directory: 'test/contract', limitSeconds: 180, atOnce: 2 },
  { directory: 'test/bpf', limitSeconds: 180, atOnce: 2 },
  { directory: 'test/integration', limitSeconds: 300, atOnce: 2 },
  { directory: 'test/e2e', patient: true, limitSeconds: 900, atOnce: 2 },
  { directory: 'test/e2e', patient: false, limitSeconds: 900, atOnce: 1 },
];

/** Longest first, so that none is left alone at the end. */
const patient = [
  ...['swarm-20', 'forgotten', 'plugin-28', 'plugin-20', 'swarm-advice', 'options-lmdb', 'options-consul'],
  ...['config-only', 'stack', 'compose', 'start-failures', 'life-lmdb', 'life-consul', 'daemon-restarted'],
  ...['plugin-refused', 'acl', 'connectivity-consul', 'connectivity-lmdb', 'systemd', 'bad-input'],
  ...['store-faults-lmdb', 'bad-input-engine'],
].map((name) => `test/e2e/${name}.test.ts`);

/** In the environment of a test file and of all it starts. */
const runVariable = 'WEFT_TEST_RUN';
/** After the time limit a file gets this long to clean up. */
const graceMs = 20_000;

interface Result {
  readonly file: string;
  readonly seconds: number;
  readonly output: string;
  /** Why it failed; empty: it passed. */
  readonly problems: readonly string[];
}

const running = new Set<ChildProcess>();
let interrupted = false;

async function main(filters: readonly string[]): Promise<number> {
  const results: Result[] = [];
  for (const level of levels) {
    const files = filesOf(level).filter((file) => filters.length === 0 || filters.some((part) => file.includes(part)));
    if (files.length === 0) continue;
    const before = leftoverNames();
    results.push(...(await runAll(files, level)));
    if (level.atOnce > 1) results.push(...judgeLevel(level, before));
  }
  const failed = results.filter(({ problems }) => problems.length > 0);
  for (const result of failed) showFailure(result);
  if (results.length === 0) console.log(`no test file has ${filters.join(' or ') || 'a name'} in its path`);
  console.log(`${results.length - failed.length} passed, ${failed.length} failed`);
  return failed.length === 0 && results.length > 0 ? 0 : 1;
}

function filesOf({ directory, patient: wanted }: Level): readonly string[] {
  const found = readdirSync(join(repositoryRoot, directory), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.test.ts'))
    .map((file) => join(directory, file))
    .toSorted();
  if (wanted === undefined) return found;
  return wanted ? patient.filter((file) => found.includes(file)) : found.filter((file) => !patient.includes(file));
}

async function runAll(files: readonly string[], level: Level): Promise<readonly Result[]> {
  const waiting = [...files];
  const results: Result[] = [];
  const worker = async () => {
    for (let file = waiting.shift(); file !== undefined && !interrupted; file = waiting.shift()) {
      const result = await runFile(file, level);
      const mark = result.problems.length === 0 ? 'ok  ' : 'FAIL';
      console.log(`${mark} ${result.file}  ${result.seconds.toFixed(1)} s`);
      results.push(result);
    }
  };
  await Promise.all(Array.from({ length: level.atOnce }, worker));
  return results;
}

async function runFile(file: string, level: Level): Promise<Result> {
  const id = `${process.pid}-${file.replaceAll(/\W/g, '-')}`;
  const before = leftoverNames();
  const started = performance.now();
  const { code, output, isLate } = await runProcess(file, id, level.limitSeconds);
  const leaks = [...findProcesses(runVariable, id), ...(level.atOnce === 1 ? newLeftovers(before) : [])];
  const problems = [
    ...(isLate ? [`not finished within ${level.limitSeconds} s`] : []),
    ...(code === 0 ? [] : [`exit code ${code}`]),
    ...(ranTests(output) ? [] : ['it ran no test']),
    ...clearAway(leaks),
  ];
  return { file, seconds: (performance.now() - started) / 1000, output, problems };
}

function runProcess(file: string, id: string, limitSeconds: number) {
  const child = spawn(process.execPath, ['--import', 'tsx', file], {
    cwd: repositoryRoot,
    // Each netlink socket keeps a thread of libuv's pool.
    env: { ...process.env, [runVariable]: id, UV_THREADPOOL_SIZE: '16', FORCE_COLOR: '0' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  running.add(child);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (output += text));
  let isLate = false;
  const limit = setTimeout(() => {
    isLate = true;
    child.kill('SIGTERM');
  }, limitSeconds * 1000);
  const end = setTimeout(() => child.kill('SIGKILL'), limitSeconds * 1000 + graceMs);
  return new Promise<{ code: number; output: string; isLate: boolean }>((resolve) => {
    // Not 'close': a process that it leaked holds its output open.
    child.on('exit', (code, signal) => {
      clearTimeout(limit);
      clearTimeout(end);
      running.delete(child);
      setTimeout(() => resolve({ code: code ?? (signal === null ? 1 : 128), output, isLate }), 20);
    });
  });
}

/** Every suite's summary has a total; uvu prints a zero, or nothing, for a file that declares no test. */
function ranTests(output: string): boolean {
  const totals = [...output.matchAll(/^\s*Total:\s+(\d+)/gm)].map(([, total]) => Number(total));
  return totals.length > 0 && totals.every((total) => total > 0);
}

/** What files that ran beside each other left; it cannot be held against one of them. */
function judgeLevel(level: Level, before: ReadonlySet<string>): readonly Result[] {
  const problems = clearAway(newLeftovers(before));
  return problems.length === 0
    ? []
    : [{ file: `${level.directory}: one of its files`, seconds: 0, output: '', problems }];
}

function leftoverNames(): ReadonlySet<string> {
  return new Set(findLeftovers(() => true).map(nameOf));
}

function newLeftovers(before: ReadonlySet<string>): readonly Leftover[] {
  return findLeftovers((name) => !isOfOthers(name)).filter((leftover) => !before.has(nameOf(leftover)));
}

/** Whether its maker is at work elsewhere on this machine: another run, a demo, a bench. */
function isOfOthers(name: string): boolean {
  const pid = /^wft-(\d+)-/.exec(name)?.[1];
  if (pid === undefined) return false;
  try {
    const isOfThisRun = readFileSync(`/proc/${pid}/environ`, 'utf8').includes(`${runVariable}=${process.pid}-`);
    return !isOfThisRun && readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('node');
  } catch {
    // Gone.
    return false;
  }
}

function nameOf({ kind, name }: Leftover): string {
  return `${kind} ${name}`;
}

/** Removes what the kit named or started; the rest may be the user's and is only told. */
function clearAway(leaks: readonly Leftover[]): readonly string[] {
  const told = leaks.map((leak) => `left behind: ${nameOf(leak)}${describe(leak)}`);
  const stuck = removeLeftovers(leaks.filter((leak) => leak.kind === 'process' || hasMaker(leak.name)));
  return [...told, ...stuck.map((what) => `not removed: ${what}`)];
}

function describe({ kind, name }: Leftover): string {
  if (kind !== 'process') return '';
  try {
    return ` (${readFileSync(`/proc/${name}/cmdline`, 'utf8').replaceAll('\0', ' ').trim()})`;
  } catch {
    // Gone meanwhile.
    return '';
  }
}

function showFailure({ file, output, problems }: Result): void {
  console.log(`\n──── ${file}\n${output.trimEnd()}`);
  for (const problem of problems) console.log(`  ${problem}`);
  console.log('');
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    // The files at work clean up and fail; no other is begun.
    interrupted = true;
    for (const child of running) child.kill('SIGTERM');
  });
}

process.exitCode = await main(process.argv.slice(2));

/**
 * The demo as a user runs it, and as a user stops it: whatever ends it, and at whatever moment, the machine is as it
 * was before. Each run has a session and process group of its own, and is interrupted as a terminal does it.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import { run } from '../kit/command.ts';
import { repositoryRoot } from '../kit/paths.ts';
import { suite } from '../kit/suite.ts';

const test = suite('demo');

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** The number in its names. */
  readonly maker: number;
  /** What of it is still there. */
  readonly left: readonly string[];
}

interface Stop {
  /** In the output; then so many milliseconds more. */
  readonly after: string;
  readonly delayMs?: number;
  readonly how: (demo: ChildProcess, group: number) => void;
}

const limitMs = 120_000;
const ctrlC = (_: ChildProcess, group: number) => void process.kill(-group, 'SIGINT');

test('runs to its end, shows what was promised, and leaves nothing', async () => {
  const { code, stdout, stderr, left } = await runDemo();

  assert.is(stderr, '');
  assert.is(code, 0);
  assert.match(stdout, /n1 {2}Docker Engine 20\.10/);
  assert.match(stdout, /n2 {2}Docker Engine (2[6-9]|[3-9]\d)\./);
  for (const node of ['n1', 'n2']) {
    const create = 'docker network create -d weft --ipam-driver weft --subnet 10.77.0.0/24 blue';
    assert.ok(stdout.includes(`${node} # ${create}`));
  }
  assert.is(stdout.match(/3 packets transmitted, 3 packets received, 0% packet loss/g)?.length, 2);
  assert.match(stdout, /100 broadcasts from alpha: beta got 100, 0 of them twice/);
  assert.match(stdout, /underlay [\d.]+ Gbit\/s, weft [\d.]+ Gbit\/s: \d+ %/);
  assert.match(stdout, /\d{4} requests, 0 lost/);
  assert.match(stdout, /n2 {4}10\.10\.2\.2:14789 {2}reachable/);
  assert.not.ok(stdout.includes('\u001b'), 'a pipe gets no colours');
  assert.equal(left, []);
});

const moments: readonly (readonly [string, Stop])[] = [
  ['at its very beginning', { after: 'Two LANs', how: ctrlC }],
  ['while the engines start', { after: 'A Docker engine on each', delayMs: 300, how: ctrlC }],
  ['while containers start', { after: 'docker run', delayMs: 100, how: ctrlC }],
  ['under load', { after: 'docker exec alpha iperf3', delayMs: 700, how: ctrlC }],
];

for (const [when, stop] of moments) {
  test(`Ctrl-C ${when} leaves nothing`, async () => {
    const { code, stderr, left } = await runDemo(stop);

    assert.is(code, 130);
    assert.is(stderr, 'demo: SIGINT: ending and removing everything\n');
    assert.equal(left, []);
  });
}

test('a second Ctrl-C does not stop the removal', async () => {
  const twice = (demo: ChildProcess, group: number) => {
    ctrlC(demo, group);
    setTimeout(() => demo.kill('SIGINT'), 300);
  };
  const { code, left } = await runDemo({ after: 'docker exec alpha ping', how: twice });

  assert.is(code, 130);
  assert.equal(left, []);
});

test('SIGTERM to the demo alone leaves nothing', async () => {
  const { code, left } = await runDemo({ after: 'docker exec alpha ping', how: (demo) => void demo.kill('SIGTERM') });

  assert.is(code, 143);
  assert.equal(left, []);
});

test('SIGTERM to npm, which only its shell hears of, leaves nothing', async () => {
  const stop = { after: 'docker exec alpha ping', how: (shell: ChildProcess) => void shell.kill('SIGTERM') };
  const { left } = await runDemo(stop, {}, ['sh', '-c', '"$@"; exit $?', 'sh']);

  assert.equal(left, []);
});

test('a reader that goes away ends it, and leaves nothing', async () => {
  const { left } = await runDemo({ after: 'docker exec alpha ping', how: (demo) => void demo.stdout?.destroy() });

  assert.equal(left, []);
});

test('what a killed one leaves, the next one removes', async () => {
  const killed = await runDemo({ after: 'docker exec alpha ping', how: (demo) => void demo.kill('SIGKILL') });
  await runDemo({ after: 'A Docker engine on each', how: ctrlC });

  assert.ok(killed.left.some((line) => line.startsWith('process')));
  assert.ok(killed.left.some((line) => line.includes('/run/netns/')));
  const still = [...(await machine())].filter((line) => line.includes(`wft-${killed.maker}-`));
  assert.equal([...still, ...processesOf(killed.maker, killed.maker)], []);
});

test('an error ends it with one line and exit code 1, and leaves nothing', async () => {
  const { code, stderr, left } = await runDemo(undefined, { WEFT_PORT: 'fourteen' });

  assert.is(code, 1);
  assert.match(stderr, /^demo: .*WEFT_PORT.*\n$/);
  assert.equal(left, []);
});

/** @param wrapper words before the demo's command: what starts it, instead of the test */
async function runDemo(
  stop?: Stop,
  env: Readonly<Record<string, string>> = {},
  wrapper: readonly string[] = [],
): Promise<Ended> {
  const before = await machine();
  const script = join(repositoryRoot, 'scripts', 'demo.ts');
  const [program = '', ...words] = [...wrapper, process.execPath, '--import', 'tsx', script];
  const demo = spawn(program, words, {
    cwd: repositoryRoot,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  });
  const group = demo.pid ?? 0;
  const text = { stdout: '', stderr: '' };
  demo.stdout.setEncoding('utf8').on('data', (chunk: string) => (text.stdout += chunk));
  demo.stderr.setEncoding('utf8').on('data', (chunk: string) => (text.stderr += chunk));
  const timer = setTimeout(() => demo.kill('SIGTERM'), limitMs);
  const ended = once(demo, 'close');
  if (stop !== undefined) {
    await untilSaid(demo, () => text.stdout.includes(stop.after));
    await sleep(stop.delayMs ?? 0);
    stop.how(demo, group);
  }
  const [code] = (await ended) as [number | null];
  clearTimeout(timer);
  // Behind a wrapper its number is another, and in what it shows.
  const maker = Number(/wft-(\d+)-/.exec(text.stdout)?.[1] ?? group);
  const left = [...news(before, await machine(), maker), ...processesOf(group, maker)];
  return { ...text, code, maker, left };
}

async function untilSaid(demo: ChildProcess, isSaid: () => boolean): Promise<void> {
  while (!isSaid()) {
    if (demo.exitCode !== null) throw new Error('the demo ended before it was to be stopped');
    await sleep(5);
  }
}

/** Links, namespaces, mounts, cgroups, pins and temporary files of this machine, a line each. */
async function machine(): Promise<ReadonlySet<string>> {
  const links = (await run(['ip', '-brief', 'link'])).split('\n').map((line) => line.split(/\s/)[0]);
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4]);
  const entries = ['/run/netns', '/sys/fs/bpf', '/run/docker', '/run/weft', '/var/lib/weft'];
  return new Set([
    ...links.map((name) => `link ${name}`),
    ...mounts.map((path) => `mount ${path}`),
    ...[...entries, ...hierarchies()].flatMap((path) => names(path).map((name) => `entry ${join(path, name)}`)),
    // Any program may put a file there meanwhile.
    ...names(tmpdir())
      .filter((name) => name.startsWith('wft-'))
      .map((name) => `file ${name}`),
  ]);
}

/** Of either version of cgroups. */
function hierarchies(): readonly string[] {
  const root = '/sys/fs/cgroup';
  return [root, ...names(root).map((name) => join(root, name))];
}

/** What came, but for what carries the mark of another lab that is at work meanwhile. */
function news(before: ReadonlySet<string>, after: ReadonlySet<string>, own: number): readonly string[] {
  return [...after].filter((line) => {
    const maker = /wft-(\d+)-/.exec(line)?.[1];
    return !before.has(line) && (maker === undefined || Number(maker) === own);
  });
}

/** Of its session, with its mark, or in one of its cgroups, where containers are; and alive. */
function processesOf(group: number, maker: number): readonly string[] {
  return names('/proc')
    .filter((pid) => /^\d+$/.test(pid))
    .filter((pid) => {
      const [, state = '', session] = /\) (\S) \d+ \d+ (\d+)/.exec(text(`/proc/${pid}/stat`)) ?? [];
      if (state === '' || 'ZX'.includes(state)) return false;
      const marks = ['environ', 'cgroup', 'cmdline'].map((file) => text(`/proc/${pid}/${file}`)).join('\0');
      return Number(session) === group || marks.includes(`wft-${maker}-`);
    })
    .map((pid) => `process ${pid}: ${text(`/proc/${pid}/cmdline`).replaceAll('\0', ' ')}`);
}

function names(path: string): readonly string[] {
  try {
    return readdirSync(path);
  } catch {
    // Not a directory, or not there: then it holds nothing.
    return [];
  }
}

function text(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    // A process that ended meanwhile.
    return '';
  }
}

test.run();

/**
 * Child processes: one that runs to its end with a time limit, and one that goes on until it is stopped. Whatever is
 * started here is remembered, and killed when this process leaves: a test that fails half way leaves nothing running.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { constants } from 'node:os';

export interface Outcome {
  readonly stdout: string;
  readonly stderr: string;
  /** The exit code, or 128 + the signal's number as a shell would say. */
  readonly code: number;
}

export interface CommandOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string;
  /** After it the process is killed and the outcome is code 137. Default 60 s. */
  readonly timeoutMs?: number;
  readonly cwd?: string;
}

/** A process that goes on by itself. */
export interface Running {
  readonly pid: number;
  readonly argv: readonly string[];
  isRunning(): boolean;
  /** What it has written so far. */
  stdout(): string;
  stderr(): string;
  /** Resolves when it has ended, whatever ended it. */
  readonly ended: Promise<Outcome>;
  signal(name: NodeJS.Signals): void;
  /** Asks it to end, waits, and after the limit kills it. Safe to call when it has ended. */
  stop(name?: NodeJS.Signals, limitMs?: number): Promise<Outcome>;
  /** Waits until its output contains a text. @throws when it ends or the limit passes before */
  waitFor(text: string, limitMs?: number): Promise<void>;
}

const started = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of started) child.kill('SIGKILL');
});

/** Starts a process. @throws when there is no such program */
export async function start(argv: readonly string[], options: CommandOptions = {}): Promise<Running> {
  const [program = '', ...parameters] = argv;
  const child = spawn(program, parameters, {
    env: { ...process.env, ...options.env },
    cwd: options.cwd,
    stdio: [options.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
  });
  const text = { stdout: '', stderr: '' };
  child.stdout?.setEncoding('utf8').on('data', (chunk: string) => (text.stdout += chunk));
  child.stderr?.setEncoding('utf8').on('data', (chunk: string) => (text.stderr += chunk));
  // A program that ends without reading its input is judged by its exit code.
  child.stdin?.on('error', () => undefined).end(options.input);
  started.add(child);
  const ended = new Promise<Outcome>((resolve) => {
    child.on('close', (code, signal) => {
      started.delete(child);
      resolve({ ...text, code: code ?? 128 + signalNumber(signal) });
    });
  });
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', (cause) => reject(new Error(`${program} cannot be started: ${cause.message}`, { cause })));
  });
  return running(child, argv, text, ended);
}

function running(
  child: ChildProcess,
  argv: readonly string[],
  text: { readonly stdout: string; readonly stderr: string },
  ended: Promise<Outcome>,
): Running {
  const isRunning = () => child.exitCode === null && child.signalCode === null;
  return {
    pid: child.pid ?? 0,
    argv,
    isRunning,
    stdout: () => text.stdout,
    stderr: () => text.stderr,
    ended,
    signal: (name) => void child.kill(name),
    async stop(name = 'SIGTERM', limitMs = 10_000) {
      if (isRunning()) child.kill(name);
      const timer = setTimeout(() => child.kill('SIGKILL'), limitMs);
      return ended.finally(() => clearTimeout(timer));
    },
    async waitFor(wanted, limitMs = 10_000) {
      const deadline = Date.now() + limitMs;
      while (!(text.stdout + text.stderr).includes(wanted)) {
        const problem = isRunning() ? (Date.now() > deadline ? `not within ${limitMs} ms` : '') : 'it ended';
        if (problem !== '') throw new Error(`${argv.join(' ')}: "${wanted}" not said, ${problem}: ${text.stderr}`);
        await pause(10);
      }
    },
  };
}

/** Runs a command to its end; a failure is a value. */
export async function attempt(argv: readonly string[], options: CommandOptions = {}): Promise<Outcome> {
  const process = await start(argv, options);
  const timer = setTimeout(() => process.signal('SIGKILL'), options.timeoutMs ?? 60_000);
  return process.ended.finally(() => clearTimeout(timer));
}

/** Runs a command to its end. @returns its standard output, trimmed; @throws with what it said when it fails */
export async function run(argv: readonly string[], options: CommandOptions = {}): Promise<string> {
  const outcome = await attempt(argv, options);
  if (outcome.code === 0) return outcome.stdout.trim();
  const said = outcome.stderr.trim() || outcome.stdout.trim();
  throw new Error(`exit code ${outcome.code} of ${argv.join(' ')}: ${said}`);
}

/** Waits. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Asks until the answer is yes. @throws naming what was waited for when the limit passes */
export async function eventually(
  what: string,
  isSo: () => Promise<boolean> | boolean,
  limits: { readonly limitMs?: number; readonly everyMs?: number } = {},
): Promise<void> {
  const limitMs = limits.limitMs ?? 10_000;
  const deadline = Date.now() + limitMs;
  while (!(await isSo())) {
    if (Date.now() > deadline) throw new Error(`not within ${limitMs} ms: ${what}`);
    await pause(limits.everyMs ?? 50);
  }
}

function signalNumber(signal: NodeJS.Signals | null): number {
  if (signal === null) return 0;
  return constants.signals[signal];
}

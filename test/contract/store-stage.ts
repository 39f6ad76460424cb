/**
 * Where the store contract is played: one kind of store, opened as often as a test likes, with clients in other
 * processes where there can be any. And what the tests ask of a watch.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Store, StoreEntry, WatchEvent } from '../../src/ports/store.ts';
import { createMemoryStore, createMemoryTable } from '../../src/store/memory.ts';
import { openStore } from '../../src/store/open.ts';
import { startConsulProcess } from '../kit/consul-process.ts';
import { bytes, text, type Work, work } from './store-work.ts';

export interface Stage {
  open(): Promise<Store>;
  /** Another client at work. */
  employ(task: Work): Worker;
  close(): Promise<void>;
}

export interface Worker {
  /** Its first line of output. */
  readonly line: Promise<string>;
  /** Ends it at once, with no chance to tidy up. */
  kill(): Promise<void>;
}

export function memoryStage(): Stage {
  const table = createMemoryTable();
  const employ = (task: Work): Worker => {
    const store = createMemoryStore({ table });
    const line = new Promise<string>((resolve, reject) => void work(store, task, resolve).catch(reject));
    return { line, kill: () => store.close() };
  };
  return { open: async () => createMemoryStore({ table }), employ, close: async () => undefined };
}

export async function lmdbStage(): Promise<Stage & { readonly directory: string; readonly url: string }> {
  const directory = await mkdtemp(join(tmpdir(), 'weft-lmdb-'));
  const url = `lmdb://${directory}/store`;
  return {
    directory: join(directory, 'store'),
    url,
    open: () => openStore(url),
    employ: (task) => employProcess(url, task),
    close: () => rm(directory, { recursive: true, force: true }),
  };
}

export async function consulStage(): Promise<Stage> {
  const consul = await startConsulProcess();
  return {
    open: () => openStore(consul.url),
    employ: (task) => employProcess(consul.url, task),
    close: () => consul.remove(),
  };
}

const workerFile = fileURLToPath(new URL('store-worker.ts', import.meta.url));

/** `wrapper`: a command that runs another one, such as `unshare --net`. */
export function employProcess(url: string, task: Work, wrapper: readonly string[] = []): Worker {
  const program = [process.execPath, '--import', 'tsx', workerFile, url, JSON.stringify(task)];
  const command = ['--pdeathsig', 'KILL', ...wrapper, ...program];
  const child = spawn('setpriv', command, { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  let complaints = '';
  child.stderr.on('data', (chunk) => {
    complaints += chunk;
  });
  const line = new Promise<string>((resolve, reject) => {
    child.stdout.on('data', (chunk) => {
      output += chunk;
      if (output.includes('\n')) resolve(output.trim());
    });
    child.once('exit', (code) => reject(new Error(`the worker ended with ${code}: ${complaints}`)));
  });
  line.catch(() => undefined); // Killed on purpose: whoever waits for its line sees the rejection all the same.
  const kill = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  };
  return { line, kill };
}

/** Events of a watch in the order of their coming, each to be waited for. */
export interface Observed {
  /** The next event. @throws after the limit */
  next(limitMs?: number): Promise<WatchEvent>;
  /** Passes over events until a snapshot satisfies the check. @throws after the limit */
  until(check: (state: ReadonlyMap<string, string>) => boolean, limitMs?: number): Promise<readonly StoreEntry[]>;
  /** How many there have been. */
  count(): number;
  end(): Promise<void>;
}

export function observe(store: Store, prefix: string): Observed {
  const stop = new AbortController();
  const events: WatchEvent[] = [];
  let wake: () => void = () => undefined;
  let taken = 0;
  const collect = async () => {
    for await (const event of store.watch(prefix, stop.signal)) {
      events.push(event);
      wake();
    }
  };
  const running = collect();
  const next = async (limitMs = 5_000): Promise<WatchEvent> => {
    const event = events[taken];
    if (event === undefined) {
      await within(limitMs, 'the watch shows nothing', new Promise<void>((resolve) => (wake = resolve)));
      return next(limitMs);
    }
    taken += 1;
    return event;
  };
  return {
    next,
    async until(check, limitMs = 5_000) {
      const end = Date.now() + limitMs;
      for (;;) {
        const event = await next(Math.max(1, end - Date.now()));
        if (event.kind === 'snapshot' && check(contents(event.entries))) return event.entries;
      }
    },
    count: () => events.length,
    async end() {
      stop.abort();
      await within(1_000, 'the watch does not end', running);
    },
  };
}

export function contents(entries: Iterable<StoreEntry>): ReadonlyMap<string, string> {
  return new Map(Array.from(entries, ({ key, value }) => [key, text(value)]));
}

export async function put(store: Store, key: string, value: string): Promise<number> {
  const result = await store.commit([{ kind: 'put', key, value: bytes(value), expect: 'any' }]);
  if (!result.committed) throw new Error(`a put without condition was refused: ${key}`);
  return result.revision;
}

/** @throws when the task takes longer */
export async function within<T>(limitMs: number, complaint: string, task: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${complaint}, for ${limitMs} ms`)), limitMs);
  });
  return Promise.race([task, late]).finally(() => clearTimeout(timer));
}

/** The error that the task ends with. @throws when it does not */
export async function failureOf(task: Promise<unknown>): Promise<{ readonly code?: string; readonly message: string }> {
  const outcome = await task.then(
    (value) => ({ value }),
    (error: Error) => ({ error }),
  );
  if ('error' in outcome) return outcome.error;
  throw new Error(`it should have failed and gave ${JSON.stringify(outcome.value)}`);
}

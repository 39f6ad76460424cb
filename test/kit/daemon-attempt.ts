/**
 * One try to start a daemon that is meant to fail: with flags of its own on a lab's node, run to its end, and looked at
 * for what it said and for what it left.
 */

import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import type { Outcome } from './command.ts';
import type { Lab } from './lab.ts';
import type { LabNode } from './node.ts';
import { type NodeState, readLmdb, readNode, type StoreRecords } from './node-state.ts';
import { weftProgram } from './paths.ts';

/** Without dashes; null leaves the flag out. */
export type Flags = Readonly<Record<string, string | null>>;

export interface AttemptOptions {
  readonly flags?: Flags;
  /** More words behind the flags. */
  readonly words?: readonly string[];
  /** What runs it, such as setpriv. */
  readonly prefix?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Called with the directory before the start, to put something there. */
  readonly prepare?: (directory: string) => void | Promise<void>;
}

export interface StartAttempt {
  readonly code: number;
  /** The one line that begins with `weft:`. */
  readonly line: string;
  readonly milliseconds: number;
  /** Everything it wrote. */
  readonly output: string;
  readonly directory: string;
}

/** Implementation: Node itself needs up to a second on a busy machine, and a store may take its 2.5 s. */
const limitMs = 8_000;
let attempts = 0;

/** @throws unless the daemon ended by itself in time, with one line for a person, and left nothing behind */
export async function attemptStart(lab: Lab, host: LabNode, options: AttemptOptions = {}): Promise<StartAttempt> {
  attempts += 1;
  const directory = join(lab.directory, `attempt${attempts}`);
  mkdirSync(directory);
  await options.prepare?.(directory);
  const flags = flagsOf(lab, directory, options.flags);
  const before = await look(host, flags);
  const startedMs = performance.now();
  const words = Object.entries(flags).flatMap(([name, value]) => (value === null ? [] : [`--${name}`, value]));
  const argv = [...(options.prefix ?? []), weftProgram, 'daemon', ...words, ...(options.words ?? [])];
  const outcome = await host.exec(argv, { env: options.env ?? {}, timeoutMs: 20_000 });
  const milliseconds = performance.now() - startedMs;
  requireTraceless(before, await look(host, flags));
  const line = requireOneLine(outcome);
  assert.ok(milliseconds < limitMs, `it took ${Math.round(milliseconds)} ms: ${line}`);
  return { code: outcome.code, line, milliseconds, output: outcome.stdout + outcome.stderr, directory };
}

export function flagsOf(lab: Lab, directory: string, change: Flags = {}): Flags {
  return {
    node: 'attempt',
    store: `lmdb://${join(directory, 'store')}`,
    'plugin-socket': join(directory, 'plugin.sock'),
    'control-socket': join(directory, 'control.sock'),
    'state-dir': join(directory, 'state'),
    'bpf-dir': join(lab.directory, 'bpf', directory.slice(lab.directory.length + 1)),
    metrics: 'off',
    'docker-socket': 'off',
    ...change,
  };
}

interface Seen {
  readonly node: NodeState;
  readonly sockets: readonly string[];
  readonly store: StoreRecords;
}

async function look(host: LabNode, flags: Flags): Promise<Seen> {
  const text = (name: string) => flags[name] ?? '/nowhere';
  const node = await readNode(host, { bpfDir: text('bpf-dir'), stateDir: text('state-dir') }, null);
  return {
    node,
    sockets: [text('plugin-socket'), text('control-socket')].filter((path) => existsSync(path)),
    store: await recordsOf(text('store')),
  };
}

async function recordsOf(url: string): Promise<StoreRecords> {
  if (!url.startsWith('lmdb:') || !existsSync(join(url.slice('lmdb://'.length), 'data.mdb'))) return {};
  const reader = await readLmdb(url).catch(() => null);
  if (reader === null) return {};
  const records = await reader.records();
  await reader.close();
  return records;
}

/** The node's id and the anchor of the nodes are made once and for all; an epoch counts attempts. */
function requireTraceless(before: Seen, after: Seen): void {
  const lasting = ({ node, store, sockets }: Seen) => ({
    sockets,
    pins: node.pins,
    devices: node.devices,
    tables: node.tables,
    journal: Object.entries(node.journal).filter(([path]) => path !== 'node-id'),
    store: Object.entries(store).filter(([key]) => key !== 'n/_'),
  });
  assert.equal(lasting(after), lasting(before), 'something was left behind');
}

/** All else on stderr is the log, in JSON. */
function requireOneLine({ stdout, stderr, code }: Outcome): string {
  assert.is(stdout, '');
  const lines = stderr.trimEnd().split('\n');
  const [line = '', ...more] = lines.filter((each) => !each.startsWith('{'));
  assert.equal(more, [], `more than one line: ${stderr}`);
  assert.match(line, /^weft: \S/, `it ended with code ${code}: ${stderr}`);
  assert.not.match(line, /(?<!received )undefined|\[object|\{\w+\}|TypeError|RangeError|file:\/\/|node:internal/);
  return line;
}

/** The meter (meter.c), compiled when its source is newer, run over paths between network namespaces. */

import { existsSync, mkdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { run } from '../test/kit/command.ts';
import { netnsPath } from '../test/kit/netns.ts';
import { repositoryRoot } from '../test/kit/paths.ts';
import type { Mode } from './results.ts';

/** From a namespace to an address in another one. */
export interface Path {
  readonly label: string;
  readonly from: string;
  readonly to: string;
  readonly address: string;
  /** What is put into place at each of its turns: LINK=PROGRAM, both pinned. */
  readonly swaps?: readonly string[];
}

export interface Load {
  readonly mode: Mode;
  readonly bytes: number;
  readonly rounds: number;
}

/** One line of the meter. Without a sample it has no times. */
export interface Measured {
  readonly label: string;
  readonly medianNs?: number;
  readonly p99Ns?: number;
  /** By how much its turns exceed those of the first path, round by round. */
  readonly overFirstNs?: number;
  readonly samples: number;
  readonly lost: number;
}

const program = join(repositoryRoot, 'native', 'build', 'meter');
const sources = ['meter.c', 'meter-path.h'].map((name) => join(import.meta.dirname, name));
const limitMs = 300_000;

export async function buildMeter(): Promise<void> {
  const newestMs = Math.max(...sources.map((source) => statSync(source).mtimeMs));
  if (existsSync(program) && statSync(program).mtimeMs >= newestMs) return;
  mkdirSync(dirname(program), { recursive: true });
  await run(['cc', '-std=gnu11', '-O2', '-Wall', '-Wextra', '-Werror', '-o', program, sources[0] ?? '']);
}

/** @returns one result per path, in their order */
export async function measure(paths: readonly Path[], load: Load, env: Readonly<Record<string, string>>) {
  const words = paths.map(({ label, from, to, address, swaps = [] }) =>
    [label, netnsPath(from), netnsPath(to), address, ...swaps].join(','),
  );
  const said = await run([program, load.mode, String(load.bytes), String(load.rounds), ...words], {
    timeoutMs: limitMs,
    env,
  });
  return said.split('\n').map((line) => JSON.parse(line) as Measured);
}

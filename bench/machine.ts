/** What was measured, and on what. */

import { cpus, loadavg, release, totalmem } from 'node:os';
import { readVersion } from '../src/version.ts';
import { attempt } from '../test/kit/command.ts';
import { repositoryRoot } from '../test/kit/paths.ts';
import type { Machine, Results } from './results.ts';

export function currentLoad(): number {
  return Math.round((loadavg()[0] ?? 0) * 100) / 100;
}

export function describeMachine(loadBefore: number): Machine {
  return {
    kernel: release(),
    cpu: cpus()[0]?.model ?? 'unknown',
    cpus: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    node: process.version,
    loadBefore,
  };
}

/** `isModified`: files of the clone differ from the commit. */
export async function describeWeft(): Promise<Results['weft']> {
  const git = async (...argv: string[]) => (await attempt(['git', '-C', repositoryRoot, ...argv])).stdout.trim();
  const commit = (await git('rev-parse', '--short=12', 'HEAD')) || 'unknown';
  return { version: readVersion(), commit, isModified: (await git('status', '--porcelain')) !== '' };
}

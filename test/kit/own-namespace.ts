/**
 * A test file in namespaces of its own. The file runs itself again under unshare: an empty network namespace, a mount
 * namespace with a bpf file system on a temporary directory, and a process namespace whose end takes along whatever
 * the test started. So nothing the test makes can be seen from outside or outlive it.
 */

import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface OwnNamespace {
  /** Where the bpf file system is mounted; named alike for every process started from the test. */
  readonly bpfRoot: string;
}

const variable = 'WEFT_TEST_BPF_ROOT';

/** In the process that was started, never returns: it becomes the exit code of the one inside. */
export function enterOwnNamespace(testFile: string): OwnNamespace {
  const bpfRoot = process.env[variable];
  if (bpfRoot !== undefined) {
    run('mount', '-t', 'bpf', 'bpf', bpfRoot);
    run('ip', 'link', 'set', 'lo', 'up');
    // Names of namespaces are files, and these are the test's own too.
    mkdirSync('/run/netns', { recursive: true });
    run('mount', '-t', 'tmpfs', 'tmpfs', '/run/netns');
    return { bpfRoot };
  }
  process.exit(runInside(fileURLToPath(testFile)));
}

/** Runs a command to its end. @returns its standard output; @throws with what it said when it fails */
export function run(command: string, ...parameters: readonly string[]): string {
  const { status, stdout, stderr, error } = spawnSync(command, parameters, { encoding: 'utf8' });
  if (status === 0) return stdout;
  throw new Error(`${command} ${parameters.join(' ')}: ${error?.message ?? (stderr || stdout)}`);
}

function runInside(file: string): number {
  const bpfRoot = mkdtempSync(join(tmpdir(), `wft-${process.pid}-bpf-`));
  const inside = ['--net', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc', process.execPath];
  try {
    const { status } = spawnSync('unshare', [...inside, ...process.execArgv, file], {
      stdio: 'inherit',
      // Each netlink socket keeps a thread of the pool (measured).
      env: { ...process.env, [variable]: bpfRoot, UV_THREADPOOL_SIZE: '16' },
    });
    return status ?? 1;
  } finally {
    rmSync(bpfRoot, { recursive: true });
  }
}

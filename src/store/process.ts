/** Who a process of this machine is, so that a recycled process id is not taken for the one that had it before. */

import { readFileSync } from 'node:fs';

export interface ProcessMark {
  readonly pid: number;
  /** Clock ticks after boot at which it started (proc(5), stat field 22). */
  readonly started: string;
  readonly boot: string;
}

export function ownProcess(): ProcessMark {
  return { pid: process.pid, started: startOf('self') ?? '', boot: currentBoot() };
}

/** A zombie is dead: it will never run again. */
export function isProcessAlive({ pid, started, boot }: ProcessMark): boolean {
  return boot === currentBoot() && startOf(pid) === started;
}

function currentBoot(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
}

/** Null when there is no such process, or only what is left of it. */
function startOf(pid: number | 'self'): string | null {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch (error) {
    if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return null;
    throw error;
  }
  // The name, in parentheses, may hold spaces and parentheses of its own: count from its end.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [state, started] = [fields[0], fields[19]];
  return state === 'Z' || state === 'X' || started === undefined ? null : started;
}

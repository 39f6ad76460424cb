/**
 * Runs something that makes a lab, so that nothing of it is left however it ends: by itself, by an error, or by Ctrl-C,
 * SIGTERM or SIGHUP at any moment.
 *
 *   1 the lab itself closes in order, also when a signal comes (test/kit/lab.ts)
 *   2 behind it, when this process exits and can start nothing more, whatever still carries its mark is removed: what
 *     was just being made when the signal came
 */

import { findLeftovers, findProcesses, type Leftover, removeLeftovers } from '../test/kit/leftovers.ts';

const signals = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

/** @param tell gets one line, of an error or an interruption. Sets the exit code: 0 done, 1 failed, 128 + signal */
export async function guarded(tell: (line: string) => void, body: () => Promise<void>): Promise<void> {
  let interrupted = false;
  let running = false;
  for (const [signal, code] of Object.entries(signals)) {
    // Stays in place: a second Ctrl-C must not stop the removal half way.
    process.on(signal, () => {
      if (!interrupted) tell(`${signal}: ending and removing everything`);
      interrupted = true;
      if (!running) process.exit(code);
    });
  }
  // Whoever read the output has gone; there is nobody to show anything to.
  process.stdout.on('error', () => process.kill(process.pid, 'SIGTERM'));
  // npm hands a SIGTERM on to the shell between it and this process, which just dies of it.
  const parent = process.ppid;
  setInterval(() => {
    if (process.ppid !== parent && !interrupted) process.kill(process.pid, 'SIGTERM');
  }, 200).unref();
  process.on('exit', sweep);
  running = true;
  try {
    await body();
  } catch (error) {
    // What ran was ended under its feet; the lab leaves with the signal's code when it is gone.
    if (interrupted) return;
    tell(oneLine(error));
    process.exitCode = 1;
  }
}

/** @throws naming what this process made and is still there */
export function requireNothingLeft(): void {
  const left = made().map(({ kind, name }) => `${kind} ${name}`);
  if (left.length > 0) throw new Error(`left behind: ${left.join(', ')}`);
}

/** Removes what this process made; twice, because a process that is being killed may finish a last step. */
function sweep(): void {
  removeLeftovers(made());
  const failures = removeLeftovers(made());
  if (failures.length === 0) return;
  process.stderr.write(`not removed: ${failures.join('; ')}\n`);
  process.exitCode = 1;
}

function made(): readonly Leftover[] {
  const prefix = `wft-${process.pid}-`;
  return [...findProcesses('WEFT_LAB', `${prefix}1`), ...findLeftovers((name) => name.startsWith(prefix))];
}

function oneLine(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.trim().replaceAll(/\s*\n\s*/g, ' ');
}

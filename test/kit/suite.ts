/**
 * A uvu suite that cannot pass by accident. Plain uvu exits 0 when a `before` hook throws and when `run()` is
 * forgotten; here a failed `before` fails every test of the suite, and a suite that never ran fails the process.
 */

import * as uvu from 'uvu';

/** Suites declared but not yet run. */
const pending = new Set<string>();

process.on('exit', () => {
  if (pending.size === 0) return;
  process.exitCode = 1;
  process.stderr.write(`suites never run: ${[...pending].join(', ')}\n`);
});

/** Declares a suite; call `.run()` on it at the end of the file. Names are unique within a process. */
export function suite<Context extends object>(name: string, context?: Context): uvu.Test<Context> {
  const test = uvu.suite<Context>(name, context);
  const { before, run } = test;
  const setUp: { failed: boolean; error: unknown } = { failed: false, error: undefined };

  test.before = Object.assign(
    (hook: uvu.Callback<Context>) =>
      before(async (state) => {
        try {
          await hook(state);
        } catch (error) {
          setUp.failed = true;
          setUp.error = error;
        }
      }),
    { each: before.each },
  );
  before.each(() => {
    if (setUp.failed) throw setUp.error;
  });

  pending.add(name);
  test.run = () => {
    pending.delete(name);
    run();
  };
  return test;
}

/**
 * A uvu suite that cannot pass by accident. Plain uvu exits 0 when a `before` hook throws, when `run()` is forgotten,
 * and when an `after.each` hook throws behind a failed test. Here whatever goes wrong is remembered, and the process
 * fails for it at its exit, whatever uvu made of it.
 */

import * as uvu from 'uvu';
import { Assertion } from 'uvu/assert';

/** Suites declared but not yet run. */
const pending = new Set<string>();
let hasFailed = false;

process.on('exit', () => {
  if (pending.size > 0) process.stderr.write(`suites never run: ${[...pending].join(', ')}\n`);
  if (pending.size > 0 || hasFailed) process.exitCode = 1;
});

export interface SuiteOptions {
  /** Each test goes on where the one before it ended: after a failure the rest fails at once. */
  readonly isSequence?: boolean;
}

/** Declares a suite; call `.run()` on it at the end of the file. Names are unique within a process. */
export function suite<Context extends object>(
  name: string,
  context?: Context,
  options: SuiteOptions = {},
): uvu.Test<Context> {
  const inner = uvu.suite<Context>(name, context);
  const setUp: { failed: boolean; error: unknown } = { failed: false, error: undefined };
  const before = (hook: uvu.Callback<Context>) =>
    inner.before(async (state) => {
      try {
        await hook(state);
      } catch (error) {
        setUp.failed = true;
        setUp.error = error;
      }
    });
  inner.before.each(() => {
    if (setUp.failed) throw setUp.error;
  });

  let failed: string | null = null;
  const remembered = (title: string, body: uvu.Callback<Context>): uvu.Callback<Context> => {
    return async (state) => {
      if (failed !== null && options.isSequence) throw new Error(`not tried: "${failed}" failed before it`);
      try {
        await body(state);
      } catch (error) {
        hasFailed = true;
        failed ??= title;
        // At once: uvu tells at the end, which a file that is ended for its time does not reach.
        process.stderr.write(`\n${name}: "${title}": ${messageOf(error)}\n`);
        throw printable(error);
      }
    };
  };
  const declare = (title: string, body: uvu.Callback<Context>) => inner(title, remembered(title, body));
  pending.add(name);
  return Object.assign(declare, {
    only: (title: string, body: uvu.Callback<Context>) => inner.only(title, remembered(title, body)),
    skip: inner.skip,
    before: Object.assign(before, {
      each: (hook: uvu.Callback<Context>) => inner.before.each(remembered('before each', hook)),
    }),
    after: Object.assign((hook: uvu.Callback<Context>) => inner.after(told(name, hook)), {
      each: (hook: uvu.Callback<Context>) => inner.after.each(told(name, hook)),
    }),
    run: () => {
      pending.delete(name);
      inner.run();
    },
  });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** uvu prints its own assertions; of another error it takes `details` for text, and ours is an object. */
function printable(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof Assertion) return error;
  return Object.assign(new Error(error.message), { stack: error.stack ?? error.message });
}

/** uvu swallows what a clean-up throws when a test has failed before it, so it is printed here. */
function told<Context>(name: string, hook: uvu.Callback<Context>): uvu.Callback<Context> {
  return async (state) => {
    try {
      await hook(state);
    } catch (error) {
      hasFailed = true;
      process.stderr.write(`${name}: clean-up failed: ${error instanceof Error ? error.stack : String(error)}\n`);
      throw error;
    }
  };
}

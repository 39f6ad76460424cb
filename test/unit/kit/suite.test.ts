/** The guard itself: a process whose suite went wrong in any way must not exit with 0. */

import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { suite } from '../../kit/suite.ts';

const test = suite('kit/suite');
const here = import.meta.dirname;

function exitCodeOf(body: string): number | null {
  const directory = mkdtempSync(join(here, '.tmp-suite-'));
  try {
    const path = join(directory, 'case.ts');
    writeFileSync(path, `import { suite } from '../../../kit/suite.ts';\nconst t = suite('case', {});\n${body}\n`);
    return spawnSync(process.execPath, ['--import', 'tsx', path], { timeout: 20_000 }).status;
  } finally {
    rmSync(directory, { recursive: true });
  }
}

test('a suite in which all went well passes', () => {
  assert.is(exitCodeOf(`t('a', () => {}); t.run();`), 0);
});

const wrong: Readonly<Record<string, string>> = {
  'a failed test': `t('a', () => { throw new Error('x'); }); t.run();`,
  'a suite that was never run': `t('a', () => {});`,
  'a failed before': `t.before(() => { throw new Error('x'); }); t('a', () => {}); t.run();`,
  'a failed before.each': `t.before.each(() => { throw new Error('x'); }); t('a', () => {}); t.run();`,
  'a failed after': `t.after(() => { throw new Error('x'); }); t('a', () => {}); t.run();`,
  'a failed after.each': `t.after.each(() => { throw new Error('x'); }); t('a', () => {}); t.run();`,
  'a failed test whose clean-up fails too': `t('a', () => { throw new Error('x'); }); t.after.each(() => { throw new Error('y'); }); t.run();`,
  'an error with details that uvu cannot print': `t('a', () => { throw Object.assign(new Error('x'), { details: {} }); }); t.run();`,
  'a promise that never settles': `t('a', () => new Promise(() => {})); t.run();`,
};
for (const [what, body] of Object.entries(wrong)) {
  test(`${what} fails the process`, () => assert.is(exitCodeOf(body), 1));
}

test('a sequence goes no further than its first failure', () => {
  const body = `const s = suite('s', undefined, { isSequence: true });
    s('a', () => { throw new Error('x'); }); s('b', () => process.exit(0)); s.run(); t('c', () => {}); t.run();`;
  assert.is(exitCodeOf(body), 1);
});

test.run();

/** What a log line looks like, and what is never in one. */

import { spawnSync } from 'node:child_process';
import * as assert from 'uvu/assert';
import { createLog } from '../../../src/log.ts';
import { suite } from '../../kit/suite.ts';

const test = suite('the log');

const secret = '5e5a-"me"-0pen';

function lines(write: (log: ReturnType<typeof createLog>) => void): string[] {
  const written: string[] = [];
  const settings = { level: 'info', node: 'alpha', secrets: [secret] } as const;
  write(createLog(settings, { write: (line) => written.push(line) }));
  return written;
}

test('a line is JSON with time, level by name, node, fields and event', () => {
  const [line] = lines((log) => log.info({ vni: 4097 }, 'network created'));

  const { time, ...rest } = JSON.parse(line ?? '');
  assert.match(time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  assert.equal(rest, { level: 'info', node: 'alpha', vni: 4097, msg: 'network created' });
});

test('lines below the level are not written', () => {
  assert.equal(
    lines((log) => log.debug({}, 'plugin call answered')),
    [],
  );
});

test('an error keeps its message and stack', () => {
  const [line] = lines((log) => log.error({ error: new Error('no such device') }, 'apply failed'));

  const { error } = JSON.parse(line ?? '');
  assert.is(error.message, 'no such device');
  assert.match(error.stack, 'log.test.ts');
});

test('a secret gets out of no field, text or error', () => {
  const written = lines((log) => {
    log.info({ token: 'short' }, 'store opened');
    log.info({ store: { token: 'short' } }, 'store opened');
    log.warn({ url: `http://h/v1/kv?token=${secret}` }, `retrying with ${secret}`);
    log.error({ error: new Error(`403 for ${secret}`) }, 'store failed');
  }).join('');

  assert.not.match(written, 'short');
  assert.not.match(written, '5e5a');
  for (const line of written.trim().split('\n')) JSON.parse(line);
});

test('the last line before an exit reaches stderr', () => {
  const source = new URL('../../../src/log.ts', import.meta.url).href;
  const program = `
    const { createLog } = await import('${source}');
    const log = createLog({ level: 'info', node: 'alpha', secrets: [] });
    for (let count = 0; count < 2000; count++) log.info({ count }, 'x'.repeat(50));
    process.exit(3);`;

  const run = spawnSync(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', program], {
    encoding: 'utf8',
  });

  assert.is(run.status, 3);
  assert.is(JSON.parse(run.stderr.trim().split('\n').at(-1) ?? '').count, 1999);
});

test.run();

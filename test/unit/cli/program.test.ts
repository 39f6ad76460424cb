/** bin/weft itself: which program it starts, in which process, and with how large a thread pool. */

import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import * as assert from 'uvu/assert';
import { readVersion } from '../../../src/version.ts';
import { suite } from '../../kit/suite.ts';

const test = suite('the program', { directory: '' });

const run = promisify(execFile);
const clone = join(import.meta.dirname, '..', '..', '..');

/** Stands for the built program: keeps the pool busy and tells about its process. */
const witness = `
  import { pbkdf2 } from 'node:crypto';
  import { readdirSync } from 'node:fs';
  await Promise.all(Array.from({ length: 32 }, () => new Promise((done) => pbkdf2('a', 'b', 5_000, 8, 'sha512', done))));
  const threads = readdirSync('/proc/self/task').length;
  console.log(JSON.stringify({ pid: process.pid, words: process.argv.slice(2), threads }));`;

test.before(async (context) => {
  context.directory = await mkdtemp(join(tmpdir(), 'weft-program-'));
  await cp(join(clone, 'bin'), join(context.directory, 'bin'), { recursive: true });
  await writeFile(join(context.directory, 'package.json'), '{ "type": "module" }');
});

test.after(async ({ directory }) => {
  await rm(directory, { recursive: true });
});

test('in a clone it runs the command', async () => {
  const { stdout } = await run(join(clone, 'bin', 'weft'), ['--version']);

  assert.is(stdout, `weft ${readVersion()}\n`);
});

test('neither built nor in a clone it says so', async ({ directory }) => {
  const error = await run(join(directory, 'bin', 'weft'), ['status']).catch((reason: unknown) => reason);

  assert.instance(error, Error);
  assert.match(String(Object(error).stderr), /^weft: not built; run npm run setup\n$/);
  assert.is(Object(error).code, 1);
});

test('the daemon is the very process that was started, with the words it was given', async ({ directory }) => {
  await build(directory);
  const child = spawn(join(directory, 'bin', 'weft'), ['daemon', '--port', '1'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });

  await once(child, 'close');

  assert.is(JSON.parse(text).pid, child.pid);
  assert.equal(JSON.parse(text).words, ['daemon', '--port', '1']);
});

test('the thread pool has 16 workers, unless the environment says otherwise', async ({ directory }) => {
  await build(directory);
  const threads = async (environment: NodeJS.ProcessEnv): Promise<number> => {
    const { UV_THREADPOOL_SIZE: _, ...inherited } = process.env;
    const { stdout } = await run(join(directory, 'bin', 'weft'), [], { env: { ...inherited, ...environment } });
    return JSON.parse(stdout).threads;
  };

  const byItself = await threads({});
  const told = await threads({ UV_THREADPOOL_SIZE: '3' });

  assert.is(byItself - told, 13);
});

test.run();

async function build(directory: string): Promise<void> {
  await mkdir(join(directory, 'dist'), { recursive: true });
  await writeFile(join(directory, 'dist', 'main.js'), witness);
}

/** Unix sockets of the daemon, on real ones in a directory of its own. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { isOverlayError } from '../../../src/errors.ts';
import { listenUnix } from '../../../src/socket/listen.ts';
import { suite } from '../../kit/suite.ts';

const test = suite('listening on a unix socket', { directory: '' });

test.before.each(async (context) => {
  context.directory = await mkdtemp(join(tmpdir(), 'weft-listen-'));
});

test.after.each(async (context) => {
  await rm(context.directory, { recursive: true });
});

test('a socket appears with mode 0600 in a created directory of mode 0700, and nothing else does', async (context) => {
  const path = join(context.directory, 'deep', 'weft.sock');
  const server = createServer();

  await listenUnix(server, path, '--control-socket');

  assert.is((await stat(path)).mode & 0o777, 0o600);
  assert.is((await stat(join(context.directory, 'deep'))).mode & 0o777, 0o700);
  assert.equal(await readdir(join(context.directory, 'deep')), ['weft.sock']);
  assert.ok(await canConnect(path));
  await closed(server);
});

test('the path is gone after the server closed', async (context) => {
  const path = join(context.directory, 'weft.sock');
  const server = createServer();
  await listenUnix(server, path, '--control-socket');

  await closed(server);

  assert.equal(await readdir(context.directory), []);
});

test('a path served by a living process is refused and left alone', async (context) => {
  const path = join(context.directory, 'weft.sock');
  const first = createServer();
  await listenUnix(first, path, '--control-socket');
  const second = createServer();

  const error = await failure(listenUnix(second, path, '--plugin-socket'));

  assert.ok(isOverlayError(error, 'SOCKET_IN_USE'));
  assert.match(error.message, '--plugin-socket');
  assert.not.ok(second.listening);
  assert.ok(await canConnect(path));
  assert.equal(await readdir(context.directory), ['weft.sock']);
  await closed(first);
});

test('the socket of a killed process is replaced', async (context) => {
  const path = join(context.directory, 'weft.sock');
  await leaveStale(path);
  assert.not.ok(await canConnect(path));
  const server = createServer();

  await listenUnix(server, path, '--control-socket');

  assert.ok(await canConnect(path));
  assert.equal(await readdir(context.directory), ['weft.sock']);
  await closed(server);
});

test('of many that start at once over a stale socket exactly one wins', async (context) => {
  const path = join(context.directory, 'weft.sock');
  await leaveStale(path);
  const servers = Array.from({ length: 8 }, () => createServer());

  const outcomes = await Promise.allSettled(servers.map((server) => listenUnix(server, path, '--control-socket')));

  const winners = servers.filter((_, index) => outcomes[index]?.status === 'fulfilled');
  assert.is(winners.length, 1);
  for (const outcome of outcomes) {
    if (outcome.status === 'rejected')
      assert.ok(isOverlayError(outcome.reason, 'SOCKET_IN_USE'), String(outcome.reason));
  }
  assert.ok(await canConnect(path));
  assert.equal(await readdir(context.directory), ['weft.sock']);
  await Promise.all(winners.map(closed));
});

test('a file in the way is not removed', async (context) => {
  const path = join(context.directory, 'weft.sock');
  await writeFile(path, 'mine');

  const error = await failure(listenUnix(createServer(), path, '--control-socket'));

  assert.ok(isOverlayError(error, 'CONFIG_INVALID'));
  assert.match(error.message, 'is not a socket');
  assert.is((await stat(path)).size, 4);
});

test('a path that is too long is named as such instead of being cut off', async (context) => {
  const path = join(context.directory, 'x'.repeat(120));

  const error = await failure(listenUnix(createServer(), path, '--control-socket'));

  assert.ok(isOverlayError(error, 'CONFIG_INVALID'));
  assert.match(error.message, 'longer than 107 bytes');
});

test('a directory that cannot be made is an error of the setting', async (context) => {
  const file = join(context.directory, 'file');
  await writeFile(file, '');

  const error = await failure(listenUnix(createServer(), join(file, 'weft.sock'), '--control-socket'));

  assert.ok(isOverlayError(error, 'CONFIG_INVALID'));
  assert.match(error.message, '--control-socket');
});

test('closing does not remove the socket of the next server', async (context) => {
  const path = join(context.directory, 'weft.sock');
  const first = createServer();
  await listenUnix(first, path, '--control-socket');
  await rm(path);
  const second = createServer();
  await listenUnix(second, path, '--control-socket');

  await closed(first);

  assert.ok(await canConnect(path));
  await closed(second);
});

test.run();

async function failure(promise: Promise<void>): Promise<unknown> {
  return promise.then(
    () => assert.unreachable('it was accepted'),
    (error: unknown) => error,
  );
}

async function closed(server: Server): Promise<void> {
  server.close();
  await once(server, 'close');
}

function canConnect(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

/** A socket file whose process was killed before it could clean up. */
async function leaveStale(path: string): Promise<void> {
  const program = `require('net').createServer().listen(${JSON.stringify(path)}, () => console.log('up'))`;
  const child = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  child.kill('SIGKILL');
  await once(child, 'exit');
}

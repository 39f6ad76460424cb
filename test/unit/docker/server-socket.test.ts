/** The life of the server's socket: how it appears, whom it yields to, how it goes. */

import { link, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { createPluginServer } from '../../../src/docker/server.ts';
import { isOverlayError } from '../../../src/errors.ts';
import { suite } from '../../kit/suite.ts';
import { connect, recordingLog, startPlugin } from './engine.ts';
import { recordingVerbs } from './recording-verbs.ts';

const ids = { NetworkID: 'n'.repeat(25), EndpointID: 'e'.repeat(64) };

const test = suite('docker/server socket');

test('only root may connect, and nothing but the socket is left in its directory', async () => {
  const plugin = await startPlugin();
  const { mode } = await stat(plugin.socketPath);
  const files = await readdir(join(plugin.socketPath, '..'));
  await plugin.close();

  assert.is(mode & 0o777, 0o600);
  assert.equal(files, ['weft.sock']);
});

test('missing directories are made, and a closed server leaves no socket', async () => {
  await withDirectory(async (directory) => {
    const socketPath = join(directory, 'run/docker/plugins/weft.sock');
    const server = await createPluginServer({ ...parts(), socketPath });
    const { json } = await (await connect(socketPath)).call('Plugin.Activate');
    await Promise.all([server.close(), server.close()]);

    assert.equal(json, { Implements: ['NetworkDriver', 'IpamDriver'] });
    assert.equal(await readdir(join(socketPath, '..')), []);
  });
});

test('the socket of a dead process is replaced', async () => {
  await withDirectory(async (directory) => {
    const socketPath = join(directory, 'weft.sock');
    await leaveStaleSocket(socketPath);

    const server = await createPluginServer({ ...parts(), socketPath });
    const connection = await connect(socketPath);
    const { status } = await connection.call('Plugin.Activate');
    connection.end();
    await server.close();

    assert.is(status, 200);
  });
});

test('the socket of a living process is left alone', async () => {
  const plugin = await startPlugin();

  const error = await createPluginServer({ ...parts(), socketPath: plugin.socketPath }).catch((refused) => refused);
  const { status } = await plugin.call('Plugin.Activate');
  await plugin.close();

  assert.ok(isOverlayError(error, 'SOCKET_IN_USE'));
  assert.match(error.message, /choose another path with --plugin-socket$/);
  assert.is(status, 200);
});

test('a file that is no socket is never replaced', async () => {
  await withDirectory(async (directory) => {
    const socketPath = join(directory, 'weft.sock');
    await writeFile(socketPath, 'mine');

    const error = await createPluginServer({ ...parts(), socketPath }).catch((refused) => refused);

    assert.ok(isOverlayError(error, 'CONFIG_INVALID'));
    assert.ok((await stat(socketPath)).isFile());
  });
});

test('closing lets a call under way finish and ends its connection', async () => {
  let proceed = (): void => {};
  const arrived = new Promise<void>((resolve) => {
    proceed = resolve;
  });
  let finish = (): void => {};
  const plugin = await startPlugin({
    leave: () => {
      proceed();
      return new Promise((resolve) => {
        finish = resolve;
      });
    },
  });
  const idle = await connect(plugin.socketPath);
  await idle.call('Plugin.Activate');
  const connection = await connect(plugin.socketPath);

  const answer = connection.call('NetworkDriver.Leave', ids);
  await arrived;
  const closed = plugin.close();
  await idle.ended;
  finish();
  const { body, headers } = await answer;
  await closed;
  await connection.ended;

  assert.is(body, '{}\n');
  assert.is(headers.get('connection'), 'close');
});

function parts() {
  return { verbs: recordingVerbs().verbs, scope: 'local', log: recordingLog().log } as const;
}

async function withDirectory(task: (directory: string) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'weft-plugin-'));
  try {
    await task(directory);
  } finally {
    await rm(directory, { recursive: true });
  }
}

/** A socket that nobody listens on any more: a server removes the name it was bound under, not another one. */
async function leaveStaleSocket(path: string): Promise<void> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(`${path}.bound`, resolve));
  await link(`${path}.bound`, path);
  await new Promise((resolve) => server.close(resolve));
}

test.run();

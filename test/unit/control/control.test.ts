/** The control socket from end to end: a real server, a real client, reports from a kit. */

import { once } from 'node:events';
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { createServer, request } from 'node:http';
import { createServer as createRawServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { ask } from '../../../src/control/client.ts';
import { type ControlServer, startControlServer } from '../../../src/control/server.ts';
import { isOverlayError, type OverlayError } from '../../../src/errors.ts';
import type { Reports } from '../../../src/overlay/report.ts';
import { type RememberedLine, rememberingLog, sampleReports, sampleStatus } from '../../kit/reports.ts';
import { suite } from '../../kit/suite.ts';

const test = suite('the control socket', { directory: '', path: '' });

test.before.each(async (context) => {
  context.directory = await mkdtemp(join(tmpdir(), 'weft-control-'));
  context.path = join(context.directory, 'run', 'control.sock');
});

test.after.each(async ({ directory }) => {
  await rm(directory, { recursive: true });
});

test('each question is answered with the report as it is', async ({ path }) => {
  const server = await start(path);

  assert.equal(await ask(path, 'status'), sampleStatus);
  assert.equal(await ask(path, 'nodes'), await sampleReports.nodes());
  assert.equal(await ask(path, 'networks'), await sampleReports.networks());
  assert.equal(await ask(path, 'endpoints'), await sampleReports.endpoints());
  assert.equal(await ask(path, 'peers'), await sampleReports.peers());
  assert.equal(await ask(path, 'version'), { version: '1.2.3' });
  await server.close();
});

test('only root may connect', async ({ path, directory }) => {
  const server = await start(path);

  assert.is((await stat(path)).mode & 0o777, 0o600);
  assert.is((await stat(join(directory, 'run'))).mode & 0o777, 0o700);
  await server.close();
});

test('after close the socket is gone, also with a connection open', async ({ path, directory }) => {
  const server = await start(path, { ...sampleReports, status: () => new Promise(() => {}) });
  const hanging = ask(path, 'status').catch((error: unknown) => error);
  await ask(path, 'version');

  await server.close();

  assert.equal(await readdir(join(directory, 'run')), []);
  assert.ok(isOverlayError(await hanging, 'DAEMON_UNREACHABLE'));
});

test('a second daemon on the same path is refused', async ({ path }) => {
  const server = await start(path);

  const error = await failure(start(path));

  assert.is(error.code, 'SOCKET_IN_USE');
  assert.match(error.message, '--control-socket');
  assert.equal(await ask(path, 'version'), { version: '1.2.3' });
  await server.close();
});

test('a report that fails is logged, told to the asker, and the next one is served', async ({ path }) => {
  const lines: RememberedLine[] = [];
  const server = await start(
    path,
    { ...sampleReports, nodes: async () => Promise.reject(new Error('map is gone')) },
    lines,
  );

  const error = await failure(ask(path, 'nodes'));

  assert.is(error.code, 'DAEMON_FAILED');
  assert.match(error.message, 'map is gone');
  assert.equal(
    lines.map(({ level, event }) => [level, event]),
    [['error', 'report failed']],
  );
  assert.equal(await ask(path, 'status'), sampleStatus);
  await server.close();
});

test('an unknown path and another method are refused as JSON', async ({ path }) => {
  const server = await start(path);

  assert.equal(await raw(path, 'GET', '/v1/secrets'), [404, { error: 'there is no /v1/secrets' }]);
  assert.equal(await raw(path, 'GET', '/v1/toString'), [404, { error: 'there is no /v1/toString' }]);
  assert.equal(await raw(path, 'POST', '/v1/status'), [405, { error: 'only GET is served' }]);
  await server.close();
});

test('nobody at the path is DAEMON_UNREACHABLE with the path', async ({ path }) => {
  const error = await failure(ask(path, 'status'));

  assert.is(error.code, 'DAEMON_UNREACHABLE');
  assert.match(error.message, path);
});

test('a daemon that accepts and says nothing is given up on in time', async ({ directory }) => {
  const path = join(directory, 'mute.sock');
  const server = createRawServer((socket) => socket.resume());
  server.listen(path);
  await once(server, 'listening');
  const startedMs = performance.now();

  const error = await failure(ask(path, 'status', 200));

  assert.is(error.code, 'DAEMON_UNREACHABLE');
  assert.match(error.message, 'no answer within 200 ms');
  assert.ok(performance.now() - startedMs < 5_000);
  server.close();
});

test('an answer that stops half way is given up on in time', async ({ directory }) => {
  const path = join(directory, 'half.sock');
  const server = createRawServer((socket) => socket.write('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{"node"'));
  server.listen(path);
  await once(server, 'listening');

  const error = await failure(ask(path, 'status', 200));

  assert.is(error.code, 'DAEMON_UNREACHABLE');
  server.close();
});

test('an answer of another shape names the field', async ({ directory }) => {
  const path = join(directory, 'other.sock');
  const server = createServer((_request, response) => {
    response.end(JSON.stringify({ ...sampleStatus, store: { ...sampleStatus.store, state: 'sleepy' } }));
  });
  server.listen(path);
  await once(server, 'listening');

  const error = await failure(ask(path, 'status'));

  assert.is(error.code, 'DAEMON_FAILED');
  assert.match(error.message, 'status.store.state');
  server.close();
});

test.run();

function start(path: string, reports: Reports = sampleReports, lines: RememberedLine[] = []): Promise<ControlServer> {
  return startControlServer({ reports, version: '1.2.3', socketPath: path, log: rememberingLog(lines) });
}

async function failure(promise: Promise<unknown>): Promise<OverlayError> {
  try {
    await promise;
  } catch (error) {
    if (isOverlayError(error)) return error;
    throw error;
  }
  throw new Error('it did not fail');
}

async function raw(socketPath: string, method: string, path: string): Promise<[status: number, body: unknown]> {
  const call = request({ socketPath, method, path, agent: false });
  call.end();
  const [response] = await once(call, 'response');
  let text = '';
  for await (const chunk of response) text += chunk;
  return [response.statusCode, JSON.parse(text)];
}

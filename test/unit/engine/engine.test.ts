/** The engine's API on a real socket, served by something that answers what the test says, however odd. */

import { once } from 'node:events';
import { mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { createEngine } from '../../../src/engine/engine.ts';
import { isOverlayError } from '../../../src/errors.ts';
import { endpointId, networkId } from '../../kit/overlay-node.ts';
import { suite } from '../../kit/suite.ts';

/** What is written for a path; null: nothing, ever. */
type Answers = Readonly<Record<string, string | null>>;

interface Context {
  directory: string;
  path: string;
  server: Server | null;
  asked: string[];
  serve(answers: Answers): Promise<void>;
}

const test = suite<Context>('the engine', {} as Context);
const limits = { milliseconds: 5_000, bytes: 100_000 };
const signal = new AbortController().signal;

const json = (value: unknown, status = 200) => http(JSON.stringify(value), status);
const http = (body: string, status = 200) =>
  `HTTP/1.1 ${status} Whatever\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`;

const info = { ID: 'ONE', ServerVersion: '28.5.2', Swarm: { LocalNodeState: 'active', ControlAvailable: true } };
const blue = networkId('b1');
const whole: Answers = {
  '/info': json(info),
  '/networks': json([{ Id: blue, Name: 'blue', Driver: 'weft' }, { Id: '25wordsofbase36' }]),
  '/containers/json?all=1': json([
    {
      Id: 'c1',
      NetworkSettings: { Networks: { blue: { EndpointID: endpointId('e1') }, bridge: { EndpointID: 'x' } } },
    },
    { Id: 'stopped', NetworkSettings: { Networks: { blue: { EndpointID: '' } } } },
    { Id: 'odd', NetworkSettings: { Networks: { blue: null } } },
    { Id: 'none', NetworkSettings: null },
  ]),
  '/nodes': json([
    {
      Description: {
        Hostname: 'n1',
        Engine: {
          Plugins: [
            { Type: 'Network', Name: 'weft:latest' },
            { Type: 'Volume', Name: 'local' },
          ],
        },
      },
      Status: { State: 'ready' },
    },
    { Description: { Hostname: 'n2', Engine: { Plugins: null } }, Status: { State: 'down' } },
  ]),
  '/services': json([
    {
      Spec: { Name: 'web' },
      Endpoint: {
        VirtualIPs: [
          { NetworkID: blue, Addr: '10.0.1.2/24' },
          { NetworkID: 'z', Addr: '' },
        ],
      },
    },
  ]),
};

test.before.each(async (context) => {
  context.directory = await mkdtemp(join(tmpdir(), 'weft-engine-'));
  context.path = join(context.directory, 'docker.sock');
  context.asked = [];
  context.server = null;
  context.serve = async (answers) => {
    context.server = createServer((socket) => answer(socket, answers, context.asked)).listen(context.path);
    await once(context.server, 'listening');
  };
});

test.after.each(async ({ server, directory }) => {
  server?.close();
  await rm(directory, { recursive: true });
});

test('an inventory has the engine, its swarm, its networks, and the endpoints of containers that run', async ({
  path,
  serve,
  asked,
}) => {
  await serve(whole);

  const inventory = await createEngine(path).inventory(signal);

  assert.equal(inventory, {
    id: 'ONE',
    version: '28.5.2',
    swarm: 'manager',
    networks: new Map([
      [blue, { name: 'blue', driver: 'weft', scope: '' }],
      ['25wordsofbase36', { name: '', driver: '', scope: '' }],
    ]),
    endpoints: new Set([endpointId('e1'), 'x']),
    nodes: [
      { name: 'n1', isReady: true, plugins: new Set(['weft:latest']) },
      { name: 'n2', isReady: false, plugins: new Set() },
    ],
    services: [{ name: 'web', virtualIn: [blue] }],
  });
  const own = ['GET /info', 'GET /containers/json?all=1', 'GET /networks'];
  assert.equal(asked, [...own, 'GET /nodes', 'GET /services']);
});

test('a manager that cannot answer for the swarm still answers for itself', async ({ path, serve }) => {
  const answers: Record<string, string> = { ...(whole as Record<string, string>) };
  answers['/nodes'] = json({ message: 'The swarm does not have a leader' }, 503);
  await serve(answers);

  const { swarm, nodes, services } = await createEngine(path).inventory(signal);

  assert.equal([swarm, nodes, services.length], ['manager', [], 1]);
});

test('the state of the swarm is told apart', async ({ path, serve }) => {
  const states: ReadonlyArray<readonly [swarm: unknown, expected: string]> = [
    [undefined, 'inactive'],
    [{ LocalNodeState: '' }, 'inactive'],
    [{ LocalNodeState: 'inactive', ControlAvailable: false }, 'inactive'],
    [{ LocalNodeState: 'active', ControlAvailable: false }, 'worker'],
    [{ LocalNodeState: 'locked' }, 'locked'],
  ];
  const answers: Record<string, string> = { ...(whole as Record<string, string>) };
  await serve(answers);
  for (const [swarm, expected] of states) {
    answers['/info'] = json({ ...info, Swarm: swarm });

    assert.is((await createEngine(path).inventory(signal)).swarm, expected);
  }
});

test('one network has its endpoints, those without a container too; what is not there is null', async ({
  path,
  serve,
}) => {
  await serve({
    [`/networks/${blue}`]: json({ Id: blue, Containers: { c1: { EndpointID: 'e1' }, 'ep-e2': { EndpointID: 'e2' } } }),
    [`/networks/${networkId('b2')}`]: json({ message: 'network not found' }, 404),
    [`/networks/${networkId('b3')}`]: json({ Id: networkId('b3') }),
    [`/networks/${networkId('b4')}`]: json({ Id: blue }),
  });
  const engine = createEngine(path);

  assert.equal(await engine.endpointsOf(blue, signal), new Set(['e1', 'e2']));
  assert.is(await engine.endpointsOf(networkId('b2'), signal), null);
  assert.equal(await engine.endpointsOf(networkId('b3'), signal), new Set());
  assert.match(await problem(engine.endpointsOf(networkId('b4'), signal)), 'another network');
});

test('a path without an engine is one clear sentence', async ({ path, directory }) => {
  const file = join(directory, 'file');
  await writeFile(file, '');
  await symlink(join(directory, 'nowhere'), join(directory, 'link'));
  await dead(path);
  const paths: ReadonlyArray<readonly [path: string, expected: RegExp]> = [
    [join(directory, 'missing'), /missing cannot be asked: there is no such file; .*--docker-socket PATH, or off$/],
    [join(directory, 'link'), /there is no such file/],
    [join(file, 'below'), /cannot be read \(ENOTDIR\)/],
    [file, /it is not a socket/],
    [directory, /it is not a socket/],
    ['/dev/null', /it is not a socket/],
    [path, /nobody listens there/],
  ];
  for (const [each, expected] of paths) {
    assert.match(await problem(createEngine(each).inventory(signal)), expected);
  }
});

const odd: ReadonlyArray<readonly [answer: string | null, expected: RegExp]> = [
  ['', /GET \/info: socket hang up/],
  ['rubbish\r\n\r\n', /the answer is not HTTP/],
  [json({ message: 'the\nsky fell' }, 500), /GET \/info: it answered 500: the\nsky fell/],
  [http('<html>', 503), /it answered 503;/],
  [json({ message: 'page not found' }, 404), /404; is it an engine\?/],
  [http('{"ID":'), /makes no sense/],
  [json({ ...info, ID: '' }), /makes no sense/],
  [json([]), /makes no sense/],
  [json({ ...info, more: 'x'.repeat(limits.bytes) }), /longer than 100000 bytes/],
  [http('{}').replace('Content-Length: 2', 'Content-Length: 99'), /GET \/info: aborted/],
  [`HTTP/1.1 200 OK\r\nX: ${'x'.repeat(100_000)}\r\n\r\n`, /the answer is not HTTP/],
];

test('an answer that is none is one clear sentence', async ({ path, serve }) => {
  const answers: Record<string, string | null> = {};
  await serve(answers);
  for (const [answer, expected] of odd) {
    answers['/info'] = answer;

    assert.match(await problem(createEngine(path, limits).inventory(signal)), expected);
  }
});

test('one that never ends its answer, or never begins, is given up', async ({ path, serve }) => {
  const answers: Record<string, string | null> = { '/info': null };
  await serve(answers);
  const engine = createEngine(path, { ...limits, milliseconds: 100 });

  assert.match(await problem(engine.inventory(signal)), /GET \/info: no whole answer within 100 ms/);
});

test('asking ends at once when it is not wanted any more', async ({ path, serve }) => {
  await serve({ '/info': null });
  const closing = new AbortController();
  const asking = createEngine(path).inventory(closing.signal);

  closing.abort(new Error('closing'));

  assert.is(await asking.catch((error: Error) => error.message), 'closing');
});

test.run();

/** Writes the answer to the path of each request, as it stands, and ends. */
function answer(socket: Socket, answers: Answers, asked: string[]): void {
  socket.on('error', () => undefined);
  socket.once('data', (chunk) => {
    const [method = '', path = ''] = chunk.toString().split(' ');
    asked.push(`${method} ${path}`);
    const text = answers[path];
    if (text !== null) socket.end(text ?? '');
  });
}

/** Leaves a socket that nobody serves. */
async function dead(path: string): Promise<void> {
  const bound = `${path}.bound`;
  const server = createServer().listen(bound);
  await once(server, 'listening');
  // Closing removes the name it was bound to only.
  await rename(bound, path);
  server.close();
  await once(server, 'close');
}

async function problem(asking: Promise<unknown>): Promise<string> {
  const error = await asking.then(
    () => null,
    (reason: unknown) => reason,
  );
  assert.ok(isOverlayError(error, 'ENGINE_UNREACHABLE'), String(error));
  return (error as Error).message;
}

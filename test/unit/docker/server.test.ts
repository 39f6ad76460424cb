import { setTimeout as sleep } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import { overlayError } from '../../../src/errors.ts';
import { suite } from '../../kit/suite.ts';
import { type Answer, connect, requestOf, startPlugin } from './engine.ts';

const ids = { NetworkID: 'n'.repeat(25), EndpointID: 'e'.repeat(64) };
const mediaType = 'application/vnd.docker.plugins.v1.2+json';

const test = suite('docker/server');

test('an answer has the media type, its length and a newline, whatever the request claims', async () => {
  const plugin = await startPlugin();
  const body = '{"Implements":["NetworkDriver","IpamDriver"]}\n';

  const bare = await plugin.call('Plugin.Activate');
  const connection = await connect(plugin.socketPath);
  const claiming = await connection.exchange(
    'POST /Plugin.Activate?x=1 HTTP/1.1\r\nHost: plugin.moby.localhost\r\nContent-Type: text/csv\r\nContent-Length: 2\r\n\r\n{}',
  );
  const noHost = await connection.exchange('POST /Plugin.Activate HTTP/1.1\r\nContent-Length: 0\r\n\r\n');
  connection.end();
  await plugin.close();

  for (const answer of [bare, claiming, noHost]) {
    assert.is(answer.status, 200);
    assert.is(answer.body, body);
    assert.is(answer.headers.get('content-type'), mediaType);
    assert.is(answer.headers.get('content-length'), String(body.length));
  }
});

test('an unknown method is 404, another verb than POST 405, both with the text under both names', async () => {
  const plugin = await startPlugin();
  const connection = await connect(plugin.socketPath);

  const unknown = await connection.call('NetworkDriver.EventNotify', {});
  const nested = await connection.call('v1/Plugin.Activate');
  const got = await connection.exchange('GET /Plugin.Activate HTTP/1.1\r\nHost: \r\n\r\n');
  connection.end();
  await plugin.close();

  assert.is(unknown.status, 404);
  assert.is(nested.status, 404);
  assert.is(got.status, 405);
  assertFailure(unknown, /^NetworkDriver\.EventNotify: there is no such method/);
  assertFailure(got, /^Plugin\.Activate: only POST is served/);
});

test('a connection idle for longer than HTTP servers allow serves the next call', async () => {
  const plugin = await startPlugin();
  const connection = await connect(plugin.socketPath);

  await connection.call('NetworkDriver.Leave', ids);
  // Node's own limit is 5 s and a second of grace.
  await sleep(6_500);
  const { status } = await connection.call('NetworkDriver.Leave', ids);
  connection.end();
  await plugin.close();

  assert.is(status, 200);
  assert.is(plugin.calls.length, 2);
});

test('calls on several connections run at the same time', async () => {
  const waiting: Array<() => void> = [];
  const plugin = await startPlugin({
    // Nobody is answered before all have arrived.
    leave: () =>
      new Promise((resolve) => {
        waiting.push(resolve);
        if (waiting.length === 20) for (const proceed of waiting) proceed();
      }),
  });

  const answers = await Promise.all(Array.from({ length: 20 }, () => plugin.call('NetworkDriver.Leave', ids)));
  await plugin.close();

  assert.equal(
    answers.map((answer) => answer.body),
    Array(20).fill('{}\n'),
  );
});

test('a body over 1 MiB is refused and the connection stays good', async () => {
  const plugin = await startPlugin();
  const connection = await connect(plugin.socketPath);

  const large = await connection.call('NetworkDriver.Leave', { ...ids, Padding: 'x'.repeat(1_048_576) });
  const chunked = await connection.exchange(
    'POST /NetworkDriver.Leave HTTP/1.1\r\nHost: \r\nTransfer-Encoding: chunked\r\n\r\n' +
      `200000\r\n${'y'.repeat(0x20_0000)}\r\n0\r\n\r\n`,
  );
  const next = await connection.call('NetworkDriver.Leave', ids);
  connection.end();
  await plugin.close();

  assert.is(large.status, 413);
  assertFailure(large, /^NetworkDriver\.Leave: the body has more than 1048576 bytes/);
  assert.is(chunked.status, 413);
  assert.is(next.status, 200);
  assert.is(plugin.calls.length, 1);
});

test('a body of just under 1 MiB is read', async () => {
  const plugin = await startPlugin();
  const { body } = await plugin.call('NetworkDriver.Leave', { ...ids, Padding: 'x'.repeat(1_048_000) });
  await plugin.close();

  assert.is(body, '{}\n');
});

test('bytes that are not HTTP get one JSON refusal and a closed connection', async () => {
  const plugin = await startPlugin();
  for (const bytes of [
    Uint8Array.of(0, 1, 2, 0xff, 0xfe, 13, 10, 13, 10),
    'HELLO\r\n\r\n',
    'POST /x HTTP/9.9\r\n\r\n',
  ]) {
    const connection = await connect(plugin.socketPath);
    const answer = await connection.exchange(bytes);
    await connection.ended;

    assert.is(answer.status, 400);
    assert.is(answer.headers.get('connection'), 'close');
    assertFailure(answer, /^HTTP: the request cannot be read/);
  }
  await plugin.close();
});

test('garbage behind a call under way ends the connection without a second answer', async () => {
  let proceed = (): void => {};
  const plugin = await startPlugin({
    leave: () =>
      new Promise((resolve) => {
        proceed = resolve;
      }),
  });
  const connection = await connect(plugin.socketPath);
  const answer = connection.exchange(`${requestOf('NetworkDriver.Leave', JSON.stringify(ids))}NONSENSE\r\n\r\n`);
  const failure = await answer.catch((error) => error);
  proceed();
  const { status } = await plugin.call('Plugin.Activate');
  await plugin.close();

  assert.is(failure.message, 'connection closed after ""');
  assert.is(status, 200);
});

test('an engine that goes away in the middle of a body does no harm', async () => {
  const plugin = await startPlugin();
  const connection = await connect(plugin.socketPath);
  connection.write('POST /NetworkDriver.Leave HTTP/1.1\r\nHost: \r\nContent-Length: 500\r\n\r\n{"NetworkID"');
  await sleep(30);
  connection.end();
  const { status } = await plugin.call('Plugin.Activate');
  await plugin.close();

  assert.is(status, 200);
  assert.equal(plugin.calls, []);
});

test('every call gives one log line: answered, refused, or failed with its stack', async () => {
  const plugin = await startPlugin({
    leave: () =>
      Promise.reject(overlayError('ENDPOINT_UNKNOWN', { endpoint: 'e1' }, { cause: new Error('disk full') })),
    join: () => Promise.reject(new TypeError('x is undefined')),
    deleteEndpoint: () => Promise.reject('thrown text'),
    deleteNetwork: () => Promise.reject(new Error('')),
  });

  await plugin.call('Plugin.Activate');
  await plugin.call('NetworkDriver.Leave', ids);
  const joined = await plugin.call('NetworkDriver.Join', ids);
  const thrown = await plugin.call('NetworkDriver.DeleteEndpoint', ids);
  const empty = await plugin.call('NetworkDriver.DeleteNetwork', ids);
  await plugin.close();

  const [answered, refused, failed, ...others] = plugin.lines;
  assert.equal([answered?.level, answered?.event], ['debug', 'plugin call answered']);
  assert.is(Object(answered?.fields).method, 'Plugin.Activate');
  assert.type(Object(answered?.fields).durationMs, 'number');
  assert.equal([refused?.level, refused?.event], ['warn', 'plugin call refused']);
  assert.is(Object(refused?.fields).code, 'ENDPOINT_UNKNOWN');
  assert.is(Object(refused?.fields).cause, 'disk full');
  assert.match(String(Object(refused?.fields).problem), /^endpoint e1 is not known/);
  assert.equal([failed?.level, failed?.event], ['error', 'plugin call failed']);
  assert.match(String(Object(failed?.fields).problem), /TypeError: x is undefined\n\s+at /);
  assert.is(others.length, 2);
  assertFailure(joined, /^x is undefined$/);
  assertFailure(thrown, /^thrown text$/);
  assertFailure(empty, /^unknown error$/);
});

test('a value is quoted in part only, so that the message ends with what to know', async () => {
  const plugin = await startPlugin();
  const { json } = await plugin.call('NetworkDriver.Leave', { ...ids, NetworkID: '!'.repeat(100_000) });
  await plugin.close();

  assert.match(Object(json).Err, /!{100,400}….* nothing was changed$/);
  assert.ok(Object(json).Err.length < 1_000);
});

test('the answer is JSON for any method and any body', async () => {
  const plugin = await startPlugin();
  const connection = await connect(plugin.socketPath);
  const random = sequence(20_261_123);
  const methods = ['CreateNetwork', 'CreateEndpoint', 'Join', 'GwAllocCheck', 'AllocateNetwork', 'DiscoverNew'];
  const all = [
    ...methods.map((method) => `NetworkDriver.${method}`),
    'IpamDriver.RequestPool',
    'IpamDriver.RequestAddress',
    'IpamDriver.ReleaseAddress',
  ];
  for (let round = 0; round < 400; round += 1) {
    const method = all[round % all.length] ?? '';
    const body = round % 3 === 0 ? bytesOf(random) : Buffer.from(JSON.stringify(messageOf(random, 3)));
    const head = `POST /${method} HTTP/1.1\r\nHost: \r\nContent-Length: ${body.length}\r\n\r\n`;
    // The client parses each answer as JSON and fails otherwise.
    const { status, json } = await connection.exchange(Buffer.concat([Buffer.from(head), body]));
    assert.is(status, 200);
    assert.ok(typeof json === 'object' && json !== null && !Array.isArray(json), body.toString());
  }
  connection.end();
  await plugin.close();

  assert.not(
    plugin.lines.some((line) => line.level === 'error'),
    'no message makes the plugin fail unforeseen',
  );
});

function assertFailure({ json }: Answer, expected: RegExp): void {
  const { Err, Error: error } = Object(json);
  assert.is(Err, error, 'the text stands under both names');
  assert.match(String(Err), expected);
}

/** Park and Miller's generator: the same messages at every run. */
function sequence(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state * 48_271) % 2_147_483_647;
    return state % below;
  };
}

function bytesOf(random: (below: number) => number): Buffer {
  return Buffer.from(Array.from({ length: random(60) }, () => random(256)));
}

/** A message with the protocol's field names and values that are right, nearly right or absurd. */
function messageOf(random: (below: number) => number, depth: number): unknown {
  const names = 'NetworkID EndpointID Options IPv4Data IPv6Data Interface Pool SubPool PoolID Address V6'.split(' ');
  const options = ['com.docker.network.generic', 'weft.vni', '__proto__', 'RequestAddressType', 'MacAddress', ''];
  const values = ['', 'abc123', '10.0.0.0/24', '10.0.0.1', 'fd00::/64', '::/0', null, true, -1, 1e300, '\u0000', []];
  const kind = random(depth > 0 ? 4 : 1);
  if (kind === 0) return values[random(values.length)];
  if (kind === 1) return Array.from({ length: random(3) }, () => messageOf(random, depth - 1));
  const keys = kind === 2 ? options : names;
  return Object.fromEntries(
    Array.from({ length: random(6) }, () => [keys[random(keys.length)], messageOf(random, depth - 1)]),
  );
}

test.run();

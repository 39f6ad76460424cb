/** Flags and environment to Config. */

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import * as assert from 'uvu/assert';
import { type Config, type Environment, type Flags, readConfig } from '../../../src/config.ts';
import { isOverlayError, type OverlayError } from '../../../src/errors.ts';
import { environmentVariable, settings } from '../../../src/settings.ts';
import { suite } from '../../kit/suite.ts';

const test = suite('configuration', { directory: '' });

test.before(async (context) => {
  context.directory = await mkdtemp(join(tmpdir(), 'weft-config-'));
});

test.after(async ({ directory }) => {
  await rm(directory, { recursive: true });
});

const named: Flags = { node: 'alpha' };

test('without flags and environment every setting has its default', () => {
  const config = readConfig(named, {});

  assert.equal(config, {
    node: 'alpha',
    store: { kind: 'lmdb', directory: '/var/lib/weft/store' },
    storeToken: null,
    waitForStore: false,
    vtep: { kind: 'auto' },
    port: 14789,
    dataPath: 'auto',
    scope: 'local',
    driverName: 'weft',
    pluginSocket: '/run/docker/plugins/weft.sock',
    controlSocket: '/run/weft/control.sock',
    dockerSocket: '/var/run/docker.sock',
    stateDir: '/var/lib/weft',
    bpfDir: '/sys/fs/bpf/weft',
    metrics: { host: '127.0.0.1', port: 9474 },
    logLevel: 'info',
    pools: {
      ipv4: { range: '10.208.0.0/12', length: 24 },
      ipv6: { range: 'fd77:6566:7400::/48', length: 64 },
    },
    probeIntervalMs: 30_000,
  });
});

test('the node is called like the host when it has no name', () => {
  assert.is(readConfig({}, {}).node, hostname());
});

test('a flag wins over its variable, the variable over the default, and an empty variable counts as not set', () => {
  const environment = { WEFT_PORT: '4789', WEFT_SCOPE: 'global', WEFT_DATA_PATH: '' };

  const config = readConfig({ ...named, port: '5000' }, environment);

  assert.is(config.port, 5000);
  assert.is(config.scope, 'global');
  assert.is(config.dataPath, 'auto');
});

test('every flag has a variable of the same name', () => {
  assert.is(environmentVariable(settings.pluginSocket.flag), 'WEFT_PLUGIN_SOCKET');
  assert.is(environmentVariable(settings.pool6Size.flag), 'WEFT_POOL6_SIZE');
});

test('stores are taken apart', () => {
  const store = (url: string): Config['store'] => readConfig({ ...named, store: url }, {}).store;

  assert.equal(store('lmdb:///srv/my%20store'), { kind: 'lmdb', directory: '/srv/my store' });
  assert.equal(store('consul://10.0.0.1:8501/team/a/'), {
    kind: 'consul',
    host: '10.0.0.1',
    port: 8501,
    secure: false,
    prefix: 'team/a/',
  });
  assert.equal(store('consul+https://[fd00::1]'), {
    kind: 'consul',
    host: 'fd00::1',
    port: 8501,
    secure: true,
    prefix: '',
  });
});

test('a VTEP is an address, a device or auto', () => {
  const vtep = (text: string): Config['vtep'] => readConfig({ ...named, vtep: text }, {}).vtep;

  assert.equal(vtep('10.0.0.1'), { kind: 'addresses', addresses: ['10.0.0.1'] });
  assert.equal(vtep('FD00:0::1'), { kind: 'addresses', addresses: ['fd00::1'] });
  assert.equal(vtep('fd00::1,10.0.0.1'), { kind: 'addresses', addresses: ['fd00::1', '10.0.0.1'] });
  assert.equal(vtep('eth0.12'), { kind: 'device', device: 'eth0.12' });
});

test('metrics are served at an address or not at all', () => {
  const metrics = (text: string): Config['metrics'] => readConfig({ ...named, metrics: text }, {}).metrics;

  assert.is(metrics('off'), null);
  assert.equal(metrics('[::]:80'), { host: '::', port: 80 });
  assert.equal(metrics('localhost:80'), { host: 'localhost', port: 80 });
});

test('the engine is asked on a socket or not at all', () => {
  const socket = (flags: Flags, environment: Environment) =>
    readConfig({ ...named, ...flags }, environment).dockerSocket;

  assert.is(socket({ dockerSocket: 'off' }, {}), null);
  assert.is(socket({}, { WEFT_DOCKER_SOCKET: '/dev/null' }), '/dev/null');
});

const refused: ReadonlyArray<readonly [flags: Flags, problem: RegExp]> = [
  [{ node: '' }, /--node/],
  [{ node: 'a b' }, /--node a b: it is not a node name/],
  [{ node: 'n'.repeat(64) }, /not a node name/],
  [{ store: '/var/lib/weft' }, /--store .* not a URL/],
  [{ store: 'lmdb://var/lib/weft' }, /three slashes/],
  [{ store: 'lmdb:///' }, /no absolute directory/],
  [{ store: 'redis://h' }, /redis is not a kind of store/],
  [{ store: 'consul:///x' }, /host is missing/],
  [{ store: 'consul://h/we.ft' }, /prefix/],
  [{ store: 'consul://h/?token=x' }, /behind the path/],
  [{ vtep: '10.0.0.256' }, /--vtep/],
  [{ vtep: '0.0.0.0' }, /no packet can be sent/],
  [{ vtep: '239.1.1.1' }, /no packet can be sent/],
  [{ vtep: 'ff02::1' }, /no packet can be sent/],
  [{ vtep: '10.0.0.1,10.0.0.2' }, /one VTEP address of each family/],
  [{ vtep: '10.0.0.1,::' }, /no packet can be sent/],
  [{ vtep: '10.0.0.1,eth0' }, /neither/],
  [{ vtep: '10.0.0.1,fd00::1,fd00::2' }, /neither/],
  [{ vtep: '10.0.0.1,' }, /neither/],
  [{ vtep: 'a-much-too-long-device' }, /neither/],
  [{ vtep: '10.0.0.1/24' }, /neither/],
  [{ port: '0' }, /--port 0: it is not from 1 to 65535/],
  [{ port: '65536' }, /1 to 65535/],
  [{ port: '0x10' }, /whole number/],
  [{ port: '1.5' }, /whole number/],
  [{ dataPath: 'ovs' }, /not one of auto, ebpf, bridge; give auto, ebpf or bridge/],
  [{ scope: 'swarm' }, /not one of local, global/],
  [{ logLevel: 'loud' }, /--log-level loud/],
  [{ driverName: '-d' }, /--driver-name/],
  [{ pluginSocket: 'weft.sock' }, /--plugin-socket .* not an absolute path/],
  [{ controlSocket: `/${'x'.repeat(107)}` }, /longer than 107 bytes/],
  [{ dockerSocket: 'unix:///var/run/docker.sock' }, /--docker-socket .* not an absolute path/],
  [{ dockerSocket: `/${'x'.repeat(107)}` }, /longer than 107 bytes/],
  [{ stateDir: 'state' }, /--state-dir/],
  [{ bpfDir: 'bpf' }, /--bpf-dir/],
  [{ metrics: ':9474' }, /not an address with a port/],
  [{ metrics: '127.0.0.1' }, /not an address with a port/],
  [{ metrics: '127.0.0.1:70000' }, /1 to 65535/],
  [{ metrics: 'fd00::1:9474' }, /not an address with a port/],
  [{ pool: '10.208.0.1/12' }, /host bits are set; did you mean 10.208.0.0\/12/],
  [{ pool: 'fd00::/48' }, /other address family/],
  [{ pool6: '10.0.0.0/8' }, /other address family/],
  [{ poolSize: '8' }, /--pool-size 8: it is shorter than the pool 10.208.0.0\/12/],
  [{ poolSize: '31' }, /1 to 30/],
  [{ pool6Size: '40' }, /--pool6-size 40: it is shorter/],
  [{ probeInterval: '0' }, /--probe-interval/],
];

test('a bad value is refused with its setting, what is wrong and what to write', () => {
  for (const [flags, problem] of refused) {
    const error = configError({ ...named, ...flags }, {});

    assert.match(error.message, problem, JSON.stringify(flags));
    assert.match(error.message, /; (give|it)/);
  }
});

test('a bad value of a variable is named after the variable', () => {
  assert.match(configError(named, { WEFT_PORT: 'x' }).message, 'setting WEFT_PORT=x:');
});

test('the token comes from the variable or a file, the flag first', async ({ directory }) => {
  const file = join(directory, 'token');
  await writeFile(file, 'from-the-file\n');

  const token = (flags: Flags, environment: Environment) =>
    readConfig({ ...named, ...flags }, environment).storeToken?.reveal();

  assert.is(token({}, { WEFT_STORE_TOKEN: ' from-the-variable\n' }), 'from-the-variable');
  assert.is(token({}, { WEFT_STORE_TOKEN_FILE: file }), 'from-the-file');
  assert.is(token({ storeTokenFile: file }, { WEFT_STORE_TOKEN: 'from-the-variable' }), 'from-the-file');
  assert.is(token({}, { WEFT_STORE_TOKEN: '' }), undefined);
});

test('a token file that is missing, empty or has more than a token is refused without showing it', async ({
  directory,
}) => {
  const file = join(directory, 'words');

  assert.match(configError({ ...named, storeTokenFile: join(directory, 'none') }, {}).message, 'ENOENT');
  await writeFile(file, '');
  assert.match(configError({ ...named, storeTokenFile: file }, {}).message, 'does not hold one token');
  await writeFile(file, 'sesame open');
  assert.not.match(configError({ ...named, storeTokenFile: file }, {}).message, 'sesame');
});

test('a token is not shown by printing the configuration', () => {
  const config = readConfig(named, { WEFT_STORE_TOKEN: 'sesame-open' });

  assert.not.match(JSON.stringify(config), 'sesame');
  assert.not.match(inspect(config, { depth: null }), 'sesame');
});

test('credentials in a store URL are refused and not repeated', () => {
  const error = configError({ ...named, store: 'consul://me:sesame@h' }, {});

  assert.match(error.message, 'WEFT_STORE_TOKEN');
  assert.not.match(error.message, 'sesame');
});

test('the configuration is frozen, its parts too', () => {
  const config = readConfig(named, {});

  assert.ok(Object.isFrozen(config));
  assert.ok(Object.isFrozen(config.pools.ipv4));
});

test.run();

function configError(flags: Flags, environment: Environment): OverlayError {
  try {
    readConfig(flags, environment);
  } catch (error) {
    assert.ok(isOverlayError(error, 'CONFIG_INVALID'), String(error));
    return error as OverlayError;
  }
  throw new Error(`accepted: ${JSON.stringify(flags)}`);
}

import * as assert from 'uvu/assert';
import { suite } from '../../kit/suite.ts';
import { askOf, refusalText } from './engine.ts';

const network = '8e4f2a'.padEnd(64, '0');
const pool = { AddressSpace: 'LocalDefault', Pool: '10.77.0.0/24', Gateway: '10.77.0.1/24' };
const pool6 = { AddressSpace: 'LocalDefault', Pool: 'fd00:77::/64', Gateway: 'fd00:77::1/64' };

/** What engine 28 sends for `docker network create -d weft`. */
const createNetwork = {
  NetworkID: network,
  Options: {
    'com.docker.network.enable_ipv4': true,
    'com.docker.network.enable_ipv6': false,
    'com.docker.network.generic': {},
  },
  IPv4Data: [pool],
  IPv6Data: [],
};
const withOptions = (generic: unknown) => ({ ...createNetwork, Options: { 'com.docker.network.generic': generic } });

const ask = askOf('NetworkDriver');
const textOf = async (method: string, message: unknown) => refusalText(await ask(method, message));

const test = suite('docker/network-driver');

test('the capabilities are the configured scope, reach across hosts, and a gateway question', async () => {
  const local = await ask('GetCapabilities');
  const global = await ask('GetCapabilities', undefined, {}, { scope: 'global' });

  assert.equal(local.json, { Scope: 'local', ConnectivityScope: 'global', GwAllocChecker: true });
  assert.equal(global.json, { Scope: 'global', ConnectivityScope: 'global', GwAllocChecker: true });
});

test('the gateway is reserved on every engine, so no address has two meanings', async () => {
  const { json, calls } = await ask('GwAllocCheck', { Options: createNetwork.Options });

  assert.equal(json, { SkipIPv4: false, SkipIPv6: false });
  assert.equal(calls, []);
});

test('a bad option is refused with the gateway question, before any address is allocated', async () => {
  const text = await textOf('GwAllocCheck', { Options: { 'com.docker.network.generic': { 'weft.vnl': '7' } } });

  assert.match(
    text,
    /^option weft\.vnl is not known; known options are weft\.network, weft\.vni, weft\.multicast, com\./,
  );
});

test('a network without options takes the defaults', async () => {
  const { json, calls } = await ask('CreateNetwork', createNetwork);

  assert.equal(json, {});
  assert.equal(calls, [
    {
      verb: 'createNetwork',
      with: [{ id: network, subnets: ['10.77.0.0/24'], name: null, vni: null, mtuBytes: null, multicast: true }],
    },
  ]);
});

test('every option and both families arrive as domain values', async () => {
  const generic = {
    'weft.network': 'blue',
    'weft.vni': '70000',
    'weft.multicast': 'off',
    'com.docker.network.driver.mtu': '1400',
    'com.docker.network.internal': 'true',
  };
  const { calls } = await ask('CreateNetwork', { ...withOptions(generic), IPv6Data: [pool6] });

  assert.equal(calls[0]?.with, [
    {
      id: network,
      subnets: ['10.77.0.0/24', 'fd00:77::/64'],
      name: 'blue',
      vni: 70_000,
      mtuBytes: 1_400,
      multicast: false,
    },
  ]);
});

test('what Go writes for nothing at all is taken as nothing', async () => {
  for (const options of [null, {}, { 'com.docker.network.generic': null }]) {
    const { json } = await ask('CreateNetwork', { ...createNetwork, Options: options, IPv6Data: null });
    assert.equal(json, {});
  }
});

test('a newer engine may send fields and options of its own', async () => {
  const { json } = await ask('CreateNetwork', {
    ...createNetwork,
    Options: { ...createNetwork.Options, 'com.docker.network.internal': true, 'com.docker.network.new': [1] },
    Fresh: { from: 'the future' },
  });

  assert.equal(json, {});
});

test('each bad option is refused by name and value', async () => {
  const cases: ReadonlyArray<[object, RegExp]> = [
    [{ 'weft.vnii': '7' }, /^option weft\.vnii is not known; known options are weft\.network, weft\.vni/],
    [{ parent: 'eth0' }, /^option parent is not known/],
    [{ constructor: 'x' }, /^option constructor is not known/],
    [{ 'weft.vni': '0' }, /^option weft\.vni=0 is not valid: give a whole number from 1 to 16777215/],
    [{ 'weft.vni': '16777216' }, /^option weft\.vni=16777216 is not valid/],
    [{ 'weft.vni': '0x1000' }, /^option weft\.vni=0x1000 is not valid/],
    [{ 'weft.vni': '' }, /^option weft\.vni= is not valid/],
    [{ 'weft.multicast': 'yes' }, /^option weft\.multicast=yes is not valid: give on or off/],
    [{ 'weft.network': 'a b' }, /^option weft\.network=a b is not valid/],
    [
      { 'com.docker.network.driver.mtu': '67' },
      /^option com\.docker\.network\.driver\.mtu=67 is not valid: .* 68 to 65465/,
    ],
    [{ 'com.docker.network.driver.mtu': '1e3' }, /^option com\.docker\.network\.driver\.mtu=1e3 is not valid/],
    [{ 'weft.vni': 7 }, /^option weft\.vni=7 is not valid: it must be a text/],
  ];
  for (const [generic, expected] of cases) assert.match(await textOf('CreateNetwork', withOptions(generic)), expected);
});

test('an option of ours is refused or heard wherever it stands', async () => {
  const beside = (options: object) => ({ ...createNetwork, Options: { ...createNetwork.Options, ...options } });

  assert.match(await textOf('CreateNetwork', beside({ 'weft.vnl': '7' })), /^option weft\.vnl is not known/);
  const { calls } = await ask('CreateNetwork', beside({ 'weft.vni': '7' }));
  assert.is(Object(calls[0]?.with[0]).vni, 7);
});

test('an MTU too small for IPv6 is refused only where there is IPv6', async () => {
  const small = withOptions({ 'com.docker.network.driver.mtu': '1279' });

  assert.equal((await ask('CreateNetwork', small)).json, {});
  assert.match(
    await textOf('CreateNetwork', { ...small, IPv6Data: [pool6] }),
    /^option com\.docker\.network\.driver\.mtu=1279 is not valid: .*fd00:77::\/64.* at least 1280/,
  );
});

test('each bad field is refused with method, field and value', async () => {
  const cases: ReadonlyArray<[object, RegExp]> = [
    [{ NetworkID: undefined }, /^NetworkDriver\.CreateNetwork: NetworkID must be a text, got nothing;/],
    [{ NetworkID: '' }, /^NetworkDriver\.CreateNetwork: NetworkID must be an id .*, got ""/],
    [{ NetworkID: '../etc' }, /NetworkID must be an id .*, got "\.\.\/etc"/],
    [{ NetworkID: 7 }, /NetworkID must be a text, got 7/],
    [{ IPv4Data: {} }, /IPv4Data must be a list, got \{\}/],
    [{ IPv4Data: ['10.0.0.0/24'] }, /IPv4Data\[0\] must be an object, got "10\.0\.0\.0\/24"/],
    [{ IPv4Data: [pool, {}] }, /IPv4Data\[1\]\.Pool must be a text, got nothing/],
    [
      { IPv4Data: [{ Pool: '10.77.0.1/24' }] },
      /IPv4Data\[0\]\.Pool: subnet 10\.77\.0\.1\/24 is not valid: .*10\.77\.0\.0\/24/,
    ],
    [{ IPv4Data: [pool6] }, /IPv4Data\[0\]\.Pool: subnet fd00:77::\/64 is not valid: it is not IPv4/],
    [{ IPv6Data: [pool] }, /IPv6Data\[0\]\.Pool: subnet 10\.77\.0\.0\/24 is not valid: it is not IPv6/],
    [{ Options: [] }, /Options must be a map, got \[\]/],
    [
      { Options: { 'com.docker.network.generic': 'x' } },
      /com\.docker\.network\.generic="x" is not valid: it must be a map/,
    ],
  ];
  for (const [fields, expected] of cases) {
    assert.match(await textOf('CreateNetwork', { ...createNetwork, ...fields }), expected);
  }
});

test('a network that hands out no addresses is refused with the way out', async () => {
  const nullPool = { AddressSpace: '', Pool: '0.0.0.0/0', Gateway: '0.0.0.0/0' };
  const { json } = await ask('CreateNetwork', { ...createNetwork, IPv4Data: [nullPool] }, {}, { driverName: 'weft:2' });

  assert.match(Object(json).Err, /pool 0\.0\.0\.0\/0 hands out no addresses; use --ipam-driver weft:2 or leave/);
  assert.match(await textOf('CreateNetwork', { ...createNetwork, IPv4Data: [] }), /the network has no subnet/);
});

test('swarm gets its options back whole and the VNI with them, as often as it asks', async () => {
  const message = {
    NetworkID: 'k3v9q0x5m1b7z2c8n4w6r0t1y',
    Options: { 'weft.network': 'blue', 'com.docker.network.driver.mtu': '1400' },
    IPv4Data: [{ AddressSpace: '', Pool: '10.77.0.0/24' }],
    IPv6Data: null,
  };
  const first = await ask('AllocateNetwork', message);
  const again = await ask('AllocateNetwork', { ...message, Options: Object(first.json).Options });

  assert.equal(first.json, { Options: { ...message.Options, 'weft.vni': '4711' } });
  assert.equal(again.json, first.json);
  assert.is(Object(again.calls[0]?.with[0]).vni, 4711);
  assert.equal((await ask('AllocateNetwork', { ...message, Options: null })).json, { Options: { 'weft.vni': '4711' } });
  assert.equal((await ask('FreeNetwork', { NetworkID: message.NetworkID })).json, {});
});

test("swarm's subnets of both families come in one list", async () => {
  const { calls } = await ask('AllocateNetwork', {
    NetworkID: 'k3v9q0x5m1b7z2c8n4w6r0t1y',
    Options: {},
    IPv4Data: [{ Pool: '10.77.0.0/24' }, { Pool: 'fd00:77::/64' }],
    IPv6Data: null,
  });

  assert.equal(Object(calls[0]?.with[0]).subnets, ['10.77.0.0/24', 'fd00:77::/64']);
});

test('swarm learns of a bad option on the manager, not on each node', async () => {
  const message = { NetworkID: network, Options: { 'weft.multicast': 'maybe' }, IPv4Data: [], IPv6Data: null };

  assert.match(await textOf('AllocateNetwork', message), /^option weft\.multicast=maybe is not valid/);
});

test.run();

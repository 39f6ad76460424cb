import * as assert from 'uvu/assert';
import { overlayError } from '../../../src/errors.ts';
import { suite } from '../../kit/suite.ts';
import { askOf, refusalText } from './engine.ts';

/** What the engine sends for a network whose user gave nothing. */
const requestPool = { AddressSpace: 'WeftLocal', Pool: '', SubPool: '', Options: null, V6: false };
const poolId = 'blue|10.77.0.0/24|';

const ask = askOf('IpamDriver');
const textOf = async (method: string, message: unknown) => refusalText(await ask(method, message));

const test = suite('docker/ipam-driver');

test('nothing needs replaying, no MAC address is needed, and the address spaces have names', async () => {
  assert.equal((await ask('GetCapabilities')).json, { RequiresMACAddress: false, RequiresRequestReplay: false });
  assert.equal((await ask('GetDefaultAddressSpaces')).json, {
    LocalDefaultAddressSpace: 'WeftLocal',
    GlobalDefaultAddressSpace: 'WeftGlobal',
  });
});

test('a pool is chosen when none is asked for', async () => {
  const { json, calls } = await ask('RequestPool', requestPool);

  assert.equal(json, { PoolID: poolId, Pool: '10.77.0.0/24', Data: {} });
  assert.equal(calls, [
    { verb: 'requestPool', with: [{ space: 'local', family: 'ipv4', subnet: null, range: null, name: null }] },
  ]);
});

test('subnet, range and name arrive as domain values', async () => {
  const { calls } = await ask('RequestPool', {
    ...requestPool,
    Pool: '10.77.0.0/16',
    SubPool: '10.77.4.0/24',
    Options: { 'weft.network': 'blue' },
  });

  assert.equal(calls[0]?.with, [
    { space: 'local', family: 'ipv4', subnet: '10.77.0.0/16', range: '10.77.4.0/24', name: 'blue' },
  ]);
});

test("the global address space is swarm's, any other the engine's own", async () => {
  const spaceOf = async (AddressSpace: string) =>
    Object((await ask('RequestPool', { ...requestPool, AddressSpace })).calls[0]?.with[0]).space;

  assert.is(await spaceOf('WeftGlobal'), 'global');
  assert.is(await spaceOf('WeftLocal'), 'local');
  assert.is(await spaceOf(''), 'local');
});

test('the family is that of the subnet, or what V6 says when there is none', async () => {
  const familyOf = async (fields: object) =>
    Object((await ask('RequestPool', { ...requestPool, ...fields })).calls[0]?.with[0]).family;

  assert.is(await familyOf({ V6: true }), 'ipv6');
  assert.is(await familyOf({ V6: true, Pool: 'fd00:77::/64' }), 'ipv6');
  // Swarm's allocator never sets V6.
  assert.is(await familyOf({ V6: false, Pool: 'fd00:77::/64' }), 'ipv6');
  assert.is(await familyOf({ V6: null }), 'ipv4');
});

test('options that swarm adds to a pool are tolerated, others refused', async () => {
  const Options = { RequestAddressType: 'com.docker.network.gateway', 'com.docker.network.ipam.serial': 'true' };
  assert.equal(Object((await ask('RequestPool', { ...requestPool, Options })).calls[0]?.with[0]).name, null);

  const typo = { ...requestPool, Options: { 'weft.netwrok': 'blue' } };
  assert.match(
    await textOf('RequestPool', typo),
    /^option weft\.netwrok is not known; known options are weft\.network$/,
  );
});

test('each bad part of a pool is refused with method, field and value', async () => {
  const cases: ReadonlyArray<[object, RegExp]> = [
    [{ Pool: '10.77.0.1/24' }, /^IpamDriver\.RequestPool: Pool: subnet 10\.77\.0\.1\/24 is not valid: host bits/],
    [{ Pool: 'fast' }, /Pool: subnet fast is not valid/],
    [{ Pool: '10.77.0.0/24', SubPool: '10.77.0.129/25' }, /SubPool: subnet 10\.77\.0\.129\/25 is not valid/],
    [
      { Pool: '10.77.0.0/24', SubPool: '10.78.0.0/25' },
      /SubPool 10\.78\.0\.0\/25 does not lie inside Pool 10\.77\.0\.0\/24/,
    ],
    [{ Pool: '10.77.0.0/24', SubPool: '10.77.0.0/16' }, /SubPool 10\.77\.0\.0\/16 does not lie inside Pool/],
    [{ SubPool: '10.77.0.0/25' }, /SubPool 10\.77\.0\.0\/25 is given without Pool/],
    [{ Pool: '10.77.0.0/24', V6: true }, /Pool 10\.77\.0\.0\/24 is not IPv6/],
    [{ V6: 'yes' }, /V6 must be true or false, got "yes"/],
    [{ Options: { 'weft.network': '' } }, /^option weft\.network= is not valid/],
    [{ Options: { 'weft.network': 5 } }, /Options\.weft\.network must be a text, got 5/],
  ];
  for (const [fields, expected] of cases) {
    assert.match(await textOf('RequestPool', { ...requestPool, ...fields }), expected);
  }
});

test('an address is chosen, or the one asked for', async () => {
  const chosen = await ask('RequestAddress', { PoolID: poolId, Address: '', Options: null });
  const wanted = await ask('RequestAddress', { PoolID: poolId, Address: '10.77.0.9', Options: {} });

  assert.equal(chosen.json, { Address: '10.77.0.2/24', Data: {} });
  assert.equal(wanted.json, { Address: '10.77.0.9/24', Data: {} });
  assert.equal(chosen.calls, [
    { verb: 'requestAddress', with: [{ pool: poolId, address: null, purpose: 'endpoint' }] },
  ]);
  assert.is(Object(wanted.calls[0]?.with[0]).address, '10.77.0.9');
});

test('the gateway is told apart from endpoints, with whatever swarm sends along', async () => {
  const Options = {
    RequestAddressType: 'com.docker.network.gateway',
    'com.docker.network.ipam.serial': 'true',
    'weft.network': 'blue',
  };
  const { calls } = await ask('RequestAddress', { PoolID: poolId, Address: '10.77.0.1', Options });

  assert.equal(calls[0]?.with, [{ pool: poolId, address: '10.77.0.1', purpose: 'gateway' }]);
});

test('pools and addresses are released by what they were handed out as', async () => {
  const address = await ask('ReleaseAddress', { PoolID: poolId, Address: 'fd00:77:0::2' });
  const pool = await ask('ReleasePool', { PoolID: poolId });

  assert.equal(address, {
    status: 200,
    json: {},
    calls: [{ verb: 'releaseAddress', with: [poolId, 'fd00:77::2'] }],
  });
  assert.equal(pool, { status: 200, json: {}, calls: [{ verb: 'releasePool', with: [poolId] }] });
});

test('a release that cannot be read is an error', async () => {
  assert.match(
    await textOf('ReleaseAddress', { PoolID: poolId, Address: '' }),
    /^IpamDriver\.ReleaseAddress: Address: address {2}is not/,
  );
  assert.match(await textOf('ReleaseAddress', { PoolID: poolId }), /Address must be a text, got nothing/);
  assert.match(
    await textOf('ReleaseAddress', { PoolID: poolId, Address: '10.77.0.2/24' }),
    /address 10\.77\.0\.2\/24 is not valid/,
  );
  assert.match(
    await textOf('ReleasePool', { PoolID: '' }),
    /^IpamDriver\.ReleasePool: PoolID must name a pool, got ""/,
  );
  assert.match(await textOf('RequestAddress', { PoolID: null, Address: '' }), /PoolID must be a text, got null/);
  assert.match(await textOf('RequestPool', undefined), /^IpamDriver\.RequestPool: the body is empty/);
});

test("the overlay's refusal is under the name that IPAM looks for", async () => {
  const error = overlayError('POOL_EXHAUSTED', { pool: '10.77.0.0/24', used: 254, size: 254 });
  const refused = await ask(
    'RequestAddress',
    { PoolID: poolId, Address: '', Options: {} },
    { requestAddress: () => Promise.reject(error) },
  );

  assert.is(refused.status, 200);
  assert.is(Object(refused.json).Error, error.message);
});

test.run();

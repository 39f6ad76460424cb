import * as assert from 'uvu/assert';
import { overlayError } from '../../../src/errors.ts';
import { suite } from '../../kit/suite.ts';
import { askOf, refusalText } from './engine.ts';

const network = '8e4f2a'.padEnd(64, '0');
const endpoint = 'c3d1b7'.padEnd(64, '0');
const ids = { NetworkID: network, EndpointID: endpoint };

const createEndpoint = {
  ...ids,
  Interface: { Address: '10.77.0.2/24', AddressIPv6: '', MacAddress: '' },
  Options: {
    'com.docker.network.endpoint.exposedports': [{ Proto: 6, Port: 80 }],
    'com.docker.network.portmap': [{ Proto: 6, IP: '', Port: 80, HostIP: '', HostPort: 8099, HostPortEnd: 8099 }],
  },
};
const withInterface = (fields: object) => ({
  ...createEndpoint,
  Interface: { ...createEndpoint.Interface, ...fields },
});

const ask = askOf('NetworkDriver');
const textOf = async (method: string, message: unknown) => refusalText(await ask(method, message));

const test = suite('docker/network-driver endpoints');

test('a MAC address is answered only when the request had none', async () => {
  const made = await ask('CreateEndpoint', createEndpoint);
  const given = await ask('CreateEndpoint', withInterface({ MacAddress: '02:42:AC:11:00:09' }));

  assert.equal(made.json, { Interface: { MacAddress: '02:42:0a:4d:00:02' } });
  assert.equal(given.json, {});
  const request = { networkId: network, id: endpoint, addresses: ['10.77.0.2'], mac: null, isRouter: false };
  assert.equal(made.calls[0]?.with, [request]);
  assert.is(Object(given.calls[0]?.with[0]).mac, '02:42:ac:11:00:09');
});

test('an address is never answered', async () => {
  const both = withInterface({ AddressIPv6: 'fd00:77::0:2/64' });
  const { json, calls } = await ask('CreateEndpoint', both);

  assert.equal(json, { Interface: { MacAddress: '02:42:0a:4d:00:02' } });
  assert.equal(Object(calls[0]?.with[0]).addresses, ['10.77.0.2', 'fd00:77::2']);
});

test('a MAC address among the options is read as Go writes bytes, and as text', async () => {
  const option = 'com.docker.network.endpoint.macaddress';
  for (const value of ['AkKsEQAJ', '02:42:ac:11:00:09']) {
    const { json, calls } = await ask('CreateEndpoint', { ...createEndpoint, Options: { [option]: value } });
    assert.is(Object(calls[0]?.with[0]).mac, '02:42:ac:11:00:09');
    assert.equal(json, { Interface: { MacAddress: '02:42:ac:11:00:09' } });
  }
  // 01:…: a group address.
  assert.match(
    await textOf('CreateEndpoint', { ...createEndpoint, Options: { [option]: 'AUKsEQAJ' } }),
    /macaddress=AUKsEQAJ is not/,
  );
});

test('the option of a router is handed on', async () => {
  const { calls } = await ask('CreateEndpoint', { ...createEndpoint, Options: { 'weft.router': 'on' } });

  assert.is(Object(calls[0]?.with[0]).isRouter, true);
});

test('the interface decides where it and the options name a MAC address', async () => {
  const { json, calls } = await ask('CreateEndpoint', {
    ...withInterface({ MacAddress: '02:42:ac:11:00:01' }),
    Options: { 'com.docker.network.endpoint.macaddress': 'AkKsEQAJ' },
  });

  assert.is(Object(calls[0]?.with[0]).mac, '02:42:ac:11:00:01');
  assert.equal(json, {});
});

test('each bad part of an endpoint is refused with method, field and value', async () => {
  const cases: ReadonlyArray<[object, RegExp]> = [
    [
      withInterface({ Address: '10.77.0.256/24' }),
      /^NetworkDriver\.CreateEndpoint: Interface\.Address: address 10\.77\.0\.256\/24 is not/,
    ],
    [
      withInterface({ Address: 'fd00:77::2/64' }),
      /Interface\.Address: address fd00:77::2 is not valid: it is not IPv4/,
    ],
    [
      withInterface({ AddressIPv6: '10.77.0.2/24' }),
      /Interface\.AddressIPv6: address 10\.77\.0\.2 is not valid: it is not IPv6/,
    ],
    [
      withInterface({ MacAddress: '01:00:5e:00:00:01' }),
      /Interface\.MacAddress: MAC address 01:00:5e:00:00:01 is not valid/,
    ],
    [{ ...createEndpoint, EndpointID: null }, /EndpointID must be a text, got null/],
    [{ ...createEndpoint, Interface: 'eth0' }, /Interface must be an object, got "eth0"/],
    [
      { ...createEndpoint, Options: { 'weft.rate': '5' } },
      /^option weft\.rate is not known; known options are weft\.router/,
    ],
  ];
  for (const [message, expected] of cases) assert.match(await textOf('CreateEndpoint', message), expected);
});

test('options of other drivers on an endpoint are left to them', async () => {
  const Options = { ...createEndpoint.Options, 'com.docker.network.endpoint.ifname': 'lan0', 'other.vendor/x': 'y' };

  assert.equal((await ask('CreateEndpoint', { ...createEndpoint, Options })).json, {
    Interface: { MacAddress: '02:42:0a:4d:00:02' },
  });
});

test('an endpoint without any address is left for the overlay to judge', async () => {
  for (const Interface of [{ Address: '', AddressIPv6: '', MacAddress: '' }, null]) {
    const { calls } = await ask('CreateEndpoint', { ...createEndpoint, Interface });
    assert.equal(Object(calls[0]?.with[0]).addresses, []);
  }
});

test('join names the interface and gives no gateway', async () => {
  const { json, calls } = await ask('Join', { ...ids, SandboxKey: '/var/run/docker/netns/0123456789ab', Options: {} });

  assert.equal(json, { InterfaceName: { SrcName: 'wft0123456789a', DstPrefix: 'eth' } });
  assert.equal(calls, [{ verb: 'join', with: [network, endpoint] }]);
});

test('facts of an endpoint are answered as they are', async () => {
  const { json, calls } = await ask('EndpointOperInfo', ids);

  assert.equal(json, { Value: { network: 'blue', vni: '4097' } });
  assert.equal(calls, [{ verb: 'endpointFacts', with: [network, endpoint] }]);
});

test('the verbs that take things down are passed on with their ids', async () => {
  assert.equal(await ask('Leave', ids), {
    status: 200,
    json: {},
    calls: [{ verb: 'leave', with: [network, endpoint] }],
  });
  assert.equal(await ask('DeleteEndpoint', ids), {
    status: 200,
    json: {},
    calls: [{ verb: 'deleteEndpoint', with: [network, endpoint] }],
  });
  assert.equal(await ask('DeleteNetwork', { NetworkID: network }), {
    status: 200,
    json: {},
    calls: [{ verb: 'deleteNetwork', with: [network] }],
  });
});

test('a message that cannot be read is an error even where an unknown id is not', async () => {
  for (const method of ['Leave', 'DeleteEndpoint', 'DeleteNetwork', 'FreeNetwork', 'EndpointOperInfo', 'Join']) {
    assert.match(
      await textOf(method, {}),
      new RegExp(`^NetworkDriver\\.${method}: NetworkID must be a text, got nothing`),
    );
    assert.match(await textOf(method, undefined), new RegExp(`^NetworkDriver\\.${method}: the body is empty`));
  }
});

test('node news and external connectivity are accepted and need nothing done', async () => {
  const news = { DiscoveryType: 1, DiscoveryData: { Address: '10.11.12.1', BindAddress: '10.11.12.1', Self: true } };
  const cases: ReadonlyArray<[string, unknown]> = [
    ['DiscoverNew', news],
    ['DiscoverDelete', news],
    ['ProgramExternalConnectivity', { ...ids, Options: createEndpoint.Options }],
    ['RevokeExternalConnectivity', ids],
  ];
  for (const [method, message] of cases) {
    assert.equal(await ask(method, message), { status: 200, json: {}, calls: [] });
  }
});

test("the overlay's refusal reaches the engine word for word, under both names", async () => {
  const error = overlayError('ENDPOINT_UNKNOWN', { endpoint });
  const { status, json } = await ask('EndpointOperInfo', ids, { endpointFacts: () => Promise.reject(error) });

  assert.is(status, 200);
  assert.equal(json, { Err: error.message, Error: error.message });
});

test.run();

import * as assert from 'uvu/assert';
import { parseAddress, parseSubnet } from '../../../src/core/address.ts';
import { diff, patch } from '../../../src/core/change.ts';
import { type ForwardingState, forwarding } from '../../../src/core/forwarding.ts';
import { type EndpointId, type NodeId, namedIdentity, networkKey } from '../../../src/core/identity.ts';
import { macFromAddress } from '../../../src/core/mac.ts';
import type { Endpoint, Membership, Model, Network } from '../../../src/core/model.ts';
import { parseVni } from '../../../src/core/vni.ts';
import { suite } from '../../kit/suite.ts';

const test = suite('core/forwarding');

const identity = namedIdentity('blue');
const blue: Network = {
  key: networkKey(identity),
  identity,
  vni: parseVni(5000),
  subnets: [parseSubnet('10.77.0.0/24')],
  mtuBytes: 1450,
  multicast: true,
};
const endpoint = (name: string, address: string, version = 1): Endpoint => ({
  id: name as EndpointId,
  network: blue.key,
  mac: macFromAddress(parseAddress(address)),
  addresses: [parseAddress(address)],
  version,
});
const member = (node: string, vtep: string, ...endpoints: Endpoint[]): Membership => ({
  node: node as NodeId,
  network: blue.key,
  vtep: { address: parseAddress(vtep), port: 14789 },
  endpoints,
});
const model = (local: Endpoint[], remote: Membership[]): Model => ({
  self: 'me' as NodeId,
  networks: [blue],
  local,
  remote,
});
const json = (state: ForwardingState) => JSON.stringify([...state].sort(([one], [other]) => (one < other ? -1 : 1)));

test('a path that was measured is a row, behind its VTEP and as long as that is needed', () => {
  const remote = [member('two', '10.10.2.2', endpoint('b', '10.77.0.3')), member('three', '10.10.3.2')];
  const measured = new Map([
    [parseAddress('10.10.2.2'), 1400],
    [parseAddress('10.10.9.2'), 1300],
  ]);

  const state = forwarding({ ...model([], remote), pathMtus: measured });

  assert.equal(
    [...state.values()].filter(({ table }) => table === 'path'),
    [{ table: 'path', vtep: '10.10.2.2', mtuBytes: 1400 }],
  );
  const keysOf = (changes: ReturnType<typeof diff>) =>
    changes.map(({ kind, entry }) => `${kind} ${entry.table}`).filter((text) => /vtep|path/.test(text));
  assert.equal(keysOf(diff(state, new Map())), ['put vtep', 'put vtep', 'put path']);
  assert.equal(keysOf(diff(new Map(), state)), ['remove path', 'remove vtep', 'remove vtep']);
});

test('a local and a remote endpoint get all their rows', () => {
  const state = forwarding(
    model([endpoint('a', '10.77.0.2')], [member('two', '10.10.2.2', endpoint('b', '10.77.0.3'))]),
  );

  assert.equal([...state.keys()].sort(), [
    'flood 5000',
    'group 5000 :: 10.10.2.2',
    'mac 5000 02:42:0a:4d:00:02',
    'mac 5000 02:42:0a:4d:00:03',
    'neighbour 5000 10.77.0.2',
    'neighbour 5000 10.77.0.3',
    'network 5000',
    'peer 5000 10.10.2.2',
    'port a',
    'vtep 10.10.2.2',
  ]);
  assert.equal(state.get('flood 5000'), { table: 'flood', vni: 5000, endpoints: ['a'], vteps: ['10.10.2.2'] });
  assert.equal(state.get('mac 5000 02:42:0a:4d:00:03'), {
    table: 'mac',
    vni: 5000,
    mac: '02:42:0a:4d:00:03',
    at: { kind: 'remote', vtep: '10.10.2.2' },
  });
});

test('a node without endpoints is a peer and gets broadcast', () => {
  const state = forwarding(model([], [member('two', '10.10.2.2')]));
  assert.ok(state.has('peer 5000 10.10.2.2'));
  assert.equal(state.get('flood 5000'), { table: 'flood', vni: 5000, endpoints: [], vteps: ['10.10.2.2'] });
});

test('groups go to VTEPs that said they want them, and everything to those that said nothing', () => {
  const groups = ['239.1.2.3', 'ff15::42'].map(parseAddress);
  const remote = [
    { ...member('two', '10.10.2.2'), groups },
    { ...member('three', '10.10.3.2'), groups: [] },
    member('four', '10.10.4.2'),
  ];
  const rows = (network: Network) =>
    [...forwarding({ ...model([], remote), networks: [network] }).keys()]
      .filter((key) => key.startsWith('group'))
      .sort();

  assert.equal(rows(blue), [
    'group 5000 239.1.2.3 10.10.2.2',
    'group 5000 :: 10.10.4.2',
    'group 5000 ff15::42 10.10.2.2',
  ]);
  assert.equal(rows({ ...blue, multicast: false }), []);
});

test('of two claims to an address the later one wins, in whatever order they arrive', () => {
  const old = member('two', '10.10.2.2', endpoint('old', '10.77.0.3', 7));
  const moved = member('three', '10.10.3.2', endpoint('moved', '10.77.0.3', 9));
  const one = forwarding(model([], [old, moved]));
  const other = forwarding(model([], [moved, old]));

  assert.equal(one.get('mac 5000 02:42:0a:4d:00:03'), {
    table: 'mac',
    vni: 5000,
    mac: '02:42:0a:4d:00:03',
    at: { kind: 'remote', vtep: '10.10.3.2' },
  });
  assert.is(json(one), json(other));
});

test('applying a difference gives the desired state, for random models', () => {
  let seed = Number(process.env['WEFT_TEST_SEED'] ?? Date.now() % 1_000_000);
  const from = seed;
  const random = (bound: number) => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
    return (seed >>> 8) % bound;
  };
  const randomModel = () => {
    const pick = (node: string) =>
      Array.from({ length: random(5) }, (_, index) =>
        endpoint(`${node}${index}`, `10.77.0.${1 + random(20)}`, random(50)),
      );
    return model(
      pick('l'),
      ['two', 'three', 'four'].slice(random(3)).map((node, index) => member(node, `10.10.${index}.2`, ...pick(node))),
    );
  };
  let state: ForwardingState = new Map();
  for (let round = 0; round < 300; round += 1) {
    const desired = forwarding(randomModel());
    state = patch(state, diff(desired, state));
    assert.is(json(state), json(desired), `seed ${from}, round ${round}`);
    assert.is(diff(desired, state).length, 0);
  }
});

test('a network may have a hundred thousand endpoints', () => {
  const hosts = Array.from({ length: 100_000 }, (_, host) =>
    endpoint(`r${host}`, `10.${host >> 16}.${(host >> 8) & 255}.${host & 255}`),
  );

  const { size } = forwarding(model([], [{ ...member('far', '192.0.2.3'), endpoints: hosts }]));
  assert.ok(size > 200_000, `${size} rows`);
});

test('a VTEP is put before the MACs and groups behind it and removed after them', () => {
  const desired = forwarding(model([], [member('two', '10.10.2.2', endpoint('b', '10.77.0.3'))]));
  const tables = diff(desired, new Map()).map(({ entry }) => entry.table);
  assert.ok(tables.indexOf('vtep') < tables.indexOf('mac'));
  assert.ok(tables.indexOf('vtep') < tables.indexOf('group'));
  assert.ok(tables.indexOf('mac') < tables.indexOf('neighbour'));
  const removed = diff(new Map(), desired).map(({ entry }) => entry.table);
  assert.equal(removed, [...tables].reverse());
});

test('only a router that is here shows in its port', () => {
  const router: Endpoint = { ...endpoint('a', '10.77.0.2'), isRouter: true };
  const state = forwarding(model([router, endpoint('b', '10.77.0.3')], []));

  assert.equal(Object(state.get('port a')).isRouter, true);
  assert.is('isRouter' in Object(state.get('port b')), false);
  assert.is(diff(state, forwarding(model([endpoint('a', '10.77.0.2'), endpoint('b', '10.77.0.3')], []))).length, 1);
});

test.run();

import * as assert from 'uvu/assert';
import { parseAddress } from '../../../src/core/address.ts';
import { diff } from '../../../src/core/change.ts';
import { forwarding } from '../../../src/core/forwarding.ts';
import type { Vtep } from '../../../src/core/model.ts';
import { addressesOf, commonFamily, reachable, towards, vtepOf, widestFamily } from '../../../src/core/vtep.ts';
import { nodeId, testEndpoint, testNetwork } from '../../kit/models.ts';
import { suite } from '../../kit/suite.ts';

const test = suite('core/vtep');

const ipv4 = parseAddress('10.0.0.2');
const ipv6 = parseAddress('fd00::2');
const port = 14789;
const only4: Vtep = { address: ipv4, port };
const only6: Vtep = { address: ipv6, port };
const dual: Vtep = { address: ipv4, port, alternate: ipv6 };

test('a VTEP has its IPv4 address first, in whatever order they are given', () => {
  assert.equal(vtepOf([ipv4], port), only4);
  assert.equal(vtepOf([ipv6], port), only6);
  assert.equal(vtepOf([ipv4, ipv6], port), dual);
  assert.equal(vtepOf([ipv6, ipv4], port), dual);
  assert.equal(addressesOf(dual), [ipv4, ipv6]);
  assert.equal(addressesOf(only6), [ipv6]);
});

test('a tunnel has IPv4 where both ends have it, else IPv6, and both ends find the same', () => {
  for (const [one, other, family] of [
    [only4, only4, 'ipv4'],
    [only4, dual, 'ipv4'],
    [dual, dual, 'ipv4'],
    [dual, only6, 'ipv6'],
    [only6, only6, 'ipv6'],
    [only4, only6, null],
  ] as const) {
    assert.is(commonFamily(one, other), family);
    assert.is(commonFamily(other, one), family);
  }
});

test('a peer is sent to at its address of the common family, and known by the other one as well', () => {
  assert.equal(towards(only4, dual), dual);
  assert.equal(towards(dual, dual), dual);
  assert.equal(towards(only6, dual), { address: ipv6, port, alternate: ipv4 });
  assert.equal(towards(dual, only6), { ...only6, alternate: undefined });
  assert.is(towards(only6, only4), null);
});

test('the network is as small as the widest tunnel between any two nodes makes it', () => {
  assert.is(widestFamily([only4, dual]), 'ipv4');
  assert.is(widestFamily([dual, dual]), 'ipv4');
  assert.is(widestFamily([only4, dual, only6]), 'ipv6');
});

test('what a node forwards by follows from its own families: a path to each it can reach, both addresses let in', () => {
  const network = testNetwork(1);
  const members = [
    { node: nodeId('two'), network: network.key, vtep: dual, endpoints: [testEndpoint(1, 12)] },
    {
      node: nodeId('three'),
      network: network.key,
      vtep: { address: parseAddress('fd00::3'), port },
      endpoints: [testEndpoint(1, 13)],
    },
  ];
  const rows = (own: Vtep) => {
    const model = { self: nodeId('self'), networks: [network], local: [], remote: reachable(own, members) };
    return diff(forwarding(model), new Map()).map(({ entry }) => entry);
  };
  const of = (own: Vtep, table: string) => rows(own).filter((entry) => entry.table === table);
  const vni = network.vni;

  assert.equal(of({ address: parseAddress('10.0.0.1'), port }, 'vtep'), [{ table: 'vtep', address: ipv4, port }]);
  assert.equal(of({ address: parseAddress('10.0.0.1'), port }, 'flood'), [
    { table: 'flood', vni, endpoints: [], vteps: [ipv4] },
  ]);
  assert.is(of({ address: parseAddress('10.0.0.1'), port }, 'mac').length, 1);
  assert.equal(of({ address: parseAddress('fd00::1'), port }, 'vtep'), [
    { table: 'vtep', address: ipv6, port },
    { table: 'vtep', address: 'fd00::3', port },
  ]);
  assert.equal(of({ address: parseAddress('fd00::1'), port }, 'peer'), [
    { table: 'peer', vni, source: ipv6, vtep: ipv6 },
    { table: 'peer', vni, source: ipv4, vtep: ipv6 },
    { table: 'peer', vni, source: 'fd00::3', vtep: 'fd00::3' },
  ]);
});

test.run();

/** A cluster of nodes with IPv4, with IPv6 and with both for their VTEPs: who talks to whom, and what is told. */

import * as assert from 'uvu/assert';
import { vtepOf } from '../../../src/core/vtep.ts';
import { address, endpointId, eventually, networkId, networkRequest } from '../../kit/overlay-node.ts';
import { type OverlayContext, overlaySuite } from '../../kit/overlay-suite.ts';

const test = overlaySuite('overlay: VTEPs of both families');

const vteps = {
  1: vtepOf([address('10.10.1.2')], 14789),
  2: vtepOf([address('fd00:10:2::2'), address('10.10.2.2')], 14789),
  3: vtepOf([address('fd00:10:3::2')], 14789),
} as const;

/** IPv4 alone, both, IPv6 alone; each with one container of its own in network blue. */
async function cluster({ node }: OverlayContext) {
  const start = async (number: 1 | 2 | 3) => {
    const each = await node(number, { vtep: vteps[number] });
    await each.verbs.createNetwork(networkRequest('b1'));
    const id = endpointId(`e${number}`);
    const addresses = [address(`10.77.0.${10 + number}`)];
    await each.verbs.createEndpoint({ networkId: networkId('b1'), id, addresses, mac: null });
    await each.verbs.join(networkId('b1'), id);
    return each;
  };
  return [await start(1), await start(2), await start(3)] as const;
}

const macOf = (number: number) => `02:42:0a:4d:00:0${(10 + number).toString(16)}`;

test('a node with both talks to both, in the family that the other has', async (context) => {
  const [four, both, six] = await cluster(context);
  const table = (node: typeof four) =>
    node.dataPath
      .keys()
      .filter((key) => /^(vtep|peer|mac) /.test(key))
      .map((key) => key.replace(/^(peer|mac) \d+/, '$1'))
      .filter((key) => !key.endsWith(macOf(node === four ? 1 : node === both ? 2 : 3)))
      .sort();

  await eventually(() =>
    assert.equal(table(four), [`mac ${macOf(2)}`, 'peer 10.10.2.2', 'peer fd00:10:2::2', 'vtep 10.10.2.2']),
  );
  await eventually(() =>
    assert.equal(table(both), [
      `mac ${macOf(1)}`,
      `mac ${macOf(3)}`,
      'peer 10.10.1.2',
      'peer fd00:10:3::2',
      'vtep 10.10.1.2',
      'vtep fd00:10:3::2',
    ]),
  );
  await eventually(() =>
    assert.equal(table(six), [`mac ${macOf(2)}`, 'peer 10.10.2.2', 'peer fd00:10:2::2', 'vtep fd00:10:2::2']),
  );
});

test('two nodes with no family in common are told of each other by name, and nothing waits for it', async (context) => {
  const [four, both, six] = await cluster(context);

  for (const [node, other, words] of [
    [four, 'node-3', /no tunnel joins node-1 and node-3: node-1 has only IPv4, node-3 has only IPv6 .* --vtep/],
    [six, 'node-1', /no tunnel joins node-3 and node-1: node-3 has only IPv6, node-1 has only IPv4 .* --vtep/],
  ] as const) {
    await eventually(async () => assert.match((await node.reports.status()).problems.join(), words));
    const peer = (await node.reports.peers()).find((each) => each.node === other);
    assert.is(peer?.state, 'unreachable');
    assert.match(peer?.problem ?? '', /no tunnel joins/);
  }
  await eventually(async () => assert.is((await both.reports.peers()).length, 2));
  assert.equal((await both.reports.status()).problems, []);
  assert.equal(
    (await both.reports.peers()).map(({ address: there, problem }) => [there, problem]),
    [
      ['10.10.1.2', undefined],
      ['fd00:10:3::2', undefined],
    ],
  );
});

test('reports show both addresses, and every path is probed where packets go', async (context) => {
  const [four, both, six] = await cluster(context);

  const { vtep, alternate } = (await both.reports.status()).node;
  assert.equal([vtep, alternate], ['10.10.2.2', 'fd00:10:2::2']);
  for (const [node, there] of [
    [four, '10.10.2.2'],
    [six, 'fd00:10:2::2'],
  ] as const) {
    await eventually(async () => {
      const peer = (await node.reports.peers()).find((each) => each.node === 'node-2');
      assert.equal([peer?.address, peer?.state], [there, 'reachable']);
    });
  }
});

test('a network that is made once a node without IPv4 is known leaves room for outer headers of IPv6', async ({
  node,
}) => {
  const one = await node(1, { vtep: vteps[1] });
  const two = await node(2, { vtep: vteps[2] });
  await eventually(async () => assert.is((await two.reports.nodes()).length, 2));
  await two.verbs.createNetwork(networkRequest('b1', { name: 'before' }));
  const three = await node(3, { vtep: vteps[3] });
  await eventually(async () => assert.is((await one.reports.nodes()).length, 3));
  await one.verbs.createNetwork(networkRequest('b2', { name: 'after' }));
  await eventually(async () => assert.is((await three.reports.nodes()).length, 3));
  await three.verbs.createNetwork(networkRequest('b3', { name: 'third' }));

  assert.is((await two.reports.networks())[0]?.mtuBytes, 1450);
  assert.is((await one.reports.networks())[0]?.mtuBytes, 1430);
  assert.is((await three.reports.networks())[0]?.mtuBytes, 1430);
});

test.run();

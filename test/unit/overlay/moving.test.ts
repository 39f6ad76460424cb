/** A node that gets another place on the underlay: what it writes, and what its peers make of it. */

import * as assert from 'uvu/assert';
import type { NodeId } from '../../../src/core/identity.ts';
import { nodeKey } from '../../../src/core/keys.ts';
import { codecs } from '../../../src/store/codec.ts';
import {
  address,
  endpointId,
  eventually,
  networkId,
  networkRequest,
  type OverlayNode,
} from '../../kit/overlay-node.ts';
import { overlaySuite } from '../../kit/overlay-suite.ts';

const test = overlaySuite('moving');
const place = { vtep: { address: address('10.10.1.99'), port: 14789 }, mtuBytes: 1400 };

async function joinBoth(one: OverlayNode, two: OverlayNode): Promise<void> {
  for (const [node, host] of [
    [one, 2],
    [two, 3],
  ] as const) {
    const id = endpointId(`e${host}`);
    const addresses = [address(`10.77.0.${host}`)];
    await node.verbs.createNetwork(networkRequest('a'));
    await node.verbs.createEndpoint({ networkId: networkId('a'), id, addresses, mac: null });
    await node.verbs.join(networkId('a'), id);
  }
}

const vteps = ({ dataPath }: OverlayNode) => dataPath.keys().filter((key) => key.startsWith('vtep '));

test('peers follow a node to its new place, and know it by the same id', async ({ node, store }) => {
  const [one, two] = [await node(1), await node(2)];
  await joinBoth(one, two);
  await eventually(() => assert.equal(vteps(two), ['vtep 10.10.1.2']));
  const before = await one.reports.status();

  one.underlay.move(place);

  await eventually(() => assert.equal(vteps(two), ['vtep 10.10.1.99']));
  assert.equal(two.dataPath.keys().filter((key) => key.startsWith('peer ')).length, 1);
  assert.equal(one.dataPath.own, place.vtep);
  const { node: after } = await one.reports.status();
  assert.equal(after, { ...before.node, vtep: '10.10.1.99' });
  const key = nodeKey(after.id as NodeId);
  await eventually(async () => {
    const entry = (await store.get([key])).get(key);
    const record = codecs.node.decode(entry?.value ?? new Uint8Array());
    assert.equal([record.vtep, record.mtuBytes, record.epoch], [place.vtep, 1400, before.node.epoch]);
  });
  await eventually(async () => {
    const known = (await two.reports.nodes()).find(({ id }) => id === after.id);
    assert.equal([known?.vtep, known?.mtuBytes], ['10.10.1.99', 1400]);
  });
});

test('a record that was written for the new place can be taken again after the lease was lost', async ({
  node,
  store,
}) => {
  const one = await node(1);
  one.underlay.move(place);
  const { node: self } = await one.reports.status();
  const key = nodeKey(self.id as NodeId);
  await eventually(() => assert.equal(one.dataPath.own, place.vtep));
  await store.commit([{ kind: 'delete', key, expect: 'any' }]);

  await eventually(async () => {
    const entry = (await store.get([key])).get(key);
    assert.equal(codecs.node.decode(entry?.value ?? new Uint8Array()).vtep, place.vtep);
  }, 10_000);
});

test('an address that is gone is a problem, until it is back', async ({ node }) => {
  const one = await node(1);
  one.underlay.lose('no device of this node has the VTEP address 10.10.1.2');
  assert.ok((await one.reports.status()).problems.some((problem) => /10\.10\.1\.2/.test(problem)));

  one.underlay.move(place);

  assert.equal((await one.reports.status()).problems, []);
});

test('an MTU that changes is told, and new networks are made to fit it', async ({ node }) => {
  const one = await node(1);
  one.underlay.move({ ...place, mtuBytes: 1300 });
  await eventually(async () => assert.is((await one.reports.nodes())[0]?.mtuBytes, 1300));
  await one.verbs.createNetwork(networkRequest('a'));

  assert.is((await one.reports.networks())[0]?.mtuBytes, 1250);
});

test.run();

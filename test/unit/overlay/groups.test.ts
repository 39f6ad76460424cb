/** What nodes tell each other of multicast groups, over the real overlay and a store in memory. */

import * as assert from 'uvu/assert';
import { parseAddress } from '../../../src/core/address.ts';
import type { NetworkKey, NodeId } from '../../../src/core/identity.ts';
import { membershipKey } from '../../../src/core/keys.ts';
import { codecs } from '../../../src/store/codec.ts';
import { eventually, networkRequest, type OverlayNode } from '../../kit/overlay-node.ts';
import { overlaySuite } from '../../kit/overlay-suite.ts';

const test = overlaySuite('overlay/groups');
const wanted = (node: OverlayNode) =>
  node.dataPath
    .keys()
    .filter((key) => key.startsWith('group '))
    .map((key) => key.split(' ').slice(2).join(' '));
const vniOf = (node: OverlayNode) => {
  for (const entry of node.dataPath.state.values()) if (entry.table === 'network') return entry.vni;
  throw new Error('no network');
};
function join(node: OverlayNode, ...groups: readonly string[]): void {
  node.dataPath.joined = new Map([[vniOf(node), groups.map(parseAddress)]]);
  node.dataPath.emit({ kind: 'groups' });
}

test('what is joined and left on one node is known on the others', async ({ node }) => {
  const [one, two] = [await node(1), await node(2)];
  for (const each of [one, two]) await each.verbs.createNetwork(networkRequest('n'));
  await eventually(() => assert.is(wanted(one).length + wanted(two).length, 0));

  join(one, '239.1.2.3', 'ff15::42');
  await eventually(() => assert.equal(wanted(two), ['239.1.2.3 10.10.1.2', 'ff15::42 10.10.1.2']));
  assert.equal(wanted(one), []);
  const digests = async () => Promise.all([one, two].map(async ({ reports }) => (await reports.status()).store.digest));
  await eventually(async () => assert.is(new Set(await digests()).size, 1));

  join(one, 'ff15::42');
  await eventually(() => assert.equal(wanted(two), ['ff15::42 10.10.1.2']));
});

test('a node that starts again tells what its data path still knows', async ({ node }) => {
  const [one, two] = [await node(1), await node(2)];
  for (const each of [one, two]) await each.verbs.createNetwork(networkRequest('n'));
  join(one, '239.1.2.3');
  await eventually(() => assert.equal(wanted(two), ['239.1.2.3 10.10.1.2']));
  await one.close();

  await node(1, { dataPath: one.dataPath, journal: one.journal });
  assert.equal(wanted(two), ['239.1.2.3 10.10.1.2']);
});

test('a node that does not know, or does not say, gets every group', async ({ node, store }) => {
  const [one, two] = [await node(1), await node(2)];
  for (const each of [one, two]) await each.verbs.createNetwork(networkRequest('n'));
  one.dataPath.joined = null;
  one.dataPath.emit({ kind: 'groups' });
  await eventually(() => assert.equal(wanted(two), [':: 10.10.1.2']));

  const key = membershipKey((await one.reports.networks())[0]?.id as NetworkKey, '0000000000000001' as NodeId);
  const entry = (await store.get([key], AbortSignal.timeout(1_000))).get(key);
  assert.is(codecs.membership.decode(entry?.value ?? new Uint8Array()).groups, undefined);
});

test('a container that joins and leaves without end costs few writes, and the last of it is told', async ({ node }) => {
  const [one, two] = [await node(1), await node(2)];
  for (const each of [one, two]) await each.verbs.createNetwork(networkRequest('n'));
  const began = performance.now();
  const digests = new Set<string>();
  for (let round = 0; round < 60; round += 1) {
    join(one, `239.1.2.${round}`);
    digests.add((await one.reports.status()).store.digest);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  // What it began with, four writes at once, and one in two seconds.
  const most = 1 + 4 + Math.ceil((performance.now() - began) / 2_000);
  assert.ok(digests.size >= 2 && digests.size <= most, `${digests.size} digests, ${most} allowed`);

  await eventually(() => assert.equal(wanted(two), ['239.1.2.59 10.10.1.2']), 10_000);
});

test.run();

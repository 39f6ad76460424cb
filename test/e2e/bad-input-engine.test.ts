/**
 * What a user of docker sees of mistakes: the engine's own error ends with Weft's sentence, in time, and neither the
 * engine nor Weft has anything of it afterwards. An old engine and a new one, since they ask in another order.
 */

import * as assert from 'uvu/assert';
import { type Cluster, type ClusterNode, createCluster } from '../kit/cluster.ts';
import { requireClean } from '../kit/cluster-leftovers.ts';
import { testImage } from '../kit/engine.ts';
import { differences, readLmdb, readNode, type StoreReader } from '../kit/node-state.ts';
import { suite } from '../kit/suite.ts';

interface Context {
  cluster: Cluster;
  store: StoreReader;
}

/** The engine may need some time of its own; a call to the plugin has 3 s. */
const limitMs = 5_000;
const create = 'network create --driver weft --ipam-driver weft';
const test = suite<Context>('bad input of docker users');

test.before(async (context) => {
  context.cluster = await createCluster({ store: 'lmdb', engines: ['20.10', '28'] });
  context.store = await readLmdb(context.cluster.lab.embeddedStore);
  for (const node of context.cluster.nodes) {
    await node.docker(`${create} --subnet 10.77.0.0/24 --opt weft.vni=4242 blue`);
  }
  await context.cluster.nodes[0]?.docker('run --detach --name owner --network blue --ip 10.77.0.10', testImage);
});

test.after(async ({ cluster, store }) => {
  await store?.close();
  await cluster?.close();
});

/** Refused on both engines, with these words, and nothing changed. */
function refused(title: string, words: readonly string[], ...says: readonly string[]): void {
  test(`${title} is refused by old and new engines alike`, async ({ cluster, store }) => {
    for (const node of cluster.nodes) {
      const before = await everything(node, store);
      const startedMs = performance.now();
      const text = await node.refused(...asWords(words));
      const milliseconds = performance.now() - startedMs;

      for (const word of says) assert.ok(text.includes(word), `"${word}" is not in: ${text}`);
      assert.ok(milliseconds < limitMs, `${node.engine.version} took ${Math.round(milliseconds)} ms`);
      const after = await everything(node, store);
      assert.equal(differences(before.weft, after.weft), []);
      assert.equal(after.docker, before.docker);
    }
  });
}

function asWords([first = '', ...rest]: readonly string[]): [string, ...string[]] {
  return [first, ...rest];
}

async function everything(node: ClusterNode, store: StoreReader) {
  return {
    weft: await readNode(node.host, node.daemon, store),
    docker: await node.docker('network ls --format {{.Name}}/{{.Driver}} --no-trunc'),
  };
}

const green = '--subnet 10.99.0.0/24';
refused('VNI 0', [`${create} ${green} --opt weft.vni=0 green`], 'weft.vni=0', '1 to 16777215');
refused('a VNI of 25 bits', [`${create} ${green} --opt weft.vni=16777216 green`], 'weft.vni=16777216', '1 to 16777215');
refused('a VNI that is taken', [`${create} ${green} --opt weft.vni=4242 green`], 'VNI 4242', '10.77.0.0/24');
refused(
  'an unknown driver option',
  [`${create} ${green} --opt weft.vnid=7 green`],
  'weft.vnid is not known',
  'weft.vni',
);
refused(
  'an unknown IPAM option',
  [`${create} ${green} --ipam-opt colour=red green`],
  'colour is not known',
  'weft.network',
);
refused(
  'a nonsensical MTU',
  [`${create} ${green} --opt com.docker.network.driver.mtu=big green`],
  'mtu=big',
  'from 68',
);
refused('a name with bad characters', [`${create} ${green} --opt`, 'weft.network=a b', 'green'], 'weft.network=a b');
refused('a subnet that overlaps another', [`${create} --subnet 10.77.0.0/25 green`], '10.77.0.0/25', 'overlaps');
refused('a range outside of the subnet', [`${create} ${green} --ip-range 10.98.0.0/24 green`], '10.98.0.0/24');

/** On the engine that does not have the address. */
test('docker run with an address that is taken elsewhere is refused with the name of the owner', async ({
  cluster,
  store,
}) => {
  const [one, two] = cluster.nodes;
  if (one === undefined || two === undefined) throw new Error('two nodes are needed');
  const before = await everything(two, store);

  const text = await two.refused('run --rm --network blue --ip 10.77.0.10', testImage, 'true');

  assert.match(text, '10.77.0.10');
  assert.match(text, `on node ${one.name}; choose another address`);
  const after = await everything(two, store);
  assert.equal(differences(before.weft, after.weft), []);
});

test('docker run with a multicast MAC address is refused, and leaves no address behind', async ({ cluster, store }) => {
  for (const node of cluster.nodes) {
    const before = await everything(node, store);
    const text = await node.refused('run --rm --network blue --mac-address 01:00:5e:00:00:01', testImage, 'true');

    assert.match(text, '01:00:5e:00:00:01');
    assert.equal(differences(before.weft, (await everything(node, store)).weft), []);
  }
});

test('when all is taken back, nothing is left', async ({ cluster }) => {
  await cluster.nodes[0]?.docker('rm --force owner');
  await cluster.everywhere('network rm blue');

  await requireClean(cluster);
});

test.run();

/** Networks that go and come back, and what they leave: nothing. */

import * as assert from 'uvu/assert';
import type { NetworkReport } from '../../../src/overlay/report.ts';
import type { ClusterNode } from '../cluster.ts';
import { requireClean } from '../cluster-leftovers.ts';
import { ping } from '../traffic.ts';
import type { Suite } from './options.ts';

const create = 'network create --driver weft --ipam-driver weft --subnet 10.90.0.0/24 --ip-range 10.90.0.4/30 cycle';

export function testNetworkLife(test: Suite): void {
  test('a network that one engine removed and made again works as before, while others kept it', async ({
    cluster,
  }) => {
    const [a, b] = [cluster.node(0), cluster.node(1)];
    await cluster.everywhere(create);
    const kept = await a.run('kept', { network: 'cycle' });
    const before = await vniOf(a);

    await b.docker('network rm cycle');
    await b.docker(create);
    const fresh = await b.run('fresh', { network: 'cycle' });

    assert.is(await vniOf(b), before);
    assert.ok(await ping(fresh, kept.address, { tries: 1 }));
    assert.ok(await ping(kept, fresh.address, { tries: 1 }));
  });

  test('a network with containers is not removed, here or elsewhere', async ({ cluster }) => {
    const [a, b] = [cluster.node(0), cluster.node(1)];
    await cluster.everywhere(create);
    const inside = await a.run('inside', { network: 'cycle' });

    assert.match(await a.refused('network rm cycle'), 'active endpoints');
    await b.docker('network rm cycle');

    assert.is((await a.report<readonly NetworkReport[]>('networks')).length, 1);
    assert.match(await inside.run(['ip', '-4', 'address', 'show', 'eth0']), inside.address);
  });

  test('after everything is removed nothing is left, and the same addresses and VNI are given again', async ({
    cluster,
  }) => {
    const vnis = new Set<number>();
    for (let round = 0; round < 2; round += 1) {
      await cluster.everywhere(create);
      // The range has four addresses: all of them must have come back from the round before.
      const runs = [0, 1, 2, 3].map((i) => cluster.node(i % 2).run(`c${round}-${i}`, { network: 'cycle' }));
      const containers = await Promise.all(runs);
      assert.is(new Set(containers.map(({ address }) => address)).size, 4);
      for (const node of cluster.nodes) vnis.add(await vniOf(node));

      await cluster.sweep();
      await requireClean(cluster);
    }
    assert.is(vnis.size, 1);
  });
}

async function vniOf(node: ClusterNode): Promise<number> {
  const [only] = await node.report<readonly NetworkReport[]>('networks');
  if (only === undefined) throw new Error(`${node.name} has no network`);
  return only.vni;
}

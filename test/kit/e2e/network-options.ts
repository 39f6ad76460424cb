/** Options of docker network create. */

import * as assert from 'uvu/assert';
import type { NetworkReport } from '../../../src/overlay/report.ts';
import type { ClusterNode } from '../cluster.ts';
import { mapRows } from '../cluster-leftovers.ts';
import { countDatagrams, ping } from '../traffic.ts';
import type { Suite } from './options.ts';

const weft = 'network create --driver weft --ipam-driver weft';
/** With Docker's own IPAM driver, which knows nothing of other engines. */
const weftAlone = 'network create --driver weft';

export function testNetworkOptions(test: Suite): void {
  test("an address taken elsewhere is refused to an engine with Docker's own IPAM, naming endpoint and node", async ({
    cluster,
  }) => {
    const [a, b] = [cluster.node(0), cluster.node(1)];
    await a.docker(`${weft} --subnet 10.60.0.0/24 blue`);
    await b.docker(`${weftAlone} --subnet 10.60.0.0/24 blue`);
    // Docker's own IPAM begins with this one.
    const owner = await a.run('owner', { network: 'blue', args: ['--ip', '10.60.0.2'] });

    const said = await b.refused('run --network blue weft/lab:1 true');
    const free = await b.run('free', { network: 'blue', args: ['--ip', '10.60.0.3'] });

    const endpoint = await a.docker(
      'inspect owner --format',
      '{{range .NetworkSettings.Networks}}{{.EndpointID}}{{end}}',
    );
    assert.match(said, '10.60.0.2');
    assert.match(said, endpoint);
    assert.match(said, `on node ${a.name}`);
    assert.ok(await ping(free, owner.address));
  });

  test('without a subnet a free pool is chosen, and weft.network gives every engine the same one', async ({
    cluster,
  }) => {
    const named = '--opt weft.network=shop --ipam-opt weft.network=shop shop';
    const subnets: string[] = [];
    for (const node of cluster.nodes) {
      await node.docker(`${weft} ${named}`);
      await node.docker(`${weft} own`);
      subnets.push(await subnetOf(node, 'shop'), await subnetOf(node, 'own'));
    }

    const [shopA, ownA, shopB, ownB] = subnets;
    assert.is(shopA, shopB);
    assert.is(new Set([shopA, ownA, ownB]).size, 3);
    const [here, there] = await Promise.all(
      cluster.nodes.map((node) => node.run(`in-shop-${node.name}`, { network: 'shop' })),
    );
    assert.ok(here !== undefined && there !== undefined && (await ping(here, there.address)));
  });

  test('two networks with one subnet are told apart by weft.network, and no packet crosses', async ({ cluster }) => {
    for (const name of ['red', 'green']) {
      const named = `--opt weft.network=${name} --ipam-opt weft.network=${name}`;
      await cluster.everywhere(`${weft} ${named} --subnet 10.61.0.0/24 ${name}`);
    }
    const [a, b] = [cluster.node(0), cluster.node(1)];
    const [red, redFar, green, greenFar] = await Promise.all([
      a.run('red1', { network: 'red', args: ['--ip', '10.61.0.10'] }),
      b.run('red2', { network: 'red', args: ['--ip', '10.61.0.20'] }),
      a.run('green1', { network: 'green', args: ['--ip', '10.61.0.10'] }),
      b.run('green2', { network: 'green', args: ['--ip', '10.61.0.20'] }),
    ]);
    const greenOnly = await b.run('green3', { network: 'green', args: ['--ip', '10.61.0.30'] });
    const count = { count: 50, intervalUs: 2000, device: 'eth0' };

    const receivers = [red, redFar, green, greenFar, greenOnly];
    const unicast = await countDatagrams(red, { address: '10.61.0.20', receivers: receivers.slice(1) }, count);
    const broadcast = await countDatagrams(red, { address: '10.61.0.255', receivers }, count);

    assert.equal(
      unicast.map(({ received, foreign }) => received + foreign),
      [50, 0, 0, 0],
    );
    assert.equal(
      broadcast.map(({ received, foreign }) => received + foreign),
      [50, 50, 0, 0, 0],
    );
    assert.not.ok(await ping(red, greenOnly.address, { tries: 2 }));
    assert.ok(await ping(green, greenOnly.address));
    assert.is(new Set((await networks(a)).map(({ vni }) => vni)).size, 2);
    for (const node of cluster.nodes) assert.is((await mapRows(node, 'networks')).length, 2);
  });

  test('a given gateway, range and reserved address bind all engines alike', async ({ cluster }) => {
    const [a, b] = [cluster.node(0), cluster.node(1)];
    const pool = '--subnet 10.62.0.0/24 --gateway 10.62.0.254 --ip-range 10.62.0.64/30 --aux-address box=10.62.0.66';
    await cluster.everywhere(`${weft} ${pool} ranged`);

    const containers = [
      await a.run('r1', { network: 'ranged' }),
      await b.run('r2', { network: 'ranged' }),
      await a.run('r3', { network: 'ranged' }),
    ];

    assert.equal(containers.map(({ address }) => address).sort(), ['10.62.0.64', '10.62.0.65', '10.62.0.67']);
    assert.match(await b.refused('run --network ranged weft/lab:1 true'), /no free address|in use/);
    assert.match(await b.refused('run --network ranged --ip 10.62.0.254 weft/lab:1 true'), 'gateway');
    assert.match(await a.refused('run --network ranged --ip 10.62.0.66 weft/lab:1 true'), 'auxiliary');
    const outside = await b.run('r4', { network: 'ranged', args: ['--ip', '10.62.0.200'] });
    for (const container of containers) assert.ok(await ping(outside, container.address));
  });

  test('an engine that asks for another gateway or MTU than the cluster has is refused', async ({ cluster }) => {
    const [a, b] = [cluster.node(0), cluster.node(1)];
    await a.docker(`${weft} --subnet 10.63.0.0/24 --gateway 10.63.0.9 --opt com.docker.network.driver.mtu=1400 set`);

    const gateway = await b.refused(`${weft} --subnet 10.63.0.0/24 --gateway 10.63.0.1 set`);
    const mtu = await b.refused(
      `${weft} --subnet 10.63.0.0/24 --gateway 10.63.0.9 --opt com.docker.network.driver.mtu=1300 set`,
    );
    await b.docker(`${weft} --subnet 10.63.0.0/24 --gateway 10.63.0.9 set`);

    assert.match(gateway, /gateway 10\.63\.0\.9, not 10\.63\.0\.1/);
    assert.match(mtu, /MTU 1400, not 1300/);
    const container = await b.run('narrow', { network: 'set' });
    assert.match(await container.run(['ip', 'link', 'show', 'eth0']), 'mtu 1400');
  });

  test('a VNI can be chosen, once; an unknown option is refused with those that are known', async ({ cluster }) => {
    const [a, b] = [cluster.node(0), cluster.node(1)];
    await a.docker(`${weft} --subnet 10.64.0.0/24 --opt weft.vni=777777 chosen`);

    const taken = await b.refused(`${weft} --subnet 10.65.0.0/24 --opt weft.vni=777777 other`);
    const unknown = await b.refused(`${weft} --subnet 10.65.0.0/24 --opt weft.vnni=7 other`);

    assert.equal(
      (await networks(a)).map(({ vni }) => vni),
      [777_777],
    );
    assert.match(taken, '777777');
    assert.match(unknown, 'weft.vnni');
    assert.match(unknown, 'weft.vni');
  });

  test('a network without multicast carries broadcast and no multicast', async ({ cluster }) => {
    await cluster.everywhere(`${weft} --subnet 10.66.0.0/24 --opt weft.multicast=off quiet`);
    const [sender, receiver] = await Promise.all(
      cluster.nodes.map((node) => node.run(`quiet-${node.name}`, { network: 'quiet' })),
    );
    if (sender === undefined || receiver === undefined) throw new Error('the cluster has fewer than two nodes');
    const count = { count: 20, intervalUs: 2000, device: 'eth0' };
    const receive = { group: '239.77.1.3', device: 'eth0' };

    const group = await countDatagrams(sender, { address: receive.group, receivers: [receiver], receive }, count);
    const all = await countDatagrams(sender, { address: '10.66.0.255', receivers: [receiver] }, count);

    assert.is(group[0]?.received, 0);
    assert.is(all[0]?.received, 20);
  });
}

async function subnetOf(node: ClusterNode, network: string): Promise<string> {
  return node.docker(`network inspect ${network} --format`, '{{(index .IPAM.Config 0).Subnet}}');
}

async function networks(node: ClusterNode): Promise<readonly NetworkReport[]> {
  return node.report<readonly NetworkReport[]>('networks');
}

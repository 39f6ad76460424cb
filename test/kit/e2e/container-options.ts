/** Options of docker run and docker network connect. */

import * as assert from 'uvu/assert';
import type { Cluster, ClusterNode } from '../cluster.ts';
import type { Container } from '../docker.ts';
import type { Station } from '../node.ts';
import { ask, countDatagrams, ping, pingAll, startEcho, transfer } from '../traffic.ts';
import type { Suite } from './options.ts';

/** Where traffic.ts listens for a stream. */
const streamPort = 17_700;
const weft = 'network create --driver weft --ipam-driver weft';

export function testContainerOptions(test: Suite): void {
  test('a container has the address and MAC address that were asked for, and is reached there', async ({ cluster }) => {
    await cluster.everywhere(`${weft} --subnet 10.70.0.0/24 given`);

    const containers = await onEach(cluster, (node, i) =>
      node.run(`given${i}`, {
        network: 'given',
        args: ['--ip', `10.70.0.${50 + i}`, '--mac-address', `02:77:00:00:00:0${i}`],
      }),
    );

    for (const [i, container] of containers.entries()) {
      assert.equal([container.address, container.mac], [`10.70.0.${50 + i}`, `02:77:00:00:00:0${i}`]);
      const device = await container.run(['ip', '-brief', 'link', 'show', 'eth0']);
      assert.match(device, container.mac);
      assert.match(await container.run(['ip', '-4', 'address', 'show', 'eth0']), `inet 10.70.0.${50 + i}/24`);
    }
    assert.equal(await pingAll(stations(containers)), []);
  });

  test('an address or MAC address in use anywhere in the network is refused, naming where', async ({ cluster }) => {
    await cluster.everywhere(`${weft} --subnet 10.70.0.0/24 given`);
    const [a, b] = [cluster.node(0), cluster.node(1)];
    const holder = await a.run('holder', { network: 'given', args: ['--mac-address', '02:77:00:00:00:07'] });

    const address = await b.refused(`run --network given --ip ${holder.address} weft/lab:1 true`);
    const mac = await b.refused('run --network given --mac-address 02:77:00:00:00:07 weft/lab:1 true');

    const endpoint = await a.docker(
      'inspect holder --format',
      '{{range .NetworkSettings.Networks}}{{.EndpointID}}{{end}}',
    );
    for (const said of [address, mac]) {
      assert.match(said, endpoint);
      assert.match(said, `on node ${a.name}`);
    }
    assert.match(address, holder.address);
  });

  test('containers of an internal network have no way out, but reach each other on all nodes', async ({ cluster }) => {
    await cluster.everywhere(`${weft} --internal --subnet 10.71.0.0/24 inner`);

    const containers = await onEach(cluster, (node, i) => node.run(`inner${i}`, { network: 'inner' }));

    for (const container of containers) {
      assert.equal(await devices(container), ['eth0', 'lo']);
      assert.not.match(await container.run(['ip', 'route', 'show']), 'default');
    }
    assert.equal(await pingAll(stations(containers)), []);
  });

  test('a container of an ordinary network reaches the outside through docker_gwbridge', async ({ cluster }) => {
    await cluster.everywhere(`${weft} --subnet 10.72.0.0/24 outer`);

    const containers = await onEach(cluster, (node, i) => node.run(`outer${i}`, { network: 'outer' }));

    for (const [i, container] of containers.entries()) {
      assert.equal(await devices(container), ['eth0', 'eth1', 'lo']);
      assert.match(await container.run(['ip', 'route', 'show', 'default']), 'dev eth1');
      assert.ok(await ping(container, cluster.node(1 - i).host.address));
    }
  });

  test('a published port takes a stream from another node through docker_gwbridge', async ({ cluster }) => {
    await cluster.everywhere(`${weft} --subnet 10.72.0.0/24 outer`);
    const args = ['--publish', `${streamPort}:${streamPort}`];
    const containers = await onEach(cluster, (node, i) => node.run(`served${i}`, { network: 'outer', args }));

    for (const [i, container] of containers.entries()) {
      const { address } = cluster.node(i).host;
      const { bytes } = await transfer(cluster.node(1 - i).host, container, address, 4);
      assert.is(bytes, 4 * 2 ** 20);
    }
  });

  test('with IPv6 a container has both families, and both reach every node', async ({ cluster }) => {
    await cluster.everywhere(`${weft} --ipv6 --subnet 10.77.7.0/24 --subnet fd00:77::/64 dual`);

    const containers = await onEach(cluster, (node, i) => node.run(`dual${i}`, { network: 'dual' }));
    const [a, b] = pair(containers);

    for (const { address6 } of containers) assert.match(address6, /^fd00:77::/);
    assert.equal(await pingAll(stations(containers)), []);
    assert.equal(await pingAll(containers.map((station) => ({ station, address: station.address6 }))), []);
    const echo = await startEcho(b);
    const { answered, duplicates } = await ask(a, b.address6, { count: 100 });
    await echo.stop();
    assert.equal([answered, duplicates], [100, 0]);
    assert.is((await transfer(a, b, b.address6, 8)).bytes, 8 * 2 ** 20);
    const group = { address: 'ff15::77', receivers: containers, receive: { group: 'ff15::77', device: 'eth0' } };
    const tallies = await countDatagrams(a, group, { count: 50, intervalUs: 2000, device: 'eth0' });
    for (const { received, distinct } of tallies) assert.equal([received, distinct], [50, 50]);
  });

  test('a running container can be connected to a network and disconnected again', async ({ cluster }) => {
    await cluster.everywhere(`${weft} --subnet 10.73.1.0/24 one`);
    await cluster.everywhere(`${weft} --subnet 10.73.2.0/24 two`);
    const [a, b] = [cluster.node(0), cluster.node(1)];
    const [first, far1, far2] = await Promise.all([
      a.run('mover', { network: 'one' }),
      b.run('far1', { network: 'one' }),
      b.run('far2', { network: 'two' }),
    ]);

    await a.docker('network connect two mover');
    const second = await a.container('mover', 'two');
    assert.ok(await ping(second, far2.address));
    assert.ok(await ping(far2, second.address));
    assert.ok(await ping(first, far1.address));

    await a.docker('network disconnect two mover');
    assert.not.match(await first.run(['ip', '-4', 'address', 'show']), second.address);
    assert.not.ok(await ping(far2, second.address, { tries: 1 }));
    assert.ok(await ping(far1, first.address));

    await a.docker('network connect --ip 10.73.2.99 two mover');
    assert.ok(await ping(far2, '10.73.2.99'));
  });

  test('a container in several networks from its start has one interface in each', async ({ cluster }) => {
    const names = ['front', 'middle', 'back'];
    for (const [i, name] of names.entries()) await cluster.everywhere(`${weft} --subnet 10.74.${i}.0/24 ${name}`);
    const [a, b] = [cluster.node(0), cluster.node(1)];
    await a.docker('create --name app --network front weft/lab:1');
    for (const name of names.slice(1)) await a.docker(`network connect ${name} app`);
    await a.docker('start app');

    for (const name of names) {
      const [here, there] = [await a.container('app', name), await b.run(`peer-${name}`, { network: name })];
      assert.ok(await ping(there, here.address), `into ${name}`);
      assert.ok(await ping(here, there.address), `out to ${name}`);
    }
    assert.equal(await devices(await a.container('app', 'front')), ['eth0', 'eth1', 'eth2', 'eth3', 'lo']);
  });

  test('a restarted container is reached at once, and a removed one gives its address back', async ({ cluster }) => {
    await cluster.everywhere(`${weft} --subnet 10.75.0.0/24 again`);
    const [a, b] = [cluster.node(0), cluster.node(1)];
    const far = await b.run('far', { network: 'again' });
    const pinned = await a.run('pinned', { network: 'again', args: ['--ip', '10.75.0.9'] });

    await a.docker('restart --time 1 pinned');
    assert.ok(await ping(far, pinned.address, { tries: 1 }));

    await a.docker('rm --force pinned');
    assert.not.ok(await ping(far, pinned.address, { tries: 1 }));
    const successor = await b.run('successor', { network: 'again', args: ['--ip', '10.75.0.9'] });
    assert.ok(await ping(far, successor.address, { tries: 1 }));
    const other = await a.run('other', { network: 'again' });
    assert.ok(await ping(other, successor.address, { tries: 1 }));
  });
}

function onEach<Value>(cluster: Cluster, make: (node: ClusterNode, index: number) => Promise<Value>): Promise<Value[]> {
  return Promise.all(cluster.nodes.map(make));
}

function stations(containers: readonly Container[]) {
  return containers.map((station) => ({ station, address: station.address }));
}

function pair<Value>([first, second]: readonly Value[]): readonly [Value, Value] {
  if (first === undefined || second === undefined) throw new Error('there are fewer than two');
  return [first, second];
}

async function devices(station: Station): Promise<readonly string[]> {
  const links = JSON.parse(await station.run(['ip', '-json', 'link', 'show'])) as readonly { ifname: string }[];
  return links.map(({ ifname }) => ifname).sort();
}

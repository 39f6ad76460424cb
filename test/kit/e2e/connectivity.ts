/**
 * Containers of engines of two ages, on different LANs, in one network: they reach each other with everything that a
 * container may send, from its first packet on, and a node that comes later is as good as the first two.
 */

import * as assert from 'uvu/assert';
import type { StatusReport } from '../../../src/overlay/report.ts';
import { type Cluster, type ClusterNode, createCluster, type StoreKind } from '../cluster.ts';
import { requireClean } from '../cluster-leftovers.ts';
import { eventually } from '../command.ts';
import type { Container } from '../docker.ts';
import { testImage } from '../engine.ts';
import type { Station } from '../node.ts';
import { suite } from '../suite.ts';
import { ask, countDatagrams, pingAll, startEcho, transfer } from '../traffic.ts';

const createBlue = 'network create --driver weft --ipam-driver weft --subnet 10.77.0.0/24 blue';

interface Context {
  cluster: Cluster;
  /** One on each node, in their order. */
  containers: Container[];
}

export function testConnectivity(store: StoreKind): void {
  const test = suite<Context>(`connectivity on ${store}`);

  test.before(async (context) => {
    context.cluster = await createCluster({ store, engines: ['20.10', '28'] });
    context.containers = [];
  });
  test.after(async ({ cluster }) => {
    await cluster?.close();
  });

  test('an old and a new engine on two LANs share a network that each was told about alone', async (context) => {
    const { cluster, containers } = context;
    await cluster.everywhere(createBlue);
    for (const node of cluster.nodes) containers.push(await attach(node));

    assert.equal(await pingAll(stationsOf(containers)), []);
    assert.is(new Set(containers.map(({ address }) => address)).size, 2);
    for (const { address, mac } of containers) assert.is(mac, macOf(address));
  });

  test('a third engine joins a network in use and its containers reach all others at once', async (context) => {
    const { cluster, containers } = context;
    const node = await cluster.join('28');

    await node.docker(createBlue);
    containers.push(await attach(node));

    assert.equal(await pingAll(stationsOf(containers)), []);
  });

  test('every node holds the same tables and knows a path to every other', async ({ cluster }) => {
    const statuses = () => Promise.all(cluster.nodes.map((node) => node.report<StatusReport>('status')));

    await eventually('all digests are alike and all paths probed', async () => {
      const all = await statuses();
      const digests = new Set(all.map(({ store: { digest } }) => digest));
      return digests.size === 1 && all.every(({ peers }) => peers.every(({ state }) => state === 'reachable'));
    });

    for (const { networks, peers, problems, dataPath, store: state } of await statuses()) {
      assert.equal(problems, []);
      assert.is(dataPath.kind, 'ebpf');
      assert.is(state.state, 'live');
      assert.is(peers.length, 2);
      assert.equal(
        networks.map(({ name, subnets, endpoints, mtuBytes }) => ({ name, subnets, endpoints, mtuBytes })),
        [{ name: '10.77.0.0/24', subnets: ['10.77.0.0/24'], endpoints: 3, mtuBytes: 1450 }],
      );
    }
  });

  test('every UDP datagram asked of a container on another node is answered, small and large', async ({
    containers,
  }) => {
    for (const [from, to] of pairs(containers)) {
      const echo = await startEcho(to);
      const small = await ask(from, to.address, { count: 200, bytes: 64 });
      // More than the network's MTU: fragments arrive too.
      const large = await ask(from, to.address, { count: 50, bytes: 4000 });
      await echo.stop();

      assert.equal([small.answered, small.duplicates], [200, 0]);
      assert.equal([large.answered, large.duplicates], [50, 0]);
    }
  });

  test('TCP streams between all pairs of nodes arrive unchanged', async ({ containers }) => {
    for (const [from, to] of pairs(containers)) {
      const stream = await transfer(from, to, to.address, 16);
      assert.is(stream.bytes, 16 * 1024 * 1024);
    }
  });

  test('1 GiB from one LAN to the other arrives with the checksum it was sent with', async ({ containers }) => {
    const [from, to] = containers;
    const { bytes } = await transfer(defined(from), defined(to), defined(to).address, 1024);

    assert.is(bytes, 2 ** 30);
  });

  test('a broadcast reaches every container once, on this node and on others, and never comes back', async (context) => {
    const { cluster, containers } = context;
    const [sender, ...others] = [...containers, await cluster.node(0).run('neighbour', { network: 'blue' })];
    const stations = [defined(sender), ...others];

    for (const address of ['10.77.0.255', '255.255.255.255']) {
      const to = { address, receivers: stations, receive: { settleMs: 500 } };
      const tallies = await countDatagrams(defined(sender), to, { count: 100, intervalUs: 2000, device: 'eth0' });

      // The sender's own kernel gives it one copy; a second one would have come back from the network.
      for (const { received, distinct } of tallies) assert.equal([received, distinct], [100, 100]);
    }
  });

  test('a multicast reaches every member of the group once, over IPv4, and never comes back', async (context) => {
    const { cluster, containers } = context;
    const stations = [...containers, await cluster.node(0).container('neighbour', 'blue')];
    const receive = { group: '239.77.1.2', device: 'eth0', settleMs: 500 };

    for (const sender of stations.slice(1, 3)) {
      const to = { address: receive.group, receivers: stations, receive };
      const tallies = await countDatagrams(sender, to, { count: 100, intervalUs: 2000, device: 'eth0' });

      for (const { received, distinct } of tallies) assert.equal([received, distinct], [100, 100]);
    }
  });

  test('the first packet to a new container is answered, whichever nodes they are on', async ({
    cluster,
    containers,
  }) => {
    const lost = cluster.nodes.map(async (node, index) => {
      const fresh = `10.77.0.${200 + index}`;
      await node.docker(`run --detach --name fresh${index} --network blue --ip ${fresh}`, testImage);
      return Promise.all(containers.map((from) => firstPing(from, fresh)));
    });

    assert.equal((await Promise.all(lost)).flat(2), []);
  });

  test('the first packet of a new container is answered, whichever nodes they are on', async ({
    cluster,
    containers,
  }) => {
    const pings = cluster.nodes.flatMap((node) =>
      containers.map(({ address }) => node.docker('run --rm --network blue', testImage, ...pingOnce(address))),
    );

    for (const said of await Promise.all(pings)) assert.match(said, ' 0% packet loss');
  });

  test('when containers and networks are gone, nothing of them is left on any node or in the store', async (context) => {
    const { cluster } = context;
    await cluster.sweep();

    await requireClean(cluster);
  });

  test.run();
}

function attach(node: ClusterNode): Promise<Container> {
  return node.run(`on-${node.name}`, { network: 'blue' });
}

/** @returns what was lost, in words */
async function firstPing(from: Station, address: string): Promise<readonly string[]> {
  const { code } = await from.exec(pingOnce(address));
  return code === 0 ? [] : [`from ${from.name} to ${address}`];
}

function pingOnce(address: string): readonly string[] {
  return ['busybox', 'ping', '-c', '1', '-W', '1', address];
}

function stationsOf(containers: readonly Container[]) {
  return containers.map((station) => ({ station, address: station.address }));
}

/** Each with the next, round about: every node sends and receives. */
function pairs(containers: readonly Container[]): readonly (readonly [Container, Container])[] {
  return containers.map((from, index) => [from, defined(containers[(index + 1) % containers.length])] as const);
}

function macOf(address: string): string {
  const bytes = address.split('.').map((part) => Number(part).toString(16).padStart(2, '0'));
  return ['02', '42', ...bytes].join(':');
}

function defined<Value>(value: Value | undefined): Value {
  if (value === undefined) throw new Error('an earlier test did not make what this one needs');
  return value;
}

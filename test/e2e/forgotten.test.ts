/**
 * What is removed while the daemon is down: Docker reports it to nobody afterwards, so the daemon must find out by
 * itself, and let go of that and of nothing else.
 */

import * as assert from 'uvu/assert';
import type { EndpointReport, StatusReport } from '../../src/overlay/report.ts';
import { type Cluster, type ClusterNode, createCluster } from '../kit/cluster.ts';
import { mapRows, requireClean } from '../kit/cluster-leftovers.ts';
import { eventually } from '../kit/command.ts';
import type { Container } from '../kit/docker.ts';
import { suite } from '../kit/suite.ts';
import { countLoss, pingAll, startEcho } from '../kit/traffic.ts';

interface Context {
  cluster: Cluster;
  removed: readonly Container[];
}

const create = 'network create --driver weft --ipam-driver weft --subnet';
/** Without its plugin an engine makes a few attempts of 15 s each for one command. */
const patience = { timeoutMs: 300_000 };

const test = suite<Context>('forgotten by the engine');

test.before(async (context) => {
  const cluster = await createCluster({ store: 'lmdb', engines: ['20.10', '28'] });
  context.cluster = cluster;
  await cluster.everywhere(`${create} 10.77.0.0/24 blue`);
  await cluster.everywhere(`${create} 10.88.0.0/24 green`);
  for (const node of cluster.nodes) await node.run(`stays-${node.name}`, { network: 'blue' });
  context.removed = await Promise.all(cluster.nodes.map((node) => node.run(`goes-${node.name}`, { network: 'blue' })));
});

test.after(async ({ cluster }) => {
  await cluster?.close();
});

test('status tells what the daemon knows of its engine', async ({ cluster }) => {
  for (const node of cluster.nodes) {
    await eventually('the engine has been asked', async () => (await engineOf(node)).state === 'connected');
    const expected = { state: 'connected', version: node.engine.version, swarm: 'inactive', problem: null };
    await eventually('the engine has shown its networks', async () => (await engineOf(node)).problem === null, {
      limitMs: 60_000,
      everyMs: 500,
    });

    assert.equal(await engineOf(node), expected);
  }
});

test('what was removed while the daemons were down is released, and nothing else', async ({ cluster, removed }) => {
  const [from, to] = [await stays(cluster.node(0)), await stays(cluster.node(1))];
  const echo = await startEcho(to);

  const { lost, sent } = await countLoss({ from, address: to.address, intervalUs: 10_000 }, async () => {
    for (const { daemon } of cluster.nodes) await daemon.stop();
    await Promise.all(cluster.nodes.map(removeUnnoticed));
    assert.ok((await cluster.store.keys()).filter((key) => key.startsWith('m/')).length === 4);
    for (const { daemon } of cluster.nodes) await daemon.restart();
    await Promise.all(cluster.nodes.map((node) => node.run(`new-${node.name}`, { network: 'blue' })));

    for (const node of cluster.nodes) await untilReleased(node);
  });
  await echo.stop();

  assert.ok(sent > 1_000);
  assert.is(lost, 0);
  await requireReleased(cluster, removed);
});

test('containers that ran all along and those that were started meanwhile are connected', async ({ cluster }) => {
  const all = await Promise.all(
    cluster.nodes.flatMap((node) => ['stays', 'new'].map((name) => node.container(`${name}-${node.name}`, 'blue'))),
  );

  assert.equal(await pingAll(all.map((station) => ({ station, address: station.address }))), []);
});

test('a socket that is none stops nothing, and status names what is wrong with it', async ({ cluster }) => {
  const node = cluster.node(0);
  for (const [path, said] of [
    ['/etc', 'it is not a socket'],
    ['/nowhere/docker.sock', 'there is no such file'],
  ] as const) {
    await node.daemon.restart(['--docker-socket', path]);
    await eventually('status tells', async () => (await engineOf(node)).problem?.includes(said) === true);

    const { engine, problems, forgotten } = await node.report<StatusReport>('status');
    assert.equal([engine.state, problems, forgotten], ['unknown', [], { endpoint: 0, network: 0 }]);
  }
  // All that can be done with a mount of a managed plugin: it says that there is none.
  await node.daemon.restart(['--docker-socket', '/dev/null']);
  assert.equal([(await engineOf(node)).state, (await engineOf(node)).problem], ['off', null]);
  const own = node.engine.url.slice('unix://'.length);
  await node.daemon.restart(['--docker-socket', own]);
  await eventually('the engine has been asked', async () => (await engineOf(node)).state === 'connected');
  assert.is((await engineOf(node)).problem, null);
});

test('addresses that were released can be used again, and a clean-up leaves nothing', async ({ cluster, removed }) => {
  for (const { node, address } of removed) {
    const again = await node.run(`again-${node.name}`, { network: 'blue', args: ['--ip', address] });
    assert.is(again.address, address);
  }

  await cluster.sweep();

  await requireClean(cluster);
});

test.run();

const stays = (node: ClusterNode) => node.container(`stays-${node.name}`, 'blue');
const engineOf = async (node: ClusterNode) => (await node.report<StatusReport>('status')).engine;

async function removeUnnoticed({ name, engine }: ClusterNode): Promise<void> {
  await engine.docker(['rm', '--force', `goes-${name}`], patience);
  await engine.docker(['network', 'rm', 'green'], patience);
}

async function untilReleased(node: ClusterNode): Promise<void> {
  const isReleased = async () => {
    const { forgotten } = await node.report<StatusReport>('status');
    return forgotten['endpoint'] === 1 && forgotten['network'] === 1;
  };
  await eventually(`${node.name} has released what was removed`, isReleased, { limitMs: 120_000, everyMs: 500 });
}

/** Of the containers and of network green there is no trace, in no place. */
async function requireReleased(cluster: Cluster, removed: readonly Container[]): Promise<void> {
  const keys = await cluster.store.keys();
  const count = (prefix: string) => keys.filter((key) => key.startsWith(prefix)).length;
  assert.equal([count('m/'), count('net/'), count('vni/'), count('p/')], [4, 1, 1, 1], keys.join('\n'));
  for (const node of cluster.nodes) {
    const { problems, networks } = await node.report<StatusReport>('status');
    assert.equal([problems, networks.map(({ subnets }) => subnets)], [[], [['10.77.0.0/24']]]);
    const endpoints = await node.report<readonly EndpointReport[]>('endpoints');
    assert.is(endpoints.length, 4);
    for (const { mac } of removed) assert.not.ok(endpoints.some((each) => each.mac === mac));
    assert.is((await mapRows(node, 'ports')).length, 2);
    assert.is((await mapRows(node, 'networks')).length, 1);
  }
}

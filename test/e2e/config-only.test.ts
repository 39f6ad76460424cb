/**
 * docs/examples/config-only.sh as it is, on a swarm of two nodes whose plugin has scope local: networks of which each node
 * hands out the addresses itself, out of one table.
 */

import { join } from 'node:path';
import * as assert from 'uvu/assert';
import type { NetworkReport } from '../../src/overlay/report.ts';
import { requireClean } from '../kit/cluster-leftovers.ts';
import { attempt, eventually } from '../kit/command.ts';
import { split } from '../kit/docker.ts';
import { testImage } from '../kit/engine.ts';
import { repositoryRoot } from '../kit/paths.ts';
import { removeNetwork } from '../kit/plugin-host.ts';
import { suite } from '../kit/suite.ts';
import { createSwarm, type Swarm, type SwarmNode } from '../kit/swarm.ts';
import { meshProblems, untilResolved } from '../kit/swarm-traffic.ts';

interface Context {
  swarm: Swarm;
}

const limits = { limitMs: 120_000, everyMs: 500 };
const test = suite<Context>('config-only.sh');

test.before(async (context) => {
  context.swarm = await createSwarm({ version: '28', nodes: 2, settings: ['WEFT_SCOPE=local', 'WEFT_METRICS=off'] });
});
test.after(({ swarm }) => swarm?.close());

test('the commands for nodes and for a manager make one network', async ({ swarm }) => {
  for (const node of swarm.nodes) await example(node, 'node');
  await example(swarm.node(0), 'network');

  const format = '{{.Scope}} {{.Driver}} {{.Attachable}} {{.ConfigFrom.Network}}';
  assert.is(await swarm.node(0).docker('network inspect red --format', format), 'swarm weft:latest true red-config');
});

test('a service of the default endpoint mode has tasks on both nodes, each with an address of its own', async ({
  swarm,
}) => {
  const service = 'service create --detach --name web --network red --replicas 6 --stop-grace-period 1s';
  await swarm.node(0).docker(`${service} ${testImage}`);
  const tasks = await swarm.settled('web', 'red', 6);

  assert.is(new Set(tasks.map(({ node }) => node)).size, 2);
  assert.is(new Set(tasks.map(({ address }) => address)).size, 6);
  assert.ok(tasks.every(({ address }) => address.startsWith('10.92.0.')));
  assert.equal(await meshProblems(tasks), []);
  const [one, two] = await Promise.all(swarm.nodes.map((node) => node.report<readonly NetworkReport[]>('networks')));
  assert.equal(
    one?.map(({ vni, endpoints }) => [vni, endpoints]),
    two?.map(({ vni }) => [vni, 6]),
  );
});

test('the name of the service leads to its tasks, on both nodes', async ({ swarm }) => {
  const tasks = await swarm.tasks('web', 'red');
  for (const node of swarm.nodes) {
    const own = tasks.find((task) => task.node === node);
    if (own === undefined) throw new Error(`${node.name} has no task`);
    for (const name of ['web', 'tasks.web']) await untilResolved(own, name, tasks);
  }
  const endpoint = await swarm.node(0).docker('service inspect web --format', '{{json .Endpoint}}');
  assert.not.match(endpoint, /"Addr"/);
});

test('a container attached on either node has an address that no other has; Docker does not pass --ip on', async ({
  swarm,
}) => {
  const guests = await Promise.all(
    swarm.nodes.map(async (node) => {
      const guest = await node.run('guest', { network: 'red', args: ['--ip', '10.92.0.200'] });
      return { ...guest, node, container: guest.id };
    }),
  );
  const all = [...(await swarm.tasks('web', 'red')), ...guests];
  assert.is(new Set(all.map(({ address }) => address)).size, 8);
  assert.ok(guests.every(({ address }) => address !== '10.92.0.200'));
  assert.equal(await meshProblems(all), []);
  await Promise.all(swarm.nodes.map((node) => node.docker('rm --force guest')));
});

test('subnet, driver and options given for the network itself are lost on the way', async ({ swarm }) => {
  const node = swarm.node(0);
  const words = 'network create --driver weft:latest --scope swarm --attachable --opt weft.vni=4711';
  await node.docker(`${words} --ipam-driver weft:latest --subnet 10.94.0.0/24 lost`);
  const guest = await node.run('guest', { network: 'lost' });

  assert.not.match(guest.address, /^10\.94\./);
  const networks = await node.report<readonly NetworkReport[]>('networks');
  assert.is(
    networks.some(({ vni }) => vni === 4711),
    false,
  );
  await node.docker('rm --force guest');
  await removeNetwork(node, 'lost');
});

test('removed in the other order, nothing is left', async ({ swarm }) => {
  await swarm.node(0).docker('service rm web');
  await removeNetwork(swarm.node(0), 'red');
  for (const node of swarm.nodes) await removeNetwork(node, 'red-config');
  for (const node of swarm.nodes) {
    const left = async () => split(await node.docker('network ls --quiet --filter name=red')).length;
    await eventually(`${node.name} has no such network`, async () => (await left()) === 0, limits);
  }
  await requireClean(swarm);
});

test.run();

async function example(node: SwarmNode, part: 'node' | 'network'): Promise<void> {
  const script = join(repositoryRoot, 'docs', 'examples', 'config-only.sh');
  const { code, stderr } = await attempt(['sh', script, part], { env: node.engine.env });
  if (code !== 0) throw new Error(`config-only.sh ${part} on ${node.name}: ${stderr.trim()}`);
}

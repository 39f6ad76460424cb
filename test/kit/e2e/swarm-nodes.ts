/** Nodes in a swarm that are drained, lead no more, die and are replaced. */

import * as assert from 'uvu/assert';
import type { NetworkReport } from '../../../src/overlay/report.ts';
import { eventually } from '../command.ts';
import type { EngineVersion } from '../engine.ts';
import type { Swarm, SwarmNode } from '../swarm.ts';
import { meshProblems } from '../swarm-traffic.ts';
import { allocatedOptions } from './swarm-services.ts';
import { green, type SwarmTest } from './swarm-stage.ts';

export function testNodes(test: SwarmTest, version: EngineVersion): void {
  test('a drained node gives its tasks to the others, leaves the network, and takes tasks again', async ({ swarm }) => {
    const drained = swarm.node(1);
    await swarm.node(0).docker(`node update --availability drain ${drained.name}`);
    const tasksHere = () => swarm.tasks(green.service, green.network);
    const isFree = async () => (await tasksHere()).every(({ node }) => node !== drained);
    await eventually('the drained node has no task', isFree, { limitMs: 60_000, everyMs: 500 });
    const tasks = await swarm.settled(green.service, green.network, green.replicas);
    assert.equal(await meshProblems(tasks), []);
    await eventually('the drained node has left the network', async () => (await networksOf(drained)).length === 0);

    await swarm.node(0).docker(`node update --availability active ${drained.name}`);
    await swarm.node(0).docker(`service scale --detach ${green.service}=${green.replicas + 2}`);
    const more = await swarm.settled(green.service, green.network, green.replicas + 2);
    assert.ok(more.some(({ node }) => node === drained));
    assert.equal(await meshProblems(more), []);
    await swarm.node(0).docker(`service scale --detach ${green.service}=${green.replicas}`);
    await swarm.settled(green.service, green.network, green.replicas);
  });

  test('a new leader keeps every VNI and address, allocates new networks, and the old one comes back', async ({
    swarm,
  }) => {
    const old = await leaderOf(swarm);
    const { 'weft.vni': vni } = await allocatedOptions(old, green.network);
    await old.engine.stop();
    const leader = await leaderOf(swarm);
    assert.is.not(leader.name, old.name);

    assert.is((await allocatedOptions(leader, green.network))['weft.vni'], vni);
    const tasks = await swarm.settled(green.service, green.network, green.replicas);
    assert.equal(await meshProblems(tasks), []);
    await leader.docker('network create --driver weft:latest --attachable late');
    assert.is.not((await allocatedOptions(leader, 'late'))['weft.vni'], vni);
    const guest = await leader.run('guest', { network: 'late' });
    assert.match(guest.address, /^10\./);
    await leader.docker('rm --force guest');
    await leader.docker('network rm late');

    await old.engine.start();
    await managersAgree(swarm);
    await swarm.settled(green.service, green.network, green.replicas);
    assert.is(await old.plugin.isEnabled(), true);
  });

  if (version !== '28') return;
  test('a node that dies is replaced by a new one, and everybody reaches everybody', async ({ swarm }) => {
    const dead = swarm.node(2);
    await powerOff(dead);
    const [manager] = swarm.nodes;
    if (manager === undefined) throw new Error('the swarm has no node');
    const inspect = ['node', 'inspect', '--format', '{{.Status.State}}', dead.name];
    // While the managers elect a leader they answer nothing.
    const isDown = async () => (await manager.engine.tryDocker(inspect)).stdout.trim() === 'down';
    await eventually('swarm knows that the node is down', isDown, { limitMs: 90_000, everyMs: 500 });
    swarm.drop(dead);
    const left = await swarm.settled(green.service, green.network, green.replicas);
    assert.equal(await meshProblems(left), []);

    await manager.docker(`node demote ${dead.name}`);
    // The demotion is answered before it is done.
    const isRemoved = async () => (await manager.engine.tryDocker(['node', 'rm', '--force', dead.name])).code === 0;
    await eventually('the dead node is removed from the swarm', isRemoved, { limitMs: 60_000, everyMs: 500 });
    const fresh = await swarm.join('manager');
    await manager.docker(`service scale --detach ${green.service}=${green.replicas + 4}`);
    const tasks = await swarm.settled(green.service, green.network, green.replicas + 4);
    assert.ok(tasks.some(({ node }) => node === fresh));
    assert.equal(await meshProblems(tasks), []);
    await manager.docker(`service scale --detach ${green.service}=${green.replicas}`);
    await swarm.settled(green.service, green.network, green.replicas);
  });
}

async function networksOf(node: SwarmNode): Promise<readonly NetworkReport[]> {
  return node.report<readonly NetworkReport[]>('networks');
}

/** The node that leads, as soon as there is one whose engine answers. */
async function leaderOf(swarm: Swarm): Promise<SwarmNode> {
  let leader: SwarmNode | undefined;
  const isKnown = async () => {
    for (const node of swarm.nodes.filter(({ engine }) => engine.isRunning())) {
      const words = ['node', 'ls', '--format', '{{.Hostname}} {{.ManagerStatus}}'];
      const { stdout } = await node.engine.tryDocker(words);
      const name = /^(\S+) Leader$/m.exec(stdout)?.[1];
      leader = swarm.nodes.find((each) => each.name === name && each.engine.isRunning());
      if (leader !== undefined) return true;
    }
    return false;
  };
  await eventually('the swarm has a leader', isKnown, { limitMs: 60_000, everyMs: 500 });
  if (leader === undefined) throw new Error('the swarm has no leader');
  return leader;
}

/** Waits until every manager is one again: two of three must be, before another of them is lost. */
async function managersAgree(swarm: Swarm): Promise<void> {
  const isSo = async () => {
    const words = ['node', 'ls', '--format', '{{.ManagerStatus}}'];
    const answers = await Promise.all(swarm.nodes.map(({ engine }) => engine.tryDocker(words)));
    return answers.every(({ stdout }) => stdout.match(/Leader|Reachable/g)?.length === swarm.nodes.length);
  };
  await eventually('every manager is reached by every other', isSo, { limitMs: 90_000, everyMs: 500 });
}

/** As when the power fails: nobody on it does anything any more, and nobody can tell the others. */
async function powerOff(node: SwarmNode): Promise<void> {
  await node.host.cut();
  process.kill(node.plugin.pid(), 'SIGKILL');
  await node.engine.kill();
}

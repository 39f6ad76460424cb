/** Services in a swarm: networks, replicas on all nodes, names, scaling, rolling update, attachable containers. */

import * as assert from 'uvu/assert';
import type { NetworkReport } from '../../../src/overlay/report.ts';
import { eventually, pause } from '../command.ts';
import { testImage } from '../engine.ts';
import type { Swarm, SwarmNode, Task } from '../swarm.ts';
import {
  type FailedRequest,
  meshProblems,
  server,
  startRequests,
  type TaskEvent,
  taskEvents,
  untilResolved,
} from '../swarm-traffic.ts';
import { green, type SwarmTest } from './swarm-stage.ts';

/** Implementation: how long after a change of a task a client may still hold its old address, or be too early. */
const staleSeconds = 4;
const clientName = 'client';

export function testServices(test: SwarmTest): void {
  test('a network is allocated on the leader, with its options and one VNI for all nodes', async ({ swarm }) => {
    const [first] = swarm.nodes;
    await swarm
      .node(0)
      .docker(
        `network create --driver weft:latest --attachable --subnet ${green.subnet}`,
        ...['--opt', 'com.docker.network.driver.mtu=1400', green.network],
      );

    const options = await allocatedOptions(swarm.node(0), green.network);
    assert.is(options['com.docker.network.driver.mtu'], '1400');
    assert.match(options['weft.vni'] ?? '', /^\d+$/);
    assert.equal(await first?.report<readonly NetworkReport[]>('networks'), []);
    assert.ok((await swarm.store.keys()).includes(`vni/${(options['weft.vni'] ?? '').padStart(8, '0')}`));
  });

  test('a service has replicas on all nodes that reach each other by address', async ({ swarm }) => {
    const words = `service create --detach --name ${green.service} --network ${green.network} --replicas 3`;
    const manner = '--endpoint-mode dnsrr --stop-grace-period 2s --update-parallelism 5 --update-delay 1s';
    await swarm.node(0).docker(`${words} ${manner} ${testImage}`, ...server);
    const tasks = await swarm.settled(green.service, green.network, 3);

    assert.is(new Set(tasks.map(({ node }) => node.name)).size, 3);
    assert.equal(await meshProblems(tasks), []);
    const vni = (await allocatedOptions(swarm.node(0), green.network))['weft.vni'];
    for (const node of swarm.nodes) {
      const [network] = await node.report<readonly NetworkReport[]>('networks');
      assert.equal([String(network?.vni), network?.mtuBytes, network?.endpoints], [vni, 1400, 3]);
    }
  });

  test('scaled to 20 replicas, all reach all, and both names have all their addresses', async ({ swarm }) => {
    await swarm.node(0).docker(`service scale --detach ${green.service}=${green.most}`);
    const tasks = await swarm.settled(green.service, green.network, green.most);

    assert.is(new Set(tasks.map(({ address }) => address)).size, green.most);
    assert.equal(await meshProblems(tasks), []);
    for (const node of swarm.nodes) {
      const own = tasks.find((task) => task.node === node);
      if (own === undefined) throw new Error(`${node.name} has no task`);
      await untilResolved(own, green.service, tasks);
      await untilResolved(own, `tasks.${green.service}`, tasks);
    }
  });

  test('a container attached on any node reaches the service, and has the address it was asked to have', async ({
    swarm,
  }) => {
    const tasks = await swarm.tasks(green.service, green.network);
    const [one, two] = [swarm.node(1), swarm.node(2)];
    const guest = await one.run('guest', { network: green.network, args: ['--ip', '10.90.0.200'] });
    assert.is(guest.address, '10.90.0.200');
    assert.equal(await meshProblems([...tasks.slice(0, 5), { ...guest, node: one, container: guest.id }]), []);
    const twin = await two.refused(
      'run --rm',
      ...['--network', green.network, '--ip', '10.90.0.200'],
      testImage,
      'true',
    );
    assert.match(twin, /already in use|deadline exceeded|belongs to/);
    await one.docker('rm --force guest');
  });

  test('a rolling update under a request loop fails only requests to tasks that were ending or beginning', async ({
    swarm,
  }) => {
    const node = swarm.node(2);
    const client = await node.run(clientName, { network: green.network });
    const before = await swarm.tasks(green.service, green.network);
    const since = Math.floor(Date.now() / 1_000);
    const requests = await startRequests(node, client.id, green.service);

    await swarm.node(0).docker(`service update --detach --force ${green.service}`);
    await updateEnds(swarm);
    const after = await swarm.settled(green.service, green.network, green.most);
    const { sent, failed } = await requests.stop();

    await node.docker(`rm --force ${clientName}`);
    const events = await taskEvents(swarm, green.service, since);
    const unexplained = failed.filter((each) => !isExplained(each, [...before, ...after], events));
    console.log(`  rolling update: ${sent} requests, ${failed.length} failed, all but ${unexplained.length} explained`);
    assert.ok(sent > 50);
    assert.equal(unexplained, []);
    assert.ok(after.every(({ container }) => before.every((old) => old.container !== container)));
    assert.equal(await meshProblems(after), []);
    await swarm.node(0).docker(`service scale --detach ${green.service}=${green.replicas}`);
    await swarm.settled(green.service, green.network, green.replicas);
  });
}

/** What the allocator answered, once it has. */
export async function allocatedOptions(manager: SwarmNode, network: string): Promise<Record<string, string>> {
  let options: Record<string, string> = {};
  await eventually(`network ${network} is allocated`, async () => {
    options = JSON.parse(await manager.docker(`network inspect --format`, '{{json .Options}}', network)) ?? {};
    return 'weft.vni' in options;
  });
  return options;
}

async function updateEnds(swarm: Swarm): Promise<void> {
  const state = () => swarm.node(0).docker('service inspect --format', '{{.UpdateStatus.State}}', green.service);
  await pause(1_000);
  await eventually('the update is complete', async () => (await state()) === 'completed', {
    limitMs: 240_000,
    everyMs: 500,
  });
}

/**
 * A task that is ending stays in the name's answer for a moment, and one that is beginning is in it before its server
 * listens: swarm's names follow the tasks, nobody holds requests back meanwhile.
 */
function isExplained({ at, address }: FailedRequest, tasks: readonly Task[], events: readonly TaskEvent[]): boolean {
  if (address === '') return false;
  const holders = tasks.filter((task) => task.address === address).map(({ container }) => container);
  return events.some(
    (event) => holders.includes(event.container) && at >= event.at - 1 && at <= event.at + staleSeconds,
  );
}

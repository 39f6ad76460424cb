/** A swarm's plugin while it is used: disabled, upgraded, beside other overlays; and what is left when all is gone. */

import * as assert from 'uvu/assert';
import type { EndpointReport } from '../../../src/overlay/report.ts';
import { requireClean } from '../cluster-leftovers.ts';
import { pause } from '../command.ts';
import { type EngineVersion, testImage } from '../engine.ts';
import { socketOf } from '../managed-plugin.ts';
import { removeNetwork } from '../plugin-host.ts';
import { pushVariant } from '../plugin-variant.ts';
import { startRegistry } from '../registry.ts';
import type { Swarm, SwarmNode } from '../swarm.ts';
import { meshProblems } from '../swarm-traffic.ts';
import { countLoss, startEcho } from '../traffic.ts';
import { green, type SwarmTest } from './swarm-stage.ts';

export function testUpkeep(test: SwarmTest, version: EngineVersion): void {
  const networks = version === '28' ? 20 : 4;
  test('the plugin of a node is disabled and enabled under traffic, and no packet is lost', async ({ swarm }) => {
    const node = swarm.node(1);
    await requireNoLoss(swarm, node, async () => {
      await node.plugin.disable({ force: true });
      await pause(2_000);
      await node.plugin.enable();
    });
  });

  test('the plugin of a node is upgraded under traffic, and no packet is lost', async ({ swarm }) => {
    const node = swarm.node(1);
    const registry = await startRegistry(swarm.node(0).host, swarm.lab);
    const reference = `${registry.address}/weft:2`;
    await pushVariant(swarm.lab, swarm.node(0).engine, reference, '0.1.0-two');

    await requireNoLoss(swarm, node, async () => {
      await node.plugin.upgrade(reference);
      await node.plugin.set(socketOf(node.engine));
      await node.plugin.enable();
    });

    assert.is((await node.report<{ readonly version: string }>('status')).version, '0.1.0-two');
    assert.equal(await meshProblems(await swarm.settled(green.service, green.network, green.replicas)), []);
  });

  test("Docker's overlay, another vxlan on flannel's port and this one go on while tables are flushed", async ({
    swarm,
  }) => {
    const [one, two] = [swarm.node(0), swarm.node(1)];
    await one.docker('network create --driver overlay --attachable theirs');
    const theirs = [
      await one.run('theirs-1', { network: 'theirs' }),
      await two.run('theirs-2', { network: 'theirs' }),
    ] as const;
    for (const [node, peer] of [
      [one, two],
      [two, one],
    ] as const)
      await raiseFlannel(node, peer);

    const flush = async () => {
      for (const { host } of [one, two]) await flushTables(host.run);
      await pause(1_000);
    };
    const echo = await startEcho(theirs[1]);
    const [ours, other, flannel] = await Promise.all([
      lossOf(swarm, two, flush),
      countLoss({ from: theirs[0], address: theirs[1].address, intervalUs: 2_000 }, flush),
      one.host.run('busybox ping -c 50 -i 0.05 -W 1 -q 10.99.0.2'.split(' ')),
    ]);
    await echo.stop();

    assert.equal([ours.lost, other.lost], [0, 0]);
    assert.match(flannel, ' 0% packet loss');
    await one.docker('rm --force theirs-1');
    await two.docker('rm --force theirs-2');
    await one.docker('network rm theirs');
    for (const { host } of [one, two]) await host.run(['ip', 'link', 'delete', 'flannel.1']);
  });

  test('with the IPAM driver each task has an address of either family that no other has', async ({ swarm }) => {
    const manager = swarm.node(0);
    const words = 'network create --driver weft:latest --ipam-driver weft:latest --ipv6';
    await manager.docker(`${words} --subnet 10.91.0.0/24 --subnet fd00:91::/64 dual`);
    const service = 'service create --detach --name both --network dual --endpoint-mode dnsrr --replicas 6';
    await manager.docker(`${service} --stop-grace-period 1s ${testImage}`);
    const tasks = await swarm.settled('both', 'dual', 6);

    const addresses = tasks.flatMap(({ address, address6 }) => [address, address6]);
    assert.is(new Set(addresses.filter((each) => each !== '')).size, 12);
    assert.equal(await meshProblems(tasks), []);
    await manager.docker('service rm both');
    await removeNetwork(manager, 'dual');
  });

  test(`${networks} networks are created, used and removed, and nothing is left of them`, async ({ swarm }) => {
    const manager = swarm.node(0);
    const names = Array.from({ length: networks }, (_, index) => `net${index}`);
    for (const name of names) await manager.docker(`network create --driver weft:latest ${name}`);
    const attach = names.map((name) => `--network ${name}`).join(' ');
    const service = 'service create --detach --name many --endpoint-mode dnsrr --replicas 2 --stop-grace-period 1s';
    await manager.docker(`${service} ${attach} ${testImage}`);
    const tasks = await swarm.settled('many', 'net0', 2);
    for (const name of names) assert.equal(await meshProblems(await swarm.tasks('many', name)), [], name);
    assert.is(tasks.length, 2);

    await manager.docker('service rm many', green.service);
    for (const name of [...names, green.network]) await removeNetwork(manager, name);
    // Swarm answers at once; each engine lets go of its networks one after the other.
    await requireClean(swarm, 60_000);
  });
}

/** What is asked from a task of another node of one of this node, while something happens. */
async function lossOf(swarm: Swarm, node: SwarmNode, happen: () => Promise<void>) {
  const tasks = await swarm.settled(green.service, green.network, green.replicas);
  const [to, from] = [tasks.find((task) => task.node === node), tasks.find((task) => task.node !== node)];
  if (to === undefined || from === undefined) throw new Error(`tasks on ${node.name} and elsewhere are needed`);
  const echo = await startEcho(to);
  try {
    return await countLoss({ from, address: to.address, intervalUs: 2_000 }, happen);
  } finally {
    await echo.stop();
  }
}

async function requireNoLoss(swarm: Swarm, node: SwarmNode, happen: () => Promise<void>): Promise<void> {
  const { sent, lost, duplicates } = await lossOf(swarm, node, happen);
  assert.equal([lost, duplicates, sent > 500], [0, 0, true]);
  const tasks = await swarm.tasks(green.service, green.network);
  const endpoints = await node.report<readonly EndpointReport[]>('endpoints');
  const own = endpoints.filter(({ isLocal }) => isLocal).flatMap(({ addresses }) => addresses);
  assert.equal(own.sort(), tasks.flatMap((task) => (task.node === node ? [task.address] : [])).sort());
}

/** A vxlan device as flannel makes it, on its port, and an address beyond it. */
async function raiseFlannel({ host }: SwarmNode, peer: SwarmNode): Promise<void> {
  const number = Number(host.name.slice(1));
  const device = `ip link add flannel.1 type vxlan id 1 dev eth0 local ${host.address} dstport 8472 nolearning`;
  await host.run(device.split(' '));
  await host.run(`bridge fdb append 00:00:00:00:00:00 dev flannel.1 dst ${peer.host.address}`.split(' '));
  await host.run(`ip address add 10.99.0.${number}/24 dev flannel.1`.split(' '));
  await host.run('ip link set flannel.1 up'.split(' '));
}

/** As a firewall that is reloaded does it: everything goes, whoever made it. */
async function flushTables(run: (argv: readonly string[]) => Promise<string>): Promise<void> {
  await run(['nft', 'flush', 'ruleset']);
  for (const table of ['filter', 'nat', 'mangle', 'raw']) {
    await run(['iptables', '-w', '-t', table, '-F']);
    await run(['iptables', '-w', '-t', table, '-X']);
  }
}

/**
 * Daemons of two nodes restarted while containers on them talk both ways, killed and stopped in turn: no packet is lost and
 * nothing is found to repair. Then something is broken by hand: the daemon finds it by itself, and status tells.
 */

import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { directoriesOf } from '../../src/datapath/ebpf/names.ts';
import { closeFd, mapDelete, mapEntries, openPinnedMap } from '../../src/native/binding.ts';
import type { StatusReport } from '../../src/overlay/report.ts';
import { eventually } from '../kit/command.ts';
import type { Daemon } from '../kit/daemon.ts';
import { createLab, type Lab } from '../kit/lab.ts';
import { createHand, type HandContainer } from '../kit/plugin-client.ts';
import { suite } from '../kit/suite.ts';
import { countLoss, ping, startEcho } from '../kit/traffic.ts';

interface Context {
  lab: Lab;
  daemons: readonly Daemon[];
  containers: readonly HandContainer[];
}

const test = suite<Context>('daemon restarted');

test.before(async (context) => {
  context.lab = await createLab();
  const daemons: Daemon[] = [];
  const containers: HandContainer[] = [];
  for (const _ of [1, 2]) {
    const host = await context.lab.node();
    const daemon = await host.daemon({ store: context.lab.embeddedStore });
    const hand = createHand(host, daemon);
    const network = await hand.createNetwork({ subnet: '10.77.0.0/24' });
    daemons.push(daemon);
    containers.push(await hand.run(network));
  }
  context.daemons = daemons;
  context.containers = containers;
  for (const container of containers) await startEcho(container);
});

test.after(async ({ lab }) => {
  await lab?.close();
});

const status = async (daemon: Daemon) => JSON.parse(await daemon.cli(['status', '--json'])) as StatusReport;

test('killed or stopped, and started again, the daemons of both nodes cost no packet', async ({
  daemons,
  containers,
}) => {
  const [one, other] = containers;
  if (one === undefined || other === undefined) throw new Error('no containers');
  await eventually('the containers know each other', () => ping(one, other.address), { limitMs: 20_000 });
  const restarting = async () => {
    for (const daemon of daemons) {
      await daemon.kill9();
      await daemon.restart();
      await daemon.stop();
      await daemon.restart();
    }
  };
  const restarted = restarting();
  const losses = await Promise.all([
    countLoss({ from: one, address: other.address, intervalUs: 5_000 }, () => restarted),
    countLoss({ from: other, address: one.address, intervalUs: 5_000 }, () => restarted),
  ]);

  assert.equal(
    losses.map(({ lost, duplicates }) => [lost, duplicates]),
    [
      [0, 0],
      [0, 0],
    ],
  );
  for (const daemon of daemons) assert.equal((await status(daemon)).repairs, {});
});

test('what is deleted from the tables is found by the audit, put back, counted and told', async ({
  daemons,
  containers,
}) => {
  const [daemon] = daemons;
  const [one, other] = containers;
  if (daemon === undefined || one === undefined || other === undefined) throw new Error('no daemon');
  const fdb = openPinnedMap(join(directoriesOf(daemon.bpfDir).maps, 'fdb'));
  if (fdb === null) throw new Error('no table');
  for (const [key] of mapEntries(fdb)) mapDelete(fdb, key);
  closeFd(fdb);

  await eventually('it is counted', async () => ((await status(daemon)).repairs['mac'] ?? 0) >= 2, { limitMs: 30_000 });
  assert.ok(await ping(one, other.address));
  assert.match(await daemon.cli(['status']), /repairs: \d+\n {2}KIND +COUNT\n {2}mac /);
});

test.run();

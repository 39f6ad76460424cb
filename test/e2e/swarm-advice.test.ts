/** What goes wrong in a swarm without an error that says why: the driver's status on a manager says it. */

import * as assert from 'uvu/assert';
import type { StatusReport } from '../../src/overlay/report.ts';
import { eventually } from '../kit/command.ts';
import { testImage } from '../kit/engine.ts';
import { suite } from '../kit/suite.ts';
import { createSwarm, type Swarm } from '../kit/swarm.ts';

interface Context {
  swarm: Swarm;
}

/** The daemon looks at its engine every 30 s, and an engine tells its swarm of a plugin with some delay. */
const toldLimitMs = 120_000;
const test = suite<Context>('swarm, advice');

test.before(async (context) => {
  const settings = ['WEFT_SCOPE=global', 'WEFT_METRICS=off'];
  context.swarm = await createSwarm({ version: '28', nodes: 2, settings });
});
test.after(({ swarm }) => swarm?.close());

test('a driver without its tag is refused by the engine, which names it', async ({ swarm }) => {
  const said = await swarm.node(0).refused('network create --driver weft green');

  assert.match(said, /weft/);
});

test('a node without the plugin and a service behind a virtual address are named, with the remedy', async ({
  swarm,
}) => {
  const [manager, other] = [swarm.node(0), swarm.node(1)];
  await manager.docker('network create --driver weft:latest green');
  await other.plugin.disable({ force: true });
  const service = 'service create --detach --name web --network green --mode global --stop-grace-period 1s';
  await manager.docker(`${service} ${testImage}`);

  let notes = '';
  const isTold = async () => {
    notes = (await manager.report<StatusReport>('status')).notes.join('\n');
    return notes.split('\n').length === 2;
  };
  await eventually('status has both notes', isTold, { limitMs: toldLimitMs, everyMs: 1_000 });
  assert.match(notes, `node ${other.name} of the swarm has no enabled plugin weft:latest`);
  assert.match(notes, 'service web stands for a virtual address in network green');
  assert.match(await manager.plugin.cli(['status']), 'create the service with --endpoint-mode dnsrr, or use tasks.web');
});

test('both are gone from the status when they are put right', async ({ swarm }) => {
  const [manager, other] = [swarm.node(0), swarm.node(1)];
  await other.plugin.enable();
  await manager.docker('service rm web');

  const isWell = async () => (await manager.report<StatusReport>('status')).notes.length === 0;
  await eventually('status has no note', isWell, { limitMs: toldLimitMs, everyMs: 1_000 });
});

test.run();

/**
 * deploy/weft.service as it is, under a real systemd beside a real engine: what it is allowed is enough for the daemon's
 * whole life, Docker is held back until the plugin's socket is there, and whatever happens it is started again.
 */

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { schema } from '../../src/datapath/ebpf/names.ts';
import type { StatusReport } from '../../src/overlay/report.ts';
import { eventually } from '../kit/command.ts';
import type { ConsulCluster } from '../kit/consul.ts';
import { createDocker, type Docker } from '../kit/docker.ts';
import { type Engine, testImage } from '../kit/engine.ts';
import { createLab, type Lab } from '../kit/lab.ts';
import { repositoryRoot } from '../kit/paths.ts';
import { suite } from '../kit/suite.ts';
import { bootSystemd, type Systemd } from '../kit/systemd.ts';
import { countLoss, ping, startEcho } from '../kit/traffic.ts';

interface Context {
  lab: Lab;
  consul: ConsulCluster;
  engine: Engine;
  docker: Docker;
  systemd: Systemd;
}

const limits = { limitMs: 60_000, everyMs: 250 };
/** What systemd-analyze security may make of the unit, of 100. */
const exposureLimit = 30;
/** Specification (linux/capability.h). */
const capabilityBits = { CAP_NET_ADMIN: 12, CAP_NET_RAW: 13, CAP_PERFMON: 38, CAP_BPF: 39 } as const;

const test = suite<Context>('weft.service');

test.before(async (context) => {
  const lab = await createLab();
  context.lab = lab;
  context.consul = await lab.consul();
  const node = await lab.node();
  context.engine = await node.engine({ version: '28' });
  await context.engine.loadImage();
  context.docker = createDocker(node.name, context.engine);
  context.systemd = await bootSystemd(lab, node, context.engine, [`WEFT_STORE=${context.consul.url}`]);
});
test.after(({ lab }) => lab?.close());

test('systemd has nothing to say against the file, and finds it little exposed', async ({ systemd }) => {
  const { code, stdout, stderr } = await systemd.exec(['systemd-analyze', 'verify', systemd.unitFile]);
  assert.equal([code, stdout, stderr], [0, '', '']);
  await systemd.run([
    ...['systemd-analyze', 'security', '--offline=true', `--threshold=${exposureLimit}`],
    systemd.unitFile,
  ]);
});

test('at boot Docker starts when the plugin is there, even with the store away', async ({ systemd, consul }) => {
  await consul.stop();
  await systemd.systemctl('start', 'boot.target');

  assert.equal([systemd.foundByDocker(), await systemd.property('NRestarts')], ['weft.sock\n', '0']);
  assert.is(await systemd.property('ActiveState'), 'active');
  assert.is((await statusOf(systemd)).store.state, 'down');
});

test('it joins when the store is there', async ({ systemd, consul }) => {
  await consul.start();
  await eventually('the node has joined', async () => (await statusOf(systemd)).store.state === 'live', limits);
  assert.equal((await statusOf(systemd)).problems, []);
});

test('the daemon has the privileges of the unit and no other', async ({ systemd }) => {
  const status = await systemd.run(['cat', `/proc/${await systemd.property('MainPID')}/status`]);
  const unit = readFileSync(join(repositoryRoot, 'deploy', 'weft.service'), 'utf8');
  const asked = /^CapabilityBoundingSet=(.*)$/m.exec(unit)?.[1]?.split(' ') ?? [];
  const bits = Object.entries(capabilityBits).flatMap(([name, bit]) => (asked.includes(name) ? [bit] : []));

  assert.is(bits.length, asked.length);
  for (const set of ['CapEff', 'CapPrm', 'CapBnd']) {
    const held = BigInt(`0x${new RegExp(`^${set}:\\s*(\\w+)$`, 'm').exec(status)?.[1]}`);
    assert.is(
      held,
      bits.reduce((sum, bit) => sum | (1n << BigInt(bit)), 0n),
      set,
    );
  }
  assert.match(status, /^NoNewPrivs:\s+1$/m);
  assert.match(status, /^Seccomp:\s+2$/m);
});

test('containers of the engine live on its networks', async ({ docker, systemd }) => {
  const subnets = '--subnet 10.83.0.0/24 --ipv6 --subnet fd00:83::/64';
  await docker.docker(`network create --driver weft --ipam-driver weft ${subnets} blue`);
  const one = await docker.run('one', { network: 'blue' });
  const two = await docker.run('two', { network: 'blue' });

  assert.equal([await ping(one, two.address), await ping(one, two.address6)], [true, true]);
  await eventually(
    'the engine is known, by its socket',
    async () => (await statusOf(systemd)).engine.state === 'connected',
    limits,
  );
});

test('killed, it is started again, and no packet is lost', async ({ docker, systemd }) => {
  const [one, two] = [await docker.container('one', 'blue'), await docker.container('two', 'blue')];
  const [before, restarts] = [await systemd.property('MainPID'), Number(await systemd.property('NRestarts'))];
  const echo = await startEcho(two);
  const { lost } = await countLoss({ from: one, address: two.address, intervalUs: 2_000 }, async () => {
    await systemd.systemctl('kill', '--kill-who=main', '--signal=KILL', 'weft.service');
    const isBack = async () =>
      Number(await systemd.property('NRestarts')) > restarts && (await systemd.property('ActiveState')) === 'active';
    await eventually('it has been started again', isBack, limits);
  });
  await echo.stop();

  assert.is(lost, 0);
  assert.is.not(await systemd.property('MainPID'), before);
  await eventually('it has joined', async () => (await statusOf(systemd)).networks.length === 1, limits);
  const three = await docker.run('three', { network: 'blue' });
  assert.ok(await ping(three, one.address));
});

test('stopped, it leaves cleanly, and what is programmed goes on', async ({ docker, systemd, engine }) => {
  const [one, two] = [await docker.container('one', 'blue'), await docker.container('two', 'blue')];
  await systemd.systemctl('stop', 'weft.service');

  assert.equal([await systemd.property('ActiveState'), await systemd.property('Result')], ['inactive', 'success']);
  assert.is(systemd.log().at(-1)?.['msg'], 'daemon stopping');
  assert.is(existsSync(join(engine.pluginDir, 'weft.sock')), false);
  assert.ok(existsSync(engine.pluginDir), "Docker's directory stays");
  assert.ok(existsSync(join(systemd.bpfDir, schema, 'maps')), 'and so do the pins');
  assert.ok(await ping(one, two.address));
});

test('started again it lets go of all that is removed', async ({ docker, systemd }) => {
  await systemd.systemctl('start', 'weft.service');
  await eventually('it has joined', async () => (await statusOf(systemd)).networks.length === 1, limits);
  await docker.docker('rm --force one two three');
  await docker.docker('network rm blue');
  await docker.docker('image rm', testImage);

  const { networks, problems } = await statusOf(systemd);
  assert.equal([networks, problems], [[], []]);
  await systemd.systemctl('stop', 'weft.service');
  assert.is(await systemd.property('Result'), 'success');
});

test.run();

async function statusOf(systemd: Systemd): Promise<StatusReport> {
  return JSON.parse(await systemd.run(['/opt/weft/bin/weft', 'status', '--json']));
}

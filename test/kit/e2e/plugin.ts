/**
 * Weft as a managed plugin, from its making to its removal, as operators do it: made by npm run plugin, set, enabled,
 * used, disabled under traffic, killed, through the engine's stop and start, pushed, installed elsewhere, upgraded.
 */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import type { EndpointReport, StatusReport } from '../../../src/overlay/report.ts';
import { eventually, pause } from '../command.ts';
import type { ConsulCluster } from '../consul.ts';
import type { Engine, EngineVersion } from '../engine.ts';
import { testImage } from '../engine.ts';
import { createLab, type Lab } from '../lab.ts';
import { findPlugin, installPlugin, type ManagedPlugin, makePlugin, pluginName, socketOf } from '../managed-plugin.ts';
import type { LabNode, Station } from '../node.ts';
import { pushVariant } from '../plugin-variant.ts';
import { type Registry, startRegistry, trustingRegistries } from '../registry.ts';
import { suite } from '../suite.ts';
import { countLoss, pingAll, startEcho } from '../traffic.ts';

interface Host {
  readonly node: LabNode;
  readonly engine: Engine;
}

interface Context {
  lab: Lab;
  consul: ConsulCluster;
  registry: Registry;
  hosts: readonly [Host, Host];
  /** One on each host, once installed. */
  plugins: [ManagedPlugin, ManagedPlugin];
}

const changedVersion = '0.1.0-changed';
const network = ['network', 'create', '--driver', pluginName, '--ipam-driver', pluginName];

export function testPlugin(version: EngineVersion): void {
  const test = suite<Context>(`managed plugin on ${version}`);

  test.before(async (context) => {
    const lab = await createLab();
    context.lab = lab;
    context.consul = await lab.consul();
    const nodes = [await lab.node(), await lab.node()] as const;
    context.registry = await startRegistry(nodes[0], lab);
    const [a, b] = await Promise.all(nodes.map((node) => startHost(node, version)));
    if (a === undefined || b === undefined) throw new Error('two hosts are needed');
    context.hosts = [a, b];
  });
  test.after(({ lab }) => lab?.close());

  test('npm run plugin makes it under a name of a registry, to be pushed', async ({
    hosts: [{ engine }],
    registry,
  }) => {
    const reference = `${registry.address}/weft:1`;
    const { code, stderr } = await makePlugin(engine, '--name', reference);
    assert.equal([code, stderr], [0, '']);
    await engine.docker(['plugin', 'push', reference], { timeoutMs: 120_000 });

    const again = await makePlugin(engine);
    assert.is(again.code, 1);
    assert.match(again.stderr, 'plugin: the engine has this very plugin under another name');
    await engine.docker(['plugin', 'rm', reference]);
  });

  test('npm run plugin creates it, disabled, says its size and what comes next', async ({ hosts: [{ engine }] }) => {
    const { code, stdout, stderr } = await makePlugin(engine, '--name', 'weft');

    assert.equal([code, stderr], [0, '']);
    assert.match(stdout, /plugin: unchanged build\/plugin: \d+\.\d MiB unpacked \(Node\.js \d+/);
    assert.match(stdout, 'docker plugin enable weft:latest');
    const listed = await engine.docker(['plugin', 'ls', '--format', '{{.Name}} {{.Enabled}}']);
    assert.is(listed, 'weft:latest false');
  });

  test('by default it runs alone, on a store of its own', async ({ hosts: [{ node, engine }] }) => {
    const plugin = await findPlugin(node, engine);
    await plugin.set('docker-socket.source=/dev/null');
    await plugin.enable();

    assert.is((await statusOf(plugin)).store.kind, 'lmdb');
    await plugin.disable();
  });

  test('it can be installed from a registry, and set at once', async (context) => {
    const { hosts, registry, consul } = context;
    const [a, b] = hosts;
    const settings = [`WEFT_STORE=${consul.url}`, 'WEFT_LOG_LEVEL=debug'];
    const first = await findPlugin(a.node, a.engine);
    await first.set(...settings, socketOf(a.engine));
    await first.enable();
    context.plugins = [
      first,
      await installPlugin(b.node, b.engine, { reference: `${registry.address}/weft:1`, settings }),
    ];

    for (const plugin of context.plugins) {
      assert.is(await plugin.isEnabled(), true);
      assert.is((await statusOf(plugin)).store.state, 'live');
    }
  });

  test('containers on two engines reach each other through it', async ({ hosts }) => {
    for (const { node, engine } of hosts) {
      await engine.docker([...network, '--subnet', '10.77.0.0/24', 'blue']);
      const run = ['run', '--detach', '--restart', 'always', '--network', 'blue'];
      await engine.docker([...run, '--name', `on-${node.name}`, testImage]);
    }

    await requireConnected(hosts);
  });

  test('weft runs inside of it too', async ({ plugins: [plugin] }) => {
    const { code, stdout, stderr } = await plugin.exec(['weft', 'status', '--json']);

    assert.equal([code, stderr], [0, '']);
    assert.is((JSON.parse(stdout) as StatusReport).networks.length, 1);
  });

  test('disabling it by force and enabling it costs no packet', async ({ hosts, plugins: [plugin] }) => {
    await requireNoLoss(hosts, async () => {
      await plugin.disable({ force: true });
      await pause(1000);
      await plugin.enable();
    });
  });

  test('what the engine removed while it was disabled is let go of, and nothing else', async ({
    hosts,
    plugins: [plugin],
  }) => {
    const [{ engine }] = hosts;
    await engine.docker(['run', '--detach', '--name', 'passing', '--network', 'blue', testImage]);
    const before = (await endpointsOf(plugin)).length;
    await plugin.disable({ force: true });
    // Each of its calls to the plugin is tried for 15 s.
    await engine.docker(['rm', '--force', 'passing'], { timeoutMs: 120_000 });
    await plugin.enable();

    const isGone = async () => (await endpointsOf(plugin)).length === before - 1;
    await eventually('the endpoint is released', isGone, { limitMs: 120_000, everyMs: 1_000 });
    assert.equal((await statusOf(plugin)).forgotten, { endpoint: 1, network: 0 });
    await requireConnected(hosts);
  });

  test('when it is killed the engine starts it again, and no packet is lost', async ({ hosts, plugins: [plugin] }) => {
    const killed = plugin.pid();
    await requireNoLoss(hosts, async () => {
      process.kill(killed, 'SIGKILL');
      await eventually('the daemon answers again', async () => (await epochOf(plugin)) !== null, { limitMs: 60_000 });
    });

    assert.is.not(plugin.pid(), killed);
    assert.is(await plugin.isEnabled(), true);
  });

  test('it comes back with its engine, as the same node with its networks', async ({ hosts, plugins: [plugin] }) => {
    const [{ engine }] = hosts;
    const before = await statusOf(plugin);
    await engine.stop();
    await engine.start();

    assert.is(await plugin.isEnabled(), true);
    const after = await statusOf(plugin);
    assert.equal([after.node.id, after.networks.length], [before.node.id, 1]);
    await eventually('the container runs again', () => isUp(hosts[0]), { limitMs: 60_000, everyMs: 200 });
    await requireConnected(hosts);
  });

  test('upgrading it from the registry costs no packet and keeps node and endpoints', async (context) => {
    const { lab, hosts, registry, plugins } = context;
    const [a, b] = hosts;
    const reference = `${registry.address}/weft:2`;
    await pushVariant(lab, a.engine, reference, changedVersion);
    const plugin = plugins[1];
    const before = await statusOf(plugin);

    await requireNoLoss([b, a], async () => {
      await plugin.upgrade(reference);
      // The environment stays as it was set; sources of mounts are the new version's defaults, whatever inspect says.
      await plugin.set(socketOf(b.engine));
      await plugin.enable();
    });

    const after = await statusOf(plugin);
    assert.equal([after.node.id, after.version], [before.node.id, changedVersion]);
    assert.equal([after.store.kind, after.store.state], ['consul', 'live']);
    assert.is((await endpointsOf(plugin)).length, 2);
    await requireConnected(hosts);
  });

  test('it can be removed when nothing uses it, and takes all it had along', async ({ hosts, plugins }) => {
    for (const [{ node, engine }, plugin] of [
      [hosts[0], plugins[0]],
      [hosts[1], plugins[1]],
    ] as const) {
      await engine.docker(['rm', '--force', `on-${node.name}`]);
      await engine.docker(['network', 'rm', 'blue']);
      assert.equal((await statusOf(plugin)).networks, []);
      await plugin.disable();
      await plugin.remove();

      assert.throws(() => plugin.pid(), /no process of plugin/);
      assert.equal([existsSync(plugin.dataDir), existsSync(join(engine.pluginDir, plugin.id))], [false, false]);
    }
  });

  test.run();
}

async function startHost(node: LabNode, version: EngineVersion): Promise<Host> {
  const engine = await node.engine({ version, args: trustingRegistries });
  await engine.loadImage();
  return { node, engine };
}

async function statusOf(plugin: ManagedPlugin): Promise<StatusReport> {
  return JSON.parse(await plugin.cli(['status', '--json'])) as StatusReport;
}

async function endpointsOf(plugin: ManagedPlugin): Promise<readonly EndpointReport[]> {
  return JSON.parse(await plugin.cli(['endpoints', '--json'])) as readonly EndpointReport[];
}

/** Null while no daemon answers. */
async function epochOf(plugin: ManagedPlugin): Promise<number | null> {
  const { code, stdout } = await plugin.tryCli(['status', '--json']);
  return code === 0 ? (JSON.parse(stdout) as StatusReport).node.epoch : null;
}

interface Member {
  readonly station: Station;
  readonly address: string;
}

async function memberOn({ node, engine }: Host): Promise<Member> {
  const format = '{{.NetworkSettings.Networks.blue.IPAddress}}';
  const address = await engine.docker(['inspect', '--format', format, `on-${node.name}`]);
  return { station: await engine.container(`on-${node.name}`), address };
}

async function isUp({ node, engine }: Host): Promise<boolean> {
  const format = '{{.State.Running}} {{.State.Restarting}}';
  return (await engine.docker(['inspect', '--format', format, `on-${node.name}`])) === 'true false';
}

async function requireConnected(hosts: readonly Host[]): Promise<void> {
  assert.equal(await pingAll(await Promise.all(hosts.map(memberOn))), []);
}

/** From the first host's container to the second's, and back, while something happens. */
async function requireNoLoss([one, other]: readonly [Host, Host], happen: () => Promise<void>): Promise<void> {
  const [from, to] = [await memberOn(one), await memberOn(other)];
  const echo = await startEcho(to.station);
  const between = { from: from.station, address: to.address, intervalUs: 2000 };
  const { sent, lost, duplicates } = await countLoss(between, happen);
  await echo.stop();

  assert.equal([lost, duplicates, sent > 500], [0, 0, true]);
}

/**
 * `npm run demo`: what Weft is for, on one machine, with nothing of it touched. Two Docker engines of different ages
 * on two LANs that a router joins, all in network namespaces; a weft daemon beside each, on one embedded store; a
 * network that each engine is told about alone; a container on each, and traffic between them.
 *
 *   n1 10.10.1.2 (engine 20.10)  ──LAN 1── router ──LAN 2──  n2 10.10.2.2 (engine 28)
 *      alpha 10.77.0.x  ═══════════ network "blue" ═══════════  beta 10.77.0.y
 *
 * Everything shown is the output of a command that ran, every figure is measured. Ends with exit code 0 when each step
 * held, and leaves nothing behind, whatever ended it.
 */

import { pause } from '../test/kit/command.ts';
import type { Daemon } from '../test/kit/daemon.ts';
import type { Engine, EngineVersion } from '../test/kit/engine.ts';
import { createLab, type Lab } from '../test/kit/lab.ts';
import { ipBatch } from '../test/kit/netns.ts';
import type { LabNode, Station } from '../test/kit/node.ts';
import { countDatagrams, countLoss, startEcho } from '../test/kit/traffic.ts';
import { guarded, requireNothingLeft } from './demo-guard.ts';
import { createScreen, type Screen } from './demo-screen.ts';

interface DemoNode {
  readonly host: LabNode;
  readonly engine: Engine;
  readonly daemon: Daemon;
}

interface Container {
  readonly name: string;
  readonly node: DemoNode;
  readonly address: string;
  readonly station: Station;
}

type Pair<Value> = readonly [Value, Value];

const subnet = '10.77.0.0/24';
const broadcasts = 100;
/** Short rounds in turn, and their median: what else the machine does falls on both alike. */
const throughputRounds = 3;

async function play(screen: Screen): Promise<void> {
  screen.step('Two LANs, a router between them, a node on each');
  const lab = await createLab();
  try {
    const nodes = await startNodes(lab, screen);
    const containers = await connectContainers(nodes, screen);
    await pingBothWays(containers, screen);
    await broadcast(containers, screen);
    await compareThroughput(nodes, containers, screen);
    await killDaemon(lab, containers, screen);
    await showReports(nodes, screen);
    await takeDown(containers, screen);
  } finally {
    await lab.close();
  }
  requireNothingLeft();
  screen.finding(`done in ${screen.seconds().toFixed(0)} s: engines, daemons and LANs are gone, nothing is left`);
}

async function startNodes(lab: Lab, screen: Screen): Promise<Pair<DemoNode>> {
  const hosts = [await lab.node(), await lab.node()] as const;
  await takeOutSwitches(lab);
  screen.output(hosts.map(({ name, address, lan }) => `${name}  ${address}  on LAN ${lan}`).join('\n'));

  screen.step('A Docker engine on each, an old one and a new one');
  const versions: Pair<EngineVersion> = ['20.10', '28'];
  const engines = await both((i) => hosts[i].engine({ version: versions[i] }));
  screen.output(hosts.map(({ name }, i) => `${name}  Docker Engine ${engines[i]?.version}`).join('\n'));

  screen.step('A weft daemon beside each, both on the same embedded store');
  for (const { name } of hosts) screen.command(name, ['weft', 'daemon', '--store', lab.embeddedStore]);
  const daemons = await both((i) => hosts[i].daemon({ store: lab.embeddedStore, engine: engines[i] }));
  return both(async (i) => ({ host: hosts[i], engine: engines[i], daemon: daemons[i] }));
}

async function connectContainers(nodes: Pair<DemoNode>, screen: Screen): Promise<Pair<Container>> {
  screen.step('One network, told to each engine alone, and a container on each');
  const image = (await both((i) => nodes[i].engine.loadImage()))[0];
  const create = ['network', 'create', '-d', 'weft', '--ipam-driver', 'weft', '--subnet', subnet, 'blue'];
  for (const node of nodes) await shown(screen, node, create);
  const names = ['alpha', 'beta'] as const;
  for (const [i, node] of nodes.entries()) {
    await shown(screen, node, ['run', '-d', '--network', 'blue', '--name', names[i] ?? '', image]);
  }
  const containers = await both((i) => inspect(nodes[i], names[i]));
  screen.finding(containers.map(({ name, address, node }) => `${name} is ${address} on ${node.host.name}`).join(', '));
  return containers;
}

async function pingBothWays([alpha, beta]: Pair<Container>, screen: Screen): Promise<void> {
  screen.step('They reach each other, from the first packet on');
  for (const [from, to] of [
    [alpha, beta],
    [beta, alpha],
  ] as const) {
    const ping = ['exec', from.name, 'ping', '-c', '3', '-i', '0.2', '-W', '2', to.address];
    const said = await shown(screen, from.node, ping);
    screen.output(said.split('\n').slice(1).filter(Boolean).join('\n'));
    if (!said.includes(' 0% packet loss')) throw new Error(`${from.name} lost packets to ${to.name}`);
  }
}

async function broadcast([alpha, beta]: Pair<Container>, screen: Screen): Promise<void> {
  screen.step('It is one layer-2 network: broadcast arrives, once');
  const to = { address: '255.255.255.255', receivers: [beta.station] };
  const [tally] = await countDatagrams(alpha.station, to, { count: broadcasts, intervalUs: 5_000, device: 'eth0' });
  const { distinct = 0, duplicates = 0 } = tally ?? {};
  screen.finding(`${broadcasts} broadcasts from alpha: beta got ${distinct}, ${duplicates} of them twice`);
  if (distinct === 0) throw new Error('no broadcast arrived');
}

async function compareThroughput(nodes: Pair<DemoNode>, containers: Pair<Container>, screen: Screen): Promise<void> {
  screen.step('TCP throughput between the containers, beside that of the bare underlay, node to node');
  const [n1, n2] = nodes;
  const [alpha, beta] = containers;
  await n2.host.spawn(['iperf3', '--server']);
  await n2.engine.docker(['exec', '-d', beta.name, 'iperf3', '--server']);
  await pause(300);
  const client = (address: string) => ['iperf3', '--client', address, '--time', '1', '--json'];
  screen.command(n1.host.name, client(n2.host.address));
  const inContainer = ['exec', alpha.name, ...client(beta.address)];
  screen.command(n1.host.name, ['docker', ...inContainer]);
  const underlay: number[] = [];
  const overlay: number[] = [];
  for (let round = 0; round < throughputRounds; round += 1) {
    underlay.push(gigabits(await n1.host.run(client(n2.host.address))));
    overlay.push(gigabits(await n1.engine.docker(inContainer)));
  }
  screen.output(`underlay  ${underlay.map((each) => each.toFixed(1)).join('  ')}  Gbit/s`);
  screen.output(`weft      ${overlay.map((each) => each.toFixed(1)).join('  ')}  Gbit/s`);
  const [bare, carried] = [median(underlay), median(overlay)];
  screen.finding(
    `underlay ${bare.toFixed(1)} Gbit/s, weft ${carried.toFixed(1)} Gbit/s: ${Math.round((100 * carried) / bare)} %`,
  );
}

async function killDaemon(lab: Lab, [alpha, beta]: Pair<Container>, screen: Screen): Promise<void> {
  screen.step('A daemon is killed and started again while beta answers 1,000 requests a second');
  const { daemon, host } = beta.node;
  await startEcho(beta.station);
  const { sent, lost } = await countLoss({ from: alpha.station, address: beta.address }, async () => {
    screen.command(host.name, ['kill', '-9', String(daemon.pid)]);
    await daemon.kill9();
    await pause(500);
    screen.command(host.name, ['weft', 'daemon', '--store', lab.embeddedStore]);
    await daemon.restart();
  });
  screen.finding(`${sent} requests, ${lost} lost`);
}

async function showReports(nodes: Pair<DemoNode>, screen: Screen): Promise<void> {
  screen.step('What Weft says about it');
  const [n1, n2] = nodes;
  for (const [{ host, daemon }, report] of [
    [n1, 'status'],
    [n2, 'peers'],
    [n2, 'endpoints'],
  ] as const) {
    screen.command(host.name, ['weft', report]);
    screen.output(await daemon.cli([report]));
  }
}

/**
 * Each LAN here is one cable, so the router's end of it gets the address, and the bridge that is the lab's switch goes.
 * A bridge device that sends by itself cuts tunnelled TCP into single packets in software (it has no hw_enc_features;
 * measured: 4 instead of 12 Gbit/s, for the kernel's own vxlan device too), which no real switch does.
 */
async function takeOutSwitches({ nodes, router }: Lab): Promise<void> {
  const lines = nodes.flatMap(({ lan }, i) => [
    `link delete lan${lan}`,
    `address add 10.10.${lan}.1/24 dev p${i + 1}`,
    `address add fd00:10:${lan}::1/64 dev p${i + 1} nodad`,
  ]);
  await ipBatch(router.netns, lines);
}

async function takeDown(containers: Pair<Container>, screen: Screen): Promise<void> {
  screen.step('The end');
  await Promise.all(
    containers.map(async ({ name, node }) => {
      await shown(screen, node, ['rm', '-f', name]);
      await shown(screen, node, ['network', 'rm', 'blue']);
    }),
  );
}

/** Runs a docker command on a node's engine, and shows it. */
async function shown(screen: Screen, { host, engine }: DemoNode, argv: readonly string[]): Promise<string> {
  screen.command(host.name, ['docker', ...argv]);
  return engine.docker(argv);
}

async function inspect(node: DemoNode, name: string): Promise<Container> {
  const address = await node.engine.docker([
    ...['inspect', '--format', '{{.NetworkSettings.Networks.blue.IPAddress}}', name],
  ]);
  return { name, node, address, station: await node.engine.container(name) };
}

/** The same for both nodes at once. */
async function both<Value>(make: (index: 0 | 1) => Promise<Value>): Promise<Pair<Value>> {
  return Promise.all([make(0), make(1)]);
}

function gigabits(json: string): number {
  const { end } = JSON.parse(json) as { end: { sum_received: { bits_per_second: number } } };
  return end.sum_received.bits_per_second / 1e9;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}

await guarded(
  (line) => void process.stderr.write(`demo: ${line}\n`),
  () => play(createScreen(process.stdout)),
);

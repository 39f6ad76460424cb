/**
 * Daemons and engines that are stopped, killed and started again: what is programmed keeps forwarding without them,
 * and afterwards everything goes on where it was.
 */

import * as assert from 'uvu/assert';
import type { EndpointReport, StatusReport } from '../../../src/overlay/report.ts';
import { type Cluster, type ClusterNode, createCluster, type StoreKind } from '../cluster.ts';
import { mapRows, requireClean } from '../cluster-leftovers.ts';
import { eventually, pause } from '../command.ts';
import type { Container } from '../docker.ts';
import { suite } from '../suite.ts';
import { countLoss, pingAll, startEcho } from '../traffic.ts';

const createBlue = 'network create --driver weft --ipam-driver weft --subnet 10.77.0.0/24 blue';
const streamPort = 17_711;
/** In bits per second: far below what the path can carry, so that a gap is the daemon's fault. */
const streamRate = '40M';
const streamSeconds = 12;

interface Context {
  cluster: Cluster;
}

export function testLife(store: StoreKind): void {
  const test = suite<Context>(`life on ${store}`);

  test.before(async (context) => {
    const cluster = await createCluster({ store, engines: ['20.10', '28'] });
    context.cluster = cluster;
    await cluster.everywhere(createBlue);
    for (const node of cluster.nodes) await node.run(nameOn(node), { network: 'blue', args: ['--restart', 'always'] });
  });
  test.after(async ({ cluster }) => {
    await cluster?.close();
  });

  test('a daemon that is killed and started again costs no packet, on the sending or the receiving side', async ({
    cluster,
  }) => {
    const [a, b] = await containers(cluster);
    const echo = await startEcho(b);
    const stream = await startStream(a, b);

    const { sent, lost, duplicates } = await countLoss({ from: a, address: b.address, intervalUs: 2000 }, async () => {
      for (const { daemon } of cluster.nodes) {
        await daemon.kill9();
        await pause(1000);
        await daemon.restart();
        await pause(500);
      }
    });
    await echo.stop();

    assert.ok(sent > 1000);
    assert.equal([lost, duplicates], [0, 0]);
    await stream.finish();
  });

  test('a daemon that was started again adopts what is there, repairs nothing, and serves new containers', async ({
    cluster,
  }) => {
    for (const node of cluster.nodes) {
      const { networks, repairs, problems } = await node.report<StatusReport>('status');
      assert.equal([networks[0]?.endpoints, repairs, problems], [2, {}, []]);
    }
    const fresh = await Promise.all(cluster.nodes.map((node) => node.run(`new-${node.name}`, { network: 'blue' })));

    const all = [...(await containers(cluster)), ...fresh];
    assert.equal(await pingAll(all.map((station) => ({ station, address: station.address }))), []);
    for (const node of cluster.nodes) await node.docker(`rm --force new-${node.name}`);
  });

  test('a daemon that is told to stop leaves its containers connected until it is back', async ({ cluster }) => {
    const [a, b] = await containers(cluster);
    const echo = await startEcho(b);
    const { daemon } = cluster.node(0);

    const { lost } = await countLoss({ from: a, address: b.address, intervalUs: 2000 }, async () => {
      const { code } = await daemon.stop();
      assert.is(code, 0);
      await pause(1000);
      await daemon.restart();
    });
    await echo.stop();

    assert.is(lost, 0);
  });

  test('containers go on while their engine is dead, and come back on the network when it does', async ({
    cluster,
  }) => {
    for (const node of cluster.nodes) {
      const before = await containers(cluster);

      await node.engine.kill();
      assert.equal(await pingAll(before.map((station) => ({ station, address: station.address }))), []);
      await node.engine.start();

      await requireBack(cluster, node);
    }
  });

  test('containers come back on the network when their engine is stopped and started', async ({ cluster }) => {
    for (const node of cluster.nodes) {
      await node.engine.stop();
      await requireAlone(cluster, node);
      await node.engine.start();

      await requireBack(cluster, node);
    }
  });

  test('when all engines and daemons are killed at once, the cluster comes back by itself', async ({ cluster }) => {
    await Promise.all(cluster.nodes.flatMap(({ engine, daemon }) => [engine.kill(), daemon.kill9()]));
    await Promise.all(
      cluster.nodes.map(async ({ engine, daemon }) => {
        await daemon.restart();
        await engine.start();
      }),
    );

    for (const node of cluster.nodes) await requireBack(cluster, node);
  });

  test('after all these deaths nothing is left when containers and networks are removed', async ({ cluster }) => {
    await cluster.sweep();

    await requireClean(cluster);
  });

  test.run();
}

const nameOn = (node: ClusterNode) => `on-${node.name}`;

async function containers(cluster: Cluster): Promise<readonly [Container, Container]> {
  const [a, b] = [cluster.node(0), cluster.node(1)];
  return Promise.all([a.container(nameOn(a), 'blue'), b.container(nameOn(b), 'blue')]);
}

/** The node's container runs again, all containers reach each other, and there is no trace of the ones before. */
async function requireBack(cluster: Cluster, node: ClusterNode): Promise<void> {
  await eventually(`the container of ${node.name} runs again`, () => isUp(node), { limitMs: 30_000, everyMs: 200 });
  const all = await containers(cluster);

  assert.equal(await pingAll(all.map((station) => ({ station, address: station.address }))), []);
  await eventually('there is one endpoint for each container', () => hasEndpoints(cluster, cluster.nodes.length));
  for (const each of cluster.nodes) assert.is((await mapRows(each, 'ports')).length, 1);
}

/** The node's container has left the network, and everyone knows. */
async function requireAlone(cluster: Cluster, node: ClusterNode): Promise<void> {
  await eventually('the endpoint is gone everywhere', () => hasEndpoints(cluster, cluster.nodes.length - 1));
  assert.is((await mapRows(node, 'ports')).length, 0);
}

async function isUp(node: ClusterNode): Promise<boolean> {
  const state = await node.docker(`inspect ${nameOn(node)} --format`, '{{.State.Running}} {{.State.Restarting}}');
  return state === 'true false';
}

async function hasEndpoints(cluster: Cluster, count: number): Promise<boolean> {
  const reports = await Promise.all(cluster.nodes.map((node) => node.report<readonly EndpointReport[]>('endpoints')));
  return reports.every((endpoints) => endpoints.length === count);
}

interface SteadyStream {
  /** Waits for its end. @throws when it stalled for half a second or lost a segment */
  finish(): Promise<void>;
}

/** A TCP stream at a steady rate. */
async function startStream(from: Container, to: Container): Promise<SteadyStream> {
  const server = await to.spawn(['iperf3', '--server', '--one-off', '--forceflush', '--port', String(streamPort)]);
  await server.waitFor('Server listening');
  const lostBefore = await lostSegments(from);
  const client = ['iperf3', '--client', to.address, '--port', String(streamPort), '--bitrate', streamRate];
  const running = await from.spawn([...client, '--time', String(streamSeconds), '--interval', '0.5', '--json']);
  return {
    async finish() {
      const { intervals } = JSON.parse((await running.ended).stdout) as StreamReport;
      assert.ok(intervals.length >= streamSeconds * 2);
      for (const { sum } of intervals) assert.ok(sum.bytes > 0);
      assert.is((await lostSegments(from)) - lostBefore, 0);
    },
  };
}

/** Of `iperf3 --json`, version 3. */
interface StreamReport {
  readonly intervals: readonly { readonly sum: { readonly bytes: number } }[];
}

/**
 * TCP segments of a container that were sent again because they were lost. On a busy machine TCP also probes for a
 * loss that is none (RFC 8985); the receiver reports those as duplicates (RFC 2883), so they are taken off.
 */
async function lostSegments(container: Container): Promise<number> {
  const names = ['TcpRetransSegs', 'TcpExtTCPDSACKRecvSegs'] as const;
  const report = JSON.parse(await container.run(['nstat', '--ignore', '--noupdate', '--zeros', '--json', ...names]));
  const { TcpRetransSegs: again, TcpExtTCPDSACKRecvSegs: needless } = (report as { kernel: Counters }).kernel;
  return again - needless;
}

type Counters = Readonly<Record<'TcpRetransSegs' | 'TcpExtTCPDSACKRecvSegs', number>>;

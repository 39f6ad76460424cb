/**
 * What a daemon of the previous pin schema left is taken over by this one: its tables, its links, its counters. Containers
 * that talk lose nothing, wherever the new daemon is killed on the way. Schemas it knows nothing of are refused.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { parseAddress } from '../../src/core/address.ts';
import { type ForwardingState, forwarding } from '../../src/core/forwarding.ts';
import type { Endpoint } from '../../src/core/model.ts';
import { readCounters } from '../../src/datapath/ebpf/counters.ts';
import { openEbpfDataPath } from '../../src/datapath/ebpf/data-path.ts';
import { directoriesOf, formerSchema, schema } from '../../src/datapath/ebpf/names.ts';
import { loadTables } from '../../src/datapath/ebpf/programs.ts';
import { formerTables, takeOver } from '../../src/datapath/ebpf/takeover.ts';
import { isOverlayError } from '../../src/errors.ts';
import { closeFd, linkInfo, mapEntries, openPinnedMap } from '../../src/native/binding.ts';
import { openNetlink } from '../../src/netlink/netlink.ts';
import { pause } from '../kit/command.ts';
import { compileFormerPrograms, takeBack } from '../kit/former-schema.ts';
import { nodeId, testEndpoint, testNetwork } from '../kit/models.ts';
import { enterOwnNamespace } from '../kit/own-namespace.ts';
import { lossBetween } from '../kit/steady.ts';
import { suite } from '../kit/suite.ts';
import { connectNodes, disconnect, inside, runInside, startContainer, startNode } from '../kit/two-nodes.ts';

const { bpfRoot } = enterOwnNamespace(import.meta.url);
const test = suite<object>('takeover of the previous pin schema');
// The one directory that only this test can see.
const former = compileFormerPrograms('/run/netns');
const network = testNetwork(1, { multicast: true });
const [c1, c2] = [testEndpoint(1, 2), testEndpoint(1, 12)];
const containers = [
  { name: 'c1', address: '10.77.1.2' },
  { name: 'c2', address: '10.77.1.12' },
] as const;
const nodes = {
  node1: { address: '192.0.2.1', tables: tablesOf(c1, '192.0.2.2', c2) },
  node2: { address: '192.0.2.2', tables: tablesOf(c2, '192.0.2.1', c1) },
};
type NodeName = keyof typeof nodes;

function tablesOf(local: Endpoint, address: string, behind: Endpoint): ForwardingState {
  const vtep = { address: parseAddress(address), port: 14789 };
  const remote = [{ node: nodeId(address), network: network.key, vtep, endpoints: [behind] }];
  return forwarding({ self: nodeId('self'), networks: [network], local: [local], remote });
}

const dirOf = (node: NodeName) => join(bpfRoot, node);
const parameters = (node: NodeName) => [dirOf(node), nodes[node].address, '14789', 'tcx'];
const schemasOf = (node: NodeName) => readdirSync(dirOf(node));

/** Starts the present data path, which must find everything as it is wanted, and ends it. */
async function start(node: NodeName): Promise<void> {
  const started = await startNode(node, parameters(node));
  assert.is(await started.desire(nodes[node].tables.values()), 0);
  await started.end();
  assert.equal(schemasOf(node), [schema]);
}

/** The same, but killed after a while, wherever it is then. */
async function startAndKill(node: NodeName, afterMs: number): Promise<void> {
  const script = new URL('../kit/data-path-process.ts', import.meta.url).pathname;
  const command = [process.execPath, ...process.execArgv, script, ...parameters(node)];
  const child = spawn('nsenter', [...inside(node, ...command)], { stdio: ['pipe', 'ignore', 'inherit'] });
  const ended = once(child, 'exit');
  await pause(afterMs);
  child.kill('SIGKILL');
  await ended;
}

function counted(node: NodeName, version: string, name: string): number {
  const map = openPinnedMap(join(directoriesOf(dirOf(node), version).maps, 'counters'));
  if (map === null) throw new Error('no counters');
  try {
    return readCounters(map)[name]?.packets ?? 0;
  } finally {
    closeFd(map);
  }
}

function rowsOf(node: NodeName, table: string): number {
  const map = openPinnedMap(join(directoriesOf(dirOf(node)).maps, table));
  if (map === null) throw new Error(`no table ${table}`);
  try {
    return mapEntries(map).length;
  } finally {
    closeFd(map);
  }
}

function losses(happen: () => Promise<void>) {
  return lossBetween(containers[0], containers[1], happen);
}

function requireNoLoss({ sent, lost, duplicates }: Awaited<ReturnType<typeof losses>>): void {
  assert.ok(sent >= 400, `only ${sent} were sent`);
  assert.equal([lost, duplicates], [0, 0], `of ${sent}`);
}

test.before(async () => {
  connectNodes({ addresses: ['192.0.2.1/24', '192.0.2.2/24'] });
  for (const node of ['node1', 'node2'] as const) {
    const started = await startNode(node, parameters(node));
    await started.desire(nodes[node].tables.values());
    await started.end();
  }
  startContainer('c1', 'node1', c1);
  startContainer('c2', 'node2', c2);
  for (const [container, { addresses, mac }] of [
    ['c1', c2],
    ['c2', c1],
  ] as const) {
    const to = String(addresses[0]);
    runInside(container, 'ip', 'neighbour', 'replace', to, 'lladdr', mac, 'dev', 'eth0', 'nud', 'permanent');
  }
  for (const node of ['node1', 'node2'] as const) takeBack(dirOf(node), former);
});

test.after(() => {
  disconnect('c1', 'c2', 'node1', 'node2');
  for (const node of ['node1', 'node2']) rmSync(join(bpfRoot, node), { recursive: true });
});

test('the programs of the previous schema carry packets by its tables', async () => {
  assert.equal(schemasOf('node1'), [formerSchema]);
  const before = counted('node1', formerSchema, 'fallback');

  requireNoLoss(await losses(async () => {}));
  assert.ok(counted('node1', formerSchema, 'fallback') >= before + 400);
});

test('tables, links and counters are taken over, and no packet is lost', async () => {
  const link = (version: string) => linkInfo(join(directoriesOf(dirOf('node1'), version).links, 'underlay'));
  const before = { link: link(formerSchema), fallback: counted('node1', formerSchema, 'fallback') };

  requireNoLoss(
    await losses(async () => {
      await start('node1');
      await start('node2');
    }),
  );
  assert.is(link(schema)?.id, before.link?.id);
  assert.is.not(link(schema)?.programId, before.link?.programId);
  assert.ok(counted('node1', schema, 'fallback') >= before.fallback);
  assert.ok(counted('node1', schema, 'encapsulated') > 0);
  for (const table of ['members', 'groups'])
    assert.is(rowsOf('node1', table), 1, `everybody gets every group: ${table}`);
  runInside('c2', 'sysctl', '-qw', 'net.ipv4.icmp_echo_ignore_broadcasts=0');
  runInside('c1', 'busybox', 'ping', '-q', '-c', '1', '-W', '5', '10.77.1.255');
});

test('a daemon that ends after any step is followed by one that goes on, and no packet is lost', async () => {
  const bpfDir = dirOf('node1');
  const stepsOf = () => {
    const found = formerTables(bpfDir);
    const directories = directoriesOf(bpfDir);
    return found === null ? [] : takeOver(found, directories, () => loadTables(directories));
  };
  let ended = 0;

  requireNoLoss(
    await losses(async () => {
      for (let isDone = false; !isDone; ended += 1) {
        takeBack(bpfDir, former);
        let step = 0;
        for (const _ of stepsOf()) if (step++ === ended) break;
        isDone = step <= ended;
        await start('node1');
      }
    }),
  );
  assert.is(ended, 6);
});

test('a daemon that is killed at any moment is followed by one that goes on, and no packet is lost', async () => {
  takeBack(dirOf('node1'), former);

  requireNoLoss(
    await losses(async () => {
      for (const afterMs of [500, 700, 900, 1_100, 1_400]) await startAndKill('node1', afterMs);
      await start('node1');
    }),
  );
});

for (const [name, unknown, wayOut] of [
  ['a newer schema', 'v9', /start the newer version/],
  ['a schema older than the previous one', 'v0', /a version in between/],
] as const) {
  test(`${name} is refused, with its directory and the way out, and left alone`, async () => {
    const bpfDir = join(bpfRoot, 'unknown');
    const directory = join(bpfDir, unknown, 'maps');
    mkdirSync(directory, { recursive: true });
    const netlink = await openNetlink();
    const vtep = { address: parseAddress('192.0.2.1'), port: 14789 };
    const log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
    try {
      await openEbpfDataPath({ vtep, bpfDir, netlink, log });
      assert.unreachable('it was opened');
    } catch (error) {
      if (!isOverlayError(error, 'PINS_INCOMPATIBLE')) throw error;
      assert.match(error.message, join(bpfDir, unknown));
      assert.match(error.message, wayOut);
      assert.equal([readdirSync(bpfDir), existsSync(directory)], [[unknown], true]);
    } finally {
      await netlink.close();
      rmSync(bpfDir, { recursive: true });
    }
  });
}

test.run();

/**
 * A container that routes: it answers for a prefix behind it when its endpoint says that it may, and not otherwise. Two
 * nodes with a real data path, and a daemon that is killed in between.
 *
 *      c1 10.77.1.2 (node1), with 198.51.100.1 behind it ─── c2 10.77.1.12 (node2), with a route to 198.51.100.0/24 by c1
 */

import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { parseAddress } from '../../src/core/address.ts';
import { forwarding } from '../../src/core/forwarding.ts';
import type { Endpoint } from '../../src/core/model.ts';
import { attempt, eventually } from '../kit/command.ts';
import { nodeId, testEndpoint, testNetwork } from '../kit/models.ts';
import { enterOwnNamespace } from '../kit/own-namespace.ts';
import { suite } from '../kit/suite.ts';
import {
  connectNodes,
  disconnect,
  inside,
  type NodeProcess,
  runInside,
  startContainer,
  startNode,
} from '../kit/two-nodes.ts';

const { bpfRoot } = enterOwnNamespace(import.meta.url);
const test = suite<{ node1: NodeProcess; node2: NodeProcess }>('router');
const network = testNetwork(1);
const [c1, c2] = [testEndpoint(1, 2), testEndpoint(1, 12)];
const vteps = ['192.0.2.1', '192.0.2.2'].map((address) => ({ address: parseAddress(address), port: 14789 }));
const open = (node: 1 | 2) =>
  startNode(`node${node}`, [join(bpfRoot, `node${node}`), `192.0.2.${node}`, '14789', 'tcx']);

/** Rows of node 1 or 2, on which one container is and the other is not. */
function rows(local: Endpoint, remote: Endpoint, vtep = vteps[0]) {
  if (vtep === undefined) throw new Error('no VTEP');
  const membership = { node: nodeId('other'), network: network.key, vtep, endpoints: [remote] };
  return forwarding({ self: nodeId('self'), networks: [network], remote: [membership], local: [local] }).values();
}

const asRouter = (isRouter: boolean) => rows(isRouter ? { ...c1, isRouter: true } : c1, c2, vteps[1]);
const ping = async (address: string, tries = 1) => {
  const words = ['busybox', 'ping', '-q', '-c', String(tries), '-i', '0.2', '-W', '1', address];
  return (await attempt(['nsenter', ...inside('c2', ...words)])).code === 0;
};
const forged = async (node: NodeProcess) => (await node.counters())['drop_source_address']?.packets ?? 0;

test.before(async (nodes) => {
  connectNodes({ addresses: ['192.0.2.1/24', '192.0.2.2/24'] });
  nodes.node1 = await open(1);
  nodes.node2 = await open(2);
  await nodes.node1.desire(asRouter(false));
  await nodes.node2.desire(rows(c2, c1, vteps[0]));
  startContainer('c1', 'node1', c1);
  startContainer('c2', 'node2', c2);
  for (const address of ['198.51.100.1/32', '2001:db8:5::1/128']) {
    runInside('c1', 'ip', 'address', 'add', address, 'dev', 'lo');
  }
  runInside('c2', 'ip', 'route', 'add', '198.51.100.0/24', 'via', '10.77.1.2');
  runInside('c2', 'ip', '-6', 'route', 'add', '2001:db8:5::/64', 'via', 'fd00:77:1::2');
  await eventually('c2 reaches c1', () => ping('10.77.1.2'));
});
test.after(async ({ node1, node2 }) => {
  await node1.end();
  await node2.end();
  disconnect('c1', 'c2', 'node1', 'node2');
});

test('a container that may not route is not heard for a prefix behind it', async ({ node1 }) => {
  for (const address of ['198.51.100.1', '2001:db8:5::1']) {
    const before = await forged(node1);
    await eventually(`an answer of ${address} is dropped`, async () => {
      assert.is(await ping(address), false);
      return (await forged(node1)) > before;
    });
  }
});

test('one that may is, and still after its daemon was killed and started again', async (nodes) => {
  assert.is(await nodes.node1.desire(asRouter(true)), 1);
  const reaches = async () => {
    for (const address of ['198.51.100.1', '2001:db8:5::1']) assert.ok(await ping(address, 3), address);
  };
  await reaches();

  await nodes.node1.kill();
  await reaches();
  nodes.node1 = await open(1);
  await reaches();

  assert.is(await nodes.node1.desire(asRouter(true)), 0);
});

test('it is none any more when that is taken back', async ({ node1 }) => {
  await node1.desire(asRouter(false));

  assert.is(await ping('198.51.100.1'), false);
});

test.run();

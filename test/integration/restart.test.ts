/**
 * A hundred restarts of the data path, on both nodes at once, while containers talk both ways: killed, ended in order, or
 * opened again; every one puts programs loaded anew into the links. Not one packet is lost.
 */

import { rmSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { parseAddress } from '../../src/core/address.ts';
import { type ForwardingState, forwarding } from '../../src/core/forwarding.ts';
import type { Endpoint } from '../../src/core/model.ts';
import { directoriesOf } from '../../src/datapath/ebpf/names.ts';
import { linkInfo } from '../../src/native/binding.ts';
import { nodeId, testEndpoint, testNetwork } from '../kit/models.ts';
import { enterOwnNamespace } from '../kit/own-namespace.ts';
import { lossBetween } from '../kit/steady.ts';
import { suite } from '../kit/suite.ts';
import { connectNodes, disconnect, type NodeProcess, startContainer, startNode } from '../kit/two-nodes.ts';

const { bpfRoot } = enterOwnNamespace(import.meta.url);
const test = suite<object>('a hundred restarts');
const network = testNetwork(1);
const [c1, c2] = [testEndpoint(1, 2), testEndpoint(1, 12)];
/** Restarts of each node; a process takes far longer to start than a data path to open. */
const plan = { killed: 5, ended: 3, reopened: 42 };

interface Node {
  readonly name: string;
  readonly address: string;
  readonly tables: ForwardingState;
  process: NodeProcess;
}

const containers = [
  { name: 'c1', address: '10.77.1.2' },
  { name: 'c2', address: '10.77.1.12' },
] as const;

function tablesOf(local: Endpoint, address: string, behind: Endpoint): ForwardingState {
  const vtep = { address: parseAddress(address), port: 14789 };
  const remote = [{ node: nodeId(address), network: network.key, vtep, endpoints: [behind] }];
  return forwarding({ self: nodeId('self'), networks: [network], local: [local], remote });
}

const open = (name: string, address: string) => startNode(name, [join(bpfRoot, name), address, '14789', 'tcx']);

/** Something of each kind in turn. @returns how many there were */
async function restart(node: Node): Promise<number> {
  const left = { ...plan };
  let done = 0;
  for (; left.reopened + left.killed + left.ended > 0; done += 1) {
    if (left.killed > 0 && done % 3 === 0) {
      left.killed -= 1;
      await node.process.kill();
      node.process = await open(node.name, node.address);
    } else if (left.ended > 0 && done % 3 === 1) {
      left.ended -= 1;
      await node.process.end();
      node.process = await open(node.name, node.address);
    } else {
      left.reopened -= 1;
      await node.process.reopen();
    }
  }
  assert.is(await node.process.desire(node.tables.values()), 0);
  return done;
}

test('not one packet is lost', async () => {
  connectNodes({ addresses: ['192.0.2.1/24', '192.0.2.2/24'] });
  const nodes: Node[] = [];
  for (const [name, address, tables] of [
    ['node1', '192.0.2.1', tablesOf(c1, '192.0.2.2', c2)],
    ['node2', '192.0.2.2', tablesOf(c2, '192.0.2.1', c1)],
  ] as const) {
    nodes.push({ name, address, tables, process: await open(name, address) });
  }
  for (const { process, tables } of nodes) await process.desire(tables.values());
  startContainer('c1', 'node1', c1);
  startContainer('c2', 'node2', c2);
  const link = () => linkInfo(join(directoriesOf(join(bpfRoot, 'node1')).links, 'underlay'));
  const before = link();
  let restarts = 0;

  const { sent, lost, duplicates } = await lossBetween(containers[0], containers[1], async () => {
    const counts = await Promise.all(nodes.map(restart));
    restarts = counts.reduce((sum, count) => sum + count, 0);
  });

  assert.is(restarts, 100);
  assert.ok(sent > 1_000, `only ${sent} were sent`);
  assert.equal([lost, duplicates], [0, 0], `of ${sent}`);
  assert.is(link()?.id, before?.id, 'the link stays');
  assert.is.not(link()?.programId, before?.programId, 'its program is another');
  for (const { process } of nodes) await process.end();
  disconnect('c1', 'c2', 'node1', 'node2');
  for (const { name } of nodes) rmSync(join(bpfRoot, name), { recursive: true });
});

test.run();

/**
 * How long until every other node knows a new endpoint: from the answer to Join on one node until the report of each
 * other node names it. Reports are asked for without pause, so what is measured includes the time of one question (a
 * millisecond or two). The budget: p99 100 ms with three nodes on Consul.
 */

import { request } from 'node:http';
import type { Daemon } from '../../test/kit/daemon.ts';
import type { LabNode } from '../../test/kit/node.ts';
import { attach, joinNetwork, type Member } from '../attach.ts';
import type { PropagationFigures } from '../results.ts';
import { percentiles } from '../statistics.ts';

export interface PropagationOptions {
  readonly store: PropagationFigures['store'];
  readonly url: string;
  readonly count: number;
  readonly tell: (line: string) => void;
}

const limitMs = 10_000;

export async function measurePropagation(
  nodes: readonly LabNode[],
  { store, url, count, tell }: PropagationOptions,
): Promise<PropagationFigures> {
  tell(`propagation: ${count} endpoints, ${nodes.length} nodes on ${store}`);
  const members: Member[] = [];
  for (const node of nodes) members.push(await joinNetwork(node, { store: url, subnet: '10.79.0.0/24' }));
  const [first, ...others] = members;
  if (first === undefined) throw new Error('news needs a node to spread from');
  const delaysMs: number[] = [];
  for (let i = 0; i < count; i += 1) {
    const { endpointId } = await attach(first);
    const joined = performance.now();
    await Promise.all(others.map(({ daemon }) => untilKnown(daemon, endpointId)));
    delaysMs.push(performance.now() - joined);
  }
  return { store, nodes: nodes.length, count, known: percentiles(delaysMs) };
}

async function untilKnown(daemon: Daemon, endpointId: string): Promise<void> {
  const end = performance.now() + limitMs;
  while (!(await report(daemon.controlSocket)).includes(`"${endpointId}"`)) {
    if (performance.now() > end)
      throw new Error(`endpoint ${endpointId} was not known everywhere within ${limitMs} ms`);
  }
}

/** What `weft endpoints --json` asks for, as text. */
function report(socketPath: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const call = request({ socketPath, path: '/v1/endpoints' }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.on('end', () => resolve(text)).on('error', reject);
    });
    call.on('error', reject).end();
  });
}

/**
 * How long a container waits for the network when it starts: RequestAddress, CreateEndpoint and Join through the
 * plugin's socket, one container after another, on a node that has few endpoints and on one that has many. A second
 * node is in the same network and takes in all of it meanwhile, on the same CPUs. The baseline is the budget: p50 10 ms
 * and p99 50 ms for CreateEndpoint and Join.
 */

import type { LabNode } from '../../test/kit/node.ts';
import { type Attachment, attach, joinNetwork } from '../attach.ts';
import type { ControlPlaneFigures } from '../results.ts';
import { percentiles } from '../statistics.ts';

export interface ControlPlaneOptions {
  readonly store: ControlPlaneFigures['store'];
  readonly url: string;
  /** How many endpoints one row of figures is over. */
  readonly count: number;
  /** How many there are in the end. */
  readonly total: number;
  readonly tell: (line: string) => void;
}

/** All one after another; the first and the last of them are reported. */
export async function measureControlPlane(
  nodes: readonly [LabNode, LabNode],
  { store, url, count, total, tell }: ControlPlaneOptions,
): Promise<readonly ControlPlaneFigures[]> {
  tell(`control plane: ${total} endpoints on ${store}`);
  const options = { store: url, subnet: '10.78.0.0/16' };
  const member = await joinNetwork(nodes[0], options);
  await joinNetwork(nodes[1], options);
  const attachments: Attachment[] = [];
  for (let i = 0; i < total; i += 1) attachments.push(await attach(member));
  const starts = total > count ? [0, total - count] : [0];
  return starts.map((present) => figures(store, present, attachments.slice(present, present + count)));
}

function figures(
  store: ControlPlaneFigures['store'],
  present: number,
  attachments: readonly Attachment[],
): ControlPlaneFigures {
  return {
    store,
    present,
    count: attachments.length,
    createAndJoin: percentiles(attachments.map(({ createEndpointMs, joinMs }) => createEndpointMs + joinMs)),
    requestAddress: percentiles(attachments.map(({ requestAddressMs }) => requestAddressMs)),
    createEndpoint: percentiles(attachments.map(({ createEndpointMs }) => createEndpointMs)),
    join: percentiles(attachments.map(({ joinMs }) => joinMs)),
  };
}

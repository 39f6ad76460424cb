/**
 * How long a container waits for the network when it starts: RequestAddress, CreateEndpoint and Join through the
 * plugin's socket, one container after another, on a node that has few endpoints and on one that has many. A second
 * node is in the same network and takes in all of it meanwhile, on the same CPUs. The baseline is the budget: p50 10 ms
 * and p99 50 ms for CreateEndpoint and Join.
 */

import type { LabNode } from '../../test/kit/node.ts';
import {
  attach,
  connectPlugin,
  createNetwork,
  type PluginClient,
  type PluginNetwork,
  type Timings,
} from '../attach.ts';
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

export async function measureControlPlane(
  nodes: readonly [LabNode, LabNode],
  options: ControlPlaneOptions,
): Promise<readonly ControlPlaneFigures[]> {
  const { store, url, total, tell } = options;
  tell(`control plane: ${total} endpoints on ${store}`);
  const [plugin, witness] = [await startPlugin(nodes[0], url), await startPlugin(nodes[1], url)];
  try {
    return await attachAll(plugin, options);
  } finally {
    plugin.client.close();
    witness.client.close();
  }
}

interface Plugin {
  readonly client: PluginClient;
  readonly network: PluginNetwork;
}

async function startPlugin(node: LabNode, store: string): Promise<Plugin> {
  const daemon = await node.daemon({ store, dataPath: 'ebpf' });
  const client = connectPlugin(daemon.pluginSocket);
  const network = await createNetwork(client, { id: `control-${node.name}`, subnet: '10.78.0.0/16' });
  return { client, network };
}

/** All one after another; the first and the last of them are reported. */
async function attachAll({ client, network }: Plugin, options: ControlPlaneOptions): Promise<ControlPlaneFigures[]> {
  const { count, total } = options;
  const timings: Timings[] = [];
  for (let i = 0; i < total; i += 1) timings.push((await attach(client, network, `endpoint-${i}`)).timings);
  const starts = total > count ? [0, total - count] : [0];
  return starts.map((present) => figures(options.store, present, timings.slice(present, present + count)));
}

function figures(
  store: ControlPlaneFigures['store'],
  present: number,
  timings: readonly Timings[],
): ControlPlaneFigures {
  return {
    store,
    present,
    count: timings.length,
    createAndJoin: percentiles(timings.map(({ createEndpointMs, joinMs }) => createEndpointMs + joinMs)),
    requestAddress: percentiles(timings.map(({ requestAddressMs }) => requestAddressMs)),
    createEndpoint: percentiles(timings.map(({ createEndpointMs }) => createEndpointMs)),
    join: percentiles(timings.map(({ joinMs }) => joinMs)),
  };
}

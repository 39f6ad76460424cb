/**
 * What may be left on the nodes and in the store when all networks are gone: the daemons' own foundation (tunnel
 * device, programs on the underlay, empty maps) and the nodes' records. Everything else is a leak, and is named.
 */

import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { schema } from '../../src/datapath/ebpf/names.ts';
import type { StoreView } from './cluster-store.ts';
import { eventually, run } from './command.ts';
import type { LabNode } from './node.ts';

/** The maps whose rows belong to networks and endpoints; all are empty when none is left. */
const tables = ['networks', 'peers', 'ports', 'fdb', 'neighbours', 'flood'] as const;

interface NodeReport {
  readonly networks: readonly unknown[];
  readonly problems: readonly string[];
}

/** A node with a daemon, whichever way that was installed. */
export interface Premises {
  readonly name: string;
  readonly host: LabNode;
  readonly bpfDir: string;
  report<Report>(command: string): Promise<Report>;
}

/** @throws naming all that is still there after the limit; what Docker does not wait for may take a moment */
export async function requireClean(
  cluster: { readonly nodes: readonly Premises[]; readonly store: StoreView },
  limitMs = 10_000,
): Promise<void> {
  let left: readonly string[] = [];
  const isClean = async () => {
    left = await leftovers(cluster.nodes, cluster.store);
    return left.length === 0;
  };
  await eventually('nothing is left', isClean, { limitMs, everyMs: 250 }).catch((error: unknown) => {
    throw left.length === 0 ? error : new Error(`left behind: ${left.join('; ')}`);
  });
}

/** Rows of one pinned map of a node. */
export async function mapRows(node: Premises, map: string): Promise<readonly unknown[]> {
  const path = join(node.bpfDir, schema, 'maps', map);
  return JSON.parse(await run(['bpftool', '-j', 'map', 'dump', 'pinned', path])) as readonly unknown[];
}

async function leftovers(nodes: readonly Premises[], store: StoreView): Promise<readonly string[]> {
  const keys = await store.keys();
  const found = await Promise.all(nodes.map(onNode));
  return [...keys.filter((key) => !isLasting(key)).map((key) => `store key ${key}`), ...found.flat()];
}

/** A node's record stays, and so do anchors: they tell an empty table from a lost one. */
function isLasting(key: string): boolean {
  return /^n\/[0-9a-f]{16}$/.test(key) || key === 'n/_';
}

async function onNode(node: Premises): Promise<readonly string[]> {
  const name = (what: string) => `${what} on ${node.name}`;
  const links = JSON.parse(await node.host.run(['ip', '-json', 'link', 'show'])) as readonly { ifname: string }[];
  const devices = links.map(({ ifname }) => ifname).filter((device) => /^w[hc][0-9a-f]{12}$/.test(device));
  const pins = join(node.bpfDir, schema);
  const rows = await Promise.all(tables.map(async (map) => [map, (await mapRows(node, map)).length] as const));
  const { networks, problems } = await node.report<NodeReport>('status');
  return [
    ...devices.map((device) => name(`device ${device}`)),
    ...readdirSync(join(pins, 'endpoints')).map((endpoint) => name(`pin of endpoint ${endpoint}`)),
    ...readdirSync(join(pins, 'flood')).map((vni) => name(`flood list of VNI ${vni}`)),
    ...readdirSync(join(pins, 'links'))
      .filter((link) => /^w[hc]/.test(link))
      .map((link) => name(`link ${link}`)),
    ...rows.filter(([, count]) => count > 0).map(([map, count]) => name(`${count} rows of map ${map}`)),
    ...networks.map((network) => name(`network ${JSON.stringify(network)}`)),
    ...problems.map((problem) => name(`problem "${problem}"`)),
  ];
}

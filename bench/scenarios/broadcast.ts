/**
 * What one broadcast costs the node that sends it: a copy for each of 8, 32 and 64 remote nodes. One of them is there and
 * delivers its copy to a container; what goes to the others ends at the far end of the cable. Weft's copies go through
 * its vxlan device by the list of the network, the kernel's by zero-MAC entries in the forwarding database.
 */

import { join } from 'node:path';
import { parseAddress } from '../../src/core/address.ts';
import { createFloodLists } from '../../src/datapath/ebpf/flood.ts';
import { index, vtepRecord } from '../../src/datapath/ebpf/records.ts';
import { closeFd, type MapFd, mapEntries, mapUpdate, openPinnedMap } from '../../src/native/binding.ts';
import { run } from '../../test/kit/command.ts';
import { insideNetns, ipBatch } from '../../test/kit/netns.ts';
import { type Measured, measure, type Path } from '../meter.ts';
import { kernel, type LaidPath } from '../paths.ts';
import type { BroadcastFigures } from '../results.ts';
import { compileEdited, exchange, type Standing, standing } from '../standing.ts';
import type { Workshop } from '../workshop.ts';
import type { PacketCostOptions } from './packet-cost.ts';

const remoteCounts = [8, 32, 64];
const rounds = 4;
const firstHost = 10;
/** Implementation: ids no other row has. */
const firstId = 1_000;

/** A list of remote nodes made as long as asked. */
interface Sender {
  readonly path: Path;
  lengthen(remotes: number): Promise<void>;
}

export async function measureBroadcast(
  workshop: Workshop,
  options: PacketCostOptions,
): Promise<readonly BroadcastFigures[]> {
  const senders = [await weftSender(workshop), await kernelSender(workshop)].filter((sender) => sender !== null);
  const figures: BroadcastFigures[] = [];
  for (const remotes of remoteCounts) {
    options.tell(`broadcast to ${remotes} nodes`);
    for (const { lengthen } of senders) await lengthen(remotes);
    const paths = senders.map(({ path }) => path);
    figures.push(...(await measureCopies(paths, workshop, options)).map((measured) => ({ remotes, ...measured })));
  }
  return figures;
}

async function measureCopies(paths: readonly Path[], { env }: Workshop, { runs, share }: PacketCostOptions) {
  const load = { mode: 'udp', bytes: 64, rounds: Math.max(1, Math.round(rounds * share)) } as const;
  const results: Measured[][] = [];
  for (let run = 1; run <= runs; run += 1) results.push(await measure(paths, load, env));
  return paths.map(({ label }) => {
    const own = results.flatMap((result) => result.filter((measured) => measured.label === label));
    return {
      path: label === 'weft' ? ('weft' as const) : ('kernel' as const),
      medianNs: own.map(({ medianNs }) => medianNs ?? Number.NaN),
      lost: own.reduce((sum, { lost }) => sum + lost, 0),
    };
  });
}

async function weftSender(workshop: Workshop): Promise<Sender> {
  const stand = await standing(workshop, 'c');
  // The limit of what a container may broadcast is not what is measured.
  const object = await compileEdited(join(workshop.lab.directory, 'broadcast'), []);
  exchange(stand.sides[0], object, { bum_rate: 0 });
  await addStrangers(stand.remote);
  return {
    path: { ...stand.remote, address: '10.77.0.255' },
    lengthen: async (remotes) => lengthenList(stand, remotes),
  };
}

function lengthenList({ sides: [{ maps, flood }] }: Standing, remotes: number): void {
  withMap(join(maps, 'vteps'), (vteps) =>
    withMap(join(maps, 'flood'), (map) => {
      const lists = createFloodLists(map, flood);
      const [found] = lists.lists();
      const real = found?.[1].find((copy) => copy.kind === 'remote' && copy.vtepId < firstId);
      if (found === undefined || real?.kind !== 'remote') throw new Error('the network has no remote node');
      const rows = mapEntries(vteps).map(([key, value]) => [index.decode(key), vtepRecord.decode(value)] as const);
      const record = rows.find(([id]) => id === real.vtepId)?.[1];
      if (record === undefined || record === null) throw new Error(`no row of VTEP ${real.vtepId}`);
      const added = strangers(remotes - 1).map((address, i) => {
        const row = vtepRecord.encode({ ...record, address: parseAddress(address) });
        mapUpdate(vteps, index.encode(firstId + i), row);
        return { kind: 'remote' as const, vtepId: firstId + i };
      });
      lists.put(found[0], [...added, real]);
    }),
  );
}

function withMap(path: string, use: (map: MapFd) => void): void {
  const map = openPinnedMap(path);
  if (map === null) throw new Error(`no map ${path}`);
  try {
    use(map);
  } finally {
    closeFd(map);
  }
}

/** @returns null when this kernel has no br_netfilter */
async function kernelSender(workshop: Workshop): Promise<Sender | null> {
  const path = await kernel(workshop, 'kernel');
  if (path === null) return null;
  await addStrangers(path);
  const [node = ''] = path.nodes;
  const present = new Set<string>();
  return {
    path: { ...path, address: '10.76.0.255' },
    lengthen: async (remotes) => {
      for (const address of ['192.0.2.2', ...strangers(remotes - 1)]) {
        if (present.has(address)) continue;
        const entry = ['00:00:00:00:00:00', 'dev', 'vx0', 'dst', address];
        await run([...insideNetns(node), 'bridge', 'fdb', 'append', ...entry]);
        present.add(address);
      }
    },
  };
}

function strangers(count: number): readonly string[] {
  return Array.from({ length: count }, (_, i) => `192.0.2.${firstHost + i}`);
}

/** Nodes that are not there, at a MAC that nobody has. */
async function addStrangers({ nodes: [node = ''] }: LaidPath): Promise<void> {
  const addresses = strangers(Math.max(...remoteCounts) - 1);
  const line = (address: string) => `neighbour add ${address} lladdr 02:00:00:00:00:99 dev eth0 nud permanent`;
  await ipBatch(node, addresses.map(line));
}

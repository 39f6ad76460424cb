/**
 * What it costs not to tune the MTU: TCP between containers of a network whose MTU is left to Weft (devices of 9000
 * bytes, so 8950) over paths that carry less, against the same over a network made with the MTU that suits the path.
 * The two take turns. Routers that say what they cannot forward, and routers that do not.
 */

import type { PeerReport } from '../../src/overlay/report.ts';
import { eventually } from '../../test/kit/command.ts';
import type { Daemon } from '../../test/kit/daemon.ts';
import type { LabNode } from '../../test/kit/node.ts';
import { createHand, type Hand, type HandContainer } from '../../test/kit/plugin-client.ts';
import { transfer } from '../../test/kit/traffic.ts';
import type { PathMtuFigures } from '../results.ts';
import type { Workshop } from '../workshop.ts';

export interface PathMtuOptions {
  readonly runs: number;
  readonly mebibytes: number;
  readonly tell: (line: string) => void;
}

interface End {
  readonly node: LabNode;
  readonly daemon: Daemon;
  readonly hand: Hand;
}

type Ends = readonly [End, End];
type Pair = { readonly containers: readonly HandContainer[]; readonly address6: string | null };

const deviceBytes = 9000;
const pathsBytes = [1280, 1400, 1500, 9000] as const;
const overhead = 50;
const smallestIpv6 = 1280;
const limitMs = 60_000;

export async function measurePathMtu({ lab }: Workshop, options: PathMtuOptions): Promise<readonly PathMtuFigures[]> {
  const open = async (): Promise<End> => {
    const node = await lab.node({ mtuBytes: deviceBytes });
    const daemon = await node.daemon({ store: lab.embeddedStore, dataPath: 'ebpf', args: ['--probe-interval', '2'] });
    return { node, daemon, hand: createHand(node, daemon) };
  };
  const ends: Ends = [await open(), await open()];
  const automatic = await join(ends, 1, null);
  const figures: PathMtuFigures[] = [];
  for (const [index, pathBytes] of pathsBytes.entries()) {
    const tuned = await join(ends, index + 2, pathBytes - overhead);
    for (const isMute of [false, true]) {
      options.tell(`path MTU: ${pathBytes} bytes, ${isMute ? 'silent router' : 'router that says so'}`);
      if (isMute) await lab.router.setMute(true);
      await narrow(ends, pathBytes);
      figures.push(...(await compare({ pathBytes, isMute, automatic, tuned }, options)));
      if (isMute) await lab.router.setMute(false);
    }
  }
  return figures;
}

/** A container at each end. By IPv6 only where that may have so small an MTU. */
async function join(ends: Ends, index: number, mtuBytes: number | null): Promise<Pair> {
  const hasIpv6 = mtuBytes === null || mtuBytes >= smallestIpv6;
  const containers: HandContainer[] = [];
  for (const [at, { hand }] of ends.entries()) {
    const network = await hand.createNetwork({
      subnet: `10.75.${index}.0/24`,
      ...(hasIpv6 ? { subnet6: `fd00:75:${index}::/64` } : {}),
      ...(mtuBytes === null ? {} : { options: { 'com.docker.network.driver.mtu': String(mtuBytes) } }),
    });
    containers.push(await hand.run(network, hasIpv6 ? { address6: `fd00:75:${index}::${at + 1}/64` } : {}));
  }
  return { containers, address6: hasIpv6 ? `fd00:75:${index}::2` : null };
}

/** Both ends have proven it, and no kernel remembers another path. */
async function narrow(ends: Ends, pathBytes: number): Promise<void> {
  await ends[1].node.setMtu(pathBytes);
  for (const { node, daemon } of ends) {
    for (const family of ['-4', '-6']) await node.run(['ip', family, 'route', 'flush', 'cache']);
    const isProven = async () => {
      const peers = JSON.parse(await daemon.cli(['peers', '--json'])) as readonly PeerReport[];
      return peers[0]?.mtuBytes === pathBytes;
    };
    await eventually(`a path of ${pathBytes} bytes`, isProven, { limitMs, everyMs: 200 });
  }
}

interface Comparison {
  readonly pathBytes: number;
  readonly isMute: boolean;
  readonly automatic: Pair;
  readonly tuned: Pair;
}

async function compare(comparison: Comparison, { runs, mebibytes }: PathMtuOptions): Promise<PathMtuFigures[]> {
  const { pathBytes, isMute, tuned } = comparison;
  const figures: PathMtuFigures[] = [];
  for (const family of tuned.address6 === null ? (['ipv4'] as const) : (['ipv4', 'ipv6'] as const)) {
    const seconds = { automatic: [] as number[], tuned: [] as number[] };
    for (let run = 0; run < runs; run += 1) {
      // Neither always comes first.
      for (const each of run % 2 === 0 ? (['automatic', 'tuned'] as const) : (['tuned', 'automatic'] as const)) {
        seconds[each].push(await pour(comparison[each], family, mebibytes));
      }
    }
    figures.push({ pathBytes, isMute, family, mebibytes, ...seconds });
  }
  return figures;
}

async function pour({ containers, address6 }: Pair, family: 'ipv4' | 'ipv6', mebibytes: number): Promise<number> {
  const [from, to] = containers;
  if (from === undefined || to === undefined) throw new Error('a stream needs two ends');
  const address = family === 'ipv4' ? to.address : (address6 ?? '');
  return (await transfer(from, to, address, mebibytes)).seconds;
}

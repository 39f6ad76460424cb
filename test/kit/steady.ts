/** Numbered requests and answers at a steady pace between two containers, both ways at once, while something happens. */

import { createStation } from './node.ts';
import { countLoss, startEcho } from './traffic.ts';

interface Container {
  /** Of its network namespace. */
  readonly name: string;
  readonly address: string;
}

export interface Loss {
  readonly sent: number;
  readonly lost: number;
  readonly duplicates: number;
}

/** @returns both directions together, each packet of which went one way and its answer the other */
export async function lossBetween(one: Container, other: Container, happen: () => Promise<void>): Promise<Loss> {
  const stations = [one, other].map(({ name }) => createStation(name, ['nsenter', `--net=/run/netns/${name}`], {}));
  const echoes = await Promise.all(stations.map((station) => startEcho(station)));
  const [from, to] = stations;
  if (from === undefined || to === undefined) throw new Error('no stations');
  try {
    const happened = happen();
    const asked = await Promise.all([
      countLoss({ from, address: other.address, intervalUs: 2_000 }, () => happened),
      countLoss({ from: to, address: one.address, intervalUs: 2_000 }, () => happened),
    ]);
    const sum = (field: keyof Loss) => asked.reduce((total, each) => total + each[field], 0);
    return { sent: sum('sent'), lost: sum('lost'), duplicates: sum('duplicates') };
  } finally {
    for (const echo of echoes) await echo.stop();
  }
}

/**
 * Where the bench measures: a lab (test/kit/lab.ts) that closes behind it, and in it pairs of nodes that one cable
 * joins directly, without the lab's router, so that between the two ends there is nothing but what is measured.
 */

import { run } from '../test/kit/command.ts';
import { createLab, type Lab, type Surroundings } from '../test/kit/lab.ts';
import { createNetns, ipBatch } from '../test/kit/netns.ts';
import { createNode, type LabNode } from '../test/kit/node.ts';

export interface Workshop {
  readonly lab: Lab;
  /** Marks processes as the lab's. */
  readonly env: Readonly<Record<string, string>>;
  /** A namespace of its own. @returns its name */
  namespace(id: string): Promise<string>;
  /** Two nodes, 192.0.2.1 and 192.0.2.2, each the other end of the other's eth0. */
  nodePair(id: string): Promise<readonly [LabNode, LabNode]>;
  close(): Promise<void>;
}

/** Specification (RFC 5737): addresses that mean nobody. Each pair has them for itself. */
const addresses = ['192.0.2.1', '192.0.2.2'] as const;

export async function openWorkshop(): Promise<Workshop> {
  const lab = await createLab();
  const stops: (() => Promise<void>)[] = [];
  const env = { WEFT_LAB: lab.name };
  const surroundings: Surroundings = { ...lab, env, onClose: (_, stop) => void stops.push(stop) };
  const namespace = async (id: string) => {
    const name = `${lab.name}-${id}`;
    await createNetns(name);
    return name;
  };
  return {
    lab,
    env,
    namespace,
    async nodePair(id) {
      const names = [await namespace(`${id}1`), await namespace(`${id}2`)] as const;
      const [one, other] = names;
      await run(['ip', 'link', 'add', 'eth0', 'netns', one, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', other]);
      await ipBatch(one, [`address add ${addresses[0]}/24 dev eth0`, 'link set eth0 up']);
      await ipBatch(other, [`address add ${addresses[1]}/24 dev eth0`, 'link set eth0 up']);
      const node = (i: 0 | 1) => {
        const place = { lan: 0, host: i + 1, port: '', address: addresses[i], address6: '' };
        return createNode({ id: `${id}${i + 1}`, netns: names[i], place, deviceMtuBytes: 1500 }, surroundings);
      };
      return [node(0), node(1)];
    },
    async close() {
      await Promise.allSettled(stops.map((stop) => stop()));
      await lab.close();
    },
  };
}

/**
 * A lab of real nodes on one machine: LANs joined by a router, each node a network namespace in which Docker engines,
 * weft daemons and traffic run as on a machine of their own, and Consul servers behind the same router.
 *
 *   root namespace: nothing      wft-PID-N-r: the router      wft-PID-N-n1, -n2 …: nodes      …-c1 …: Consul servers
 *
 * Everything a lab makes carries its name, and every process it starts has WEFT_LAB=<name> in its environment. close()
 * stops what runs, then removes whatever of that is left; the same happens when the process is interrupted or dies of
 * an error, and the next lab removes what a killed one could not.
 */

import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ConsulCluster, type ConsulOptions, startConsul } from './consul.ts';
import { findLeftovers, findOrphans, findProcesses, removeLeftovers } from './leftovers.ts';
import { createNetns } from './netns.ts';
import { createNode, type LabNode } from './node.ts';
import { createRouter, type Router } from './router.ts';

export interface NodeOptions {
  /** Which LAN, 1 to 199; default: one of its own. */
  readonly lan?: number;
  /** MTU of the node's device and of its cable. Default 1500. */
  readonly mtuBytes?: number;
}

export interface Lab {
  readonly name: string;
  /** Temporary directory of this lab; goes with it. */
  readonly directory: string;
  readonly router: Router;
  readonly nodes: readonly LabNode[];
  /** URL of an embedded store that all daemons of this lab can share. */
  readonly embeddedStore: string;
  node(options?: NodeOptions): Promise<LabNode>;
  consul(options?: ConsulOptions): Promise<ConsulCluster>;
  /** Ends and removes everything. Idempotent. @throws when something could not be removed */
  close(): Promise<void>;
}

/** What the parts of a lab know of it. */
export interface Surroundings {
  readonly name: string;
  readonly directory: string;
  readonly router: Router;
  /** Marks a process as the lab's. */
  readonly env: Readonly<Record<string, string>>;
  /** Run by close(). */
  onClose(phase: Phase, stop: () => Promise<void>): void;
}

/** In this order: an engine that stops makes its daemon release its endpoints, which the daemon writes to the store. */
const phases = ['engine', 'daemon', 'store'] as const;
export type Phase = (typeof phases)[number];

interface Stop {
  readonly phase: Phase;
  readonly stop: () => Promise<void>;
}

const firstConsulLan = 200;
/** In the environment of whatever a lab starts, with the lab's name. */
const mark = 'WEFT_LAB';
const open = new Set<Lab>();
let made = 0;

export async function createLab(): Promise<Lab> {
  removeLeftovers(findOrphans(mark));
  installExitHooks();
  made += 1;
  const name = `wft-${process.pid}-${made}`;
  const directory = join(tmpdir(), name);
  mkdirSync(join(directory, 'bpf'), { recursive: true });
  execFileSync('mount', ['-t', 'bpf', 'bpf', join(directory, 'bpf')]);
  const stops: Stop[] = [];
  const router = await createRouter(`${name}-r`).catch((error: unknown) => {
    removeAll(name);
    throw error;
  });
  const surroundings = {
    name,
    directory,
    router,
    env: { [mark]: name },
    onClose: (phase: Phase, stop: Stop['stop']) => void stops.push({ phase, stop }),
  };
  const lab = assemble(surroundings, stops);
  open.add(lab);
  return lab;
}

function assemble(surroundings: Surroundings, stops: Stop[]): Lab {
  const { name, directory, router } = surroundings;
  const nodes: LabNode[] = [];
  let consulServers = 0;
  let closing: Promise<void> | undefined;
  const lab: Lab = {
    name,
    directory,
    router,
    nodes,
    embeddedStore: `lmdb://${join(directory, 'store')}`,
    async node(options = {}) {
      const id = `n${nodes.length + 1}`;
      const netns = `${name}-${id}`;
      await createNetns(netns);
      const place = await router.plug(netns, options.lan ?? nodes.length + 1, options.mtuBytes ?? 1500);
      const node = createNode({ id, netns, place, deviceMtuBytes: options.mtuBytes ?? 1500 }, surroundings);
      nodes.push(node);
      return node;
    },
    async consul(options = {}) {
      const first = consulServers + 1;
      consulServers += options.servers ?? 1;
      return startConsul(surroundings, { first, firstLan: firstConsulLan + first - 1 }, options);
    },
    close() {
      closing ??= closeLab(name, stops).finally(() => open.delete(lab));
      return closing;
    },
  };
  return lab;
}

async function closeLab(name: string, stops: readonly Stop[]): Promise<void> {
  const failures: string[] = [];
  for (const phase of phases) {
    const ended = await Promise.allSettled(stops.filter((each) => each.phase === phase).map(({ stop }) => stop()));
    failures.push(...ended.flatMap((each) => (each.status === 'rejected' ? [String(each.reason)] : [])));
  }
  failures.push(...removeAll(name));
  if (failures.length > 0) throw new Error(`lab ${name} did not close cleanly: ${failures.join('; ')}`);
}

/** Whatever carries the lab's name or mark. @returns what could not be removed */
function removeAll(name: string): readonly string[] {
  const belongs = (found: string) => found === name || found.startsWith(`${name}-`);
  return removeLeftovers([...findProcesses(mark, name), ...findLeftovers(belongs)]);
}

/** Once per process: an interrupt closes the labs in order; an exit without close still removes them. */
function installExitHooks(): void {
  if (made > 0) return;
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => {
      const code = signal === 'SIGINT' ? 130 : 143;
      void Promise.allSettled([...open].map((lab) => lab.close())).then(() => process.exit(code));
    });
  }
  process.on('exit', () => {
    for (const lab of open) removeAll(lab.name);
  });
}

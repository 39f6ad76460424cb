/**
 * A cluster as a user has it: nodes on LANs of their own, on each a real Docker engine with a weft daemon as its
 * plugin, all on one store. Everything is done through the docker and weft commands, nothing behind their back.
 */

import { type StoreView, viewConsul, viewLmdb } from './cluster-store.ts';
import type { ConsulCluster } from './consul.ts';
import type { Daemon, DaemonOptions } from './daemon.ts';
import { createDocker, type Docker, split } from './docker.ts';
import type { Engine, EngineVersion } from './engine.ts';
import { createLab, type Lab } from './lab.ts';
import type { LabNode } from './node.ts';

export type StoreKind = 'lmdb' | 'consul';

export interface ClusterOptions {
  readonly store: StoreKind;
  /** One node for each, in this order. */
  readonly engines: readonly EngineVersion[];
  readonly dataPath?: NonNullable<DaemonOptions['dataPath']>;
  /** More arguments of every daemon. */
  readonly daemonArgs?: readonly string[];
}

export interface ClusterNode extends Docker {
  readonly host: LabNode;
  readonly engine: Engine;
  readonly daemon: Daemon;
  readonly bpfDir: string;
  /** `weft status --json` and its like. */
  report<Report>(command: string): Promise<Report>;
}

export interface Cluster {
  readonly lab: Lab;
  readonly kind: StoreKind;
  readonly nodes: readonly ClusterNode[];
  readonly store: StoreView;
  /** Null on LMDB. */
  readonly consul: ConsulCluster | null;
  /** @throws when there are fewer */
  node(index: number): ClusterNode;
  /** One more node, with engine, daemon and test image. */
  join(version: EngineVersion): Promise<ClusterNode>;
  /** Runs the same docker command on all nodes at once. */
  everywhere(words: string, ...rest: readonly string[]): Promise<readonly string[]>;
  /** Removes all containers and then all networks of the driver, on all nodes, as a user would. */
  sweep(): Promise<void>;
  close(): Promise<void>;
}

/** @throws when a part of it does not start; what had started is gone then */
export async function createCluster(options: ClusterOptions): Promise<Cluster> {
  const lab = await createLab();
  try {
    return await assemble(lab, options);
  } catch (error) {
    await lab.close();
    throw error;
  }
}

async function assemble(lab: Lab, options: ClusterOptions): Promise<Cluster> {
  const consul = options.store === 'consul' ? await lab.consul() : null;
  const url = consul?.url ?? lab.embeddedStore;
  const nodes: ClusterNode[] = [];
  const start = async (host: LabNode, version: EngineVersion): Promise<ClusterNode> => {
    const engine = await host.engine({ version });
    const [daemon] = await Promise.all([
      host.daemon({ store: url, dataPath: options.dataPath ?? 'auto', engine, args: options.daemonArgs ?? [] }),
      engine.loadImage(),
    ]);
    return createClusterNode(host, engine, daemon);
  };
  // Places on the router are taken one after another, the rest goes on at once.
  const hosts: (readonly [LabNode, EngineVersion])[] = [];
  for (const version of options.engines) hosts.push([await lab.node(), version]);
  nodes.push(...(await Promise.all(hosts.map(([host, version]) => start(host, version)))));
  return {
    lab,
    kind: options.store,
    nodes,
    store: consul === null ? viewLmdb(url) : viewConsul(consul),
    consul,
    node(index) {
      const node = nodes[index];
      if (node === undefined) throw new Error(`the cluster has no node ${index}`);
      return node;
    },
    async join(version) {
      const node = await start(await lab.node(), version);
      nodes.push(node);
      return node;
    },
    everywhere: (words, ...rest) => Promise.all(nodes.map((node) => node.docker(words, ...rest))),
    sweep: async () => void (await Promise.all(nodes.map(sweep))),
    close: () => lab.close(),
  };
}

async function sweep({ docker }: ClusterNode): Promise<void> {
  const containers = split(await docker('ps --all --quiet'));
  if (containers.length > 0) await docker('rm --force', ...containers);
  const networks = split(await docker('network ls --quiet --filter driver=weft'));
  if (networks.length > 0) await docker('network rm', ...networks);
}

function createClusterNode(host: LabNode, engine: Engine, daemon: Daemon): ClusterNode {
  return {
    ...createDocker(host.name, engine),
    host,
    engine,
    daemon,
    bpfDir: daemon.bpfDir,
    report: async (command) => JSON.parse(await daemon.cli([...split(command), '--json'])),
  };
}

/**
 * A cluster as a user has it: nodes on LANs of their own, on each a real Docker engine with a weft daemon as its
 * plugin, all on one store. Everything is done through the docker and weft commands, nothing behind their back.
 */

import { type StoreView, viewConsul, viewLmdb } from './cluster-store.ts';
import type { ConsulCluster } from './consul.ts';
import type { Daemon, DaemonOptions } from './daemon.ts';
import { DockerError, type Engine, type EngineVersion, testImage } from './engine.ts';
import { createLab, type Lab } from './lab.ts';
import type { LabNode, Station } from './node.ts';

export type StoreKind = 'lmdb' | 'consul';

export interface ClusterOptions {
  readonly store: StoreKind;
  /** One node for each, in this order. */
  readonly engines: readonly EngineVersion[];
  readonly dataPath?: NonNullable<DaemonOptions['dataPath']>;
  /** More arguments of every daemon. */
  readonly daemonArgs?: readonly string[];
}

export interface Container extends Station {
  readonly node: ClusterNode;
  readonly id: string;
  /** Its addresses in one network; `address6` is empty without IPv6. */
  readonly address: string;
  readonly address6: string;
  readonly mac: string;
}

export interface RunOptions {
  readonly network: string;
  /** More words of docker run, before the image. */
  readonly args?: readonly string[];
  /** What runs in it; default: it sleeps. */
  readonly command?: readonly string[];
}

export interface ClusterNode {
  readonly name: string;
  readonly host: LabNode;
  readonly engine: Engine;
  readonly daemon: Daemon;
  /** Runs docker with words separated by spaces, then with the rest as they are. @throws DockerError */
  docker(words: string, ...rest: readonly string[]): Promise<string>;
  /** The same for a command that must fail. @returns what it said; @throws when it succeeds */
  refused(words: string, ...rest: readonly string[]): Promise<string>;
  /** docker run --detach. */
  run(name: string, options: RunOptions): Promise<Container>;
  /** A running container as it is now, seen from one of its networks. */
  container(name: string, network: string): Promise<Container>;
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
  const container = async (name: string, network: string): Promise<Container> => {
    const { Id, NetworkSettings } = parseInspect(await engine.docker(['inspect', '--type', 'container', name]));
    const place = NetworkSettings.Networks[network];
    if (place === undefined) throw new Error(`container ${name} is not in network ${network}`);
    const { IPAddress, GlobalIPv6Address, MacAddress } = place;
    const station = await engine.container(name);
    return { ...station, node, id: Id, address: IPAddress, address6: GlobalIPv6Address, mac: MacAddress };
  };
  const node: ClusterNode = {
    name: host.name,
    host,
    engine,
    daemon,
    docker: (words, ...rest) => engine.docker([...split(words), ...rest]),
    async refused(words, ...rest) {
      try {
        await engine.docker([...split(words), ...rest]);
      } catch (error) {
        if (error instanceof DockerError) return error.message;
        throw error;
      }
      throw new Error(`docker ${[...split(words), ...rest].join(' ')} on ${host.name} should have been refused`);
    },
    async run(name, { network, args = [], command = [] }) {
      await engine.docker(['run', '--detach', '--name', name, '--network', network, ...args, testImage, ...command]);
      return container(name, network);
    },
    container,
    report: async (command) => JSON.parse(await daemon.cli([...split(command), '--json'])),
  };
  return node;
}

/** The part of docker inspect that is of use here. */
interface Inspected {
  readonly Id: string;
  readonly NetworkSettings: {
    readonly Networks: Readonly<
      Record<string, { readonly IPAddress: string; readonly GlobalIPv6Address: string; readonly MacAddress: string }>
    >;
  };
}

function parseInspect(text: string): Inspected {
  const [only] = JSON.parse(text) as readonly Inspected[];
  if (only === undefined) throw new Error('docker inspect found nothing');
  return only;
}

function split(words: string): readonly string[] {
  return words.split(/\s+/).filter((word) => word !== '');
}

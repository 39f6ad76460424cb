/**
 * A swarm as a user has it: engines on LANs of their own, Weft installed on each as a managed plugin, all on a Consul
 * cluster of three servers. Everything is done through docker commands.
 */

import { type StoreView, viewConsul } from './cluster-store.ts';
import { eventually, pause } from './command.ts';
import type { ConsulCluster } from './consul.ts';
import { split } from './docker.ts';
import type { EngineVersion } from './engine.ts';
import { createLab, type Lab } from './lab.ts';
import type { LabNode, Station } from './node.ts';
import { type PluginHost, pluginHost } from './plugin-host.ts';
import { trustingRegistries } from './registry.ts';

export type SwarmNode = PluginHost;

/** A running task of a service. */
export interface Task extends Station {
  readonly node: SwarmNode;
  readonly container: string;
  readonly address: string;
  readonly address6: string;
}

export interface Swarm {
  readonly lab: Lab;
  readonly consul: ConsulCluster;
  readonly store: StoreView;
  readonly nodes: readonly SwarmNode[];
  /** @throws when there are fewer */
  node(index: number): SwarmNode;
  /** One more node, as a manager or a worker. */
  join(role: 'manager' | 'worker'): Promise<SwarmNode>;
  /** Forgets a node that is gone for good. */
  drop(node: SwarmNode): void;
  /** Tasks of a service that run now, on the nodes whose engine answers. */
  tasks(service: string, network: string): Promise<readonly Task[]>;
  /** Waits until a service has so many running tasks and no other. @returns them */
  settled(service: string, network: string, count: number): Promise<readonly Task[]>;
  close(): Promise<void>;
}

export interface SwarmOptions {
  readonly version: EngineVersion;
  readonly nodes: number;
  /** Settings of the plugin on each node, beside its store. */
  readonly settings: readonly string[];
}

/** Implementation: 20 containers on three engines of a machine with two cores, and a manager that is changed meanwhile. */
const settleLimitMs = 180_000;

/** All nodes are managers, so that any may lead. @throws when a part of it does not start; what had started is gone then */
export async function createSwarm(options: SwarmOptions): Promise<Swarm> {
  const lab = await createLab();
  try {
    return await assemble(lab, options);
  } catch (error) {
    await lab.close();
    throw error;
  }
}

async function assemble(lab: Lab, options: SwarmOptions): Promise<Swarm> {
  const consul = await lab.consul({ servers: 3 });
  const nodes: SwarmNode[] = [];
  const prepare = async (host: LabNode, number: number): Promise<SwarmNode> => {
    const url = consul.servers[number % consul.servers.length]?.url ?? consul.url;
    return startNode(host, options.version, [`WEFT_STORE=${url}`, ...options.settings]);
  };
  const enter = async (node: SwarmNode, role: 'manager' | 'worker'): Promise<SwarmNode> => {
    const [manager] = nodes;
    const { address } = node.host;
    if (manager === undefined) await node.docker(`swarm init --advertise-addr ${address}`);
    else {
      const token = await manager.docker(`swarm join-token --quiet ${role}`);
      await node.docker(`swarm join --token ${token} --advertise-addr ${address} ${manager.host.address}:2377`);
    }
    nodes.push(node);
    return node;
  };
  const join = async (role: 'manager' | 'worker') => enter(await prepare(await lab.node(), nodes.length), role);
  // Places on the router are taken one after another, the rest goes on at once.
  const hosts: LabNode[] = [];
  for (let count = 0; count < options.nodes; count += 1) hosts.push(await lab.node());
  for (const node of await Promise.all(hosts.map(prepare))) await enter(node, 'manager');

  const tasks = async (service: string, network: string): Promise<readonly Task[]> =>
    (await Promise.all(nodes.map((node) => tasksOn(node, service, network)))).flat();
  return {
    lab,
    consul,
    store: viewConsul(consul),
    nodes,
    node(index) {
      const node = nodes[index];
      if (node === undefined) throw new Error(`the swarm has no node ${index}`);
      return node;
    },
    join,
    drop: (node) => void nodes.splice(nodes.indexOf(node), 1),
    tasks,
    async settled(service, network, count) {
      let found: readonly Task[] = [];
      const isSettled = async () => {
        found = await tasks(service, network);
        return found.length === count && (await isQuiet(nodes, service));
      };
      await eventually(`${service} runs ${count} tasks`, isSettled, { limitMs: settleLimitMs, everyMs: 500 }).catch(
        async (error: unknown) => {
          throw new Error(`${String(error)}; it has ${found.length}: ${await complaints(nodes, service)}`);
        },
      );
      return found;
    },
    close: () => lab.close(),
  };
}

async function startNode(host: LabNode, version: EngineVersion, settings: readonly string[]): Promise<SwarmNode> {
  const node = await pluginHost(host, version, settings, trustingRegistries);
  await node.engine.loadImage();
  return node;
}

/** The ids of containers of a service are on each engine; swarm's own list comes later than the truth. */
async function tasksOn(node: SwarmNode, service: string, network: string): Promise<readonly Task[]> {
  if (!node.engine.isRunning()) return [];
  const filter = `--filter label=com.docker.swarm.service.name=${service}`;
  const ids = split(await node.docker(`ps --quiet --no-trunc ${filter}`));
  const found = await Promise.all(
    ids.map(async (id): Promise<readonly Task[]> => {
      // One that ends meanwhile is none.
      const seen = await node.container(id, network).catch(() => null);
      return seen === null ? [] : [{ ...seen, node, container: id }];
    }),
  );
  return found.flat();
}

/** Whether all that swarm wants of the service runs, by the word of a manager that answers. */
async function isQuiet(nodes: readonly SwarmNode[], service: string): Promise<boolean> {
  const states = split(
    (await ask(nodes, `service ps --filter desired-state=running --format {{.CurrentState}} ${service}`)).replaceAll(
      /^(\w+) .*$/gm,
      '$1',
    ),
  );
  return states.length > 0 && states.every((state) => state === 'Running');
}

async function complaints(nodes: readonly SwarmNode[], service: string): Promise<string> {
  const format = '{{.Name}} {{.Node}} {{.DesiredState}} {{.CurrentState}} {{.Error}}';
  return (await ask(nodes, `service ps --no-trunc ${service} --format`, format)).split('\n').slice(0, 12).join(' | ');
}

async function ask(nodes: readonly SwarmNode[], words: string, ...rest: readonly string[]): Promise<string> {
  for (const node of nodes) {
    const outcome = node.engine.isRunning() ? await node.engine.tryDocker([...split(words), ...rest]) : null;
    if (outcome?.code === 0) return outcome.stdout.trim();
  }
  await pause(200);
  return '';
}

/**
 * Consul servers behind the lab's router, each a namespace on a LAN of its own, so that one can be cut off, paused or
 * stopped alone. They keep their data on disk and elect quickly (raft_multiplier 1). A consul on PATH is preferred.
 */

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { attempt, type CommandOptions, eventually, type Running, run } from './command.ts';
import type { Surroundings } from './lab.ts';
import { createNetns, insideNetns } from './netns.ts';
import { createStation, type Station } from './node.ts';
import { labFile } from './paths.ts';
import type { Place } from './router.ts';

export interface ConsulOptions {
  readonly servers?: 1 | 3;
  /** Deny by default; the bootstrap token is in `token`. */
  readonly acl?: boolean;
}

export interface ConsulServer extends Station {
  readonly address: string;
  /** consul://ADDRESS:8500, for --store. */
  readonly url: string;
  isRunning(): boolean;
  /** SIGTERM: leaves nothing undone but does not leave the cluster. */
  stop(): Promise<void>;
  kill(): Promise<void>;
  /** Starts it again with its data. @returns when it answers */
  start(): Promise<void>;
  /** SIGSTOP: connections stay open and nothing answers. */
  pause(): void;
  resume(): void;
  /** Takes the cable out, and puts it back. */
  cut(): Promise<void>;
  heal(): Promise<void>;
}

export interface ConsulCluster {
  readonly servers: readonly ConsulServer[];
  /** The first server's. */
  readonly url: string;
  /** With ACLs: the bootstrap token. */
  readonly token: string | undefined;
  /** Runs the consul command against the first server, with the token. @returns its trimmed output */
  command(argv: readonly string[], options?: CommandOptions): Promise<string>;
  /** Waits until a write succeeds. */
  ready(): Promise<void>;
  /** All servers at once. */
  stop(): Promise<void>;
  start(): Promise<void>;
  pause(): void;
  resume(): void;
}

interface Seat {
  readonly name: string;
  readonly netns: string;
  readonly place: Place;
  readonly directory: string;
  readonly program: string;
}

export async function startConsul(
  lab: Surroundings,
  numbers: { readonly first: number; readonly firstLan: number },
  options: ConsulOptions,
): Promise<ConsulCluster> {
  const count = options.servers ?? 1;
  const program = await consulProgram();
  const seats: Seat[] = [];
  for (let i = 0; i < count; i += 1) {
    const name = `c${numbers.first + i}`;
    const netns = `${lab.name}-${name}`;
    const directory = join(lab.directory, name);
    mkdirSync(join(directory, 'data'), { recursive: true });
    await createNetns(netns);
    const place = await lab.router.plug(netns, numbers.firstLan + i, 1500);
    seats.push({ name, netns, place, directory, program });
  }
  const servers = await Promise.all(seats.map((seat) => startServer(seat, configurationOf(seat, seats, options), lab)));
  const [first] = servers;
  if (first === undefined) throw new Error('a Consul cluster needs a server');
  return formCluster(first, servers, program, options);
}

async function formCluster(
  first: ConsulServer,
  servers: readonly ConsulServer[],
  program: string,
  options: ConsulOptions,
): Promise<ConsulCluster> {
  const token = options.acl === true ? await bootstrap(first, program) : undefined;
  const env: Record<string, string> = token === undefined ? {} : { CONSUL_HTTP_TOKEN: token };
  const command = (argv: readonly string[], more: CommandOptions = {}) =>
    first.run([program, ...argv], { ...more, env: { ...env, ...more.env } });
  const isReady = async () => (await first.exec([program, 'kv', 'put', 'weft-lab/ready', 'yes'], { env })).code === 0;
  const ready = () => eventually('Consul accepts a write', isReady, { limitMs: 30_000, everyMs: 100 });
  await ready();
  return {
    servers,
    url: first.url,
    token,
    command,
    ready,
    stop: async () => void (await Promise.all(servers.map((server) => server.stop()))),
    async start() {
      await Promise.all(servers.map((server) => server.start()));
      await ready();
    },
    pause: () => servers.forEach((server) => void server.pause()),
    resume: () => servers.forEach((server) => void server.resume()),
  };
}

async function startServer(seat: Seat, configuration: object, lab: Surroundings): Promise<ConsulServer> {
  const { name, netns, place, directory, program } = seat;
  writeFileSync(join(directory, 'consul.json'), JSON.stringify(configuration));
  const station = createStation(name, insideNetns(netns), lab.env);
  const launch = async () => {
    const agent = await station.spawn([program, 'agent', '-config-file', join(directory, 'consul.json')]);
    await eventually('the Consul agent answers', async () => {
      if (!agent.isRunning())
        throw new Error(`Consul ended: ${agent.stdout().trim().split('\n').slice(-3).join(' | ')}`);
      const { code, stderr } = await station.exec([program, 'kv', 'get', 'weft-lab/any']);
      return code === 0 || !stderr.includes('connection refused');
    });
    return agent;
  };
  let agent: Running = await launch();
  lab.onClose('store', async () => {
    // A paused one would not hear anything else.
    agent.signal('SIGCONT');
    await agent.stop();
  });
  return {
    ...station,
    address: place.address,
    url: `consul://${place.address}:8500`,
    isRunning: () => agent.isRunning(),
    stop: async () => void (await agent.stop()),
    kill: async () => void (await agent.stop('SIGKILL')),
    async start() {
      agent = await launch();
    },
    pause: () => agent.signal('SIGSTOP'),
    resume: () => agent.signal('SIGCONT'),
    cut: () => lab.router.setPortUp(place, false),
    heal: () => lab.router.setPortUp(place, true),
  };
}

function configurationOf(seat: Seat, seats: readonly Seat[], options: ConsulOptions): object {
  return {
    server: true,
    node_name: seat.name,
    datacenter: 'lab',
    data_dir: join(seat.directory, 'data'),
    bind_addr: seat.place.address,
    client_addr: '0.0.0.0',
    bootstrap_expect: seats.length,
    retry_join: seats.filter((other) => other !== seat).map((other) => other.place.address),
    retry_interval: '1s',
    performance: { raft_multiplier: 1 },
    // Every watch of every simulated node may come from one address.
    limits: { http_max_conns_per_client: 8_000 },
    ports: { dns: -1 },
    disable_update_check: true,
    leave_on_terminate: false,
    log_level: 'warn',
    ...(options.acl === true ? { acl: { enabled: true, default_policy: 'deny' } } : {}),
  };
}

/** The same way in every release since 1.4; needs a leader, so it is asked until there is one. */
async function bootstrap(server: ConsulServer, program: string): Promise<string> {
  let token = '';
  await eventually(
    'Consul gives its bootstrap token',
    async () => {
      const { code, stdout } = await server.exec([program, 'acl', 'bootstrap']);
      token = /SecretID:\s*(\S+)/.exec(stdout)?.[1] ?? '';
      return code === 0 && token !== '';
    },
    { limitMs: 30_000, everyMs: 100 },
  );
  return token;
}

async function consulProgram(): Promise<string> {
  const { code, stdout } = await attempt(['sh', '-c', 'command -v consul']);
  if (code === 0) return stdout.trim();
  const unpacked = labFile('consul', 'usr', 'bin', 'consul');
  await run([unpacked, 'version']);
  return unpacked;
}

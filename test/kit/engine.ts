/**
 * A real Docker engine inside a node, with its own containerd and a private view of the machine (engine-namespace.sh).
 * Two ages of engine are unpacked under .lab/, so both can run at once whatever the machine has installed.
 *
 *   stop    SIGTERM and wait, as `systemctl stop docker`
 *   kill    SIGKILL of dockerd; its containerd dies with it, containers and their shims go on, as after a real crash
 *   start   again, with the same data, in the same surroundings
 *
 * The version 1 plugin directory of an engine is visible from outside: `pluginDir`.
 */

import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { attempt, type CommandOptions, eventually, type Outcome, type Running, start } from './command.ts';
import type { Surroundings } from './lab.ts';
import { endCgroup, endProcess, findInMountNamespace, findLeftovers, removeLeftovers } from './leftovers.ts';
import { createStation, type LabNode, type Station } from './node.ts';
import { labFile } from './paths.ts';

export type EngineVersion = '20.10' | '28';

export interface EngineOptions {
  readonly version?: EngineVersion;
  /** More arguments of dockerd, for example --live-restore. */
  readonly args?: readonly string[];
}

export interface Engine {
  /** As the engine itself says, for example 20.10.24+dfsg1. */
  readonly version: string;
  /** For DOCKER_HOST. */
  readonly url: string;
  /** This engine's /run/docker/plugins, as a path that is valid everywhere. */
  readonly pluginDir: string;
  /** What is /sys/fs/bpf for a managed plugin of this engine. */
  readonly bpfDir: string;
  readonly storageDriver: 'overlay2' | 'vfs';
  /** Environment for programs that talk to this engine through the docker command or DOCKER_HOST. */
  readonly env: Readonly<Record<string, string>>;
  /** Runs the docker command of the engine's own version. @returns its trimmed output; @throws DockerError */
  docker(argv: readonly string[], options?: CommandOptions): Promise<string>;
  tryDocker(argv: readonly string[], options?: CommandOptions): Promise<Outcome>;
  /** Imports the test image. @returns its name */
  loadImage(): Promise<string>;
  /** The network namespace of a running container, for commands of this machine. */
  container(name: string): Promise<Station>;
  /** dockerd's log so far, all starts. */
  log(): string;
  isRunning(): boolean;
  stop(): Promise<void>;
  kill(): Promise<void>;
  start(): Promise<void>;
}

export class DockerError extends Error {
  readonly argv: readonly string[];
  readonly outcome: Outcome;

  constructor(argv: readonly string[], outcome: Outcome) {
    super(`docker ${argv.join(' ')}: ${outcome.stderr.trim() || `exit code ${outcome.code}`}`);
    this.name = 'DockerError';
    this.argv = argv;
    this.outcome = outcome;
  }
}

export const testImage = 'weft/lab:1';

/**
 * Containers of the image sleep until they are asked to end. A plain sleep as process 1 would not hear SIGTERM, and
 * each stop would take Docker's 10 s of grace; an import cannot set another stop signal.
 */
const sleeping = ['sh', '-c', "trap 'exit 0' TERM; sleep infinity & wait"];
const imageSettings = ['--change', `CMD ${JSON.stringify(sleeping)}`];

interface Workshop {
  readonly directory: string;
  readonly socket: string;
  readonly bpfDir: string;
  readonly cgroup: string;
  readonly env: Readonly<Record<string, string>>;
}

export async function startEngine(node: LabNode, lab: Surroundings, options: EngineOptions = {}): Promise<Engine> {
  const workshop = layOut(node, lab, options.version ?? '20.10');
  const keeper = await node.spawn([
    ...['unshare', '--mount', '--uts', 'sh', `${import.meta.dirname}/engine-namespace.sh`],
    ...[workshop.directory, workshop.bpfDir, node.name],
  ]);
  let running: Running | undefined;
  lab.onClose('engine', () => clear(keeper, workshop, running));
  await keeper.waitFor('storage driver: ');
  const storageDriver = keeper.stdout().includes('overlay2') ? 'overlay2' : 'vfs';
  const launch = async () => {
    running = await launchDockerd(keeper, workshop, ['--storage-driver', storageDriver, ...(options.args ?? [])]);
    return running;
  };
  let dockerd = await launch();

  const tryDocker = (argv: readonly string[], more: CommandOptions = {}) =>
    attempt(['docker', ...argv], { ...more, env: { ...workshop.env, ...more.env } });
  const docker = async (argv: readonly string[], more?: CommandOptions) => {
    const outcome = await tryDocker(argv, more);
    if (outcome.code !== 0) throw new DockerError(argv, outcome);
    return outcome.stdout.trim();
  };
  return {
    version: await docker(['version', '--format', '{{.Server.Version}}']),
    url: `unix://${workshop.socket}`,
    pluginDir: join(workshop.directory, 'run', 'plugins'),
    bpfDir: workshop.bpfDir,
    storageDriver,
    env: workshop.env,
    docker,
    tryDocker,
    async loadImage() {
      await docker(['import', ...imageSettings, labFile('image.tar'), testImage]);
      return testImage;
    },
    async container(name) {
      const pid = await docker(['inspect', '--format', '{{.State.Pid}}', name]);
      if (pid === '0') throw new Error(`container ${name} is not running`);
      return createStation(name, ['nsenter', `--net=/proc/${pid}/ns/net`, '--'], lab.env);
    },
    log: () => readFileSync(join(workshop.directory, 'log'), 'utf8'),
    isRunning: () => dockerd.isRunning(),
    async stop() {
      const { code } = await dockerd.stop('SIGTERM', 30_000);
      if (code > 128) throw new Error(`the engine of ${node.name} did not stop within 30 s`);
    },
    async kill() {
      await dockerd.stop('SIGKILL');
      endContainerd(workshop);
    },
    async start() {
      if (dockerd.isRunning()) throw new Error(`the engine of ${node.name} is running already`);
      dockerd = await launch();
    },
  };
}

function layOut(node: LabNode, lab: Surroundings, version: EngineVersion): Workshop {
  const directory = join(lab.directory, node.name, 'engine');
  const bpfDir = join(lab.directory, 'bpf', node.name);
  for (const part of ['run/plugins', 'data', 'cli']) mkdirSync(join(directory, part), { recursive: true });
  mkdirSync(bpfDir, { recursive: true });
  writeFileSync(join(directory, 'log'), '');
  const programs = [labFile(`engine-${version}`), labFile('runtime')];
  const path = programs.flatMap((root) => [join(root, 'usr/sbin'), join(root, 'usr/bin')]);
  const socket = join(directory, 'docker.sock');
  const env = {
    ...lab.env,
    PATH: [...path, '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'].join(':'),
    DOCKER_HOST: `unix://${socket}`,
    DOCKER_CONFIG: join(directory, 'cli'),
    // The user's own settings must not lead elsewhere.
    DOCKER_CONTEXT: '',
    DOCKER_TLS_VERIFY: '',
  };
  return { directory, socket, bpfDir, cgroup: node.netns, env };
}

async function launchDockerd(keeper: Running, workshop: Workshop, args: readonly string[]): Promise<Running> {
  const { directory, socket } = workshop;
  const dockerd = await start(
    [
      ...['nsenter', '--target', String(keeper.pid), '--mount', '--uts', '--net', '--'],
      // To a file, because a shim that outlives dockerd keeps its output open.
      ...['sh', '-c', 'exec dockerd "$@" >>"$0" 2>&1', join(directory, 'log')],
      ...['--host', `unix://${socket}`, '--data-root', join(directory, 'data')],
      ...['--pidfile', '/run/docker/docker.pid', '--exec-root', '/run/docker'],
      // Not systemd's: that would make units on the machine itself.
      ...['--exec-opt', 'native.cgroupdriver=cgroupfs', '--cgroup-parent', `/${workshop.cgroup}`],
      ...args,
    ],
    { env: workshop.env },
  );
  await eventually(
    `the engine answers (see ${directory}/log)`,
    async () => {
      if (!dockerd.isRunning()) throw new Error(`dockerd ended: ${lastLines(join(directory, 'log'))}`);
      return answers(socket);
    },
    // With a plugin that is down it makes two attempts of 15 s for each network that needs it.
    { limitMs: 120_000, everyMs: 30 },
  );
  return dockerd;
}

function answers(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const ping = request({ socketPath, path: '/_ping' }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    ping.on('error', () => resolve(false)).end();
  });
}

/**
 * Ends everything. Containers first, with no grace, so that the engine only has to clean up after them; then the engine;
 * then what a killed engine left behind, and the keeper.
 */
async function clear(keeper: Running, workshop: Workshop, dockerd: Running | undefined): Promise<void> {
  endCgroup(workshop.cgroup);
  await dockerd?.stop('SIGTERM', 30_000);
  const failed = removeLeftovers([
    ...findInMountNamespace(keeper.pid),
    ...findLeftovers((name) => name === workshop.cgroup).filter(({ kind }) => kind === 'cgroup'),
  ]);
  await keeper.stop('SIGKILL');
  if (failed.length > 0) throw new Error(failed.join('; '));
}

/**
 * The kernel kills containerd when its dockerd dies. Where process 1 is slow to reap it, the next dockerd would take the
 * dead one for running, because its pid still exists: so its pid file goes too.
 */
function endContainerd(workshop: Workshop): void {
  const pidFile = join(workshop.directory, 'run/containerd/containerd.pid');
  if (!existsSync(pidFile)) return;
  endProcess(Number(readFileSync(pidFile, 'utf8')));
  rmSync(pidFile);
}

function lastLines(file: string): string {
  return readFileSync(file, 'utf8').trim().split('\n').slice(-3).join(' | ');
}

/**
 * Weft as a managed plugin of a lab's engine, as an operator handles it: through docker plugin commands, and weft
 * commands on the control socket that the engine's host has at /run/docker/plugins/ID/control.sock.
 *
 * What the engine runs for a plugin, its process, its mounts and its data, lives in the engine's own surroundings and
 * ends with it.
 */

import { lstatSync, readdirSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { buildPlugin } from '../../scripts/plugin-rootfs.ts';
import { attempt, type CommandOptions, type Outcome, pause } from './command.ts';
import { type LogLine, parseLog } from './daemon.ts';
import { DockerError, type Engine } from './engine.ts';
import type { LabNode } from './node.ts';
import { repositoryRoot, weftProgram } from './paths.ts';

export interface ManagedPlugin {
  /** With its tag: what docker network create --driver takes. */
  readonly name: string;
  readonly id: string;
  /** Where the engine keeps what is the plugin's own, for as long as it is installed. */
  readonly dataDir: string;
  /** NAME=VALUE of its environment, or MOUNT.source=PATH; only while it is disabled. @throws DockerError */
  set(...settings: readonly string[]): Promise<void>;
  enable(): Promise<void>;
  tryEnable(): Promise<Outcome>;
  disable(options?: { readonly force?: boolean }): Promise<void>;
  isEnabled(): Promise<boolean>;
  /**
   * Disables it when it runs, whatever uses it, and puts another version in its place, disabled, with the sources of its mounts
   * as that has them; other settings stay.
   */
  upgrade(reference: string): Promise<void>;
  /** Removes it, with its state. */
  remove(): Promise<void>;
  /** Runs a weft command against it. @returns its trimmed output; @throws when it fails */
  cli(argv: readonly string[], options?: CommandOptions): Promise<string>;
  tryCli(argv: readonly string[], options?: CommandOptions): Promise<Outcome>;
  /** Runs a command inside of it, as one does who looks into a plugin. */
  exec(argv: readonly string[]): Promise<Outcome>;
  /** What it wrote, out of the engine's log. */
  log(): readonly LogLine[];
  /** Of its Node.js. @throws when it does not run */
  pid(): number;
}

export const pluginName = 'weft:latest';
/** Where the engine's host has the states of containers that are plugins. */
const runcStates = '/run/docker/runtime-runc/plugins.moby';
/** Failing takes the engine three attempts of 3 s, and a busy machine is slow to begin with. */
const enableLimitMs = 90_000;
const transferLimitMs = 180_000;

/** `npm run plugin` on an engine. */
export function makePlugin(engine: Engine, ...words: readonly string[]): Promise<Outcome> {
  const argv = ['npm', 'run', '--silent', 'plugin', '--', ...words];
  return attempt(argv, { env: engine.env, cwd: repositoryRoot, timeoutMs: transferLimitMs });
}

/** Creates it from this clone, without settings but for the engine's socket; it is disabled. */
export async function createPlugin(node: LabNode, engine: Engine, name = pluginName): Promise<ManagedPlugin> {
  await engine.docker(['plugin', 'create', name, buildPlugin().path], { timeoutMs: transferLimitMs });
  const plugin = await findPlugin(node, engine, name);
  await plugin.set(socketOf(engine));
  return plugin;
}

/** Installs it from a registry, enabled. */
export async function installPlugin(
  node: LabNode,
  engine: Engine,
  from: { readonly reference: string; readonly alias?: string; readonly settings: readonly string[] },
): Promise<ManagedPlugin> {
  const { reference, alias = pluginName, settings } = from;
  const words = ['plugin', 'install', '--alias', alias, '--grant-all-permissions', reference];
  await engine.docker([...words, socketOf(engine), ...settings], { timeoutMs: transferLimitMs });
  return findPlugin(node, engine, alias);
}

/** One that is there already. @throws DockerError when it is not */
export async function findPlugin(node: LabNode, engine: Engine, name = pluginName): Promise<ManagedPlugin> {
  const id = await engine.docker(['plugin', 'inspect', '--format', '{{.Id}}', name]);
  const controlSocket = shortPath(engine, id);
  const plugin = async (words: readonly string[], limitMs = enableLimitMs) =>
    void (await engine.docker(['plugin', ...words], { timeoutMs: limitMs }));
  const isEnabled = async () =>
    (await engine.docker(['plugin', 'inspect', '--format', '{{.Enabled}}', name])) === 'true';
  const disable = (force = false) => plugin(['disable', ...(force ? ['--force'] : []), name]);
  const tryCli = (argv: readonly string[], more?: CommandOptions) =>
    node.exec([weftProgram, ...argv, '--control-socket', controlSocket], more);
  return {
    name,
    id,
    dataDir: join(engine.pluginDir, '../../data/plugins', id),
    set: (...settings) => plugin(['set', name, ...settings]),
    async enable() {
      const outcome = await tryEnable(engine, name);
      if (outcome.code !== 0) throw new DockerError(['plugin', 'enable', name], outcome);
    },
    tryEnable: () => tryEnable(engine, name),
    disable: ({ force } = {}) => disable(force),
    isEnabled,
    async upgrade(reference) {
      if (await isEnabled()) await disable(true);
      const words = ['upgrade', '--skip-remote-check', '--grant-all-permissions', name, reference];
      await plugin(words, transferLimitMs);
    },
    remove: () => plugin(['rm', name]),
    tryCli,
    async cli(argv, more) {
      const { code, stdout, stderr } = await tryCli(argv, more);
      if (code !== 0) throw new Error(`weft ${argv.join(' ')} on ${node.name}: ${stderr.trim()}`);
      return stdout.trim();
    },
    exec: (argv) => {
      const dockerd = readFileSync(join(engine.pluginDir, '../docker.pid'), 'utf8').trim();
      const words = ['nsenter', '--target', dockerd, '--mount', '--', 'runc', '--root', runcStates, 'exec', id];
      return node.exec([...words, ...argv], { env: engine.env });
    },
    log: () => parseLog(linesOf(id, engine.log()).join('\n')),
    pid: () => pidOf(id),
  };
}

/**
 * After an attempt that failed the engine starts the plugin once more by itself, as it does when one dies; a command
 * that comes meanwhile finds the container of the other, and is repeated.
 */
async function tryEnable(engine: Engine, name: string): Promise<Outcome> {
  for (let tries = 1; ; tries += 1) {
    const outcome = await engine.tryDocker(['plugin', 'enable', name], { timeoutMs: enableLimitMs });
    if (
      tries === 20 ||
      !/container that has stopped|already exists|id already in use|start a stopped process|unable to copy pipes|file exists/.test(
        outcome.stderr,
      )
    )
      return outcome;
    await pause(1000);
  }
}

/** The setting that binds the engine's own socket into its plugin. */
export function socketOf(engine: Engine): string {
  return `docker-socket.source=${engine.url.replace('unix://', '')}`;
}

/** A socket's path has at most 107 bytes, and the id alone is 64. */
function shortPath(engine: Engine, id: string): string {
  const path = join(engine.pluginDir, '../../..', `${id.slice(0, 8)}.sock`);
  // Not existsSync, which looks at what it points to.
  if (lstatSync(path, { throwIfNoEntry: false }) === undefined) {
    symlinkSync(join(engine.pluginDir, id, 'control.sock'), path);
  }
  return path;
}

/** The engine writes what a plugin writes as `time=… level=error msg="…" plugin=ID`. */
function linesOf(id: string, log: string): readonly string[] {
  return log.split('\n').flatMap((line) => {
    const quoted = line.endsWith(`plugin=${id}`) ? /msg=("(?:[^"\\]|\\.)*")/.exec(line)?.[1] : undefined;
    return quoted === undefined ? [] : [JSON.parse(quoted) as string];
  });
}

/** By its cgroup, which is named after the plugin. */
function pidOf(id: string): number {
  const pid = readdirSync('/proc').find((entry) => /^\d+$/.test(entry) && cgroupOf(entry).includes(id));
  if (pid === undefined) throw new Error(`no process of plugin ${id} runs`);
  return Number(pid);
}

function cgroupOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cgroup`, 'utf8');
  } catch {
    // It ended meanwhile.
    return '';
  }
}

/**
 * `npm run plugin -- [--name NAME]`: builds Weft as a managed plugin and creates it on the engine of DOCKER_HOST, where
 * it is then disabled, to be set, enabled or pushed. `--rootfs-only` builds build/plugin and stops there: that needs
 * no engine. Exit codes: 0 done, 1 failed, 2 wrong usage. An error is one line on stderr that starts with `plugin:`.
 */

import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { join, relative } from 'node:path';
import { parseArgs } from 'node:util';
import { buildPlugin, type PluginDirectory } from './plugin-rootfs.ts';

const usage = `usage: npm run plugin -- [--name NAME] [--rootfs-only]

  --name NAME     name of the plugin, with or without a tag (default: weft:latest); to push it, with the registry in
                  front: registry.example/weft:1
  --rootfs-only   build build/plugin, create nothing`;

interface Choices {
  readonly name: string;
  readonly rootfsOnly: boolean;
}

class UsageError extends Error {}

/** As the engine has it (reference grammar of distribution), with at most one tag and no digest. */
const goodName =
  /^(?:[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?(?::\d+)?\/)?[a-z0-9]+(?:(?:[._]|__|-+|\/)[a-z0-9]+)*(?::\w[\w.-]{0,127})?$/;

function main(): void {
  const { name, rootfsOnly } = readArguments(process.argv.slice(2));
  if (!rootfsOnly) requireRoomFor(name);
  build();
  const directory = buildPlugin();
  tell(describe(directory));
  if (rootfsOnly) return;
  tell(`creating ${name}`);
  docker(['plugin', 'create', name, directory.path]);
  tell(`created ${name}, disabled. Next:

  docker plugin set ${name} WEFT_STORE=consul://HOST:8500
  docker plugin enable ${name}`);
}

function readArguments(words: readonly string[]): Choices {
  try {
    const options = { name: { type: 'string', default: 'weft:latest' }, 'rootfs-only': { type: 'boolean' } } as const;
    const { values } = parseArgs({ args: [...words], options });
    return { name: withTag(values.name), rootfsOnly: values['rootfs-only'] === true };
  } catch (error) {
    // Node's own text goes on with advice about `--`.
    throw new UsageError(messageOf(error).split(/[.\n] /, 1)[0]);
  }
}

/** Docker's own default, written out, so that what is printed is what the engine lists. */
function withTag(name: string): string {
  if (!goodName.test(name))
    throw new UsageError(`--name ${name} is no plugin name: give lower-case letters and digits, as in weft:latest`);
  return /:[^/]+$/.test(name) ? name : `${name}:latest`;
}

/** Before anything is built. @throws when there is no docker, no engine, or a plugin of this name */
function requireRoomFor(name: string): void {
  docker(['version', '--format', '{{.Server.Version}}']);
  const taken = docker(['plugin', 'ls', '--format', '{{.Name}}']).split('\n').includes(name);
  if (taken)
    throw new Error(`the engine has a plugin ${name} already: docker plugin rm ${name} first, or give another --name`);
}

/** @returns its trimmed output */
function docker(argv: readonly string[]): string {
  const ended = spawnSync('docker', argv, { encoding: 'utf8' });
  if (ended.error !== undefined)
    throw new Error(`docker cannot be run (${ended.error.message}): install Docker's command`);
  if (ended.status === 0) return ended.stdout.trim();
  const said = oneLine(ended.stderr);
  if (/cannot connect|error during connect|no such host|permission denied/i.test(said))
    throw new Error(`${whichEngine()}: ${said}`);
  // moby stores what a plugin consists of once, and refuses to store it a second time.
  if (/content sha256:\w+: already exists/.test(said))
    throw new Error(
      'the engine has this very plugin under another name: see docker plugin ls, docker plugin rm it first',
    );
  throw new Error(`docker ${argv[0]} ${argv[1]}: ${said}`);
}

function whichEngine(): string {
  const host = process.env['DOCKER_HOST'] ?? '';
  return host === ''
    ? 'no Docker engine answers here (set DOCKER_HOST for another)'
    : `no Docker engine answers at DOCKER_HOST=${host}`;
}

function build(): void {
  const ended: SpawnSyncReturns<Buffer> = spawnSync('sh', [join(import.meta.dirname, 'build.sh')], {
    stdio: 'inherit',
  });
  if (ended.status !== 0) throw new Error('npm run build failed (what it said is above)');
}

function describe({ path, isNew, parts }: PluginDirectory): string {
  const total = parts.reduce((sum, [, bytes]) => sum + bytes, 0);
  const list = parts.map(([name, bytes]) => `${name} ${mebibytes(bytes)}`).join(', ');
  return `${isNew ? 'built' : 'unchanged'} ${relative(process.cwd(), path)}: ${mebibytes(total)} MiB unpacked (${list})`;
}

function mebibytes(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(1);
}

function tell(text: string): void {
  console.log(`plugin: ${text}`);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function oneLine(text: string): string {
  return text.trim().replaceAll(/\s*\n\s*/g, ' ');
}

try {
  main();
} catch (error) {
  const isUsage = error instanceof UsageError;
  process.stderr.write(`plugin: ${oneLine(messageOf(error))}\n${isUsage ? `${usage}\n` : ''}`);
  process.exitCode = isUsage ? 2 : 1;
}

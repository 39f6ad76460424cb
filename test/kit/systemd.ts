/**
 * A real systemd as the first process of a machine of its own (systemd-namespace.sh) that shares a node's network and its
 * engine's plugin directory. Of this clone's it gets deploy/weft.service as it is, with a drop-in that sends the log to a
 * file, because there is no journal; beside it stand empty targets, and a docker.service that tells what it finds.
 */

import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually, type Outcome } from './command.ts';
import { type LogLine, parseLog } from './daemon.ts';
import type { Engine } from './engine.ts';
import type { Lab } from './lab.ts';
import { createStation, type LabNode, type Station } from './node.ts';
import { repositoryRoot } from './paths.ts';

export interface Systemd extends Station {
  /** @returns its trimmed output; @throws when it fails */
  systemctl(...words: readonly string[]): Promise<string>;
  trySystemctl(...words: readonly string[]): Promise<Outcome>;
  /** A property of weft.service. */
  property(name: string): Promise<string>;
  /** What weft.service wrote. */
  log(): readonly LogLine[];
  /** What docker.service found in Docker's plugin directory when it started; null: it has not. */
  foundByDocker(): string | null;
  /** The unit file, as systemd on this machine sees it. */
  readonly unitFile: string;
  /** Pins of a daemon with default settings, seen from outside. */
  readonly bpfDir: string;
}

const targets = ['sysinit', 'basic', 'shutdown', 'network-online'] as const;
/** Where systemd-namespace.sh has the directory of units. */
const inside = '/mnt/units';
const bootLimitMs = 60_000;

/**
 * Boots it up to basic.target; `boot.target` would start weft.service and docker.service, as one boot does.
 * `settings`: lines of /etc/weft/weft.env.
 */
export async function bootSystemd(
  lab: Lab,
  node: LabNode,
  engine: Engine,
  settings: readonly string[],
): Promise<Systemd> {
  const directory = join(lab.directory, node.name, 'systemd');
  layOut(directory, settings);
  const cgroup = join(unifiedHierarchy(), `${node.netns}-systemd`);
  mkdirSync(cgroup);
  const machine = await node.spawn([
    ...['sh', '-c', 'echo $$ >"$0/cgroup.procs" && exec "$@"', cgroup],
    ...['unshare', '--mount', '--uts', '--ipc', '--cgroup', '--pid', '--fork', '--kill-child'],
    ...['sh', join(import.meta.dirname, 'systemd-namespace.sh'), directory, engine.bpfDir],
    ...[join(engine.pluginDir, '../..'), node.name, repositoryRoot, process.execPath],
  ]);
  const station = await untilBooted(machine, lab.name);
  const trySystemctl = (...words: readonly string[]) => station.exec(['systemctl', ...words], { timeoutMs: 120_000 });
  const systemctl = async (...words: readonly string[]) => {
    const { code, stdout, stderr } = await trySystemctl(...words);
    if (code !== 0) throw new Error(`systemctl ${words.join(' ')}: ${stderr.trim()}; ${lastWords(directory)}`);
    return stdout.trim();
  };
  return {
    ...station,
    systemctl,
    trySystemctl,
    property: (name) => systemctl('show', '--value', '--property', name, 'weft.service'),
    log: () => parseLog(readIfThere(join(directory, 'weft.log'))),
    foundByDocker: () => readIfThere(join(directory, 'found')) || null,
    unitFile: `${inside}/weft.service`,
    bpfDir: join(engine.bpfDir, 'weft'),
  };
}

function layOut(directory: string, settings: readonly string[]): void {
  mkdirSync(join(directory, 'weft.service.d'), { recursive: true });
  cpSync(join(repositoryRoot, 'deploy', 'weft.service'), join(directory, 'weft.service'));
  const unit = (name: string, lines: readonly string[]) =>
    writeFileSync(join(directory, name), `${lines.join('\n')}\n`);
  unit('weft.env', settings);
  const log = `append:${inside}/weft.log`;
  unit('weft.service.d/log.conf', ['[Service]', `StandardOutput=${log}`, `StandardError=${log}`]);
  for (const target of targets) unit(`${target}.target`, ['[Unit]', `Description=${target} of a lab`]);
  // Docker first, so that only the order that weft.service asks for puts it second.
  unit('boot.target', ['[Unit]', 'Description=boot of a lab', 'Wants=docker.service', 'Wants=weft.service']);
  unit('docker.service', [
    ...['[Unit]', 'Description=what Docker would find', '[Service]', 'Type=oneshot', 'RemainAfterExit=yes'],
    `ExecStart=/bin/sh -c 'ls /run/docker/plugins >${inside}/found'`,
  ]);
}

/** The version 2 hierarchy, which may be one of several. */
function unifiedHierarchy(): string {
  const mount = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .find((line) => line.includes(' - cgroup2 '));
  const path = mount?.split(' ')[4];
  if (path === undefined) throw new Error('no cgroup2 file system is mounted: systemd needs one');
  return path;
}

async function untilBooted(
  machine: { readonly pid: number; isRunning(): boolean; stderr(): string },
  mark: string,
): Promise<Station> {
  let station: Station | undefined;
  const isBooted = async () => {
    if (!machine.isRunning()) throw new Error(`systemd ended: ${machine.stderr().trim()}`);
    const pid = readIfThere(`/proc/${machine.pid}/task/${machine.pid}/children`).trim();
    if (pid === '') return false;
    const words = ['nsenter', '--target', pid, '--mount', '--uts', '--ipc', '--cgroup', '--pid', '--net', '--'];
    station = createStation('systemd', words, { WEFT_LAB: mark });
    return (await station.exec(['systemctl', 'is-active', 'basic.target'])).code === 0;
  };
  await eventually('systemd has booted', isBooted, { limitMs: bootLimitMs, everyMs: 200 }).catch((error: unknown) => {
    throw new Error(`${String(error)}: ${machine.stderr().trim()}`);
  });
  if (station === undefined) throw new Error('systemd has not booted');
  return station;
}

function lastWords(directory: string): string {
  return readIfThere(join(directory, 'weft.log')).trim().split('\n').slice(-3).join(' | ');
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    // Not written yet, or of a process that is no more.
    return '';
  }
}

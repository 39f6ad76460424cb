/**
 * A weft daemon beside an engine: the built program in the node's network namespace, told apart from those of other
 * nodes by its flags alone. It runs in the machine's mount namespace, so its sockets and pins are visible from outside.
 */

import { existsSync, mkdirSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { type CommandOptions, eventually, type Outcome, type Running } from './command.ts';
import type { Engine } from './engine.ts';
import type { Surroundings } from './lab.ts';
import type { LabNode } from './node.ts';
import { weftProgram } from './paths.ts';

export interface DaemonOptions {
  /** URL of the store; `lab.embeddedStore` for the shared embedded one. */
  readonly store: string;
  readonly dataPath?: 'auto' | 'ebpf' | 'bridge';
  /** The engine whose plugin it is; without one its plugin socket lies in the daemon's own directory. */
  readonly engine?: Engine;
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

export type LogLine = Readonly<Record<string, unknown>>;

export interface Daemon {
  readonly pid: number;
  readonly pluginSocket: string;
  readonly controlSocket: string;
  readonly stateDir: string;
  readonly bpfDir: string;
  isRunning(): boolean;
  /** What it wrote, of all its runs; lines that are not JSON as { text }. */
  log(): readonly LogLine[];
  /** Runs a weft command against this daemon. @returns its trimmed output; @throws when it fails */
  cli(argv: readonly string[], options?: CommandOptions): Promise<string>;
  /** The same; a failure is a value. */
  tryCli(argv: readonly string[], options?: CommandOptions): Promise<Outcome>;
  /** SIGKILL. */
  kill9(): Promise<void>;
  /** SIGTERM. @returns how it ended */
  stop(): Promise<Outcome>;
  /** Starts it again, after stopping it when it runs, with more arguments for good when given. */
  restart(args?: readonly string[]): Promise<void>;
}

const startLimitMs = 15_000;

/** Starts a daemon. @returns when its control socket accepts; @throws with its last words when it ends before */
export async function startDaemon(node: LabNode, lab: Surroundings, options: DaemonOptions): Promise<Daemon> {
  const directory = join(lab.directory, node.name, 'daemon');
  mkdirSync(directory, { recursive: true });
  const stateDir = join(directory, 'state');
  const controlSocket = join(directory, 'control.sock');
  const pluginSocket = join(options.engine?.pluginDir ?? directory, 'weft.sock');
  const bpfDir = join(lab.directory, 'bpf', node.name, 'weft');
  mkdirSync(join(lab.directory, 'bpf', node.name), { recursive: true });
  let args = [
    ...['--node', node.name, '--store', options.store, '--data-path', options.dataPath ?? 'auto'],
    ...['--plugin-socket', pluginSocket, '--control-socket', controlSocket],
    ...['--state-dir', stateDir, '--bpf-dir', bpfDir, '--metrics', 'off'],
    // Never the machine's own engine.
    ...['--docker-socket', options.engine?.url.slice('unix://'.length) ?? 'off'],
    ...(options.args ?? []),
  ];
  let before = '';
  const launch = async () => {
    const started = await node.spawn([weftProgram, 'daemon', ...args], { env: options.env ?? {} });
    await untilItAnswers(started, [controlSocket, pluginSocket], node.name);
    return started;
  };
  let daemon = await launch();
  lab.onClose('daemon', async () => void (await daemon.stop()));
  const tryCli = (argv: readonly string[], more?: CommandOptions) =>
    node.exec([weftProgram, ...argv, '--control-socket', controlSocket], more);

  return {
    get pid() {
      return daemon.pid;
    },
    pluginSocket,
    controlSocket,
    stateDir,
    bpfDir,
    isRunning: () => daemon.isRunning(),
    log: () => parseLog(before + daemon.stderr()),
    tryCli,
    async cli(argv, more) {
      const { code, stdout, stderr } = await tryCli(argv, more);
      if (code !== 0)
        throw new Error(`weft ${argv.join(' ')} on ${node.name}: ${stderr.trim() || `exit code ${code}`}`);
      return stdout.trim();
    },
    kill9: async () => void (await daemon.stop('SIGKILL')),
    stop: () => daemon.stop(),
    async restart(more = []) {
      before += (await daemon.stop()).stderr;
      args = [...args, ...more];
      daemon = await launch();
    },
  };
}

async function untilItAnswers(daemon: Running, sockets: readonly string[], node: string): Promise<void> {
  await eventually(
    `the daemon of ${node} answers on its sockets: ${lastWords(daemon)}`,
    async () => {
      if (!daemon.isRunning()) {
        const { code } = await daemon.ended;
        throw new Error(`the daemon of ${node} ended with code ${code}: ${lastWords(daemon)}`);
      }
      // A daemon that was killed leaves its socket; only one that accepts counts.
      for (const path of sockets) if (!(existsSync(path) && (await accepts(path)))) return false;
      return true;
    },
    { limitMs: startLimitMs, everyMs: 20 },
  );
}

function accepts(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path, () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}

function lastWords(daemon: Running): string {
  return daemon.stderr().trim().split('\n').slice(-3).join(' | ');
}

/** A log of JSON lines; others as { text }. */
export function parseLog(text: string): readonly LogLine[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      try {
        return JSON.parse(line) as LogLine;
      } catch {
        // What Node itself prints: a warning or a stack.
        return { text: line };
      }
    });
}

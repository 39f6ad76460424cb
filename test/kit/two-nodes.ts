/**
 * Two nodes with a wire between them, and containers: network namespaces in the test's own. A node's data path is a
 * process that can be killed; a container gets the end of a veth pair as Docker would give it.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { ForwardingEntry } from '../../src/core/forwarding.ts';
import type { Endpoint, Model, Vtep } from '../../src/core/model.ts';
import { interfacesOf } from '../../src/datapath/interfaces.ts';
import type { DataPathEvent, PacketCounters } from '../../src/ports/data-path.ts';
import type { Request } from './data-path-process.ts';
import { run } from './own-namespace.ts';

export interface NodeProcess {
  desire(entries: Iterable<ForwardingEntry>): Promise<number>;
  /** Brings the data path to the model and keeps it there; to be called once. */
  keep(model: Model): Promise<void>;
  /** Closes the data path and opens it again, with programs loaded anew, in the same process. */
  reopen(): Promise<void>;
  repairs(): Promise<Readonly<Record<string, number>>>;
  problems(): Promise<readonly string[]>;
  move(vtep: Vtep): Promise<void>;
  counters(): Promise<PacketCounters>;
  events(): Promise<readonly DataPathEvent[]>;
  /** Without warning, as a crash would. */
  kill(): Promise<void>;
  /** Ends it in order. */
  end(): Promise<void>;
}

const script = fileURLToPath(new URL('data-path-process.ts', import.meta.url));
const answerLimitMs = 20_000;

export interface Wire {
  readonly addresses: readonly [string, string];
  readonly mtuBytes?: number;
}

/** Namespaces `node1` and `node2` with `underlay` devices that are the ends of one wire. */
export function connectNodes({ addresses, mtuBytes = 1500 }: Wire): void {
  for (const node of ['node1', 'node2']) run('ip', 'netns', 'add', node);
  const ends = ['name', 'underlay', 'netns', 'node1', 'type', 'veth', 'peer', 'name', 'underlay', 'netns', 'node2'];
  run('ip', 'link', 'add', ...ends);
  for (const [position, address] of addresses.entries()) {
    const node = `node${position + 1}`;
    const nodad = address.includes(':') ? ['nodad'] : [];
    run('ip', '-n', node, 'address', 'add', address, 'dev', 'underlay', ...nodad);
    run('ip', '-n', node, 'link', 'set', 'underlay', 'mtu', String(mtuBytes), 'up');
    run('ip', '-n', node, 'link', 'set', 'lo', 'up');
  }
}

/** Deletes namespaces, and with them the devices in them. */
export function disconnect(...namespaces: readonly string[]): void {
  for (const namespace of namespaces) run('ip', 'netns', 'delete', namespace);
}

/** Moves the endpoint's container end into a new namespace and sets it up as Docker would. */
export function startContainer(name: string, node: string, { id, addresses }: Endpoint): void {
  run('ip', 'netns', 'add', name);
  run('ip', '-n', node, 'link', 'set', interfacesOf(id).containerInterface, 'netns', name);
  run('ip', '-n', name, 'link', 'set', interfacesOf(id).containerInterface, 'name', 'eth0');
  for (const address of addresses) {
    const [length, flags] = address.includes(':') ? ['64', ['nodad']] : ['24', ['broadcast', '+']];
    run('ip', '-n', name, 'address', 'add', `${address}/${length}`, 'dev', 'eth0', ...flags);
  }
  run('ip', '-n', name, 'link', 'set', 'lo', 'up');
  run('ip', '-n', name, 'link', 'set', 'eth0', 'up');
  run('ip', '-n', name, 'route', 'add', '224.0.0.0/4', 'dev', 'eth0');
}

/** A command inside a namespace, which stays what `nsenter` makes of it: the mounts are those of the test. */
export function inside(namespace: string, ...command: readonly string[]): readonly string[] {
  return [`--net=/run/netns/${namespace}`, ...command];
}

export function runInside(namespace: string, ...command: readonly string[]): string {
  return run('nsenter', ...inside(namespace, ...command));
}

export interface Started {
  /** Resolves when it wrote the first word. */
  readonly ready: Promise<void>;
  /** All it wrote, once it ended with success. */
  readonly output: Promise<string>;
}

/** Starts a command inside a namespace. */
export function startInside(namespace: string, ...command: readonly string[]): Started {
  const child = spawn('nsenter', [...inside(namespace, ...command)], { stdio: ['ignore', 'pipe', 'pipe'] });
  const written: string[] = [];
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => written.push(String(chunk)));
  const output = once(child, 'close').then(([status]) => {
    if (status === 0) return written.join('');
    throw new Error(`${command.join(' ')} in ${namespace} ended with ${status}: ${written.join('')}`);
  });
  const ready = Promise.race([once(child.stdout, 'data'), output]).then(() => {});
  return { ready, output };
}

/** Opens the data path of a node and waits until it stands. */
export async function startNode(node: string, parameters: readonly string[]): Promise<NodeProcess> {
  const command = [process.execPath, ...process.execArgv, script, ...parameters];
  const child = spawn('nsenter', [...inside(node, ...command)], { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  await nextAnswer(lines);

  async function ask(request: Request): Promise<Record<string, unknown>> {
    child.stdin.write(`${JSON.stringify(request)}\n`);
    return nextAnswer(lines);
  }

  return {
    desire: async (entries) => Number((await ask({ desired: [...entries] }))['changes']),
    keep: async (model) => void (await ask({ model })),
    reopen: async () => void (await ask({ ask: 'reopen' })),
    repairs: async () => (await ask({ ask: 'repairs' }))['repairs'] as Record<string, number>,
    problems: async () => (await ask({ ask: 'repairs' }))['problems'] as string[],
    move: async (vtep) => void (await ask({ move: vtep })),
    counters: async () => (await ask({ ask: 'counters' }))['counters'] as PacketCounters,
    events: async () => (await ask({ ask: 'events' }))['events'] as DataPathEvent[],
    kill: () => ending(child, () => child.kill('SIGKILL')),
    end: () => ending(child, () => child.stdin.end()),
  };
}

async function nextAnswer(lines: AsyncIterator<string>): Promise<Record<string, unknown>> {
  const answered = new AbortController();
  const late = sleep(answerLimitMs, null, { signal: answered.signal }).catch(() => null);
  const line = await Promise.race([lines.next(), late]);
  answered.abort();
  if (line === null) throw new Error('the data path process did not answer');
  if (line.done === true) throw new Error('the data path process ended');
  const answer = JSON.parse(line.value) as Record<string, unknown>;
  if ('error' in answer) throw new Error(String(answer['error']));
  return answer;
}

async function ending(child: ChildProcess, end: () => void): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  end();
  await ended;
}

/**
 * The one door to node-netlink. Everything that package leaves to its user is settled here:
 *
 *  - Answers carry errno by number, most of them unknown to the package: they are named from Linux' own table.
 *  - A socket can run one dump at a time and matches answers by sequence number alone: requests go one after another.
 *  - A dump cut short by a concurrent change (NLM_F_DUMP_INTR, EINTR, or an errno in its DONE message, all three
 *    ignored by the package) is repeated, since a retry is the only cure.
 *  - The package's receive loop ends for good, without a word to its user, on any error of recvmsg: ENOBUFS when
 *    notifications overran the socket, EINTR on a stray signal. So a request that finds no answer in time costs the
 *    connection, which is replaced for the next one; and a notification socket is asked whether it still hears.
 *  - Each message the package cannot match prints a warning. Messages are therefore seen here before it sees them, and
 *    all but the one that ends a request are kept from it, which also spares its quadratic gathering of dumps.
 *
 * Cost: each open socket keeps one worker of libuv's pool in a 100 ms poll, see UV_THREADPOOL_SIZE. A message larger
 * than the 32 KiB receive buffer is cut; the kernel keeps dumps below that, and decoding a cut message is an error.
 * Sources: linux/netlink.h, node-netlink 0.0.4 lib/index.js, po6-socket 0.0.3 lib/poll.js.
 */

import type { EventEmitter } from 'node:events';
import { getSystemErrorName } from 'node:util';
import netlink, { type Packet, type Socket } from 'node-netlink';
import { isOverlayError, messageOf, overlayError } from '../errors.ts';

export type NetlinkMessage = { readonly type: number; readonly payload: Buffer };

/** What to ask; `name` says it in words for errors, such as `delete link wft0`. */
export type NetlinkRequest = {
  readonly name: string;
  readonly type: number;
  readonly flags?: number;
  readonly payload: Uint8Array;
};

/** The limit counts from when the request is sent, not while it waits for its turn. Default 2 s. */
export type RequestOptions = { readonly signal?: AbortSignal; readonly timeoutMs?: number };

export type NetlinkSocket = {
  /** Sends one request and waits for its acknowledgement. @throws NETLINK_FAILED with `details.errno` by name */
  request(request: NetlinkRequest, options?: RequestOptions): Promise<readonly NetlinkMessage[]>;
  /** Asks for a whole table, again while it changes underneath. @throws NETLINK_FAILED */
  dump(request: NetlinkRequest, options?: RequestOptions): Promise<readonly NetlinkMessage[]>;
  /** Answers what was asked before, refuses what is asked after with errno EBADF, and closes. Idempotent. */
  close(): Promise<void>;
};

export type NotificationSocket = {
  /** Whether the kernel's messages still arrive; false after an overrun, for good. */
  isHearing(timeoutMs: number): Promise<boolean>;
  close(): Promise<void>;
};

/** Specification: linux/netlink.h. */
const route = 0;
const type = { noop: 1, error: 2, done: 3 } as const;
const flag = { request: 0x1, ack: 0x4, dumpInterrupted: 0x10, dump: 0x300 } as const;
export const createFlags = { create: 0x400, exclusive: 0x200, replace: 0x100 } as const;

/** Implementation: time for some 100 dumps of 300 links, of which links coming and going may spoil all but one. */
const defaultTimeoutMs = 2_000;

type Answer = { readonly messages: readonly NetlinkMessage[]; readonly errno: number; readonly isInterrupted: boolean };

type Connection = {
  /** One request at a time. Rejects when no answer came; the connection must then be closed. */
  exchange(request: NetlinkRequest, timeoutMs: number): Promise<Answer>;
  close(): Promise<void>;
};

/** Opens a socket for requests in the network namespace of this process. @throws NETLINK_FAILED */
export async function openRequestSocket(): Promise<NetlinkSocket> {
  const line = createReplaceable(await connect(0, ignore));
  const turns = createTurns();
  return {
    request: (request, options = {}) =>
      turns.take(request, options.signal, async () => {
        const answer = await line.exchange(request, options.timeoutMs);
        if (answer.errno !== 0) throw failed(request, errnoName(answer.errno));
        return answer.messages;
      }),
    dump: (request, options = {}) =>
      turns.take(request, options.signal, () => dumpInWhole(line, { ...request, flags: flag.dump }, options.timeoutMs)),
    close: async () => {
      await turns.end();
      await line.close();
    },
  };
}

/**
 * Opens a socket that hears the multicast groups of a bit mask. `hear` runs within the receive loop: it must be quick.
 * @throws NETLINK_FAILED
 */
export async function openNotificationSocket(
  groups: number,
  hear: (message: NetlinkMessage) => void,
): Promise<NotificationSocket> {
  const connection = await connect(groups, hear);
  const ping = { name: 'ping', type: type.noop, payload: new Uint8Array(0) };
  return {
    isHearing: async (timeoutMs) => {
      try {
        await connection.exchange(ping, timeoutMs);
        return true;
      } catch (error) {
        if (isOverlayError(error, 'NETLINK_FAILED')) return false;
        throw error;
      }
    },
    close: connection.close,
  };
}

/** Whether an error is the kernel's refusal with one of these names: `hasErrno(error, 'EEXIST')`. */
export function hasErrno(error: unknown, ...names: readonly string[]): boolean {
  if (!isOverlayError(error, 'NETLINK_FAILED')) return false;
  const { errno } = error.details;
  return names.includes(String(errno));
}

/** A connection that is replaced when an exchange over it found no answer. */
function createReplaceable(first: Connection) {
  let connection: Connection | null = first;
  return {
    async exchange(request: NetlinkRequest, timeoutMs = defaultTimeoutMs): Promise<Answer> {
      connection ??= await connect(0, ignore);
      try {
        return await connection.exchange(request, timeoutMs);
      } catch (error) {
        const broken = connection;
        connection = null;
        await broken.close();
        throw error;
      }
    },
    async close(): Promise<void> {
      const last = connection;
      connection = null;
      await last?.close();
    },
  };
}

/** Repeats a dump that others' changes cut short, for as long as the time limit allows. */
async function dumpInWhole(line: Pick<Connection, 'exchange'>, request: NetlinkRequest, timeoutMs = defaultTimeoutMs) {
  const deadline = performance.now() + timeoutMs;
  for (let leftMs = timeoutMs; leftMs > 0; leftMs = deadline - performance.now()) {
    const answer = await line.exchange(request, Math.ceil(leftMs));
    const name = answer.isInterrupted ? 'EINTR' : errnoName(answer.errno);
    if (name === 'OK') return answer.messages;
    if (name !== 'EINTR') throw failed(request, name);
  }
  throw failed(request, 'EINTR');
}

/** One task after another. An abort frees its caller at once, while a task that has begun ends in its turn. */
function createTurns() {
  let last: Promise<unknown> = Promise.resolve();
  let isEnded = false;
  return {
    take<Value>(request: NetlinkRequest, signal: AbortSignal | undefined, task: () => Promise<Value>): Promise<Value> {
      if (isEnded) return Promise.reject(failed(request, 'EBADF'));
      const result = last.then(() => {
        signal?.throwIfAborted();
        return task();
      });
      last = result.catch(ignore);
      return signal === undefined ? result : untilAborted(result, signal);
    },
    async end(): Promise<void> {
      isEnded = true;
      await last;
    },
  };
}

async function connect(groups: number, hear: (message: NetlinkMessage) => void): Promise<Connection> {
  const socket = await netlink.open({ family: route, groups }).catch((error: unknown) => {
    throw overlayError('NETLINK_FAILED', { request: 'open socket', errno: messageOf(error) }, { cause: error });
  });
  let pending: PendingAnswer | null = null;
  let closing: Promise<void> | null = null;

  emitterOf(socket).prependListener('message', (packet: Packet) => {
    if (isAnswer(packet, socket)) pending?.add(packet);
    else hear(toMessage(packet));
    const isLast = pending?.isComplete === true && isAnswer(packet, socket);
    // The package takes no notice of what is marked as a request.
    if (!isLast) packet.header.nlmsg_flags |= BigInt(flag.request);
  });

  return {
    exchange: async (request, timeoutMs) => {
      const answer = new PendingAnswer();
      pending = answer;
      const flags = (request.flags ?? 0) | flag.request | flag.ack;
      const header = { nlmsg_type: BigInt(request.type), nlmsg_flags: BigInt(flags) };
      try {
        await socket.tryTalk({ header, payload: request.payload }, { timeout: timeoutMs });
      } catch (error) {
        const problem = messageOf(error);
        throw failed(request, problem === 'timeout reached' ? 'ETIMEDOUT' : problem, error);
      } finally {
        pending = null;
      }
      return answer;
    },
    // The package's own close never ends when called twice.
    close: () => {
      closing ??= socket.close();
      return closing;
    },
  };
}

/** What has come so far of one answer: its messages, then an ERROR (which also acknowledges) or DONE. */
class PendingAnswer implements Answer {
  readonly messages: NetlinkMessage[] = [];
  errno = 0;
  isInterrupted = false;
  isComplete = false;

  add(packet: Packet): void {
    const message = toMessage(packet);
    if ((Number(packet.header.nlmsg_flags) & flag.dumpInterrupted) !== 0) this.isInterrupted = true;
    if (message.type === type.error || message.type === type.done) {
      this.isComplete = true;
      if (message.payload.length >= 4) this.errno = message.payload.readInt32LE(0);
    } else {
      this.messages.push(message);
    }
  }
}

/** The kernel answers to our port; what others caused bears theirs, and the kernel's own doing sequence number 0. */
function isAnswer({ header }: Packet, socket: Socket): boolean {
  return header.nlmsg_pid === socket.nl_pid && header.nlmsg_seq !== 0n;
}

function toMessage({ header, payload }: Packet): NetlinkMessage {
  return { type: Number(header.nlmsg_type), payload };
}

/** The package hands out `on` alone, bound to its emitter; a listener for new listeners learns the emitter. */
function emitterOf(socket: Socket): EventEmitter {
  const found: EventEmitter[] = [];
  socket.on('newListener', function (this: EventEmitter) {
    found.push(this);
  });
  socket.on('newListener', ignore);
  const [emitter] = found;
  if (emitter === undefined) throw new TypeError('node-netlink no longer hands out a bound EventEmitter');
  emitter.removeAllListeners('newListener');
  return emitter;
}

function untilAborted<Value>(result: Promise<Value>, signal: AbortSignal): Promise<Value> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    result.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}

/** `OK` for 0. The kernel sends errno negated; names are those of Linux. */
function errnoName(errno: number): string {
  return errno >= 0 ? 'OK' : getSystemErrorName(errno);
}

function failed(request: NetlinkRequest, errno: string, cause?: unknown) {
  return overlayError('NETLINK_FAILED', { request: request.name, errno }, { cause });
}

function ignore(): void {}

/**
 * Asks a path whether it carries IP packets of a given size: an ICMP echo that must not be fragmented, and what becomes
 * of it. One raw socket a family, opened when first needed, serves any number of probes at once; they are told apart by
 * sequence number, and the probers of other processes by a random identifier.
 *
 * The path there is tested, not the path back: the other side may fragment its reply.
 * IP_PMTUDISC_PROBE sets "don't fragment" and disregards what the kernel believes of the path, so a router that went
 * silent, or a path that grew, is found out. Sources: ip(7), ipv6(7), raw(7); linux/in.h, linux/in6.h, linux/icmp.h.
 */

import { randomInt } from 'node:crypto';
import * as raw from 'raw-socket';
import { type Address, type Family, familyOf } from '../core/address.ts';
import { messageOf, overlayError } from '../errors.ts';
import type { PathProbe, ProbeResult } from '../ports/path-probe.ts';
import { decodeAnswer, type EchoAnswer, encodeEcho, smallestEchoBytes } from './echo.ts';

export type IcmpProber = {
  /**
   * Sends one echo. `sizeBytes` is the whole IP packet, from the headers alone (28; IPv6 48) to 65535.
   * @throws RangeError for another size; PRIVILEGE_MISSING without CAP_NET_RAW; KERNEL_FEATURE_MISSING without the
   *   address family; the signal's reason after an abort
   */
  probe(address: Address, sizeBytes: number, timeoutMs: number): Promise<ProbeResult>;
  /** From the first probe of an address family on. */
  onRefused: PathProbe['onRefused'];
  /** Closes the sockets; probes under way reject with an AbortError. Idempotent. */
  close(): void;
};

type Waiting = {
  readonly address: Address;
  sentAt: number;
  readonly settle: (result: ProbeResult) => void;
  readonly fail: (reason: unknown) => void;
};

type SocketOption = readonly [level: number, option: number, value: Buffer];

/** Specification: levels and options of setsockopt(2). */
const level = { ip: 0, ipv6: 41, icmpv6: 58, raw: 255 } as const;
const pmtuDiscoverProbe = int32(3);
const settings: Readonly<
  Record<Family, { protocol: number; addressFamily: number; options: readonly SocketOption[] }>
> = {
  ipv4: {
    protocol: raw.Protocol.ICMP,
    addressFamily: raw.AddressFamily.IPv4,
    // ICMP_FILTER: a set bit keeps that type out; let in are echo reply (0) and destination unreachable (3).
    options: [
      [level.ip, 10, pmtuDiscoverProbe],
      [level.raw, 1, int32(~((1 << 0) | (1 << 3)))],
    ],
  },
  ipv6: {
    protocol: raw.Protocol.ICMPv6,
    addressFamily: raw.AddressFamily.IPv6,
    // IPV6_DONTFRAG besides: without it the kernel would fragment what the device cannot send.
    options: [
      [level.ipv6, 23, pmtuDiscoverProbe],
      [level.ipv6, 62, int32(1)],
      [level.icmpv6, 1, icmpv6Filter(1, 2, 129)],
    ],
  },
};
const largestPacketBytes = 65_535;
/** strerror of EMSGSIZE in glibc and in musl: raw-socket hands on no number. */
const tooLong: readonly string[] = ['Message too long', 'Message too large'];

/** Probes until the signal aborts or `close` is called, whichever is first. */
export function createIcmpProber(signal: AbortSignal): IcmpProber {
  const prober = new Prober();
  const abort = () => prober.end(signal.reason);
  if (signal.aborted) abort();
  signal.addEventListener('abort', abort, { once: true });
  return {
    probe: (address, sizeBytes, timeoutMs) => prober.probe(address, sizeBytes, timeoutMs),
    onRefused: (listener) => prober.onRefused(listener),
    close: () => {
      signal.removeEventListener('abort', abort);
      prober.end(new DOMException('the prober was closed', 'AbortError'));
    },
  };
}

class Prober {
  readonly #identifier = randomInt(0x1_0000);
  readonly #waiting = new Map<number, Waiting>();
  readonly #sockets = new Map<Family, raw.Socket>();
  readonly #listeners: Parameters<PathProbe['onRefused']>[0][] = [];
  #lastSequence = 0;
  #ended: { readonly reason: unknown } | null = null;

  async probe(address: Address, sizeBytes: number, timeoutMs: number): Promise<ProbeResult> {
    if (this.#ended !== null) throw this.#ended.reason;
    requireSize(familyOf(address), sizeBytes);
    const sequence = this.#nextSequence();
    let timer: NodeJS.Timeout | undefined;
    try {
      return await new Promise<ProbeResult>((settle, fail) => {
        timer = setTimeout(() => settle({ kind: 'timeout' }), timeoutMs);
        const asked = { address, sentAt: performance.now(), settle, fail };
        this.#waiting.set(sequence, asked);
        this.#send(sequence, asked, sizeBytes);
      });
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(sequence);
    }
  }

  onRefused(listener: Parameters<PathProbe['onRefused']>[0]): void {
    this.#listeners.push(listener);
  }

  end(reason: unknown): void {
    this.#ended ??= { reason };
    for (const asked of [...this.#waiting.values()]) asked.fail(reason);
    for (const socket of [...this.#sockets.values()]) socket.close();
  }

  #nextSequence(): number {
    for (let tries = 0; tries <= 0xffff; tries += 1) {
      this.#lastSequence = (this.#lastSequence + 1) & 0xffff;
      if (!this.#waiting.has(this.#lastSequence)) return this.#lastSequence;
    }
    throw new RangeError('65536 probes are under way; no sequence number is left');
  }

  #send(sequence: number, asked: Waiting, sizeBytes: number): void {
    const family = familyOf(asked.address);
    const packet = encodeEcho(family, { identifier: this.#identifier, sequence }, sizeBytes);
    const stamp = () => {
      asked.sentAt = performance.now();
    };
    this.#socket(family).send(packet, 0, packet.length, asked.address, stamp, (error) => {
      if (error !== null) asked.settle(refusalOf(error));
    });
  }

  #socket(family: Family): raw.Socket {
    const existing = this.#sockets.get(family);
    if (existing !== undefined) return existing;
    const socket = openSocket(family);
    socket.on('message', (packet, source) => this.#receive(family, packet, source));
    // A failed receive leaves the socket open; a failed poll closes it, and the next probe opens another.
    socket.on('error', () => {});
    socket.on('close', () => this.#sockets.delete(family));
    this.#sockets.set(family, socket);
    return socket;
  }

  #receive(family: Family, packet: Buffer, source: string): void {
    const answer = decodeAnswer(family, packet);
    if (answer?.kind === 'refused') for (const tell of this.#listeners) tell(answer.destination, answer.mtuBytes);
    if (answer === null || answer.kind === 'refused' || answer.identifier !== this.#identifier) return;
    const asked = this.#waiting.get(answer.sequence);
    if (asked === undefined || (answer.kind === 'reply' && source !== asked.address)) return;
    asked.settle(resultOf(answer, asked.sentAt));
  }
}

function openSocket(family: Family): raw.Socket {
  const { protocol, addressFamily, options } = settings[family];
  const socket = createSocket(family, { protocol, addressFamily, bufferSize: largestPacketBytes });
  try {
    for (const [optionLevel, option, value] of options) socket.setOption(optionLevel, option, value, value.length);
    return socket;
  } catch (error) {
    socket.close();
    throw error;
  }
}

function createSocket(family: Family, options: Parameters<typeof raw.createSocket>[0]): raw.Socket {
  try {
    return raw.createSocket(options);
  } catch (cause) {
    // strerror of EPERM, alike in glibc and musl.
    const problem = messageOf(cause);
    if (problem === 'Operation not permitted')
      throw overlayError('PRIVILEGE_MISSING', { privilege: 'CAP_NET_RAW' }, { cause });
    const feature = `raw sockets for ${family} (${problem})`;
    throw overlayError(
      'KERNEL_FEATURE_MISSING',
      { feature, remedy: `enable ${family} or use VTEP addresses of the other family` },
      { cause },
    );
  }
}

function resultOf(answer: EchoAnswer, sentAt: number): ProbeResult {
  switch (answer.kind) {
    case 'reply':
      return { kind: 'reply', rttMs: performance.now() - sentAt };
    case 'too-big':
      return { kind: 'too-big', mtuBytes: answer.mtuBytes };
    case 'unreachable':
      return { kind: 'unreachable', problem: answer.problem };
  }
}

/** What the kernel's refusal to send says of the path. */
function refusalOf(error: Error): ProbeResult {
  return tooLong.includes(error.message)
    ? { kind: 'too-big', mtuBytes: null }
    : { kind: 'unreachable', problem: error.message.toLowerCase() };
}

function requireSize(family: Family, sizeBytes: number): void {
  const smallest = smallestEchoBytes[family];
  if (Number.isInteger(sizeBytes) && sizeBytes >= smallest && sizeBytes <= largestPacketBytes) return;
  throw new RangeError(`an ${family} echo of ${sizeBytes} bytes: give ${smallest} to ${largestPacketBytes}`);
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  return bytes;
}

/** ICMPV6_FILTER (RFC 3542 §3.2): a set bit keeps that type out. */
function icmpv6Filter(...letIn: readonly number[]): Buffer {
  const words = new Uint32Array(8).fill(0xffff_ffff);
  for (const type of letIn) words[type >> 5] = (words[type >> 5] ?? 0) & ~(1 << (type & 31));
  return Buffer.from(words.buffer);
}

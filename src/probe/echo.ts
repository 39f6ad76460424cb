/**
 * ICMP echo packets and what comes back for them, in both families. Pure. An answer is recognised by the identifier
 * and sequence number of the request, which an error quotes from the packet that caused it. What routers say of UDP
 * packets, such as a tunnel's, is recognised as well: by the destination of the packet they quote.
 *
 *      request    [8 | 128, 0, checksum, identifier, sequence] zeros
 *      reply      [0 | 129, 0, checksum, identifier, sequence] the same zeros
 *      error      [3 | 1 | 2, code, checksum, …, mtu] IP header, first bytes of the request
 *
 * Sources: RFC 792, RFC 1191 §4 (where IPv4 has the MTU), RFC 4443 §3.2 and §4.
 */

import { type Address, addressFromBytes, type Family } from '../core/address.ts';

export type EchoKey = { readonly identifier: number; readonly sequence: number };

export type EchoAnswer =
  | (EchoKey & { readonly kind: 'reply' })
  /** Null where the router did not say which size would do (before RFC 1191). */
  | (EchoKey & { readonly kind: 'too-big'; readonly mtuBytes: number | null })
  | (EchoKey & { readonly kind: 'unreachable'; readonly problem: string });

/** A UDP packet of this node's was larger than a router could forward. */
export type Refusal = { readonly kind: 'refused'; readonly destination: Address; readonly mtuBytes: number | null };

type Format = {
  readonly protocol: number;
  readonly request: number;
  readonly reply: number;
  readonly ipHeaderBytes: (packet: Buffer) => number;
  /** Where an IP header names the protocol of its payload. */
  readonly protocolOffset: number;
  /** Where it has its destination: first byte and the one after the last. */
  readonly destination: readonly [number, number];
  /** Whether packets are received with their IP header in front. */
  readonly isHeaderReceived: boolean;
  readonly mtuOf: (error: Buffer) => number | null;
  readonly unreachable: number;
};

const echoHeaderBytes = 8;
/** Specification (RFC 768). */
const udp = 17;
const formats: Readonly<Record<Family, Format>> = {
  ipv4: {
    protocol: 1,
    request: 8,
    reply: 0,
    ipHeaderBytes: (packet) => ((packet[0] ?? 0) & 0xf) * 4,
    protocolOffset: 9,
    destination: [16, 20],
    isHeaderReceived: true,
    mtuOf: (error) => (error[0] === 3 && error[1] === 4 ? error.readUInt16BE(6) : null),
    unreachable: 3,
  },
  ipv6: {
    protocol: 58,
    request: 128,
    reply: 129,
    ipHeaderBytes: () => 40,
    protocolOffset: 6,
    destination: [24, 40],
    isHeaderReceived: false,
    mtuOf: (error) => (error[0] === 2 ? error.readUInt32BE(4) : null),
    unreachable: 1,
  },
};

/** Codes of destination unreachable (RFC 792, RFC 1812 §5.2.7.1; RFC 4443 §3.1) in words. */
const unreachableCodes: Readonly<Record<Family, readonly string[]>> = {
  ipv4: ['network unreachable', 'host unreachable', 'protocol unreachable', 'port unreachable'],
  ipv6: [
    'no route',
    'administratively prohibited',
    'beyond scope of source',
    'address unreachable',
    'port unreachable',
  ],
};

/** The smallest IP packet that is an echo request: the headers alone. */
export const smallestEchoBytes: Readonly<Record<Family, number>> = {
  ipv4: 20 + echoHeaderBytes,
  ipv6: 40 + echoHeaderBytes,
};

/** An echo request that makes an IP packet of `sizeBytes` with its IP header, which the kernel adds. */
export function encodeEcho(family: Family, { identifier, sequence }: EchoKey, sizeBytes: number): Buffer {
  const packet = Buffer.alloc(sizeBytes - smallestEchoBytes[family] + echoHeaderBytes);
  packet.writeUInt8(formats[family].request, 0);
  packet.writeUInt16BE(identifier, 4);
  packet.writeUInt16BE(sequence, 6);
  // The checksum of ICMPv6 covers the addresses, so the kernel computes it (RFC 3542 §3.1).
  if (family === 'ipv4') packet.writeUInt16BE(checksum(packet), 2);
  return packet;
}

/** Null for everything that answers no echo request and refuses no UDP packet. */
export function decodeAnswer(family: Family, received: Buffer): EchoAnswer | Refusal | null {
  const format = formats[family];
  const icmp = format.isHeaderReceived ? received.subarray(format.ipHeaderBytes(received)) : received;
  if (icmp.length < echoHeaderBytes) return null;
  if (icmp[0] === format.reply) return { kind: 'reply', ...keyOf(icmp) };
  const word = format.mtuOf(icmp);
  if (word === null && icmp[0] !== format.unreachable) return null;
  const mtuBytes = word === 0 ? null : word;
  const quoted = icmp.subarray(echoHeaderBytes);
  const cause = quotedRequest(format, quoted);
  if (cause === null) return word === null ? null : refusal(format, quoted, mtuBytes);
  if (word !== null) return { kind: 'too-big', ...cause, mtuBytes };
  const code = icmp.readUInt8(1);
  return { kind: 'unreachable', ...cause, problem: unreachableCodes[family][code] ?? `unreachable, code ${code}` };
}

function quotedRequest(format: Format, quoted: Buffer): EchoKey | null {
  if (quoted[format.protocolOffset] !== format.protocol) return null;
  const icmp = quoted.subarray(format.ipHeaderBytes(quoted));
  return icmp.length >= echoHeaderBytes && icmp[0] === format.request ? keyOf(icmp) : null;
}

function refusal(format: Format, quoted: Buffer, mtuBytes: number | null): Refusal | null {
  const destination = quoted.subarray(...format.destination);
  const isWhole = quoted.length >= format.destination[1];
  if (!isWhole || quoted[format.protocolOffset] !== udp) return null;
  return { kind: 'refused', destination: addressFromBytes(destination), mtuBytes };
}

function keyOf(icmp: Buffer): EchoKey {
  return { identifier: icmp.readUInt16BE(4), sequence: icmp.readUInt16BE(6) };
}

/** RFC 1071. */
function checksum(packet: Buffer): number {
  let sum = 0;
  for (let offset = 0; offset < packet.length; offset += 2) {
    sum += offset + 1 < packet.length ? packet.readUInt16BE(offset) : packet.readUInt8(offset) << 8;
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

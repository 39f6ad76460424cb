/**
 * Rules of policy routing, as far as Weft makes any: which packets skip which rules, and which are refused.
 * Sources: linux/fib_rules.h, net/core/fib_rules.c.
 */

import type { Family } from '../core/address.ts';
import {
  bytes,
  decodeAttributes,
  type EncodedAttribute,
  encodeAttributes,
  readBytes,
  readText,
  readU8,
  readU32,
  text,
  u8,
  u32,
} from './attributes.ts';
import { createFlags, hasErrno, type NetlinkMessage, type NetlinkSocket, type RequestOptions } from './socket.ts';

/** What a rule of ours does with a packet that it matches. */
export type RuleAction =
  /** Goes on at the first rule with that priority, which must be a later one. */
  | { readonly kind: 'goto'; readonly priority: number }
  /** Goes on with the next rule: something to jump to. */
  | { readonly kind: 'pass' }
  /** Refused, and the sender is told by ICMP. */
  | { readonly kind: 'prohibit' };

export type Rule = {
  readonly family: Family;
  /** Rules are asked in ascending order; that of the local table has 0. */
  readonly priority: number;
  /** Name of the device the packet came in by; `lo` for what this host sends itself. Null: any. */
  readonly from: string | null;
  /** UDP packets to this port. Null: any. */
  readonly udpPort: number | null;
  readonly action: RuleAction;
};

/** Specification: linux/rtnetlink.h, linux/fib_rules.h. */
const ruleMessage = { new: 32, delete: 33, get: 34 } as const;
const attribute = { device: 3, goto: 4, priority: 6, protocol: 21, ipProtocol: 22, ports: 24 } as const;
const actions = { goto: 2, pass: 3, prohibit: 8 } as const;
const familyNumbers = { ipv4: 2, ipv6: 10 } as const;
const headBytes = 12;
const udp = 17;
/** Implementation: what tells our rules from those of others, "w"; `ip rule` shows it as `proto 119`. */
const ownProtocol = 0x77;

/** Our own rules, of both families. @throws NETLINK_FAILED */
export async function listRules(socket: NetlinkSocket, options?: RequestOptions): Promise<readonly Rule[]> {
  const request = { name: 'list rules', type: ruleMessage.get, payload: Buffer.alloc(headBytes) };
  const messages = await socket.dump(request, options);
  return messages.map(decodeRule).filter((rule) => rule !== null);
}

/** Idempotent. @throws NETLINK_FAILED */
export async function addRule(socket: NetlinkSocket, rule: Rule, options?: RequestOptions): Promise<void> {
  const flags = createFlags.create | createFlags.exclusive;
  const request = { name: `add rule ${rule.priority}`, type: ruleMessage.new, flags, payload: encodeRule(rule) };
  await unless('EEXIST', socket.request(request, options));
}

/** Idempotent. @throws NETLINK_FAILED */
export async function deleteRule(socket: NetlinkSocket, rule: Rule, options?: RequestOptions): Promise<void> {
  const request = { name: `delete rule ${rule.priority}`, type: ruleMessage.delete, payload: encodeRule(rule) };
  await unless('ENOENT', socket.request(request, options));
}

export function encodeRule({ family, priority, from, udpPort, action }: Rule): Buffer {
  const head = Buffer.alloc(headBytes);
  head.writeUInt8(familyNumbers[family], 0);
  head.writeUInt8(actions[action.kind], 7);
  const attributes: EncodedAttribute[] = [u32(attribute.priority, priority), u8(attribute.protocol, ownProtocol)];
  if (from !== null) attributes.push(text(attribute.device, from));
  if (action.kind === 'goto') attributes.push(u32(attribute.goto, action.priority));
  if (udpPort !== null) attributes.push(u8(attribute.ipProtocol, udp), portRange(udpPort));
  return Buffer.concat([head, encodeAttributes(attributes)]);
}

/** Null for a rule of somebody else, and for one of ours that is not as this version makes them. */
export function decodeRule({ payload }: NetlinkMessage): Rule | null {
  const attributes = decodeAttributes(payload.subarray(headBytes));
  const family = payload.readUInt8(0) === familyNumbers.ipv4 ? 'ipv4' : 'ipv6';
  const target = readU32(attributes, attribute.goto);
  const action = decodeAction(payload.readUInt8(7), target);
  if (readU8(attributes, attribute.protocol) !== ownProtocol || action === null) return null;
  return {
    family,
    priority: readU32(attributes, attribute.priority) ?? 0,
    from: readText(attributes, attribute.device),
    udpPort: readBytes(attributes, attribute.ports)?.readUInt16LE() ?? null,
    action,
  };
}

function decodeAction(number: number, target: number | null): RuleAction | null {
  if (number === actions.goto && target !== null) return { kind: 'goto', priority: target };
  if (number === actions.pass) return { kind: 'pass' };
  return number === actions.prohibit ? { kind: 'prohibit' } : null;
}

/** struct fib_rule_port_range: first and last, in host order. */
function portRange(port: number): EncodedAttribute {
  const range = Buffer.alloc(4);
  range.writeUInt16LE(port, 0);
  range.writeUInt16LE(port, 2);
  return bytes(attribute.ports, range);
}

async function unless(errno: string, request: Promise<unknown>): Promise<void> {
  try {
    await request;
  } catch (error) {
    if (!hasErrno(error, errno)) throw error;
  }
}

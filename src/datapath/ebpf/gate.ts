/**
 * Tunnel packets of containers, refused before this host forwards them. A container that reaches the underlay through its
 * host (docker_gwbridge) would otherwise speak as a VTEP there: its packets get the node's own address from MASQUERADE,
 * or keep a forged one. No receiver can tell those from ours, so they are stopped here, whatever device they came by.
 *
 *      51  from lo          goto 53     what this host itself sends
 *      51  from UNDERLAY    goto 53     what it routes between other nodes
 *      52  udp to PORT      prohibit          of each port that a VTEP has
 *      53                   pass
 *
 * Rules of policy routing, because only forwarded packets and the host's own pass them: the fast path knows its next hop
 * and asks no rule, and packets for this host are found in the local table before (from_tunnel judges those). Rules stay
 * when iptables and nftables are flushed, and when this process is gone.
 */

import type { Family } from '../../core/address.ts';
import { messageOf } from '../../errors.ts';
import type { Netlink } from '../../netlink/netlink.ts';
import type { Rule } from '../../netlink/rule.ts';

/** Implementation: behind the local table's 0, before all that is usual. */
const priorities = { exempt: 51, refuse: 52, end: 53 } as const;
const families: readonly Family[] = ['ipv4', 'ipv6'];

/** Brings the rules to these underlay devices. Idempotent. @returns what stands in the way, in words */
export async function layGate(
  netlink: Netlink,
  ports: Iterable<number>,
  underlays: readonly string[],
): Promise<readonly string[]> {
  try {
    const wanted = families.flatMap((family) => rulesFor(family, [...ports], ['lo', ...underlays]));
    const existing = await netlink.rules();
    // What lets packets pass comes before what refuses them, and goes after it.
    for (const rule of without(wanted, existing)) await netlink.addRule(rule);
    for (const rule of without(existing, wanted)) await netlink.deleteRule(rule);
    return [];
  } catch (error) {
    return [`forwarded tunnel packets are not refused: ${messageOf(error)}`];
  }
}

/** Idempotent. @throws NETLINK_FAILED */
export async function removeGate(netlink: Netlink): Promise<void> {
  for (const rule of refusalsFirst(await netlink.rules())) await netlink.deleteRule(rule);
}

function rulesFor(family: Family, ports: readonly number[], exempt: readonly string[]): readonly Rule[] {
  const any = { family, from: null, udpPort: null };
  const jump = { kind: 'goto' as const, priority: priorities.end };
  return [
    { ...any, priority: priorities.end, action: { kind: 'pass' } },
    ...exempt.map((from) => ({ ...any, priority: priorities.exempt, from, action: jump })),
    ...ports.map((udpPort) => ({
      ...any,
      priority: priorities.refuse,
      udpPort,
      action: { kind: 'prohibit' as const },
    })),
  ];
}

function without(rules: readonly Rule[], others: readonly Rule[]): readonly Rule[] {
  const known = new Set(others.map(keyOf));
  return rules.filter((rule) => !known.has(keyOf(rule)));
}

function refusalsFirst(rules: readonly Rule[]): readonly Rule[] {
  const isRefusal = ({ action }: Rule) => action.kind === 'prohibit';
  return [...rules.filter(isRefusal), ...rules.filter((rule) => !isRefusal(rule))];
}

function keyOf({ family, priority, from, udpPort, action }: Rule): string {
  return JSON.stringify([
    family,
    priority,
    from,
    udpPort,
    action.kind,
    action.kind === 'goto' ? action.priority : null,
  ]);
}

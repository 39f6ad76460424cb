/**
 * The table of hops: for a VTEP whose route has several next hops, the slots from which a flow takes one by its hash.
 * The kernel's own choice is of no use here: `bpf_fib_lookup` spreads flows only where the host forwards and its hash
 * policy says so, and `bpf_redirect_neigh` without a next hop stays with one device.
 */

import type { NextHop } from '../../netlink/route.ts';
import type { HopKey, HopRecord } from './records.ts';
import type { Table } from './table.ts';

/** Implementation: enough to weigh a few uplinks; of a route with more next hops the rest is not used. */
const mostSlots = 16;

/**
 * The hops of a route as slots, by weight; none when there is nothing to choose. The slots of a dead hop go to the
 * others in turn, so that flows over these stay where they are.
 */
export function slotsOf(route: readonly NextHop[]): readonly HopRecord[] {
  if (route.length < 2) return [];
  const hops = route.slice(0, mostSlots);
  const slots = hops.flatMap((hop, at) => Array.from({ length: sharesOf(hops)[at] ?? 1 }, () => hop));
  const alive = slots.filter(({ isDead }) => !isDead);
  let next = 0;
  return slots.map((hop) => {
    const { gateway, ifindex } = hop.isDead ? (alive[next++ % alive.length] ?? hop) : hop;
    return { gateway, ifindex };
  });
}

/** One for each and, where the weights as they are would be too many, the rest in proportion. */
function sharesOf(hops: readonly NextHop[]): readonly number[] {
  const total = hops.reduce((sum, { weight }) => sum + weight, 0);
  if (total <= mostSlots) return hops.map(({ weight }) => weight);
  return hops.map(({ weight }) => 1 + Math.floor((weight / total) * (mostSlots - hops.length)));
}

export function putSlots(table: Table<HopKey, HopRecord>, vtepId: number, slots: readonly HopRecord[]): void {
  table.put(slots.map((hop, slot) => [{ vtepId, slot }, hop]));
}

/** Those from `first` on. Idempotent. */
export function removeSlots(table: Table<HopKey, HopRecord>, vtepId: number, first: number): void {
  const slots = Array.from({ length: mostSlots - first }, (_, step) => first + step);
  table.remove(slots.map((slot) => ({ vtepId, slot })));
}

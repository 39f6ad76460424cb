/**
 * diff(desired, actual) → changes in an order that never loses a packet: what others refer to is put before them
 * (a VTEP before the MACs behind it, a MAC before the neighbour that resolves to it) and removed after them.
 */

import { entryKey, type ForwardingEntry, type ForwardingState, type ForwardingTable } from './forwarding.ts';

export type Change =
  | { readonly kind: 'put'; readonly entry: ForwardingEntry }
  | { readonly kind: 'remove'; readonly entry: ForwardingEntry };

/** Rank for putting; removal runs the other way. */
const order: Readonly<Record<ForwardingTable, number>> = {
  vtep: 0,
  network: 1,
  peer: 2,
  port: 3,
  mac: 4,
  neighbour: 5,
  flood: 6,
};

export function diff(desired: ForwardingState, actual: ForwardingState): Change[] {
  const puts: Change[] = [];
  for (const [key, entry] of desired) {
    const existing = actual.get(key);
    if (existing === undefined || !isSame(existing, entry)) puts.push({ kind: 'put', entry });
  }
  const removals: Change[] = [];
  for (const [key, entry] of actual) if (!desired.has(key)) removals.push({ kind: 'remove', entry });
  puts.sort((left, right) => order[left.entry.table] - order[right.entry.table]);
  removals.sort((left, right) => order[right.entry.table] - order[left.entry.table]);
  return [...puts, ...removals];
}

/** The state after the changes. `patch(actual, diff(desired, actual))` equals `desired`. */
export function patch(state: ForwardingState, changes: readonly Change[]): ForwardingState {
  const next = new Map(state);
  for (const { kind, entry } of changes) {
    if (kind === 'put') next.set(entryKey(entry), entry);
    else next.delete(entryKey(entry));
  }
  return next;
}

/** Entries are flat records of strings, numbers and sorted lists, so their JSON is their value. */
function isSame(left: ForwardingEntry, right: ForwardingEntry): boolean {
  return canonical(left) === canonical(right);
}

function canonical(entry: ForwardingEntry): string {
  return JSON.stringify(entry, (_, value: unknown) =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1)))
      : value,
  );
}

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
  path: 1,
  network: 2,
  peer: 3,
  port: 4,
  mac: 5,
  neighbour: 6,
  group: 7,
  flood: 8,
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

/** Rows are records of texts, numbers, sorted lists and one nested record; a hundred thousand are compared per pass. */
function isSame(left: unknown, right: unknown): boolean {
  if (left === right) return true;
  if (!isRecord(left) || !isRecord(right)) return false;
  const names = Object.keys(left);
  if (names.length !== Object.keys(right).length) return false;
  for (const name of names) if (!isSame(left[name], right[name])) return false;
  return true;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}

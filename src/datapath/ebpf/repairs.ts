/** What was found changed by someone else and put right, where no forwarding entry describes it. */

export type RepairKind =
  /** The VTEP's address was away and is back. */
  | 'address'
  /** A tunnel device was deleted or set down. */
  | 'device'
  /** The pin of a table was unlinked. */
  | 'pin'
  /** A program was taken off a device, or replaced. */
  | 'program'
  /** The row of this node's own VTEP. */
  | 'settings';

export interface Repairs {
  count(kind: RepairKind): void;
  /** Since opening. */
  counts(): Readonly<Record<string, number>>;
}

export function createRepairs(): Repairs {
  const counts = new Map<RepairKind, number>();
  return {
    count: (kind) => counts.set(kind, (counts.get(kind) ?? 0) + 1),
    counts: () => Object.fromEntries(counts),
  };
}

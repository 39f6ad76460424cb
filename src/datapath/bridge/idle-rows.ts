/**
 * Rows that nothing in the kernel corresponds to here, and no packet depends on: which groups are wanted behind a VTEP (all
 * multicast goes to all), what its path carries (nothing is answered for it), and the addresses of a peer that its tunnels do not use. They are kept in memory, so that what was
 * applied is read back; a new process is told of them again.
 */

import { entryKey, type ForwardingEntry } from '../../core/forwarding.ts';

export interface IdleRows {
  all(): readonly ForwardingEntry[];
  put(entry: ForwardingEntry): Promise<void>;
  remove(entry: ForwardingEntry): Promise<void>;
}

export function createIdleRows(): IdleRows {
  const rows = new Map<string, ForwardingEntry>();
  return {
    all: () => [...rows.values()],
    put: async (entry) => void rows.set(entryKey(entry), entry),
    remove: async (entry) => void rows.delete(entryKey(entry)),
  };
}

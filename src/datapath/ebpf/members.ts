/**
 * Which groups the endpoints of this node have joined: rows that the programs write as they see reports, and that outlive
 * the daemon with the other tables. User space lets them expire, and counts them anew when it does, because a count
 * that the programs keep beside the rows knows nothing of that.
 */

import type { Address } from '../../core/address.ts';
import { everyGroup } from '../../core/group.ts';
import type { MapFd } from '../../native/binding.ts';
import { index, memberKey, memberRecord } from './records.ts';
import { createTable } from './table.ts';

export interface Members {
  joined(): ReadonlyArray<{ readonly ifindex: number; readonly group: Address }>;
  /** Gives ports every group for now: what their endpoints joined before anybody listened is not known. */
  openAll(ports: readonly number[], now: bigint): void;
  /** Forgets what was joined at ports that are gone. */
  removePorts(ports: ReadonlySet<number>): void;
  /**
   * Forgets what was last reported before an instant of the monotonic clock, and what other ports than these have.
   * @returns how many rows went
   */
  expire(before: bigint, ports: ReadonlySet<number>): number;
}

export function createMembers(members: MapFd, memberCounts: MapFd): Members {
  const table = createTable(members, memberKey, memberRecord);
  const counts = createTable(memberCounts, index, index);

  function recount(): void {
    const found = new Map([...counts.rows()].map(([ifindex]) => [ifindex, 0]));
    for (const [{ ifindex }] of table.rows()) found.set(ifindex, (found.get(ifindex) ?? 0) + 1);
    counts.remove([...found].filter(([, count]) => count === 0).map(([ifindex]) => ifindex));
    counts.put([...found].filter(([, count]) => count > 0));
  }

  return {
    joined: () => Array.from(table.rows(), ([key]) => key),
    openAll: (ports, now) => table.put(ports.map((ifindex) => [{ ifindex, group: everyGroup }, now])),
    removePorts: (ports) => {
      table.remove(Array.from(table.rows(), ([key]) => key).filter(({ ifindex }) => ports.has(ifindex)));
      counts.remove([...ports]);
    },
    expire: (before, ports) => {
      const old = [...table.rows()].filter(([{ ifindex }, seenAt]) => seenAt < before || !ports.has(ifindex));
      table.remove(old.map(([key]) => key));
      recount();
      return old.length;
    },
  };
}

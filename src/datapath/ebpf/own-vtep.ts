/**
 * This node's own VTEP, and the one it had before: peers learn of a change one after another, and until then send to
 * the former address and port. Both stand in the settings, so that they outlive the process.
 *
 *      become ─▶ own, former ─ nothing has come to it for a while ─▶ own
 */

import type { Vtep } from '../../core/model.ts';
import { isSameVtep } from '../../core/vtep.ts';
import type { Table } from './table.ts';

export interface OwnVtep {
  current(): Vtep;
  /** Null when nobody can be sending there any more. */
  former(): Vtep | null;
  become(vtep: Vtep): void;
  /**
   * Makes the settings say so; at first, and after `become`, with the one before as the former. Idempotent.
   * @returns whether somebody else had changed them
   */
  write(): boolean;
  /** Takes packets to the former VTEP no longer once that many have come to it, and no more for the quiet time. */
  retire(received: number): void;
  /** UDP ports that are received on. */
  ports(): ReadonlySet<number>;
}

/** Specification: SETTINGS_OWN and SETTINGS_FORMER of native/bpf/lib/records.h. */
const row = { own: 0, former: 1 } as const;
/** Implementation: every peer with a container that talks has been heard by then. */
const defaultQuietMs = 60_000;

export function createOwnVtep(settings: Table<number, Vtep | null>, first: Vtep, quietMs = defaultQuietMs): OwnVtep {
  let own = first;
  let before = settings.get(row.own);
  let isWritten = false;
  let last: { readonly received: number; readonly at: number } | null = null;
  const former = () => settings.get(row.former);

  return {
    current: () => own,
    former,
    become: (vtep) => {
      if (isSameVtep(vtep, own)) return;
      before = own;
      own = vtep;
      isWritten = false;
    },
    write: () => {
      const present = settings.get(row.own);
      const isRight = present !== null && isSameVtep(present, own);
      // The former first, so that at no time packets to it are refused.
      if (!isWritten && before !== null && !isSameVtep(before, own)) {
        settings.put([[row.former, before]]);
        last = null;
      }
      if (!isRight) settings.put([[row.own, own]]);
      const isRepair = isWritten && !isRight;
      isWritten = true;
      return isRepair;
    },
    retire: (received) => {
      const now = performance.now();
      if (last === null || last.received !== received) last = { received, at: now };
      else if (now - last.at >= quietMs) settings.put([[row.former, null]]);
    },
    ports: () => new Set([own.port, former()?.port ?? own.port]),
  };
}

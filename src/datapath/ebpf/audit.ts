/**
 * Whether the kernel is as it was left. Tables make no notification when somebody changes them, so they are looked at
 * again and again; a digest of each, made where the bytes are, costs a tenth of having 200,000 rows here as entries.
 *
 *      read ──▶ digest kept ──▶ isIntact: the same digest? ──▶ nothing was changed
 *                   │
 *      apply ───────┘ forgotten: the next look is a reading
 *
 * The digest is taken before the rows are read: a change between the two is in the reading, and the digest, being
 * older, asks for another.
 */

import { setImmediate as turn } from 'node:timers/promises';
import { mapDigest } from '../../native/binding.ts';
import type { Netlink } from '../../netlink/netlink.ts';
import { restorePins } from './pins.ts';
import type { Ports } from './ports.ts';
import type { Programs } from './programs.ts';
import type { Repairs } from './repairs.ts';
import type { Tables } from './tables.ts';

export interface Audit {
  /** Puts pins right and takes the digest; a reading follows. @throws BPF_FAILED, NETLINK_FAILED */
  begin(): Promise<void>;
  /** To be called before every change of ours. */
  forget(): void;
  /** False also when nothing was read since the last change. @throws BPF_FAILED, NETLINK_FAILED */
  isIntact(): Promise<boolean>;
}

interface AuditGround {
  readonly netlink: Netlink;
  readonly programs: Programs;
  readonly tables: Tables;
  readonly ports: Ports;
  readonly repairs: Repairs;
}

/** The programs change the others themselves. */
const audited = ['networks', 'vteps', 'peers', 'ports', 'fdb', 'neighbours', 'groups'] as const;

export function createAudit(ground: AuditGround): Audit {
  let digest: string | null = null;

  function repairPins(): void {
    const { directories, maps } = ground.programs;
    for (let restored = restorePins(directories, maps); restored > 0; restored -= 1) ground.repairs.count('pin');
  }

  return {
    begin: async () => {
      repairPins();
      digest = await digestOf(ground);
    },
    forget: () => {
      digest = null;
    },
    isIntact: async () => {
      repairPins();
      return digest !== null && digest === (await digestOf(ground));
    },
  };
}

async function digestOf({ netlink, programs, tables, ports }: AuditGround): Promise<string> {
  const parts = [JSON.stringify(ports.read(await netlink.links())), tables.flood.digest()];
  for (const name of audited) {
    parts.push(String(mapDigest(programs.map(name))));
    // The largest takes some tens of milliseconds.
    await turn();
  }
  return parts.join(' ');
}

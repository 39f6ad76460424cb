/**
 * The table of VTEPs, a list of the node's own tunnel, and the lists of networks that name them. A row holds the address
 * and the UDP port, so a VTEP whose port changes has all its rows written anew.
 */

import { type Address, familyOf, parseAddress } from '../../core/address.ts';
import type { ForwardingEntry } from '../../core/forwarding.ts';
import { isOverlayError, messageOf, overlayError } from '../../errors.ts';
import { isListed, type MacText, zeroMac } from '../../netlink/neighbour.ts';
import type { Netlink } from '../../netlink/netlink.ts';
import type { Ledger, VtepRow } from './ledger.ts';
import { nodesOwn } from './names.ts';
import type { Networks, Own } from './networks.ts';
import { missing } from './ports.ts';

type VtepEntry = Extract<ForwardingEntry, { table: 'vtep' }>;

export interface Vteps {
  read(): readonly VtepEntry[];
  /** @throws NETLINK_FAILED for one that is not in the table */
  rowOf(tunnel: number, mac: MacText, vtep: Address): VtepRow;
  /** Of a MAC that is on this node: what binds it to no VTEP. */
  ownRowOf(tunnel: number, mac: MacText): VtepRow;
  isOwn(row: VtepRow): boolean;
  /** Whether a row names a VTEP as the table has it. */
  isRight(row: VtepRow): boolean;
  has(address: Address): boolean;
  /** @throws CONFIG_INVALID for another family than the node's own, NETLINK_FAILED */
  put(entry: VtepEntry): Promise<void>;
  remove(address: Address): Promise<void>;
  /** Asks for the route to each. @returns what stands in the way, in words */
  problems(): Promise<readonly string[]>;
}

export function createVteps(own: Own, netlink: Netlink, networks: Networks, ledger: Ledger): Vteps {
  const nowhere = () => parseAddress(familyOf(own.vtep.address) === 'ipv4' ? '0.0.0.0' : '::');

  function table(): readonly VtepRow[] {
    const tunnel = networks.indexOf('tunnel', nodesOwn);
    return tunnel === null ? [] : ledger.list(tunnel, zeroMac);
  }

  const find = (address: Address) => table().find(({ vtep }) => vtep === address);

  function row(ifindex: number, mac: MacText, vtep: Address, port: number | null): VtepRow {
    return { table: 'vxlan', ifindex, mac, isLasting: true, vtep, port };
  }

  /** In networks; a list has no row for long, a MAC goes over in one step. */
  async function rewrite(address: Address, port: number | null): Promise<void> {
    const named = [...ledger.rows()].filter(
      (each): each is VtepRow => each.table === 'vxlan' && each.vtep === address && each.port !== port,
    );
    for (const each of named) {
      if (isListed(each.mac)) await ledger.remove(each);
      await ledger.put({ ...each, port });
    }
  }

  return {
    read: () => table().map(({ vtep, port }) => ({ table: 'vtep', address: vtep, port: port ?? own.vtep.port })),
    rowOf: (tunnel, mac, vtep) => {
      const known = find(vtep);
      if (known === undefined) throw missing(`VTEP ${vtep} in the table`);
      return row(tunnel, mac, vtep, known.port);
    },
    ownRowOf: (tunnel, mac) => row(tunnel, mac, nowhere(), null),
    isOwn: ({ vtep }) => vtep === nowhere(),
    isRight: ({ vtep, port }) => find(vtep)?.port === port,
    has: (address) => find(address) !== undefined,
    put: async ({ address, port }) => {
      if (familyOf(address) !== familyOf(own.vtep.address)) throw otherFamily(address, own.vtep.address);
      const tunnel = networks.indexOf('tunnel', nodesOwn);
      if (tunnel === null) throw missing("the node's own tunnel");
      const portOfRow = port === own.vtep.port ? null : port;
      await rewrite(address, portOfRow);
      await ledger.put(row(tunnel, zeroMac, address, portOfRow));
    },
    remove: async (address) => {
      const known = find(address);
      if (known !== undefined) await ledger.remove(known);
    },
    problems: async () => {
      const found: string[] = [];
      for (const { vtep } of table()) {
        try {
          await netlink.routeTo(vtep);
        } catch (error) {
          if (!isOverlayError(error, 'NETLINK_FAILED')) throw error;
          found.push(`route to VTEP ${vtep}: ${messageOf(error)}`);
        }
      }
      return found;
    },
  };
}

function otherFamily(address: Address, own: Address) {
  return overlayError('CONFIG_INVALID', {
    setting: '--data-path bridge',
    problem: `VTEP ${address} is of another family than this node's ${own}, and such a tunnel has one`,
    remedy: 'give all nodes a --vtep of one family, or run the eBPF data path here',
  });
}

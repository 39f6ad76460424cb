/**
 * Kernel → entries, afresh: two dumps, of links and of rows. What does not fit together is shown as a stand-in that no
 * desired entry can equal, so that the ordinary diff puts it again or removes it. A row of a list whose VTEP is not in the
 * table as it says is deleted at once: no entry could name it.
 */

import { parseAddress } from '../../core/address.ts';
import { entryKey, type ForwardingEntry, type ForwardingState } from '../../core/forwarding.ts';
import { type MacAddress, parseMac } from '../../core/mac.ts';
import type { Vni } from '../../core/vni.ts';
import { isOverlayError } from '../../errors.ts';
import type { Link } from '../../netlink/link.ts';
import { isListed, type NeighbourRow, zeroMac } from '../../netlink/neighbour.ts';
import type { Netlink } from '../../netlink/netlink.ts';
import type { PortRow, VtepRow } from './ledger.ts';
import { nodesOwn, peersMac } from './names.ts';
import type { Tables } from './writing.ts';

/** @throws NETLINK_FAILED */
export async function readState(netlink: Netlink, tables: Tables): Promise<ForwardingState> {
  const devices = takeLinks(tables, await netlink.links());
  const rows = (await netlink.neighbourRows()).filter((row) => row.isLasting && placeOf(tables, row.ifindex) !== null);
  tables.ledger.reset(rows);
  await dropStrays(tables);
  const entries = [...tables.vteps.read(), ...devices, ...readLists(tables), ...readMacs(tables, rows)];
  entries.push(...tables.idle.all());
  for (const row of rows) {
    const entry = neighbourEntry(tables, row);
    if (entry !== null) entries.push(entry);
  }
  return new Map(entries.map((entry) => [entryKey(entry), entry]));
}

function takeLinks({ networks, ports }: Tables, links: readonly Link[]): readonly ForwardingEntry[] {
  const read = networks.read(links);
  return [...read, ...ports.read(links)];
}

/** The network of a device: a tunnel or a port. */
export function placeOf(
  { networks, ports }: Pick<Tables, 'networks' | 'ports'>,
  index: number,
): Vni | typeof nodesOwn | null {
  const place = networks.placeAt(index);
  return place?.kind === 'tunnel' ? place.vni : (ports.at(index)?.vni ?? null);
}

async function dropStrays({ networks, vteps, ledger }: Tables): Promise<void> {
  for (const vni of networks.vnis()) {
    const tunnel = networks.indexOf('tunnel', vni);
    if (tunnel === null) continue;
    const listed = [...ledger.list(tunnel, peersMac), ...ledger.list(tunnel, zeroMac)];
    for (const row of listed) if (!vteps.isRight(row)) await ledger.remove(row);
  }
}

function readLists({ networks, ports, ledger }: Tables): readonly ForwardingEntry[] {
  return networks.vnis().flatMap((vni): ForwardingEntry[] => {
    const tunnel = networks.indexOf('tunnel', vni);
    const list = (mac: string) => (tunnel === null ? [] : ledger.list(tunnel, mac).map(({ vtep }) => vtep));
    const endpoints = ports.inNetwork(vni).filter(({ isFlooded }) => isFlooded);
    return [
      ...list(peersMac).map((vtep) => ({ table: 'peer' as const, vni, source: vtep, vtep })),
      { table: 'flood', vni, endpoints: endpoints.map(({ endpoint }) => endpoint).sort(), vteps: list(zeroMac).sort() },
    ];
  });
}

/** The two rows of a MAC, as far as they are there. */
interface Pair {
  readonly vni: Vni;
  readonly mac: MacAddress;
  vtep?: VtepRow;
  port?: PortRow;
}

function readMacs(tables: Tables, rows: readonly NeighbourRow[]): readonly ForwardingEntry[] {
  const pairs = new Map<string, Pair>();
  for (const row of rows) {
    const vni = placeOf(tables, row.ifindex);
    if (row.table === 'address' || vni === null || vni === nodesOwn) continue;
    const mac = unicast(row.mac);
    if (mac === null) continue;
    const pair = pairs.get(`${vni} ${mac}`) ?? { vni, mac };
    if (row.table === 'vxlan') pair.vtep = row;
    else pair.port = row;
    pairs.set(`${vni} ${mac}`, pair);
  }
  return [...pairs.values()].map((pair) => macEntry(tables, pair));
}

const nobody = parseAddress('::');

function macEntry({ networks, ports, vteps }: Tables, { vni, mac, vtep, port }: Pair): ForwardingEntry {
  const local = port === undefined ? null : ports.at(port.ifindex);
  if (vtep !== undefined && local !== null && vteps.isOwn(vtep)) {
    return { table: 'mac', vni, mac, at: { kind: 'local', endpoint: local.endpoint } };
  }
  const isAtTunnel = port !== undefined && port.ifindex === networks.indexOf('tunnel', vni);
  const isRemote = isAtTunnel && vtep !== undefined && vteps.isRight(vtep);
  return { table: 'mac', vni, mac, at: { kind: 'remote', vtep: isRemote ? vtep.vtep : nobody } };
}

function neighbourEntry(tables: Tables, row: NeighbourRow): ForwardingEntry | null {
  const vni = placeOf(tables, row.ifindex);
  if (row.table !== 'address' || row.mac === null || vni === null || vni === nodesOwn) return null;
  const mac = unicast(row.mac);
  return mac === null ? null : { table: 'neighbour', vni, address: row.address, mac };
}

/** Null for a list's, and for what is no address of a station. */
export function unicast(mac: string): MacAddress | null {
  if (isListed(mac)) return null;
  try {
    return parseMac(mac);
  } catch (error) {
    if (isOverlayError(error, 'MAC_INVALID')) return null;
    throw error;
  }
}

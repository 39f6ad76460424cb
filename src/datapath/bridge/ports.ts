/**
 * Endpoints' ports: a veth pair whose host end is a port of the network's bridge. It lets in the MACs that the bridge was
 * told are there and no other (`locked`, where the kernel can), and gets no frames for MACs that nobody knows.
 *
 *      veth pair ─▶ text ─▶ port of the bridge ─▶ flags ─▶ up        put
 *
 * Each step is idempotent, and a port that lacks anything is read as broken, with an MTU of 0 that no desired port has:
 * it is put again where it is wanted and removed where it is not, by the ordinary diff.
 */

import type { ForwardingEntry } from '../../core/forwarding.ts';
import type { EndpointId } from '../../core/identity.ts';
import { parseMac } from '../../core/mac.ts';
import { maxVni, parseVni, type Vni } from '../../core/vni.ts';
import { overlayError } from '../../errors.ts';
import type { Link } from '../../netlink/link.ts';
import type { Netlink } from '../../netlink/netlink.ts';
import { ensureInterfaces, interfacesOf, stemOf } from '../interfaces.ts';
import { nodesOwn, portOf, portText } from './names.ts';
import type { Networks } from './networks.ts';

type PortEntry = Extract<ForwardingEntry, { table: 'port' }>;

export interface Port {
  readonly endpoint: EndpointId;
  readonly vni: Vni;
  readonly index: number;
  readonly name: string;
  /** Gets broadcast and multicast. */
  readonly isFlooded: boolean;
}

export interface Ports {
  /** Takes the ports from the kernel, the broken ones included. */
  read(links: readonly Link[]): readonly PortEntry[];
  /** Null for an endpoint that has no port here. */
  find(endpoint: EndpointId): Port | null;
  /** Null for an interface that is none of ours. */
  at(index: number): Port | null;
  inNetwork(vni: Vni): readonly Port[];
  /** @throws DEVICE_CONFLICT, NETLINK_FAILED */
  put(entry: PortEntry): Promise<void>;
  remove(endpoint: EndpointId): Promise<void>;
  setFlooded(port: Port, isFlooded: boolean): Promise<void>;
  isSound(link: Link): boolean;
}

/** Implementation. Flooding waits for the list that the port is in. */
const guarded = { learning: false, unicastFlood: false, locked: true } as const;
const unlisted = { multicastFlood: false, broadcastFlood: false } as const;

export function createPorts(netlink: Netlink, networks: Networks): Ports {
  let ports = new Map<number, Port>();

  function isSound(link: Link): boolean {
    const { bridgePort, master } = link;
    const isGuarded = bridgePort?.learning === false && !bridgePort.unicastFlood && bridgePort.locked !== false;
    return link.isUp && isGuarded && vniOf(networks, master) !== null;
  }

  function describe(link: Link): PortEntry {
    const { endpoint, vni } = toPort(networks, link);
    const known = portOf(link.alias);
    if (known === null || !isSound(link)) return broken(endpoint, vni);
    return { table: 'port', ...known, vni, mtuBytes: link.mtuBytes };
  }

  function remember(port: Port): void {
    ports.set(port.index, port);
  }

  const find = (endpoint: EndpointId) => [...ports.values()].find((port) => port.endpoint === endpoint) ?? null;

  return {
    read: (links) => {
      const ours = links.filter(isHostEnd);
      ports = new Map(ours.map((link) => [link.index, toPort(networks, link)]));
      return ours.map(describe);
    },
    find,
    at: (index) => ports.get(index) ?? null,
    inNetwork: (vni) => [...ports.values()].filter((port) => port.vni === vni),
    put: async (entry) => {
      const bridge = networks.indexOf('bridge', entry.vni);
      if (bridge === null) throw missing(`network ${entry.vni} of endpoint ${entry.endpoint}`);
      const { index, name, ...found } = (await ensureInterfaces(netlink, entry)).device;
      await netlink.setAlias(name, portText(entry));
      const isNew = found.master !== bridge;
      if (isNew) await netlink.setMaster(name, bridge);
      await netlink.setBridgePort(name, isNew ? { ...guarded, ...unlisted } : guarded);
      if (!found.isUp) await netlink.setUp(name);
      const isFlooded = !isNew && found.bridgePort?.broadcastFlood === true;
      remember({ endpoint: entry.endpoint, vni: entry.vni, index, name, isFlooded });
    },
    remove: async (endpoint) => {
      const port = find(endpoint);
      if (port !== null) ports.delete(port.index);
      await netlink.deleteLink(interfacesOf(endpoint).hostInterface);
    },
    setFlooded: async (port, isFlooded) => {
      if (port.isFlooded === isFlooded) return;
      await netlink.setBridgePort(port.name, { multicastFlood: isFlooded, broadcastFlood: isFlooded });
      remember({ ...port, isFlooded });
    },
    isSound,
  };
}

/** Of an endpoint, whichever data path made it. */
export function isHostEnd({ name, kind }: Link): boolean {
  return kind === 'veth' && stemOf(name) !== null;
}

/** What a row names and is not there. */
export function missing(what: string) {
  return overlayError('NETLINK_FAILED', { request: `find ${what}`, errno: 'ENODEV' });
}

function toPort(networks: Networks, link: Link): Port {
  const { index, name, bridgePort, master } = link;
  const endpoint = portOf(link.alias)?.endpoint ?? ((stemOf(name) ?? name) as EndpointId);
  const isFlooded = bridgePort?.broadcastFlood === true && bridgePort.multicastFlood;
  return { endpoint, vni: vniOf(networks, master) ?? parseVni(maxVni), index, name, isFlooded };
}

function vniOf(networks: Networks, bridge: number | null): Vni | null {
  const place = bridge === null ? null : networks.placeAt(bridge);
  return place?.kind === 'bridge' && place.vni !== nodesOwn ? place.vni : null;
}

function broken(endpoint: EndpointId, vni: Vni): PortEntry {
  return { table: 'port', endpoint, vni, mac: parseMac('02:00:00:00:00:00'), addresses: [], mtuBytes: 0 };
}

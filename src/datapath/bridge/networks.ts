/**
 * A network's devices: a bridge that keeps to itself, and as a port of it the tunnel to the VTEPs. What is found is adopted
 * and put right; a tunnel that cannot be (its port and address are for life) is made anew, and its rows with it.
 */

import type { ForwardingEntry } from '../../core/forwarding.ts';
import type { Vtep } from '../../core/model.ts';
import type { Vni } from '../../core/vni.ts';
import { overlayError } from '../../errors.ts';
import { isSealed } from '../../netlink/bridge.ts';
import type { Link } from '../../netlink/link.ts';
import type { Netlink } from '../../netlink/netlink.ts';
import { holdingPort } from '../tunnel-port.ts';
import { bridgeName, bridgeText, multicastOf, nodesOwn, type Place, placeOf, tunnelName } from './names.ts';

type NetworkEntry = Extract<ForwardingEntry, { table: 'network' }>;
type Kind = 'bridge' | 'tunnel';

/** This node's own VTEP, which may become another. */
export interface Own {
  vtep: Vtep;
}

export interface Networks {
  /** Takes the devices from the kernel. @returns the networks, broken ones with an MTU of 0 that no desired one has */
  read(links: readonly Link[]): readonly NetworkEntry[];
  /** Of VNIs that have at least one device, the node's own left out. */
  vnis(): readonly Vni[];
  /** Index of a device; null where there is none. */
  indexOf(kind: Kind, vni: Place): number | null;
  /** Null for a device that is none of ours. */
  placeAt(index: number): { readonly kind: Kind; readonly vni: Place } | null;
  /** Idempotent. @throws DEVICE_CONFLICT, TUNNEL_PORT_IN_USE, NETLINK_FAILED */
  put(vni: Place, mtuBytes: number, multicast: boolean): Promise<void>;
  /** Idempotent. */
  remove(vni: Place): Promise<void>;
  /** Whether the device is as `put` leaves it. */
  isSound(link: Link): boolean;
}

/** Implementation: what a tunnel's port of the bridge is set to. Learning, for a MAC whose record is still on its way. */
const tunnelPort = { learning: true, unicastFlood: false, multicastFlood: true, broadcastFlood: true } as const;

export function createNetworks(own: Own, netlink: Netlink): Networks {
  let indexes = new Map<string, number>();
  let places = new Map<number, { readonly kind: Kind; readonly vni: Place }>();
  const nameOf = (kind: Kind, vni: Place) => (kind === 'bridge' ? bridgeName(vni) : tunnelName(vni));
  const indexOf = (kind: Kind, vni: Place) => indexes.get(nameOf(kind, vni)) ?? null;

  function remember({ name, index }: Link): void {
    const place = placeOf(name);
    if (place === null) return;
    forget(name);
    indexes.set(name, index);
    places.set(index, place);
  }

  function forget(name: string): void {
    const index = indexes.get(name);
    indexes.delete(name);
    if (index !== undefined) places.delete(index);
  }

  async function find(kind: Kind, vni: Place): Promise<Link | null> {
    const found = await netlink.linkByName(nameOf(kind, vni));
    if (found !== null && !isOurs(found)) throw conflict(found);
    return found;
  }

  async function putTunnel(vni: Place, mtuBytes: number): Promise<Link> {
    const name = tunnelName(vni);
    const existing = await find('tunnel', vni);
    if (existing !== null && isUsable(existing, own.vtep)) {
      if (existing.mtuBytes !== mtuBytes) await netlink.setMtu(name, mtuBytes);
      return existing;
    }
    if (existing !== null) await netlink.deleteLink(name);
    const tunnel = { name, vni, local: own.vtep.address, port: own.vtep.port, mtuBytes };
    await holdingPort(netlink, own.vtep.port, isOurs, () => netlink.createNetworkTunnel(tunnel));
    return present(name);
  }

  async function putBridge(vni: Place, multicast: boolean): Promise<Link> {
    const name = bridgeName(vni);
    const existing = await find('bridge', vni);
    if (existing === null) await netlink.createSealedBridge(name);
    else if (!isSealed(existing)) await netlink.sealBridge(name);
    if (existing?.alias !== bridgeText(multicast)) await netlink.setAlias(name, bridgeText(multicast));
    return existing ?? present(name);
  }

  async function join(tunnel: Link, bridge: Link): Promise<void> {
    for (const link of [tunnel, bridge]) remember(link);
    if (tunnel.master !== bridge.index) await netlink.setMaster(tunnel.name, bridge.index);
    await netlink.setBridgePort(tunnel.name, tunnelPort);
    if (!tunnel.isUp) await holdingPort(netlink, own.vtep.port, isOurs, () => netlink.setUp(tunnel.name));
    if (!bridge.isUp) await netlink.setUp(bridge.name);
  }

  async function present(name: string): Promise<Link> {
    const link = await netlink.linkByName(name);
    if (link === null) throw overlayError('DEVICE_CONFLICT', { device: name, problem: 'it vanished at once' });
    return link;
  }

  function isSound(link: Link): boolean {
    const place = placeOf(link.name);
    if (place === null || !link.isUp || !isOurs(link)) return false;
    if (place.kind === 'bridge') return isSealed(link) && multicastOf(link.alias) !== null;
    const { bridgePort, master } = link;
    const isPort = master !== null && master === indexOf('bridge', place.vni);
    return isPort && isUsable(link, own.vtep) && bridgePort?.learning === true && !bridgePort.unicastFlood;
  }

  async function remove(vni: Place): Promise<void> {
    for (const kind of ['tunnel', 'bridge'] as const) {
      const found = await netlink.linkByName(nameOf(kind, vni));
      forget(nameOf(kind, vni));
      if (found !== null && isOurs(found)) await netlink.deleteLink(found.name);
    }
  }

  return {
    read: (links) => {
      indexes = new Map();
      places = new Map();
      const ours = links.filter(isOurs);
      for (const link of ours) remember(link);
      const byName = new Map(ours.map((link) => [link.name, link]));
      return vnisOf(places).map((vni) => {
        const [bridge, tunnel] = [byName.get(bridgeName(vni)), byName.get(tunnelName(vni))];
        const isWhole = bridge !== undefined && tunnel !== undefined && isSound(bridge) && isSound(tunnel);
        const mtuBytes = isWhole ? tunnel.mtuBytes : 0;
        return { table: 'network', vni, mtuBytes, multicast: multicastOf(bridge?.alias ?? null) ?? false };
      });
    },
    vnis: () => vnisOf(places),
    indexOf,
    placeAt: (index) => places.get(index) ?? null,
    put: async (vni, mtuBytes, multicast) => {
      const isNew = indexOf('bridge', vni) === null && indexOf('tunnel', vni) === null;
      try {
        await join(await putTunnel(vni, mtuBytes), await putBridge(vni, multicast));
      } catch (error) {
        if (isNew) await remove(vni);
        throw error;
      }
    },
    remove,
    isSound,
  };
}

/** Whether a device of one of our names is what we make of such a name. */
export function isOurs(link: Link): boolean {
  const place = placeOf(link.name);
  if (place?.kind === 'tunnel') return link.vxlan?.id === place.vni && link.vxlan.proxy;
  return place?.kind === 'bridge' && link.kind === 'bridge' && (isSealed(link) || multicastOf(link.alias) !== null);
}

function isUsable({ vxlan }: Link, own: Vtep): boolean {
  return vxlan?.local === own.address && vxlan.port === own.port && vxlan.learning;
}

function vnisOf(places: ReadonlyMap<number, { readonly vni: Place }>): readonly Vni[] {
  const all = new Set([...places.values()].map(({ vni }) => vni));
  return [...all].filter((vni): vni is Vni => vni !== nodesOwn);
}

function conflict({ name, kind }: Link) {
  const problem = `it is of kind ${kind ?? 'physical'}, and not as Weft makes it`;
  return overlayError('DEVICE_CONFLICT', { device: name, problem });
}

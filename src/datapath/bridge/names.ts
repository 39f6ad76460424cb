/**
 * What this data path calls its things, beside the interfaces (../interfaces.ts). With the text that a link keeps, names
 * are all the record there is:
 *
 *   wb<vni>   the bridge of a network        text: whose it is, and what no link can be set to
 *   wx<vni>   its tunnel, a port of it
 *   wh<…>     host's end of a container      text: endpoint, MAC, addresses
 *
 * VNI 0, which no network has, is the node's own: its list of VTEPs is the table of VTEPs, and it holds the UDP port.
 */

import { parseAddress } from '../../core/address.ts';
import type { ForwardingEntry } from '../../core/forwarding.ts';
import type { EndpointId } from '../../core/identity.ts';
import { parseMac } from '../../core/mac.ts';
import { maxVni, parseVni, type Vni } from '../../core/vni.ts';
import { isOverlayError } from '../../errors.ts';
import type { MacText } from '../../netlink/neighbour.ts';

type PortEntry = Extract<ForwardingEntry, { table: 'port' }>;

export const nodesOwn = 0;
export type Place = Vni | typeof nodesOwn;

/** Implementation: a group address that nobody sends to; its list in a network is the table of peers there. */
export const peersMac: MacText = '03:77:65:66:74:00';

export function bridgeName(vni: Place): string {
  return `wb${vni}`;
}

export function tunnelName(vni: Place): string {
  return `wx${vni}`;
}

/** Null for a name that is not of one of the two forms. */
export function placeOf(name: string): { readonly kind: 'bridge' | 'tunnel'; readonly vni: Place } | null {
  const [, letter, digits] = /^w([bx])(0|[1-9][0-9]{0,7})$/.exec(name) ?? [];
  if (letter === undefined || Number(digits) > maxVni) return null;
  const vni = Number(digits) === nodesOwn ? nodesOwn : parseVni(Number(digits));
  return { kind: letter === 'b' ? 'bridge' : 'tunnel', vni };
}

/** Also tells our bridges from others'. */
export function bridgeText(multicast: boolean): string {
  return `weft network, multicast ${multicast ? 'on' : 'off'}`;
}

/** Null for another text. */
export function multicastOf(text: string | null): boolean | null {
  const word = /^weft network, multicast (on|off)$/.exec(text ?? '')?.[1];
  return word === undefined ? null : word === 'on';
}

/** At most 165 characters; a link keeps 255. */
export function portText({ endpoint, mac, addresses, isRouter }: PortEntry): string {
  return [isRouter === true ? 'weft router' : 'weft endpoint', endpoint, mac, ...addresses].join(' ');
}

/** Null for another text, whoever wrote it. */
export function portOf(text: string | null): Pick<PortEntry, 'endpoint' | 'mac' | 'addresses' | 'isRouter'> | null {
  const [, kind, endpoint, mac = '', addresses = ''] =
    /^weft (endpoint|router) (\S+) (\S+)((?: \S+)*)$/.exec(text ?? '') ?? [];
  if (endpoint === undefined) return null;
  try {
    const parsed = addresses.split(' ').filter(Boolean).map(parseAddress);
    const router = kind === 'router' ? { isRouter: true as const } : {};
    return { endpoint: endpoint as EndpointId, mac: parseMac(mac), addresses: parsed, ...router };
  } catch (error) {
    if (isOverlayError(error, 'MAC_INVALID', 'ADDRESS_INVALID')) return null;
    throw error;
  }
}

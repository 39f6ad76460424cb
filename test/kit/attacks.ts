/**
 * Frames of a container that must come to nothing, each with the reason it must be counted under; `oneA` of lan.ts sends
 * them.
 */

import type { enums } from '../../src/datapath/ebpf/layout.gen.ts';
import {
  address,
  arp,
  broadcast,
  bytes,
  ethernet,
  icmpv6,
  ipv4,
  ipv6,
  mac,
  patched,
  protocols,
  transports,
  u16,
  u32,
  udp,
} from './frame.ts';

export interface Attack {
  readonly name: string;
  readonly reason: keyof typeof enums.reason;
  /** What is sent, with the mark in it that would be seen where it arrives. */
  readonly frames: (mark: Uint8Array) => readonly Uint8Array[];
}

export const stations = {
  oneA: { mac: '02:42:0a:00:00:01', ipv4: '10.0.0.1', ipv6: 'fd00::1' },
  oneB: { mac: '02:42:0a:00:00:02', ipv4: '10.0.0.2', ipv6: 'fd00::2' },
  twoA: { mac: '02:42:0a:00:00:03', ipv4: '10.0.0.3', ipv6: 'fd00::3' },
  threeA: { mac: '02:42:0a:00:00:04', ipv4: '10.0.0.4', ipv6: 'fd00::4' },
} as const;
type Station = (typeof stations)[keyof typeof stations];
const { oneA, oneB, twoA } = stations;

const router = 134;
const redirect = 137;
const solicitation = 135;
const advertisement = 136;
const destinationOptions = 60;
const fragmentHeader = 44;
const allNodes = '33:33:00:00:00:01';

const datagram = (mark: Uint8Array) => udp(9, 9, bytes(mark, new Uint8Array(26)));
const ipv4Of = (mark: Uint8Array, source: string, destination: string, tos = 0) =>
  ipv4({ source, destination, transport: transports.udp, payload: datagram(mark), tos });
const ipv6Of = (mark: Uint8Array, source: string, destination: string) =>
  ipv6({ source, destination, transport: transports.udp, payload: datagram(mark) });
export const frameOf = (from: Station, to: Station, mark: Uint8Array) =>
  ethernet({
    destination: to.mac,
    source: from.mac,
    protocol: protocols.ipv4,
    payload: ipv4Of(mark, from.ipv4, to.ipv4),
  });
export const tagged = (frame: Uint8Array, ...tags: readonly number[]) =>
  bytes(frame.subarray(0, 12), ...tags.map((tag) => bytes(u16(tag), u16(100))), frame.subarray(12));

/** Option 14, the nonce, holds six bytes that nobody looks at. */
const nonce = (mark: Uint8Array) => bytes(14, 1, mark);
const linkLayer = (type: 1 | 2, hardware: string) => bytes(type, 1, mac(hardware));

interface Discovery {
  readonly type: number;
  readonly rest: Uint8Array;
  readonly source?: string;
  readonly destination?: string;
  /** What stands before the ICMPv6 header, given as the header's number and its bytes behind the next-header byte. */
  readonly behind?: readonly [number, Uint8Array];
}

function discovery({ type, rest, source = oneA.ipv6, destination = 'ff02::1', behind }: Discovery): Uint8Array {
  const plain = icmpv6({ source, destination, ttl: 255 }, type, 0, rest);
  const packet =
    behind === undefined
      ? plain
      : ipv6({
          source,
          destination,
          ttl: 255,
          transport: behind[0],
          payload: bytes(transports.icmpv6, behind[1], plain.subarray(40)),
        });
  return ethernet({ destination: allNodes, source: oneA.mac, protocol: protocols.ipv6, payload: packet });
}

const advertised = (mark: Uint8Array) => bytes(u32(0x40000708), u32(0), u32(0), nonce(mark));
const claim = (target: string, hardware: string, mark: Uint8Array) =>
  bytes(u32(0x20000000), address(target), linkLayer(2, hardware), nonce(mark));
const eightZeros = bytes(0, new Uint8Array(6));

/** By `eth0` of oneA. */
export const fromContainer: readonly Attack[] = [
  attack('a source MAC of another', 'DROP_SOURCE_MAC', (mark) => [
    bytes(mac(twoA.mac), mac(oneB.mac), frameOf(oneA, twoA, mark).subarray(12)),
  ]),
  attack('an IPv4 source of another', 'DROP_SOURCE_ADDRESS', (mark) => [ip4(ipv4Of(mark, oneB.ipv4, twoA.ipv4))]),
  attack('an IPv4 source of the underlay', 'DROP_SOURCE_ADDRESS', (mark) => [
    ip4(ipv4Of(mark, '192.0.2.2', twoA.ipv4)),
  ]),
  attack('an IPv6 source of another', 'DROP_SOURCE_ADDRESS', (mark) => [ip6(ipv6Of(mark, oneB.ipv6, twoA.ipv6))]),
  ...([1, 2] as const).flatMap((operation) => [
    attack(`ARP ${operation} with the MAC of another`, 'DROP_SOURCE_MAC', (mark) => [
      arpOf(operation, oneB.mac, oneA.ipv4, mark),
    ]),
    attack(`ARP ${operation} with the address of another`, 'DROP_SOURCE_ADDRESS', (mark) => [
      arpOf(operation, oneA.mac, oneB.ipv4, mark),
    ]),
  ]),
  attack('a solicitation with the address of another', 'DROP_SOURCE_ADDRESS', (mark) => [
    discovery({ type: solicitation, source: oneB.ipv6, rest: bytes(u32(0), address(twoA.ipv6), nonce(mark)) }),
  ]),
  attack('a solicitation with the link-layer address of another', 'DROP_SOURCE_MAC', (mark) => [
    discovery({
      type: solicitation,
      rest: bytes(u32(0), address(twoA.ipv6), linkLayer(1, oneB.mac), nonce(mark)),
    }),
  ]),
  attack('an advertisement of the address of another', 'DROP_SOURCE_ADDRESS', (mark) => [
    discovery({ type: advertisement, rest: claim(oneB.ipv6, oneA.mac, mark) }),
  ]),
  attack('an advertisement of the link-layer address of another', 'DROP_SOURCE_MAC', (mark) => [
    discovery({ type: advertisement, rest: claim(oneA.ipv6, oneB.mac, mark) }),
  ]),
  attack('a router advertisement', 'DROP_ROUTER_MESSAGE', (mark) => [
    discovery({ type: router, source: 'fe80::1', rest: advertised(mark) }),
  ]),
  attack('a redirect', 'DROP_ROUTER_MESSAGE', (mark) => [
    discovery({
      type: redirect,
      source: 'fe80::1',
      rest: bytes(u32(0), address('fe80::9'), address(twoA.ipv6), nonce(mark)),
    }),
  ]),
  ...(
    [
      ['destination options', destinationOptions, eightZeros],
      ['a hop-by-hop header', transports.hopByHop, eightZeros],
      ['a first fragment', fragmentHeader, bytes(0, u16(1), u32(7))],
    ] as const
  ).flatMap(([name, header, rest]) => [
    attack(`a router advertisement behind ${name}`, 'DROP_MALFORMED', (mark) => [
      discovery({ type: router, source: 'fe80::1', rest: advertised(mark), behind: [header, rest] }),
    ]),
    attack(`an advertisement of the address of another behind ${name}`, 'DROP_MALFORMED', (mark) => [
      discovery({ type: advertisement, rest: claim(oneB.ipv6, oneA.mac, mark), behind: [header, rest] }),
    ]),
  ]),
  attack('a tag of 802.1Q', 'DROP_VLAN_TAGGED', (mark) => [tagged(frameOf(oneA, twoA, mark), protocols.vlan)]),
  attack('a tag of 802.1ad', 'DROP_VLAN_TAGGED', (mark) => [tagged(frameOf(oneA, twoA, mark), protocols.serviceVlan)]),
  attack('two tags', 'DROP_VLAN_TAGGED', (mark) => [
    tagged(frameOf(oneA, twoA, mark), protocols.serviceVlan, protocols.vlan),
  ]),
  attack('a tag on a frame for a neighbour on the node', 'DROP_VLAN_TAGGED', (mark) => [
    tagged(frameOf(oneA, oneB, mark), protocols.vlan),
  ]),
  attack('a frame of spanning tree', 'DROP_LINK_LOCAL_GROUP', (mark) => [
    ethernet({
      destination: '01:80:c2:00:00:00',
      source: oneA.mac,
      protocol: 38,
      payload: bytes(mark, new Uint8Array(32)),
    }),
  ]),
  attack('a frame of LLDP', 'DROP_LINK_LOCAL_GROUP', (mark) => [
    ethernet({
      destination: '01:80:c2:00:00:0e',
      source: oneA.mac,
      protocol: 0x88cc,
      payload: bytes(mark, new Uint8Array(32)),
    }),
  ]),
  attack('IPv4 in a frame of IPv6', 'DROP_MALFORMED', (mark) => [ip6(bytes(ipv4Of(mark, oneA.ipv4, twoA.ipv4)))]),
  attack('an IPv4 header cut short', 'DROP_MALFORMED', (mark) => [ip4(bytes(0x45, mark, 0))]),
  attack('an IPv4 header of four words', 'DROP_MALFORMED', (mark) => [
    ip4(patched(ipv4Of(mark, oneA.ipv4, twoA.ipv4), 0, 0x44)),
  ]),
  attack('an IPv6 header cut short', 'DROP_MALFORMED', (mark) => [ip6(bytes(0x60, mark, new Uint8Array(20)))]),
  attack('ARP cut short', 'DROP_MALFORMED', (mark) => [
    ethernet({
      destination: broadcast,
      source: oneA.mac,
      protocol: protocols.arp,
      payload: bytes(mark, new Uint8Array(12)),
    }),
  ]),
  attack('a destination nobody has', 'DROP_UNKNOWN_DESTINATION', (mark) => [
    bytes(mac('02:42:0a:00:00:77'), frameOf(oneA, twoA, mark).subarray(6)),
  ]),
];

export function attack(name: string, reason: Attack['reason'], frames: Attack['frames']): Attack {
  return { name, reason, frames };
}

function ip4(packet: Uint8Array): Uint8Array {
  return ethernet({ destination: twoA.mac, source: oneA.mac, protocol: protocols.ipv4, payload: packet });
}

function ip6(packet: Uint8Array): Uint8Array {
  return ethernet({ destination: twoA.mac, source: oneA.mac, protocol: protocols.ipv6, payload: packet });
}

function arpOf(operation: 1 | 2, senderMac: string, sender: string, mark: Uint8Array): Uint8Array {
  const packet = arp({ operation, senderMac, sender, targetMac: twoA.mac, target: twoA.ipv4 });
  return ethernet({
    destination: broadcast,
    source: oneA.mac,
    protocol: protocols.arp,
    payload: bytes(packet, mark, new Uint8Array(12)),
  });
}

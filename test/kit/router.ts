/**
 * The router between the lab's LANs: a network namespace that forwards, with a bridge for each LAN and a port on it
 * for each node, so that nodes of one LAN reach each other directly and others through the router.
 *
 *   LAN i = 10.10.i.0/24 and fd00:10:i::/64, the router is host 1 of each.
 *
 * A path's MTU is a property of the router's routes, in both directions of a node, not of a device: a packet too big
 * is answered with an ICMP error (or, when the router is mute, dropped in silence), as a real narrow path does it.
 */

import { run } from './command.ts';
import { createNetns, insideNetns, ipBatch, sysctl } from './netns.ts';

/** A node's place: its LAN, its number there, and the router's end of its cable. */
export interface Place {
  readonly lan: number;
  readonly host: number;
  readonly port: string;
  readonly address: string;
  readonly address6: string;
}

export interface Router {
  readonly netns: string;
  /** Plugs a namespace into a LAN: device eth0 with addresses and default routes, up. */
  plug(netns: string, lan: number, mtuBytes: number): Promise<Place>;
  setPortUp(place: Place, up: boolean): Promise<void>;
  /** The largest packet that passes between this place and other LANs. Undefined: no limit of the path's own. */
  setPathMtu(place: Place, bytes: number | undefined): Promise<void>;
  /** Whether too big packets are dropped without a word. */
  setMute(mute: boolean): Promise<void>;
}

const families = [
  { flag: '-4', address: 'address', subnet: (lan: number) => `10.10.${lan}.0/24` },
  { flag: '-6', address: 'address6', subnet: (lan: number) => `fd00:10:${lan}::/64` },
] as const;

export async function createRouter(netns: string): Promise<Router> {
  const places: Place[] = [];
  const lans = new Set<number>();
  const limits = new Map<Place, number>();
  await createNetns(netns);
  await sysctl(netns, ['net.ipv4.ip_forward=1', 'net.ipv4.conf.all.rp_filter=0', 'net.ipv6.conf.all.forwarding=1']);

  async function addLan(lan: number): Promise<void> {
    lans.add(lan);
    const bridge = `lan${lan}`;
    await ipBatch(netns, [
      `link add ${bridge} up type bridge forward_delay 0 mcast_snooping 0 nf_call_iptables 0 nf_call_ip6tables 0`,
      `address add 10.10.${lan}.1/24 dev ${bridge}`,
      `address add fd00:10:${lan}::1/64 dev ${bridge} nodad`,
    ]);
  }

  return {
    netns,
    async plug(nodeNetns, lan, mtuBytes) {
      if (!lans.has(lan)) await addLan(lan);
      const place = nextPlace(places, lan);
      places.push(place);
      await ipBatch(netns, [
        `link add ${place.port} mtu ${mtuBytes} type veth peer name eth0 mtu ${mtuBytes} netns ${nodeNetns}`,
        `link set ${place.port} master lan${lan} up`,
      ]);
      await ipBatch(nodeNetns, [
        'link set eth0 up',
        `address add ${place.address}/24 dev eth0`,
        `address add ${place.address6}/64 dev eth0 nodad`,
        `route add default via 10.10.${lan}.1`,
        `route add default via fd00:10:${lan}::1`,
      ]);
      // A LAN that is new must be in the tables of the limited nodes.
      await clearLimits(netns, limits);
      await writeLimits(netns, limits, lans);
      return place;
    },
    setPortUp: (place, up) => ipBatch(netns, [`link set ${place.port} ${up ? 'up' : 'down'}`]),
    async setPathMtu(place, bytes) {
      await clearLimits(netns, limits);
      if (bytes === undefined) limits.delete(place);
      else limits.set(place, bytes);
      await writeLimits(netns, limits, lans);
    },
    setMute: (mute) => setMute(netns, mute),
  };
}

function nextPlace(places: readonly Place[], lan: number): Place {
  const host = places.filter((place) => place.lan === lan).length + 2;
  return {
    lan,
    host,
    port: `p${places.length + 1}`,
    address: `10.10.${lan}.${host}`,
    address6: `fd00:10:${lan}::${host}`,
  };
}

/** To the node: a host route with the limit. From it: a table of its own, in which every route has the limit. */
async function writeLimits(netns: string, limits: ReadonlyMap<Place, number>, lans: ReadonlySet<number>) {
  for (const family of families) {
    const lines = [...limits].flatMap(([place, bytes]) => {
      const { lan } = place;
      const table = tableOf(place);
      const host = (to: Place, mtu: number, into: number | 'main') =>
        `route replace ${to[family.address]} dev lan${to.lan} mtu lock ${mtu} table ${into}`;
      const otherLans = [...lans].filter((other) => other !== lan);
      const otherLimits = [...limits].filter(([other]) => other.lan !== lan);
      return [
        host(place, bytes, 'main'),
        `rule add from ${place[family.address]} iif lan${lan} lookup ${table} priority ${table}`,
        ...otherLans.map((to) => `route replace ${family.subnet(to)} dev lan${to} mtu lock ${bytes} table ${table}`),
        ...otherLimits.map(([other, otherBytes]) => host(other, Math.min(bytes, otherBytes), table)),
      ];
    });
    await ipBatch(netns, lines, family.flag);
  }
}

async function clearLimits(netns: string, limits: ReadonlyMap<Place, number>): Promise<void> {
  for (const family of families) {
    const lines = [...limits.keys()].flatMap((place) => [
      `rule del priority ${tableOf(place)}`,
      `route flush table ${tableOf(place)}`,
      `route del ${place[family.address]} dev lan${place.lan}`,
    ]);
    await ipBatch(netns, lines, family.flag);
  }
}

function tableOf(place: Place): number {
  return 1000 + Number(place.port.slice(1));
}

async function setMute(netns: string, mute: boolean): Promise<void> {
  const inside = insideNetns(netns);
  const operation = mute ? '-A' : '-D';
  await run([...inside, 'iptables', '-w', operation, 'OUTPUT', ...'-p icmp --icmp-type 3/4 -j DROP'.split(' ')]);
  await run([...inside, 'ip6tables', '-w', operation, 'OUTPUT', ...'-p icmpv6 --icmpv6-type 2 -j DROP'.split(' ')]);
}

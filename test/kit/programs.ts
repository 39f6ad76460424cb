/**
 * The eBPF programs with their tables filled, to be run on single frames (BPF_PROG_TEST_RUN) in a namespace of their own.
 *
 *   VNI 42   a  10.0.0.1 fd00::1   local, port `wft0`
 *            b  10.0.0.2 fd00::2   local, port `wft2`
 *            c  10.0.0.3 fd00::3   remote, VTEP 1 = 192.0.2.2
 *            d  10.0.0.4 fd00::4   remote, VTEP 2 = 192.0.2.3, path MTU 1400
 *            e  10.0.0.5 fd00::5   remote, VTEP 3 = 2001:db8::2
 *   own VTEP 192.0.2.1 and 2001:db8::1 on `wfu0`, tunnel port 14789
 *
 * A run tells verdict, bytes, what was counted and which events came; redirects are not carried out, copies are.
 */

import * as assert from 'uvu/assert';
import { mappedBytes, parseAddress } from '../../src/core/address.ts';
import {
  counter,
  type Event,
  enums,
  event,
  fdbEntry,
  fdbKey,
  floodEntry,
  neighbour,
  neighbourKey,
  network,
  networkKey,
  peer,
  peerKey,
  port,
  portKey,
  reasons,
  settings,
  vtep,
} from '../../src/datapath/ebpf/layout.gen.ts';
import * as bpf from '../../src/native/binding.ts';
import { address, u32 as bigEndian, mac } from './frame.ts';
import { run } from './own-namespace.ts';

export const verdicts = { next: -1, drop: 2, redirect: 7 } as const;
export const vni = 42;
export const tunnelPort = 14789;

export interface Station {
  readonly mac: string;
  readonly ipv4: string;
  readonly ipv6: string;
}

export const a: Station = { mac: '02:42:0a:00:00:01', ipv4: '10.0.0.1', ipv6: 'fd00::1' };
export const b: Station = { mac: '02:42:0a:00:00:02', ipv4: '10.0.0.2', ipv6: 'fd00::2' };
export const c: Station = { mac: '02:42:0a:00:00:03', ipv4: '10.0.0.3', ipv6: 'fd00::3' };
export const d: Station = { mac: '02:42:0a:00:00:04', ipv4: '10.0.0.4', ipv6: 'fd00::4' };
export const e: Station = { mac: '02:42:0a:00:00:05', ipv4: '10.0.0.5', ipv6: 'fd00::5' };
/** In no table. */
export const stranger: Station = { mac: '02:42:0a:00:00:63', ipv4: '10.0.0.99', ipv6: 'fd00::99' };

export const nodes = {
  own: '192.0.2.1',
  own6: '2001:db8::1',
  c: '192.0.2.2',
  d: '192.0.2.3',
  e: '2001:db8::2',
  unknown: '192.0.2.77',
} as const;
export const underlayMac = '02:11:00:00:00:01';

export interface Outcome {
  readonly verdict: number;
  readonly data: Uint8Array;
  /** What was counted, by name. */
  readonly counts: Readonly<Record<string, number>>;
  readonly events: readonly Event[];
}

export interface Programs {
  readonly indexes: { readonly a: number; readonly b: number; readonly underlay: number; readonly tunnel: number };
  map(name: string): bpf.MapFd;
  fromContainer(frame: Uint8Array, ifindex?: number): Outcome;
  fromUnderlay(frame: Uint8Array): Outcome;
  fromTunnel(frame: Uint8Array): Outcome;
  /** Tables as at the start, buckets full. */
  reset(): void;
}

type Rodata = Readonly<Record<string, number>>;

/** Call after `enterOwnNamespace`. Everything ends with the process. */
export function loadPrograms(rodata: Rodata = {}): Programs {
  const indexes = makeDevices();
  const path = new URL('../../native/build/overlay.bpf.o', import.meta.url).pathname;
  const { programs, maps } = bpf.loadObject({ path, pinPath: null, rodata });
  const map = (name: string) => existing(maps, name);
  const events: Event[] = [];
  const ring = bpf.ringOpen(map('events'), (record) => events.push(event.decode(record)));
  const execute = (name: string, data: Uint8Array, ifindex: number): Outcome => {
    const before = readCounters(map('counters'));
    ring.drain();
    events.length = 0;
    const { verdict, data: output } = bpf.testRun({ program: existing(programs, name), data, ifindex });
    ring.drain();
    return { verdict, data: output, counts: difference(before, readCounters(map('counters'))), events: [...events] };
  };
  const programsUnderTest: Programs = {
    indexes,
    map,
    fromContainer: (frame, ifindex = indexes.a) => execute('from_container', frame, ifindex),
    fromUnderlay: (frame) => execute('from_underlay', frame, indexes.underlay),
    fromTunnel: (frame) => execute('from_tunnel', frame, indexes.tunnel),
    reset: () => fill(map, indexes),
  };
  programsUnderTest.reset();
  return programsUnderTest;
}

/** Holds an outcome to a verdict and to exactly these counts. */
export function fate(outcome: Outcome, verdict: keyof typeof verdicts, counts: Readonly<Record<string, number>>): void {
  assert.equal(outcome.counts, counts);
  assert.is(outcome.verdict, verdicts[verdict]);
}

/** Holds an outcome to a drop that was counted once and reported. */
export function dropped(outcome: Outcome, reason: keyof typeof enums.reason): void {
  fate(outcome, 'drop', { [reason]: 1 });
  const reported = outcome.events.filter(({ kind }) => kind === enums.event_kind.EVENT_DROP);
  assert.equal(
    reported.map((sample) => sample.reason),
    [enums.reason[reason]],
  );
}

export function mapped(text: string): Uint8Array {
  return mappedBytes(parseAddress(text));
}

function makeDevices(): Programs['indexes'] {
  for (const [near, far] of [
    ['wft0', 'wft1'],
    ['wft2', 'wft3'],
    ['wfu0', 'wfu1'],
  ] as const) {
    run('ip', 'link', 'add', near, 'type', 'veth', 'peer', 'name', far);
    run('ip', 'link', 'set', near, 'up');
    run('ip', 'link', 'set', far, 'up');
  }
  run('ip', 'link', 'set', 'wfu0', 'address', underlayMac);
  run('ip', 'link', 'add', 'wfx0', 'type', 'vxlan', 'external', 'dstport', String(tunnelPort), 'nolearning');
  run('ip', 'link', 'set', 'wfx0', 'up');
  return { a: ifindex('wft0'), b: ifindex('wft2'), underlay: ifindex('wfu0'), tunnel: ifindex('wfx0') };
}

function ifindex(name: string): number {
  return Number.parseInt(run('ip', '-o', 'link', 'show', name), 10);
}

function fill(map: (name: string) => bpf.MapFd, indexes: Programs['indexes']): void {
  for (const name of [
    'networks',
    'peers',
    'ports',
    'fdb',
    'neighbours',
    'buckets',
    'members',
    'member_counts',
    'groups',
  ]) {
    bpf.mapDeleteBatch(
      map(name),
      bpf.mapEntries(map(name)).map(([key]) => key),
    );
  }
  const put = (name: string, key: Uint8Array, value: Uint8Array) => bpf.mapUpdate(map(name), key, value);
  put('settings', u32(0), settings.encode({ ipv4: address(nodes.own), ipv6: address(nodes.own6), port: tunnelPort }));
  put(
    'networks',
    networkKey.encode({ vni }),
    network.encode({ mtu: 1450, flags: enums.network_flags.NETWORK_MULTICAST }),
  );
  const link = {
    gateway: new Uint8Array(16),
    ifindex: indexes.underlay,
    tunnelIfindex: indexes.tunnel,
    hops: 0,
    port: tunnelPort,
    family: 2,
    provenMtu: 0,
  };
  put('vteps', u32(1), vtep.encode({ ...link, address: mapped(nodes.c), mtu: 1500 }));
  put('vteps', u32(2), vtep.encode({ ...link, address: mapped(nodes.d), mtu: 1400 }));
  put('vteps', u32(3), vtep.encode({ ...link, address: mapped(nodes.e), mtu: 1500, family: 10 }));
  put('peers', peerKey.encode({ vni, address: mapped(nodes.c) }), peer.encode({ vtep: 1 }));
  put('peers', peerKey.encode({ vni, address: mapped(nodes.d) }), peer.encode({ vtep: 2 }));
  put('peers', peerKey.encode({ vni, address: mapped(nodes.e) }), peer.encode({ vtep: 3 }));
  for (const [station, index] of [
    [a, indexes.a],
    [b, indexes.b],
  ] as const) {
    put('ports', portKey.encode({ ifindex: index }), portOf(station, 0));
    put('fdb', fdbKey.encode({ vni, mac: mac(station.mac) }), fdbEntry.encode({ ifindex: index, vtep: 0, flags: 0 }));
  }
  for (const [station, id] of [
    [c, 1],
    [d, 2],
    [e, 3],
  ] as const) {
    put('fdb', fdbKey.encode({ vni, mac: mac(station.mac) }), fdbEntry.encode({ ifindex: 0, vtep: id, flags: 0 }));
  }
  for (const station of [a, b, c, d, e]) {
    const entry = neighbour.encode({ mac: mac(station.mac), flags: 0 });
    put('neighbours', neighbourKey.encode({ vni, address: mapped(station.ipv4) }), entry);
    put('neighbours', neighbourKey.encode({ vni, address: mapped(station.ipv6) }), entry);
  }
  const copies = [
    { kind: enums.flood_kind.FLOOD_LOCAL, target: indexes.a },
    { kind: enums.flood_kind.FLOOD_LOCAL, target: indexes.b },
    { kind: enums.flood_kind.FLOOD_REMOTE, target: 1 },
  ];
  const list = bpf.createArray({
    name: 'flood',
    valueSize: floodEntry.size,
    values: copies.map((copy) => floodEntry.encode(copy)),
  });
  bpf.mapUpdateInner(map('flood'), networkKey.encode({ vni }), list);
  bpf.closeFd(list);
}

/** The record of an endpoint's port. */
export function portOf(station: Station, flags: number): Uint8Array {
  const { mac: hardware, ipv4, ipv6 } = station;
  return port.encode({ vni, mtu: 1450, mac: mac(hardware), flags, ipv4: address(ipv4), ipv6: address(ipv6) });
}

/** A host-order key. */
export function u32(value: number): Uint8Array {
  return bigEndian(value).reverse();
}

/** Packets by reason, summed over the CPUs. */
export function readCounters(map: bpf.MapFd): ReadonlyMap<string, number> {
  return new Map(reasons.map(({ code, name }) => [name, total(bpf.mapLookup(map, u32(code)))]));
}

function total(perCpu: Uint8Array | null): number {
  const all = perCpu ?? new Uint8Array(0);
  let packets = 0;
  for (let at = 0; at < all.length; at += counter.size)
    packets += Number(counter.decode(all.subarray(at, at + counter.size)).packets);
  return packets;
}

/** What was added, without what stayed. */
export function difference(
  before: ReadonlyMap<string, number>,
  after: ReadonlyMap<string, number>,
): Record<string, number> {
  const changed = [...after].map(([name, packets]) => [name, packets - (before.get(name) ?? 0)] as const);
  return Object.fromEntries(changed.filter(([, packets]) => packets !== 0));
}

function existing<Fd>(fds: ReadonlyMap<string, Fd>, name: string): Fd {
  const fd = fds.get(name);
  if (fd === undefined) throw new Error(`the object has no ${name}`);
  return fd;
}

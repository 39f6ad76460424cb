/** A source whose record has not arrived yet (native/bpf/lib/learn.h): delivered, answered, reported, and limited. */

import * as assert from 'uvu/assert';
import { enums, fdbEntry, fdbKey } from '../../src/datapath/ebpf/layout.gen.ts';
import * as bpf from '../../src/native/binding.ts';
import {
  type Arp,
  arp,
  broadcast,
  ethernet,
  ipv4,
  ipv6,
  mac,
  protocols,
  transports,
  udp,
  vxlan,
} from '../kit/frame.ts';
import { enterOwnNamespace } from '../kit/own-namespace.ts';
import {
  a,
  dropped,
  fate,
  loadPrograms,
  mapped,
  nodes,
  stranger,
  tunnelPort,
  underlayMac,
  vni,
} from '../kit/programs.ts';
import { suite } from '../kit/suite.ts';

enterOwnNamespace(import.meta.url);
const rate = 50;
const programs = loadPrograms({ learn_rate: rate });
const test = suite('learn');
test.before.each(() => programs.reset());

const payload = udp(7000, 7001, new Uint8Array(8));
const packet4 = ipv4({ source: stranger.ipv4, destination: a.ipv4, transport: transports.udp, payload });
const packet6 = ipv6({ source: stranger.ipv6, destination: a.ipv6, transport: transports.udp, payload });
const asking: Arp = {
  operation: 1,
  senderMac: stranger.mac,
  sender: stranger.ipv4,
  targetMac: '00:00:00:00:00:00',
  target: a.ipv4,
};

function arrive(
  protocol: number,
  packet: Uint8Array,
  changed: { from?: string; source?: string; destination?: string } = {},
) {
  const { from = nodes.c, source = stranger.mac, destination = a.mac } = changed;
  const macs = { destinationMac: underlayMac, sourceMac: '02:11:00:00:00:02' };
  const outer = { ...macs, source: from, destination: nodes.own, sourcePort: 50000, port: tunnelPort, vni };
  return programs.fromUnderlay(vxlan(outer, ethernet({ destination, source, protocol, payload: packet })));
}

function entryOf(hardware: string) {
  const bytes = bpf.mapLookup(programs.map('fdb'), fdbKey.encode({ vni, mac: mac(hardware) }));
  return bytes === null ? null : fdbEntry.decode(bytes);
}

test('the first packet is delivered, and leaves a provisional entry and a report', () => {
  for (const [protocol, packet, address] of [
    [protocols.ipv4, packet4, stranger.ipv4],
    [protocols.ipv6, packet6, stranger.ipv6],
  ] as const) {
    programs.reset();

    const outcome = arrive(protocol, packet);

    fate(outcome, 'redirect', { LEARNED: 1, DECAPSULATED: 1 });
    assert.equal(entryOf(stranger.mac), { ifindex: 0, vtep: 1, flags: enums.fdb_flags.FDB_PROVISIONAL });
    const [report, ...others] = outcome.events;
    assert.equal(others, []);
    assert.equal(report, {
      kind: enums.event_kind.EVENT_PROVISIONAL,
      reason: 0,
      vni,
      ifindex: programs.indexes.underlay,
      mac: mac(stranger.mac),
      address: mapped(address),
      vtep: mapped(nodes.c),
    });
  }
});

test('an ARP request of a stranger is copied to the local ports, and reported with its address', () => {
  const outcome = arrive(protocols.arp, arp(asking), { destination: broadcast });

  fate(outcome, 'drop', { LEARNED: 1, FLOOD_RECEIVED: 1 });
  assert.equal(outcome.events[0]?.address, mapped(stranger.ipv4));
});

test('the answer finds its way', () => {
  arrive(protocols.ipv4, packet4);

  const packet = ipv4({ source: a.ipv4, destination: stranger.ipv4, transport: transports.udp, payload });
  const frame = ethernet({ destination: stranger.mac, source: a.mac, protocol: protocols.ipv4, payload: packet });

  fate(programs.fromContainer(frame), 'redirect', { ENCAPSULATED: 1 });
});

test('the second packet reports nothing more', () => {
  arrive(protocols.ipv4, packet4);

  const outcome = arrive(protocols.ipv4, packet4);

  fate(outcome, 'redirect', { DECAPSULATED: 1 });
  assert.equal(outcome.events, []);
});

test('what was learned from one VTEP is refused from another', () => {
  arrive(protocols.ipv4, packet4);

  dropped(arrive(protocols.ipv4, packet4, { from: nodes.d }), 'DROP_SOURCE_ELSEWHERE');
  assert.is(entryOf(stranger.mac)?.vtep, 1);
});

test('nothing is learned from a VTEP that may not send in the network', () => {
  dropped(arrive(protocols.ipv4, packet4, { from: nodes.unknown }), 'DROP_UNKNOWN_VTEP');
  assert.is(entryOf(stranger.mac), null);
});

test('a VTEP that invents sources is limited; another is not', () => {
  const source = (index: number) => `02:99:00:00:${byte(index >> 8)}:${byte(index)}`;
  const outcomes = Array.from({ length: 300 }, (_, index) =>
    arrive(protocols.ipv4, packet4, { source: source(index) }),
  );

  const learned = outcomes.filter(({ counts }) => counts['LEARNED'] === 1).length;
  const limited = outcomes.filter(({ counts }) => counts['DROP_RATE_LIMITED'] === 1).length;
  assert.is(learned + limited, outcomes.length);
  assert.ok(learned >= rate && limited > 0, `${learned} learned, ${limited} limited`);
  fate(arrive(protocols.ipv4, packet4, { from: nodes.d }), 'redirect', { LEARNED: 1, DECAPSULATED: 1 });
});

function byte(value: number): string {
  return (value & 0xff).toString(16).padStart(2, '0');
}

test.run();

/** ARP answered in place (native/bpf/lib/arp.h): the answer byte by byte, what is not answered, and who may say what. */

import * as assert from 'uvu/assert';
import { enums, neighbour, neighbourKey } from '../../src/datapath/ebpf/layout.gen.ts';
import * as bpf from '../../src/native/binding.ts';
import { type Arp, arp, broadcast, bytes, ethernet, mac, patched, protocols } from '../kit/frame.ts';
import { enterOwnNamespace } from '../kit/own-namespace.ts';
import { a, b, c, dropped, fate, loadPrograms, mapped, stranger, vni } from '../kit/programs.ts';
import { suite } from '../kit/suite.ts';

enterOwnNamespace(import.meta.url);
const rate = 20;
const programs = loadPrograms({ event_rate: rate });
const test = suite('arp');
test.before.each(() => programs.reset());

const zeroMac = '00:00:00:00:00:00';
const asking: Arp = { operation: 1, senderMac: a.mac, sender: a.ipv4, targetMac: zeroMac, target: c.ipv4 };
const frameOf = (packet: Partial<Arp>, destination = broadcast) =>
  ethernet({ destination, source: a.mac, protocol: protocols.arp, payload: arp({ ...asking, ...packet }) });
const answerOf = (packet: Partial<Arp>, owner: string) =>
  ethernet({
    destination: a.mac,
    source: owner,
    protocol: protocols.arp,
    payload: arp({ operation: 2, senderMac: owner, sender: c.ipv4, targetMac: a.mac, target: a.ipv4, ...packet }),
  });

test('a request for a known address is answered with every byte in place', () => {
  const outcome = programs.fromContainer(frameOf({}));

  fate(outcome, 'redirect', { ARP_ANSWERED: 1 });
  assert.equal(outcome.data, answerOf({}, c.mac));
});

test('padding behind the request stays', () => {
  const padding = new Uint8Array(18).fill(0xee);

  const { data } = programs.fromContainer(bytes(frameOf({}), padding));

  assert.equal(data, bytes(answerOf({}, c.mac), padding));
});

test('an address of a container of the same node is answered too', () => {
  const { data } = programs.fromContainer(frameOf({ target: b.ipv4 }));

  assert.equal(data, answerOf({ sender: b.ipv4 }, b.mac));
});

test('a unicast request to the owner is answered, one to somebody else is forwarded', () => {
  fate(programs.fromContainer(frameOf({}, c.mac)), 'redirect', { ARP_ANSWERED: 1 });
  fate(programs.fromContainer(frameOf({}, b.mac)), 'redirect', { LOCAL: 1 });
});

test("a probe is answered when the address is another's", () => {
  const outcome = programs.fromContainer(frameOf({ sender: '0.0.0.0' }));

  fate(outcome, 'redirect', { ARP_ANSWERED: 1 });
  assert.equal(outcome.data, answerOf({ target: '0.0.0.0' }, c.mac));
});

test('a probe for the own address is flooded, not answered, whether or not it is in the table yet', () => {
  const probe = frameOf({ sender: '0.0.0.0', target: a.ipv4 });
  fate(programs.fromContainer(probe), 'drop', { FLOODED: 1 });

  bpf.mapDelete(programs.map('neighbours'), neighbourKey.encode({ vni, address: mapped(a.ipv4) }));

  const outcome = programs.fromContainer(probe);
  fate(outcome, 'drop', { FLOODED: 1 });
  assert.equal(outcome.events, []);
});

test('a probe for the own address is answered when the table says it is taken', () => {
  const key = neighbourKey.encode({ vni, address: mapped(a.ipv4) });
  bpf.mapUpdate(programs.map('neighbours'), key, neighbour.encode({ mac: mac(b.mac), flags: 0 }));

  fate(programs.fromContainer(frameOf({ sender: '0.0.0.0', target: a.ipv4 })), 'redirect', { ARP_ANSWERED: 1 });
});

test('an announcement is flooded, never answered', () => {
  for (const operation of [1, 2] as const) {
    const announcement = frameOf({ operation, target: a.ipv4 });
    fate(programs.fromContainer(announcement), 'drop', { FLOODED: 1 });
  }
});

test('a request for an unknown address is flooded, and user space is asked', () => {
  const outcome = programs.fromContainer(frameOf({ target: stranger.ipv4 }));

  fate(outcome, 'drop', { FLOODED: 1 });
  const [miss, ...others] = outcome.events;
  assert.equal(others, []);
  assert.is(miss?.kind, enums.event_kind.EVENT_MISS_ADDRESS);
  assert.is(miss?.vni, vni);
  assert.is(miss?.ifindex, programs.indexes.a);
  assert.equal(miss?.mac, mac(a.mac));
  assert.equal(miss?.address, mapped(stranger.ipv4));
});

test('questions to user space are limited for one device', () => {
  const outcomes = Array.from({ length: 300 }, () => programs.fromContainer(frameOf({ target: stranger.ipv4 }, b.mac)));

  const questions = outcomes.reduce((sum, { events }) => sum + events.length, 0);
  assert.ok(questions >= rate && questions < 300, `${questions} events of 300 misses`);
});

test("claims of another's MAC or address are dropped, in requests and answers", () => {
  for (const operation of [1, 2] as const) {
    dropped(programs.fromContainer(frameOf({ operation, senderMac: b.mac })), 'DROP_SOURCE_MAC');
    dropped(programs.fromContainer(frameOf({ operation, sender: b.ipv4 })), 'DROP_SOURCE_ADDRESS');
    dropped(programs.fromContainer(frameOf({ operation, sender: b.ipv4, target: b.ipv4 })), 'DROP_SOURCE_ADDRESS');
  }
});

test('what is not ARP for IPv4 over Ethernet is dropped', () => {
  const start = 14;
  for (const frame of [
    patched(frameOf({}), start + 1, 6),
    patched(frameOf({}), start + 3, 6),
    patched(frameOf({}), start + 4, 8),
    patched(frameOf({}), start + 5, 16),
    frameOf({}).slice(0, 41),
  ]) {
    dropped(programs.fromContainer(frame), 'DROP_MALFORMED');
  }
});

test.run();

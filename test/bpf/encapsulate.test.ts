/** What leaves a container for another node: the outer headers byte by byte, and when the kernel's device is asked instead. */

import * as assert from 'uvu/assert';
import { fdbKey, vtep } from '../../src/datapath/ebpf/layout.gen.ts';
import * as bpf from '../../src/native/binding.ts';
import { address, bytes, ethernet, ipv4, ipv6, mac, protocols, transports, u16, udp, vxlan } from '../kit/frame.ts';
import { enterOwnNamespace } from '../kit/own-namespace.ts';
import { a, b, c, dropped, fate, loadPrograms, nodes, tunnelPort, u32, vni } from '../kit/programs.ts';
import { suite } from '../kit/suite.ts';

enterOwnNamespace(import.meta.url);
const programs = loadPrograms();
const test = suite('encapsulate');
test.before.each(() => programs.reset());

const payload = udp(7000, 7001, new Uint8Array(64).fill(0x5a));
const toC = { destination: c.mac, source: a.mac };
const ipv4ToC = (tos = 0) => {
  const packet = ipv4({ source: a.ipv4, destination: c.ipv4, transport: transports.udp, payload, tos });
  return ethernet({ ...toC, protocol: protocols.ipv4, payload: packet });
};
const ipv6ToC = (tos = 0) => {
  const packet = ipv6({ source: a.ipv6, destination: c.ipv6, transport: transports.udp, payload, tos });
  return ethernet({ ...toC, protocol: protocols.ipv6, payload: packet });
};

/** What must lie on the wire around `frame`; the source port is taken from the packet, the MACs are left to the kernel. */
function expected(frame: Uint8Array, sent: Uint8Array, tos: number): Uint8Array {
  const sourcePort = ((sent[34] ?? 0) << 8) | (sent[35] ?? 0);
  const macs = { destinationMac: c.mac, sourceMac: a.mac };
  return vxlan({ ...macs, source: nodes.own, destination: nodes.c, sourcePort, port: tunnelPort, vni, tos }, frame);
}

test('an IPv4 packet is sent in VXLAN with every byte of the outer headers in place', () => {
  const frame = ipv4ToC();

  const outcome = programs.fromContainer(frame);

  fate(outcome, 'redirect', { ENCAPSULATED: 1 });
  assert.equal(outcome.data, expected(frame, outcome.data, 0));
});

test('an IPv6 packet is sent in VXLAN over IPv4', () => {
  const frame = ipv6ToC();

  const outcome = programs.fromContainer(frame);

  fate(outcome, 'redirect', { ENCAPSULATED: 1 });
  assert.equal(outcome.data, expected(frame, outcome.data, 0));
});

test('the source port is in the dynamic range, stays for one flow and differs between flows', () => {
  const portOf = (sourcePort: number) => {
    const datagram = udp(sourcePort, 7001, new Uint8Array(8));
    const packet = ipv4({ source: a.ipv4, destination: c.ipv4, transport: transports.udp, payload: datagram });
    const { data } = programs.fromContainer(ethernet({ ...toC, protocol: protocols.ipv4, payload: packet }));
    return ((data[34] ?? 0) << 8) | (data[35] ?? 0);
  };
  const ports = Array.from({ length: 64 }, (_, flow) => portOf(1000 + flow));

  assert.ok(ports.every((port) => port >= 49152));
  assert.is(portOf(1000), ports[0]);
  assert.ok(new Set(ports).size > 56, `${new Set(ports).size} ports for 64 flows`);
});

test('the outer ECN mark is the inner one, but congestion experienced starts afresh as ECT(0)', () => {
  for (const [inner, outer] of [
    [0, 0],
    [1, 1],
    [2, 2],
    [3, 2],
    [0xb8, 0],
    [0xb9, 1],
  ] as const) {
    for (const frame of [ipv4ToC(inner), ipv6ToC(inner)]) {
      const { data } = programs.fromContainer(frame);
      assert.equal(data, expected(frame, data, outer), `inner ${inner}`);
    }
  }
});

test('a frame that is not IP goes through the kernel device, unchanged', () => {
  const frame = ethernet({ ...toC, protocol: 0x88b5, payload: new Uint8Array(50).fill(7) });

  const outcome = programs.fromContainer(frame);

  fate(outcome, 'redirect', { FALLBACK: 1 });
  assert.equal(outcome.data, frame);
});

test('a frame of nothing but an Ethernet header goes through the kernel device', () => {
  fate(programs.fromContainer(ethernet({ ...toC, protocol: 0x88b5, payload: new Uint8Array(0) })), 'redirect', {
    FALLBACK: 1,
  });
});

test('an ARP answer to another node goes through the kernel device', () => {
  const parties = bytes(mac(a.mac), address(a.ipv4), mac(c.mac), address(c.ipv4));
  const answer = bytes(u16(1), u16(protocols.ipv4), 6, 4, u16(2), parties);

  fate(programs.fromContainer(ethernet({ ...toC, protocol: protocols.arp, payload: answer })), 'redirect', {
    FALLBACK: 1,
  });
});

test('a packet for a container of the same node stays unencapsulated', () => {
  const packet = ipv4({ source: a.ipv4, destination: b.ipv4, transport: transports.udp, payload });
  const frame = ethernet({ destination: b.mac, source: a.mac, protocol: protocols.ipv4, payload: packet });

  const outcome = programs.fromContainer(frame);

  fate(outcome, 'redirect', { LOCAL: 1 });
  assert.equal(outcome.data, frame);
});

test('a frame for a container of the same node that is not IP stays unencapsulated', () => {
  const frame = ethernet({ destination: b.mac, source: a.mac, protocol: 0x88b5, payload: new Uint8Array(20) });

  fate(programs.fromContainer(frame), 'redirect', { LOCAL: 1 });
});

test('without a tunnel device, what needs it is a counted drop', () => {
  const record = vtep.decode(bpf.mapLookup(programs.map('vteps'), u32(1)) ?? new Uint8Array(0));
  bpf.mapUpdate(programs.map('vteps'), u32(1), vtep.encode({ ...record, tunnelIfindex: 0 }));

  dropped(programs.fromContainer(ethernet({ ...toC, protocol: 0x88b5, payload: new Uint8Array(50) })), 'DROP_TUNNEL');
  fate(programs.fromContainer(ipv4ToC()), 'redirect', { ENCAPSULATED: 1 });
});

test('a provisional entry is used like any other', () => {
  const key = fdbKey.encode({ vni, mac: mac(c.mac) });
  const entry = bpf.mapLookup(programs.map('fdb'), key) ?? new Uint8Array(16);
  bpf.mapUpdate(programs.map('fdb'), key, bytes(entry.subarray(0, 8), 1, entry.subarray(9)));

  fate(programs.fromContainer(ipv4ToC()), 'redirect', { ENCAPSULATED: 1 });
});

test.run();

/** Group frames: which ones a network carries, how many, and what is refused. That copies arrive once: namespaces.test.ts. */

import * as assert from 'uvu/assert';
import { groupKey, network, networkKey } from '../../src/datapath/ebpf/layout.gen.ts';
import * as bpf from '../../src/native/binding.ts';
import {
  address,
  broadcast,
  bytes,
  ethernet,
  icmpv6,
  ipv4,
  ipv6,
  protocols,
  transports,
  u16,
  u32,
  udp,
  vxlan,
} from '../kit/frame.ts';
import { toGroup as data, igmp, mld } from '../kit/group-frames.ts';
import { enterOwnNamespace, run } from '../kit/own-namespace.ts';
import {
  a,
  b,
  c,
  dropped,
  fate,
  loadPrograms,
  mapped,
  nodes,
  tunnelPort,
  u32 as u32Host,
  underlayMac,
  vni,
} from '../kit/programs.ts';
import { suite } from '../kit/suite.ts';

enterOwnNamespace(import.meta.url);
// What the devices would say of themselves would be counted among the copies.
for (const which of ['all', 'default']) run('sysctl', '-qw', `net.ipv6.conf.${which}.disable_ipv6=1`);
const rate = 50;
const programs = loadPrograms({ bum_rate: rate, received_bum_rate: rate });
const test = suite('flood');
test.before.each(() => programs.reset());

const payload = udp(5353, 5353, new Uint8Array(20));
const toGroup = (destination: string, source = a) => {
  const packet = ipv4({ source: source.ipv4, destination: '239.1.2.3', transport: transports.udp, payload });
  return ethernet({ destination, source: source.mac, protocol: protocols.ipv4, payload: packet });
};
const multicast = '01:00:5e:01:02:03';
const toBroadcast = toGroup(broadcast);

function outerOf(frame: Uint8Array): Uint8Array {
  const macs = { destinationMac: underlayMac, sourceMac: '02:11:00:00:00:02' };
  return vxlan({ ...macs, source: nodes.c, destination: nodes.own, sourcePort: 50000, port: tunnelPort, vni }, frame);
}

function setMulticast(isOn: boolean): void {
  bpf.mapUpdate(
    programs.map('networks'),
    networkKey.encode({ vni }),
    network.encode({ mtu: 1450, flags: isOn ? 1 : 0 }),
  );
}

/** MLDv2 report behind the hop-by-hop option that carries router alert (RFC 3810 section 5). */
function mldReport(): Uint8Array {
  const report = icmpv6({ source: 'fe80::1', destination: 'ff02::16' }, 143, 0, new Uint8Array(24)).subarray(40);
  const option = bytes(transports.icmpv6, 0, 5, 2, u16(0), 1, 0);
  const packet = ipv6({
    source: 'fe80::1',
    destination: 'ff02::16',
    transport: transports.hopByHop,
    payload: bytes(option, report),
    ttl: 1,
  });
  return ethernet({ destination: '33:33:00:00:00:16', source: a.mac, protocol: protocols.ipv6, payload: packet });
}

test('broadcast and multicast are flooded, membership reports are noted', () => {
  for (const frame of [toBroadcast, toGroup(multicast)]) fate(programs.fromContainer(frame), 'drop', { FLOODED: 1 });
  fate(programs.fromContainer(mldReport()), 'drop', { GROUP_REPORTED: 1 });
});

/** Copies made meanwhile: to b, and to the device that leads to c. */
function copies(happen: () => unknown): { readonly b: number; readonly c: number } {
  const sent = (device: string) => {
    const { packets, errors, dropped: lost } = JSON.parse(run('ip', '-j', '-s', 'link', 'show', device))[0].stats64.tx;
    return packets + errors + lost;
  };
  const before = { b: sent('wft2'), c: sent('wfx0') };
  happen();
  return { b: sent('wft2') - before.b, c: sent('wfx0') - before.c };
}

const everybody = { b: 1, c: 1 };
const nobody = { b: 0, c: 0 };

function want(group: string): void {
  const bytesOf = group === '::' ? new Uint8Array(16) : mapped(group);
  bpf.mapUpdate(programs.map('groups'), groupKey.encode({ vni, vtep: 1, group: bytesOf }), u32Host(0));
}

test('a group goes where it has members, here and behind other VTEPs', () => {
  for (const group of ['239.1.2.3', 'ff15::42']) {
    programs.reset();
    assert.equal(
      copies(() => programs.fromContainer(data(group))),
      nobody,
      group,
    );

    programs.fromContainer(group.includes(':') ? mld(131, group, b) : igmp(0x16, group, b), programs.indexes.b);
    assert.equal(
      copies(() => programs.fromContainer(data(group))),
      { b: 1, c: 0 },
    );
    assert.equal(
      copies(() => programs.fromUnderlay(outerOf(data(group, c)))),
      { b: 1, c: 0 },
    );

    want(group);
    assert.equal(
      copies(() => programs.fromContainer(data(group))),
      everybody,
    );
    assert.equal(
      copies(() => programs.fromContainer(data(group.replace(/.$/, '9')))),
      nobody,
    );

    programs.fromContainer(group.includes(':') ? mld(132, group, b) : igmp(0x17, group, b), programs.indexes.b);
    assert.equal(
      copies(() => programs.fromContainer(data(group))),
      { b: 0, c: 1 },
    );
    assert.equal(
      copies(() => programs.fromUnderlay(outerOf(data(group, c)))),
      nobody,
    );
  }
});

test('the groups of the link go to everybody: mDNS, neighbour discovery, routing protocols', () => {
  for (const group of ['224.0.0.251', '224.0.0.5', 'ff02::fb', 'ff02::1', 'ff02::1:ff00:1']) {
    assert.equal(
      copies(() => programs.fromContainer(data(group))),
      everybody,
      group,
    );
  }
  assert.equal(
    copies(() => programs.fromContainer(toBroadcast)),
    everybody,
  );
  const other = { destination: '03:00:00:00:00:01', source: a.mac, protocol: 0x88b5, payload: new Uint8Array(50) };
  assert.equal(
    copies(() => programs.fromContainer(ethernet(other))),
    everybody,
  );
});

test('reports go to routers alone, and so does what nobody has joined', () => {
  const frames = [igmp(0x16, '239.1.2.3'), mld(131, 'ff15::42'), data('239.9.9.9')];
  for (const frame of frames)
    assert.equal(
      copies(() => programs.fromContainer(frame)),
      nobody,
    );

  programs.fromContainer(igmp(0x11, '224.0.0.1', b), programs.indexes.b);
  for (const frame of frames)
    assert.equal(
      copies(() => programs.fromContainer(frame)),
      { b: 1, c: 0 },
    );
  want('::');
  for (const frame of frames)
    assert.equal(
      copies(() => programs.fromContainer(frame)),
      everybody,
    );
});

test('queries and groups of unknown use go to everybody', () => {
  for (const frame of [igmp(0x11, '239.1.2.3'), mld(130, 'ff02::1'), igmp(0x30, '224.0.0.106')]) {
    assert.equal(
      copies(() => programs.fromContainer(frame)),
      everybody,
    );
  }
});

test('the groups of the link itself never leave it', () => {
  for (const last of ['00', '02', '0e', '0f']) {
    dropped(programs.fromContainer(toGroup(`01:80:c2:00:00:${last}`)), 'DROP_LINK_LOCAL_GROUP');
    dropped(programs.fromUnderlay(outerOf(toGroup(`01:80:c2:00:00:${last}`, c))), 'DROP_LINK_LOCAL_GROUP');
  }
  fate(programs.fromContainer(toGroup('01:80:c2:00:00:10')), 'drop', { FLOODED: 1 });
});

test('with multicast off, multicast of IPv4, IPv6 and others is dropped in both directions', () => {
  setMulticast(false);
  const packet = ipv6({ source: a.ipv6, destination: 'ff02::fb', transport: transports.udp, payload });

  for (const frame of [
    toGroup(multicast),
    ethernet({ destination: '33:33:00:00:00:fb', source: a.mac, protocol: protocols.ipv6, payload: packet }),
    ethernet({ destination: '03:00:00:00:00:01', source: a.mac, protocol: 0x88b5, payload: new Uint8Array(50) }),
  ]) {
    dropped(programs.fromContainer(frame), 'DROP_MULTICAST_OFF');
  }
  dropped(programs.fromUnderlay(outerOf(toGroup(multicast, c))), 'DROP_MULTICAST_OFF');
});

test('with multicast off, broadcast, neighbour discovery and MLD still pass', () => {
  setMulticast(false);
  const solicitation = icmpv6(
    { source: '::', destination: 'ff02::1:ff00:1', ttl: 255 },
    135,
    0,
    bytes(u32(0), address(a.ipv6)),
  );
  const detection = ethernet({
    destination: '33:33:ff:00:00:01',
    source: a.mac,
    protocol: protocols.ipv6,
    payload: solicitation,
  });

  for (const frame of [toBroadcast, detection]) fate(programs.fromContainer(frame), 'drop', { FLOODED: 1 });
  fate(programs.fromContainer(mldReport()), 'drop', { GROUP_REPORTED: 1 });
  const fromC = ethernet({
    destination: '33:33:00:00:00:16',
    source: c.mac,
    protocol: protocols.ipv6,
    payload: mldReport().subarray(14),
  });
  fate(programs.fromUnderlay(outerOf(fromC)), 'drop', { FLOOD_RECEIVED: 1 });
});

test('a broadcast of another node is copied to local ports only', () => {
  fate(programs.fromUnderlay(outerOf(toGroup(broadcast, c))), 'drop', { FLOOD_RECEIVED: 1 });
});

test('a network without settings, or without a list, floods nothing', () => {
  bpf.mapDelete(programs.map('networks'), networkKey.encode({ vni }));
  dropped(programs.fromContainer(toBroadcast), 'DROP_UNKNOWN_NETWORK');

  programs.reset();
  bpf.mapDelete(programs.map('flood'), networkKey.encode({ vni }));
  dropped(programs.fromContainer(toBroadcast), 'DROP_UNKNOWN_NETWORK');
});

test('an endpoint floods a second at its rate at once, then no faster; others have their own', () => {
  const outcomes = Array.from({ length: 300 }, () => programs.fromContainer(toBroadcast));

  const flooded = outcomes.filter(({ counts }) => counts['FLOODED'] === 1).length;
  const limited = outcomes.filter(({ counts }) => counts['DROP_RATE_LIMITED'] === 1).length;
  assert.is(flooded + limited, outcomes.length);
  assert.ok(flooded >= rate && limited > 0, `${flooded} flooded, ${limited} limited`);
  const packet = ipv4({ source: '0.0.0.0', destination: '255.255.255.255', transport: transports.udp, payload });
  const ofB = ethernet({
    destination: broadcast,
    source: '02:42:0a:00:00:02',
    protocol: protocols.ipv4,
    payload: packet,
  });
  fate(programs.fromContainer(ofB, programs.indexes.b), 'drop', { FLOODED: 1 });
});

test('what one VTEP sends to groups is limited, and unicast is not', () => {
  const outcomes = Array.from({ length: 300 }, () => programs.fromUnderlay(outerOf(toGroup(broadcast, c))));

  const received = outcomes.filter(({ counts }) => counts['FLOOD_RECEIVED'] === 1).length;
  const limited = outcomes.filter(({ counts }) => counts['DROP_RATE_LIMITED'] === 1).length;
  assert.is(received + limited, outcomes.length);
  assert.ok(received >= rate && limited > 0, `${received} received, ${limited} limited`);
  const packet = ipv4({ source: c.ipv4, destination: a.ipv4, transport: transports.udp, payload });
  const unicast = ethernet({ destination: a.mac, source: c.mac, protocol: protocols.ipv4, payload: packet });
  fate(programs.fromUnderlay(outerOf(unicast)), 'redirect', { DECAPSULATED: 1 });
});

test.run();

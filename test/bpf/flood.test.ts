/** Group frames: which ones a network carries, how many, and what is refused. That copies arrive once: namespaces.test.ts. */

import * as assert from 'uvu/assert';
import { network, networkKey } from '../../src/datapath/ebpf/layout.gen.ts';
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
import { enterOwnNamespace } from '../kit/own-namespace.ts';
import { a, c, dropped, fate, loadPrograms, nodes, tunnelPort, underlayMac, vni } from '../kit/programs.ts';
import { suite } from '../kit/suite.ts';

enterOwnNamespace(import.meta.url);
const rate = 50;
const programs = loadPrograms({ bum_rate: rate });
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

test('broadcast and multicast are flooded', () => {
  for (const frame of [toBroadcast, toGroup(multicast), mldReport()]) {
    fate(programs.fromContainer(frame), 'drop', { FLOODED: 1 });
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

  for (const frame of [toBroadcast, mldReport(), detection]) {
    fate(programs.fromContainer(frame), 'drop', { FLOODED: 1 });
  }
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

test.run();

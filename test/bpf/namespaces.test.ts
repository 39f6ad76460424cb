/**
 * The programs on real devices: two nodes of Weft and one with the kernel's own vxlan device, so every pair is also a test of
 * the wire format. What single frames cannot show: segmentation offload, stripped tags, copies, the kernel's fallback.
 */

import * as assert from 'uvu/assert';
import { enums, fdbKey, neighbourKey } from '../../src/datapath/ebpf/layout.gen.ts';
import * as bpf from '../../src/native/binding.ts';
import { pause, start } from '../kit/command.ts';
import { ethernet, ipv4, mac, protocols, transports, udp } from '../kit/frame.ts';
import { createLan, inside, type Lan, putPort, putVtep } from '../kit/lan.ts';
import { captured, compileSender, pings, streams } from '../kit/lan-traffic.ts';
import { enterOwnNamespace } from '../kit/own-namespace.ts';
import { mapped, vni } from '../kit/programs.ts';
import { suite } from '../kit/suite.ts';

const { bpfRoot } = enterOwnNamespace(import.meta.url);
const test = suite<{ lan?: Lan }>('namespaces', {});
test.before(async (context) => {
  context.lan = await createLan(bpfRoot);
  await pause(2500); // duplicate address detection and the first solicitations
});
test.after(async ({ lan }) => {
  await lan?.close();
});
test.before.each(({ lan }) => {
  lan?.one.counts();
  lan?.two.counts();
});

const marker = Buffer.from('weft-marker-0123456789abcdef').toString('hex');

function lanOf(context: { lan?: Lan }): Lan {
  if (context.lan === undefined) throw new Error('the LAN was not made');
  return context.lan;
}

test('every container reaches every other by IPv4 and IPv6', async (context) => {
  const { oneA, oneB, twoA, threeA } = lanOf(context);
  for (const from of [oneA, twoA, threeA]) {
    for (const to of [oneA, oneB, twoA, threeA].filter((container) => container !== from)) {
      assert.match(await pings(from, to.ipv4), '3 packets received');
      assert.match(await pings(from, to.ipv6), '3 packets received');
    }
  }
  const counts = lanOf(context).one.counts();
  assert.equal(
    Object.keys(counts).filter((name) => name.startsWith('DROP')),
    [],
  );
  for (const name of ['ENCAPSULATED', 'DECAPSULATED', 'LOCAL', 'ARP_ANSWERED', 'ND_ANSWERED']) {
    assert.ok((counts[name] ?? 0) > 0, `nothing ${name}`);
  }
});

test('TCP streams pass in aggregates between nodes of Weft, and to and from the kernel, by IPv4 and IPv6', async (context) => {
  const { one, oneA, twoA, threeA } = lanOf(context);
  for (const [from, to] of [
    [oneA, twoA],
    [oneA, threeA],
    [threeA, oneA],
  ] as const) {
    for (const address of [to.ipv4, to.ipv6]) {
      one.counts();
      await streams(from, to, address);
      const { ENCAPSULATED = 0, DECAPSULATED = 0, FALLBACK = 0 } = one.counts();
      // In segments of 1398 bytes it would be 24,000 packets one way.
      assert.ok(ENCAPSULATED + DECAPSULATED < 12_000, `${ENCAPSULATED} out, ${DECAPSULATED} in`);
      assert.ok(ENCAPSULATED > 0 && DECAPSULATED > 0);
      assert.is(FALLBACK, 0);
    }
  }
});

test('a stream cut into segments and summed by software arrives whole', async (context) => {
  const { one, oneA, twoA, threeA } = lanOf(context);
  await inside(one, ['ethtool', '-K', 'u0', 'tso', 'off', 'gso', 'off', 'tx', 'off']);
  try {
    await streams(oneA, twoA, twoA.ipv4);
    await streams(oneA, threeA, threeA.ipv6);
  } finally {
    await inside(one, ['ethtool', '-K', 'u0', 'tso', 'on', 'gso', 'on', 'tx', 'on']);
  }
  for (const container of [twoA, threeA]) {
    assert.not.match(await inside(container, ['cat', '/proc/net/snmp']), /InCsumErrors\n.*[1-9]\d*$/m);
  }
});

test('a broadcast arrives exactly once everywhere, from Weft and from the kernel', async (context) => {
  const { oneA, oneB, twoA, threeA } = lanOf(context);
  const all = [oneA, oneB, twoA, threeA];
  const code = `const s=require('dgram').createSocket('udp4');s.bind(0,()=>{s.setBroadcast(true);s.send(Buffer.from('${marker}','hex'),9,'10.0.0.255',()=>s.close())})`;
  for (const from of [oneA, twoA, threeA]) {
    const captures = await Promise.all(
      all
        .filter((to) => to !== from)
        .map((to) => start([...to.inside, 'tcpdump', '-i', 'eth0', '-n', '-l', '--immediate-mode', 'udp port 9'])),
    );
    await Promise.all(captures.map((capture) => capture.waitFor('listening on')));

    await inside(from, [process.execPath, '-e', code]);

    await pause(500);
    for (const capture of captures) {
      const { stdout } = await capture.stop('SIGINT');
      assert.is(stdout.trim().split('\n').filter(Boolean).length, 1, `from ${from.ipv4}: ${stdout}`);
    }
  }
});

test('a tagged frame is dropped, and nothing of it reaches the underlay', async (context) => {
  const { one, oneA, twoA } = lanOf(context);
  const packet = ipv4({
    source: oneA.ipv4,
    destination: twoA.ipv4,
    transport: transports.udp,
    payload: udp(9, 9, Buffer.from(marker, 'hex')),
  });
  const plain = ethernet({ destination: twoA.mac, source: oneA.mac, protocol: protocols.ipv4, payload: packet });
  const tag = (protocol: number, frame: Uint8Array) =>
    Buffer.concat([frame.subarray(0, 12), Buffer.of(protocol >> 8, protocol & 0xff, 0, 100), frame.subarray(12)]);
  const tagged = tag(protocols.vlan, plain);
  const sender = await compileSender();
  const send = (frame: Uint8Array) => inside(oneA, [sender, 'eth0', Buffer.from(frame).toString('hex')]);

  const seen = await captured(one, 'u0', 'greater 1', async () => {
    for (const frame of [tagged, tag(protocols.serviceVlan, plain), tag(protocols.serviceVlan, tagged)])
      await send(frame);
  });

  assert.not.match(seen, marker);
  assert.is(one.counts()['DROP_VLAN_TAGGED'], 3);
  // The same capture sees the same frame without its tag.
  assert.match(await captured(one, 'u0', 'greater 1', () => send(plain)), marker);
});

test('a frame shorter than its headers is dropped', async (context) => {
  const { one, oneA, twoA } = lanOf(context);
  const sender = await compileSender();

  for (const protocol of [protocols.ipv4, protocols.ipv6]) {
    const frame = ethernet({
      destination: twoA.mac,
      source: oneA.mac,
      protocol,
      payload: new Uint8Array(6).fill(0x45),
    });
    await inside(oneA, [sender, 'eth0', Buffer.from(frame).toString('hex')]);
  }

  assert.is(one.counts()['DROP_MALFORMED'], 2);
});

test('a container nobody has told this node of is reached without losing a packet', async (context) => {
  const { one, oneA, twoA } = lanOf(context);
  bpf.mapDelete(one.map('fdb'), fdbKey.encode({ vni, mac: mac(twoA.mac) }));
  for (const address of [twoA.ipv4, twoA.ipv6])
    bpf.mapDelete(one.map('neighbours'), neighbourKey.encode({ vni, address: mapped(address) }));
  await inside(oneA, ['ip', 'neigh', 'flush', 'all']);

  assert.match(await pings(oneA, twoA.ipv4), '3 packets received');

  const counts = one.counts();
  assert.is(counts['LEARNED'], 1);
  await inside(oneA, ['ip', 'neigh', 'flush', 'all']);
  assert.match(await pings(oneA, twoA.ipv6), '3 packets received');
});

test('a path that proves smaller tells TCP, and the stream goes on', async (context) => {
  const { one, oneA, twoA } = lanOf(context);
  await putVtep(one, 2, { mtu: 1300 });
  try {
    for (const address of [twoA.ipv4, twoA.ipv6]) {
      one.counts();
      await streams(oneA, twoA, address);
      const counts = one.counts();
      assert.ok((counts['TOO_BIG_ANSWERED'] ?? 0) > 0, 'no answer was sent');
      assert.is(counts['DROP_TOO_BIG'], undefined);
    }
  } finally {
    await putVtep(one, 2, {});
  }
});

test('packets that may be fragmented cross a smaller path in fragments', async (context) => {
  const { one, two, oneB, twoA } = lanOf(context);
  await putVtep(one, 2, { mtu: 1300 });
  await inside(one, ['ip', 'route', 'add', '192.0.2.2/32', 'dev', 'u0', 'mtu', 'lock', '1300']);
  await inside(oneB, ['sysctl', '-qw', 'net.ipv4.ip_no_pmtu_disc=1']);
  two.counts();
  try {
    assert.match(await pings(oneB, twoA.ipv4, ['-s', '1400']), '3 packets received');
  } finally {
    await inside(one, ['ip', 'route', 'del', '192.0.2.2/32']);
    await putVtep(one, 2, {});
  }
  assert.is(one.counts()['FALLBACK'], 3);
  assert.is(two.counts()['FALLBACK_RECEIVED'], 3);
});

test('a VTEP behind a router is reached by its gateway', async (context) => {
  const { one, two, oneA, twoA } = lanOf(context);
  await inside(two, ['ip', 'address', 'add', '192.0.2.200/32', 'dev', 'u0']);
  await inside(one, ['ip', 'neigh', 'replace', '192.0.2.2', 'dev', 'u0', 'lladdr', '02:11:00:00:00:99']);
  try {
    await putVtep(one, 2, { gateway: '192.0.2.200' });
    assert.match(await pings(oneA, twoA.ipv4), '3 packets received');
  } finally {
    await putVtep(one, 2, {});
    await inside(one, ['ip', 'neigh', 'del', '192.0.2.2', 'dev', 'u0']);
  }
});

test('a container that routes back into the overlay carries TCP through the kernel device', async (context) => {
  const { one, oneB, twoA, threeA } = lanOf(context);
  await putPort(one, oneB, enums.port_flags.PORT_ANY_SOURCE);
  await inside(oneB, [
    'sysctl',
    '-qw',
    'net.ipv4.ip_forward=1',
    'net.ipv4.conf.all.send_redirects=0',
    'net.ipv4.conf.eth0.send_redirects=0',
  ]);
  await inside(threeA, ['ip', 'address', 'add', '10.9.0.3/32', 'dev', 'eth0']);
  await inside(oneB, ['ip', 'route', 'add', '10.9.0.0/24', 'dev', 'eth0']);
  await inside(twoA, ['ip', 'route', 'add', '10.9.0.0/24', 'via', oneB.ipv4]);
  one.counts();

  await streams(twoA, threeA, '10.9.0.3');

  assert.ok((one.counts()['FALLBACK'] ?? 0) > 0);
});

test.run();

/**
 * Tunnels over IPv6 on real devices: between two nodes of Weft, and with the kernel's own vxlan device, whose UDP
 * checksums are its owner's choice. What single frames cannot show: segmentation, aggregates, checksums, the wire.
 */

import * as assert from 'uvu/assert';
import { pause } from '../kit/command.ts';
import { zeroChecksums } from '../kit/kernel-vtep.ts';
import { createLan, inside, type Lan, putVtep } from '../kit/lan.ts';
import { captured, pings, streams } from '../kit/lan-traffic.ts';
import { enterOwnNamespace } from '../kit/own-namespace.ts';
import { tunnelPort } from '../kit/programs.ts';
import { suite } from '../kit/suite.ts';

const { bpfRoot } = enterOwnNamespace(import.meta.url);
const test = suite<{ lan: Lan }>('IPv6 LAN', {} as { lan: Lan });
test.before(async (context) => {
  context.lan = await createLan(bpfRoot, 'ipv6');
  await context.lan.remakeKernel(['udp6zerocsumrx']);
  await pause(2500); // duplicate address detection and the first solicitations
});
test.after(({ lan }) => lan?.close());
test.before.each(({ lan }) => {
  lan.one.counts();
  lan.two.counts();
});

const noDrops = (counts: Readonly<Record<string, number>>) =>
  assert.equal(
    Object.keys(counts).filter((name) => name.startsWith('DROP')),
    [],
  );

test('containers of two nodes reach each other by the fast path alone, with packets of any size', async ({ lan }) => {
  const { one, oneA, twoA } = lan;
  for (const address of [twoA.ipv4, twoA.ipv6]) {
    for (const size of ['56', '1370', '5000']) {
      assert.match(await pings(oneA, address, ['-s', size]), '3 packets received');
    }
  }
  const { ENCAPSULATED = 0, DECAPSULATED = 0, FALLBACK = 0, FALLBACK_RECEIVED = 0, ...rest } = one.counts();
  assert.ok(ENCAPSULATED >= 24 && DECAPSULATED >= 24, `${ENCAPSULATED} out, ${DECAPSULATED} in`);
  assert.is(FALLBACK + FALLBACK_RECEIVED, 0);
  noDrops(rest);
});

test('on the wire is UDP without a checksum, with a flow label, in packets of 70 bytes more', async ({ lan }) => {
  const { one, oneA, twoA } = lan;
  const tunnel = `ip6 and udp port ${tunnelPort}`;

  const seen = await captured(one, 'u0', tunnel, () => pings(oneA, twoA.ipv4, ['-s', '1402']));

  // IP version, class 0, a label; 1430 + 30 bytes of payload, UDP, 64 hops; addresses; ports, length, no checksum.
  const from = '20010db8000000000000000000000001';
  const to = '20010db8000000000000000000000002';
  const port = tunnelPort.toString(16);
  assert.match(
    seen,
    new RegExp(`86dd600(?!00000)[0-9a-f]{5}05b41140${from}${to}[c-f][0-9a-f]{3}${port}05b4000008000000`),
  );
});

test('TCP streams pass in aggregates, by IPv4 and IPv6, to and from the kernel as well', async ({ lan }) => {
  const { one, oneA, twoA, threeA } = lan;
  await lan.remakeKernel(zeroChecksums);
  for (const [from, to, address] of [
    [oneA, twoA, twoA.ipv4],
    [oneA, twoA, twoA.ipv6],
    [oneA, threeA, threeA.ipv4],
    [threeA, oneA, oneA.ipv6],
  ] as const) {
    one.counts();
    await streams(from, to, address);
    const { ENCAPSULATED = 0, DECAPSULATED = 0, FALLBACK = 0 } = one.counts();
    // In segments of 1378 bytes it would be 24,000 packets one way.
    assert.ok(ENCAPSULATED + DECAPSULATED < 12_000, `${ENCAPSULATED} out, ${DECAPSULATED} in`);
    assert.ok(ENCAPSULATED > 0 && DECAPSULATED > 0);
    // Answers to ARP questions that the kernel's node floods.
    assert.ok(FALLBACK < 10, `${FALLBACK} by the kernel device`);
  }
});

test('a stream cut into segments and summed by software arrives whole', async ({ lan }) => {
  const { one, oneA, twoA } = lan;
  await inside(one, ['ethtool', '-K', 'u0', 'tso', 'off', 'gso', 'off', 'tx', 'off']);
  try {
    await streams(oneA, twoA, twoA.ipv4);
  } finally {
    await inside(one, ['ethtool', '-K', 'u0', 'tso', 'on', 'gso', 'on', 'tx', 'on']);
  }
  assert.not.match(await inside(twoA, ['cat', '/proc/net/snmp']), /InCsumErrors\n.*[1-9]\d*$/m);
});

test('a kernel device that makes checksums is heard through ours, which verifies them', async ({ lan }) => {
  const { one, oneA, threeA } = lan;
  await lan.remakeKernel(['udp6zerocsumrx']);

  for (const address of [threeA.ipv4, threeA.ipv6]) assert.match(await pings(oneA, address), '3 packets received');
  await streams(threeA, oneA, oneA.ipv4);

  const { DECAPSULATED = 0, DECLINED = 0, FALLBACK_RECEIVED = 0, ...rest } = one.counts();
  assert.is(DECAPSULATED, 0);
  assert.ok(DECLINED > 0 && FALLBACK_RECEIVED > 0, `${DECLINED} declined, ${FALLBACK_RECEIVED} received`);
  noDrops(rest);
});

test('a kernel device that wants checksums hears nothing of ours, and counts what it drops', async ({ lan }) => {
  const { oneA, three, threeA } = lan;
  const dropped = async () =>
    Number(/Udp6InCsumErrors\s+(\d+)/.exec(await inside(three, ['cat', '/proc/net/snmp6']))?.[1]);
  await lan.remakeKernel([]);
  const before = await dropped();

  const answer = await pings(oneA, threeA.ipv4).catch(String);

  assert.match(answer, '0 packets received');
  assert.ok((await dropped()) >= before + 3);
  await lan.remakeKernel(zeroChecksums);
  assert.match(await pings(oneA, threeA.ipv4), '3 packets received');
});

test('a path that proves smaller tells TCP, and the stream goes on', async ({ lan }) => {
  const { one, oneA, twoA } = lan;
  await putVtep(one, 2, { mtu: 1370 });
  try {
    await streams(oneA, twoA, twoA.ipv6);
    const counts = one.counts();
    assert.ok((counts['TOO_BIG_ANSWERED'] ?? 0) > 0, 'no answer was sent');
    assert.is(counts['DROP_TOO_BIG'], undefined);
  } finally {
    await putVtep(one, 2, {});
  }
});

test('a sender that would have its packets fragmented is told as well, and they arrive', async ({ lan }) => {
  const { one, oneB, twoA } = lan;
  await putVtep(one, 2, { mtu: 1370 });
  await inside(oneB, ['sysctl', '-qw', 'net.ipv4.ip_no_pmtu_disc=1']);
  try {
    const answers = await pings(oneB, twoA.ipv4, ['-s', '1390']);
    assert.match(answers, /[012] packets received/);
    assert.match(await pings(oneB, twoA.ipv4, ['-s', '1390']), '3 packets received');
  } finally {
    await putVtep(one, 2, {});
  }
});

test('a VTEP behind a router is reached by its gateway, a link-local one too', async ({ lan }) => {
  const { one, two, oneA, twoA } = lan;
  const [gateway = ''] = /fe80::[0-9a-f:]+/.exec(await inside(two, ['ip', '-6', 'address', 'show', 'u0'])) ?? [];
  await inside(one, ['ip', 'neigh', 'replace', '2001:db8::2', 'dev', 'u0', 'lladdr', '02:11:00:00:00:99']);
  try {
    await putVtep(one, 2, { gateway });
    assert.match(await pings(oneA, twoA.ipv4), '3 packets received');
  } finally {
    await putVtep(one, 2, {});
    await inside(one, ['ip', 'neigh', 'del', '2001:db8::2', 'dev', 'u0']);
  }
});

test.run();

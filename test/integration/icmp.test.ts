/**
 * Probes through a real kernel: this namespace, a router, and a far side behind a link of 1400 bytes.
 *
 *      node 192.0.2.1 --- 1500 --- router --- 1400 --- far 198.51.100.1
 *           2001:db8:1::1                              2001:db8:2::1
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readdirSync, readlinkSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import { parseAddress } from '../../src/core/address.ts';
import { createIcmpProber, type IcmpProber } from '../../src/probe/icmp.ts';
import { enterOwnNamespace, run } from '../kit/own-namespace.ts';
import { suite } from '../kit/suite.ts';

enterOwnNamespace(import.meta.url);

const test = suite<{ prober: IcmpProber; namespaces: ChildProcess[]; router: string }>('icmp');

const far = parseAddress('198.51.100.1');
const far6 = parseAddress('2001:db8:2::1');
const patienceMs = 3_000;

/** A namespace that lasts as long as its process. */
async function openNamespace(): Promise<ChildProcess> {
  const holder = spawn('unshare', ['--net', 'sh', '-c', 'echo ready; read -r end'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  if (holder.stdout !== null) await once(holder.stdout, 'data');
  return holder;
}

function inside(pid: string, script: string): void {
  run('nsenter', '--target', pid, '--net', 'sh', '-e', '-c', script);
}

test.before(async (context) => {
  const [router, end] = await Promise.all([openNamespace(), openNamespace()]);
  context.namespaces = [router, end];
  context.router = String(router.pid);
  run('ip', 'link', 'add', 'wft-n', 'type', 'veth', 'peer', 'name', 'wft-r', 'netns', context.router);
  inside(
    context.router,
    `ip link add wft-f mtu 1400 type veth peer name wft-e mtu 1400 netns ${end.pid}
     echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding
     ip address add 192.0.2.254/24 dev wft-r; ip address add 2001:db8:1::fe/64 dev wft-r nodad
     ip address add 198.51.100.254/24 dev wft-f; ip address add 2001:db8:2::fe/64 dev wft-f nodad
     ip link set wft-r up; ip link set wft-f up
     ip route add blackhole 203.0.113.0/25; ip route add unreachable 203.0.113.128/25
     ip route add unreachable 2001:db8:3::/48`,
  );
  inside(
    String(end.pid),
    `ip address add 198.51.100.1/24 dev wft-e; ip address add 2001:db8:2::1/64 dev wft-e nodad; ip link set wft-e up
     ip route add default via 198.51.100.254; ip route add default via 2001:db8:2::fe`,
  );
  run('ip', 'address', 'add', '192.0.2.1/24', 'dev', 'wft-n');
  run('ip', 'address', 'add', '2001:db8:1::1/64', 'dev', 'wft-n', 'nodad');
  run('ip', 'link', 'set', 'wft-n', 'up');
  for (const to of ['198.51.100.0/24', '203.0.113.0/24']) run('ip', 'route', 'add', to, 'via', '192.0.2.254');
  for (const to of ['2001:db8:2::/48', '2001:db8:3::/48']) run('ip', 'route', 'add', to, 'via', '2001:db8:1::fe');
  context.prober = createIcmpProber(new AbortController().signal);
  await bothFamiliesAnswer(context.prober);
});
test.after(async ({ prober, namespaces }) => {
  prober.close();
  for (const holder of namespaces) {
    holder.stdin?.end();
    await once(holder, 'exit');
  }
});

/** IPv6 takes its addresses into use once the kernel has noticed the carrier. */
async function bothFamiliesAnswer(prober: IcmpProber): Promise<void> {
  for (let tries = 0; tries < 50; tries += 1) {
    const results = await Promise.all([far, far6].map((address) => prober.probe(address, 100, 200)));
    if (results.every(({ kind }) => kind === 'reply')) return;
    await sleep(100);
  }
  throw new Error('the far side never answered');
}

test('what the path carries is answered, in either family', async ({ prober }) => {
  for (const address of [far, far6]) {
    const result = await prober.probe(address, 1400, patienceMs);

    assert.is(result.kind, 'reply');
    assert.ok(result.kind === 'reply' && result.rttMs > 0 && result.rttMs < patienceMs);
  }
});

test('the smallest echo is answered', async ({ prober }) => {
  assert.is((await prober.probe(far, 28, patienceMs)).kind, 'reply');
  assert.is((await prober.probe(far6, 48, patienceMs)).kind, 'reply');
});

test('what a router on the path cannot forward is too big, and it says for which MTU, every time', async ({
  prober,
}) => {
  for (const address of [far, far6, far, far6]) {
    assert.equal(await prober.probe(address, 1401, patienceMs), { kind: 'too-big', mtuBytes: 1400 });
  }
});

test('what the own device cannot send is too big, and no router says so', async ({ prober }) => {
  for (const address of [far, far6]) {
    assert.equal(await prober.probe(address, 1501, patienceMs), { kind: 'too-big', mtuBytes: null });
  }
});

test('a router that refuses a UDP packet of this node, whoever sent it, is heard in either family', async ({
  prober,
}) => {
  const heard: string[] = [];
  prober.onRefused((address, mtuBytes) => heard.push(`${address} ${mtuBytes}`));
  for (const [address, family] of [
    [far, 'udp4'],
    [far6, 'udp6'],
  ] as const) {
    // What the kernel has learnt from the probes would have it fragment the datagram.
    run('ip', family === 'udp4' ? '-4' : '-6', 'route', 'flush', 'cache');
    const socket = createSocket(family);
    for (let tries = 0; tries < 50 && !heard.includes(`${address} 1400`); tries += 1) {
      socket.send(Buffer.alloc(1440), 14789, address);
      await sleep(100);
    }
    socket.close();
    assert.ok(heard.includes(`${address} 1400`), `${address}: ${heard.join(', ')}`);
  }
});

test('a path that grew is found out at once', async ({ prober, namespaces, router }) => {
  assert.is((await prober.probe(far, 1500, patienceMs)).kind, 'too-big');
  inside(router, 'ip link set wft-f mtu 1500');
  inside(String(namespaces[1]?.pid), 'ip link set wft-e mtu 1500');
  try {
    assert.is((await prober.probe(far, 1500, patienceMs)).kind, 'reply');
    assert.is((await prober.probe(far6, 1500, patienceMs)).kind, 'reply');
  } finally {
    inside(router, 'ip link set wft-f mtu 1400');
    inside(String(namespaces[1]?.pid), 'ip link set wft-e mtu 1400');
  }
});

test('silence is a timeout, after the time allowed', async ({ prober }) => {
  const start = performance.now();

  assert.equal(await prober.probe(parseAddress('203.0.113.1'), 100, 300), { kind: 'timeout' });

  assert.ok(performance.now() - start >= 299);
});

test('where no way leads is told, by a router or by this node', async ({ prober }) => {
  const problemOf = async (address: string) => {
    const result = await prober.probe(parseAddress(address), 100, patienceMs);
    return result.kind === 'unreachable' ? result.problem : result.kind;
  };

  assert.is(await problemOf('203.0.113.129'), 'host unreachable');
  assert.is(await problemOf('2001:db8:3::1'), 'no route');
  assert.is(await problemOf('198.18.0.1'), 'network is unreachable');
  assert.is(await problemOf('2001:db8:9::1'), 'network is unreachable');
});

test('many probes at once are told apart', async ({ prober }) => {
  const sizes = Array.from({ length: 200 }, (_, index) => 1300 + index);

  const results = await Promise.all(sizes.map((size, index) => prober.probe(index % 2 ? far : far6, size, patienceMs)));

  // Routers say "too big" at a limited rate (RFC 4443 §2.4 f), so some of those may stay without a word.
  const replies = sizes.filter((_, index) => results[index]?.kind === 'reply');
  assert.equal(
    replies,
    sizes.filter((size) => size <= 1400),
  );
});

test('a size that no packet has is refused', async ({ prober }) => {
  for (const [address, size] of [
    [far, 27],
    [far6, 47],
    [far, 65_536],
    [far, 100.5],
  ] as const) {
    const refusal = await prober.probe(address, size, patienceMs).catch((error: unknown) => error);
    assert.instance(refusal, RangeError);
  }
});

function openSockets(): number {
  return readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith('socket:');
    } catch {
      return false;
    }
  }).length;
}

test('an abort ends what is under way and releases both sockets', async () => {
  const before = openSockets();
  const abort = new AbortController();
  const reason = new Error('the node left');
  const prober = createIcmpProber(abort.signal);
  await Promise.all([far, far6].map((address) => prober.probe(address, 100, patienceMs)));
  assert.is(openSockets(), before + 2);

  const underWay = prober.probe(parseAddress('203.0.113.1'), 100, 60_000).catch((error: unknown) => error);
  abort.abort(reason);

  assert.is(await underWay, reason);
  assert.is(openSockets(), before);
  assert.is(await prober.probe(far, 100, patienceMs).catch((error: unknown) => error), reason);
});

test('a closed prober refuses, and closes again without harm', async () => {
  const prober = createIcmpProber(new AbortController().signal);
  prober.close();
  prober.close();

  const refusal = await prober.probe(far, 100, patienceMs).catch((error: unknown) => error);

  assert.is(refusal instanceof DOMException && refusal.name, 'AbortError');
});

test('without the privilege the error names it', async () => {
  const source = `
    import { createIcmpProber } from '${new URL('../../src/probe/icmp.ts', import.meta.url)}';
    createIcmpProber(new AbortController().signal).probe('192.0.2.1', 100, 100).catch(({ code }) => console.log(code));`;
  const command = [process.execPath, '--import', 'tsx', '--input-type=module', '--eval', source];

  const said = run('setpriv', '--bounding-set=-net_raw', '--inh-caps=-net_raw', ...command);

  assert.is(said.trim(), 'PRIVILEGE_MISSING');
});

test.run();

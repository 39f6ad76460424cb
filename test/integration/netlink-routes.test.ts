/** Addresses and routes of a real kernel, in a namespace of its own; `ip` makes them. */

import { spawnSync } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import { parseAddress } from '../../src/core/address.ts';
import { type Netlink, openNetlink } from '../../src/netlink/netlink.ts';
import { enterOwnNamespace, run } from '../kit/own-namespace.ts';
import { suite } from '../kit/suite.ts';

enterOwnNamespace(import.meta.url);

const test = suite<{ netlink: Netlink }>('netlink routes');

const pair = { name: 'wft-a', peerName: 'wft-b', mtuBytes: 1450 };

test.before(async (context) => {
  context.netlink = await openNetlink();
});
test.after.each(() => {
  const links = JSON.parse(run('ip', '-j', 'link')) as { ifname: string }[];
  const deletions = links.map(({ ifname }) => `link delete ${ifname}`);
  const routes = ['unreachable', 'prohibit', 'blackhole'].flatMap((type) => [
    `-4 route flush type ${type}`,
    `-6 route flush type ${type}`,
  ]);
  // Past failures: loopback stays, a veth goes with its peer, and where there are no routes there is nothing to flush.
  spawnSync('ip', ['-force', '-batch', '-'], { input: deletions.join('\n') });
  for (const route of routes) spawnSync('ip', route.split(' '));
});
test.after(async ({ netlink }) => {
  await netlink.close();
});

/** Runs `ip` once for many commands. */
function batch(commands: readonly string[]): void {
  const { status, stderr } = spawnSync('ip', ['-batch', '-'], { input: commands.join('\n'), encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
}

/** What `ip -d` shows of a link. */
function shown(name: string) {
  const [link] = JSON.parse(run('ip', '-d', '-j', 'link', 'show', 'dev', name));
  return link;
}

async function errnoOf(request: Promise<unknown>): Promise<string> {
  try {
    await request;
  } catch (error) {
    if (error instanceof Error && 'details' in error) return String((error.details as { errno?: string }).errno);
    throw error;
  }
  return 'none';
}

test('addresses of both families are listed with their link and scope', async ({ netlink }) => {
  await netlink.createVethPair(pair);
  run('ip', 'address', 'add', '192.0.2.1/24', 'dev', 'wft-a');
  run('ip', 'address', 'add', '2001:db8::1/64', 'dev', 'wft-a', 'nodad');
  const ifindex = shown('wft-a').ifindex;

  const addresses = await netlink.addresses();

  assert.equal(
    addresses.filter((address) => address.ifindex === ifindex),
    [
      { ifindex, address: '192.0.2.1', prefix: 24, family: 'ipv4', scope: 'global', isTemporary: false },
      { ifindex, address: '2001:db8::1', prefix: 64, family: 'ipv6', scope: 'global', isTemporary: false },
    ],
  );
  assert.ok(addresses.some(({ address, scope }) => address === '127.0.0.1' && scope === 'host'));
});

/** IPv6 takes an address into use once the kernel has noticed the carrier. */
async function inUse(address: string): Promise<void> {
  while (!run('ip', '-6', 'route', 'show', 'table', 'local').includes(`${address} `)) await sleep(10);
}

async function withRoutes(netlink: Netlink): Promise<number> {
  await netlink.createVethPair(pair);
  batch([
    'address add 192.0.2.1/24 dev wft-a',
    'address add 2001:db8::1/64 dev wft-a nodad',
    'link set wft-b up',
    'link set wft-a up',
    'route add default via 192.0.2.254 metric 50',
    'route add 198.51.100.0/24 via inet6 2001:db8::fe dev wft-a',
    'route add 203.0.113.0/24 via 192.0.2.253 mtu lock 1380',
    'route add unreachable 198.18.0.0/24',
    'route add prohibit 198.18.1.0/24',
    'route add blackhole 198.18.2.0/24',
    'route add 2001:db8:1::/48 via 2001:db8::fe mtu 1400',
    'route add unreachable 2001:db8:2::/48',
    'route add prohibit 2001:db8:3::/48',
    'route add blackhole 2001:db8:4::/48',
  ]);
  await inUse('2001:db8::1');
  return shown('wft-a').ifindex;
}

test('the way to an address tells device, gateway, source and MTU', async ({ netlink }) => {
  const ifindex = await withRoutes(netlink);
  const way = { ifindex, gateway: null, source: '192.0.2.1', mtuBytes: null, isLocal: false };
  const to = (text: string) => netlink.routeTo(parseAddress(text));

  assert.equal(await to('192.0.2.9'), way);
  assert.equal(await to('198.18.9.9'), { ...way, gateway: '192.0.2.254' });
  assert.equal(await to('198.51.100.9'), { ...way, gateway: '2001:db8::fe' });
  assert.equal(await to('203.0.113.9'), { ...way, gateway: '192.0.2.253', mtuBytes: 1380 });
  assert.equal(await to('2001:db8::9'), { ...way, source: '2001:db8::1' });
  assert.equal(await to('2001:db8:1::9'), { ...way, gateway: '2001:db8::fe', source: '2001:db8::1', mtuBytes: 1400 });
});

test('the way to an own address is local', async ({ netlink }) => {
  await withRoutes(netlink);

  assert.is((await netlink.routeTo(parseAddress('192.0.2.1'))).isLocal, true);
  assert.is((await netlink.routeTo(parseAddress('2001:db8::1'))).isLocal, true);
});

test('the next hops to an address are those of its route, with weights; a dead one is told', async ({ netlink }) => {
  const ifindex = await withRoutes(netlink);
  const other = { name: 'wft-c', peerName: 'wft-d', mtuBytes: 1450 };
  await netlink.createVethPair(other);
  batch(['address add 192.0.3.1/24 dev wft-c', 'link set wft-d up', 'link set wft-c up']);
  batch(['address add 2001:db8:3::1/64 dev wft-c nodad']);
  await inUse('2001:db8:3::1');
  batch([
    'route add 198.19.0.0/16 nexthop via 192.0.2.254 weight 3 nexthop via 192.0.3.254',
    'route add 2001:db8:19::/48 nexthop via 2001:db8::fe nexthop via fe80::9 dev wft-c',
  ]);
  const hop = { ifindex, gateway: '192.0.2.254', weight: 1, isDead: false };
  const second = { ...hop, ifindex: shown('wft-c').ifindex, gateway: '192.0.3.254' };
  const to = (text: string) => netlink.hopsTo(parseAddress(text));

  assert.equal(await to('198.18.9.9'), [hop]);
  assert.equal(await to('198.19.9.9'), [{ ...hop, weight: 3 }, second]);
  assert.equal((await to('2001:db8:19::9')).map(({ gateway }) => gateway).sort(), ['2001:db8::fe', 'fe80::9']);
  run('ip', 'link', 'set', 'wft-d', 'down');
  while (!run('ip', 'route', 'show', '198.19.0.0/16').includes('linkdown')) await sleep(10);
  assert.equal(await to('198.19.9.9'), [
    { ...hop, weight: 3 },
    { ...second, isDead: true },
  ]);
});

test('a rule for a source decides the way from it', async ({ netlink }) => {
  await withRoutes(netlink);
  batch([
    'address add 192.0.2.2/24 dev wft-a',
    'route add default via 192.0.2.252 table 100',
    'rule add from 192.0.2.2 lookup 100',
  ]);
  try {
    const source = parseAddress('192.0.2.2');
    const chosen = await netlink.routeTo(parseAddress('198.18.9.9'), { source });

    assert.equal([chosen.gateway, chosen.source], ['192.0.2.252', source]);
    assert.is((await netlink.hopsTo(parseAddress('198.18.9.9'), { source }))[0]?.gateway, '192.0.2.252');
    assert.is((await netlink.routeTo(parseAddress('198.18.9.9'))).gateway, '192.0.2.254');
  } finally {
    batch(['rule delete from 192.0.2.2 lookup 100']);
  }
});

test('where no way leads the errno says why, alike in both families', async ({ netlink }) => {
  assert.is(await errnoOf(netlink.routeTo(parseAddress('198.18.9.9'))), 'ENETUNREACH');
  assert.is(await errnoOf(netlink.routeTo(parseAddress('2001:db8:9::9'))), 'ENETUNREACH');

  await withRoutes(netlink);

  for (const [destination, errno] of [
    ['198.18.0.9', 'EHOSTUNREACH'],
    ['198.18.1.9', 'EACCES'],
    ['198.18.2.9', 'EINVAL'],
    ['2001:db8:2::9', 'EHOSTUNREACH'],
    ['2001:db8:3::9', 'EACCES'],
    ['2001:db8:4::9', 'EINVAL'],
  ] as const) {
    assert.is(await errnoOf(netlink.routeTo(parseAddress(destination))), errno, destination);
  }
});

test('routes of both families and all tables are listed', async ({ netlink }) => {
  const ifindex = await withRoutes(netlink);
  run('ip', 'route', 'add', '198.19.0.0/16', 'dev', 'wft-a', 'table', '1000');

  const routes = await netlink.routes();

  const find = (wanted: string) => routes.find(({ destination }) => destination === wanted);
  const main = { family: 'ipv4', table: 254 };
  const hop = { ifindex, gateway: null, weight: 1, isDead: false };
  const byGateway = { ...hop, gateway: '192.0.2.254' };
  assert.equal(find('default'), { ...main, destination: 'default', hops: [byGateway], metric: 50 });
  assert.equal(find('192.0.2.0/24'), { ...main, destination: '192.0.2.0/24', hops: [hop], metric: 0 });
  assert.equal(find('198.18.0.0/24')?.hops, []);
  assert.is(find('2001:db8:1::/48')?.hops[0]?.gateway, '2001:db8::fe');
  assert.is(find('198.19.0.0/16')?.table, 1000);
  assert.is(find('192.0.2.1/32')?.table, 255);
});

test.run();

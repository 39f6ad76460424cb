/** Links of a real kernel, in a namespace of its own; `ip` is the witness. */

import { spawn, spawnSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import { parseMac } from '../../src/core/mac.ts';
import { decodeAttributes, readU32, text } from '../../src/netlink/attributes.ts';
import { encodeLink } from '../../src/netlink/link.ts';
import { type Netlink, openNetlink } from '../../src/netlink/netlink.ts';
import { openRequestSocket } from '../../src/netlink/socket.ts';
import { enterOwnNamespace, run } from '../kit/own-namespace.ts';
import { suite } from '../kit/suite.ts';

enterOwnNamespace(import.meta.url);

const test = suite<{ netlink: Netlink }>('netlink');

const mac = parseMac('02:42:0a:4d:00:02');
const pair = { name: 'wft-a', peerName: 'wft-b', peerMac: mac, mtuBytes: 1450, gsoMaxBytes: 60_000 };

test.before(async (context) => {
  context.netlink = await openNetlink();
});
test.after.each(() => {
  const links = JSON.parse(run('ip', '-j', 'link')) as { ifname: string }[];
  const deletions = links.map(({ ifname }) => `link delete ${ifname}`);
  // Past failures: loopback stays, and a veth goes with its peer.
  spawnSync('ip', ['-force', '-batch', '-'], { input: deletions.join('\n') });
});
test.after(async ({ netlink }) => {
  await netlink.close();
});

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

test('a veth pair has the asked MTU, MAC and segment sizes, and both ends are down', async ({ netlink }) => {
  await netlink.createVethPair(pair);

  const [own, peer] = [shown('wft-a'), shown('wft-b')];
  assert.is(own.linkinfo.info_kind, 'veth');
  assert.equal([own.mtu, peer.mtu], [1450, 1450]);
  assert.is(peer.address, mac);
  assert.equal([own.gso_max_size, peer.gso_max_size], [65_536, 60_000]);
  assert.equal([own.inet6_addr_gen_mode, peer.inet6_addr_gen_mode], ['none', 'eui64']);
  assert.not.ok(own.flags.includes('UP') || peer.flags.includes('UP'));
});

test('the container end has the IPv4 segment size too, which this ip does not show', async ({ netlink }) => {
  await netlink.createVethPair(pair);
  const socket = await openRequestSocket();

  const [message] = await socket.request({ name: 'get', type: 18, payload: encodeLink({}, [text(3, 'wft-b')]) });
  await socket.close();

  assert.is(readU32(decodeAttributes(message?.payload.subarray(16) ?? Buffer.alloc(0)), 63), 60_000);
});

test('the node sends nothing of its own into a container', async ({ netlink }) => {
  await netlink.createVethPair(pair);
  await netlink.setUp('wft-b');
  await netlink.setUp('wft-a');

  // The kernel's first neighbour, router and multicast messages leave within a second of the link coming up.
  await sleep(1_500);

  const [own] = JSON.parse(run('ip', '-s', '-j', 'link', 'show', 'dev', 'wft-a'));
  assert.is(own.stats64.tx.packets, 0);
  assert.ok(own.stats64.rx.packets > 0, 'the container end does send: the links are up');
});

test('a name that is taken is EEXIST, whichever end has it, and nothing is left', async ({ netlink }) => {
  await netlink.createVethPair(pair);

  assert.is(await errnoOf(netlink.createVethPair(pair)), 'EEXIST');
  assert.is(await errnoOf(netlink.createVethPair({ ...pair, name: 'wft-c' })), 'EEXIST');
  assert.is(await netlink.linkByName('wft-c'), null);
});

test('a wish the kernel refuses leaves no pair behind', async ({ netlink }) => {
  assert.is(await errnoOf(netlink.createVethPair({ ...pair, mtuBytes: 10 })), 'EINVAL');
  assert.is(await netlink.linkByName('wft-a'), null);
});

test('a pair with an MTU too small for IPv6 is made all the same', async ({ netlink }) => {
  await netlink.createVethPair({ ...pair, mtuBytes: 1000 });

  assert.is((await netlink.linkByName('wft-a'))?.mtuBytes, 1000);
});

test('deleting one end takes the other along; deleting again is no error', async ({ netlink }) => {
  await netlink.createVethPair(pair);

  assert.is(await netlink.deleteLink('wft-b'), true);
  assert.is(await netlink.linkByName('wft-a'), null);
  assert.is(await netlink.deleteLink('wft-a'), false);
});

test('a link is read as ip shows it', async ({ netlink }) => {
  await netlink.createVethPair(pair);
  run('ip', 'link', 'add', 'wft-br', 'type', 'bridge');
  run('ip', 'link', 'set', 'wft-a', 'master', 'wft-br', 'up');

  const own = await netlink.linkByName('wft-a');
  const peer = await netlink.linkByName('wft-b');
  const bridge = await netlink.linkByName('wft-br');

  assert.equal([own?.index, own?.isUp, own?.kind], [shown('wft-a').ifindex, true, 'veth']);
  assert.equal([own?.peerIndex, own?.linkNetnsId, own?.master], [peer?.index, null, bridge?.index]);
  assert.equal([peer?.mac, peer?.isUp, peer?.master], [mac, false, null]);
  assert.is(bridge?.kind, 'bridge');
  assert.equal(await netlink.linkByName('lo'), {
    index: 1,
    name: 'lo',
    kind: null,
    mac: null,
    mtuBytes: 65_536,
    isUp: true,
    isArp: true,
    alias: null,
    peerIndex: null,
    linkNetnsId: null,
    master: null,
    vxlan: null,
    bridgePort: null,
  });
});

test('the end left behind tells that its peer is in another namespace', async ({ netlink }) => {
  await netlink.createVethPair(pair);
  const peerIndex = (await netlink.linkByName('wft-b'))?.index;
  const other = spawn('unshare', ['--net', 'sh', '-c', 'echo ready; read -r end'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  try {
    await once(other.stdout, 'data');
    run('ip', 'link', 'set', 'wft-b', 'netns', String(other.pid));

    const own = await netlink.linkByName('wft-a');

    assert.is(own?.peerIndex, peerIndex);
    assert.type(own?.linkNetnsId, 'number');
    assert.is(await netlink.linkByName('wft-b'), null);
  } finally {
    other.stdin.end();
    await once(other, 'exit');
  }
});

test('settings reach the kernel', async ({ netlink }) => {
  await netlink.createVethPair(pair);

  await netlink.setUp('wft-a');
  await netlink.setMtu('wft-a', 1380);
  await netlink.setMac('wft-b', parseMac('02:42:0a:4d:00:09'));

  assert.ok(shown('wft-a').flags.includes('UP'));
  assert.is(shown('wft-a').mtu, 1380);
  assert.is(shown('wft-b').address, '02:42:0a:4d:00:09');

  await netlink.setDown('wft-a');

  assert.not.ok(shown('wft-a').flags.includes('UP'));
});

test('setting a link that is not there is ENODEV', async ({ netlink }) => {
  assert.is(await errnoOf(netlink.setUp('wft-none')), 'ENODEV');
  assert.is(await errnoOf(netlink.setMtu('wft-none', 1400)), 'ENODEV');
});

test('a tunnel carries its metadata beside the packet, without learning or UDP checksums', async ({ netlink }) => {
  await netlink.createTunnel({ name: 'wft-x', port: 14_789, mtuBytes: 9000 });
  await netlink.setUp('wft-x');

  const { mtu, linkinfo, inet6_addr_gen_mode } = shown('wft-x');
  const { external, port, learning, udp_csum, udp_zero_csum6_tx, udp_zero_csum6_rx } = linkinfo.info_data;
  assert.equal([linkinfo.info_kind, external, port, learning], ['vxlan', true, 14_789, false]);
  assert.equal([udp_csum, udp_zero_csum6_tx, udp_zero_csum6_rx], [false, true, true]);
  assert.equal([mtu, inet6_addr_gen_mode], [9000, 'none']);
  const read = await netlink.linkByName('wft-x');
  assert.equal(read?.vxlan, {
    id: 0,
    port: 14_789,
    collectMetadata: true,
    learning: false,
    proxy: false,
    local: null,
  });
  assert.is(run('ss', '-Hlnu', 'sport', '14789').trim().split('\n').length, 2, 'a port for IPv4 and one for IPv6');
});

test('a second tunnel on the port is EEXIST', async ({ netlink }) => {
  await netlink.createTunnel({ name: 'wft-x', port: 14_789 });

  assert.is(await errnoOf(netlink.createTunnel({ name: 'wft-x', port: 14_790 })), 'EEXIST');
  assert.is(await errnoOf(netlink.createTunnel({ name: 'wft-y', port: 14_789 })), 'EEXIST');
});

test('a port held by another program shows as EADDRINUSE when the tunnel is set up', async ({ netlink }) => {
  const holder = createSocket('udp4').bind(14_789, '0.0.0.0');
  await once(holder, 'listening');
  try {
    await netlink.createTunnel({ name: 'wft-x', port: 14_789 });

    assert.is(await errnoOf(netlink.setUp('wft-x')), 'EADDRINUSE');
  } finally {
    holder.close();
  }
});

test.run();

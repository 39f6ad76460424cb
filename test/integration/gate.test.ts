/**
 * The gate (src/datapath/ebpf/gate.ts) on a node with a real data path: what a container sends by docker_gwbridge's like to
 * other nodes. The node is this test's namespace; a peer is on its underlay, and a container behind a bridge with
 * masquerading. The container does what needs no privilege: it sends UDP.
 *
 *      wft-box 172.18.0.2 ── gw0 · node · underlay 192.0.2.1 ── 192.0.2.2 wft-peer
 */

import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { parseAddress } from '../../src/core/address.ts';
import { type EbpfOptions, openEbpfDataPath } from '../../src/datapath/ebpf/data-path.ts';
import { removeEbpfDataPath } from '../../src/datapath/ebpf/remove.ts';
import { type Netlink, openNetlink } from '../../src/netlink/netlink.ts';
import type { DataPath } from '../../src/ports/data-path.ts';
import { eventually, start } from '../kit/command.ts';
import { enterOwnNamespace, run } from '../kit/own-namespace.ts';
import { suite } from '../kit/suite.ts';

const { bpfRoot } = enterOwnNamespace(import.meta.url);
const bpfDir = join(bpfRoot, 'node');
const test = suite<{ netlink: Netlink; dataPath: DataPath }>('gate');
const ignore = () => {};
const optionsOf = (netlink: Netlink): EbpfOptions => ({
  vtep: { address: parseAddress('192.0.2.1'), port: 14789 },
  bpfDir,
  netlink,
  log: { debug: ignore, info: ignore, warn: ignore, error: ignore },
});

test.before(async (context) => {
  for (const name of ['wft-peer', 'wft-box']) run('ip', 'netns', 'add', name);
  const lines = [
    'link add underlay type veth peer name u0 netns wft-peer',
    'link add gw0 type bridge',
    'link add g1 type veth peer name eth1 netns wft-box',
    'link set g1 master gw0 up',
    'address add 192.0.2.1/24 dev underlay',
    'address add 2001:db8::1/64 dev underlay nodad',
    'address add 172.18.0.1/16 dev gw0',
    'address add fd18::1/64 dev gw0 nodad',
    'link set underlay up',
    'link set gw0 up',
  ];
  for (const line of lines) run('ip', ...line.split(' '));
  inNamespace('wft-peer', '192.0.2.2/24', '2001:db8::2/64', 'u0');
  inNamespace('wft-box', '172.18.0.2/16', 'fd18::2/64', 'eth1');
  run('ip', '-n', 'wft-box', 'route', 'add', 'default', 'via', '172.18.0.1');
  run('ip', '-n', 'wft-box', '-6', 'route', 'add', 'default', 'via', 'fd18::1');
  run('sysctl', '-qw', 'net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1');
  for (const [tool, source] of [
    ['iptables', '172.18.0.0/16'],
    ['ip6tables', 'fd18::/64'],
  ] as const) {
    run(tool, '-t', 'nat', '-A', 'POSTROUTING', '-s', source, '!', '-o', 'gw0', '-j', 'MASQUERADE');
  }
  context.netlink = await openNetlink();
  context.dataPath = await openEbpfDataPath(optionsOf(context.netlink));
});
test.after(async ({ netlink, dataPath }) => {
  await dataPath.close();
  await removeEbpfDataPath(bpfDir, netlink);
  await netlink.close();
});

function inNamespace(name: string, ipv4: string, ipv6: string, device: string): void {
  run('ip', '-n', name, 'address', 'add', ipv4, 'dev', device);
  run('ip', '-n', name, 'address', 'add', ipv6, 'dev', device, 'nodad');
  run('ip', '-n', name, 'link', 'set', device, 'up');
}

const rules = () =>
  [...run('ip', 'rule').split('\n'), ...run('ip', '-6', 'rule').split('\n')].filter((line) => /^5[123]:/.test(line));

/** Sends datagrams to ports of an address from a namespace; @returns the ports at which the peer saw them come in. */
async function arriving(from: string | null, address: string, ports: readonly number[]): Promise<readonly number[]> {
  const last = 9;
  const capture = await start([
    'nsenter',
    '--net=/run/netns/wft-peer',
    'tcpdump',
    '-i',
    'u0',
    '-Q',
    'in',
    '-n',
    '-l',
    '--immediate-mode',
    'udp',
  ]);
  await capture.waitFor('listening on');
  const code = `const s=require('dgram').createSocket('udp${address.includes(':') ? 6 : 4}');
    (async()=>{for(const p of [${[...ports, last]}])await new Promise(done=>s.send('weft',p,'${address}',done));s.close()})()`;
  const enter = from === null ? [] : ['nsenter', `--net=/run/netns/${from}`];
  const sender = [...enter, process.execPath, '-e', code] as const;
  await eventually('the last datagram is seen', async () => {
    const [program = '', ...words] = sender;
    run(program, ...words);
    return capture.stdout().includes(`.${last}: UDP`);
  });
  const { stdout } = await capture.stop('SIGINT');
  return ports.filter((port) => stdout.includes(`.${port}: UDP`));
}

test('a container reaches other nodes by the gateway, but not their tunnel port', async () => {
  for (const address of ['192.0.2.2', '2001:db8::2']) {
    assert.equal(await arriving('wft-box', address, [14788, 14789, 14790]), [14788, 14790], address);
  }
});

test('the node itself may send to it', async () => {
  for (const address of ['192.0.2.2', '2001:db8::2']) {
    assert.equal(await arriving(null, address, [14789]), [14789], address);
  }
});

test('without the rules a container would be taken for its node', async ({ netlink }) => {
  const own = await netlink.rules();
  for (const rule of own) await netlink.deleteRule(rule);

  assert.equal(await arriving('wft-box', '192.0.2.2', [14789]), [14789]);
  for (const rule of own) await netlink.addRule(rule);
});

test('rules that somebody deleted are there again after the next look', async ({ netlink }) => {
  const whole = rules();
  assert.is(whole.length, 8);
  for (const rule of (await netlink.rules()).slice(0, 5)) await netlink.deleteRule(rule);

  // A change of routes is an occasion to look.
  run('ip', 'route', 'add', '198.51.100.0/24', 'dev', 'underlay');

  await eventually('the rules are whole', () => rules().length === whole.length);
  assert.equal(rules().toSorted(), whole.toSorted());
});

test('rules of others stay, and ours go with the data path', async ({ netlink, dataPath }) => {
  run('ip', 'rule', 'add', 'pref', '52', 'from', '203.0.113.0/24', 'lookup', 'main');
  await dataPath.close();

  await removeEbpfDataPath(bpfDir, netlink);

  assert.is(rules().length, 1);
  run('ip', 'rule', 'del', 'pref', '52');
});

test.run();

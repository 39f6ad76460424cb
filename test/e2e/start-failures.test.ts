/**
 * Whatever keeps a daemon from starting is said in one line with the value and the way out, by an exit code, and
 * without a trace: no device, no pinned program, no socket, no record, and no harm to a daemon that runs.
 */

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import type { StatusReport } from '../../src/overlay/report.ts';
import type { Daemon } from '../kit/daemon.ts';
import { type AttemptOptions, attemptStart, flagsOf, type StartAttempt } from '../kit/daemon-attempt.ts';
import { createLab, type Lab } from '../kit/lab.ts';
import type { LabNode } from '../kit/node.ts';
import { weftProgram } from '../kit/paths.ts';
import { createHand, type Hand, type HandContainer, type HandNetwork } from '../kit/plugin-client.ts';
import { suite } from '../kit/suite.ts';
import { countLoss, startEcho } from '../kit/traffic.ts';

interface Context {
  lab: Lab;
  /** Where nothing runs. */
  bare: LabNode;
  /** Where a daemon runs, with two containers that talk. */
  busy: LabNode;
  daemon: Daemon;
  hand: Hand;
  network: HandNetwork;
  containers: readonly [HandContainer, HandContainer];
}

const metricsAddress = '127.0.0.1:9474';
const test = suite<Context>('start failures');

test.before(async (context) => {
  context.lab = await createLab();
  context.bare = await context.lab.node();
  context.busy = await context.lab.node();
  context.daemon = await context.busy.daemon({
    store: context.lab.embeddedStore,
    args: ['--metrics', metricsAddress],
  });
  context.hand = createHand(context.busy, context.daemon);
  context.network = await context.hand.createNetwork({ subnet: '10.77.0.0/24' });
  context.containers = [await context.hand.run(context.network), await context.hand.run(context.network)];
});

test.after(({ lab }) => lab?.close());

interface Case extends AttemptOptions {
  readonly title: string;
  readonly code?: 1 | 2;
  readonly says: readonly string[];
  /** Makes the obstacle; what it returns takes it away. */
  readonly obstacle?: (context: Context, directory: string) => Promise<() => Promise<unknown>>;
}

function requireSays({ line }: StartAttempt, says: readonly string[]): void {
  for (const word of says) assert.ok(line.includes(word), `"${word}" is not in: ${line}`);
}

function declare({ title, code = 1, says, obstacle, ...options }: Case): void {
  test(title, async (context) => {
    const { lab, bare } = context;
    let remove: () => Promise<unknown> = async () => undefined;
    const prepare = async (directory: string) => {
      await options.prepare?.(directory);
      if (obstacle !== undefined) remove = await obstacle(context, directory);
    };
    try {
      const attempt = await attemptStart(lab, bare, { ...options, prepare });
      assert.is(attempt.code, code);
      requireSays(attempt, says);
    } finally {
      await remove();
    }
  });
}

// What is wrong with the command line: exit code 2.

function usage(flag: string, value: string, ...says: readonly string[]): Case {
  return {
    title: `--${flag} ${value} is wrong usage`,
    flags: { [flag]: value },
    code: 2,
    says: [`--${flag} ${value}`, ...says],
  };
}

/** One of each kind: which values are good is the configuration's own test. */
const usages: readonly Case[] = [
  { title: 'an unknown flag is wrong usage', words: ['--bogus', '1'], code: 2, says: ['--bogus', 'weft --help'] },
  { title: 'a flag without its value is wrong usage', words: ['--port'], code: 2, says: ['--port', 'weft --help'] },
  { title: 'a word too many is wrong usage', words: ['now'], code: 2, says: ['weft --help'] },
  usage('port', '70000', 'from 1 to 65535'),
  usage('port', 'vxlan', 'a whole number'),
  usage('data-path', 'xdp', 'auto, ebpf or bridge'),
  usage('vtep', '10.10.1.300', 'an IPv4 or IPv6 address of this node'),
  usage('store', 'http://127.0.0.1:8500', 'http is not a kind of store', 'consul://HOST'),
  usage('state-dir', 'relative/path', 'an absolute path'),
  {
    title: 'a bad value in the environment is wrong usage, by the name of its variable',
    env: { WEFT_PORT: 'vxlan' },
    code: 2,
    says: ['WEFT_PORT=vxlan', 'a whole number'],
  },
  {
    title: 'a token file that is not there is wrong usage',
    flags: { store: 'consul://127.0.0.1:1', 'store-token-file': '/nowhere/token' },
    code: 2,
    says: ['--store-token-file /nowhere/token', 'no such file'],
  },
];

// Addresses, devices and the tunnel's port.

const tunnel: readonly Case[] = [
  {
    title: 'a VTEP address that no device has is refused with the addresses there are',
    flags: { vtep: '192.0.2.77' },
    says: ['192.0.2.77', '10.10.1.2', '--vtep'],
  },
  {
    title: 'a VTEP device that is not there is refused with the addresses there are',
    flags: { vtep: 'nodev0' },
    says: ['nodev0', '10.10.1.2', '--vtep'],
  },
  {
    title: 'a VTEP device without an address is refused',
    flags: { vtep: 'lo' },
    says: ['device lo', '10.10.1.2', '--vtep'],
  },
  {
    title: 'of two VTEP addresses, one that no device has is refused with the addresses there are',
    flags: { vtep: '10.10.1.2,fd00:10:1::77' },
    says: ['fd00:10:1::77', '10.10.1.2, fd00:10:1::2', '--vtep'],
  },
  {
    title: 'a tunnel port that another VXLAN device holds is refused with its name',
    says: ['14789', 'vxlan device vx0', '--port'],
    obstacle: async ({ bare }) => {
      await bare.run('ip link add vx0 type vxlan external dstport 14789'.split(' '));
      await bare.run('ip link set vx0 up'.split(' '));
      return () => bare.run('ip link delete vx0'.split(' '));
    },
  },
  {
    title: 'a tunnel port that a plain UDP socket holds is refused',
    says: ['14789', 'a socket of another process', '--port'],
    obstacle: async ({ bare }) => {
      const script = "require('node:dgram').createSocket('udp4').bind(14789, () => console.log('ready'))";
      const holder = await bare.spawn([process.execPath, '-e', script]);
      await holder.waitFor('ready');
      return () => holder.stop();
    },
  },
  {
    title: 'a device of another kind with the name of the tunnel is refused, and left alone',
    says: ['weft14789', 'kind bridge', 'remove or rename'],
    obstacle: async ({ bare }) => {
      await bare.run('ip link add weft14789 type bridge'.split(' '));
      return () => bare.run('ip link delete weft14789'.split(' '));
    },
  },
  {
    title: 'a VXLAN device with a VNI of its own and the name of the tunnel is refused, and left alone',
    says: ['weft14789', 'VNI 7', 'remove or rename'],
    obstacle: async ({ bare }) => {
      await bare.run('ip link add weft14789 type vxlan id 7 dstport 14789 dev eth0'.split(' '));
      return () => bare.run('ip link delete weft14789'.split(' '));
    },
  },
];

// The store.

const listening =
  (script: string) =>
  async ({ bare }: Context) => {
    const server = await bare.spawn([process.execPath, '-e', script]);
    await server.waitFor('ready');
    return () => server.stop();
  };

const stores: readonly Case[] = [
  {
    title: 'a store whose port is closed is named as unreachable',
    flags: { store: 'consul://127.0.0.1:1' },
    says: ['consul://127.0.0.1:1', 'ECONNREFUSED', 'try again'],
  },
  {
    title: 'a store behind a black hole is given up in time',
    flags: { store: 'consul://10.10.1.1:8500' },
    says: ['consul://10.10.1.1:8500', 'no answer within'],
    obstacle: async ({ bare }) => {
      await bare.run('iptables -w -A OUTPUT -p tcp --dport 8500 -j DROP'.split(' '));
      return () => bare.run('iptables -w -D OUTPUT -p tcp --dport 8500 -j DROP'.split(' '));
    },
  },
  {
    title: 'a store that accepts and never answers is given up in time',
    flags: { store: 'consul://127.0.0.1:8500' },
    says: ['consul://127.0.0.1:8500', 'no answer within'],
    obstacle: listening("require('node:net').createServer().listen(8500, () => console.log('ready'))"),
  },
  {
    title: 'something that is no Consul is refused as a store',
    flags: { store: 'consul://127.0.0.1:8500' },
    says: ['consul://127.0.0.1:8500', '404'],
    obstacle: listening(
      "require('node:http').createServer((_, r) => r.writeHead(404).end('what?')).listen(8500, () => console.log('ready'))",
    ),
  },
  {
    title: 'a store that speaks HTTP where TLS was asked for is refused',
    flags: { store: 'consul+https://127.0.0.1:8500' },
    says: ['consul+https://127.0.0.1:8500', 'cannot be reached'],
    obstacle: listening("require('node:http').createServer().listen(8500, () => console.log('ready'))"),
  },
  {
    title: 'a store below a file is refused',
    flags: { store: 'lmdb:///etc/hostname/store' },
    says: ['lmdb:///etc/hostname/store', 'not a directory'],
  },
  {
    title: 'a store whose data file is damaged is refused instead of mapped',
    prepare: (directory) => {
      mkdirSync(join(directory, 'store'));
      writeFileSync(join(directory, 'store', 'data.mdb'), 'x'.repeat(20_000));
    },
    says: ['data.mdb', 'damaged'],
  },
];

// Privileges, the bpf file system, the data path, the state directory, sockets.

function without(...capabilities: readonly string[]): Case {
  const taken = capabilities.map((name) => `-${name}`).join(',');
  return {
    title: `without ${capabilities.join(' and ')} the daemon says so`,
    prefix: ['setpriv', `--bounding-set=${taken}`, `--inh-caps=${taken}`],
    says: [`CAP_${capabilities[0]?.toUpperCase()}`, 'run it as root'],
  };
}

const corrupt = (file: string, text: string, ...says: readonly string[]): Case => ({
  title: `a state directory whose ${file.replace(/\/.*/, '')} cannot be read stops the daemon with the file's name`,
  prepare: (directory) => {
    const path = join(directory, 'state', file);
    mkdirSync(join(path, '..'), { recursive: true });
    writeFileSync(path, text);
  },
  says: [`state/${file}`, 'move it away', ...says],
});

const surroundings: readonly Case[] = [
  without('net_admin'),
  without('net_raw'),
  { ...without('bpf', 'sys_admin'), flags: { 'data-path': 'ebpf' } },
  without('net_admin', 'net_raw', 'bpf', 'sys_admin'),
  {
    title: 'a bpf directory that is on no bpf file system is refused with the command that mounts one',
    flags: { 'bpf-dir': '/run/weft-lab/none' },
    says: ['/run/weft-lab/none', 'mount -t bpf'],
  },
  corrupt('node-id', 'me\n', '16 hex digits'),
  corrupt('networks/n1.json', '{"id": "n1", '),
  corrupt('endpoints/e1.json', '{"id": "e1"}'),
  {
    title: 'a state directory below a file is refused',
    flags: { 'state-dir': '/etc/hostname/state' },
    says: ['/etc/hostname/state', 'not a directory'],
  },
  {
    title: 'a plugin socket below a file is refused',
    flags: { 'plugin-socket': '/etc/hostname/weft.sock' },
    says: ['--plugin-socket', '/etc/hostname/weft.sock', 'choose another path'],
  },
  {
    title: 'a plugin socket where a file is in the way is refused, and the file stays',
    flags: { 'plugin-socket': '/etc/hostname' },
    says: ['--plugin-socket', '/etc/hostname', 'not a socket'],
  },
  {
    title: 'a metrics address that is not here is refused',
    flags: { metrics: '192.0.2.7:9474' },
    says: ['--metrics 192.0.2.7:9474', '--metrics off'],
  },
];

for (const each of [...usages, ...tunnel, ...stores, ...surroundings]) declare(each);

test('a token in the URL of a store is refused, and never shown', async ({ lab, bare }) => {
  const attempt = await attemptStart(lab, bare, { flags: { store: 'consul://me:s3cr3t-t0k3n@127.0.0.1:8500' } });

  assert.is(attempt.code, 2);
  requireSays(attempt, ['WEFT_STORE_TOKEN']);
  assert.not.match(attempt.output, 's3cr3t');
});

// Beside a daemon that runs.

/** Refused on the busy node, while its containers talk: not one answer may be missing. */
function beside(
  title: string,
  flags: (context: Context) => Record<string, string>,
  says: (context: Context) => readonly string[],
): void {
  test(title, async (context) => {
    const { lab, busy, daemon, containers } = context;
    const [from, to] = containers;
    const echo = await startEcho(to);

    const { lost, sent, result } = await countLoss({ from, address: to.address }, () =>
      attemptStart(lab, busy, { flags: flags(context) }),
    );
    await echo.stop();

    assert.is(result.code, 1);
    requireSays(result, says(context));
    assert.equal([lost, sent > 100], [0, true]);
    const { problems, store, networks } = JSON.parse(await daemon.cli(['status', '--json'])) as StatusReport;
    assert.equal([problems, store.state, networks[0]?.endpoints], [[], 'live', 2]);
  });
}

beside(
  'a second daemon on the plugin socket of a running one is refused',
  ({ daemon }) => ({ 'plugin-socket': daemon.pluginSocket }),
  ({ daemon }) => [daemon.pluginSocket, 'a running process', '--plugin-socket'],
);
beside(
  'a second daemon on the control socket of a running one is refused',
  ({ daemon }) => ({ 'control-socket': daemon.controlSocket }),
  ({ daemon }) => [daemon.controlSocket, 'a running process', '--control-socket'],
);
beside(
  'a second daemon on the metrics address of a running one is refused',
  () => ({ metrics: metricsAddress }),
  () => [`--metrics ${metricsAddress}`, 'another process', '--metrics off'],
);
beside(
  'a second daemon on the state directory of a running one is refused with the name of that one',
  ({ daemon, lab }) => ({ 'state-dir': daemon.stateDir, store: lab.embeddedStore }),
  ({ daemon, busy }) => [`${busy.name}, process ${daemon.pid}`, '--state-dir'],
);
beside(
  'a second daemon on the state and bpf directory of a running one is refused before it touches its programs',
  ({ daemon, lab }) => ({ 'state-dir': daemon.stateDir, 'bpf-dir': daemon.bpfDir, store: lab.embeddedStore }),
  ({ daemon, busy }) => [`${busy.name}, process ${daemon.pid}`, '--state-dir'],
);
beside(
  'the very same command a second time is refused',
  ({ daemon, lab, busy }) => ({
    node: busy.name,
    store: lab.embeddedStore,
    'plugin-socket': daemon.pluginSocket,
    'control-socket': daemon.controlSocket,
    'state-dir': daemon.stateDir,
    'bpf-dir': daemon.bpfDir,
    metrics: metricsAddress,
  }),
  ({ daemon }) => [daemon.pluginSocket, 'a running process'],
);

test('once the obstacle is gone the same command starts, and ends by SIGTERM with code 0', async ({ lab, bare }) => {
  await bare.run('ip link add vx0 type vxlan external dstport 14789'.split(' '));
  await bare.run('ip link set vx0 up'.split(' '));
  const { directory, code } = await attemptStart(lab, bare);
  await bare.run('ip link delete vx0'.split(' '));

  const words = Object.entries(flagsOf(lab, directory)).flatMap(([name, value]) => [`--${name}`, value ?? '']);
  const daemon = await bare.spawn([weftProgram, 'daemon', ...words]);
  await daemon.waitFor('daemon started');
  const ended = await daemon.stop();

  assert.equal([code, ended.code], [1, 0]);
});

test('commands without a daemon say so at once, with code 1', async ({ lab, bare }) => {
  for (const command of ['status', 'nodes', 'networks', 'endpoints', 'peers']) {
    const path = join(lab.directory, 'nobody.sock');
    const { code, stderr, stdout } = await bare.exec([weftProgram, command, '--control-socket', path]);

    assert.equal([code, stdout], [1, '']);
    assert.match(stderr, `weft: no weft daemon answers on ${path}`);
    assert.is(stderr.trim().split('\n').length, 1);
  }
});

test.run();

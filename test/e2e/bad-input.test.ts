/**
 * What an engine, or anything else on the plugin socket, may send by mistake or by malice: it is answered at once with
 * one sentence that names the value and the way out, changes nothing anywhere, and the daemon goes on.
 */

import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { connect } from 'node:net';
import * as assert from 'uvu/assert';
import type { StatusReport } from '../../src/overlay/report.ts';
import type { Daemon, LogLine } from '../kit/daemon.ts';
import { createLab, type Lab } from '../kit/lab.ts';
import type { LabNode } from '../kit/node.ts';
import {
  differences,
  type NodeState,
  readLmdb,
  readNode,
  requireNothingLeft,
  type StoreReader,
} from '../kit/node-state.ts';
import {
  answerLimitMs,
  createHand,
  type Hand,
  type HandContainer,
  type HandEndpoint,
  type HandNetwork,
  newId,
  type PluginReply,
  refusalOf,
} from '../kit/plugin-client.ts';
import { suite } from '../kit/suite.ts';
import { ping } from '../kit/traffic.ts';

interface Side {
  readonly host: LabNode;
  readonly daemon: Daemon;
  readonly hand: Hand;
}

interface Context {
  lab: Lab;
  store: StoreReader;
  sides: readonly [Side, Side];
  /** The same network on both nodes: 10.77.0.0/24, VNI 4242, MTU 1400. */
  blue: readonly [HandNetwork, HandNetwork];
  /** On the first node only: weft.network=red, 10.78.0.0/24. */
  red: HandNetwork;
  /** 10.77.0.10 on the first node. */
  running: HandContainer;
  /** On the second node. */
  neighbour: HandContainer;
  /** 10.77.0.20 on the first node, created and not joined. */
  waiting: HandEndpoint;
}

const test = suite<Context>('bad input');

test.before(async (context) => {
  context.lab = await createLab();
  context.store = await readLmdb(context.lab.embeddedStore);
  context.sides = [await createSide(context.lab), await createSide(context.lab)];
  const [one, two] = context.sides;
  const options = { 'weft.vni': '4242', 'com.docker.network.driver.mtu': '1400' };
  context.blue = [
    await one.hand.createNetwork({ subnet: '10.77.0.0/24', gateway: '10.77.0.1', options }),
    await two.hand.createNetwork({ subnet: '10.77.0.0/24' }),
  ];
  context.red = await one.hand.createNetwork({ subnet: '10.78.0.0/24', name: 'red' });
  context.running = await one.hand.run(context.blue[0], { address: '10.77.0.10' });
  context.neighbour = await two.hand.run(context.blue[1]);
  context.waiting = await one.hand.createEndpoint(context.blue[0], { address: '10.77.0.20' });
});

test.after(async ({ lab, store }) => {
  await store?.close();
  await lab?.close();
});

async function createSide(lab: Lab): Promise<Side> {
  const host = await lab.node();
  const daemon = await host.daemon({ store: lab.embeddedStore, args: ['--log-level', 'debug'] });
  return { host, daemon, hand: createHand(host, daemon) };
}

async function readAll({ sides, store }: Context): Promise<readonly NodeState[]> {
  return Promise.all(sides.map(({ host, daemon }) => readNode(host, daemon, store)));
}

/** Of both nodes; nothing but refusals happens between two of these tests. */
let lastState: readonly NodeState[] | null = null;

/** @returns the text of the refusal; @throws unless it is one, and nothing has changed */
async function requireRefusal(context: Context, refused: () => Promise<string>): Promise<string> {
  const before = lastState ?? (await readAll(context));
  lastState = null;
  const text = await refused();
  const after = await readAll(context);
  assert.equal(changed(before, after), []);
  requireReadable(text);
  await requireServing(context);
  assert.equal(errorsOf(context), []);
  lastState = after;
  return text;
}

function changed(before: readonly NodeState[], after: readonly NodeState[]): readonly string[] {
  return after.flatMap((state, index) => differences(before[index] ?? state, state));
}

function requireReadable(text: string): void {
  assert.not.match(text, /\n|undefined|\[object|\{\w+\}|^\s*at |node:internal|TypeError|RangeError|file:\/\//);
  assert.ok(text.length > 20 && text.length <= 1_000, `a sentence for a person, not: ${text}`);
}

async function requireServing({ sides }: Context): Promise<void> {
  for (const { hand } of sides) {
    const { Implements } = await hand.call('Plugin.Activate', {});
    assert.equal(Implements, ['NetworkDriver', 'IpamDriver']);
  }
}

/** What the daemons logged as nobody's foreseen failure since the last time. */
let seenLines = 0;

function errorsOf({ sides }: Context): readonly LogLine[] {
  const lines = sides
    .flatMap(({ daemon }) => daemon.log())
    .filter((line) => line['level'] === 'error' || 'text' in line);
  const news = lines.slice(seenLines);
  seenLines = lines.length;
  return news;
}

function requireWords(text: string, words: readonly string[]): void {
  for (const word of words) assert.ok(text.includes(word), `"${word}" is not in: ${text}`);
}

/** In time, under both names that engines look for. */
function textOf(method: string, reply: PluginReply): string {
  assert.ok(reply.milliseconds < answerLimitMs, `${method} took ${Math.round(reply.milliseconds)} ms`);
  const text = refusalOf(method, reply);
  if (text === null) throw new Error(`${method} should have been refused: ${reply.body}`);
  assert.equal(JSON.parse(reply.body), { Err: text, Error: text });
  return text;
}

/** A call that must be refused, on the first node unless said otherwise. */
interface Case {
  readonly title: string;
  readonly method: string;
  readonly message: (context: Context) => object | string;
  readonly says: readonly string[];
  readonly on?: 0 | 1;
}

function declare({ title, method, message, says, on = 0 }: Case): void {
  test(title, async (context) => {
    const content = message(context);
    const body = typeof content === 'string' ? content : `${JSON.stringify(content)}\n`;
    const text = await requireRefusal(context, async () =>
      textOf(method, await context.sides[on].hand.send(method, body)),
    );
    requireWords(text, says);
  });
}

// Messages that are none.

const needing = [
  ...['AllocateNetwork', 'FreeNetwork', 'GwAllocCheck', 'CreateNetwork', 'DeleteNetwork', 'CreateEndpoint'],
  ...['DeleteEndpoint', 'EndpointOperInfo', 'Join', 'Leave', 'ProgramExternalConnectivity'],
  ...['RevokeExternalConnectivity', 'DiscoverNew', 'DiscoverDelete'],
].map((name) => `NetworkDriver.${name}`);
const needingIpam = ['RequestPool', 'ReleasePool', 'RequestAddress', 'ReleaseAddress'].map(
  (name) => `IpamDriver.${name}`,
);

test('an empty body is refused by every method that needs a message, since a broken retry sends one', async (context) => {
  const { hand } = context.sides[0];
  await requireRefusal(context, async () => {
    const texts: string[] = [];
    for (const method of [...needing, ...needingIpam]) {
      const text = textOf(method, await hand.send(method, ''));
      requireWords(text, [method, 'the body is empty', 'nothing was changed']);
      texts.push(text);
    }
    return texts[0] ?? '';
  });
});

test('a body that is no JSON, or no object, is refused by every method that needs a message', async (context) => {
  const { hand } = context.sides[0];
  await requireRefusal(context, async () => {
    const texts: string[] = [];
    for (const method of [...needing, ...needingIpam]) {
      for (const body of ['{"NetworkID":', '{"a":1}}', '\u0000', 'null', '[]', '"text"', '7']) {
        const text = textOf(method, await hand.send(method, body));
        requireWords(text, [method, 'the body ']);
        texts.push(text);
      }
    }
    return texts[0] ?? '';
  });
});

const deep = `{"NetworkID":${'['.repeat(200_000)}${']'.repeat(200_000)}}`;
const wire: readonly Case[] = [
  {
    title: 'a message without its fields is refused with the name of the first of them',
    method: 'NetworkDriver.CreateNetwork',
    message: () => ({}),
    says: ['NetworkDriver.CreateNetwork', 'NetworkID must be a text', 'got nothing'],
  },
  {
    title: 'CreateEndpoint without an endpoint is refused',
    method: 'NetworkDriver.CreateEndpoint',
    message: ({ blue }) => ({ NetworkID: blue[0].id }),
    says: ['EndpointID must be a text'],
  },
  {
    title: 'RequestAddress without a pool is refused',
    method: 'IpamDriver.RequestAddress',
    message: () => ({ Address: '10.77.0.5' }),
    says: ['PoolID must be a text'],
  },
  {
    title: 'ReleaseAddress without an address is refused',
    method: 'IpamDriver.ReleaseAddress',
    message: ({ blue }) => ({ PoolID: blue[0].pool }),
    says: ['Address must be a text'],
  },
  {
    title: 'an id that is a number is refused',
    method: 'NetworkDriver.Join',
    message: ({ waiting }) => ({ NetworkID: 7, EndpointID: waiting.id }),
    says: ['NetworkID must be a text', 'got 7'],
  },
  {
    title: 'an id that is a path is refused',
    method: 'NetworkDriver.DeleteNetwork',
    message: () => ({ NetworkID: '../../../etc/passwd' }),
    says: ['NetworkID must be an id', '../../../etc/passwd'],
  },
  {
    title: 'an interface that is a text is refused',
    method: 'NetworkDriver.CreateEndpoint',
    message: ({ blue }) => ({ NetworkID: blue[0].id, EndpointID: newId(), Interface: '10.77.0.5' }),
    says: ['Interface must be an object', '10.77.0.5'],
  },
  {
    title: 'options that are a list are refused',
    method: 'NetworkDriver.CreateNetwork',
    message: () => ({ NetworkID: newId(), Options: ['weft.vni=1'], IPv4Data: [] }),
    says: ['Options must be a map'],
  },
  {
    title: 'a value nested two hundred thousand times is refused, and quoted in part only',
    method: 'NetworkDriver.DeleteNetwork',
    message: () => deep,
    says: ['NetworkID must be a text'],
  },
  {
    title: 'a body of two megabytes is refused with the limit',
    method: 'NetworkDriver.CreateNetwork',
    message: () => JSON.stringify({ NetworkID: 'a'.repeat(2_000_000) }),
    says: ['1048576 bytes'],
  },
  {
    title: 'a method that does not exist is refused by its name',
    method: 'NetworkDriver.Explode',
    message: () => ({}),
    says: ['NetworkDriver.Explode', 'no such method'],
  },
];

// Options.

const docker = 'com.docker.network.generic';
const mtu = 'com.docker.network.driver.mtu';

function network(options: Readonly<Record<string, string>>, ...subnets: readonly string[]) {
  const IPv4Data = (subnets.length > 0 ? subnets : ['10.99.0.0/24']).map((Pool) => ({ Pool }));
  return () => ({ NetworkID: newId(), Options: { [docker]: options }, IPv4Data, IPv6Data: [] });
}

function badOption(option: string, value: string, ...says: readonly string[]): Case {
  return {
    title: `option ${option}=${JSON.stringify(value.slice(0, 30))} is refused with the value and what is allowed`,
    method: 'NetworkDriver.CreateNetwork',
    message: network({ [option]: value }),
    says: [option, value, ...says],
  };
}

const options: readonly Case[] = [
  {
    title: 'an unknown driver option is refused with the names of those that are known',
    method: 'NetworkDriver.CreateNetwork',
    message: network({ 'weft.vnid': '77' }),
    says: ['weft.vnid', 'is not known', 'weft.network', 'weft.vni', 'weft.multicast', mtu],
  },
  {
    title: 'an unknown driver option is refused by the check that comes before any address, too',
    method: 'NetworkDriver.GwAllocCheck',
    message: () => ({ Options: { [docker]: { encrypted: '' } } }),
    says: ['encrypted', 'is not known'],
  },
  {
    title: 'an unknown driver option is refused on the leader of a swarm, too',
    method: 'NetworkDriver.AllocateNetwork',
    message: () => ({ NetworkID: newId(), Options: { 'weft.vnid': '77' }, IPv4Data: [], IPv6Data: null }),
    says: ['weft.vnid', 'is not known'],
  },
  {
    title: 'an unknown IPAM option is refused with the name of the one that is known',
    method: 'IpamDriver.RequestPool',
    message: () => ({ Pool: '10.99.0.0/24', Options: { 'weft.netwrk': 'blue' } }),
    says: ['weft.netwrk', 'is not known', 'weft.network'],
  },
  {
    title: 'an option of Weft on an endpoint is refused',
    method: 'NetworkDriver.CreateEndpoint',
    message: ({ blue }) => ({ ...endpointIn(blue[0], '10.77.0.30/24'), Options: { 'weft.vni': '7' } }),
    says: ['weft.vni', 'is not known'],
  },
  badOption('weft.vni', '0', '1 to 16777215'),
  badOption('weft.vni', '16777216', '1 to 16777215'),
  badOption('weft.vni', '-1', '1 to 16777215'),
  badOption('weft.vni', 'blue', '1 to 16777215'),
  badOption('weft.vni', '0x10', '1 to 16777215'),
  badOption('weft.vni', '4096.5', '1 to 16777215'),
  badOption('weft.vni', '', '1 to 16777215'),
  badOption(mtu, '0', '68 to'),
  badOption(mtu, '67', '68 to'),
  badOption(mtu, '65500', '68 to'),
  badOption(mtu, 'large', '68 to'),
  badOption(mtu, '1e3', '68 to'),
  badOption(mtu, '-1500', '68 to'),
  badOption('weft.multicast', 'maybe', 'on or off'),
  badOption('weft.network', 'two words', '1 to 64 letters'),
  badOption('weft.network', '../etc', '1 to 64 letters'),
  badOption('weft.network', 'blau|grün', '1 to 64 letters'),
  badOption('weft.network', '', '1 to 64 letters'),
  badOption('weft.network', 'x'.repeat(65), '1 to 64 letters'),
  {
    title: 'an option of a hundred thousand characters is refused with some of them, and with what is allowed',
    method: 'NetworkDriver.CreateNetwork',
    message: network({ 'weft.network': 'x'.repeat(100_000) }),
    says: ['weft.network=xxx', '1 to 64 letters'],
  },
  {
    title: 'a weft.network with bad characters is refused by the IPAM driver, too',
    method: 'IpamDriver.RequestPool',
    message: () => ({ Pool: '10.99.0.0/24', Options: { 'weft.network': 'a/b' } }),
    says: ['weft.network=a/b', '1 to 64 letters'],
  },
  {
    title: 'an MTU too small for IPv6 is refused on a network that has it',
    method: 'NetworkDriver.CreateNetwork',
    message: () => ({
      NetworkID: newId(),
      Options: { [docker]: { [mtu]: '1279' } },
      IPv4Data: [{ Pool: '10.99.0.0/24' }],
      IPv6Data: [{ Pool: 'fd00:99::/64' }],
    }),
    says: ['1279', 'fd00:99::/64', '1280'],
  },
  {
    title: 'a VNI that is taken is refused with the name of its owner',
    method: 'NetworkDriver.CreateNetwork',
    message: network({ 'weft.vni': '4242' }),
    says: ['VNI 4242', '10.77.0.0/24', '-o weft.vni'],
  },
  {
    title: 'a VNI that is taken is refused on another node, too',
    method: 'NetworkDriver.CreateNetwork',
    message: network({ 'weft.vni': '4242', 'weft.network': 'green' }),
    says: ['VNI 4242', '10.77.0.0/24', '-o weft.vni'],
    on: 1,
  },
];

// Subnets and pools.

function pool(Pool: string, more: object, ...says: readonly string[]): Case {
  return {
    title: `the pool ${JSON.stringify({ Pool, ...more })} is refused`,
    method: 'IpamDriver.RequestPool',
    message: () => ({ AddressSpace: 'WeftLocal', Pool, ...more }),
    says,
  };
}

const pools: readonly Case[] = [
  pool('10.77.0.0/16', {}, '10.77.0.0/16', 'overlaps 10.77.0.0/24', 'weft.network'),
  pool('10.77.0.128/25', {}, '10.77.0.128/25', 'overlaps 10.77.0.0/24', '--subnet'),
  pool('10.78.0.0/25', { Options: { 'weft.network': 'red' } }, '10.78.0.0/25', 'overlaps 10.78.0.0/24', 'red'),
  pool('10.99.0.1/24', {}, '10.99.0.1/24', 'did you mean 10.99.0.0/24'),
  pool('10.99.0.0', {}, '10.99.0.0', 'ADDRESS/LENGTH'),
  pool('10.99.0.0/33', {}, '10.99.0.0/33'),
  pool('300.0.0.0/8', {}, '300.0.0.0/8'),
  pool('banana', {}, 'banana', 'such as 10.77.0.0/24'),
  pool('10.99.0.0/24', { SubPool: '10.98.0.0/25' }, '10.98.0.0/25', 'inside', '10.99.0.0/24', '--ip-range'),
  pool('10.99.0.0/24', { SubPool: '10.99.0.0/16' }, '10.99.0.0/16'),
  pool('', { SubPool: '10.99.0.0/25' }, '10.99.0.0/25', '--subnet'),
  pool('10.99.0.0/24', { V6: true }, '10.99.0.0/24', 'not IPv6'),
  pool('10.99.0.0/24', { V6: 'yes' }, 'V6 must be true or false', 'yes'),
  {
    title: 'a network on the null IPAM driver is refused with the driver to use',
    method: 'NetworkDriver.CreateNetwork',
    message: network({}, '0.0.0.0/0'),
    says: ['0.0.0.0/0', '--ipam-driver weft'],
  },
  {
    title: 'a network without a subnet is refused',
    method: 'NetworkDriver.CreateNetwork',
    message: () => ({ NetworkID: newId(), Options: {}, IPv4Data: [], IPv6Data: [] }),
    says: ['no subnet'],
  },
  {
    title: 'an IPv6 subnet among the IPv4 ones is refused',
    method: 'NetworkDriver.CreateNetwork',
    message: network({}, 'fd00:99::/64'),
    says: ['IPv4Data[0].Pool', 'fd00:99::/64', 'not IPv4'],
  },
  {
    title: 'a network whose own subnets overlap is refused',
    method: 'NetworkDriver.CreateNetwork',
    message: network({}, '10.99.0.0/24', '10.99.0.0/25'),
    says: ['10.99.0.0/24', '10.99.0.0/25', 'overlaps'],
  },
];

// Endpoints and addresses.

function endpointIn({ id }: HandNetwork, Address: string, MacAddress = '') {
  return { NetworkID: id, EndpointID: newId(), Interface: { Address, AddressIPv6: '', MacAddress }, Options: {} };
}

function endpoint(what: string, at: readonly [address: string, mac?: string], ...says: readonly string[]): Case {
  const [address, mac = ''] = at;
  return {
    title: `an endpoint with ${what} is refused`,
    method: 'NetworkDriver.CreateEndpoint',
    message: ({ blue }) => endpointIn(blue[0], address, mac),
    says,
  };
}

function address(what: string, wanted: string, ...says: readonly string[]): Case {
  return {
    title: `a request for ${what} is refused`,
    method: 'IpamDriver.RequestAddress',
    message: ({ blue }) => ({ PoolID: blue[0].pool, Address: wanted, Options: null }),
    says,
  };
}

const macForm = 'six pairs of hex digits of a unicast address';

const endpoints: readonly Case[] = [
  {
    title: 'an endpoint of a network that is not known here is refused with the remedy',
    method: 'NetworkDriver.CreateEndpoint',
    message: () => endpointIn({ id: 'f'.repeat(64), pool: '', subnet: '', gateway: '' }, '10.77.0.30/24'),
    says: ['f'.repeat(64), 'not known on this node', 'docker network create'],
  },
  {
    title: 'joining an endpoint that was never created is refused',
    method: 'NetworkDriver.Join',
    message: ({ blue }) => ({ NetworkID: blue[0].id, EndpointID: 'e'.repeat(64), SandboxKey: '/x', Options: {} }),
    says: ['endpoint', 'e'.repeat(64), 'not known on this node'],
  },
  {
    title: 'joining a network that is not known here is refused',
    method: 'NetworkDriver.Join',
    message: ({ waiting }) => ({ NetworkID: 'f'.repeat(64), EndpointID: waiting.id, SandboxKey: '/x', Options: {} }),
    says: ['network', 'f'.repeat(64), 'not known on this node'],
  },
  {
    title: 'facts of an endpoint that was never created are refused',
    method: 'NetworkDriver.EndpointOperInfo',
    message: ({ blue }) => ({ NetworkID: blue[0].id, EndpointID: 'e'.repeat(64) }),
    says: ['e'.repeat(64), 'not known on this node'],
  },
  endpoint('a multicast MAC address', ['10.77.0.30/24', '01:00:5e:00:00:01'], '01:00:5e:00:00:01', macForm),
  endpoint('the broadcast MAC address', ['10.77.0.30/24', 'ff:ff:ff:ff:ff:ff'], 'ff:ff:ff:ff:ff:ff', macForm),
  endpoint('the MAC address of zeros', ['10.77.0.30/24', '00:00:00:00:00:00'], '00:00:00:00:00:00', macForm),
  endpoint('a MAC address of five bytes', ['10.77.0.30/24', '02:42:0a:4d:00'], '02:42:0a:4d:00', macForm),
  endpoint('a MAC address that is a word', ['10.77.0.30/24', 'banana'], 'banana', macForm),
  endpoint('an address outside the subnet', ['10.99.0.5/24'], '10.99.0.5', '10.77.0.0/24'),
  endpoint("the subnet's own address", ['10.77.0.0/24'], '10.77.0.0', 'not a usable host address', '10.77.0.0/24'),
  endpoint('the broadcast address', ['10.77.0.255/24'], '10.77.0.255', 'not a usable host address', '10.77.0.0/24'),
  endpoint('the address of the gateway', ['10.77.0.1/24'], '10.77.0.1', 'gateway', 'choose another address'),
  endpoint('an address that is none', ['10.77.0.300/24'], '10.77.0.300/24'),
  endpoint('an IPv6 address in the place of IPv4', ['fd00::5/64'], 'fd00::5', 'not IPv4'),
  endpoint('no address at all', [''], 'needs an address'),
  {
    title: 'an endpoint with an address that is taken on this node is refused with the name of the owner',
    method: 'NetworkDriver.CreateEndpoint',
    message: ({ blue }) => endpointIn(blue[0], '10.77.0.10/24'),
    says: ['10.77.0.10', 'on node n1', 'choose another address'],
  },
  {
    title: 'an endpoint with an address that is taken on another node is refused with the name of that node',
    method: 'NetworkDriver.CreateEndpoint',
    message: ({ blue }) => endpointIn(blue[1], '10.77.0.10/24'),
    says: ['10.77.0.10', 'on node n1', 'choose another address'],
    on: 1,
  },
  {
    title: 'an endpoint with a MAC address that is taken on another node is refused with the name of that node',
    method: 'NetworkDriver.CreateEndpoint',
    message: ({ blue }) => endpointIn(blue[1], '10.77.0.30/24', '02:42:0a:4d:00:0a'),
    says: ['02:42:0a:4d:00:0a', 'on node n1', 'choose another'],
    on: 1,
  },
  {
    title: 'an endpoint that exists is refused when it is asked for with another address',
    method: 'NetworkDriver.CreateEndpoint',
    message: ({ blue, waiting }) => ({ ...endpointIn(blue[0], '10.77.0.21/24'), EndpointID: waiting.id }),
    says: ['addresses 10.77.0.20', 'not 10.77.0.21'],
  },
  {
    title: 'an endpoint that exists is refused when it is asked for with another MAC address',
    method: 'NetworkDriver.CreateEndpoint',
    message: ({ blue, waiting }) => ({
      ...endpointIn(blue[0], '10.77.0.20/24', '02:00:00:00:00:01'),
      EndpointID: waiting.id,
    }),
    says: ['MAC address 02:42:0a:4d:00:14', 'not 02:00:00:00:00:01'],
  },
  {
    title: 'an endpoint that exists is refused when it is asked for in another network',
    method: 'NetworkDriver.CreateEndpoint',
    message: ({ red, waiting }) => ({ ...endpointIn(red, '10.77.0.20/24'), EndpointID: waiting.id }),
    says: ['network ', 'not '],
  },
  {
    title: 'an endpoint is refused when it is joined through another network',
    method: 'NetworkDriver.Join',
    message: ({ red, waiting }) => ({ NetworkID: red.id, EndpointID: waiting.id, SandboxKey: '/x', Options: {} }),
    says: ['network ', 'not '],
  },
  {
    title: 'an endpoint whose name on the host would be that of another endpoint is refused',
    method: 'NetworkDriver.CreateEndpoint',
    message: ({ blue, running }) => ({
      ...endpointIn(blue[0], '10.77.0.31/24'),
      EndpointID: `${running.endpoint.id.slice(0, 12)}${'0'.repeat(52)}`,
    }),
    says: ['exists with interface wh'],
  },
  {
    title: 'an address from a pool that nobody has is refused',
    method: 'IpamDriver.RequestAddress',
    message: () => ({ PoolID: '|10.99.0.0/24|', Address: '', Options: null }),
    says: ['10.99.0.0/24', 'not known', 'create the network again'],
  },
  {
    title: 'an address from something that is no pool is refused',
    method: 'IpamDriver.RequestAddress',
    message: () => ({ PoolID: 'banana', Address: '', Options: null }),
    says: ['banana', 'not known'],
  },
  {
    title: 'an address from a pool whose id was mangled is refused',
    method: 'IpamDriver.RequestAddress',
    message: () => ({ PoolID: '|banana|', Address: '', Options: null }),
    says: ['banana'],
  },
  address('an address outside the pool', '10.99.0.5', '10.99.0.5', '10.77.0.0/24'),
  address("the subnet's own address", '10.77.0.0', '10.77.0.0', 'not a usable host address'),
  address('the broadcast address', '10.77.0.255', '10.77.0.255', 'not a usable host address'),
  address('an IPv6 address from an IPv4 pool', 'fd00::5', 'fd00::5', '10.77.0.0/24'),
  address('something that is no address', 'banana', 'banana', 'not an IPv4 or IPv6 address'),
  address('an address that is taken', '10.77.0.10', '10.77.0.10', 'on node n1', 'choose another address'),
  {
    title: 'a request for an address that is taken on another node is refused with the name of that node',
    method: 'IpamDriver.RequestAddress',
    message: ({ blue }) => ({ PoolID: blue[1].pool, Address: '10.77.0.10', Options: null }),
    says: ['10.77.0.10', 'on node n1', 'choose another address'],
    on: 1,
  },
  {
    title: 'the release of an address of a pool whose id was mangled is refused',
    method: 'IpamDriver.ReleaseAddress',
    message: () => ({ PoolID: 'banana', Address: '10.77.0.5' }),
    says: ['banana', 'not known'],
  },
];

for (const each of [...wire, ...options, ...pools, ...endpoints]) declare(each);

// What a second engine says of a network that exists.

/** By the whole sequence of calls behind docker network create. */
function otherwise(title: string, wishes: Parameters<Hand['createNetwork']>[0], ...says: readonly string[]): void {
  test(`a second engine that wants ${title} is refused with both values, and gives back what it had`, async (context) => {
    const text = await requireRefusal(context, async () => {
      const made = await context.sides[1].hand.createNetwork(wishes).catch((error: unknown) => error);
      if (!(made instanceof Error)) throw new Error(`it was made: ${JSON.stringify(made)}`);
      return made.message;
    });
    requireWords(text, says);
  });
}

const blueOnce = { subnet: '10.77.0.0/24' };
otherwise('another VNI', { ...blueOnce, options: { 'weft.vni': '4243' } }, 'weft.vni 4242', 'not 4243');
otherwise('another MTU', { ...blueOnce, options: { [mtu]: '1300' } }, 'MTU 1400', 'not 1300');
otherwise('no multicast', { ...blueOnce, options: { 'weft.multicast': 'off' } }, 'weft.multicast on', 'not off');
otherwise(
  'another gateway',
  { ...blueOnce, gateway: '10.77.0.254' },
  '10.77.0.0/24',
  'gateway 10.77.0.1',
  '10.77.0.254',
);
otherwise('other subnets', { subnet: '10.79.0.0/24', name: 'red' }, 'red', 'subnets 10.78.0.0/24', 'not 10.79.0.0/24');
otherwise('a container as its gateway', { subnet: '10.77.0.0/24', gateway: '10.77.0.10' }, '10.77.0.10');

// What is no mistake, and what is no HTTP.

test('what is not there is deleted, left and released with success, and nothing changes', async (context) => {
  const { call } = context.sides[0].hand;
  const before = await readAll(context);
  const gone = { NetworkID: 'f'.repeat(64), EndpointID: 'e'.repeat(64) };

  await call('NetworkDriver.Leave', gone);
  await call('NetworkDriver.DeleteEndpoint', gone);
  await call('NetworkDriver.DeleteNetwork', gone);
  await call('NetworkDriver.FreeNetwork', gone);
  await call('IpamDriver.ReleaseAddress', { PoolID: '|10.99.0.0/24|', Address: '10.99.0.5' });
  await call('IpamDriver.ReleaseAddress', { PoolID: context.blue[0].pool, Address: '10.77.0.99' });
  await call('IpamDriver.ReleasePool', { PoolID: '|10.99.0.0/24|' });

  assert.equal(changed(before, await readAll(context)), []);
});

test('what was asked for once is answered alike when it is asked again, and nothing changes', async (context) => {
  const { blue, waiting, running, sides } = context;
  const { call } = sides[0].hand;
  const before = await readAll(context);

  const data = { Options: { [docker]: {} }, IPv4Data: [{ Pool: '10.77.0.0/24' }], IPv6Data: [] };
  await call('NetworkDriver.CreateNetwork', { NetworkID: blue[0].id, ...data });
  const again = await call('NetworkDriver.CreateEndpoint', {
    ...endpointIn(blue[0], '10.77.0.20/24'),
    EndpointID: waiting.id,
  });
  const joined = await call('NetworkDriver.Join', { NetworkID: blue[0].id, EndpointID: running.endpoint.id });

  assert.equal(again, { Interface: { MacAddress: waiting.mac } });
  assert.equal(joined, {
    InterfaceName: { SrcName: `wc${running.endpoint.id.slice(0, 12)}`, DstPrefix: 'eth' },
  });
  assert.equal(changed(before, await readAll(context)), []);
});

test('bytes that are no HTTP, half a request and a hundred idle connections do not keep anyone else waiting', async (context) => {
  const { daemon } = context.sides[0];
  const sockets = Array.from({ length: 100 }, () => connect(daemon.pluginSocket));
  for (const socket of sockets) socket.on('error', () => undefined);
  const [garbage, half] = sockets;
  const answered = new Promise<string>((resolve) => garbage?.once('data', (bytes) => resolve(String(bytes))));
  garbage?.write('\u0000\u0001\u0002 GIVE ME\r\n\r\n');
  half?.write('POST /NetworkDriver.DeleteNetwork HTTP/1.1\r\nHost:\r\nContent-Length: 100\r\n\r\n{"NetworkID"');

  assert.match(await answered, 'HTTP/1.1 400 Bad Request');
  await requireServing(context);
  for (const socket of sockets) socket.destroy();
});

test('another HTTP method than POST is refused', async ({ sides }) => {
  const call = request({ socketPath: sides[0].daemon.pluginSocket, path: '/Plugin.Activate' }).end();
  const [response] = (await once(call, 'response')) as [IncomingMessage];
  const text = String(await response.toArray());

  assert.is(response.statusCode, 405);
  assert.match(text, 'only POST is served');
});

test('after all that the containers still reach each other and both nodes hold the same tables', async (context) => {
  const { running, neighbour, sides } = context;
  const statuses = await Promise.all(
    sides.map(async ({ daemon }) => JSON.parse(await daemon.cli(['status', '--json'])) as StatusReport),
  );

  assert.ok(await ping(running, neighbour.address));
  assert.ok(await ping(neighbour, running.address));
  for (const { problems, store } of statuses) {
    assert.equal(problems, []);
    assert.is(store.state, 'live');
  }
});

test('when all is taken back, nothing of it is left', async (context) => {
  const { sides, blue, red, running, neighbour, waiting, store } = context;
  const [one, two] = sides;
  await one.hand.remove(running);
  await two.hand.remove(neighbour);
  await one.hand.removeEndpoint(waiting);
  await one.hand.removeNetwork(red);
  await one.hand.removeNetwork(blue[0]);
  await two.hand.removeNetwork(blue[1]);

  for (const { host, daemon } of sides) await requireNothingLeft(host, daemon, store);
});

test.run();

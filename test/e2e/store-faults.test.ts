/**
 * The store fails while daemons run: stops, hangs, cannot be reached from one node or from any, loses everything, or
 * holds nonsense. Containers that talk do not notice. Verbs answer in time all the same: what needs the store is
 * refused and leaves nothing half done, what takes something away succeeds and is written when the store is back.
 */

import * as assert from 'uvu/assert';
import type { EndpointReport, StatusReport } from '../../src/overlay/report.ts';
import { eventually, pause } from '../kit/command.ts';
import type { ConsulCluster } from '../kit/consul.ts';
import type { Daemon } from '../kit/daemon.ts';
import { createLab, type Lab } from '../kit/lab.ts';
import type { LabNode } from '../kit/node.ts';
import { differences, readConsul, readNode, requireNothingLeft, type StoreReader } from '../kit/node-state.ts';
import {
  createHand,
  type Hand,
  type HandContainer,
  type HandNetwork,
  newId,
  PluginRefusal,
} from '../kit/plugin-client.ts';
import { suite } from '../kit/suite.ts';
import { countLoss, ping, startEcho } from '../kit/traffic.ts';

interface Side {
  readonly host: LabNode;
  readonly daemon: Daemon;
  readonly hand: Hand;
}

interface Context {
  lab: Lab;
  consul: ConsulCluster;
  store: StoreReader;
  sides: readonly [Side, Side];
  blue: readonly [HandNetwork, HandNetwork];
  containers: readonly [HandContainer, HandContainer];
}

const test = suite<Context>('store faults');

test.before(async (context) => {
  context.lab = await createLab();
  context.consul = await context.lab.consul();
  context.store = readConsul(context.consul);
  context.sides = [await createSide(context), await createSide(context)];
  const [one, two] = context.sides;
  context.blue = [
    await one.hand.createNetwork({ subnet: '10.77.0.0/24' }),
    await two.hand.createNetwork({ subnet: '10.77.0.0/24' }),
  ];
  context.containers = [await one.hand.run(context.blue[0]), await two.hand.run(context.blue[1])];
  await startEcho(context.containers[1]);
  assert.ok(await ping(context.containers[0], context.containers[1].address));
});

test.after(({ lab }) => lab?.close());

async function createSide({ lab, consul }: Context): Promise<Side> {
  const host = await lab.node();
  const daemon = await host.daemon({ store: consul.url });
  return { host, daemon, hand: createHand(host, daemon) };
}

async function statusOf({ daemon }: Side): Promise<StatusReport> {
  return JSON.parse(await daemon.cli(['status', '--json'])) as StatusReport;
}

async function untilWell(sides: readonly Side[]): Promise<void> {
  let last: readonly StatusReport[] = [];
  const isWell = async () => {
    last = await Promise.all(sides.map(statusOf));
    return last.every(({ store, problems }) => store.state === 'live' && problems.length === 0);
  };
  await eventually('all stores are live and no problem is left', isWell, { limitMs: 20_000, everyMs: 200 }).catch(
    () => {
      throw new Error(`not well: ${JSON.stringify(last.map(({ store, problems }) => [store.state, problems]))}`);
    },
  );
}

async function isAway(side: Side): Promise<boolean> {
  const { store, problems } = await statusOf(side);
  return store.state !== 'live' && problems.some((problem) => problem.startsWith('store '));
}

/** Runs it while the two containers talk, and counts what that costs them: nothing. */
async function withoutLoss<T>({ containers }: Context, happen: () => Promise<T>): Promise<T> {
  const [from, to] = containers;
  const { lost, duplicates, sent, result } = await countLoss({ from, address: to.address, intervalUs: 5_000 }, happen);
  assert.equal([lost, duplicates, sent > 100], [0, 0, true]);
  return result;
}

async function refusalOf(happen: () => Promise<unknown>): Promise<string> {
  try {
    await happen();
  } catch (error) {
    if (error instanceof PluginRefusal) return error.message;
    throw error;
  }
  throw new Error('it should have been refused');
}

const keysOf = async ({ store }: Context) => Object.keys(await store.records()).sort();

// The store is away for everybody.

interface Outage {
  readonly name: string;
  readonly begin: (context: Context) => unknown;
  readonly end: (context: Context) => Promise<unknown>;
}

const outages: readonly Outage[] = [
  { name: 'has stopped', begin: ({ consul }) => consul.stop(), end: ({ consul }) => consul.start() },
  {
    name: 'hangs',
    begin: ({ consul }) => consul.pause(),
    end: async ({ consul }) => {
      consul.resume();
      await consul.ready();
    },
  },
  {
    name: 'is cut off',
    begin: ({ consul }) => Promise.all(consul.servers.map((server) => server.cut())),
    end: async ({ consul }) => {
      await Promise.all(consul.servers.map((server) => server.heal()));
      await consul.ready();
    },
  },
];

for (const outage of outages) {
  test(`while the store ${outage.name}, what needs it is refused in time and leaves nothing, the rest goes on`, async (context) => {
    const { sides, blue } = context;
    const [side] = sides;
    const { hand } = side;
    await untilWell(sides);
    const keys = await keysOf(context);
    const green = await hand.createNetwork({ subnet: '10.88.0.0/24' });
    const leaving = await hand.run(green);
    const waiting = await hand.createEndpoint(blue[0]);

    await withoutLoss(context, async () => {
      await outage.begin(context);
      try {
        const before = await readNode(side.host, side.daemon, null);
        await requireRefusals(context, green);
        const after = await readNode(side.host, side.daemon, null);
        assert.equal(differences(before, after), []);
        await eventually('status says that the store is away', () => isAway(side));

        const device = await hand.join(waiting);
        await side.host.run(['ip', 'link', 'show', device]);
        await hand.remove(leaving);
        await hand.removeNetwork(green);
        const { networks } = await statusOf(side);
        assert.equal(
          networks.map(({ name }) => name),
          ['10.77.0.0/24'],
        );
      } finally {
        await outage.end(context);
      }
      await untilWell(sides);
    });

    const reports = JSON.parse(await sides[1].daemon.cli(['endpoints', '--json'])) as readonly EndpointReport[];
    assert.ok(reports.some(({ id }) => id === waiting.id));
    await hand.leave(waiting);
    await hand.removeEndpoint(waiting);
    await eventually('every key of it is gone', async () => (await keysOf(context)).join() === keys.join()).catch(
      async () => assert.equal(await keysOf(context), keys),
    );
  });
}

/** All at once, each within its limit. */
async function requireRefusals({ sides, blue }: Context, green: HandNetwork): Promise<void> {
  const { call } = sides[0].hand;
  const none = { AddressIPv6: '', MacAddress: '' };
  const texts = await Promise.all([
    refusalOf(() => call('IpamDriver.RequestPool', { Pool: '10.89.0.0/24', Options: null })),
    refusalOf(() => call('IpamDriver.RequestPool', { Pool: '', Options: null })),
    refusalOf(() => call('IpamDriver.RequestAddress', { PoolID: blue[0].pool, Address: '', Options: null })),
    refusalOf(() => call('IpamDriver.RequestAddress', { PoolID: green.pool, Address: '10.88.0.77', Options: null })),
    refusalOf(() =>
      call('NetworkDriver.CreateNetwork', {
        NetworkID: newId(),
        Options: {},
        IPv4Data: [{ Pool: '10.90.0.0/24' }],
        IPv6Data: [],
      }),
    ),
    refusalOf(() =>
      call('NetworkDriver.CreateEndpoint', {
        NetworkID: blue[0].id,
        EndpointID: newId(),
        Interface: { ...none, Address: '10.77.0.200/24' },
        Options: {},
      }),
    ),
  ]);
  for (const text of texts) assert.match(text, /^store (consul\S*) (cannot be reached|did not confirm a write)/);
}

test('a store that hangs in the middle of any verb costs no more than that verb', async (context) => {
  const { sides, consul } = context;
  const seed = (Date.now() % 100_000) + 1;
  const random = sequence(seed);
  await untilWell(sides);
  const keys = await keysOf(context);

  await withoutLoss(context, async () => {
    for (let round = 0; round < 5; round += 1) {
      const lives = [0, 1, 2].map((number) => liveOnce(sides[0].hand, `10.${100 + round}.${number}.0/24`));
      await pause(random() * 80);
      consul.pause();
      const results = await Promise.allSettled(lives);
      consul.resume();
      const bad = results.filter((result) => result.status === 'rejected').map(({ reason }) => String(reason));
      assert.equal(bad, [], `seed ${seed}, round ${round}`);
    }
    await untilWell(sides);
  });

  await eventually('nothing of it is in the store', async () => (await keysOf(context)).join() === keys.join(), {
    limitMs: 15_000,
  }).catch(async () => assert.equal(await keysOf(context), keys, `seed ${seed}`));
});

/** A network, an endpoint, and all of it back, as an engine does it: what is refused is given up, and that is all. */
async function liveOnce(hand: Hand, subnet: string): Promise<void> {
  try {
    const network = await hand.createNetwork({ subnet });
    try {
      const endpoint = await hand.createEndpoint(network);
      await hand.join(endpoint);
      await hand.leave(endpoint);
      await hand.removeEndpoint(endpoint);
    } finally {
      await hand.removeNetwork(network);
    }
  } catch (error) {
    if (!(error instanceof PluginRefusal)) throw error;
    assert.match(error.message, /^store /);
  }
}

/** Lehmer's generator, for a run that can be repeated. */
function sequence(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}

// The store is away for one node.

test('what others did while a node was cut off from the store is seen there afterwards', async (context) => {
  const { sides, blue, consul, containers } = context;
  const [one, two] = sides;
  await untilWell(sides);
  const before = await two.hand.run(blue[1]);
  await untilKnown(one, before.endpoint.id, true);
  const rule = ['-p', 'tcp', '-d', consul.servers[0]?.address ?? '', '--dport', '8500', '-j', 'DROP'];

  await one.host.run(['iptables', '-w', '-I', 'OUTPUT', ...rule]);
  const after = await withoutLoss(context, async () => {
    const added = await two.hand.run(blue[1]);
    await two.hand.remove(before);
    await eventually('status says that the store is away', () => isAway(one));
    assert.ok(await ping(added, containers[0].address), 'a container of the other side reaches this one');
    return added;
  }).finally(() => one.host.run(['iptables', '-w', '-D', 'OUTPUT', ...rule]));

  await untilKnown(one, after.endpoint.id, true);
  await untilKnown(one, before.endpoint.id, false);
  assert.ok(await ping(containers[0], after.address));
  await untilWell(sides);
  await two.hand.remove(after);
});

async function untilKnown({ daemon }: Side, id: string, wanted: boolean): Promise<void> {
  await eventually(`${id} is ${wanted ? '' : 'not '}known`, async () => {
    const reports = JSON.parse(await daemon.cli(['endpoints', '--json'])) as readonly EndpointReport[];
    return reports.some((report) => report.id === id) === wanted;
  });
}

// The store holds nonsense.

interface Corruption {
  readonly what: string;
  readonly key: (context: Context) => RegExp;
}

const watched: readonly Corruption[] = [
  { what: 'a stamp', key: () => /^s\/[0-9a-f]+\/[0-9a-f]/ },
  { what: 'a node', key: () => /^n\/[0-9a-f]/ },
];

for (const { what, key } of watched) {
  for (const nonsense of ['', 'nonsense', '{}', '[1', '\u0000\u00ff']) {
    test(`${what} record that holds ${JSON.stringify(nonsense)} is skipped and reported, and nothing else is touched`, async (context) => {
      const { sides, store } = context;
      const [one] = sides;
      await untilWell(sides);
      const records = await store.records();
      const other = (await statusOf(sides[1])).node.id;
      const [name, good] = Object.entries(records).find(
        ([each]) => key(context).test(each) && each.endsWith(other),
      ) ?? ['', ''];
      const before = await readNode(one.host, one.daemon, null);

      await withoutLoss(context, async () => {
        await store.write(name, nonsense);
        await eventually('status reports the key', async () =>
          (await statusOf(one)).problems.some((problem) => problem.includes(name)),
        );
        assert.equal(differences(before, await readNode(one.host, one.daemon, null)), []);
        await liveOnce(one.hand, '10.91.0.0/24');
        await store.write(name, good);
        await eventually('status reports nothing any more', async () => (await statusOf(one)).problems.length === 0);
      });
    });
  }
}

test('a membership record that cannot be read keeps its last good version in force, and is reported', async (context) => {
  const { sides, store, blue, containers } = context;
  const [one, two] = sides;
  const status = await statusOf(two);
  const name = `d/${status.networks[0]?.id}/${status.node.id}`;
  const stamp = name.replace('d/', 's/');
  const good = await store.records();
  const version = JSON.parse(good[stamp] ?? '') as { readonly generation: number };

  await withoutLoss(context, async () => {
    await store.write(name, 'nonsense');
    // A newer stamp makes others read the record.
    await store.write(stamp, JSON.stringify({ ...version, generation: version.generation + 1 }));
    await eventually('status reports the key', async () =>
      (await statusOf(one)).problems.some((problem) => problem.includes(name)),
    );
    assert.ok(await ping(containers[0], containers[1].address));
  });
  // The next change of that node puts it right.
  const more = await two.hand.run(blue[1]);
  const again = await two.hand.run(blue[1]);

  await untilKnown(one, again.endpoint.id, true);
  await untilWell(sides);
  await two.hand.remove(more);
  await two.hand.remove(again);
});

test('records that are read when they are needed are named by whoever needs them, and all else works', async (context) => {
  const { sides, store, blue } = context;
  const [one, two] = sides;
  const { networks } = await statusOf(one);
  const network = `net/${networks[0]?.id}`;
  const claim =
    Object.keys(await store.records()).find((key) => key.startsWith('a/') && key.endsWith('0a4d0001')) ?? '';
  const address = `${claim.slice(0, -8)}0a4d0063`;
  const good = (await store.records())[network] ?? '';

  await store.write(network, 'nonsense');
  await store.write(address, '{"kind":"endpoint"}');
  const refusedNetwork = await refusalOf(() => two.hand.createNetwork({ subnet: '10.77.0.0/24' }));
  const refusedAddress = await refusalOf(() =>
    one.hand.call('IpamDriver.RequestAddress', { PoolID: blue[0].pool, Address: '10.77.0.99', Options: null }),
  );
  const container = await one.hand.run(blue[0]);
  await one.hand.remove(container);
  await liveOnce(two.hand, '10.91.0.0/24');
  await store.write(network, good);

  assert.match(refusedNetwork, new RegExp(`^store record ${network} cannot be read`));
  assert.match(refusedAddress, new RegExp(`^store record ${address} cannot be read`));
  await two.hand.removeNetwork(await two.hand.createNetwork({ subnet: '10.77.0.0/24' }));
  await untilWell(sides);
});

// The end.

test('when all is taken back, nothing of it is left, the nonsense in the pool included', async ({
  sides,
  blue,
  containers,
  store,
}) => {
  for (const [index, { hand }] of sides.entries()) {
    await hand.remove(containers[index === 0 ? 0 : 1]);
    await hand.removeNetwork(blue[index === 0 ? 0 : 1]);
  }

  for (const { host, daemon } of sides) await requireNothingLeft(host, daemon, store);
});

test('a store that was wiped withdraws nothing, and daemons that start again fill it anew', async (context) => {
  const { sides, consul } = context;
  const [one, two] = sides;
  context.blue = [
    await one.hand.createNetwork({ subnet: '10.77.0.0/24' }),
    await two.hand.createNetwork({ subnet: '10.77.0.0/24' }),
  ];
  context.containers = [await one.hand.run(context.blue[0]), await two.hand.run(context.blue[1])];
  await startEcho(context.containers[1]);
  assert.ok(await ping(context.containers[0], context.containers[1].address));
  const before = await Promise.all(sides.map(({ host, daemon }) => readNode(host, daemon, null)));

  await withoutLoss(context, async () => {
    await consul.command(['kv', 'delete', '-recurse', 'weft/v1/']);
    for (const side of sides) {
      await eventually('status says so', async () => {
        const { store, problems } = await statusOf(side);
        return store.state !== 'live' && problems.some((problem) => problem.includes('n/_'));
      });
    }
    const after = await Promise.all(sides.map(({ host, daemon }) => readNode(host, daemon, null)));
    assert.equal(
      after.flatMap((state, index) => differences(before[index] ?? state, state)),
      [],
    );
    for (const { daemon } of sides) await daemon.restart();
    await untilWell(sides);
  });
  const fresh = await one.hand.createNetwork({ subnet: '10.92.0.0/24' });
  await one.hand.removeNetwork(fresh);
});

test.run();

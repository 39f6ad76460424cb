/**
 * The store fails while daemons run: stops, hangs, cannot be reached from one node or from any, loses everything, or
 * holds nonsense. Containers that talk do not notice. Verbs answer in time all the same: what needs the store is
 * refused and leaves nothing half done, what takes something away succeeds and is written when the store is back.
 */

import * as assert from 'uvu/assert';
import { eventually, pause } from '../kit/command.ts';
import type { ConsulCluster } from '../kit/consul.ts';
import {
  connectPair,
  createPair,
  disconnectPair,
  isAway,
  keysOf,
  liveOnce,
  type Pair,
  refusalOf,
  requireOutageSurvived,
  statusOf,
  untilKnown,
  untilWell,
  withoutLoss,
} from '../kit/e2e/pair.ts';
import { createLab, type Lab } from '../kit/lab.ts';
import { differences, readConsul, readNode, requireNothingLeft } from '../kit/node-state.ts';
import { suite } from '../kit/suite.ts';
import { ping } from '../kit/traffic.ts';

interface Context extends Writable<Pair> {
  lab: Lab;
  consul: ConsulCluster;
}

type Writable<Type> = { -readonly [Name in keyof Type]: Type[Name] };

const test = suite<Context>('store faults');

test.before(async (context) => {
  context.lab = await createLab();
  context.consul = await context.lab.consul();
  const store = readConsul(context.consul);
  Object.assign(context, await createPair(context.lab, { url: context.consul.url, store }));
});

test.after(({ lab }) => lab?.close());

// The store is away for everybody.

interface ConsulOutage {
  readonly name: string;
  begin(consul: ConsulCluster): unknown;
  end(consul: ConsulCluster): Promise<unknown>;
}

const outages: readonly ConsulOutage[] = [
  { name: 'has stopped', begin: (consul) => consul.stop(), end: (consul) => consul.start() },
  {
    name: 'hangs',
    begin: (consul) => consul.pause(),
    end: async (consul) => {
      consul.resume();
      await consul.ready();
    },
  },
  {
    name: 'is cut off',
    begin: (consul) => Promise.all(consul.servers.map((server) => server.cut())),
    end: async (consul) => {
      await Promise.all(consul.servers.map((server) => server.heal()));
      await consul.ready();
    },
  },
];

for (const { name, begin, end } of outages) {
  test(`while the store ${name}, what needs it is refused in time and leaves nothing, the rest goes on`, async (context) => {
    const { consul } = context;
    await requireOutageSurvived(context, { begin: () => begin(consul), end: () => end(consul) });
  });
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

// The store holds nonsense.

interface Corruption {
  readonly what: string;
  readonly key: RegExp;
  readonly nonsense: readonly string[];
}

const watched: readonly Corruption[] = [
  { what: 'a stamp', key: /^s\/[0-9a-f]+\/[0-9a-f]/, nonsense: ['', 'nonsense', '{"epoch":-1}'] },
  { what: 'a node', key: /^n\/[0-9a-f]/, nonsense: ['[1', '\u00ff\u00fe'] },
];

for (const { what, key, nonsense: all } of watched) {
  for (const nonsense of all) {
    test(`${what} record that holds ${JSON.stringify(nonsense)} is skipped and reported, and nothing else is touched`, async (context) => {
      const { sides, store } = context;
      const [one] = sides;
      await untilWell(sides);
      const records = await store.records();
      const other = (await statusOf(sides[1])).node.id;
      const [name, good] = Object.entries(records).find(([each]) => key.test(each) && each.endsWith(other)) ?? ['', ''];
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

test('when all is taken back, nothing of it is left, the nonsense in the pool included', async (context) => {
  await disconnectPair(context);

  for (const { host, daemon } of context.sides) await requireNothingLeft(host, daemon, context.store);
});

test('a store that was wiped withdraws nothing, and when one daemon starts again all of them fill it anew', async (context) => {
  const { sides, consul } = context;
  const [one] = sides;
  Object.assign(context, await connectPair(sides));
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
  });
  await one.daemon.restart();
  await untilWell(sides);
  await eventually('both nodes hold the same tables', async () => {
    const [first, second] = await Promise.all(sides.map(statusOf));
    return first?.store.digest === second?.store.digest && first?.networks[0]?.endpoints === 2;
  });
  assert.ok(await ping(context.containers[0], context.containers[1].address));
  const fresh = await one.hand.createNetwork({ subnet: '10.92.0.0/24' });
  await one.hand.removeNetwork(fresh);
});

test.run();

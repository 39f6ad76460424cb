/**
 * The daemon is killed without warning again and again, at random points of the life of networks and containers. After
 * each start it carries on from whatever it was in the middle of: every call that got no answer is made again and
 * succeeds, containers that stand go on talking, and in the end nothing is left.
 */

import * as assert from 'uvu/assert';
import type { StatusReport } from '../../src/overlay/report.ts';
import { eventually, pause } from '../kit/command.ts';
import type { Daemon } from '../kit/daemon.ts';
import { createLab, type Lab } from '../kit/lab.ts';
import type { LabNode } from '../kit/node.ts';
import { differences, readLmdb, readNode, requireNothingLeft, type StoreReader } from '../kit/node-state.ts';
import {
  type Answer,
  createHand,
  type Hand,
  type HandContainer,
  type HandNetwork,
  newId,
} from '../kit/plugin-client.ts';
import { suite } from '../kit/suite.ts';
import { countLoss, startEcho } from '../kit/traffic.ts';

interface Context {
  lab: Lab;
  store: StoreReader;
  host: LabNode;
  daemon: Daemon;
  hand: Hand;
  blue: HandNetwork;
  containers: readonly [HandContainer, HandContainer];
}

const mostKills = 50;
const limitMs = 45_000;
const test = suite<Context>('daemon killed');

test.before(async (context) => {
  context.lab = await createLab();
  context.store = await readLmdb(context.lab.embeddedStore);
  context.host = await context.lab.node();
  context.daemon = await context.host.daemon({ store: context.lab.embeddedStore });
  context.hand = createHand(context.host, context.daemon);
  context.blue = await context.hand.createNetwork({ subnet: '10.77.0.0/24' });
  context.containers = [await context.hand.run(context.blue), await context.hand.run(context.blue)];
  await startEcho(context.containers[1]);
});

test.after(async ({ lab, store }) => {
  await store?.close();
  await lab?.close();
});

test('killed between any two steps of any verb, the daemon recovers, and no packet of others is lost', async (context) => {
  const { host, daemon, hand, blue, containers } = context;
  const seed = (Date.now() % 100_000) + 1;
  const random = sequence(seed);
  const end = performance.now() + limitMs;
  const [from, to] = containers;
  let kills = 0;
  let isOver = false;
  const lives = { done: 0 };
  const living = (async () => {
    while (!isOver) {
      await Promise.all([lifeOf(hand, blue), lifeOf(hand, null)]);
      lives.done += 1;
    }
  })();

  const { lost, duplicates } = await countLoss({ from, address: to.address, intervalUs: 5_000 }, async () => {
    while (kills < mostKills && performance.now() < end) {
      await pause(random() * 120);
      await daemon.kill9();
      kills += 1;
      await daemon.restart();
    }
    isOver = true;
    await living;
  });

  console.log(`${kills} kills, ${lives.done} lives, seed ${seed}`);
  assert.equal([lost, duplicates], [0, 0], `seed ${seed}`);
  assert.ok(kills >= 20, `only ${kills} kills within ${limitMs} ms`);
  assert.ok(lives.done >= 3, `only ${lives.done} lives beside ${kills} kills`);
  const { problems } = JSON.parse(await daemon.cli(['status', '--json'])) as StatusReport;
  assert.equal(problems, [], `seed ${seed}`);
  const state = await readNode(host, daemon, null);
  assert.is(state.tables['ports']?.length, 2, `seed ${seed}`);
});

test('a daemon that is killed and started when nothing is going on changes nothing at all', async ({
  host,
  daemon,
}) => {
  const before = await readNode(host, daemon, null);
  await daemon.kill9();
  const meanwhile = await readNode(host, daemon, null);
  await daemon.restart();

  assert.equal(differences(before, meanwhile), []);
  assert.equal(differences(before, await readNode(host, daemon, null)), []);
});

test('after a clean-up nothing is left of all that', async ({ host, daemon, hand, store, blue, containers }) => {
  for (const container of containers) await hand.remove(container);
  await hand.removeNetwork(blue);

  await requireNothingLeft(host, daemon, store);
});

/**
 * A container's life in a network, or that of a network with one container: each call as often as it takes to get an
 * answer, and the answer is always yes.
 */
async function lifeOf(hand: Hand, network: HandNetwork | null): Promise<void> {
  const call = (method: string, message: object) => insist(hand, method, message);
  const id = newId();
  const own = network ?? (await createNetwork(call));
  const { Address } = await call('IpamDriver.RequestAddress', { PoolID: own.pool, Address: '', Options: null });
  const ids = { NetworkID: own.id, EndpointID: id };
  const wanted = { Address, AddressIPv6: '', MacAddress: '' };
  await call('NetworkDriver.CreateEndpoint', { ...ids, Interface: wanted, Options: {} });
  await call('NetworkDriver.Join', { ...ids, SandboxKey: '/var/run/docker/netns/0', Options: {} });
  await call('NetworkDriver.Leave', ids);
  await call('NetworkDriver.DeleteEndpoint', ids);
  await call('IpamDriver.ReleaseAddress', { PoolID: own.pool, Address: String(Address).split('/')[0] });
  if (network !== null) return;
  await call('IpamDriver.ReleaseAddress', { PoolID: own.pool, Address: own.gateway });
  await call('IpamDriver.ReleasePool', { PoolID: own.pool });
  await call('NetworkDriver.DeleteNetwork', { NetworkID: own.id });
}

async function createNetwork(call: (method: string, message: object) => Promise<Answer>): Promise<HandNetwork> {
  const id = newId();
  const subnet = '10.88.0.0/24';
  const { PoolID: pool } = await call('IpamDriver.RequestPool', { Pool: subnet, Options: null });
  const Options = { RequestAddressType: 'com.docker.network.gateway' };
  const { Address } = await call('IpamDriver.RequestAddress', { PoolID: pool, Address: '', Options });
  await call('NetworkDriver.CreateNetwork', { NetworkID: id, Options: {}, IPv4Data: [{ Pool: subnet }], IPv6Data: [] });
  return { id, pool: String(pool), subnet, gateway: String(Address).split('/')[0] ?? '' };
}

/** Tries again when there was no answer, as moby's client does. A refusal is thrown. */
async function insist(hand: Hand, method: string, message: object): Promise<Answer> {
  let answer: Answer | null = null;
  await eventually(
    `${method} is answered`,
    async () => {
      try {
        answer = await hand.call(method, message);
        return true;
      } catch (error) {
        if (error instanceof Error && error.message.includes('got no answer')) return false;
        throw error;
      }
    },
    { limitMs: 30_000, everyMs: 20 },
  );
  if (answer === null) throw new Error(`${method} was not answered`);
  return answer;
}

/** Lehmer's generator, for a run that can be repeated. */
function sequence(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}

test.run();

/**
 * Two nodes with a daemon each, one network, and a container on either side that talk: what tests of the store's faults
 * start from, and what they ask of it again and again.
 */

import * as assert from 'uvu/assert';
import type { EndpointReport, StatusReport } from '../../../src/overlay/report.ts';
import { eventually } from '../command.ts';
import type { Daemon } from '../daemon.ts';
import type { Lab } from '../lab.ts';
import type { LabNode } from '../node.ts';
import { differences, readNode, type StoreReader } from '../node-state.ts';
import { createHand, type Hand, type HandContainer, type HandNetwork, newId, PluginRefusal } from '../plugin-client.ts';
import { countLoss, ping, startEcho } from '../traffic.ts';

export interface Side {
  readonly host: LabNode;
  readonly daemon: Daemon;
  readonly hand: Hand;
}

export interface Pair {
  readonly store: StoreReader;
  readonly sides: readonly [Side, Side];
  /** 10.77.0.0/24, as each side has it. */
  readonly blue: readonly [HandNetwork, HandNetwork];
  readonly containers: readonly [HandContainer, HandContainer];
}

export interface PairOptions {
  readonly url: string;
  readonly store: StoreReader;
  readonly env?: Readonly<Record<string, string>>;
}

export async function createPair(lab: Lab, { url, store, env = {} }: PairOptions): Promise<Pair> {
  const createSide = async (): Promise<Side> => {
    const host = await lab.node();
    const daemon = await host.daemon({ store: url, env });
    return { host, daemon, hand: createHand(host, daemon) };
  };
  const sides = [await createSide(), await createSide()] as const;
  return { store, sides, ...(await connectPair(sides)) };
}

/** Network and containers on nodes that have none. */
export async function connectPair(sides: Pair['sides']): Promise<Pick<Pair, 'blue' | 'containers'>> {
  const [one, two] = sides;
  const blue = [
    await one.hand.createNetwork({ subnet: '10.77.0.0/24' }),
    await two.hand.createNetwork({ subnet: '10.77.0.0/24' }),
  ] as const;
  const containers = [await one.hand.run(blue[0]), await two.hand.run(blue[1])] as const;
  await startEcho(containers[1]);
  assert.ok(await ping(containers[0], containers[1].address));
  return { blue, containers };
}

export async function disconnectPair({ sides, blue, containers }: Pair): Promise<void> {
  for (const index of [0, 1] as const) {
    await sides[index].hand.remove(containers[index]);
    await sides[index].hand.removeNetwork(blue[index]);
  }
}

export async function statusOf({ daemon }: Side): Promise<StatusReport> {
  return JSON.parse(await daemon.cli(['status', '--json'])) as StatusReport;
}

export async function untilWell(sides: readonly Side[]): Promise<void> {
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

/** Whether status says that the store is away, or that it takes no writes, and why. */
export async function isAway(side: Side): Promise<boolean> {
  const { store, problems } = await statusOf(side);
  if (store.state === 'live') return problems.some((problem) => problem.includes('denied access'));
  return problems.some((problem) => problem.startsWith('store '));
}

/** Runs it while the two containers talk, and counts what that costs them: nothing. */
export async function withoutLoss<T>({ containers }: Pair, happen: () => Promise<T>): Promise<T> {
  const [from, to] = containers;
  const { lost, duplicates, sent, result } = await countLoss({ from, address: to.address, intervalUs: 5_000 }, happen);
  assert.equal([lost, duplicates, sent > 100], [0, 0, true]);
  return result;
}

export async function refusalOf(happen: () => Promise<unknown>): Promise<string> {
  try {
    await happen();
  } catch (error) {
    if (error instanceof PluginRefusal) return error.message;
    throw error;
  }
  throw new Error('it should have been refused');
}

export const keysOf = async ({ store }: Pair) => Object.keys(await store.records()).sort();

/** All at once, each within its limit. */
export async function requireRefusals({ sides, blue }: Pair, green: HandNetwork): Promise<void> {
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
  for (const text of texts)
    assert.match(text, /^store (consul|lmdb)\S* (cannot be reached|did not confirm a write|denied access)/);
}

/** A network, an endpoint, and all of it back, as an engine does it: what is refused is given up, and that is all. */
export async function liveOnce(hand: Hand, subnet: string): Promise<void> {
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

export async function untilKnown({ daemon }: Side, id: string, wanted: boolean): Promise<void> {
  await eventually(`${id} is ${wanted ? '' : 'not '}known`, async () => {
    const reports = JSON.parse(await daemon.cli(['endpoints', '--json'])) as readonly EndpointReport[];
    return reports.some((report) => report.id === id) === wanted;
  });
}

export interface Outage {
  begin(): unknown;
  end(): Promise<unknown>;
}

/**
 * While the store is away: what needs it is refused and leaves nothing, what takes something away succeeds, a join goes
 * through, nobody's traffic suffers, and when the store is back everything is written.
 */
export async function requireOutageSurvived(context: Pair, outage: Outage): Promise<void> {
  const { sides, blue } = context;
  const [side] = sides;
  const { hand } = side;
  await untilWell(sides);
  const keys = await keysOf(context);
  const green = await hand.createNetwork({ subnet: '10.88.0.0/24' });
  const leaving = await hand.run(green);
  const waiting = await hand.createEndpoint(blue[0]);

  await withoutLoss(context, async () => {
    await outage.begin();
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
      await outage.end();
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
}

/** The overlay and an engine that says what the test wants: what is released, and how much is not. */

import { setTimeout as sleep } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import type { EndpointId } from '../../../src/core/identity.ts';
import { overlayError } from '../../../src/errors.ts';
import type { LookTimes } from '../../../src/overlay/forgotten.ts';
import type { Engine, EngineInventory } from '../../../src/ports/engine.ts';
import type { Store } from '../../../src/ports/store.ts';
import { createMemoryStore } from '../../../src/store/memory.ts';
import {
  address,
  endpointId,
  eventually,
  networkId,
  networkRequest,
  type OverlayNode,
  startOverlayNode,
} from '../../kit/overlay-node.ts';
import { suite } from '../../kit/suite.ts';

interface ScriptedEngine extends Engine {
  id: string;
  readonly networks: Set<string>;
  /** In containers that are listed. */
  readonly endpoints: Set<string>;
  /** In the network, of containers that are still starting. */
  readonly starting: Set<string>;
  isAway: boolean;
  looks: number;
  /** Before it answers about one network. */
  onConfirm: () => void;
}

interface Context {
  store: Store;
  engine: ScriptedEngine;
  nodes: OverlayNode[];
  /** With network b1 and endpoints a and b joined, all known to the engine. */
  node(options?: Parameters<typeof startOverlayNode>[2]): Promise<OverlayNode>;
}

const looks: LookTimes = { firstMs: 5, everyMs: 20, apartMs: 50 };
const test = suite<Context>('overlay/forgotten', {} as Context);
const blue = networkId('b1');
const [a, b] = [endpointId('a'), endpointId('b')];

test.before.each((context) => {
  context.store = createMemoryStore();
  context.engine = scriptedEngine();
  context.nodes = [];
  context.node = async (options = {}) => {
    const { engine } = context;
    const node = await startOverlayNode(context.store, 1, { engine, looks, ...options });
    context.nodes.push(node);
    // Listed a little early: how long a verb takes must not matter here.
    engine.networks.add(blue);
    await node.verbs.createNetwork(networkRequest('b1'));
    for (const [id, ip] of [
      [a, '10.77.0.2'],
      [b, '10.77.0.3'],
    ] as const) {
      engine.endpoints.add(id);
      await node.verbs.createEndpoint({ networkId: blue, id, addresses: [address(ip)], mac: null });
      await node.verbs.join(blue, id);
    }
    return node;
  };
});

test.after.each(async ({ nodes, store }) => {
  for (const node of nodes) await node.close();
  await store.close();
});

function scriptedEngine(): ScriptedEngine {
  const answer = async <T>(engine: ScriptedEngine, value: () => T): Promise<T> => {
    if (engine.isAway) throw overlayError('ENGINE_UNREACHABLE', { path: '/x', problem: 'it is a test' });
    return value();
  };
  const engine: ScriptedEngine = {
    id: 'ONE',
    networks: new Set(),
    endpoints: new Set(),
    starting: new Set(),
    isAway: false,
    looks: 0,
    onConfirm: () => undefined,
    inventory: () =>
      answer(engine, () => {
        engine.looks += 1;
        const { id, endpoints } = engine;
        const networks = new Map(
          [...engine.networks].map((each) => [each, { name: each, driver: 'weft', scope: 'local' }]),
        );
        const swarm = { swarm: 'inactive', nodes: [], services: [] };
        return { id, version: '28.5.2', ...swarm, networks, endpoints } as unknown as EngineInventory;
      }),
    endpointsOf: (network) =>
      answer(engine, () => {
        engine.onConfirm();
        if (!engine.networks.has(network)) return null;
        return new Set([...engine.endpoints, ...engine.starting] as EndpointId[]);
      }),
  };
  return engine;
}

const heldBy = ({ journal }: OverlayNode) => [journal.networks.size, journal.endpoints.size];
const forgottenBy = async ({ reports }: OverlayNode) => (await reports.status()).forgotten;

/** Time in which what can be released would have been. */
async function manyLooks(engine: ScriptedEngine): Promise<void> {
  const before = engine.looks;
  await eventually(() => assert.ok(engine.looks >= before + 8), 10_000);
}

test('an endpoint that the engine does not have any more is released everywhere, the other stays', async ({
  node,
  engine,
  store,
}) => {
  const one = await node();
  engine.endpoints.delete(a);

  await eventually(async () => assert.equal(await forgottenBy(one), { endpoint: 1, network: 0 }), 10_000);

  assert.equal([...one.journal.endpoints.keys()], [b]);
  assert.equal(
    (await one.reports.endpoints()).map(({ id }) => id),
    [b],
  );
  assert.not.ok(one.dataPath.keys().some((key) => key.includes(a)));
  assert.is((await store.list('m/')).length, 1);
  assert.ok(one.events.includes('endpoint forgotten by the engine was released'));
});

test('a network that the engine does not have any more is released with all that is in it', async ({
  node,
  engine,
  store,
}) => {
  const one = await node();
  await manyLooks(engine);
  for (const set of [engine.endpoints, engine.networks]) set.clear();

  await eventually(async () => assert.equal(await forgottenBy(one), { endpoint: 2, network: 1 }), 10_000);

  assert.equal(heldBy(one), [0, 0]);
  for (const prefix of ['net/', 'm/', 'a/', 's/', 'vni/']) assert.equal(await store.list(prefix), [], prefix);
});

test('while an engine cannot be asked nothing is released, and status says why', async ({ node, engine }) => {
  const one = await node();
  await manyLooks(engine);
  engine.isAway = true;
  engine.endpoints.clear();
  engine.networks.clear();

  await eventually(async () => assert.is((await one.reports.status()).engine.state, 'unknown'), 10_000);
  await sleep(300);

  assert.equal(heldBy(one), [1, 2]);
  assert.match((await one.reports.status()).engine.problem ?? '', 'it is a test');
});

test('without an engine the state is off', async ({ store }) => {
  const one = await startOverlayNode(store, 1);
  try {
    assert.is((await one.reports.status()).engine.state, 'off');
  } finally {
    await one.close();
  }
});

test('an engine that has shown nothing of this node is not believed', async ({ node, engine }) => {
  engine.isAway = true;
  const one = await node();
  for (const set of [engine.endpoints, engine.networks]) set.clear();
  engine.isAway = false;

  await manyLooks(engine);

  assert.equal(heldBy(one), [1, 2]);
  assert.match((await one.reports.status()).engine.problem ?? '', /engine ONE has shown no network/);
});

test('an engine that was believed once is believed by the next daemon, another one is not', async ({
  node,
  engine,
  store,
}) => {
  const one = await node();
  await eventually(() => assert.is(one.journal.engine, 'ONE'), 10_000);
  await one.close();
  for (const set of [engine.endpoints, engine.networks]) set.clear();

  engine.id = 'TWO';
  const two = await startOverlayNode(store, 1, {
    engine,
    looks,
    journal: one.journal,
  });
  await manyLooks(engine);
  assert.equal(heldBy(two), [1, 2]);

  engine.id = 'ONE';
  await eventually(() => assert.equal(heldBy(two), [0, 0]), 10_000);
  await two.close();
});

test('a container that is still starting keeps its endpoint', async ({ node, engine }) => {
  const one = await node();
  engine.endpoints.delete(a);
  engine.starting.add(a);

  await manyLooks(engine);

  assert.equal(heldBy(one), [1, 2]);
  engine.starting.clear();
  await eventually(() => assert.equal(heldBy(one), [1, 1]), 10_000);
});

test('what the engine calls for while it is being given up is kept', async ({ node, engine }) => {
  const one = await node();
  await manyLooks(engine);
  for (const set of [engine.endpoints, engine.networks]) set.clear();
  let confirmed = 0;
  engine.onConfirm = () => {
    confirmed += 1;
    void one.verbs.createNetwork(networkRequest('b1'));
    for (const id of [a, b]) void one.verbs.join(blue, id);
  };

  await eventually(() => assert.ok(confirmed >= 2), 10_000);

  assert.equal(heldBy(one), [1, 2]);
});

test('a network that is made again during its release is there afterwards', async ({ node, engine }) => {
  const one = await node();
  await manyLooks(engine);
  const saveNetwork = one.journal.saveNetwork;
  let again: Promise<void> | null = null;
  one.journal.saveNetwork = async (network) => {
    if (network.departed === true && again === null) {
      again = one.verbs.createNetwork(networkRequest('b1'));
      engine.networks.add(blue);
    }
    await sleep(20);
    await saveNetwork(network);
  };
  for (const set of [engine.endpoints, engine.networks]) set.clear();

  await eventually(() => assert.ok(again !== null), 10_000);
  await again;

  await eventually(() => assert.equal(heldBy(one), [1, 0]));
  assert.is((await one.reports.networks()).length, 1);
});

test('what cannot be released is tried again', async ({ node, engine }) => {
  const one = await node();
  const save = one.journal.saveEndpoint;
  let failures = 0;
  one.journal.saveEndpoint = async (endpoint) => {
    if (failures++ === 0) throw new Error('the disk is full');
    await save(endpoint);
  };
  engine.endpoints.delete(a);

  await eventually(() => assert.equal(heldBy(one), [1, 1]), 10_000);
  assert.ok(one.events.includes('endpoint forgotten by the engine was not released'));
});

test.run();

/** What the overlay makes good again: verbs that were answered but not written, writes without an answer, a lost store. */

import * as assert from 'uvu/assert';
import { entryKey } from '../../../src/core/forwarding.ts';
import type { NetworkId } from '../../../src/core/identity.ts';
import { overlayError } from '../../../src/errors.ts';
import type { CommitResult, Store, StoreOperation } from '../../../src/ports/store.ts';
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

/** `refuse` fails commits before they are made, `forgetAnswer` after. */
interface Moody extends Store {
  mood: 'good' | 'refuse' | 'forgetAnswer';
}

interface Context {
  store: Moody;
  nodes: OverlayNode[];
  node(number: number, options?: Parameters<typeof startOverlayNode>[2]): Promise<OverlayNode>;
}

const test = suite<Context>('overlay recovery', {} as Context);
const blue = networkId('b1');
const prefixes = ['net/', 'vni/', 's/', 'd/', 'ns/', 'p/', 'a/', 'm/'];

test.before.each((context) => {
  context.store = moody(createMemoryStore());
  context.nodes = [];
  context.node = async (number, options) => {
    const node = await startOverlayNode(context.store, number, options);
    context.nodes.push(node);
    return node;
  };
});

test.after.each(async ({ nodes, store }) => {
  store.mood = 'good';
  for (const node of nodes) await node.close();
  await store.close();
});

function moody(store: Store): Moody {
  const failing: Moody = {
    ...store,
    mood: 'good',
    async commit(operations: readonly StoreOperation[], signal?: AbortSignal): Promise<CommitResult> {
      const failure = overlayError('STORE_AMBIGUOUS', { store: 'memory', problem: 'it is a test' });
      if (failing.mood === 'refuse') throw failure;
      const result = await store.commit(operations, signal);
      if (failing.mood === 'forgetAnswer') throw failure;
      return result;
    },
  };
  return failing;
}

const keysOf = async (store: Store) =>
  (await Promise.all(prefixes.map((prefix) => store.list(prefix)))).flat().map(({ key }) => key);

const create = (node: OverlayNode, name: string, ip: string) =>
  node.verbs.createEndpoint({ networkId: blue, id: endpointId(name), addresses: [address(ip)], mac: null });

async function fails(task: Promise<unknown>): Promise<void> {
  const outcome = await task.then(
    () => 'no failure',
    () => 'failure',
  );
  assert.is(outcome, 'failure');
}

test('what was deleted while the store was away is written by the next daemon, if this one is killed', async ({
  node,
  store,
}) => {
  const one = await node(1);
  await one.verbs.createNetwork(networkRequest('b1'));
  await create(one, 'a', '10.77.0.2');
  store.mood = 'refuse';
  await one.verbs.deleteEndpoint(blue, endpointId('a'));
  await one.verbs.deleteNetwork(blue);
  assert.equal([one.journal.networks.size, one.journal.endpoints.size], [1, 1]);
  assert.equal((await one.reports.networks()).length, 0);
  await one.close();
  store.mood = 'good';

  const again = await node(1, { journal: one.journal });

  assert.equal((await again.reports.networks()).length, 0);
  await eventually(async () => assert.equal(await keysOf(store), []));
  await eventually(() => assert.equal([again.journal.networks.size, again.journal.endpoints.size], [0, 0]));
});

test('a network that is made again while its end is still to be written stays', async ({ node, store }) => {
  const one = await node(1);
  await one.verbs.createNetwork(networkRequest('b1'));
  await create(one, 'a', '10.77.0.2');
  store.mood = 'refuse';
  await one.verbs.deleteEndpoint(blue, endpointId('a'));
  await one.verbs.deleteNetwork(blue);
  store.mood = 'good';

  await one.verbs.createNetwork(networkRequest('b1'));
  await create(one, 'a', '10.77.0.2');
  await eventually(async () => assert.equal((await one.reports.status()).problems, []));

  assert.equal([one.journal.networks.size, one.journal.endpoints.size], [1, 1]);
  const keys = await keysOf(store);
  for (const prefix of ['net/', 'vni/', 's/', 'a/', 'm/'])
    assert.ok(
      keys.some((key) => key.startsWith(prefix)),
      prefix,
    );
});

test('what Docker gave back while the store was away stays when it has asked for it again', async ({ node, store }) => {
  const one = await node(1);
  const request = { space: 'global', family: 'ipv4', subnet: null, range: null, name: null } as const;
  const { pool, subnet } = await one.verbs.requestPool(request);
  const given = await one.verbs.requestAddress({ pool, address: null, purpose: 'endpoint' });
  const own = address(given.slice(0, given.indexOf('/')));
  store.mood = 'refuse';
  await one.verbs.releaseAddress(pool, own);
  await one.verbs.releasePool(pool);
  store.mood = 'good';

  const again = await one.verbs.requestPool({ ...request, subnet });
  await one.verbs.requestAddress({ pool: again.pool, address: own, purpose: 'endpoint' });
  await eventually(async () => assert.equal((await one.reports.status()).problems, []));
  await new Promise((resolve) => setTimeout(resolve, 1_000));

  const keys = await keysOf(store);
  assert.equal([again.pool, keys.filter((key) => /^[ap]\//.test(key)).length], [pool, 2]);
});

test("what swarm's allocator asks is tried again while the store does not answer", async ({ node, store }) => {
  const one = await node(1);
  const green = networkRequest('', { id: 'k3v9q0x5m1b7z2c8n4w6r0t1y' as NetworkId });
  store.mood = 'refuse';
  setTimeout(() => {
    store.mood = 'good';
  }, 1_500);

  const vni = await one.verbs.allocateNetwork(green);

  assert.is(await one.verbs.allocateNetwork({ ...green, vni }), vni);
});

test('a write whose answer was lost is taken back when its verb was refused', async ({ node, store }) => {
  const one = await node(1);
  const pool = { space: 'local', family: 'ipv4', subnet: null, range: null, name: null } as const;
  store.mood = 'forgetAnswer';
  await fails(one.verbs.createNetwork(networkRequest('b1')));
  await fails(one.verbs.requestPool(pool));
  store.mood = 'good';
  await eventually(async () => assert.equal(await keysOf(store), []), 6_000);

  await one.verbs.createNetwork(networkRequest('b1'));
  const before = await keysOf(store);
  store.mood = 'forgetAnswer';
  await fails(create(one, 'a', '10.77.0.2'));
  store.mood = 'good';

  await eventually(async () => assert.equal(await keysOf(store), before), 6_000);
});

test('a write whose answer was lost stays when its verb was repeated', async ({ node, store }) => {
  const one = await node(1);
  await one.verbs.createNetwork(networkRequest('b1'));
  store.mood = 'forgetAnswer';
  await fails(create(one, 'a', '10.77.0.2'));
  store.mood = 'good';

  await create(one, 'a', '10.77.0.2');
  await eventually(async () => assert.equal((await one.reports.status()).problems, []), 6_000);

  const keys = await keysOf(store);
  assert.ok(keys.some((key) => key.startsWith('m/')) && keys.some((key) => key.startsWith('a/')));
});

test('a store that was emptied withdraws nothing, and is filled again by everybody', async ({ node, store }) => {
  const [one, two] = [await node(1), await node(2)];
  for (const each of [one, two]) await each.verbs.createNetwork(networkRequest('b1'));
  for (const [each, name, ip] of [
    [one, 'a', '10.77.0.2'],
    [two, 'b', '10.77.0.3'],
  ] as const) {
    await create(each, name, ip);
    await each.verbs.join(blue, endpointId(name));
  }
  await eventually(async () => assert.is((await one.reports.endpoints()).length, 2));
  await eventually(async () => assert.is((await two.reports.endpoints()).length, 2));
  const rows = [one.dataPath.keys(), two.dataPath.keys()];

  // All but the anchors, as when another node has begun to fill it.
  const all = (await Promise.all(['n/', ...prefixes].map((prefix) => store.list(prefix)))).flat();
  const lost = all.filter(({ key }) => !key.endsWith('/_'));
  await store.commit(lost.map(({ key }) => ({ kind: 'delete', key, expect: 'any' })));

  await eventually(async () => {
    const keys = await keysOf(store);
    assert.is(keys.filter((key) => /^s\/.*[12]$/.test(key)).length, 2);
    assert.is((await store.list('n/')).length, 3);
    assert.ok(keys.some((key) => key.startsWith('net/')) && keys.some((key) => key.startsWith('vni/')));
  }, 6_000);
  await eventually(async () => assert.is((await one.reports.endpoints()).length, 2));
  assert.equal([one.dataPath.keys(), two.dataPath.keys()], rows);
});

test('a router is one still after a restart, and what it is cannot be asked for differently', async ({ node }) => {
  const one = await node(1);
  await one.verbs.createNetwork(networkRequest('b1'));
  const request = { networkId: blue, id: endpointId('a'), addresses: [address('10.77.0.2')], mac: null };
  await one.verbs.createEndpoint({ ...request, isRouter: true });
  await one.verbs.join(blue, endpointId('a'));
  await create(one, 'b', '10.77.0.3');
  await one.verbs.join(blue, endpointId('b'));
  await fails(one.verbs.createEndpoint(request));
  await one.close();

  const again = await node(1, { journal: one.journal });

  const routers = () => [...again.dataPath.state.values()].filter((entry) => entry.table === 'port' && entry.isRouter);
  await eventually(() => assert.equal(routers().map(entryKey), [`port ${endpointId('a')}`]));
  assert.is((await again.verbs.endpointFacts(blue, endpointId('a')))['router'], 'on');
});

test.run();

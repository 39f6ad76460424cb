import * as assert from 'uvu/assert';
import { parseSubnet } from '../../../src/core/address.ts';
import type { NetworkId } from '../../../src/core/identity.ts';
import { isOverlayError } from '../../../src/errors.ts';
import type { AddressSpace, NetworkRequest, PoolId } from '../../../src/overlay/requests.ts';
import type { Store } from '../../../src/ports/store.ts';
import { address, endpointId, eventually, networkRequest, type OverlayNode } from '../../kit/overlay-node.ts';
import { overlaySuite } from '../../kit/overlay-suite.ts';

const test = overlaySuite('overlay of a swarm');

const green = 'k3v9q0x5m1b7z2c8n4w6r0t1y' as NetworkId;
const brown = 'b3v9q0x5m1b7z2c8n4w6r0t1y' as NetworkId;
const subnet = parseSubnet('10.0.1.0/24');
const swarmRequest = (id = green, fields: Partial<NetworkRequest> = {}) =>
  networkRequest('', { id, subnets: [subnet], ...fields });
const keysOf = async (store: Store) =>
  (await Promise.all(['net/', 'vni/', 's/', 'd/', 'ns/', 'p/', 'a/', 'm/'].map((prefix) => store.list(prefix))))
    .flat()
    .map(({ key }) => key);

const requestPool = (node: OverlayNode, space: AddressSpace) =>
  node.verbs.requestPool({ space, family: 'ipv4', subnet, range: null, name: null });
const requestAddress = async (node: OverlayNode, pool: PoolId, wanted: string | null = null): Promise<string> => {
  const request = { pool, address: wanted === null ? null : address(wanted), purpose: 'endpoint' } as const;
  return (await node.verbs.requestAddress(request)).split('/')[0] ?? '';
};
const attach = async (node: OverlayNode, name: string, ip: string, network = green): Promise<void> => {
  await node.verbs.createEndpoint({ networkId: network, id: endpointId(name), addresses: [address(ip)], mac: null });
  await node.verbs.join(network, endpointId(name));
};

test('an allocated network exists before a node has it, with one VNI whoever leads', async ({ node, store }) => {
  const [first, second] = [await node(1), await node(2)];

  const vni = await first.verbs.allocateNetwork(swarmRequest());
  const again = await second.verbs.allocateNetwork(swarmRequest(green, { vni }));
  await second.verbs.createNetwork(swarmRequest(green, { vni }));

  assert.is(again, vni);
  assert.is((await second.reports.networks())[0]?.vni, vni);
  assert.equal(await first.reports.networks(), []);

  await second.verbs.deleteNetwork(green);
  assert.ok((await keysOf(store)).some((key) => key.startsWith('vni/')));
  await second.verbs.freeNetwork(green);
  assert.equal(await keysOf(store), []);
});

test('a VNI stays taken until the last node has left the freed network', async ({ node, store }) => {
  const [leader, worker] = [await node(1), await node(2)];
  const vni = await leader.verbs.allocateNetwork(swarmRequest());
  await worker.verbs.createNetwork(swarmRequest(green, { vni }));

  await leader.verbs.freeNetwork(green);
  const early = await leader.verbs.allocateNetwork(swarmRequest(brown, { vni })).catch((error: unknown) => error);
  await worker.verbs.deleteNetwork(green);
  const late = await leader.verbs.allocateNetwork(swarmRequest(brown, { vni }));

  assert.ok(isOverlayError(early, 'VNI_TAKEN'));
  assert.is(late, vni);
  await leader.verbs.freeNetwork(brown);
  assert.equal(await keysOf(store), []);
});

test('a node whose engine chose an IPv6 subnet of its own is told what to do', async ({ node }) => {
  const [leader, worker] = [await node(1), await node(2)];
  const vni = await leader.verbs.allocateNetwork(swarmRequest());
  const subnets = [subnet, parseSubnet('fd00:1::/64')];

  const refusal = await worker.verbs
    .createNetwork(swarmRequest(green, { vni, subnets }))
    .catch((error: unknown) => error);

  assert.ok(isOverlayError(refusal, 'NETWORK_DIFFERS_ON_NODE'));
  assert.match(String(refusal), 'one --subnet for IPv4 and one for IPv6');
});

test('freeing a network that was never allocated changes nothing', async ({ node, store }) => {
  const one = await node(1);
  await one.verbs.allocateNetwork(swarmRequest());
  const before = await keysOf(store);

  await one.verbs.freeNetwork(brown);

  assert.equal(await keysOf(store), before);
});

test('two swarm networks with one subnet are two overlays, whose addresses do not collide', async ({ node }) => {
  const one = await node(1);
  for (const id of [green, brown]) {
    const vni = await one.verbs.allocateNetwork(swarmRequest(id));
    await one.verbs.createNetwork(swarmRequest(id, { vni }));
  }

  await attach(one, 'a', '10.0.1.5', green);
  await attach(one, 'b', '10.0.1.5', brown);

  const [left, right] = await one.reports.networks();
  assert.is.not(left?.vni, right?.vni);
});

test('a named network is the same overlay for swarm and for a plain engine', async ({ node }) => {
  const [manager, plain] = [await node(1), await node(2)];
  const vni = await manager.verbs.allocateNetwork(swarmRequest(green, { name: 'blue' }));
  await plain.verbs.createNetwork(networkRequest('p1', { name: 'blue', subnets: [subnet] }));
  assert.is((await plain.reports.networks())[0]?.vni, vni);
  await manager.verbs.freeNetwork(green);
  assert.is((await plain.reports.networks())[0]?.vni, vni);
});

test("swarm's addresses are unique, and reserving them again on a task's node is no conflict", async (context) => {
  const { node, store } = context;
  const [leader, worker] = [await node(1), await node(2)];
  const { pool } = await requestPool(leader, 'global');
  await leader.verbs.requestAddress({ pool, address: null, purpose: 'gateway' });
  const vni = await leader.verbs.allocateNetwork(swarmRequest());
  const given = await Promise.all(Array.from({ length: 40 }, () => requestAddress(leader, pool)));
  assert.is(new Set(given).size, 40);
  const [task = ''] = given;

  const local = await requestPool(worker, 'local');
  const gateway = await worker.verbs.requestAddress({ ...local, address: address('10.0.1.1'), purpose: 'gateway' });
  await worker.verbs.createNetwork(swarmRequest(green, { vni }));
  const reserved = await requestAddress(worker, local.pool, task);
  await attach(worker, 'a', task);

  assert.is(gateway, '10.0.1.1/24');
  assert.is(reserved, task);

  // As the engine ends it: the task, its network on the node, then the network in the swarm.
  await worker.verbs.leave(green, endpointId('a'));
  await worker.verbs.deleteEndpoint(green, endpointId('a'));
  await worker.verbs.releaseAddress(local.pool, address(task));
  await worker.verbs.releasePool(local.pool);
  await worker.verbs.deleteNetwork(green);
  for (const each of given.slice(0, 20)) await leader.verbs.releaseAddress(pool, address(each));
  await leader.verbs.freeNetwork(green);
  await leader.verbs.releasePool(pool);
  assert.equal(await keysOf(store), []);
});

test('a new leader asks for all that is in use and gets it, and then nothing that is', async ({ node }) => {
  const [old, next] = [await node(1), await node(2)];
  const { pool } = await requestPool(old, 'global');
  await old.verbs.requestAddress({ pool, address: null, purpose: 'gateway' });
  const vni = await old.verbs.allocateNetwork(swarmRequest());
  const given = await Promise.all(Array.from({ length: 5 }, () => requestAddress(old, pool)));

  const again = await requestPool(next, 'global');
  await next.verbs.requestAddress({ ...again, address: address('10.0.1.1'), purpose: 'gateway' });
  assert.is(await next.verbs.allocateNetwork(swarmRequest(green, { vni })), vni);
  for (const each of given) assert.is(await requestAddress(next, again.pool, each), each);
  const fresh = await Promise.all(Array.from({ length: 5 }, () => requestAddress(next, again.pool)));

  assert.is(again.pool, pool);
  assert.is(new Set([...given, ...fresh]).size, 10);
});

test("the allocator's pool outlives a second network on the same subnet that is removed", async ({ node, store }) => {
  const one = await node(1);
  const { pool } = await requestPool(one, 'global');
  await one.verbs.allocateNetwork(swarmRequest(green));
  await requestPool(one, 'global');
  await one.verbs.allocateNetwork(swarmRequest(brown));

  await one.verbs.freeNetwork(brown);
  await one.verbs.releasePool(pool);
  assert.ok(await requestAddress(one, pool));
  await one.verbs.freeNetwork(green);
  await one.verbs.releasePool(pool);

  assert.equal(await keysOf(store), []);
});

test('an address that swarm has given to another task is taken from a dead node, never from a living one', async (context) => {
  const [lost, heir] = [await context.node(1), await context.node(2)];
  const vni = await lost.verbs.allocateNetwork(swarmRequest());
  for (const each of [lost, heir]) await each.verbs.createNetwork(swarmRequest(green, { vni }));
  await attach(lost, 'a', '10.0.1.7');

  const refusal = await attach(heir, 'b', '10.0.1.7').catch((error: unknown) => error);
  assert.ok(isOverlayError(refusal, 'ADDRESS_TAKEN'));
  assert.match(String(refusal), 'node-1');

  await lost.close();
  await attach(heir, 'b', '10.0.1.7');
  await eventually(() => assert.ok(heir.dataPath.keys().includes(`port ${endpointId('b')}`)));
  const third = await context.node(3);
  await third.verbs.createNetwork(swarmRequest(green, { vni }));
  await eventually(async () => {
    const rows = (await third.dataPath.read()).get(`neighbour ${vni} 10.0.1.7`);
    assert.ok(rows !== undefined);
    assert.equal((await third.dataPath.read()).get(`mac ${vni} 02:42:0a:00:01:07`), {
      table: 'mac',
      vni,
      mac: '02:42:0a:00:01:07',
      at: { kind: 'remote', vtep: '10.10.2.2' },
    });
  });
});

test('what a dead node left in a network goes when swarm has freed it and the living have left', async (context) => {
  const { store } = context;
  const [leader, dead, late] = [await context.node(1), await context.node(2), await context.node(3)];
  const vni = await leader.verbs.allocateNetwork(swarmRequest());
  for (const each of [dead, late]) await each.verbs.createNetwork(swarmRequest(green, { vni }));
  await attach(dead, 'a', '10.0.1.7');
  await attach(late, 'b', '10.0.1.8');
  await dead.close();

  await leader.verbs.freeNetwork(green);
  const rest = await keysOf(store);
  assert.ok(rest.some((key) => key.endsWith('0a000108')));
  assert.equal(
    rest.filter((key) => key.endsWith('0a000107') || key.endsWith('0000000000000002')),
    [],
  );
  await late.verbs.deleteNetwork(green);

  assert.equal(await keysOf(store), []);
});

test('what a dead node has in a network that swarm never allocated stays', async (context) => {
  const [living, dead] = [await context.node(1), await context.node(2)];
  for (const each of [living, dead]) await each.verbs.createNetwork(swarmRequest());
  await attach(dead, 'a', '10.0.1.7');
  await dead.close();

  const refusal = await attach(living, 'b', '10.0.1.7').catch((error: unknown) => error);
  await living.verbs.deleteNetwork(green);

  assert.ok(isOverlayError(refusal, 'ADDRESS_TAKEN'));
  assert.ok((await keysOf(context.store)).some((key) => key.endsWith('0a000107')));
});

test("the allocator's hold of a pool ends with its last network, also when the pool was given back first", async (context) => {
  const one = await context.node(1);
  const { pool } = await requestPool(one, 'global');
  await one.verbs.allocateNetwork(swarmRequest());

  await one.verbs.releasePool(pool);
  assert.ok((await keysOf(context.store)).some((key) => key.startsWith('p/')));
  await one.verbs.freeNetwork(green);

  assert.equal(await keysOf(context.store), []);
});

test('what a dead node has in a network that swarm still has stays', async (context) => {
  const [leader, dead] = [await context.node(1), await context.node(2)];
  const vni = await leader.verbs.allocateNetwork(swarmRequest());
  for (const each of [leader, dead]) await each.verbs.createNetwork(swarmRequest(green, { vni }));
  await attach(dead, 'a', '10.0.1.7');
  await dead.close();
  const before = await keysOf(context.store);

  await leader.verbs.deleteNetwork(green);

  const gone = before.filter((key) => !key.endsWith('0000000000000001'));
  assert.equal(await keysOf(context.store), gone);
});

test('what a living node has in a plain network is not taken when the node is gone', async (context) => {
  const [lost, heir] = [await context.node(1), await context.node(2)];
  const plain = networkRequest('p1');
  for (const each of [lost, heir]) await each.verbs.createNetwork(plain);
  await attach(lost, 'a', '10.77.0.7', plain.id);
  await lost.close();

  const refusal = await attach(heir, 'b', '10.77.0.7', plain.id).catch((error: unknown) => error);

  assert.ok(isOverlayError(refusal, 'ADDRESS_TAKEN'));
});

test('more addresses than one transaction takes go with their pool', async ({ node, store }) => {
  const one = await node(1);
  const { pool } = await requestPool(one, 'global');
  for (let count = 0; count < 130; count += 1) await requestAddress(one, pool);

  await one.verbs.releasePool(pool);

  assert.equal(await keysOf(store), []);
});

test.run();

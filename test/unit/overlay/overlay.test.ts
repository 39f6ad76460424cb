import * as assert from 'uvu/assert';
import { parseSubnet } from '../../../src/core/address.ts';
import { parseMac } from '../../../src/core/mac.ts';
import { parseVni } from '../../../src/core/vni.ts';
import { isOverlayError } from '../../../src/errors.ts';
import type { Store } from '../../../src/ports/store.ts';
import {
  address,
  endpointId,
  eventually,
  networkId,
  networkRequest,
  type OverlayNode,
} from '../../kit/overlay-node.ts';
import { overlaySuite } from '../../kit/overlay-suite.ts';

const test = overlaySuite('overlay');

const blue = networkId('b1');
const attach = async (node: OverlayNode, name: string, ip: string, network = blue): Promise<string> => {
  await node.verbs.createEndpoint({ networkId: network, id: endpointId(name), addresses: [address(ip)], mac: null });
  return (await node.verbs.join(network, endpointId(name))).interfaceName;
};
const keysOf = async (store: Store) =>
  (await Promise.all(['n/', 'net/', 'vni/', 's/', 'd/', 'ns/', 'p/', 'a/', 'm/'].map((prefix) => store.list(prefix))))
    .flat()
    .map(({ key }) => key)
    .filter((key) => !key.startsWith('n/'));

test('two nodes that create the same subnet share one network and see each other', async ({ node }) => {
  const one = await node(1);
  const two = await node(2);
  await one.verbs.createNetwork(networkRequest('b1'));
  await two.verbs.createNetwork(networkRequest('b1'));

  assert.is(await attach(one, 'a', '10.77.0.2'), `wc${'a'.padEnd(12, '0')}`);
  await attach(two, 'b', '10.77.0.3');

  const [network] = await one.reports.networks();
  assert.is(network?.vni, (await two.reports.networks())[0]?.vni);
  await eventually(() => assert.ok(one.dataPath.keys().includes(`mac ${network?.vni} 02:42:0a:4d:00:03`)));
  await eventually(() => assert.ok(two.dataPath.keys().includes(`neighbour ${network?.vni} 10.77.0.2`)));
  await eventually(async () => {
    const [left, right] = [await one.reports.status(), await two.reports.status()];
    assert.is(left.store.digest, right.store.digest);
    assert.is(left.store.state, 'live');
    assert.equal(left.problems, []);
  });
});

test('join returns only when the local data path has the endpoint', async ({ node }) => {
  const one = await node(1);
  await one.verbs.createNetwork(networkRequest('b1'));
  await attach(one, 'a', '10.77.0.2');
  assert.ok(one.dataPath.keys().includes(`port ${endpointId('a')}`));
});

test('removing everything leaves no key and no row', async ({ node, store }) => {
  const [one, two] = [await node(1), await node(2)];
  for (const each of [one, two]) {
    const { pool } = await each.verbs.requestPool({
      space: 'local',
      family: 'ipv4',
      subnet: parseSubnet('10.77.0.0/24'),
      range: null,
      name: null,
    });
    assert.is(await each.verbs.requestAddress({ pool, address: null, purpose: 'gateway' }), '10.77.0.1/24');
    await each.verbs.createNetwork(networkRequest('b1'));
    const given = await each.verbs.requestAddress({ pool, address: null, purpose: 'endpoint' });
    const ip = given.slice(0, given.indexOf('/'));
    await attach(each, `e${ip}`, ip);
    await each.verbs.leave(blue, endpointId(`e${ip}`));
    await each.verbs.deleteEndpoint(blue, endpointId(`e${ip}`));
    await each.verbs.releaseAddress(pool, address(ip));
  }
  for (const each of [one, two]) {
    // Docker gives the pool back before it deletes the network.
    await each.verbs.releasePool('|10.77.0.0/24|' as never);
    await each.verbs.deleteNetwork(blue);
  }
  assert.equal(await keysOf(store), []);
  assert.equal(one.dataPath.keys(), []);
  assert.equal(two.dataPath.keys(), []);
  assert.is(one.journal.networks.size + one.journal.endpoints.size, 0);
});

test('every verb may be repeated', async ({ node }) => {
  const one = await node(1);
  for (let round = 0; round < 2; round += 1) await one.verbs.createNetwork(networkRequest('b1'));
  for (let round = 0; round < 2; round += 1) await attach(one, 'a', '10.77.0.2');
  for (let round = 0; round < 2; round += 1) await one.verbs.leave(blue, endpointId('a'));
  for (let round = 0; round < 2; round += 1) await one.verbs.deleteEndpoint(blue, endpointId('a'));
  for (let round = 0; round < 2; round += 1) await one.verbs.deleteNetwork(blue);
  await one.verbs.leave(networkId('none'), endpointId('none'));
  assert.equal(one.dataPath.keys(), []);
});

test('an address that another endpoint has is refused with its owner', async ({ node }) => {
  const [one, two] = [await node(1), await node(2)];
  for (const each of [one, two]) await each.verbs.createNetwork(networkRequest('b1'));
  await attach(one, 'a', '10.77.0.2');

  const failure = await attach(two, 'b', '10.77.0.2').catch((error: unknown) => error);
  assert.ok(isOverlayError(failure, 'ADDRESS_TAKEN', 'MAC_TAKEN'), String(failure));
  assert.match(String(failure), /node-1/);
  assert.match(String(failure), new RegExp(endpointId('a')));
});

test('a MAC that another endpoint has is refused with its owner', async ({ node }) => {
  const [one, two] = [await node(1), await node(2)];
  for (const each of [one, two]) await each.verbs.createNetwork(networkRequest('b1'));
  const mac = parseMac('02:00:00:00:00:09');
  await one.verbs.createEndpoint({ networkId: blue, id: endpointId('a'), addresses: [address('10.77.0.2')], mac });
  const failure = await two.verbs
    .createEndpoint({ networkId: blue, id: endpointId('b'), addresses: [address('10.77.0.3')], mac })
    .catch((error: unknown) => error);
  assert.ok(isOverlayError(failure, 'MAC_TAKEN'));
  const free = { networkId: blue, id: endpointId('c'), addresses: [address('10.77.0.3')], mac: null };
  assert.is(await two.verbs.createEndpoint(free), '02:42:0a:4d:00:03', 'the failed attempt kept nothing');
});

test('a second engine that asks for another VNI, MTU or subnet is refused', async ({ node }) => {
  const [one, two] = [await node(1), await node(2)];
  await one.verbs.createNetwork(networkRequest('b1', { name: 'blue', vni: parseVni(5000) }));
  for (const fields of [
    { vni: parseVni(5001) },
    { mtuBytes: 1400 },
    { subnets: [parseSubnet('10.78.0.0/24')] },
    { multicast: false },
  ]) {
    const failure = await two.verbs
      .createNetwork(networkRequest('b1', { name: 'blue', ...fields }))
      .catch((error: unknown) => error);
    assert.ok(isOverlayError(failure, 'NETWORK_CONFLICT'), JSON.stringify(fields));
  }
  assert.equal(await two.reports.networks(), []);
  const taken = await two.verbs
    .createNetwork(networkRequest('r1', { name: 'red', vni: parseVni(5000) }))
    .catch((error: unknown) => error);
  assert.ok(isOverlayError(taken, 'VNI_TAKEN') && taken.message.includes('blue'));
});

test('names tell networks with one subnet apart', async ({ node }) => {
  const one = await node(1);
  for (const name of ['blue', 'red']) {
    await one.verbs.createNetwork(networkRequest(name, { name }));
    await attach(one, name, '10.77.0.2', networkId(name));
  }
  const vnis = (await one.reports.networks()).map(({ vni }) => vni);
  assert.is(new Set(vnis).size, 2);
});

test('overlapping subnets of one name space are refused, of two are not', async ({ node }) => {
  const one = await node(1);
  const ask = (subnet: string, name: string | null) =>
    one.verbs.requestPool({ space: 'local', family: 'ipv4', subnet: parseSubnet(subnet), range: null, name });
  await ask('10.77.0.0/24', null);
  const failure = await ask('10.77.0.0/16', null).catch((error: unknown) => error);
  assert.ok(isOverlayError(failure, 'POOL_OVERLAPS'));
  assert.is((await ask('10.77.0.0/16', 'blue')).subnet, '10.77.0.0/16');
});

test('a named network gets the same automatic subnet on every engine, clear of the hosts routes', async ({ node }) => {
  const one = await node(1, { hostSubnets: ['10.208.0.0/13', '10.216.0.0/14'] });
  const two = await node(2);
  const ask = (each: OverlayNode) =>
    each.verbs.requestPool({ space: 'local', family: 'ipv4', subnet: null, range: null, name: 'blue' });
  const first = await ask(one);
  assert.match(first.subnet, /^10\.22[0-3]\./);
  assert.is((await ask(two)).subnet, first.subnet);
  const unnamed = await two.verbs.requestPool({
    space: 'local' as const,
    family: 'ipv4',
    subnet: null,
    range: null,
    name: null,
  });
  assert.is.not(unnamed.subnet, first.subnet);
});

test('the gateway is one for all engines and never given to a container', async ({ node }) => {
  const [one, two] = [await node(1), await node(2)];
  const request = {
    space: 'local' as const,
    family: 'ipv4' as const,
    subnet: parseSubnet('10.77.0.0/29'),
    range: null,
    name: null,
  };
  const { pool } = await one.verbs.requestPool(request);
  await two.verbs.requestPool(request);
  assert.is(
    await one.verbs.requestAddress({ pool, address: address('10.77.0.6'), purpose: 'gateway' }),
    '10.77.0.6/29',
  );
  assert.is(await two.verbs.requestAddress({ pool, address: null, purpose: 'gateway' }), '10.77.0.6/29');
  const other = await two.verbs
    .requestAddress({ pool, address: address('10.77.0.5'), purpose: 'gateway' })
    .catch((error: unknown) => error);
  assert.ok(isOverlayError(other, 'NETWORK_CONFLICT'));

  const given: string[] = [];
  for (let count = 0; count < 5; count += 1)
    given.push(await one.verbs.requestAddress({ pool, address: null, purpose: 'endpoint' }));
  assert.equal(given.sort(), ['10.77.0.1/29', '10.77.0.2/29', '10.77.0.3/29', '10.77.0.4/29', '10.77.0.5/29']);
  const full = await two.verbs
    .requestAddress({ pool, address: null, purpose: 'endpoint' })
    .catch((error: unknown) => error);
  assert.ok(isOverlayError(full, 'POOL_EXHAUSTED') && full.message.includes('10.77.0.0/29'));
});

test('an address is free again whichever half is given back last', async ({ node, store }) => {
  const one = await node(1);
  const { pool } = await one.verbs.requestPool({
    space: 'local' as const,
    family: 'ipv4',
    subnet: parseSubnet('10.77.0.0/24'),
    range: null,
    name: null,
  });
  await one.verbs.createNetwork(networkRequest('b1'));
  for (const order of ['endpoint first', 'reservation first']) {
    await one.verbs.requestAddress({ pool, address: address('10.77.0.9'), purpose: 'endpoint' });
    await attach(one, 'x', '10.77.0.9');
    if (order === 'endpoint first') await one.verbs.deleteEndpoint(blue, endpointId('x'));
    await one.verbs.releaseAddress(pool, address('10.77.0.9'));
    if (order === 'reservation first') await one.verbs.deleteEndpoint(blue, endpointId('x'));
    const left = (await store.list('a/')).map(({ key }) => key);
    assert.equal(
      left.filter((key) => key.endsWith('0a4d0009')),
      [],
      order,
    );
  }
});

test('an address that Docker gave up while the daemon was away goes with the pool', async ({ node, store }) => {
  const [one, two] = [await node(1), await node(2)];
  for (const each of [one, two]) {
    const pool = {
      space: 'local',
      family: 'ipv4',
      subnet: parseSubnet('10.77.0.0/24'),
      range: null,
      name: null,
    } as const;
    const requested = await each.verbs.requestPool(pool);
    await each.verbs.createNetwork(networkRequest('b1'));
    await each.verbs.requestAddress({ ...requested, address: null, purpose: 'endpoint' });
  }

  await one.verbs.deleteNetwork(blue);
  const kept = await store.list('a/');
  await two.verbs.deleteNetwork(blue);

  assert.is(kept.length, 1);
  assert.equal(await keysOf(store), []);
});

test('a daemon that comes back adopts its endpoints and takes nothing away meanwhile', async ({ node }) => {
  const one = await node(1);
  const two = await node(2);
  for (const each of [one, two]) await each.verbs.createNetwork(networkRequest('b1'));
  await attach(one, 'a', '10.77.0.2');
  await attach(two, 'b', '10.77.0.3');
  await eventually(() => assert.is(one.dataPath.keys().length, two.dataPath.keys().length));
  const before = one.dataPath.keys();
  await one.close();

  const removed: string[] = [];
  const { apply } = one.dataPath;
  one.dataPath.apply = (changes) => {
    removed.push(...changes.filter(({ kind }) => kind === 'remove').map(({ entry }) => entry.table));
    return apply(changes);
  };
  const again = await node(1, { journal: one.journal, dataPath: one.dataPath });
  assert.equal(again.dataPath.keys(), before);
  assert.equal(removed, []);
});

test('after a reboot endpoints are claimed but not joined', async ({ node }) => {
  const one = await node(1);
  await one.verbs.createNetwork(networkRequest('b1'));
  await attach(one, 'a', '10.77.0.2');
  await one.close();
  const again = await node(1, { journal: one.journal, boot: 'boot-2' });
  assert.not(again.dataPath.keys().includes(`port ${endpointId('a')}`));
  assert.is((await attach(again, 'a', '10.77.0.2')).slice(0, 2), 'wc');
});

test('a row that cannot be programmed fails its own verb only and leaves nothing half done', async ({ node }) => {
  const one = await node(1);
  await one.verbs.createNetwork(networkRequest('b1'));
  one.dataPath.broken.add(`port ${endpointId('bad')}`);
  const failure = await attach(one, 'bad', '10.77.0.2').catch((error: unknown) => error);
  assert.match(String(failure), /broken/);
  await attach(one, 'good', '10.77.0.3');
  assert.is((await one.reports.endpoints()).length, 1);
  one.dataPath.broken.clear();
  await attach(one, 'bad', '10.77.0.2');
  assert.is((await one.reports.endpoints()).length, 2);
});

test('a miss reads the one record that answers it', async ({ node }) => {
  const [one, two] = [await node(1), await node(2)];
  for (const each of [one, two]) await each.verbs.createNetwork(networkRequest('b1'));
  await attach(two, 'b', '10.77.0.3');
  const vni = parseVni((await one.reports.networks())[0]?.vni ?? 0);
  one.dataPath.emit({ kind: 'miss', vni, address: address('10.77.0.3'), mac: null });
  await eventually(() => assert.ok(one.dataPath.keys().includes(`neighbour ${vni} 10.77.0.3`)));
});

test('a provisional entry nobody confirms is withdrawn', async ({ node }) => {
  const [one, two] = [await node(1), await node(2)];
  for (const each of [one, two]) await each.verbs.createNetwork(networkRequest('b1'));
  await attach(two, 'b', '10.77.0.3');
  const vni = parseVni((await one.reports.networks())[0]?.vni ?? 0);
  const forged = parseMac('02:00:00:00:00:66');
  one.dataPath.emit({ kind: 'provisional', vni, mac: forged, vtep: address('10.10.2.2') });
  one.dataPath.emit({ kind: 'provisional', vni, mac: parseMac('02:42:0a:4d:00:03'), vtep: address('10.10.2.2') });
  await eventually(() => assert.equal(one.dataPath.withdrawn, [`${vni} ${forged}`]), 6_000);
});

test('a corrupt record is skipped and reported, the rest works', async ({ node, store }) => {
  const [one, two] = [await node(1), await node(2)];
  for (const each of [one, two]) await each.verbs.createNetwork(networkRequest('b1'));
  const key = (await one.reports.networks())[0]?.id ?? '';
  const garbage = new TextEncoder().encode('{"vtep":');
  await store.commit([{ kind: 'put', key: `s/${key}/00000000000000ff`, value: garbage, expect: 'any' }]);
  await store.commit([{ kind: 'put', key: 'n/00000000000000ff', value: garbage, expect: 'any' }]);
  await attach(two, 'b', '10.77.0.3');
  await eventually(async () => {
    const { problems } = await one.reports.status();
    assert.ok(
      problems.some((problem) => problem.includes(`s/${key}/00000000000000ff`)),
      problems.join('\n'),
    );
    assert.ok(problems.some((problem) => problem.includes('n/00000000000000ff')));
  });
  await eventually(() => assert.ok(one.dataPath.keys().some((row) => row.endsWith('10.77.0.3'))));
});

test.run();

/** What a node makes of the paths to its peers: rows of the data path, state of peers, notes. */

import * as assert from 'uvu/assert';
import { parseAddress } from '../../../src/core/address.ts';
import type { ForwardingEntry } from '../../../src/core/forwarding.ts';
import { searchPath } from '../../../src/overlay/path-search.ts';
import type { PathProbe } from '../../../src/ports/path-probe.ts';
import {
  createPathProbe,
  eventually,
  type NodeOptions,
  networkRequest,
  type OverlayNode,
} from '../../kit/overlay-node.ts';
import { type OverlayContext, overlaySuite } from '../../kit/overlay-suite.ts';

const test = overlaySuite('overlay/paths');

const vtep = parseAddress('10.10.2.2');
const patienceMs = 20_000;
const never = 3_600_000;

/** The first of two nodes with one network, MTU 1450. */
async function pair({ node }: OverlayContext, options: NodeOptions): Promise<OverlayNode> {
  const [one, other] = [await node(1, { probeIntervalMs: 100, ...options }), await node(2)];
  for (const each of [one, other]) await each.verbs.createNetwork(networkRequest('net', { mtuBytes: 1450 }));
  return one;
}

const rowOf = ({ dataPath }: OverlayNode): ForwardingEntry | undefined => dataPath.state.get(`path ${vtep}`);
const rowBecomes = (node: OverlayNode, mtuBytes: number) =>
  eventually(() => assert.equal(rowOf(node), { table: 'path', vtep, mtuBytes }), patienceMs);

test('a short path is a row of the data path and a note that names both nodes, until it has grown', async (context) => {
  let carries = 1400;
  const one = await pair(context, { probe: createPathProbe(() => carries) });

  await rowBecomes(one, 1400);
  const { peers, notes, problems } = await one.reports.status();
  assert.equal(
    peers.map(({ node, state, mtuBytes }) => [node, state, mtuBytes]),
    [['node-2', 'reachable', 1400]],
  );
  assert.equal(notes, [
    'the path from node-1 to node-2 carries packets of 1400 bytes, and 10.77.0.0/24 with an MTU of 1450 needs 1500: ' +
      'senders are told by ICMP and go on in smaller packets; raise the MTU on that path, or create the network with ' +
      '-o com.docker.network.driver.mtu=1350',
  ]);
  assert.equal(problems, []);
  assert.ok(one.events.includes('path MTU proven'));

  carries = 1500;
  await rowBecomes(one, 1500);
  assert.equal((await one.reports.status()).notes, []);
});

test('a router that refuses a packet, or another way in the kernel, has the path looked at soon', async (context) => {
  let carries = 1500;
  const probe = createPathProbe(() => carries);
  const one = await pair(context, { probe, probeIntervalMs: never });
  await rowBecomes(one, 1500);

  carries = 1300;
  probe.refuse(vtep, 1300);
  await rowBecomes(one, 1300);

  carries = 1420;
  one.dataPath.emit({ kind: 'moved', vtep });
  await rowBecomes(one, 1420);
});

test('a forged refusal changes nothing', async (context) => {
  let asked = 0;
  const carried = createPathProbe(() => 1500);
  const probe: typeof carried = {
    ...carried,
    probe: (address, sizeBytes, timeoutMs) => {
      if (sizeBytes === 68 || sizeBytes === 600) asked += 1;
      return carried.probe(address, sizeBytes, timeoutMs);
    },
  };
  const one = await pair(context, { probe, probeIntervalMs: never });
  await rowBecomes(one, 1500);

  probe.refuse(vtep, 600);
  await eventually(() => assert.is(asked, 1), patienceMs);
  probe.refuse(parseAddress('203.0.113.9'), 600);
  assert.equal(rowOf(one), { table: 'path', vtep, mtuBytes: 1500 });
});

test('a peer that falls silent keeps what its path was proven to carry', async (context) => {
  let carries = 1400;
  const one = await pair(context, { probe: createPathProbe(() => carries) });
  await rowBecomes(one, 1400);

  carries = 0;
  await eventually(async () => {
    const [peer] = await one.reports.peers();
    assert.is(peer?.state, 'unreachable');
    assert.is(peer?.mtuBytes, 1400);
  }, patienceMs);
  assert.equal(rowOf(one), { table: 'path', vtep, mtuBytes: 1400 });
});

test('what an earlier process proved holds before and until the next one proves something', async (context) => {
  const one = await pair(context, { probe: createPathProbe(() => 1400) });
  await rowBecomes(one, 1400);
  const { dataPath, journal } = one;
  await one.close();

  const again = await context.node(1, { dataPath, journal, probe: createPathProbe(() => 0) });

  await eventually(async () => assert.is((await again.reports.peers())[0]?.state, 'unreachable'), patienceMs);
  assert.equal(rowOf(again), { table: 'path', vtep, mtuBytes: 1400 });
});

test('a peer that never answered has no row', async (context) => {
  const one = await pair(context, { probe: createPathProbe(() => 0) });

  await eventually(async () => assert.is((await one.reports.peers())[0]?.state, 'unreachable'), patienceMs);
  await eventually(() => assert.ok(one.dataPath.keys().includes(`vtep ${vtep}`)));
  assert.is(rowOf(one), undefined);
});

const hints = { provenBytes: 1500, deviceBytes: 1500, namedBytes: null };

test('a moment of congestion narrows no path', async () => {
  const path = createPathProbe(() => 1500);
  let left = 6;
  const probe: PathProbe = {
    ...path,
    probe: async (address, sizeBytes, timeoutMs) => {
      if (sizeBytes > 100 && left > 0) {
        left -= 1;
        return { kind: 'timeout' };
      }
      return path.probe(address, sizeBytes, timeoutMs);
    },
  };

  assert.equal(await searchPath(probe, vtep, hints), { state: 'reachable', mtuBytes: 1500, rttMs: 0.5 });
  assert.is(left, 0);
});

test('a path is found to the byte behind routers that speak and behind silent ones', async () => {
  for (const isSilent of [true, false]) {
    for (const mtu of [576, 1281, 1350, 1499]) {
      const state = await searchPath(
        createPathProbe(() => mtu, isSilent),
        vtep,
        hints,
      );
      assert.equal(state, { state: 'reachable', mtuBytes: mtu, rttMs: 0.5 });
    }
  }
});

test('where only small echoes are answered nothing is concluded about large packets', async () => {
  const filtered = createPathProbe(() => 500);

  assert.is((await searchPath(filtered, vtep, hints)).mtuBytes, 1500);
  assert.is((await searchPath(filtered, vtep, { ...hints, provenBytes: null })).mtuBytes, null);
  const filtered6 = createPathProbe(() => 1279);
  assert.is((await searchPath(filtered6, parseAddress('2001:db8::2'), hints)).mtuBytes, 1500);
});

test.run();

/**
 * Isolation: real packets of an attacker on real devices. Each must come to nothing, under the right name, and what ought to
 * pass must still be seen by the same watches. The addresses of containers and nodes are those of lan.ts.
 */

import * as assert from 'uvu/assert';
import { enums, fdbEntry, fdbKey, network, networkKey, peer, peerKey } from '../../src/datapath/ebpf/layout.gen.ts';
import * as bpf from '../../src/native/binding.ts';
import { type Attack, fromContainer } from '../kit/attacks.ts';
import { eventually } from '../kit/command.ts';
import { mac } from '../kit/frame.ts';
import { addGateway, createIntruder, gateway, markOf, watch } from '../kit/intruder.ts';
import { createLan, type Lan, type WeftNode } from '../kit/lan.ts';
import { enterOwnNamespace } from '../kit/own-namespace.ts';
import { mapped } from '../kit/programs.ts';
import { suite } from '../kit/suite.ts';
import { fragments, fromUnderlay, innocent, throughGateway } from '../kit/underlay-attacks.ts';

const { bpfRoot } = enterOwnNamespace(import.meta.url);
const test = suite<{ lan?: Lan; send?: Awaited<ReturnType<typeof createIntruder>> }>('attack', {});
test.before(async (context) => {
  context.lan = await createLan(bpfRoot);
  context.send = await createIntruder();
  await addGateway(context.lan.one, context.lan.oneB);
});
test.after(async ({ lan }) => {
  await lan?.close();
});

/** A network of node one and node two, but not of node three, with a container of node one in it. */
const otherVni = 43;
const first = 1;

/** Sends each, and waits until it has been counted once under its name. */
async function attackAll(node: WeftNode, attacks: readonly Attack[], send: (frames: readonly Uint8Array[]) => unknown) {
  for (const [index, { name, reason, frames }] of attacks.entries()) {
    node.counts();
    await send(frames(markOf(first + index)));
    let count = 0;
    await eventually(`"${name}" counted as ${reason}`, () => {
      count += node.counts()[reason] ?? 0;
      return count > 0;
    });
    assert.is(count, 1, name);
  }
}

/** Sends what is to be seen, again until the last of it is. */
async function control(node: WeftNode, reason: string, send: () => Promise<unknown>) {
  node.counts();
  await send();
  await eventually(`the innocent one counted as ${reason}`, () => (node.counts()[reason] ?? 0) > 0);
}

test('nothing a container forges leaves its node or reaches a neighbour', async ({ lan, send }) => {
  if (lan === undefined || send === undefined) throw new Error('no LAN');
  const { one, two, three, oneA, oneB, twoA, threeA } = lan;
  const watches = await watch({
    oneB: [oneB, 'eth0'],
    twoA: [twoA, 'eth0'],
    threeA: [threeA, 'eth0'],
    two: [two, 'u0'],
    three: [three, 'u0'],
  });

  await attackAll(one, fromContainer, (frames) => send(oneA, 'eth0', ...frames));

  await control(two, 'DECAPSULATED', () => send(oneA, 'eth0', ...innocent.fromContainer(markOf(1000))));
  assert.equal([...(await watches.seen())], [[1000, ['twoA', 'two']]]);
});

test('nothing forged on the underlay reaches a container', async ({ lan, send }) => {
  if (lan === undefined || send === undefined) throw new Error('no LAN');
  const { one, three, oneA, oneB, twoA } = lan;
  await addOtherNetwork(one);
  const watches = await watch({ oneA: [oneA, 'eth0'], oneB: [oneB, 'eth0'], twoA: [twoA, 'eth0'] });

  await attackAll(one, fromUnderlay(otherVni), (frames) => send(three, 'u0', ...frames));

  const sendMarked = (kind: keyof typeof innocent, mark: number) => () =>
    send(three, 'u0', ...innocent[kind](markOf(mark)));
  await control(one, 'DECAPSULATED', sendMarked('fromUnderlay', 1000));
  await control(one, 'FALLBACK_RECEIVED', sendMarked('inFragments', 1001));
  await control(one, 'FALLBACK_RECEIVED', sendMarked('withOptions', 1002));
  const seen = [...(await watches.seen())].map(([mark, places]) => [mark, places[0]]);
  assert.equal(seen, [
    [1000, 'oneA'],
    [1001, 'oneA'],
    [1002, 'oneA'],
  ]);
});

test('a container that speaks to its host as a VTEP, by another interface, is not heard', async ({ lan, send }) => {
  if (lan === undefined || send === undefined) throw new Error('no LAN');
  const { one, oneA, oneB } = lan;
  const watches = await watch({ oneA: [oneA, 'eth0'] });
  const macs = { destinationMac: gateway.mac, sourceMac: gateway.containerMac };
  const packet = (mark: Uint8Array, source: string) => throughGateway(mark, { source, to: 'one', macs });
  const attacks: readonly Attack[] = [gateway.container, '192.0.2.2', '192.0.2.1'].map((source) => ({
    name: `tunnel packets from ${source}`,
    reason: 'DROP_NOT_UNDERLAY',
    frames: (mark) => [packet(mark, source)],
  }));
  const inFragments: Attack = {
    name: 'fragments from a VTEP',
    reason: 'DROP_NOT_UNDERLAY',
    frames: (mark) => fragments(packet(mark, '192.0.2.2'), 5),
  };

  // The kernel itself refuses a source that is its own; the others come as far as the tunnel device.
  await attackAll(one, [...attacks.slice(0, 2), inFragments], (frames) => send(oneB, 'eth1', ...frames));
  await send(oneB, 'eth1', packet(markOf(10), '192.0.2.1'));

  await sendInnocent(lan, send);
  assert.equal([...(await watches.seen())], [[1000, ['oneA']]]);
});

async function sendInnocent({ one, three }: Lan, send: Awaited<ReturnType<typeof createIntruder>>) {
  await control(one, 'DECAPSULATED', () => send(three, 'u0', ...innocent.fromUnderlay(markOf(1000))));
}

async function addOtherNetwork(node: WeftNode): Promise<void> {
  const put = (name: string, key: Uint8Array, value: Uint8Array) => bpf.mapUpdate(node.map(name), key, value);
  const settings = { mtu: 1450, flags: enums.network_flags.NETWORK_MULTICAST };
  put('networks', networkKey.encode({ vni: otherVni }), network.encode(settings));
  put('peers', peerKey.encode({ vni: otherVni, address: mapped('192.0.2.2') }), peer.encode({ vtep: 2 }));
  const local = fdbEntry.encode({ ifindex: await node.ifindex('c1'), vtep: 0, flags: 0 });
  put('fdb', fdbKey.encode({ vni: otherVni, mac: mac('02:42:0a:00:00:01') }), local);
}

test.run();

/**
 * Daemons whose place on the underlay changes under them: another address by DHCP, an address that goes and comes back,
 * another tunnel port. Real daemons on an embedded store, containers made by hand, and no restart but for the port.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import type { StatusReport } from '../../src/overlay/report.ts';
import type { Daemon } from '../kit/daemon.ts';
import { createLab, type Lab } from '../kit/lab.ts';
import { ipBatch } from '../kit/netns.ts';
import type { LabNode } from '../kit/node.ts';
import { createHand, type Hand, type HandContainer, type HandNetwork } from '../kit/plugin-client.ts';
import { suite } from '../kit/suite.ts';
import { countLoss, ping, startEcho } from '../kit/traffic.ts';

interface Side {
  readonly host: LabNode;
  readonly daemon: Daemon;
  readonly hand: Hand;
  readonly network: HandNetwork;
  readonly container: HandContainer;
}

interface Context {
  lab: Lab;
  /** --vtep auto */
  one: Side;
  /** --vtep ADDRESS */
  two: Side;
}

const test = suite<Context>('daemons on an underlay that changes');
/** What is asked of Weft; a loaded machine gets the double. */
const limitMs = 10_000;

async function createSide(lab: Lab, vtep: (host: LabNode) => string): Promise<Side> {
  const host = await lab.node();
  const daemon = await host.daemon({ store: lab.embeddedStore, args: ['--vtep', vtep(host)] });
  const hand = createHand(host, daemon);
  const network = await hand.createNetwork({ subnet: '10.77.0.0/24', name: 'blue' });
  return { host, daemon, hand, network, container: await hand.run(network) };
}

const status = async ({ daemon }: Side): Promise<StatusReport> => JSON.parse(await daemon.cli(['status', '--json']));

async function within(what: string, holds: () => Promise<boolean>): Promise<number> {
  const startedMs = performance.now();
  while (!(await holds())) {
    if (performance.now() - startedMs > limitMs) throw new Error(`not within ${limitMs} ms: ${what}`);
    await sleep(50);
  }
  return performance.now() - startedMs;
}

/** Both ways, at the first attempt. */
async function talk({ one, two }: Context): Promise<boolean> {
  const there = await ping(one.container, two.container.address, { tries: 1 });
  return there && ping(two.container, one.container.address, { tries: 1 });
}

test.before(async (context) => {
  context.lab = await createLab();
  context.one = await createSide(context.lab, () => 'auto');
  context.two = await createSide(context.lab, ({ address }) => address);
  await within('the first packets', () => talk(context));
});

test.after(({ lab }) => lab.close());

test('a node whose address is replaced is followed by its peers, and stays the node it was', async (context) => {
  const { one, two } = context;
  const before = await status(one);
  const lines = ['flush dev eth0', 'add 10.10.1.77/24 dev eth0'].map((words) => `address ${words}`);
  await ipBatch(one.host.netns, [...lines, 'route add default via 10.10.1.1'], '-4');
  const peersOfTwo = async () => (await status(two)).peers.map(({ node, address }) => `${node} ${address}`).join();
  await within('the peer follows', async () => (await peersOfTwo()) === `${one.host.name} 10.10.1.77`);
  await within('traffic after another address', () => talk(context));

  const after = await status(one);
  assert.equal(after.node, { ...before.node, vtep: '10.10.1.77' });
  assert.equal(after.problems, []);
});

// Packets may go on meanwhile: neighbours remember the MAC, and the programs come before the kernel's own addresses.
test('an address that was asked for is a problem while it is gone; traffic goes on when it is back', async (context) => {
  const { two } = context;
  const address = `address delete ${two.host.address}/24 dev eth0`;
  await ipBatch(two.host.netns, [address]);
  await within('the problem in status', async () =>
    (await status(two)).problems.some((problem) => problem.includes(two.host.address)),
  );
  await ipBatch(two.host.netns, [
    address.replace('delete', 'add'),
    `route replace default via 10.10.${two.host.lan}.1`,
  ]);
  await within('traffic after the address is back', () => talk(context));

  await within('no problem in status', async () => (await status(two)).problems.length === 0);
});

test('a daemon that comes back with another port loses no packet, whichever of the two it is', async (context) => {
  const { one, two } = context;
  const echo = await startEcho(two.container);
  for (const [side, port] of [
    [one, '14790'],
    [two, '14791'],
  ] as const) {
    const between = { from: one.container, address: two.container.address, intervalUs: 5_000 };
    const { lost, sent } = await countLoss(between, async () => {
      await side.daemon.restart(['--port', port]);
      const other = side === one ? two : one;
      await within('the peer sees the other port', async () =>
        (await status(other)).peers.some((peer) => String(peer.port) === port),
      );
      await sleep(500);
    });
    assert.is(lost, 0, `${lost} of ${sent} while ${side.host.name} changed its port`);
  }
  await echo.stop();
});

test.run();

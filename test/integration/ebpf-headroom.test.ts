/** Room for the outer headers: who is a port of the bridge that gives it, and that the bridge is good for nothing else. */

import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { parseAddress } from '../../src/core/address.ts';
import { diff } from '../../src/core/change.ts';
import { forwarding, stateOf } from '../../src/core/forwarding.ts';
import { openEbpfDataPath } from '../../src/datapath/ebpf/data-path.ts';
import { headroomBridge } from '../../src/datapath/ebpf/names.ts';
import { removeEbpfDataPath } from '../../src/datapath/ebpf/remove.ts';
import { interfacesOf } from '../../src/datapath/interfaces.ts';
import { openNetlink } from '../../src/netlink/netlink.ts';
import type { DataPath } from '../../src/ports/data-path.ts';
import { eventually } from '../kit/command.ts';
import { nodeId, testEndpoint, testNetwork } from '../kit/models.ts';
import { enterOwnNamespace, run } from '../kit/own-namespace.ts';
import { suite } from '../kit/suite.ts';

const { bpfRoot } = enterOwnNamespace(import.meta.url);
const test = suite<object>('head room');
const bpfDir = join(bpfRoot, 'headroom');
const netlink = await openNetlink();
const log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const endpoint = testEndpoint(1, 2);
const { hostInterface } = interfacesOf(endpoint.id);
const tunnel = 'weft14789';

const desired = forwarding({ self: nodeId('self'), networks: [testNetwork(1)], local: [endpoint], remote: [] });

/** A data path with one endpoint; all of it goes with the case. */
async function withEndpoint(body: (dataPath: DataPath) => Promise<void>): Promise<void> {
  const dataPath = await openEbpfDataPath({
    vtep: { address: parseAddress('192.0.2.1'), port: 14789 },
    bpfDir,
    netlink,
    log,
  });
  try {
    await dataPath.apply(diff(desired, stateOf([])));
    await body(dataPath);
  } finally {
    await dataPath.close();
    await removeEbpfDataPath(bpfDir, netlink);
  }
}

/** Device and state of each port. */
function bridgePorts(): readonly string[] {
  const rows = JSON.parse(run('bridge', '-j', 'link', 'show')) as { ifname: string; master: string; state: string }[];
  return rows.map(({ ifname, master, state }) => `${ifname} ${master} ${state}`).sort();
}

const ports = [hostInterface, tunnel].map((device) => `${device} ${headroomBridge} disabled`).sort();

test.before(() => {
  run('ip', 'link', 'add', 'underlay', 'type', 'veth', 'peer', 'name', 'wire');
  run('ip', 'address', 'add', '192.0.2.1/24', 'dev', 'underlay');
  run('ip', 'link', 'set', 'underlay', 'up');
  run('ip', 'link', 'set', 'wire', 'up');
});
test.after(() => netlink.close());

test('host ends and tunnel devices are ports of a bridge that is down and lets nothing through', () =>
  withEndpoint(async () => {
    assert.equal(bridgePorts(), ports);
    assert.is((await netlink.linkByName(headroomBridge))?.isUp, false);
    assert.is((await netlink.linkByName(hostInterface))?.isUp, true);
  }));

test('the bridge is made again when somebody deletes it, and everything of ours is its port again', () =>
  withEndpoint(async () => {
    run('ip', 'link', 'delete', headroomBridge);

    await eventually('the ports are back', async () => bridgePorts().join() === ports.join(), { limitMs: 30_000 });
  }));

test('opening finds ports without the bridge, and a bridge that somebody set up', () =>
  withEndpoint(async (dataPath) => {
    await dataPath.close();
    run('ip', 'link', 'set', hostInterface, 'nomaster');
    run('ip', 'link', 'set', headroomBridge, 'up');

    await withEndpoint(async () => {
      assert.equal(bridgePorts(), ports);
      assert.is((await netlink.linkByName(headroomBridge))?.isUp, false);
    });
  }));

test('what has the name and is no bridge stays, and endpoints do without', async () => {
  run('ip', 'link', 'add', headroomBridge, 'type', 'veth', 'peer', 'name', 'stranger');
  try {
    await withEndpoint(async (dataPath) => {
      assert.equal(bridgePorts(), []);
      assert.is(diff(desired, await dataPath.read()).length, 0);
    });
    assert.ok(await netlink.linkByName(headroomBridge));
  } finally {
    run('ip', 'link', 'delete', headroomBridge);
  }
});

test('removing the data path removes the bridge', async () => {
  await withEndpoint(async () => {});

  assert.is(await netlink.linkByName(headroomBridge), null);
});

test.run();

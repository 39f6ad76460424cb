/**
 * The table of members against a real kernel in a container: what its applications join and leave is seen, and questions find
 * out what was missed in either direction.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { type Address, parseAddress } from '../../src/core/address.ts';
import { diff } from '../../src/core/change.ts';
import { forwarding, stateOf } from '../../src/core/forwarding.ts';
import { openEbpfDataPath } from '../../src/datapath/ebpf/data-path.ts';
import { directoriesOf } from '../../src/datapath/ebpf/names.ts';
import { memberKey, memberRecord } from '../../src/datapath/ebpf/records.ts';
import { interfacesOf } from '../../src/datapath/interfaces.ts';
import { closeFd, type MapFd, mapDelete, mapEntries, mapUpdate, openPinnedMap } from '../../src/native/binding.ts';
import { openNetlink } from '../../src/netlink/netlink.ts';
import type { DataPath } from '../../src/ports/data-path.ts';
import { eventually } from '../kit/command.ts';
import { nodeId, testEndpoint, testNetwork } from '../kit/models.ts';
import { enterOwnNamespace, run } from '../kit/own-namespace.ts';
import { suite } from '../kit/suite.ts';

interface Context {
  dataPath: DataPath;
  ifindex: number;
}

const { bpfRoot } = enterOwnNamespace(import.meta.url);
const netlink = await openNetlink();
const bpfDir = join(bpfRoot, 'weft');
const network = testNetwork(1, { multicast: true });
const endpoint = testEndpoint(1, 2);
const desired = forwarding({ self: nodeId('self'), networks: [network], local: [endpoint], remote: [] });
const groups = ['239.1.2.3', 'ff15::42'].map(parseAddress);
const strange = parseAddress('239.9.9.9');
const log = { debug: ignore, info: ignore, warn: ignore, error: ignore };
const limits = { limitMs: 20_000 };
const test = suite<Context>('questions about groups');

const open = (queryIntervalMs: number) =>
  openEbpfDataPath({
    vtep: { address: parseAddress('192.0.2.1'), port: 14789 },
    bpfDir,
    netlink,
    log,
    queryIntervalMs,
  });

test.before(async (context) => {
  run('ip', 'link', 'add', 'underlay', 'type', 'veth', 'peer', 'name', 'wire');
  run('ip', 'address', 'add', '192.0.2.1/24', 'dev', 'underlay');
  run('ip', 'link', 'set', 'underlay', 'up');
  // As long as no question comes again on its own, only the reports of joining and leaving tell.
  context.dataPath = await open(1_000_000);
  await context.dataPath.apply(diff(desired, stateOf([])));
  const { hostInterface, containerInterface } = interfacesOf(endpoint.id);
  context.ifindex = Number.parseInt(run('ip', '-o', 'link', 'show', hostInterface), 10);
  run('ip', 'netns', 'add', 'container');
  run('ip', 'link', 'set', containerInterface, 'netns', 'container', 'name', 'eth0', 'up');
  run('ip', '-n', 'container', 'address', 'add', '10.77.1.2/24', 'dev', 'eth0');
});

test.after(async ({ dataPath }) => {
  await dataPath?.close();
  await netlink.close();
});

test('what an application joins is noted, and forgotten when the application has ended, however it ends', async ({
  dataPath,
}) => {
  const application = await startIn(groups);
  await untilJoined(dataPath, groups);

  application.kill('SIGKILL');
  await untilJoined(dataPath, []);
});

test('a data path that finds no table of members gives every group to the ports that there are', async (context) => {
  const application = await startIn(groups);
  await untilJoined(context.dataPath, groups);
  await context.dataPath.close();
  run('rm', join(directoriesOf(bpfDir).maps, 'members'));

  context.dataPath = await open(1_000);
  assert.ok((await joined(context.dataPath)).includes(parseAddress('::')));
  await untilJoined(context.dataPath, groups);
  application.kill('SIGKILL');
  await untilJoined(context.dataPath, []);
});

test('an answer brings back what is missing, and what nobody answers for expires', async ({ dataPath, ifindex }) => {
  const application = await startIn(groups);
  await untilJoined(dataPath, groups);
  withMembers((members) => {
    for (const [key] of mapEntries(members)) mapDelete(members, key);
    mapUpdate(members, memberKey.encode({ ifindex, group: strange }), memberRecord.encode(process.hrtime.bigint()));
  });
  assert.equal(await joined(dataPath), [strange]);

  await eventually('the answer comes', async () => (await joined(dataPath)).length === 3, limits);
  await untilJoined(dataPath, groups);
  application.kill('SIGKILL');
  await untilJoined(dataPath, []);
});

test('what was joined is forgotten with the port', async ({ dataPath }) => {
  const application = await startIn(groups);
  await untilJoined(dataPath, groups);
  await dataPath.apply(diff(stateOf([]), desired));

  assert.equal(await joined(dataPath), []);
  assert.equal(
    withMembers((members) => mapEntries(members).length),
    0,
  );
  application.kill('SIGKILL');
});

test.run();

/** An application in the container that is in these groups. */
async function startIn(of: readonly Address[]): Promise<ChildProcess> {
  const program = `
    for (const group of process.argv.slice(1)) {
      const socket = require('node:dgram').createSocket(group.includes(':') ? 'udp6' : 'udp4');
      socket.bind(() => { socket.addMembership(group, group.includes(':') ? '::%eth0' : '10.77.1.2'); console.log('in'); });
    }`;
  const inside = ['--net=/run/netns/container', process.execPath, '-e', program, ...of];
  const child = spawn('nsenter', inside, { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  return child;
}

async function joined(dataPath: DataPath): Promise<readonly Address[]> {
  return [...((await dataPath.groups())?.get(network.vni) ?? [])].sort();
}

function untilJoined(dataPath: DataPath, expected: readonly Address[]): Promise<void> {
  const isSo = async () => String(await joined(dataPath)) === String(expected);
  return eventually(`the groups joined are ${expected.join(', ') || 'none'}`, isSo, limits);
}

function withMembers<Result>(use: (members: MapFd) => Result): Result {
  const members = openPinnedMap(join(directoriesOf(bpfDir).maps, 'members'));
  if (members === null) throw new Error('no table of members');
  try {
    return use(members);
  } finally {
    closeFd(members);
  }
}

function ignore(): void {}

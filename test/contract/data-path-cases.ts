/**
 * What every data path must do, on the real kernel, in namespaces of its own. An adapter brings itself here as a subject:
 * how to open it, how to damage what it made, and what it left behind.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import { parseAddress } from '../../src/core/address.ts';
import { diff } from '../../src/core/change.ts';
import { type ForwardingState, forwarding, stateOf } from '../../src/core/forwarding.ts';
import { parseMac } from '../../src/core/mac.ts';
import type { Model, Vtep } from '../../src/core/model.ts';
import { isOverlayError } from '../../src/errors.ts';
import type { DataPath, DataPathEvent } from '../../src/ports/data-path.ts';
import type { DataPathSubject } from '../kit/data-path-subject.ts';
import { chanceFrom, endpointId, nodeId, randomModel, testEndpoint, testNetwork } from '../kit/models.ts';
import { run } from '../kit/own-namespace.ts';
import { suite } from '../kit/suite.ts';

const seed = Number(process.env['WEFT_TEST_SEED'] ?? Date.now() % 1_000_000);
const vteps: readonly Vtep[] = [
  { address: parseAddress('192.0.2.2'), port: 14789, alternate: parseAddress('2001:db8::2') },
  { address: parseAddress('192.0.2.3'), port: 14789 },
  { address: parseAddress('198.51.100.9'), port: 4790 },
  { address: parseAddress('2001:db8::3'), port: 14789 },
];
/** Of the node under test. */
export const self: Vtep = { address: parseAddress('192.0.2.1'), port: 14789 };

/** Two networks, both with a container here and one elsewhere. */
const model: Model = {
  self: nodeId('self'),
  networks: [testNetwork(1), testNetwork(2, { multicast: true })],
  local: [testEndpoint(1, 2), testEndpoint(1, 3, 'ipv4'), testEndpoint(2, 2)],
  remote: [
    { node: nodeId('2'), network: testNetwork(1).key, vtep: vteps[0] ?? self, endpoints: [testEndpoint(1, 12)] },
    {
      node: nodeId('3'),
      network: testNetwork(2).key,
      vtep: vteps[2] ?? self,
      endpoints: [testEndpoint(2, 12)],
      groups: ['239.1.2.3', 'ff15::42'].map(parseAddress),
    },
  ],
};
const desired = forwarding(model);
const nothing = stateOf([]);
const { vni } = testNetwork(1);
const stranger = parseMac('02:42:0a:4d:01:63');

export function dataPathContract(subject: DataPathSubject): void {
  const test = suite<object>(`${subject.name}: data path contract`);
  const reachable = vteps.filter(({ address }) => subject.tunnelsTo(address));
  const held = stateOf([...desired.values()].filter(subject.holds));

  /** Each case has a data path of its own, which may be closed and opened again in it, and leaves nothing. */
  function check(name: string, body: (session: { dataPath: DataPath }) => Promise<void>): void {
    test(name, async () => {
      const session = { dataPath: await subject.open() };
      try {
        await body(session);
      } finally {
        await session.dataPath.close();
        await subject.remove();
      }
    });
  }

  check('a new data path is empty', async ({ dataPath }) => {
    equal(await dataPath.read(), nothing);
  });

  check('what was applied is read back', async ({ dataPath }) => {
    await dataPath.apply(diff(desired, nothing));

    equal(await dataPath.read(), desired);
  });

  check('applying the same again changes nothing', async ({ dataPath }) => {
    await dataPath.apply(diff(desired, nothing));
    const traces = subject.traces();
    await dataPath.apply(diff(desired, nothing));

    equal(await dataPath.read(), desired);
    assert.equal(subject.traces(), traces);
  });

  check('removing everything, twice, leaves nothing', async ({ dataPath }) => {
    await dataPath.apply(diff(desired, nothing));
    subject.learn(vni, stranger, parseAddress('192.0.2.2'));
    await dataPath.apply(diff(nothing, desired));
    await dataPath.apply(diff(nothing, desired));

    equal(await dataPath.read(), nothing);
    assert.equal(subject.traces(), []);
  });

  check(`any state can follow any other (WEFT_TEST_SEED=${seed})`, async ({ dataPath }) => {
    const chance = chanceFrom(seed);
    for (let round = 0; round < 15; round += 1) {
      const next = forwarding(randomModel(chance, reachable));
      await dataPath.apply(diff(next, await dataPath.read()));
      equal(await dataPath.read(), next, `round ${round}`);
    }
  });

  check('a new process finds what the last one left, and goes on from there', async (context) => {
    const before = context.dataPath;
    await before.apply(diff(desired, nothing));
    await before.close();
    context.dataPath = await subject.open();
    const after = context.dataPath;

    equal(await after.read(), held);
    const moved = forwarding({ ...model, local: model.local.slice(1), remote: model.remote.slice(1) });
    await after.apply(diff(moved, await after.read()));
    equal(await after.read(), moved);
  });

  check('an endpoint gets a pair of interfaces with its MAC and MTU', async ({ dataPath }) => {
    await dataPath.apply(diff(desired, nothing));
    const { hostInterface, containerInterface } = dataPath.interfacesOf(endpointId('1 2'));
    const end = JSON.parse(run('ip', '-j', '-d', 'link', 'show', containerInterface))[0];

    assert.is(end.address, '02:42:0a:4d:01:02');
    assert.is(end.mtu, 1450);
    assert.ok(end.gso_max_size <= 65_000);
    assert.match(run('ip', 'link', 'show', hostInterface), /[<,]UP[,>]/);
  });

  check('a port whose container end has left for a sandbox is whole', async (context) => {
    await context.dataPath.apply(diff(desired, nothing));
    const { containerInterface } = context.dataPath.interfacesOf(endpointId('1 2'));
    run('ip', 'netns', 'add', 'sandbox');
    try {
      run('ip', 'link', 'set', containerInterface, 'netns', 'sandbox', 'name', 'eth0', 'up');
      await context.dataPath.close();
      context.dataPath = await subject.open();

      equal(await context.dataPath.read(), held);
      await context.dataPath.apply(diff(desired, nothing));
      equal(await context.dataPath.read(), desired);
    } finally {
      run('ip', 'netns', 'delete', 'sandbox');
    }
  });

  for (const [damage, inflict] of Object.entries(subject.damages)) {
    check(`after ${damage} the difference shows, and applying it heals`, async ({ dataPath }) => {
      await dataPath.apply(diff(desired, nothing));
      inflict(dataPath);

      const changes = diff(desired, await dataPath.read());
      assert.ok(changes.some(({ kind }) => kind === 'put'));
      await dataPath.apply(changes);
      await dataPath.apply(diff(desired, await dataPath.read()));
      equal(await dataPath.read(), desired);
    });

    check(`after ${damage} what is not wanted any more can still be removed`, async ({ dataPath }) => {
      await dataPath.apply(diff(desired, nothing));
      inflict(dataPath);

      await dataPath.apply(diff(nothing, await dataPath.read()));
      equal(await dataPath.read(), nothing);
      assert.equal(subject.traces(), []);
    });
  }

  check('a provisional entry is not read, and is withdrawn unless it has become real', async ({ dataPath }) => {
    await dataPath.apply(diff(desired, nothing));
    const traces = subject.traces();
    subject.learn(vni, stranger, parseAddress('192.0.2.2'));
    equal(await dataPath.read(), desired);
    await dataPath.withdraw(vni, stranger);
    assert.equal(subject.traces(), traces);

    subject.learn(vni, stranger, parseAddress('192.0.2.2'));
    const at = { kind: 'remote' as const, vtep: parseAddress('192.0.2.2') };
    await dataPath.apply([{ kind: 'put', entry: { table: 'mac', vni, mac: stranger, at } }]);
    await dataPath.withdraw(vni, stranger);
    assert.ok((await dataPath.read()).has(`mac ${vni} ${stranger}`));
  });

  check('a change that cannot be made is an error, and those before it stand', async ({ dataPath }) => {
    const at = { kind: 'local' as const, endpoint: endpointId('nobody') };
    const network = { table: 'network' as const, vni, mtuBytes: 1450, multicast: false };
    const changes = [network, { table: 'mac' as const, vni, mac: stranger, at }].map((entry) => ({
      kind: 'put' as const,
      entry,
    }));

    const error = await dataPath.apply(changes).catch((thrown: unknown) => thrown);
    assert.ok(isOverlayError(error));
    assert.ok((await dataPath.read()).has(`network ${vni}`));
  });

  check('what was put of groups is no membership of this node', async ({ dataPath }) => {
    await dataPath.apply(diff(desired, nothing));

    const groups = await dataPath.groups();
    assert.ok(groups === null || groups.size === 0);
  });

  check('a VTEP that no route leads to is kept, and told', async ({ dataPath }) => {
    const ended = new AbortController();
    const events = dataPath.events(ended.signal);
    const entry = { table: 'vtep' as const, address: parseAddress('203.0.113.1'), port: 14789 };
    await dataPath.apply([{ kind: 'put', entry }]);

    equal(await dataPath.read(), stateOf([entry]));
    assert.match(await driftOf(events), /203\.0\.113\.1/);
    ended.abort();
  });

  check('an interface that vanishes is told', async ({ dataPath }) => {
    await dataPath.apply(diff(desired, nothing));
    const ended = new AbortController();
    const events = dataPath.events(ended.signal);
    await sleep(300);
    const { hostInterface } = dataPath.interfacesOf(endpointId('1 2'));
    run('ip', 'link', 'delete', hostInterface);

    assert.match(await driftOf(events), new RegExp(hostInterface));
    ended.abort();
  });

  check('counters have names, and nothing was counted before traffic', async ({ dataPath }) => {
    const counters = await dataPath.counters();

    assert.ok(Object.keys(counters).some((name) => name.startsWith('drop_')));
    assert.ok(Object.values(counters).every(({ packets, bytes }) => packets === 0 && bytes === 0));
  });

  check('a closed data path refuses, and closing again does nothing', async ({ dataPath }) => {
    await dataPath.close();
    await dataPath.close();

    assert.ok(isOverlayError(await dataPath.read().catch((thrown: unknown) => thrown)));
  });

  test.run();
}

function equal(actual: ForwardingState, expected: ForwardingState, message?: string): void {
  const text = (state: ForwardingState) =>
    diff(state, nothing)
      .map(({ entry }) => JSON.stringify(entry, sortKeys))
      .sort();
  assert.equal(text(actual), text(expected), message);
}

function sortKeys(_: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1)));
}

/** The first drift within two seconds. */
async function driftOf(events: AsyncIterable<DataPathEvent>): Promise<string> {
  const late = sleep(2_000).then(() => 'no drift was told in 2 s');
  const drift = (async () => {
    for await (const event of events) if (event.kind === 'drift') return event.what;
    return 'events ended';
  })();
  return Promise.race([drift, late]);
}

/** An underlay with a router's address on it; the other end of its wire is nobody. */
export function layUnderlay(): void {
  run('ip', 'link', 'add', 'underlay', 'type', 'veth', 'peer', 'name', 'wire');
  run('ip', 'link', 'set', 'wire', 'up');
  run('ip', 'link', 'set', 'underlay', 'up');
  run('ip', 'address', 'add', '192.0.2.1/24', 'dev', 'underlay');
  run('ip', 'address', 'add', '2001:db8::1/64', 'dev', 'underlay', 'nodad');
  run('ip', 'route', 'add', '198.51.100.0/24', 'via', '192.0.2.254');
}

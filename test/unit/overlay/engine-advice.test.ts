import * as assert from 'uvu/assert';
import type { NetworkId } from '../../../src/core/identity.ts';
import { type Advice, engineAdvice, type Scope } from '../../../src/overlay/engine-advice.ts';
import type { EngineInventory } from '../../../src/ports/engine.ts';
import { suite } from '../../kit/suite.ts';

const test = suite('overlay/engine-advice');

const inventory = (fields: Partial<EngineInventory>): EngineInventory => ({
  id: 'ONE',
  version: '28.5.2',
  swarm: 'manager',
  networks: new Map(),
  endpoints: new Set(),
  nodes: [],
  services: [],
  ...fields,
});
const advise = (fields: Partial<EngineInventory>, scope: Scope = 'global'): Advice =>
  engineAdvice({ scope, name: 'weft:latest' }, inventory(fields));
const nothing = { problems: [], notes: [] };
const [green, theirs] = ['k3v9q0x5m1b7z2c8n4w6r0t1y', 'x3v9q0x5m1b7z2c8n4w6r0t1y'] as [NetworkId, NetworkId];

test('an engine that has told nothing gives no advice', () => {
  assert.equal(engineAdvice({ scope: 'global', name: 'weft:latest' }, null), nothing);
});

test('a scope that does not fit the engine is told, as a problem only where networks are refused', () => {
  const cases: ReadonlyArray<readonly [Scope, version: string, swarm: string, problems: number, notes: number]> = [
    ['local', '20.10.24+dfsg1', 'inactive', 0, 0],
    ['local', '28.5.2', 'worker', 0, 1],
    ['local', '28.5.2', 'manager', 0, 1],
    ['local', '28.5.2', 'pending', 0, 0],
    ['global', '20.10.24+dfsg1', 'inactive', 1, 0],
    ['global', '28.5.2', 'inactive', 0, 1],
    ['global', '28.5.2', 'manager', 0, 0],
  ];
  for (const [scope, version, swarm, problems, notes] of cases) {
    const advice = advise({ version, swarm }, scope);

    assert.equal([advice.problems.length, advice.notes.length], [problems, notes], `${scope} ${version} ${swarm}`);
  }
});

test('a swarm network of the driver without its tag is a problem with its remedy', () => {
  const networks = new Map([
    [green, { name: 'green', driver: 'weft', scope: 'swarm' }],
    [theirs, { name: 'theirs', driver: 'overlay', scope: 'swarm' }],
  ]);

  const { problems } = advise({ networks });

  assert.is(problems.length, 1);
  assert.match(problems[0] ?? '', /^network green is of driver weft.*create it with --driver weft:latest$/);
  assert.equal(advise({ networks: new Map([[green, { name: 'g', driver: 'weft', scope: 'local' }]]) }), nothing);
});

test('a node of the swarm without the plugin is named, one that is down is not', () => {
  const nodes = [
    { name: 'n1', isReady: true, plugins: new Set(['weft:latest', 'bridge']) },
    { name: 'n2', isReady: true, plugins: new Set(['bridge']) },
    { name: 'n3', isReady: false, plugins: new Set<string>() },
  ];

  const { notes } = advise({ nodes });

  assert.is(notes.length, 1);
  assert.match(notes[0] ?? '', /^node n2 of the swarm has no enabled plugin weft:latest/);
  assert.is(advise({ nodes }, 'local').notes.length, 1); // The note about the scope alone.
});

test('a name that no node has is the setting that is wrong', () => {
  const nodes = [{ name: 'n1', isReady: true, plugins: new Set(['other:latest']) }];

  const { notes } = advise({ nodes });

  assert.is(notes.length, 1);
  assert.match(notes[0] ?? '', 'set WEFT_DRIVER_NAME');
});

test('a service behind a virtual address in a network of the driver is named with the way round it', () => {
  const networks = new Map([
    [green, { name: 'green', driver: 'weft:latest', scope: 'swarm' }],
    [theirs, { name: 'theirs', driver: 'overlay', scope: 'swarm' }],
  ]);
  const services = [
    { name: 'web', virtualIn: [green, theirs] },
    { name: 'api', virtualIn: [] },
  ];

  const { notes } = advise({ networks, services });

  assert.is(notes.length, 1);
  assert.match(notes[0] ?? '', /service web stands for a virtual address in network green.*tasks\.web$/);
});

test.run();

import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { parseAddress, parseSubnet } from '../../../src/core/address.ts';
import { namedIdentity, networkKey } from '../../../src/core/identity.ts';
import { macFromAddress } from '../../../src/core/mac.ts';
import { parseVni } from '../../../src/core/vni.ts';
import { isOverlayError } from '../../../src/errors.ts';

import { nodeIdentity, openJournal } from '../../../src/journal/journal.ts';
import type { LocalEndpoint, LocalNetwork } from '../../../src/ports/journal.ts';
import { endpointId, networkId } from '../../kit/overlay-node.ts';
import { suite } from '../../kit/suite.ts';

const test = suite<{ directory: string }>('journal', { directory: '' });

test.before.each(async (context) => {
  context.directory = await mkdtemp(join(tmpdir(), 'weft-journal-'));
});
test.after.each(async ({ directory }) => rm(directory, { recursive: true }));

const identity = namedIdentity('blue');
const network: LocalNetwork = {
  id: networkId('b1'),
  key: networkKey(identity),
  identity,
  vni: parseVni(5000),
  subnets: [parseSubnet('10.77.0.0/24'), parseSubnet('fd00:77::/64')],
  mtuBytes: 1450,
  multicast: false,
};
const endpoint: LocalEndpoint = {
  id: endpointId('e1'),
  networkId: network.id,
  network: network.key,
  mac: macFromAddress(parseAddress('10.77.0.2')),
  addresses: [parseAddress('10.77.0.2'), parseAddress('fd00:77::2')],
  version: 17,
  joined: true,
  bootId: 'boot',
};

test('what was saved is there for the next process, what was forgotten is not', async ({ directory }) => {
  const journal = await openJournal(directory);
  await journal.saveNetwork(network);
  await journal.saveEndpoint(endpoint);
  await journal.saveEndpoint({ ...endpoint, joined: false });
  assert.equal(await (await openJournal(directory)).load(), {
    networks: [network],
    endpoints: [{ ...endpoint, joined: false }],
  });

  await journal.forgetEndpoint(endpoint.id);
  await journal.forgetEndpoint(endpoint.id);
  await journal.forgetNetwork(network.id);
  assert.equal(await (await openJournal(directory)).load(), { networks: [], endpoints: [] });
});

test('a write that a crash cut off leaves the old fact', async ({ directory }) => {
  const journal = await openJournal(directory);
  await journal.saveNetwork(network);
  await writeFile(join(directory, 'networks', `${network.id}.json.new`), '{"id":');
  assert.equal((await journal.load()).networks, [network]);
});

test('a corrupt file is named and not touched', async ({ directory }) => {
  const journal = await openJournal(directory);
  const path = join(directory, 'endpoints', 'bad.json');
  for (const text of ['{', '{}', JSON.stringify({ ...endpoint, mac: '01:00:5e:00:00:01' })]) {
    await writeFile(path, text);
    const failure = await journal.load().catch((error: unknown) => error);
    assert.ok(isOverlayError(failure, 'STATE_CORRUPT') && failure.message.includes(path), text);
    assert.equal(await readdir(join(directory, 'endpoints')), ['bad.json']);
  }
});

test('a node keeps its id, two nodes have two', async ({ directory }) => {
  const id = await nodeIdentity(join(directory, 'one'));
  assert.match(id, /^[0-9a-f]{16}$/);
  assert.is(await nodeIdentity(join(directory, 'one')), id);
  assert.is.not(await nodeIdentity(join(directory, 'two')), id);
  await writeFile(join(directory, 'one', 'node-id'), 'nonsense');
  await nodeIdentity(join(directory, 'one')).then(
    () => assert.unreachable(),
    (error: unknown) => assert.ok(isOverlayError(error, 'STATE_CORRUPT')),
  );
});

test('the engine is known to the next process, and the last one that was saved counts', async ({ directory }) => {
  const journal = await openJournal(directory);
  assert.is(await journal.loadEngine(), null);

  await journal.saveEngine('ONE:TWO');
  await journal.saveEngine('6d2b1e1c-0000-4000-8000-000000000000');

  assert.is(await (await openJournal(directory)).loadEngine(), '6d2b1e1c-0000-4000-8000-000000000000');
  await writeFile(join(directory, 'engine-id'), '');
  assert.is(await journal.loadEngine(), null);
});

test.run();

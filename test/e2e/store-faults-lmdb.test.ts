/** The embedded store fails while daemons run: its directory goes and comes back, or comes back as another one. */

import { existsSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { eventually } from '../kit/command.ts';
import { createPair, type Pair, requireOutageSurvived, statusOf, untilWell } from '../kit/e2e/pair.ts';
import { createLab, type Lab } from '../kit/lab.ts';
import { readLmdb, type StoreReader } from '../kit/node-state.ts';
import { suite } from '../kit/suite.ts';
import { ping } from '../kit/traffic.ts';

interface Context extends Pair {
  lab: Lab;
  /** The store that took the first one's place. */
  fresh?: StoreReader;
}

const test = suite<Context>('store faults of lmdb');

test.before(async (context) => {
  context.lab = await createLab();
  const url = context.lab.embeddedStore;
  Object.assign(context, await createPair(context.lab, { url, store: await readLmdb(url) }));
});

test.after(async ({ lab, store, fresh }) => {
  await fresh?.close();
  await store?.close();
  await lab?.close();
});

test('while the directory of the store is gone, what needs it is refused and leaves nothing, the rest goes on', async (context) => {
  const directory = directoryOf(context);

  await requireOutageSurvived(context, {
    begin: () => renameSync(directory, `${directory}.away`),
    end: async () => renameSync(`${directory}.away`, directory),
  });
});

test('a store that was replaced is not written to, and daemons that start again use the new one', async (context) => {
  const { sides, containers } = context;
  const directory = directoryOf(context);
  renameSync(directory, `${directory}.old`);
  const fresh = await readLmdb(context.lab.embeddedStore);
  context.fresh = fresh;
  assert.ok(existsSync(join(directory, 'data.mdb')));

  for (const side of sides) {
    // Between the two it is only gone.
    const isTold = async () => (await statusOf(side)).problems.join().includes('has been replaced; restart the daemon');
    await eventually('status says so', isTold);
  }
  assert.equal(await fresh.records(), {});
  assert.ok(await ping(containers[0], containers[1].address));
  for (const { daemon } of sides) await daemon.restart();

  await untilWell(sides);
  assert.ok(await ping(containers[0], containers[1].address));
  rmSync(`${directory}.old`, { recursive: true });
});

function directoryOf({ lab }: Context): string {
  return lab.embeddedStore.slice('lmdb://'.length);
}

test.run();

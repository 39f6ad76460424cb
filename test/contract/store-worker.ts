/** A process that works on a store: `store-worker.ts URL TASK-AS-JSON`, the token in WEFT_STORE_TOKEN. */

import { openStore } from '../../src/store/open.ts';
import { type Work, work } from './store-work.ts';

const [url, task] = process.argv.slice(2);
const store = await openStore(url ?? '', { token: process.env['WEFT_STORE_TOKEN'] });
await work(store, JSON.parse(task ?? '') as Work, (line) => process.stdout.write(`${line}\n`));
await store.close();

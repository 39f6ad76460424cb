/** The store contract on every adapter: consul runs against a real server, lmdb across real processes. */

import { runStoreContract } from './store-cases.ts';
import { consulStage, lmdbStage, memoryStage } from './store-stage.ts';
import { runWatchContract } from './store-watch-cases.ts';

const stages = {
  memory: async () => memoryStage(),
  lmdb: lmdbStage,
  consul: consulStage,
};

for (const [name, prepare] of Object.entries(stages)) {
  runStoreContract(name, prepare);
  runWatchContract(name, prepare);
}

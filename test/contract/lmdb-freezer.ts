/** A process that stops in the middle of an LMDB transaction, holding the lock of all writers: `lmdb-freezer.ts DIRECTORY`. */

import { open } from 'lmdb';

const database = open({ path: process.argv[2] ?? '', encoding: 'binary' });
await database.transaction(() => {
  process.stdout.write('frozen\n');
  process.kill(process.pid, 'SIGSTOP');
});
await database.close();

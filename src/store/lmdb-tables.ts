/** The rows of an LMDB environment. Each function runs within the caller's transaction, or reads the newest state. */

import type { RootDatabase } from 'lmdb';
import type { Revision, StoreEntry, StoreKey } from '../ports/store.ts';
import { isProcessAlive, type ProcessMark } from './process.ts';

export interface Holder extends ProcessMark {
  readonly token: string;
}

export interface Tables {
  revision(): Revision;
  /** The next revision, for the rows about to be written. */
  advance(): Revision;
  entry(key: StoreKey): StoreEntry | null;
  /** In key order. */
  list(prefix: StoreKey): readonly StoreEntry[];
  put(key: StoreKey, value: Uint8Array, revision: Revision): void;
  remove(key: StoreKey): void;
  /** Who has taken the key, dead or alive. */
  holder(key: StoreKey): Holder | null;
  setHolder(key: StoreKey, holder: Holder): void;
  removeHolder(key: StoreKey): void;
}

const root = 'weft/v1/';
const leaseRoot = 'lease/';
const counter = 'revision';
/** Before the value: the revision, u64. */
const headerBytes = 8;

export function createTables(database: RootDatabase<Buffer, string>): Tables {
  const revision = (): Revision => {
    const row = database.get(counter);
    return row === undefined ? 0 : Number(row.readBigUInt64BE());
  };
  const holder = (key: StoreKey): Holder | null => {
    const row = database.get(leaseRoot + key);
    return row === undefined ? null : parseHolder(row);
  };
  const isHeld = (key: StoreKey): boolean => {
    const found = holder(key);
    return found !== null && isProcessAlive(found);
  };
  const entryOf = (key: StoreKey, row: Buffer): StoreEntry => ({
    key,
    value: row.subarray(headerBytes),
    revision: Number(row.readBigUInt64BE()),
    isHeld: isHeld(key),
  });

  return {
    revision,
    advance() {
      const next = revision() + 1;
      database.putSync(counter, header(next));
      return next;
    },
    entry(key) {
      const row = database.get(root + key);
      return row === undefined ? null : entryOf(key, row);
    },
    list(prefix) {
      const start = root + prefix;
      // The key after every key that begins with the prefix: its slash replaced by the character that follows it.
      const end = `${start.slice(0, -1)}0`;
      const rows = database.getRange({ start, end });
      return Array.from(rows, ({ key, value }) => entryOf(key.slice(root.length), value));
    },
    put: (key, value, at) => database.putSync(root + key, Buffer.concat([header(at), value])),
    remove: (key) => void database.removeSync(root + key),
    holder,
    setHolder: (key, holder) => database.putSync(leaseRoot + key, Buffer.from(JSON.stringify(holder))),
    removeHolder: (key) => void database.removeSync(leaseRoot + key),
  };
}

function header(revision: Revision): Buffer {
  const bytes = Buffer.alloc(headerBytes);
  bytes.writeBigUInt64BE(BigInt(revision));
  return bytes;
}

/** Null for a row that is none: nobody holds the key. */
function parseHolder(row: Buffer): Holder | null {
  const { pid, started, boot, token } = JSON.parse(row.toString()) as Partial<Holder>;
  if (pid === undefined || started === undefined || boot === undefined || token === undefined) return null;
  return { pid, started, boot, token };
}

/** Who this node is: an id made once and kept, independent of its name and addresses. */

import { randomBytes } from 'node:crypto';
import { mkdir, open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { NodeId } from '../core/identity.ts';
import { overlayError } from '../errors.ts';

/** 16 hex digits, random, made at the first call. @throws STATE_CORRUPT when the file holds something else */
export async function nodeIdentity(stateDir: string): Promise<NodeId> {
  await mkdir(stateDir, { recursive: true, mode: 0o700 });
  const path = join(stateDir, 'node-id');
  try {
    const file = await open(path, 'wx', 0o600);
    try {
      await file.writeFile(`${randomBytes(8).toString('hex')}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
  }
  const id = (await readFile(path, 'utf8')).trim();
  if (!/^[0-9a-f]{16}$/.test(id))
    throw overlayError('STATE_CORRUPT', { path, problem: `'${id}' is not 16 hex digits` });
  return id as NodeId;
}

/**
 * Small files that are whole or not there: written under another name, flushed, renamed over the old one, and the
 * directory flushed, so that neither a crash nor a power cut leaves half a file (rename(2), fsync(2)).
 */

import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { link, mkdir, open, readFile, rename, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** What a name that is not finished ends with. */
export const unfinished = '.tmp';

/**
 * Makes a directory, and those above it, for its owner alone, unless it is there. Step by step, to flush each parent,
 * and because Node's own `recursive` never ends where the kernel lets nothing be made, such as below /proc.
 */
export async function makeDirectory(path: string): Promise<void> {
  try {
    await mkdir(path, { mode: 0o700 });
    await flushDirectory(dirname(path));
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return;
    if (errorCode(error) !== 'ENOENT' || existsSync(dirname(path))) throw error;
    await makeDirectory(dirname(path));
    await makeDirectory(path);
  }
}

/** Replaces a file. It is on disk when this settles. */
export async function writeFileSafely(path: string, text: string): Promise<void> {
  const draft = await writeDraft(path, text);
  try {
    await rename(draft, path);
  } catch (error) {
    await unlink(draft);
    throw error;
  }
  await flushDirectory(dirname(path));
}

/** Makes a file unless there is one; of several processes, one wins. False when it was there. */
export async function createFileSafely(path: string, text: string): Promise<boolean> {
  const draft = await writeDraft(path, text);
  try {
    await link(draft, path);
    await flushDirectory(dirname(path));
    return true;
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return false;
    throw error;
  } finally {
    await unlink(draft);
  }
}

/** Success also when there is no such file. */
export async function removeFileSafely(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return;
    throw error;
  }
  await flushDirectory(dirname(path));
}

/** Null when there is none. */
export async function readFileIfThere(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return null;
    throw error;
  }
}

async function writeDraft(path: string, text: string): Promise<string> {
  const draft = join(dirname(path), `.${randomBytes(8).toString('hex')}${unfinished}`);
  const file = await open(draft, 'wx', 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  return draft;
}

async function flushDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

function errorCode(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code;
}

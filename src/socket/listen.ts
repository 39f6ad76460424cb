/**
 * Listening on a unix socket the way a daemon must, for every server Weft has.
 *
 *   1 bind under a private name: a fresh directory of mode 0700 beside the path, so nobody connects too early
 *   2 give it mode 0600
 *   3 hard-link it to the path: it appears there in one step, complete, or not at all because something is there
 *   4 something is there: answers → SOCKET_IN_USE; refuses → left by a dead process, set aside, back to 3
 *
 * A link, unlike a rename, never replaces: of two daemons started together one wins and the other says so. When the
 * server closes, the path goes with it, unless it is another process' by then. Source: unix(7), link(2).
 */

import { lstatSync, rmSync, type Stats } from 'node:fs';
import { chmod, link, lstat, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { connect, type Server } from 'node:net';
import { dirname, join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { messageOf, overlayError } from '../errors.ts';

/** Specification (unix(7)): sun_path has 108 bytes, the last one zero. */
const longestPathBytes = 107;
/** Implementation: a socket of a dead process refuses at once; one that neither answers nor refuses is alive. */
const connectLimitMs = 1_000;
/** Implementation: each round lost means that another process was faster; a remover needs well under 1 ms. */
const attempts = 8;
const retryMs = 10;
const removeLimitMs = 2_000;

/**
 * Resolves when the server accepts connections at `path`. Missing directories are created, mode 0700. The path is
 * removed when the server closes. `flag` is the setting that names the path, for messages.
 * @throws SOCKET_IN_USE when a living process serves the path
 * @throws CONFIG_INVALID when the path cannot be a socket: too long, not permitted, or a file is in the way
 */
export async function listenUnix(server: Server, path: string, flag: string): Promise<void> {
  if (Buffer.byteLength(path) > longestPathBytes) {
    throw unusable(path, flag, `is longer than ${longestPathBytes} bytes`);
  }
  try {
    await appear(server, path, flag);
  } catch (error) {
    if (server.listening) server.close();
    if (!isSystemError(error)) throw error;
    throw unusable(path, flag, messageOf(error), error);
  }
}

/**
 * Whether `listenUnix` would find the path free, without making or removing anything.
 * @throws SOCKET_IN_USE, CONFIG_INVALID as it would
 */
export async function requireUnserved(path: string, flag: string): Promise<void> {
  try {
    const found = await lstat(path).catch(nullWhen('ENOENT'));
    if (found === null) return;
    if (!found.isSocket()) throw notSocket(path, flag);
    if (await isServed(path)) throw overlayError('SOCKET_IN_USE', { path, flag });
  } catch (error) {
    if (!isSystemError(error)) throw error;
    throw unusable(path, flag, messageOf(error), error);
  }
}

async function appear(server: Server, path: string, flag: string): Promise<void> {
  const directory = dirname(path);
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const own = await mkdtemp(`${directory}/.`);
  try {
    const bound = join(own, 's');
    await bind(server, bound);
    await chmod(bound, 0o600);
    await linkOnceFree(bound, path, flag);
    const mark = await lstat(path);
    server.once('close', () => removeOwn(path, mark));
  } finally {
    await rm(own, { recursive: true, force: true });
  }
}

function bind(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

async function linkOnceFree(bound: string, path: string, flag: string): Promise<void> {
  for (let attempt = 0; attempt < attempts; attempt++) {
    try {
      return await link(bound, path);
    } catch (error) {
      if (!isSystemError(error, 'EEXIST')) throw error;
    }
    await clearStale(path, flag);
  }
  throw overlayError('SOCKET_IN_USE', { path, flag });
}

/** Removes the socket of a dead process; returns without having done so when another process is about to. */
async function clearStale(path: string, flag: string): Promise<void> {
  const found = await lstat(path).catch(nullWhen('ENOENT'));
  if (found === null) return;
  if (!found.isSocket()) throw notSocket(path, flag);
  if (await isServed(path)) throw overlayError('SOCKET_IN_USE', { path, flag });

  // Between the question and now another daemon may have put its socket there. A second name of the dead socket is
  // the right to remove it: made by one process only, and as long as it exists nobody else touches that file.
  const mark = join(dirname(path), `.${found.ino}`);
  const marked = await link(path, mark).then(() => lstat(mark), nullWhen('EEXIST', 'ENOENT'));
  if (marked === null) return waitForRemover(mark);
  if (isSameFile(marked, found)) await rm(path);
  await rm(mark);
}

async function waitForRemover(mark: string): Promise<void> {
  await setTimeout(retryMs);
  const held = await lstat(mark).catch(nullWhen('ENOENT'));
  // Linking sets the change time: an old mark is of a process that was killed between its two steps.
  if (held !== null && Date.now() - held.ctimeMs > removeLimitMs) await rm(mark, { force: true });
}

function isServed(path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    socket.setTimeout(connectLimitMs);
    const settle = (answer: boolean): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('connect', () => settle(true));
    socket.once('timeout', () => settle(true));
    socket.once('error', (error) => {
      // EAGAIN: the backlog is full, so somebody has the socket.
      if (isSystemError(error, 'EAGAIN')) settle(true);
      else if (isSystemError(error, 'ECONNREFUSED', 'ENOENT')) settle(false);
      else reject(error);
    });
  });
}

function removeOwn(path: string, mark: Stats): void {
  const present = lstatSync(path, { throwIfNoEntry: false });
  if (present !== undefined && isSameFile(present, mark)) rmSync(path, { force: true });
}

function isSameFile(one: Stats, other: Stats): boolean {
  // A freed inode number is given out again at once by tmpfs, hence the birth time.
  return one.dev === other.dev && one.ino === other.ino && one.birthtimeMs === other.birthtimeMs;
}

function nullWhen(...codes: readonly string[]): (error: unknown) => null {
  return (error) => {
    if (isSystemError(error, ...codes)) return null;
    throw error;
  };
}

function isSystemError(error: unknown, ...codes: readonly string[]): error is NodeJS.ErrnoException {
  if (!(error instanceof Error) || !('syscall' in error) || !('code' in error)) return false;
  return codes.length === 0 || codes.includes(String(error.code));
}

function notSocket(path: string, flag: string) {
  return unusable(path, flag, 'is not a socket and is not removed');
}

function unusable(path: string, flag: string, problem: string, cause?: unknown) {
  return overlayError(
    'CONFIG_INVALID',
    { setting: `${flag} ${path}`, problem, remedy: 'choose another path' },
    { cause },
  );
}

/**
 * One GET over a unix socket, limited in time and size whatever the other end does. Plain HTTP of Node: the engine's
 * client libraries bring their own ideas of time limits, and this needs four paths.
 */

import { stat } from 'node:fs/promises';
import { type IncomingMessage, request } from 'node:http';

export interface RawAnswer {
  readonly status: number;
  readonly text: string;
}

export interface RequestLimits {
  /** For all of it, from the connection to the last byte. */
  readonly milliseconds: number;
  readonly bytes: number;
}

/** @throws an Error whose message is one clause for a person; the signal's reason when that was aborted */
export async function get(
  socketPath: string,
  path: string,
  limits: RequestLimits,
  signal: AbortSignal,
): Promise<RawAnswer> {
  await requireSocket(socketPath);
  const limit = AbortSignal.timeout(limits.milliseconds);
  try {
    return await exchange(socketPath, path, limits.bytes, AbortSignal.any([limit, signal]));
  } catch (error) {
    signal.throwIfAborted();
    if (limit.aborted) throw new Error(`GET ${path}: no whole answer within ${limits.milliseconds} ms`);
    throw new Error(problemOf(error, path), { cause: error });
  }
}

/** The kernel's own word for connecting to any other file is "refused", which would mislead. */
async function requireSocket(path: string): Promise<void> {
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    throw new Error(error.code === 'ENOENT' ? 'there is no such file' : `it cannot be read (${error.code})`);
  });
  if (!found.isSocket()) throw new Error('it is not a socket');
}

function exchange(socketPath: string, path: string, mostBytes: number, signal: AbortSignal): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    const call = request({ socketPath, path, agent: false, signal, headers: { Host: 'docker' } }, (response) => {
      collect(response, mostBytes).then(resolve, (error: unknown) => {
        call.destroy();
        reject(error as Error);
      });
    });
    // Not once: a second error of a connection that is being given up must not end the process.
    call.on('error', reject);
    call.end();
  });
}

async function collect(response: IncomingMessage, mostBytes: number): Promise<RawAnswer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > mostBytes) throw new Error(`its answer is longer than ${mostBytes} bytes`);
    chunks.push(chunk);
  }
  return { status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString('utf8') };
}

function problemOf(error: unknown, path: string): string {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'ECONNREFUSED') return 'nobody listens there';
  if (code === 'EACCES' || code === 'EPERM') return 'it may not be used';
  if (code?.startsWith('HPE_') === true) return `GET ${path}: the answer is not HTTP`;
  return `GET ${path}: ${message}`;
}

/**
 * The engine's end of the plugin protocol, byte for byte as moby's Go client writes it up to 20.10: an empty Host
 * header, no content type, JSON with a newline after it, one connection kept for many calls. It talks to a real plugin
 * server on a socket of its own.
 */

import { mkdtemp, rm } from 'node:fs/promises';
import { createConnection, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { createPluginServer, type PluginServerSettings } from '../../../src/docker/server.ts';
import type { Verbs } from '../../../src/overlay/requests.ts';
import type { Log } from '../../../src/ports/log.ts';
import { type Call, recordingVerbs } from './recording-verbs.ts';

export interface Answer {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
  /** The body as JSON. */
  readonly json: unknown;
}

export interface LogLine {
  readonly level: keyof Log;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly event: string;
}

export interface Plugin {
  readonly socketPath: string;
  readonly calls: Call[];
  readonly lines: LogLine[];
  /** One call on a connection of its own; undefined sends an empty body. */
  call(method: string, message?: unknown): Promise<Answer>;
  close(): Promise<void>;
}

/** A plugin server in a fresh directory, with recording verbs and log. `close` removes it all. */
export async function startPlugin(
  instead: Partial<Verbs> = {},
  settings: Partial<Pick<PluginServerSettings, 'scope' | 'driverName'>> = {},
): Promise<Plugin> {
  const directory = await mkdtemp(join(tmpdir(), 'weft-plugin-'));
  const socketPath = join(directory, 'weft.sock');
  const { verbs, calls } = recordingVerbs(instead);
  const { log, lines } = recordingLog();
  const server = await createPluginServer({ verbs, socketPath, scope: 'local', log, ...settings });
  return {
    socketPath,
    calls,
    lines,
    async call(method, message) {
      const connection = await connect(socketPath);
      try {
        return await connection.call(method, message);
      } finally {
        connection.end();
      }
    },
    async close() {
      await server.close();
      await rm(directory, { recursive: true });
    },
  };
}

export interface Asked {
  readonly status: number;
  readonly json: unknown;
  readonly calls: readonly Call[];
}

/** Calls of one subsystem, each on a fresh plugin: its answer and what it asked of the overlay. */
export function askOf(subsystem: 'NetworkDriver' | 'IpamDriver') {
  return async (method: string, message?: unknown, ...plugin: Parameters<typeof startPlugin>): Promise<Asked> => {
    const { call, calls, close } = await startPlugin(...plugin);
    try {
      const { status, json } = await call(`${subsystem}.${method}`, message);
      return { status, json, calls };
    } finally {
      await close();
    }
  };
}

/** The text of a refusal, which stands under both names and reaches no verb. */
export function refusalText({ status, json, calls }: Asked): string {
  const { Err, Error: error } = Object(json);
  assert.is(status, 200, 'another status hides the text of an IPAM error');
  assert.is(Err, error);
  assert.type(Err, 'string');
  assert.equal(calls, []);
  return Err;
}

export function recordingLog(): { readonly log: Log; readonly lines: LogLine[] } {
  const lines: LogLine[] = [];
  const writer =
    (level: keyof Log) =>
    (fields: Readonly<Record<string, unknown>>, event: string): void => {
      lines.push({ level, fields, event });
    };
  return { lines, log: { debug: writer('debug'), info: writer('info'), warn: writer('warn'), error: writer('error') } };
}

export interface Connection {
  call(method: string, message?: unknown): Promise<Answer>;
  /** Writes raw bytes and reads one answer. */
  exchange(bytes: string | Uint8Array): Promise<Answer>;
  /** Writes raw bytes and waits for nothing. */
  write(bytes: string | Uint8Array): void;
  /** Resolves when the other side has closed. */
  readonly ended: Promise<void>;
  end(): void;
}

export async function connect(socketPath: string): Promise<Connection> {
  const socket = createConnection(socketPath);
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });
  const nextAnswer = answersOf(socket);
  const exchange = (bytes: string | Uint8Array): Promise<Answer> => {
    socket.write(bytes);
    return nextAnswer();
  };
  return {
    call: (method, message) => exchange(requestOf(method, message === undefined ? '' : `${JSON.stringify(message)}\n`)),
    exchange,
    write: (bytes) => void socket.write(bytes),
    ended: new Promise((resolve) => socket.once('close', () => resolve())),
    end: () => socket.destroy(),
  };
}

/** The bytes of one call. */
export function requestOf(method: string, body: string): string {
  return [
    `POST /${method} HTTP/1.1`,
    'Host: ',
    'User-Agent: Go-http-client/1.1',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Accept: application/vnd.docker.plugins.v1.2+json',
    'Accept-Encoding: gzip',
    '',
    body,
  ].join('\r\n');
}

/** Reads answers off a connection in order; each must state its length. */
function answersOf(socket: Socket): () => Promise<Answer> {
  let received = Buffer.alloc(0);
  let wake = (): void => {};
  let over: Error | null = null;
  socket.on('data', (chunk) => {
    received = Buffer.concat([received, chunk]);
    wake();
  });
  const finish = (error: Error) => {
    over ??= error;
    wake();
  };
  socket.on('error', finish);
  socket.on('close', () => finish(new Error(`connection closed after ${JSON.stringify(received.toString())}`)));

  return async () => {
    for (;;) {
      const answer = firstAnswer(received);
      if (answer !== null) {
        received = received.subarray(answer.sizeBytes);
        return answer;
      }
      if (over !== null) throw over;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  };
}

function firstAnswer(received: Buffer): (Answer & { readonly sizeBytes: number }) | null {
  const headEnd = received.indexOf('\r\n\r\n');
  if (headEnd < 0) return null;
  const [statusLine = '', ...headerLines] = received.subarray(0, headEnd).toString('latin1').split('\r\n');
  const headers = new Map(
    headerLines.map((line): [string, string] => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
    }),
  );
  const length = Number(headers.get('content-length') ?? Number.NaN);
  if (Number.isNaN(length)) throw new Error(`an answer without a length: ${statusLine}`);
  const sizeBytes = headEnd + 4 + length;
  if (received.length < sizeBytes) return null;
  const body = received.subarray(headEnd + 4, sizeBytes).toString('utf8');
  return { status: Number(statusLine.split(' ')[1]), headers, body, json: JSON.parse(body), sizeBytes };
}

/**
 * The daemon's end of the control socket: read only, root only (the socket has mode 0600). One report per request,
 * gathered when asked. A report that fails is logged here and its text goes to the asker; the daemon carries on.
 */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { messageOf } from '../errors.ts';
import type { Reports } from '../overlay/report.ts';
import type { Log } from '../ports/log.ts';
import { listenUnix } from '../socket/listen.ts';
import { type Answers, pathPrefix, type Question } from './protocol.ts';

export interface ControlServerSettings {
  readonly reports: Reports;
  readonly version: string;
  readonly socketPath: string;
  readonly log: Log;
}

export interface ControlServer {
  /** Ends all connections and removes the socket. Idempotent. */
  close(): Promise<void>;
}

type Sources = { readonly [Name in Question]: () => Promise<Answers[Name]> };

interface Reply {
  readonly status: number;
  readonly body: object;
}

/** Resolves when the commands can connect. @throws SOCKET_IN_USE CONFIG_INVALID */
export async function startControlServer(settings: ControlServerSettings): Promise<ControlServer> {
  const { reports, version, socketPath, log } = settings;
  const sources: Sources = {
    status: () => reports.status(),
    nodes: () => reports.nodes(),
    networks: () => reports.networks(),
    endpoints: () => reports.endpoints(),
    peers: () => reports.peers(),
    version: async () => ({ version }),
  };
  const known = new Map<string, () => Promise<object>>(Object.entries(sources));
  const server = createServer((request, response) => void serve(request, response, known, log));

  await listenUnix(server, socketPath, '--control-socket');
  server.on('error', (error) => log.error({ error }, 'control socket failed'));
  let closed: Promise<void> | null = null;
  return { close: () => (closed ??= closeServer(server)) };
}

/** Never rejects. */
async function serve(
  request: IncomingMessage,
  response: ServerResponse,
  known: ReadonlyMap<string, () => Promise<object>>,
  log: Log,
): Promise<void> {
  request.resume();
  const { status, body } = await replyTo(request, known, log);
  const text = `${JSON.stringify(body)}\n`;
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) });
  response.end(text);
}

async function replyTo(
  request: IncomingMessage,
  known: ReadonlyMap<string, () => Promise<object>>,
  log: Log,
): Promise<Reply> {
  const path = (request.url ?? '').split('?', 1)[0] ?? '';
  const question = path.startsWith(pathPrefix) ? path.slice(pathPrefix.length) : '';
  const source = known.get(question);
  if (source === undefined) return { status: 404, body: { error: `there is no ${path.slice(0, 100)}` } };
  if (request.method !== 'GET') return { status: 405, body: { error: 'only GET is served' } };
  try {
    return { status: 200, body: await source() };
  } catch (error) {
    log.error({ question, error }, 'report failed');
    return { status: 500, body: { error: messageOf(error) } };
  }
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

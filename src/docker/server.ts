/**
 * Docker's side of the daemon: HTTP/1.1 on a unix socket, one POST per call, JSON both ways (moby pkg/plugins).
 *
 *   1 the method is the path; another HTTP method or an unknown path is refused (405, 404)
 *   2 the body is read up to the limit, whatever content type it claims: the engine claims none
 *   3 the route parses it and calls the overlay
 *   4 exactly one answer, always JSON; a failure has its text under both names, `Err` (network) and `Error` (IPAM)
 *   5 exactly one log line: debug when answered, warn when refused, error with the stack when nobody foresaw it
 *
 * A failed call is answered with status 200: the engine then shows `remote: TEXT`, and for IPAM looks for `Error` in
 * no other case. Connections have no time limits: the engine pools them for ever and would otherwise write into one
 * that is being closed. An empty Host header is what engines up to 20.10 send.
 */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { inspect } from 'node:util';
import { isOverlayError, messageOf } from '../errors.ts';
import { allocatorLimitMs } from '../overlay/requests.ts';
import type { Log } from '../ports/log.ts';
import { listenUnix } from '../socket/listen.ts';
import { refusal } from './messages.ts';
import { createRoutes, type Route, type RouteSettings } from './routes.ts';

/** Specification (moby pkg/plugins/transport). */
const mediaType = 'application/vnd.docker.plugins.v1.2+json';

/** Implementation: the largest message, a network with many pools, has some kilobytes. */
const bodyLimitBytes = 1_048_576;
/** Implementation: a message quotes what was sent, and the engine prints it on one line. */
const messageLimit = 1_000;
/** Implementation: calls under way end within the verbs' own limits; then connections are cut. The engine kills after 10 s. */
const closeLimitMs = allocatorLimitMs + 500;

export interface PluginServerSettings extends Omit<RouteSettings, 'driverName'> {
  /** Docker takes the plugin's name from it: /run/docker/plugins/NAME.sock. */
  readonly socketPath: string;
  /** As users write it; for messages. Default: weft. */
  readonly driverName?: string;
  readonly log: Log;
}

export interface PluginServer {
  /** Lets calls under way finish, then removes the socket. Idempotent. */
  close(): Promise<void>;
}

type Reply =
  | { readonly kind: 'answer'; readonly status: number; readonly answer: object }
  | { readonly kind: 'failure'; readonly status: number; readonly error: unknown };

/** Resolves when the engine can connect. @throws SOCKET_IN_USE CONFIG_INVALID */
export async function createPluginServer(settings: PluginServerSettings): Promise<PluginServer> {
  const { verbs, scope, socketPath, driverName = 'weft', log } = settings;
  const routes = createRoutes({ verbs, scope, driverName });
  const unlimited = { keepAliveTimeout: 0, headersTimeout: 0, requestTimeout: 0, requireHostHeader: false };
  const busy = new WeakSet<Duplex>();

  const server = createServer(unlimited, (request, response) => {
    busy.add(request.socket);
    void serve(request, response).finally(() => busy.delete(request.socket));
  });
  server.on('clientError', (error, socket) => refuseGarbage(error, socket, busy.has(socket)));

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const startedMs = performance.now();
    const method = methodOf(request);
    const reply = await replyTo(request, method, routes);
    record(log, method, performance.now() - startedMs, reply);
    // A server that is closing must not leave the connection idle: nobody would ever end it.
    if (!server.listening) response.setHeader('connection', 'close');
    send(response, reply);
  }

  await listenUnix(server, socketPath, '--plugin-socket');
  server.on('error', (error) => log.error({ problem: messageOf(error) }, 'plugin socket failed'));
  let closed: Promise<void> | null = null;
  return { close: () => (closed ??= closeServer(server)) };
}

/** Never rejects. */
async function replyTo(request: IncomingMessage, method: string, routes: ReadonlyMap<string, Route>): Promise<Reply> {
  const route = routes.get(method);
  if (request.method !== 'POST') return { kind: 'failure', status: 405, error: refusal(method, 'only POST is served') };
  if (route === undefined) return { kind: 'failure', status: 404, error: refusal(method, 'there is no such method') };
  try {
    const body = await readBody(request);
    if (body === null) {
      return { kind: 'failure', status: 413, error: refusal(method, `the body has more than ${bodyLimitBytes} bytes`) };
    }
    return { kind: 'answer', status: 200, answer: await route(method, body) };
  } catch (error) {
    return { kind: 'failure', status: 200, error };
  }
}

/** `/NetworkDriver.Join` → `NetworkDriver.Join`. The URL stands alone: with an empty Host it cannot be made absolute. */
function methodOf(request: IncomingMessage): string {
  const path = (request.url ?? '').split('?', 1)[0] ?? '';
  return path.replace(/^\//, '').slice(0, 100);
}

/** Null when it is too long; the rest is then read and dropped, so that the answer is not lost with the connection. */
function readBody(request: IncomingMessage): Promise<string | null> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let sizeBytes = 0;
    request.on('data', (chunk: Buffer) => {
      sizeBytes += chunk.length;
      if (sizeBytes <= bodyLimitBytes) {
        chunks.push(chunk);
        return;
      }
      chunks.length = 0;
      resolve(null);
    });
    request.once('end', () => resolve(Buffer.concat(chunks).toString('utf8')));
    request.on('error', reject);
  });
}

function send(response: ServerResponse, reply: Reply): void {
  const body = bodyOf(reply);
  response.writeHead(reply.status, { 'content-type': mediaType, 'content-length': Buffer.byteLength(body) });
  response.end(body);
}

function bodyOf(reply: Reply): string {
  return `${JSON.stringify(reply.kind === 'answer' ? reply.answer : failure(messageOf(reply.error)))}\n`;
}

function failure(message: string): object {
  // An empty text would pass for success.
  const text = message === '' ? 'unknown error' : message.slice(0, messageLimit);
  return { Err: text, Error: text };
}

function record(log: Log, method: string, durationMs: number, reply: Reply): void {
  const call = { method, durationMs: Math.round(durationMs * 1_000) / 1_000 };
  if (reply.kind === 'answer') {
    log.debug(call, 'plugin call answered');
  } else if (isOverlayError(reply.error)) {
    const { code, message, cause } = reply.error;
    const reason = cause === undefined ? {} : { cause: messageOf(cause).slice(0, messageLimit) };
    log.warn({ ...call, code, problem: message.slice(0, messageLimit), ...reason }, 'plugin call refused');
  } else {
    log.error({ ...call, problem: inspect(reply.error) }, 'plugin call failed');
  }
}

/** Bytes that are no HTTP. While a call of the same connection is being answered, a second answer would corrupt it. */
function refuseGarbage(error: Error, socket: Duplex, isBusy: boolean): void {
  if (isBusy || !socket.writable || ('code' in error && error.code === 'ECONNRESET')) {
    socket.destroy();
    return;
  }
  const body = bodyOf({
    kind: 'failure',
    status: 400,
    error: refusal('HTTP', `the request cannot be read: ${error.message}`),
  });
  const head = ['HTTP/1.1 400 Bad Request', `Content-Type: ${mediaType}`, `Content-Length: ${Buffer.byteLength(body)}`];
  socket.end(`${[...head, 'Connection: close'].join('\r\n')}\r\n\r\n${body}`);
}

async function closeServer(server: Server): Promise<void> {
  const cut = setTimeout(() => server.closeAllConnections(), closeLimitMs);
  await new Promise<void>((resolve) => {
    server.close(() => resolve());
    server.closeIdleConnections();
  });
  clearTimeout(cut);
}

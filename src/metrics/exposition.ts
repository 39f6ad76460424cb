/**
 * GET /metrics in the Prometheus text format. Everything is read when asked: each scrape fills a registry of its own
 * from the daemon's reports, so a network or node that is gone leaves no line behind. Scrapes that overlap share one
 * reading.
 */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Counter, Gauge, Registry } from 'prom-client';
import { messageOf, overlayError } from '../errors.ts';
import type { Reports } from '../overlay/report.ts';
import type { Log } from '../ports/log.ts';
import { catalogue, type Metric, type Sample } from './catalogue.ts';

export interface MetricsServerSettings {
  readonly reports: Pick<Reports, 'status' | 'counters'>;
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  readonly log: Log;
}

export interface MetricsServer {
  readonly port: number;
  /** Ends all connections. Idempotent. */
  close(): Promise<void>;
}

/** Resolves when metrics are served. @throws CONFIG_INVALID when the address cannot be had */
export async function startMetricsServer(settings: MetricsServerSettings): Promise<MetricsServer> {
  const { reports, host, port, log } = settings;
  let underWay: Promise<string> | null = null;
  const shared = (): Promise<string> => {
    underWay ??= expose(reports).finally(() => {
      underWay = null;
    });
    return underWay;
  };
  const server = createServer((request, response) => void serve(request, response, shared, log));
  await listen(server, host, port);
  server.on('error', (error) => log.error({ error }, 'metrics server failed'));
  let closed: Promise<void> | null = null;
  return { port: (server.address() as AddressInfo).port, close: () => (closed ??= closeServer(server)) };
}

/** Whether an address can be had, by having it for a moment. @throws CONFIG_INVALID */
export async function requireFreeAddress(host: string, port: number): Promise<void> {
  const server = createServer();
  await listen(server, host, port);
  await closeServer(server);
}

/** Never rejects. */
async function serve(
  request: IncomingMessage,
  response: ServerResponse,
  exposition: () => Promise<string>,
  log: Log,
): Promise<void> {
  request.resume();
  if ((request.url ?? '').split('?', 1)[0] !== '/metrics') return send(response, 404, 'metrics are at /metrics\n');
  if (request.method !== 'GET') return send(response, 405, 'only GET is served\n');
  try {
    send(response, 200, await exposition());
  } catch (error) {
    log.error({ error }, 'metrics could not be read');
    send(response, 500, `${messageOf(error)}\n`);
  }
}

function send(response: ServerResponse, status: number, text: string): void {
  const type = status === 200 ? Registry.PROMETHEUS_CONTENT_TYPE : 'text/plain; charset=utf-8';
  response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(text) });
  response.end(text);
}

async function expose(reports: MetricsServerSettings['reports']): Promise<string> {
  const [status, counters] = await Promise.all([reports.status(), reports.counters()]);
  const registry = new Registry();
  for (const metric of catalogue) record(metric, { status, counters, process: ownProcess() }, registry);
  return registry.metrics();
}

function record(metric: Metric, sample: Sample, registry: Registry): void {
  const { name, kind, help, labels, read } = metric;
  const settings = { name, help, labelNames: [...labels], registers: [registry] };
  const values = read(sample);
  if (kind === 'counter') {
    const counter = new Counter(settings);
    for (const { labels: at, value } of values) counter.inc(at, value);
  } else {
    const gauge = new Gauge(settings);
    for (const { labels: at, value } of values) gauge.set(at, value);
  }
}

function ownProcess(): Sample['process'] {
  const { user, system } = process.cpuUsage();
  return {
    residentBytes: process.memoryUsage.rss(),
    cpuSeconds: (user + system) / 1_000_000,
    startedSeconds: performance.timeOrigin / 1_000,
  };
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const refuse = (error: NodeJS.ErrnoException): void => {
      const problem = error.code === 'EADDRINUSE' ? 'another process listens there' : messageOf(error);
      const remedy = 'give another --metrics ADDRESS:PORT, or --metrics off';
      reject(
        overlayError('CONFIG_INVALID', { setting: `--metrics ${host}:${port}`, problem, remedy }, { cause: error }),
      );
    };
    server.once('error', refuse);
    server.listen(port, host, () => {
      server.off('error', refuse);
      resolve();
    });
  });
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

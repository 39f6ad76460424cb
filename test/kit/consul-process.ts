/**
 * A Consul server of its own for a test, on loopback with free ports: in memory, or with a data directory so that it
 * can be stopped and started again; with ACLs that deny by default; with TLS. It dies with the test's process.
 * `consul` is taken from PATH, else from .lab/consul; without it the test fails.
 */

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, closeSync, constants, openSync, readFileSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { type RequestOptions, request } from 'node:http';
import { request as requestTls } from 'node:https';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

export interface ConsulProcessOptions {
  /** Keeps its data, so that it can be started again. */
  readonly persistent?: boolean;
  /** ACLs with default policy deny; `token` is then the management token. */
  readonly acl?: boolean;
  readonly tls?: boolean;
}

export interface ConsulProcess {
  /** consul://127.0.0.1:PORT, or consul+https:// */
  readonly url: string;
  readonly token: string | undefined;
  /** PEM of the authority that signed its certificate; empty without TLS. */
  readonly authority: string;
  readonly pid: number;
  /** A request to its HTTP API, with the management token. @throws Error for another status than 2xx */
  api(method: string, path: string, body?: unknown): Promise<unknown>;
  stop(): Promise<void>;
  start(): Promise<void>;
  /** SIGSTOP and SIGCONT: it is there, and says nothing. */
  pause(): void;
  resume(): void;
  /** Stops it and removes its files. */
  remove(): Promise<void>;
}

const readyLimitMs = 30_000;
const portNames = ['http', 'server', 'serf_lan', 'serf_wan'] as const;

export async function startConsulProcess(options: ConsulProcessOptions = {}): Promise<ConsulProcess> {
  const directory = await mkdtemp(join(tmpdir(), 'weft-consul-'));
  const program = findConsul();
  const authority = options.tls === true ? makeCertificates(program, directory) : '';
  const ports = await freePorts(portNames.length);
  await writeFile(join(directory, 'config.json'), JSON.stringify(configuration(directory, ports, options)));
  const port = ports[0] ?? 0;
  let process: ChildProcess | null = null;
  let token: string | undefined;
  const api = (method: string, path: string, body?: unknown) =>
    call({ port, token, authority }, { method, path, body });

  const start = async () => {
    process = spawnConsul(program, directory, options);
    await ready(process, directory, api);
  };
  const stop = async () => {
    if (process === null || process.exitCode !== null || process.signalCode !== null) return;
    const exited = once(process, 'exit');
    process.kill('SIGCONT');
    process.kill('SIGKILL');
    await exited;
  };
  const remove = async () => {
    await stop();
    await rm(directory, { recursive: true, force: true });
  };

  try {
    await start();
    if (options.acl === true) token = await bootstrap(api);
  } catch (error) {
    await remove();
    throw error;
  }
  return {
    url: `consul${options.tls === true ? '+https' : ''}://127.0.0.1:${port}`,
    token,
    authority,
    get pid() {
      return process?.pid ?? 0;
    },
    api,
    start,
    stop,
    pause: () => void process?.kill('SIGSTOP'),
    resume: () => void process?.kill('SIGCONT'),
    remove,
  };
}

/** setpriv ends the server when this process ends, however it ends. */
function spawnConsul(program: string, directory: string, { persistent, acl }: ConsulProcessOptions): ChildProcess {
  const log = openSync(join(directory, 'log'), 'a');
  const isInMemory = persistent !== true && acl !== true;
  const mode = isInMemory ? ['-dev'] : ['-server', '-bootstrap-expect=1', `-data-dir=${join(directory, 'data')}`];
  const command = ['--pdeathsig', 'KILL', program, 'agent', ...mode, `-config-file=${join(directory, 'config.json')}`];
  try {
    return spawn('setpriv', command, { stdio: ['ignore', log, log] });
  } finally {
    closeSync(log);
  }
}

function configuration(directory: string, ports: readonly number[], { acl, tls }: ConsulProcessOptions): object {
  const certificates = {
    ca_file: join(directory, 'ca.pem'),
    cert_file: join(directory, 'server.pem'),
    key_file: join(directory, 'server-key.pem'),
  };
  return {
    bind_addr: '127.0.0.1',
    client_addr: '127.0.0.1',
    node_name: 'store-test',
    log_level: 'warn',
    performance: { raft_multiplier: 1 },
    ports: {
      ...Object.fromEntries(portNames.map((name, index) => [name, ports[index]])),
      dns: -1,
      grpc: -1,
      ...(tls === true ? { http: -1, https: ports[0] } : {}),
    },
    ...(acl === true ? { acl: { enabled: true, default_policy: 'deny' } } : {}),
    ...(tls === true ? certificates : {}),
  };
}

/** A leader that takes writes: with ACLs, writing without a token is refused, which is an answer too. */
async function ready(process: ChildProcess, directory: string, api: ConsulProcess['api']): Promise<void> {
  const end = Date.now() + readyLimitMs;
  for (;;) {
    try {
      await api('PUT', '/v1/kv/ready', 'yes');
      return;
    } catch (error) {
      if (error instanceof Error && error.message.includes('HTTP 403')) return;
      const hasEnded = process.exitCode !== null || process.signalCode !== null;
      if (hasEnded || Date.now() > end) {
        throw new Error(`Consul did not start: ${await readFile(join(directory, 'log'), 'utf8')}`, { cause: error });
      }
      await sleep(50);
    }
  }
}

/** Consul refuses until its ACL system has come up after the election. */
async function bootstrap(api: ConsulProcess['api']): Promise<string> {
  const end = Date.now() + readyLimitMs;
  for (;;) {
    try {
      const { SecretID } = (await api('PUT', '/v1/acl/bootstrap')) as { readonly SecretID: string };
      return SecretID;
    } catch (error) {
      if (Date.now() > end) throw error;
      await sleep(50);
    }
  }
}

interface Server {
  readonly port: number;
  readonly token: string | undefined;
  readonly authority: string;
}

async function call(server: Server, what: { method: string; path: string; body: unknown }): Promise<unknown> {
  const options: RequestOptions = {
    host: '127.0.0.1',
    port: server.port,
    method: what.method,
    path: what.path,
    agent: false,
    timeout: 5_000,
    headers: server.token === undefined ? {} : { 'x-consul-token': server.token },
  };
  const isSecure = server.authority !== '';
  const sent = isSecure ? requestTls({ ...options, ca: server.authority }) : request(options);
  sent.on('timeout', () => sent.destroy(new Error('no answer')));
  sent.end(what.body === undefined ? undefined : JSON.stringify(what.body));
  const [response] = await once(sent, 'response');
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk);
  const text = Buffer.concat(chunks).toString();
  if (response.statusCode < 200 || response.statusCode > 299) throw new Error(`HTTP ${response.statusCode}: ${text}`);
  return text === '' ? null : JSON.parse(text);
}

function makeCertificates(program: string, directory: string): string {
  const run = (...command: string[]) =>
    execFileSync(program, ['tls', ...command], { cwd: directory, stdio: ['ignore', 'ignore', 'pipe'] });
  run('ca', 'create', '-domain=weft');
  run('cert', 'create', '-server', '-domain=weft', '-dc=dc1', '-additional-ipaddress=127.0.0.1');
  const renamed = {
    'weft-agent-ca.pem': 'ca.pem',
    'dc1-server-weft-0.pem': 'server.pem',
    'dc1-server-weft-0-key.pem': 'server-key.pem',
  };
  for (const [from, to] of Object.entries(renamed)) execFileSync('mv', [join(directory, from), join(directory, to)]);
  return readFileSync(join(directory, 'ca.pem'), 'utf8');
}

function findConsul(): string {
  const own = fileURLToPath(new URL('../../.lab/consul/usr/bin/consul', import.meta.url));
  const candidates = (process.env['PATH'] ?? '').split(delimiter).map((directory) => join(directory, 'consul'));
  const found = [...candidates, own].find(isExecutable);
  if (found === undefined) throw new Error('there is no consul on PATH nor in .lab/consul: run npm run setup');
  return found;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Held all at once, so that they differ, and then given up. */
async function freePorts(count: number): Promise<readonly number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

/**
 * The npm package `consul` 2.0.1, made safe to use. What it does, and what is done about it here:
 *
 *   a connection cut in mid-body never settles        every call has an absolute timeout
 *   a falsy answer becomes undefined                   success is `=== true`, and transactions are used throughout
 *   errors carry the request and with it the token     only a status, a code and a text leave this file
 *   watches and calls would share one pool             two pools of connections, so that a call never waits for a watch
 *   its types leave out most options                   own ones below
 *   its `watch` loses changes when a listener throws   not used
 */

import { EventEmitter } from 'node:events';
import { Agent as HttpAgent, type IncomingHttpHeaders } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import Consul from 'consul';
import type { Deadline } from './deadline.ts';

export interface TlsOptions {
  /** PEM. Absent: the system's own authorities. */
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  /** Name to expect in the server's certificate when it is not the host's. */
  readonly serverName?: string;
}

export interface ConsulAddress {
  readonly secure: boolean;
  /** An IPv6 address without brackets. */
  readonly host: string;
  readonly port: number;
}

/** A key as Consul tells it. */
export interface ConsulPair {
  readonly Key: string;
  readonly Value: Buffer | null;
  readonly ModifyIndex: number;
  readonly Session?: string;
}

/** One operation of a transaction (api/txn.go). */
export interface ConsulOperation {
  readonly KV: {
    readonly Verb:
      | 'get'
      | 'set'
      | 'cas'
      | 'lock'
      | 'delete'
      | 'delete-cas'
      | 'check-index'
      | 'check-not-exists'
      | 'check-session';
    readonly Key: string;
    /** base64 */
    readonly Value?: string;
    readonly Index?: number;
    readonly Flags?: number;
    readonly Session?: string;
  };
}

export interface ConsulTransactionError {
  readonly OpIndex: number;
  readonly What: string;
}

export interface ConsulTransactionResult {
  readonly Results: readonly { readonly KV: Omit<ConsulPair, 'Value'> & { readonly Value: string | null } }[] | null;
}

/** What every request takes beside its own options. */
interface RequestOptions {
  readonly ctx: EventEmitter;
  readonly timeout: number;
}

type Answered<Body> = [response: { readonly headers: IncomingHttpHeaders }, body?: Body];

/** The part of the package that is used, as it behaves with `ctx.includeResponse`. */
export interface ConsulApi {
  readonly kv: {
    get(options: RequestOptions & { key: string; buffer: true }): Promise<Answered<ConsulPair>>;
    get(
      options: RequestOptions & { key: string; buffer: true; recurse: true; index?: string; wait?: string },
    ): Promise<Answered<ConsulPair[]>>;
  };
  readonly session: {
    create(options: RequestOptions & SessionOptions): Promise<Answered<{ readonly ID: string }>>;
    renew(options: RequestOptions & { id: string }): Promise<Answered<unknown>>;
    destroy(options: RequestOptions & { id: string }): Promise<Answered<unknown>>;
  };
  readonly transaction: {
    create(operations: readonly ConsulOperation[], options: RequestOptions): Promise<Answered<ConsulTransactionResult>>;
  };
}

interface SessionOptions {
  readonly name: string;
  readonly ttl: string;
  readonly behavior: 'release';
  readonly lockdelay: string;
  readonly checks: readonly string[];
}

/** What went wrong, without anything that could hold the token. */
export class ConsulFailure extends Error {
  /**
   * unsent: certainly not applied. uncertain: it may have been. denied, too-large, conflict, missing: refused.
   */
  readonly kind: 'unsent' | 'uncertain' | 'denied' | 'too-large' | 'conflict' | 'missing';
  /** Of a transaction. */
  readonly errors: readonly ConsulTransactionError[];

  constructor(kind: ConsulFailure['kind'], problem: string, errors: readonly ConsulTransactionError[] = []) {
    super(problem);
    this.name = 'ConsulFailure';
    this.kind = kind;
    this.errors = errors;
  }
}

export interface ConsulClient {
  /** Runs a request with the deadline's time and signal. @throws ConsulFailure, the signal's reason */
  call<Body>(
    deadline: Deadline,
    request: (api: ConsulApi, options: RequestOptions) => Promise<Answered<Body>>,
  ): Promise<{ readonly headers: IncomingHttpHeaders; readonly body: Body | undefined }>;
  close(): void;
}

/** One client has one pool of connections, `maxSockets` wide. */
export function createConsulClient(
  address: ConsulAddress,
  options: { readonly token?: string | undefined; readonly tls?: TlsOptions | undefined; readonly maxSockets: number },
): ConsulClient {
  const pool = { keepAlive: true, maxSockets: options.maxSockets, host: address.host, ...tlsOptions(options.tls) };
  const agent = address.secure ? new HttpsAgent(pool) : new HttpAgent(pool);
  const api = new Consul({
    host: address.host.includes(':') ? `[${address.host}]` : address.host,
    port: address.port,
    secure: address.secure,
    agent,
    ...(options.token === undefined ? {} : { defaults: { token: options.token } }),
  } as ConstructorParameters<typeof Consul>[0]) as unknown as ConsulApi;

  return {
    async call(deadline, request) {
      const { signal } = deadline;
      const ctx = Object.assign(new EventEmitter(), { includeResponse: true });
      const cancel = () => ctx.emit('cancel');
      signal?.throwIfAborted();
      signal?.addEventListener('abort', cancel, { once: true });
      try {
        const [{ headers }, body] = await request(api, { ctx, timeout: deadline.remainingMs() });
        return { headers, body };
      } catch (error) {
        signal?.throwIfAborted();
        throw failureOf(error);
      } finally {
        signal?.removeEventListener('abort', cancel);
      }
    },
    close: () => agent.destroy(),
  };
}

function tlsOptions(tls: TlsOptions | undefined): object {
  if (tls === undefined) return {};
  const { serverName, ...rest } = tls;
  return serverName === undefined ? rest : { ...rest, servername: serverName };
}

/** Errors of connecting and of TLS: nothing has been asked yet. */
const unsentCodes =
  /^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|ERR_TLS|ERR_SSL|EPROTO|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO|HOSTNAME_MISMATCH)/;
const unsentTexts = /no cluster leader|no known consul servers|failed to get conn/i;
const deniedTexts = /permission denied|acl not found/i;

function failureOf(error: unknown): ConsulFailure {
  const { response, code, message } = error as {
    readonly response?: { readonly statusCode: number; readonly body?: unknown };
    readonly code?: string;
    readonly message?: string;
  };
  if (response !== undefined) return refusal(response.statusCode, response.body);
  const problem = (code ?? message ?? String(error))
    .replace(/^consul: /, '')
    .replace(/^(?:[\w.]+: )?request timed out \((\d+).*$/, 'no answer within $1 ms');
  return new ConsulFailure(code !== undefined && unsentCodes.test(code) ? 'unsent' : 'uncertain', problem);
}

function refusal(status: number, body: unknown): ConsulFailure {
  const errors = transactionErrors(body);
  const text = errors.map(({ What }) => What).join('; ') || textOf(body);
  const problem = `HTTP ${status}${text === '' ? '' : `: ${text.trim().slice(0, 200)}`}`;
  if (status === 403 || deniedTexts.test(text)) return new ConsulFailure('denied', problem, errors);
  if (status === 413) return new ConsulFailure('too-large', problem);
  if (status === 409) return new ConsulFailure('conflict', problem, errors);
  if (status === 404) return new ConsulFailure('missing', problem);
  if (status === 429 || status === 503 || unsentTexts.test(text)) return new ConsulFailure('unsent', problem);
  return new ConsulFailure('uncertain', problem);
}

function transactionErrors(body: unknown): readonly ConsulTransactionError[] {
  const errors = (body as { readonly Errors?: unknown } | null | undefined)?.Errors;
  return Array.isArray(errors) ? (errors as ConsulTransactionError[]) : [];
}

function textOf(body: unknown): string {
  return typeof body === 'string' || Buffer.isBuffer(body) ? body.toString() : '';
}

/**
 * Lets go of what the Docker engine does not have any more. Docker only logs it when Leave, DeleteEndpoint or
 * DeleteNetwork fails, and never repeats the call: what was removed while this daemon was down would stay for ever.
 *
 *   look     what it has, now and then; never within a call of the engine, which may hold the lock to the answer
 *   believe  only the engine that has shown something of this node's: another one may be on the socket. It is remembered
 *   suspect  what was missing in two looks some time apart and in all between them, without a call about it meanwhile
 *   confirm  by the network itself, which also knows containers that are still starting
 *   release  by the verbs that Docker would have called
 *
 * Whatever is in doubt stays. No engine: nothing is ever let go.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import type { EndpointId, NetworkId } from '../core/identity.ts';
import { messageOf } from '../errors.ts';
import type { Engine, EngineInventory } from '../ports/engine.ts';
import type { Journal } from '../ports/journal.ts';
import type { Log } from '../ports/log.ts';
import type { Local } from './local.ts';
import { type Held, isOwnEngine, missingIn, type Suspects, suspectsOf } from './missing.ts';
import type { EngineReport } from './report.ts';
import type { Verbs } from './requests.ts';

export interface Forgotten {
  engine(): EngineReport;
  /** What the engine said last; null while it cannot be asked. */
  inventory(): EngineInventory | null;
  /** Released so far, by kind. */
  counts(): Readonly<Record<'endpoint' | 'network', number>>;
  /** The same verbs; what the engine calls them for is not forgotten, and one that is being released is waited for. */
  guard(verbs: Verbs): Verbs;
  close(): Promise<void>;
}

export interface ForgottenParts {
  readonly engine: Engine | null;
  readonly journal: Pick<Journal, 'loadEngine' | 'saveEngine'>;
  readonly local: Pick<Local, 'networks' | 'endpoints' | 'endpoint' | 'network'>;
  readonly verbs: Pick<Verbs, 'leave' | 'deleteEndpoint' | 'deleteNetwork'>;
  readonly log: Log;
}

export interface LookTimes {
  /** From the start to the first look. */
  readonly firstMs: number;
  readonly everyMs: number;
  /** Between the first and the last look in which something must be missing. */
  readonly apartMs: number;
}

/** Implementation: a container starts within seconds; what was forgotten is released within about 35 s. */
const defaultTimes: LookTimes = { firstMs: 3_000, everyMs: 30_000, apartMs: 20_000 };

type Id = EndpointId | NetworkId;

const off: EngineReport = { state: 'off', version: null, swarm: null, problem: null };

export function startForgotten(parts: ForgottenParts, times: LookTimes = defaultTimes): Forgotten {
  const { engine, verbs, log } = parts;
  const releases = createReleases(verbs, log);
  if (engine === null) {
    return {
      engine: () => off,
      inventory: () => null,
      counts: () => releases.counts,
      guard: (all) => all,
      close: async () => undefined,
    };
  }
  const looker = createLooker(parts, engine, releases, times.apartMs);
  const closing = new AbortController();
  const run = async (): Promise<void> => {
    for (let pauseMs = times.firstMs; ; pauseMs = times.everyMs) {
      await sleep(pauseMs, undefined, { signal: closing.signal }).catch(() => undefined);
      if (closing.signal.aborted) return;
      await looker.look(closing.signal);
    }
  };
  const running = run();

  return {
    engine: () => looker.report(),
    inventory: () => looker.inventory(),
    counts: () => releases.counts,
    guard: (all) => guarded(all, looker, releases),
    async close() {
      closing.abort();
      await running;
    },
  };
}

function guarded(verbs: Verbs, looker: Looker, releases: Releases): Verbs {
  const mention = async (...ids: readonly Id[]): Promise<void> => {
    for (const id of ids) looker.trust(id);
    await Promise.all(ids.map((id) => releases.settled(id)));
  };
  return {
    ...verbs,
    async createNetwork(request) {
      await mention(request.id);
      return verbs.createNetwork(request);
    },
    async createEndpoint(request) {
      await mention(request.networkId, request.id);
      return verbs.createEndpoint(request);
    },
    async join(networkId, id) {
      await mention(networkId, id);
      return verbs.join(networkId, id);
    },
  };
}

interface Releases {
  readonly counts: Readonly<Record<'endpoint' | 'network', number>>;
  /** What cannot be released now is logged; it is still there for the next look. Neither throws. */
  endpoint(id: EndpointId, network: NetworkId): Promise<void>;
  network(id: NetworkId): Promise<void>;
  /** Waits for the end of a release that has begun. */
  settled(id: Id): Promise<void> | undefined;
}

function createReleases(verbs: ForgottenParts['verbs'], log: Log): Releases {
  const counts = { endpoint: 0, network: 0 };
  const running = new Map<Id, Promise<void>>();
  const attempt = async (kind: 'endpoint' | 'network', id: Id, action: () => Promise<void>): Promise<void> => {
    try {
      await action();
      counts[kind] += 1;
      log.info({ [kind]: id }, `${kind} forgotten by the engine was released`);
    } catch (error) {
      log.warn({ [kind]: id, problem: messageOf(error) }, `${kind} forgotten by the engine was not released`);
    }
  };
  const release: typeof attempt = async (kind, id, action) => {
    const task = attempt(kind, id, action);
    running.set(id, task);
    await task;
    running.delete(id);
  };
  return {
    counts,
    endpoint: (id, network) =>
      release('endpoint', id, async () => {
        await verbs.leave(network, id);
        await verbs.deleteEndpoint(network, id);
      }),
    network: (id) => release('network', id, () => verbs.deleteNetwork(id)),
    settled: (id) => running.get(id),
  };
}

interface Looker {
  /** One look and what follows from it. Never throws. */
  look(signal: AbortSignal): Promise<void>;
  report(): EngineReport;
  inventory(): EngineInventory | null;
  /** The engine has just spoken of it: whatever was seen before does not count. */
  trust(id: Id): void;
}

function createLooker(
  { journal, local, log }: ForgottenParts,
  engine: Engine,
  releases: Releases,
  apartMs: number,
): Looker {
  let known: string | null = null;
  let missing = new Map<Id, number>();
  let last: EngineInventory | null = null;
  let problem: string | null = null;

  /** Also remembers an engine that has just shown to be the own one. */
  const isBelieved = async (held: Held, inventory: EngineInventory): Promise<boolean> => {
    known ??= await journal.loadEngine();
    if (inventory.id === known) return true;
    if (!isOwnEngine(held, inventory)) return false;
    await journal.saveEngine(inventory.id);
    log.info({ engine: inventory.id, before: known }, 'engine found to be the one of this daemon');
    known = inventory.id;
    return true;
  };
  /** Between the engine's last word on a thing and its release nothing else is waited for. */
  const releaseIn = async (network: NetworkId, suspects: Suspects, signal: AbortSignal): Promise<void> => {
    const present = await engine.endpointsOf(network, signal);
    const isGone = (id: Id) => !signal.aborted && missing.has(id) && present?.has(id as EndpointId) !== true;
    for (const { id, networkId } of suspects.endpoints) {
      if (networkId === network && isGone(id) && local.endpoint(id) !== null) await releases.endpoint(id, network);
    }
    if (present !== null || !suspects.networks.includes(network) || !isGone(network)) return;
    if (local.network(network) !== null) await releases.network(network);
  };
  const observe = async (signal: AbortSignal): Promise<void> => {
    const held: Held = { networks: local.networks(), endpoints: local.endpoints() };
    const atMs = performance.now();
    const inventory = await engine.inventory(signal);
    if (last?.id !== inventory.id) missing.clear();
    const isOwn = await isBelieved(held, inventory);
    last = inventory;
    problem = isOwn || held.networks.length === 0 ? null : stranger(inventory);
    if (!isOwn) return missing.clear();
    const look = { atMs, held, inventory };
    missing = new Map(missingIn(look, missing));
    const suspects = suspectsOf(missing, look, apartMs);
    const networks = new Set([...suspects.endpoints.map(({ networkId }) => networkId), ...suspects.networks]);
    for (const network of networks) await releaseIn(network, suspects, signal);
  };

  return {
    async look(signal) {
      const before = problem;
      try {
        await observe(signal);
      } catch (error) {
        if (signal.aborted) return;
        missing.clear();
        last = null;
        problem = messageOf(error);
      }
      if (problem === before) return;
      log.info({ problem }, problem === null ? 'engine can tell what it has' : 'engine cannot tell what it has');
    },
    report: () => ({
      state: last === null ? 'unknown' : 'connected',
      version: last?.version ?? null,
      swarm: last?.swarm ?? null,
      problem,
    }),
    inventory: () => last,
    trust: (id) => void missing.delete(id),
  };
}

function stranger({ id }: EngineInventory): string {
  return `engine ${id} has shown no network or container of this daemon yet; nothing is released on its word`;
}

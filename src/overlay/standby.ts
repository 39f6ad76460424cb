/**
 * A daemon whose store is away when it starts. What is programmed goes on forwarding; the daemon answers on its sockets
 * all the same, because the engine waits half a minute for a plugin that does not, and gives a managed one up for good.
 *
 *   waiting ─ the store answers ─▶ joined: everything is the overlay's from then on
 *      └─ refused for another reason ─▶ failed: the daemon ends with it
 *
 * Until it has joined, every verb is refused with what the store's absence is, and so status says.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { isOverlayError, messageOf, type OverlayError } from '../errors.ts';
import type { Log } from '../ports/log.ts';
import type { Overlay } from './overlay.ts';
import type { StatusReport } from './report.ts';
import type { Verbs } from './requests.ts';

export interface Standby extends Overlay {
  /** Rejects when it turns out that this node cannot join; never resolves. */
  readonly failed: Promise<never>;
}

/** What can be told of a node that has not joined. */
export type Waiting = Pick<StatusReport, 'node' | 'version'> & { readonly storeKind: string };

/** Implementation: how often the store is asked whether it is there again. */
const shortestPauseMs = 500;
const longestPauseMs = 3_000;

/**
 * Opens the overlay, or stands by until its store answers. `open` leaves nothing behind when it fails.
 * @throws what is no absence of the store
 */
export async function standBy(open: () => Promise<Overlay>, waiting: Waiting, log: Log): Promise<Standby> {
  let overlay: Overlay | null = null;
  let absence: OverlayError | null = null;
  const closing = new AbortController();
  const attempt = async (): Promise<void> => {
    try {
      overlay = await open();
    } catch (error) {
      if (!isAbsence(error)) throw error;
      if (absence === null) log.warn({ problem: error.message }, 'store is away; waiting for it');
      absence = error;
    }
  };
  const keepTrying = async (): Promise<void> => {
    for (let pauseMs = shortestPauseMs; overlay === null; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
      await sleep(pauseMs * (0.75 + Math.random() / 2), undefined, { signal: closing.signal }).catch(() => undefined);
      if (closing.signal.aborted) return;
      await attempt();
    }
    log.info({}, 'store has answered; node joined late');
  };

  await attempt();
  const trying = overlay === null ? keepTrying() : Promise.resolve();
  const failed = new Promise<never>((_, reject) => void trying.catch(reject));
  failed.catch(() => undefined); // Whoever waits for the daemon's end sees it.
  const joined = (): Overlay => {
    if (overlay !== null) return overlay;
    throw absence;
  };

  return {
    verbs: verbsOf(joined),
    reports: {
      status: async () => (overlay === null ? waitingStatus(waiting, messageOf(absence)) : overlay.reports.status()),
      nodes: async () => joined().reports.nodes(),
      networks: async () => joined().reports.networks(),
      endpoints: async () => joined().reports.endpoints(),
      peers: async () => joined().reports.peers(),
      counters: async () => (overlay === null ? {} : overlay.reports.counters()),
    },
    failed,
    async close() {
      closing.abort();
      await trying.catch(() => undefined);
      await overlay?.close();
    },
  };
}

function isAbsence(error: unknown): error is OverlayError {
  return isOverlayError(error, 'STORE_UNREACHABLE', 'STORE_AMBIGUOUS');
}

function verbsOf(joined: () => Overlay): Verbs {
  return {
    allocateNetwork: async (...given) => joined().verbs.allocateNetwork(...given),
    freeNetwork: async (...given) => joined().verbs.freeNetwork(...given),
    createNetwork: async (...given) => joined().verbs.createNetwork(...given),
    deleteNetwork: async (...given) => joined().verbs.deleteNetwork(...given),
    createEndpoint: async (...given) => joined().verbs.createEndpoint(...given),
    join: async (...given) => joined().verbs.join(...given),
    leave: async (...given) => joined().verbs.leave(...given),
    deleteEndpoint: async (...given) => joined().verbs.deleteEndpoint(...given),
    endpointFacts: async (...given) => joined().verbs.endpointFacts(...given),
    requestPool: async (...given) => joined().verbs.requestPool(...given),
    releasePool: async (...given) => joined().verbs.releasePool(...given),
    requestAddress: async (...given) => joined().verbs.requestAddress(...given),
    releaseAddress: async (...given) => joined().verbs.releaseAddress(...given),
  };
}

function waitingStatus({ node, version, storeKind }: Waiting, problem: string): StatusReport {
  return {
    node,
    version,
    dataPath: {
      kind: 'waiting',
      reason: 'what is programmed goes on forwarding; nothing is changed before the store answers',
    },
    store: { kind: storeKind, state: 'down', digest: '' },
    peers: [],
    networks: [],
    drops: {},
    repairs: {},
    forgotten: {},
    engine: { state: 'unknown', version: null, swarm: null, problem: null },
    problems: [problem],
    notes: [],
  };
}

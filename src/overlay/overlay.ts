/**
 * The overlay of one node, put together: verbs from the drivers, records in the store, one reconciler for the data path.
 *
 *   verbs ─▶ claims, networks, publisher ─▶ store ─▶ directory ─▶ model ─▶ reconciler ─▶ data path
 *     └─▶ local (journal) ───────────────────────────────────────▶┘              misses ◀─┘
 */

import type { Subnet } from '../core/address.ts';
import { familyOf } from '../core/address.ts';
import { type EndpointId, type NetworkKey, networkKey } from '../core/identity.ts';
import type { PoolRange } from '../core/ipam.ts';
import { nodeKey } from '../core/keys.ts';
import type { Model, Network, Node } from '../core/model.ts';
import { overlayMtu } from '../core/mtu.ts';
import { messageOf, overlayError } from '../errors.ts';
import type { DataPath } from '../ports/data-path.ts';
import type { Journal, LocalNetwork } from '../ports/journal.ts';
import type { Log } from '../ports/log.ts';
import type { PathProbe } from '../ports/path-probe.ts';
import type { Codecs } from '../ports/records.ts';
import type { Store } from '../ports/store.ts';
import { createBackground } from './background.ts';
import { createClaims, nameSpaceOf } from './claims.ts';
import { createDirectory } from './directory.ts';
import { createEndpoints } from './endpoints.ts';
import { startHeartbeat } from './heartbeat.ts';
import { timeLimit, untilAborted } from './limit.ts';
import { loadLocal } from './local.ts';
import { serveMisses } from './misses.ts';
import { createNetworks, identityOf } from './networks.ts';
import { createPaths } from './paths.ts';
import { createPools, parsePoolId, poolId } from './pools.ts';
import { createPresence, type ProcessIdentity } from './presence.ts';
import { createPublisher } from './publisher.ts';
import { createReconciler } from './reconciler.ts';
import { createRecords } from './records.ts';
import type { Reports } from './report.ts';
import { createReports } from './reports.ts';
import { type NetworkRequest, type Verbs, verbLimitMs } from './requests.ts';

export interface OverlayParts {
  readonly store: Store;
  readonly codecs: Codecs;
  readonly journal: Journal;
  /** Called once this node's place in the cluster is taken: a daemon that may not run touches no kernel. */
  openDataPath(): Promise<DataPath>;
  readonly probe: PathProbe;
  readonly log: Log;
}

export interface OverlaySettings {
  readonly node: Omit<Node, 'epoch'>;
  readonly process: ProcessIdentity;
  readonly version: string;
  readonly poolRanges: Readonly<Record<'ipv4' | 'ipv6', PoolRange>>;
  readonly probeIntervalMs: number;
  /** Subnets the host routes by itself, in the daemon's namespace. */
  hostSubnets(): Promise<readonly Subnet[]>;
}

export interface Overlay {
  readonly verbs: Verbs;
  readonly reports: Reports;
  /** Gives up this node's lease and ends all watching; the parts stay open, what is programmed keeps forwarding. */
  close(): Promise<void>;
}

/** Implementation: at start all networks' present state must be known before anything is taken out of the kernel. */
const startLimitMs = 10_000;

/** Takes this node's place in the cluster, adopts what the data path holds, and serves verbs. */
export async function createOverlay(parts: OverlayParts, settings: OverlaySettings): Promise<Overlay> {
  const { store, codecs, journal, probe, log } = parts;
  const { node: self } = settings;
  const records = createRecords(store, codecs);
  const local = await loadLocal(journal, settings.process.boot);
  const background = createBackground(store, log);
  const republish = () => {
    for (const network of local.overlays())
      void background.attempt(`membership of network ${network.key}`, async (signal) => {
        await networks.restore(network, signal);
        await publisher.publish(network.key);
      });
  };
  const presence = await createPresence(records, self, settings.process, { log, onRegained: republish });
  const dataPath = await parts.openDataPath().catch(async (error: unknown) => {
    await presence.abandon();
    throw error;
  });

  const directory = createDirectory(records, {
    self: self.id,
    log,
    onChange: () => reconciler.request(),
    isPublished: (network) => publisher.isPublished(network),
    onForgotten: (network) => {
      log.warn({ network }, 'the store has lost what this node wrote; it is written again');
      if (network === null) presence.retake();
      else republish();
    },
  });
  const model = (): Model => ({
    self: self.id,
    networks: local.overlays(),
    remote: directory.memberships(),
    local: local.joined(),
  });
  const reconciler = createReconciler(dataPath, model, log);
  const publisher = createPublisher(records, {
    self: self.id,
    vtep: self.vtep,
    epoch: presence.node.epoch,
    lease: () => presence.lease(),
    joined: (network) => local.joined(network),
  });
  const creating = new Set<EndpointId>();
  const isKnown = (id: EndpointId) => creating.has(id) || local.endpoint(id) !== null;
  const claims = createClaims(records, { self: self.id, isKnown, onDoubt: background.doubt });
  const endpoints = createEndpoints(
    { local, claims, publisher, reconciler, dataPath, store, background, bootId: settings.process.boot },
    creating,
  );
  const networks = createNetworks(records, {
    self: self.id,
    automaticMtu: () => automaticMtu(self, directory.nodes()),
  });
  const pools = createPools(records, claims, {
    self: self.id,
    ranges: settings.poolRanges,
    hostSubnets: settings.hostSubnets,
    onDoubt: background.doubt,
    isInUse: (name, subnet) =>
      local.networks().some((network) => nameSpaceOf(network) === name && network.subnets.includes(subnet)),
  });
  // Not half: what fails then must still be taken back within the whole limit.
  const limit = () => timeLimit(store, verbLimitMs * 0.45);

  /** Networks that are being entered: nothing of them is to be taken back. */
  const entering = new Set<NetworkKey>();
  const depart = async (key: NetworkKey, signal: AbortSignal): Promise<void> => {
    if (entering.has(key) || local.overlays().some((network) => network.key === key)) return;
    await publisher.withdraw(key);
    await networks.release(key, signal);
  };
  /**
   * The inverse of `enter` for a network that has departed. Docker gives its pools back before it deletes it, when they
   * are still in use; they are let go of here.
   */
  const exit = async ({ id, key, identity, subnets }: LocalNetwork): Promise<void> => {
    if (!local.overlays().some((network) => network.key === key)) {
      await directory.unfollow(key);
      await reconciler.settle();
    }
    await background.attempt(`departure from network ${id}`, async (signal) => {
      // First, because the claims of endpoints are found by what is known of their network.
      for (const endpoint of local.departed().endpoints) {
        if (endpoint.networkId === id) await endpoints.release(endpoint, signal);
      }
      await depart(key, signal);
      for (const subnet of subnets) {
        await pools.release(poolId({ name: nameSpaceOf({ identity }), subnet, range: null }), signal);
      }
      await local.forgetNetwork(id);
    });
  };
  const hold = async (request: NetworkRequest, signal: AbortSignal): Promise<Network> => {
    const key = networkKey(identityOf(request));
    try {
      return await networks.hold(request, signal);
    } catch (error) {
      background.doubt(error, `departure from network ${key}`, (later) => depart(key, later));
      throw error;
    }
  };
  /** All of it, or nothing and the error. */
  const settleIn = async (request: NetworkRequest, signal: AbortSignal): Promise<void> => {
    const network = await hold(request, signal);
    try {
      await local.saveNetwork({ id: request.id, ...network });
      await directory.follow(network.key, signal);
      await untilAborted(publisher.publish(network.key), signal);
      await reconciler.settle(`network ${network.vni}`);
    } catch (error) {
      await local.departNetwork({ id: request.id, ...network });
      entering.delete(network.key);
      await exit({ id: request.id, ...network });
      throw error;
    }
  };
  const enter = async (request: NetworkRequest): Promise<void> => {
    const key = networkKey(identityOf(request));
    entering.add(key);
    try {
      await settleIn(request, limit());
    } finally {
      entering.delete(key);
    }
  };

  const verbs: Verbs = {
    async createNetwork(request) {
      const existing = local.network(request.id);
      if (existing === null) return enter(request);
      requireSameNetwork(existing, request);
    },
    async deleteNetwork(id) {
      const network = local.network(id);
      if (network === null) return;
      for (const endpoint of local.endpoints()) if (endpoint.networkId === id) await endpoints.delete(endpoint.id);
      await local.departNetwork(network);
      await exit(network);
    },
    createEndpoint: (request) => endpoints.create(request),
    join: (networkId, id) => endpoints.join(networkId, id),
    leave: (_, id) => endpoints.leave(id),
    deleteEndpoint: (_, id) => endpoints.delete(id),
    endpointFacts: async (_, id) => endpoints.facts(id),
    requestPool: (request) => pools.request(request, limit()),
    async releasePool(pool) {
      parsePoolId(pool); // A retry would not make sense of it either.
      await background.attempt(`release of pool ${pool}`, (signal) => pools.release(pool, signal));
    },
    requestAddress: (request) => pools.requestAddress(request, limit()),
    async releaseAddress(pool, address) {
      parsePoolId(pool);
      const subject = `release of address ${address} of pool ${pool}`;
      await background.attempt(subject, (signal) => pools.releaseAddress(pool, address, signal));
    },
  };

  const start = async (): Promise<void> => {
    const signal = timeLimit(store, startLimitMs);
    await directory.ready(signal);
    for (const network of local.overlays()) {
      await networks.restore(network, signal);
      await publisher.publish(network.key);
    }
    await Promise.all(local.overlays().map(({ key }) => directory.follow(key, signal)));
    await reconciler.start();
    finishDepartures().catch((error: unknown) => log.error({ problem: messageOf(error) }, 'departures not finished'));
  };
  /** What a process before this one answered and did not come to write. */
  const finishDepartures = async (): Promise<void> => {
    const { endpoints: left, networks: leaving } = local.departed();
    for (const endpoint of left) {
      await background.attempt(`claims of endpoint ${endpoint.id}`, (signal) => endpoints.release(endpoint, signal));
    }
    for (const network of leaving) await exit(network);
  };
  try {
    await start();
  } catch (error) {
    await Promise.all([directory.close(), background.close()]);
    await reconciler.close();
    await presence.abandon();
    throw error;
  }

  const stopping = new AbortController();
  const serving = serveMisses(dataPath, directory, records, {
    self: self.id,
    log,
    networkOf: (vni) => local.overlays().find((network) => network.vni === vni) ?? null,
    onDrift: (what) => {
      log.debug({ what }, 'kernel changed');
      reconciler.suspect();
    },
    signal: stopping.signal,
  });
  const paths = createPaths({
    probe,
    log,
    intervalMs: settings.probeIntervalMs,
    mtuBytes: self.mtuBytes,
    vteps: () => otherNodes(self, directory.nodes()).map(({ vtep }) => vtep.address),
  });
  const heartbeat = startHeartbeat(store, nodeKey(self.id), () => directory.reread());
  const reports = createReports(
    { store, dataPath, local, directory, reconciler, background, presence, paths, heartbeat },
    { version: settings.version, self: presence.node },
  );

  return {
    verbs,
    reports,
    async close() {
      stopping.abort();
      await Promise.all([serving, heartbeat.close(), directory.close(), background.close(), paths.close()]);
      await reconciler.close();
      await presence.close().catch((error) => log.warn({ problem: String(error) }, 'lease not released'));
    },
  };
}

function otherNodes(self: Pick<Node, 'id'>, nodes: readonly Node[]): readonly Node[] {
  return nodes.filter(({ id }) => id !== self.id);
}

/** What fits through every known node's underlay. */
function automaticMtu(self: Omit<Node, 'epoch'>, nodes: readonly Node[]): number {
  const smallest = Math.min(self.mtuBytes, ...otherNodes(self, nodes).map(({ mtuBytes }) => mtuBytes));
  return overlayMtu(smallest, familyOf(self.vtep.address));
}

/** A repeated CreateNetwork is fine when it asks for the same. */
function requireSameNetwork(existing: LocalNetwork, request: NetworkRequest): void {
  const identity = identityOf(request);
  if (identity === existing.identity) return;
  throw overlayError('NETWORK_CONFLICT', {
    network: request.id,
    field: 'identity',
    existing: existing.identity,
    requested: identity,
  });
}

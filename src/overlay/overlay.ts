/**
 * The overlay of one node, put together: verbs from the drivers, records in the store, one reconciler for the data path.
 *
 *   verbs ─▶ claims, networks, publisher ─▶ store ─▶ directory ─▶ model ─▶ reconciler ─▶ data path
 *     └─▶ local (journal) ───────────────────────────────────────▶┘              misses ◀─┘
 */

import type { Subnet } from '../core/address.ts';
import type { EndpointId } from '../core/identity.ts';
import type { PoolRange } from '../core/ipam.ts';
import { nodeKey } from '../core/keys.ts';
import type { Model, Network, Node } from '../core/model.ts';
import { overlayMtu } from '../core/mtu.ts';
import { reachable, towards, widestFamily } from '../core/vtep.ts';
import { messageOf } from '../errors.ts';
import type { DataPath } from '../ports/data-path.ts';
import type { Engine } from '../ports/engine.ts';
import type { Journal } from '../ports/journal.ts';
import type { Log } from '../ports/log.ts';
import type { PathProbe } from '../ports/path-probe.ts';
import type { Codecs } from '../ports/records.ts';
import type { Store } from '../ports/store.ts';
import type { Underlay } from '../ports/underlay.ts';
import { createAddresses } from './addresses.ts';
import { createAllocations } from './allocations.ts';
import { createBackground } from './background.ts';
import { createClaims } from './claims.ts';
import { createDirectory } from './directory.ts';
import { createEndpoints } from './endpoints.ts';
import type { Driver } from './engine-advice.ts';
import { type LookTimes, startForgotten } from './forgotten.ts';
import { startGroups, wantedGroups } from './groups.ts';
import { startHeartbeat } from './heartbeat.ts';
import { createIpamVerbs } from './ipam-verbs.ts';
import { timeLimit } from './limit.ts';
import { loadLocal } from './local.ts';
import { createLocalNetworks, usesPool } from './local-networks.ts';
import { serveMisses } from './misses.ts';
import { followUnderlay } from './moving.ts';
import { createNetworks } from './networks.ts';
import { createOwners } from './owners.ts';
import { createPaths } from './paths.ts';
import { createPools } from './pools.ts';
import { createPresence, type ProcessIdentity } from './presence.ts';
import { createPublisher } from './publisher.ts';
import { createReconciler } from './reconciler.ts';
import { createRecords } from './records.ts';
import { createRemains } from './remains.ts';
import type { Reports } from './report.ts';
import { createReports } from './reports.ts';
import { type Verbs, verbLimitMs } from './requests.ts';
import { createReservations } from './reservations.ts';

export interface OverlayParts {
  readonly store: Store;
  readonly codecs: Codecs;
  readonly journal: Journal;
  /** Called once this node's place in the cluster is taken: a daemon that may not run touches no kernel. */
  openDataPath(): Promise<DataPath>;
  readonly underlay: Underlay;
  readonly probe: PathProbe;
  /** Whose plugin this is; null: it is not asked. */
  readonly engine: Engine | null;
  readonly log: Log;
}

export interface OverlaySettings {
  readonly node: Pick<Node, 'id' | 'name'>;
  readonly process: ProcessIdentity;
  readonly version: string;
  readonly poolRanges: Readonly<Record<'ipv4' | 'ipv6', PoolRange>>;
  readonly probeIntervalMs: number;
  /** What the driver tells the engine about itself. */
  readonly driver: Driver;
  /** When the engine is asked; shorter in tests. */
  readonly looks?: LookTimes;
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
  const { store, codecs, journal, underlay, probe, log } = parts;
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
  const presence = await createPresence(records, { ...self, ...underlay.place() }, settings.process, {
    log,
    onRegained: republish,
  });
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
    remote: reachable(presence.node.vtep, directory.memberships()),
    local: local.joined(),
    pathMtus: paths.mtus(),
  });
  const paths = createPaths({
    probe,
    log,
    intervalMs: settings.probeIntervalMs,
    mtuBytes: () => presence.node.mtuBytes,
    vteps: () =>
      otherNodes(self, directory.nodes()).flatMap(({ vtep }) => towards(presence.node.vtep, vtep)?.address ?? []),
    onChange: () => reconciler.request(),
  });
  const reconciler = createReconciler(dataPath, model, log);
  const publisher = createPublisher(records, {
    self: self.id,
    vtep: () => presence.node.vtep,
    epoch: presence.node.epoch,
    lease: () => presence.lease(),
    joined: (network) => local.joined(network),
    groups: async (network) => (await groupsOf(local.overlays().filter(({ key }) => key === network))).get(network),
  });
  const groupsOf = (of: readonly Network[]) => wantedGroups(dataPath, of);
  const creating = new Set<EndpointId>();
  const isKnown = (id: EndpointId) => creating.has(id) || local.endpoint(id) !== null;
  const owners = createOwners(records, { self: self.id, isKnown });
  const claims = createClaims(records, { self: self.id, isKnown, owners });
  const endpoints = createEndpoints(
    { local, claims, publisher, reconciler, dataPath, store, background, bootId: settings.process.boot },
    creating,
  );
  const networks = createNetworks(records, {
    self: self.id,
    automaticMtu: () => automaticMtu(presence.node, directory.nodes()),
  });
  const { doubt: onDoubt } = background;
  const reservations = createReservations(records, { self: self.id, isKnown, owners, onDoubt });
  const isInUse = (name: string, subnet: Subnet) => local.networks().some((each) => usesPool(each, name, subnet));
  const { hostSubnets, poolRanges: ranges } = settings;
  const pools = createPools(records, { self: self.id, ranges, hostSubnets, reservations, isInUse, onDoubt });
  const addresses = createAddresses(records, { reservations, isInUse });
  const remains = createRemains(records, networks, owners);
  const allocations = createAllocations({ store, networks, pools, remains });
  const localNetworks = createLocalNetworks({
    ...{ local, networks, pools, endpoints, directory, publisher, reconciler, remains, background },
    self: self.id,
  });
  // Not half: what fails then must still be taken back within the whole limit.
  const limit = () => timeLimit(store, verbLimitMs * 0.45);

  const verbs: Verbs = {
    allocateNetwork: (request) => allocations.allocate(request),
    freeNetwork: (id) => background.attempt(`allocation of network ${id}`, (signal) => allocations.free(id, signal)),
    createNetwork: (request) => localNetworks.create(request, limit()),
    deleteNetwork: (id) => localNetworks.delete(id),
    createEndpoint: (request) => endpoints.create(request),
    join: (networkId, id) => endpoints.join(networkId, id),
    leave: (_, id) => endpoints.leave(id),
    deleteEndpoint: (_, id) => endpoints.delete(id),
    endpointFacts: async (_, id) => endpoints.facts(id),
    ...createIpamVerbs({ store, pools, addresses, background }),
  };

  const start = async (): Promise<void> => {
    const signal = timeLimit(store, startLimitMs);
    await directory.ready(signal);
    for (const network of local.overlays()) {
      await networks.restore(network, signal);
      await publisher.publish(network.key);
    }
    await Promise.all(local.overlays().map(({ key }) => directory.follow(key, signal)));
    await reconciler.start((found) => paths.adopt(found));
    finishDepartures().catch((error: unknown) => log.error({ problem: messageOf(error) }, 'departures not finished'));
  };
  /** What a process before this one answered and did not come to write. */
  const finishDepartures = async (): Promise<void> => {
    const { endpoints: left, networks: leaving } = local.departed();
    for (const endpoint of left) {
      await background.attempt(`claims of endpoint ${endpoint.id}`, (signal) => endpoints.release(endpoint, signal));
    }
    for (const network of leaving) await localNetworks.exit(network);
  };
  try {
    await start();
  } catch (error) {
    await Promise.all([directory.close(), background.close(), paths.close()]);
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
    onGroups: () => groups.changed(),
    onMoved: (vtep) => paths.suspect(vtep),
    signal: stopping.signal,
  });
  const groups = startGroups({
    networks: () => local.overlays().filter(({ key }) => publisher.isPublished(key)),
    wanted: groupsOf,
    published: (network) => publisher.groups(network),
    publish: (network) =>
      background.attempt(`membership of network ${network}`, async () => {
        if (publisher.isPublished(network)) await publisher.publish(network);
      }),
    log,
  });
  const onMoved = () => {
    // Which family a peer is reached by depends on the own addresses too.
    reconciler.request();
    republish();
  };
  const moving = followUnderlay(underlay, { dataPath, presence, background, log, onMoved }, stopping.signal);
  const heartbeat = startHeartbeat(store, nodeKey(self.id), () => directory.reread());
  const { driver, looks } = settings;
  const forgotten = startForgotten({ engine: parts.engine, journal, local, verbs, log }, looks);
  const reports = createReports(
    {
      store,
      dataPath,
      local,
      directory,
      reconciler,
      background,
      publisher,
      presence,
      paths,
      heartbeat,
      forgotten,
      underlay,
    },
    { version: settings.version, driver },
  );

  return {
    verbs: forgotten.guard(verbs),
    reports,
    async close() {
      stopping.abort();
      await Promise.all([forgotten.close(), groups.close()]);
      await Promise.all([serving, moving, heartbeat.close(), directory.close(), background.close(), paths.close()]);
      await reconciler.close();
      await presence.close().catch((error) => log.warn({ problem: String(error) }, 'lease not released'));
    },
  };
}

function otherNodes(self: Pick<Node, 'id'>, nodes: readonly Node[]): readonly Node[] {
  return nodes.filter(({ id }) => id !== self.id);
}

/** What fits through every known node's underlay, in the widest outer headers that any two of them need. */
function automaticMtu(self: Node, nodes: readonly Node[]): number {
  const all = [self, ...otherNodes(self, nodes)];
  const smallest = Math.min(...all.map(({ mtuBytes }) => mtuBytes));
  return overlayMtu(smallest, widestFamily(all.map(({ vtep }) => vtep)));
}

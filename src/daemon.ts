/**
 * The composition root of `weft daemon`: config → adapters → overlay → servers, and back in reverse at the end. The
 * only file that knows every part.
 *
 *   start:  what is in the way? (preflight.ts)
 *           netlink · VTEP · journal · store · data path · overlay (adopts what is programmed) · control, metrics, plugin
 *           with --wait-for-store the store may come later than the sockets (overlay/standby.ts)
 *   stop:   in reverse; what is programmed keeps forwarding
 *
 * The plugin socket comes last: Docker may call as soon as it is there.
 */

import { statSync } from 'node:fs';
import type { Config } from './config.ts';
import { startControlServer } from './control/server.ts';
import { parseSubnet, type Subnet } from './core/address.ts';
import type { NodeId } from './core/identity.ts';
import { addressesOf } from './core/vtep.ts';
import { chooseDataPath } from './datapath/select.ts';
import { watchUnderlay } from './datapath/underlay.ts';
import { createPluginServer } from './docker/server.ts';
import { createEngine } from './engine/engine.ts';
import { nodeIdentity, openJournal } from './journal/journal.ts';
import { createLog } from './log.ts';
import { startMetricsServer } from './metrics/exposition.ts';
import { type Netlink, openNetlink } from './netlink/netlink.ts';
import { localTable } from './netlink/route.ts';
import { createOverlay, type Overlay } from './overlay/overlay.ts';
import type { ProcessIdentity } from './overlay/presence.ts';
import { type Standby, standBy } from './overlay/standby.ts';
import type { Engine } from './ports/engine.ts';
import type { Journal } from './ports/journal.ts';
import type { Log } from './ports/log.ts';
import type { Underlay } from './ports/underlay.ts';
import { requireStartable } from './preflight.ts';
import { createIcmpProber } from './probe/icmp.ts';
import { createScope, type Scope } from './scope.ts';
import { codecs } from './store/codec.ts';
import { openStore } from './store/open.ts';
import { isProcessAlive, ownProcess } from './store/process.ts';
import { readVersion } from './version.ts';

/** Runs until SIGTERM or SIGINT. @throws what made it impossible to start, or to stop cleanly */
export async function runDaemon(config: Config): Promise<void> {
  const secrets = config.storeToken === null ? [] : [config.storeToken.reveal()];
  const log = createLog({ level: config.logLevel, node: config.node, secrets });
  const scope = createScope();
  const stop = stopSignal();
  try {
    await requireStartable(config);
    const overlay = await startOverlay(config, log, scope);
    await startServers(config, overlay, { log, scope });
    log.info({ version: readVersion(), plugin: config.pluginSocket }, 'daemon started');
    log.info({ signal: await Promise.race([stop, overlay.failed]) }, 'daemon stopping');
  } finally {
    await scope.close();
  }
}

/** What this node is by itself, before it has asked the store: opened once, however often joining is tried. */
interface Ground {
  readonly id: NodeId;
  readonly underlay: Underlay;
  readonly netlink: Netlink;
  readonly journal: Journal;
}

async function takeGround(config: Config, { log, scope }: Surroundings): Promise<Ground> {
  const netlink = scope.own(await openNetlink(), (each) => each.close());
  const watching = await watchUnderlay(config.vtep, config.port, { netlink, log });
  const underlay = scope.own(watching, (each) => each.close());
  const journal = await openJournal(config.stateDir);
  const id = await nodeIdentity(config.stateDir);
  return { id, underlay, netlink, journal };
}

async function startOverlay(config: Config, log: Log, scope: Scope): Promise<Standby> {
  const ground = await takeGround(config, { log, scope });
  const open = () => openOverlay(config, ground, log);
  if (!config.waitForStore) return scope.own(alwaysThere(await open()), (each) => each.close());
  const { address, port, alternate } = ground.underlay.place().vtep;
  const node = { id: ground.id, name: config.node, vtep: address, port, alternate, epoch: 0 };
  const waiting = { node, version: readVersion(), storeKind: config.store.kind };
  return scope.own(await standBy(open, waiting, log), (each) => each.close());
}

function alwaysThere(overlay: Overlay): Standby {
  return { ...overlay, failed: new Promise(() => undefined) };
}

/** Joins the cluster. What it opened is closed again when that fails, else with the overlay. */
async function openOverlay(config: Config, { id, underlay, netlink, journal }: Ground, log: Log): Promise<Overlay> {
  const scope = createScope();
  try {
    const token = config.storeToken?.reveal();
    const store = scope.own(await openStore(config.store, { token }), (each) => each.close());
    const openDataPath = async () => {
      const options = { vtep: underlay.place().vtep, bpfDir: config.bpfDir, netlink, log };
      const dataPath = scope.own(await chooseDataPath(config.dataPath, options), (each) => each.close());
      log.info({ dataPath: dataPath.reason }, 'data path chosen');
      return dataPath;
    };
    const stopping = new AbortController();
    const probe = scope.own(createIcmpProber(stopping.signal), () => stopping.abort());
    const overlay = await createOverlay(
      { store, codecs, journal, openDataPath, underlay, probe, engine: engineOf(config), log },
      {
        node: { id, name: config.node },
        process: processIdentity(),
        version: readVersion(),
        poolRanges: config.pools,
        probeIntervalMs: config.probeIntervalMs,
        driver: { scope: config.scope, name: config.driverName },
        hostSubnets: () => hostSubnets(netlink),
      },
    );
    const { vtep } = underlay.place();
    log.info({ vtep: addressesOf(vtep).join(), port: vtep.port }, 'node joined');
    scope.own(overlay, (each) => each.close());
    return { ...overlay, close: () => scope.close() };
  } catch (error) {
    await scope.close();
    throw error;
  }
}

/** Null: it is not asked. A managed plugin can only be given another file, so /dev/null means off. */
function engineOf({ dockerSocket }: Config): Engine | null {
  if (dockerSocket === null) return null;
  const isDevice = statSync(dockerSocket, { throwIfNoEntry: false })?.isCharacterDevice() === true;
  return isDevice ? null : createEngine(dockerSocket);
}

interface Surroundings {
  readonly log: Log;
  readonly scope: Scope;
}

async function startServers(config: Config, { verbs, reports }: Overlay, { log, scope }: Surroundings): Promise<void> {
  const version = readVersion();
  const control = await startControlServer({ reports, version, socketPath: config.controlSocket, log });
  scope.own(control, (each) => each.close());
  if (config.metrics !== null) {
    const metrics = await startMetricsServer({ reports, ...config.metrics, log });
    scope.own(metrics, (each) => each.close());
  }
  const { scope: driverScope, driverName, pluginSocket: socketPath } = config;
  const plugin = await createPluginServer({ verbs, scope: driverScope, driverName, socketPath, log });
  scope.own(plugin, (each) => each.close());
}

function stopSignal(): Promise<string> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve(signal));
  });
}

/** A process of an earlier boot is not alive, whatever has its id now. */
function processIdentity(): ProcessIdentity {
  const mark = ownProcess();
  return { ...mark, isAlive: (pid, started) => isProcessAlive({ pid, started, boot: mark.boot }) };
}

/** Where this host routes by itself: what an automatic pool must not hide. Default routes hide nothing. */
async function hostSubnets(netlink: Netlink): Promise<readonly Subnet[]> {
  const routes = await netlink.routes();
  return routes
    .filter(({ destination, table, hops }) => destination !== 'default' && table !== localTable && hops.length > 0)
    .filter(({ destination }) => !destination.startsWith('ff') && !destination.startsWith('fe80'))
    .map(({ destination }) => parseSubnet(destination));
}

/** An overlay node without a kernel: the real overlay over a given store, a recording data path and a journal in memory. */

import { type Address, parseAddress, parseSubnet } from '../../src/core/address.ts';
import type { EndpointId, NetworkId, NodeId } from '../../src/core/identity.ts';
import type { Vtep } from '../../src/core/model.ts';
import type { LookTimes } from '../../src/overlay/forgotten.ts';
import { createOverlay, type Overlay } from '../../src/overlay/overlay.ts';
import type { NetworkRequest } from '../../src/overlay/requests.ts';
import type { Engine } from '../../src/ports/engine.ts';
import type { Journal, LocalEndpoint, LocalNetwork } from '../../src/ports/journal.ts';
import type { Log } from '../../src/ports/log.ts';
import type { PathProbe } from '../../src/ports/path-probe.ts';
import type { Store } from '../../src/ports/store.ts';
import { codecs } from '../../src/store/codec.ts';
import { createRecordingDataPath, type RecordingDataPath } from './recording-data-path.ts';
import { createTestUnderlay, type TestUnderlay } from './test-underlay.ts';

export interface OverlayNode extends Overlay {
  readonly dataPath: RecordingDataPath;
  readonly journal: MemoryJournal;
  readonly events: string[];
  readonly underlay: TestUnderlay;
}

export interface MemoryJournal extends Journal {
  readonly networks: Map<string, LocalNetwork>;
  readonly endpoints: Map<string, LocalEndpoint>;
  engine: string | null;
}

export function createMemoryJournal(): MemoryJournal {
  const networks = new Map<string, LocalNetwork>();
  const endpoints = new Map<string, LocalEndpoint>();
  const journal: MemoryJournal = {
    networks,
    endpoints,
    engine: null,
    load: async () => ({ networks: [...networks.values()], endpoints: [...endpoints.values()] }),
    saveNetwork: async (network) => void networks.set(network.id, network),
    forgetNetwork: async (id) => void networks.delete(id),
    saveEndpoint: async (endpoint) => void endpoints.set(endpoint.id, endpoint),
    forgetEndpoint: async (id) => void endpoints.delete(id),
    loadEngine: async () => journal.engine,
    async saveEngine(id) {
      journal.engine = id;
    },
  };
  return journal;
}

export interface NodeOptions {
  readonly journal?: MemoryJournal;
  readonly dataPath?: RecordingDataPath;
  readonly boot?: string;
  readonly hostSubnets?: readonly string[];
  readonly engine?: Engine;
  readonly looks?: LookTimes;
  readonly vtep?: Vtep;
  readonly probe?: PathProbe;
  readonly probeIntervalMs?: number;
}

export interface TestProbe extends PathProbe {
  /** A router's word on a packet that is none of the probe's. */
  refuse(address: Address, mtuBytes: number | null): void;
}

/**
 * Paths that carry as many bytes as told at the moment, with a device of 1500 at this end and, unless told otherwise,
 * nobody who says so; a path that carries nothing is a peer that is away.
 */
export function createPathProbe(carries: (address: Address) => number, isSilent = true): TestProbe {
  const listeners: Parameters<PathProbe['onRefused']>[0][] = [];
  return {
    async probe(address, sizeBytes) {
      const most = carries(address);
      if (sizeBytes <= most) return { kind: 'reply', rttMs: 0.5 };
      if (sizeBytes > 1500) return { kind: 'too-big', mtuBytes: null };
      return isSilent || most === 0 ? { kind: 'timeout' } : { kind: 'too-big', mtuBytes: most };
    },
    onRefused: (listener) => void listeners.push(listener),
    refuse(address, mtuBytes) {
      for (const listener of listeners) listener(address, mtuBytes);
    },
    close: () => undefined,
  };
}

/** Node `number` has VTEP 10.10.<number>.2 unless told. */
export async function startOverlayNode(store: Store, number: number, options: NodeOptions = {}): Promise<OverlayNode> {
  const dataPath = options.dataPath ?? createRecordingDataPath();
  const journal = options.journal ?? createMemoryJournal();
  const events: string[] = [];
  const write = (_: unknown, event: string) => void events.push(event);
  const log: Log = { debug: write, info: write, warn: write, error: write };
  const vtep = options.vtep ?? { address: parseAddress(`10.10.${number}.2`), port: 14789 };
  const underlay = createTestUnderlay({ vtep, mtuBytes: 1500 });
  const probe = options.probe ?? createPathProbe(() => 1500);
  const overlay = await createOverlay(
    {
      store,
      codecs,
      journal,
      openDataPath: async () => dataPath,
      underlay,
      probe,
      engine: options.engine ?? null,
      log,
    },
    {
      node: {
        id: String(number).padStart(16, '0') as NodeId,
        name: `node-${number}`,
      },
      process: { boot: options.boot ?? 'boot-1', pid: process.pid, started: '1', isAlive: () => true },
      version: 'test',
      poolRanges: {
        ipv4: { range: parseSubnet('10.208.0.0/12'), length: 24 },
        ipv6: { range: parseSubnet('fd77:6566:7400::/48'), length: 64 },
      },
      probeIntervalMs: options.probeIntervalMs ?? 1_000,
      driver: { scope: 'local', name: 'weft' },
      ...(options.looks === undefined ? {} : { looks: options.looks }),
      hostSubnets: async () => (options.hostSubnets ?? []).map(parseSubnet),
    },
  );
  return { ...overlay, dataPath, journal, events, underlay };
}

export const networkId = (name: string) => name.padEnd(64, '0') as NetworkId;
export const endpointId = (name: string) => name.padEnd(64, '0') as EndpointId;
export const address = (text: string): Address => parseAddress(text);

export function networkRequest(id: string, fields: Partial<NetworkRequest> = {}): NetworkRequest {
  return {
    id: networkId(id),
    name: null,
    subnets: [parseSubnet('10.77.0.0/24')],
    vni: null,
    mtuBytes: null,
    multicast: true,
    ...fields,
  };
}

/** Waits until the check holds. @throws the last failure after the limit */
export async function eventually(check: () => void | Promise<void>, limitMs = 3_000): Promise<void> {
  const end = Date.now() + limitMs;
  for (;;) {
    try {
      await check();
      return;
    } catch (error) {
      if (Date.now() > end) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

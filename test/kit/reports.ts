/** Reports of a daemon that is not there: a small cluster with something of everything, and a log that remembers. */

import type { Reports, StatusReport } from '../../src/overlay/report.ts';
import type { Log } from '../../src/ports/log.ts';

export const sampleStatus: StatusReport = {
  node: { id: '6f1c0de5a1b2c3d4', name: 'alpha', vtep: '10.10.1.2', port: 14789, epoch: 3 },
  version: '0.1.0',
  dataPath: { kind: 'ebpf', reason: 'the kernel has tcx and BTF' },
  store: { kind: 'consul', state: 'live', digest: '0123456789abcdef' },
  peers: [
    { node: 'beta10', address: '10.10.10.2', port: 14789, state: 'unreachable', mtuBytes: null, rttMs: null },
    { node: 'beta2', address: 'fd00:2::2', port: 4789, state: 'reachable', mtuBytes: 1500, rttMs: 0.4567 },
  ],
  networks: [
    {
      name: 'blue',
      id: 'b1',
      dockerIds: ['a'.repeat(64)],
      vni: 4097,
      subnets: ['10.77.0.0/24', 'fd00:77::/64'],
      mtuBytes: 1450,
      endpoints: 7,
    },
  ],
  drops: { source_mac: 12, rate_limited: 0, too_big: 300 },
  repairs: { fdb: 2 },
  forgotten: { endpoint: 4, network: 1 },
  engine: { state: 'connected', version: '28.5.2', swarm: 'worker', problem: null },
  problems: ['store record weft/v1/n/x cannot be read: it is skipped'],
  notes: ['scope is local in a swarm'],
};

export const sampleReports: Reports = {
  status: async () => sampleStatus,
  nodes: async () => [
    { id: '6f1c0de5a1b2c3d4', name: 'alpha', vtep: '10.10.1.2', port: 14789, mtuBytes: 1500, epoch: 3, isSelf: true },
    { id: '00000000000000b2', name: 'beta2', vtep: 'fd00:2::2', port: 4789, mtuBytes: 9000, epoch: 1, isSelf: false },
  ],
  networks: async () => sampleStatus.networks,
  endpoints: async () => [
    {
      id: 'e'.repeat(64),
      network: 'blue',
      node: 'alpha',
      mac: '02:42:0a:4d:00:02',
      addresses: ['10.77.0.2', 'fd00:77::2'],
      isLocal: true,
    },
  ],
  peers: async () => sampleStatus.peers,
  counters: async () => ({
    encapsulated: { packets: 1000, bytes: 64_000 },
    drop_source_mac: { packets: 12, bytes: 720 },
  }),
};

export interface RememberedLine {
  readonly level: keyof Log;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly event: string;
}

/** Pushes every line on the array. */
export function rememberingLog(lines: RememberedLine[]): Log {
  const write = (level: keyof Log) => (fields: RememberedLine['fields'], event: string) => {
    lines.push({ level, fields, event });
  };
  return { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') };
}

/**
 * What goes over the control socket, in the order of overlay/report.ts. The daemon sends its reports as they are; the
 * client parses them, since the process at the other end may be another version. Fields it does not know are dropped.
 */

import { z } from 'zod';
import type { EndpointReport, NetworkReport, NodeReport, PeerReport, StatusReport } from '../overlay/report.ts';

const counts = z.record(z.string(), z.number());

const peer = z.object({
  node: z.string(),
  address: z.string(),
  port: z.number(),
  state: z.enum(['reachable', 'unreachable', 'unknown']),
  mtuBytes: z.number().nullable(),
  rttMs: z.number().nullable(),
  problem: z.string().optional(),
}) satisfies z.ZodType<PeerReport>;

const network = z.object({
  name: z.string(),
  id: z.string(),
  dockerIds: z.array(z.string()),
  vni: z.number(),
  subnets: z.array(z.string()),
  mtuBytes: z.number(),
  endpoints: z.number(),
}) satisfies z.ZodType<NetworkReport>;

const status = z.object({
  node: z.object({
    id: z.string(),
    name: z.string(),
    vtep: z.string(),
    port: z.number(),
    alternate: z.string().optional(),
    epoch: z.number(),
  }),
  version: z.string(),
  dataPath: z.object({ kind: z.string(), reason: z.string() }),
  store: z.object({ kind: z.string(), state: z.enum(['live', 'stale', 'down']), digest: z.string() }),
  peers: z.array(peer),
  networks: z.array(network),
  drops: counts,
  repairs: counts,
  forgotten: counts,
  engine: z.object({
    state: z.enum(['connected', 'unknown', 'off']),
    version: z.string().nullable(),
    swarm: z.string().nullable(),
    problem: z.string().nullable(),
  }),
  problems: z.array(z.string()),
  notes: z.array(z.string()),
}) satisfies z.ZodType<StatusReport>;

const node = z.object({
  id: z.string(),
  name: z.string(),
  vtep: z.string(),
  port: z.number(),
  alternate: z.string().optional(),
  mtuBytes: z.number(),
  epoch: z.number(),
  isSelf: z.boolean(),
}) satisfies z.ZodType<NodeReport>;

const endpoint = z.object({
  id: z.string(),
  network: z.string(),
  node: z.string(),
  mac: z.string(),
  addresses: z.array(z.string()),
  isLocal: z.boolean(),
}) satisfies z.ZodType<EndpointReport>;

/** One question, one answer. */
export const answers = {
  status,
  nodes: z.array(node),
  networks: z.array(network),
  endpoints: z.array(endpoint),
  peers: z.array(peer),
  version: z.object({ version: z.string() }),
} as const;

/** Every answer with a status other than 200. */
export const refusal = z.object({ error: z.string() });

/**
 * What the engine's API answers, as far as it is of use here; the same from 20.10 to 29 (moby api/types). Fields that
 * Go leaves out or sends as null count as empty.
 */

import { z } from 'zod';
import type { EndpointId, NetworkId } from '../core/identity.ts';

const networkId = z
  .string()
  .min(1)
  .transform((text) => text as NetworkId);
const endpoint = z.object({ EndpointID: z.string().nullish() });

/** GET /info */
export const infoAnswer = z.object({
  ID: z.string().min(1),
  ServerVersion: z.string(),
  Swarm: z.object({ LocalNodeState: z.string().nullish(), ControlAvailable: z.boolean().nullish() }).nullish(),
});

/** GET /networks */
export const networksAnswer = z.array(
  z.object({ Id: networkId, Name: z.string().nullish(), Driver: z.string().nullish(), Scope: z.string().nullish() }),
);

/** GET /containers/json */
export const containersAnswer = z.array(
  z.object({ NetworkSettings: z.object({ Networks: z.record(z.string(), endpoint.nullable()).nullish() }).nullish() }),
);

const plugin = z.object({ Type: z.string(), Name: z.string() });

/** GET /nodes, of a manager */
export const nodesAnswer = z.array(
  z.object({
    Description: z
      .object({ Hostname: z.string().nullish(), Engine: z.object({ Plugins: z.array(plugin).nullish() }).nullish() })
      .nullish(),
    Status: z.object({ State: z.string().nullish() }).nullish(),
  }),
);

/** GET /services, of a manager; a network in which the service has no virtual address has an entry without one. */
export const servicesAnswer = z.array(
  z.object({
    Spec: z.object({ Name: z.string() }),
    Endpoint: z
      .object({ VirtualIPs: z.array(z.object({ NetworkID: networkId, Addr: z.string().nullish() })).nullish() })
      .nullish(),
  }),
);

/** GET /networks/ID */
export const networkAnswer = z.object({ Id: networkId, Containers: z.record(z.string(), endpoint).nullish() });

/** Every answer with a status other than 200. */
export const refusalAnswer = z.object({ message: z.string() });

/** An endpoint of a container that does not run has an empty id. */
export function endpointIds(endpoints: readonly (z.output<typeof endpoint> | null)[]): ReadonlySet<EndpointId> {
  return new Set(endpoints.flatMap((each) => (each?.EndpointID ? [each.EndpointID as EndpointId] : [])));
}

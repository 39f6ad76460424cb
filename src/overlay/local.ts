/**
 * What this node has by its own knowledge: the networks Docker created here and their endpoints, in memory and in the
 * journal. The journal is written first, so that what a verb has answered is there after a crash.
 */

import type { EndpointId, NetworkId, NetworkKey } from '../core/identity.ts';
import type { Endpoint, Network } from '../core/model.ts';
import { overlayError } from '../errors.ts';
import type { Journal, LocalEndpoint, LocalNetwork } from '../ports/journal.ts';

export interface Local {
  network(id: NetworkId): LocalNetwork | null;
  /** @throws NETWORK_UNKNOWN */
  requireNetwork(id: NetworkId): LocalNetwork;
  endpoint(id: EndpointId): LocalEndpoint | null;
  networks(): readonly LocalNetwork[];
  endpoints(): readonly LocalEndpoint[];
  /** Overlay networks of this node, each once however many Docker networks map to it. */
  overlays(): readonly Network[];
  /** Endpoints that are joined, of one network or of all. */
  joined(network?: NetworkKey): readonly Endpoint[];
  saveNetwork(network: LocalNetwork): Promise<void>;
  forgetNetwork(id: NetworkId): Promise<void>;
  saveEndpoint(endpoint: LocalEndpoint): Promise<void>;
  forgetEndpoint(id: EndpointId): Promise<void>;
}

/** Loads the journal. Interfaces do not survive a reboot, so endpoints of an earlier boot are no longer joined. */
export async function loadLocal(journal: Journal, bootId: string): Promise<Local> {
  const state = await journal.load();
  const networks = new Map(state.networks.map((network) => [network.id, network]));
  const endpoints = new Map(
    state.endpoints.map((endpoint) => [
      endpoint.id,
      { ...endpoint, joined: endpoint.joined && endpoint.bootId === bootId },
    ]),
  );

  return {
    network: (id) => networks.get(id) ?? null,
    requireNetwork(id) {
      const network = networks.get(id);
      if (network === undefined) throw overlayError('NETWORK_UNKNOWN', { network: id });
      return network;
    },
    endpoint: (id) => endpoints.get(id) ?? null,
    networks: () => [...networks.values()],
    endpoints: () => [...endpoints.values()],
    overlays: () => [
      ...new Map(Array.from(networks.values(), (network) => [network.key, overlayOf(network)])).values(),
    ],
    joined: (network) =>
      [...endpoints.values()]
        .filter((endpoint) => endpoint.joined && (network === undefined || endpoint.network === network))
        .map(({ id, network: key, mac, addresses, version }) => ({ id, network: key, mac, addresses, version })),
    async saveNetwork(network) {
      await journal.saveNetwork(network);
      networks.set(network.id, network);
    },
    async forgetNetwork(id) {
      await journal.forgetNetwork(id);
      networks.delete(id);
    },
    async saveEndpoint(endpoint) {
      await journal.saveEndpoint(endpoint);
      endpoints.set(endpoint.id, endpoint);
    },
    async forgetEndpoint(id) {
      await journal.forgetEndpoint(id);
      endpoints.delete(id);
    },
  };
}

function overlayOf({ key, identity, vni, subnets, mtuBytes, multicast }: LocalNetwork): Network {
  return { key, identity, vni, subnets, mtuBytes, multicast };
}

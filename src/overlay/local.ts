/**
 * What this node has by its own knowledge: the networks Docker created here and their endpoints, in memory and in the
 * journal. The journal is written first, so that what a verb has answered is there after a crash. What was deleted
 * stays in it, marked, until the store has been told: a daemon that is killed in between tells it after its next start.
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
  /** From now on it is not there any more, but remembered among the departed. */
  departNetwork(network: LocalNetwork): Promise<void>;
  /** Forgets one that has departed, or was never quite there; not one that is there again. */
  forgetNetwork(id: NetworkId): Promise<void>;
  saveEndpoint(endpoint: LocalEndpoint): Promise<void>;
  departEndpoint(endpoint: LocalEndpoint): Promise<void>;
  forgetEndpoint(id: EndpointId): Promise<void>;
  departed(): { readonly networks: readonly LocalNetwork[]; readonly endpoints: readonly LocalEndpoint[] };
}

/** Loads the journal. Interfaces do not survive a reboot, so endpoints of an earlier boot are no longer joined. */
export async function loadLocal(journal: Journal, bootId: string): Promise<Local> {
  const state = await journal.load();
  const networks = new Map(state.networks.filter(isThere).map((network) => [network.id, network]));
  const endpoints = new Map(
    state.endpoints
      .filter(isThere)
      .map((endpoint) => [endpoint.id, { ...endpoint, joined: endpoint.joined && endpoint.bootId === bootId }]),
  );
  const gone = {
    networks: new Map(state.networks.filter((each) => !isThere(each)).map((each) => [each.id, each])),
    endpoints: new Map(state.endpoints.filter((each) => !isThere(each)).map((each) => [each.id, each])),
  };

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
        .map(endpointOf),
    async saveNetwork(network) {
      await journal.saveNetwork(network);
      gone.networks.delete(network.id);
      networks.set(network.id, network);
    },
    async departNetwork(network) {
      const departed = { ...network, departed: true };
      await journal.saveNetwork(departed);
      networks.delete(network.id);
      gone.networks.set(network.id, departed);
    },
    async forgetNetwork(id) {
      gone.networks.delete(id);
      if (!networks.has(id)) await journal.forgetNetwork(id);
    },
    async saveEndpoint(endpoint) {
      await journal.saveEndpoint(endpoint);
      gone.endpoints.delete(endpoint.id);
      endpoints.set(endpoint.id, endpoint);
    },
    async departEndpoint(endpoint) {
      const departed = { ...endpoint, joined: false, departed: true };
      await journal.saveEndpoint(departed);
      endpoints.delete(endpoint.id);
      gone.endpoints.set(endpoint.id, departed);
    },
    async forgetEndpoint(id) {
      gone.endpoints.delete(id);
      if (!endpoints.has(id)) await journal.forgetEndpoint(id);
    },
    departed: () => ({ networks: [...gone.networks.values()], endpoints: [...gone.endpoints.values()] }),
  };
}

function endpointOf({ id, network, mac, addresses, version, isRouter }: LocalEndpoint): Endpoint {
  return { id, network, mac, addresses, version, ...(isRouter === true && { isRouter }) };
}

function isThere({ departed }: { readonly departed?: boolean | undefined }): boolean {
  return departed !== true;
}

function overlayOf({ key, identity, vni, subnets, mtuBytes, multicast }: LocalNetwork): Network {
  return { key, identity, vni, subnets, mtuBytes, multicast };
}

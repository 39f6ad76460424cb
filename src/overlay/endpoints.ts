/**
 * The life of an endpoint on this node.
 *
 *   createEndpoint ─▶ claimed ─ join ─▶ joined (forwarded, published) ─ leave ─▶ claimed ─ deleteEndpoint ─▶ gone
 *
 * Join brings the local data path up first and then publishes: others only learn of an endpoint that answers. When the
 * store is away, Join still succeeds and its record is written later, since the claim already stands; creating an
 * endpoint needs the store. Leave and delete always succeed here, their writes follow when they must.
 */

import { contains } from '../core/address.ts';
import type { EndpointId, NetworkId, NetworkKey } from '../core/identity.ts';
import { requireUsable } from '../core/ipam.ts';
import { type MacAddress, macFromAddress } from '../core/mac.ts';
import { overlayError } from '../errors.ts';
import type { DataPath } from '../ports/data-path.ts';
import type { LocalEndpoint, LocalNetwork } from '../ports/journal.ts';
import type { Store } from '../ports/store.ts';
import type { Background } from './background.ts';
import type { Claims } from './claims.ts';
import { timeLimit } from './limit.ts';
import type { Local } from './local.ts';
import type { Publisher } from './publisher.ts';
import type { Reconciler } from './reconciler.ts';
import { type EndpointRequest, verbLimitMs } from './requests.ts';

export interface Endpoints {
  create(request: EndpointRequest): Promise<MacAddress>;
  join(networkId: NetworkId, id: EndpointId): Promise<{ readonly interfaceName: string }>;
  leave(id: EndpointId): Promise<void>;
  delete(id: EndpointId): Promise<void>;
  /** Gives up the claims of one that has departed, and forgets it. */
  release(endpoint: LocalEndpoint, signal: AbortSignal): Promise<void>;
  facts(id: EndpointId): Readonly<Record<string, string>>;
}

export interface EndpointParts {
  readonly local: Local;
  readonly claims: Claims;
  readonly publisher: Publisher;
  readonly reconciler: Reconciler;
  readonly dataPath: DataPath;
  readonly store: Pick<Store, 'kind'>;
  readonly background: Background;
  readonly bootId: string;
}

export function createEndpoints(parts: EndpointParts, creating: Set<EndpointId>): Endpoints {
  const { local, claims, publisher, reconciler, dataPath, background, bootId } = parts;

  const publishSoon = (network: NetworkKey): Promise<void> =>
    background.attempt(`membership of network ${network}`, () =>
      local.overlays().some(({ key }) => key === network) ? publisher.publish(network) : Promise.resolve(),
    );
  const require = (id: EndpointId): LocalEndpoint => {
    const endpoint = local.endpoint(id);
    if (endpoint === null) throw overlayError('ENDPOINT_UNKNOWN', { endpoint: id });
    return endpoint;
  };
  /** Interface names hold a part of the id only: two ids alike so far would share one interface. */
  const requireOwnName = (id: EndpointId): void => {
    const { hostInterface } = dataPath.interfacesOf(id);
    const other = local.endpoints().find((each) => dataPath.interfacesOf(each.id).hostInterface === hostInterface);
    if (other === undefined) return;
    const existing = `${hostInterface} of endpoint ${other.id}`;
    throw overlayError('ENDPOINT_CONFLICT', {
      endpoint: id,
      field: 'interface',
      existing,
      requested: 'one of its own',
    });
  };
  const claim = async (network: LocalNetwork, request: EndpointRequest): Promise<MacAddress> => {
    const { id, addresses } = request;
    const [first] = addresses;
    if (first === undefined)
      throw overlayError('ADDRESS_INVALID', { value: '(none)', problem: 'an endpoint needs an address' });
    for (const address of addresses) {
      const subnet = network.subnets.find((each) => contains(each, address));
      if (subnet === undefined)
        throw overlayError('ADDRESS_OUTSIDE_POOL', { address, pool: network.subnets.join(' and ') });
      requireUsable(address, subnet);
    }
    const mac = request.mac ?? macFromAddress(first);
    const limit = timeLimit(parts.store, verbLimitMs * 0.8);
    const wanted = { network, endpoint: id, addresses, mac };
    const version = await claims.claimEndpoint(wanted, limit).catch((error: unknown) => {
      background.doubt(error, `claims of endpoint ${id}`, (signal) => claims.releaseEndpoint(wanted, signal));
      throw error;
    });
    const endpoint = {
      id,
      networkId: network.id,
      network: network.key,
      mac,
      addresses,
      version,
      ...(request.isRouter === true && { isRouter: true as const }),
      joined: false,
      bootId,
    };
    await local.saveEndpoint(endpoint);
    return mac;
  };
  const detach = async (endpoint: LocalEndpoint): Promise<void> => {
    if (!endpoint.joined) return;
    await local.saveEndpoint({ ...endpoint, joined: false });
    await reconciler.settle(`port ${endpoint.id}`);
    await publishSoon(endpoint.network);
  };

  const release = async ({ id, networkId, addresses, mac }: LocalEndpoint, signal: AbortSignal): Promise<void> => {
    const network = local.network(networkId) ?? local.departed().networks.find((each) => each.id === networkId);
    if (network !== undefined) await claims.releaseEndpoint({ network, endpoint: id, addresses, mac }, signal);
    await local.forgetEndpoint(id);
  };

  return {
    async create(request) {
      const network = local.requireNetwork(request.networkId);
      const existing = local.endpoint(request.id);
      if (existing !== null) return requireSame(existing, request);
      requireOwnName(request.id);
      creating.add(request.id);
      try {
        return await claim(network, request);
      } finally {
        creating.delete(request.id);
      }
    },
    async join(networkId, id) {
      local.requireNetwork(networkId);
      const endpoint = require(id);
      requireSameNetwork(endpoint, networkId);
      if (!endpoint.joined) {
        await local.saveEndpoint({ ...endpoint, joined: true, bootId });
        try {
          await reconciler.settle(`port ${id}`);
        } catch (error) {
          await local.saveEndpoint(endpoint);
          reconciler.request();
          throw error;
        }
        await publishSoon(endpoint.network);
      }
      return { interfaceName: dataPath.interfacesOf(id).containerInterface };
    },
    async leave(id) {
      const endpoint = local.endpoint(id);
      if (endpoint !== null) await detach(endpoint);
    },
    async delete(id) {
      const endpoint = local.endpoint(id);
      if (endpoint === null) return;
      await detach(endpoint);
      await local.departEndpoint(endpoint);
      await background.attempt(`claims of endpoint ${id}`, (signal) => release(endpoint, signal));
    },
    release,
    facts(id) {
      const { mac, addresses, network, joined, isRouter } = require(id);
      const facts = { mac, addresses: addresses.join(' '), network, state: joined ? 'joined' : 'claimed' };
      return isRouter === true ? { ...facts, router: 'on' } : facts;
    },
  };
}

function requireSameNetwork({ id, networkId: existing }: LocalEndpoint, requested: NetworkId): void {
  if (existing === requested) return;
  throw overlayError('ENDPOINT_CONFLICT', { endpoint: id, field: 'network', existing, requested });
}

/** A repeated CreateEndpoint is fine when it asks for the same. */
function requireSame(existing: LocalEndpoint, request: EndpointRequest): MacAddress {
  const { id, networkId, addresses, mac } = request;
  requireSameNetwork(existing, networkId);
  const [isRouter, shallRoute] = [existing.isRouter === true, request.isRouter === true];
  if (isRouter !== shallRoute) {
    const [present, wanted] = [isRouter ? 'on' : 'off', shallRoute ? 'on' : 'off'];
    throw overlayError('ENDPOINT_CONFLICT', { endpoint: id, field: 'router', existing: present, requested: wanted });
  }
  const present = existing.addresses.join(', ');
  const requested = addresses.join(', ');
  if (present !== requested)
    throw overlayError('ENDPOINT_CONFLICT', { endpoint: id, field: 'addresses', existing: present, requested });
  if (mac !== null && mac !== existing.mac) {
    throw overlayError('ENDPOINT_CONFLICT', {
      endpoint: id,
      field: 'MAC address',
      existing: existing.mac,
      requested: mac,
    });
  }
  return existing.mac;
}

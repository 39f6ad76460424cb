/**
 * One key per address and per MAC, created by compare-and-set: who holds the key holds the address, cluster-wide.
 * Docker's IPAM call reserves an address before an endpoint exists (reservations.ts); CreateEndpoint takes the
 * reservation over, or claims afresh when the engine uses another IPAM driver. DeleteEndpoint gives the endpoint's part
 * back, ReleaseAddress the reservation's, in either order, and the key goes when nobody's part is left.
 */

import type { Address } from '../core/address.ts';
import { contains } from '../core/address.ts';
import { type EndpointId, isOfSwarm, type NodeId } from '../core/identity.ts';
import { addressKey, macKey } from '../core/keys.ts';
import type { MacAddress } from '../core/mac.ts';
import type { Network } from '../core/model.ts';
import { overlayError } from '../errors.ts';
import type { AddressClaim } from '../ports/records.ts';
import type { Revision, StoreKey, StoreOperation } from '../ports/store.ts';
import { replacing, takenBy, vacated } from './address-claim.ts';
import type { Owners } from './owners.ts';
import type { Found, Plan, Records } from './records.ts';

export interface EndpointClaim {
  readonly network: Pick<Network, 'key' | 'identity' | 'subnets'>;
  readonly endpoint: EndpointId;
  readonly addresses: readonly Address[];
  readonly mac: MacAddress;
}

export interface Claims {
  /** All of an endpoint's addresses and its MAC, or none. Resolves to the claim's revision. @throws ADDRESS_TAKEN, MAC_TAKEN */
  claimEndpoint(claim: EndpointClaim, signal: AbortSignal): Promise<Revision>;
  releaseEndpoint(claim: EndpointClaim, signal: AbortSignal): Promise<void>;
}

export interface ClaimSettings {
  readonly self: NodeId;
  readonly owners: Owners;
  isKnown(endpoint: EndpointId): boolean;
}

/**
 * The name space of a network's addresses: its weft.network name, or the common one. A swarm network has one of its
 * own: its subnets are swarm's affair, and a swarm may use the same ones as another, or again at once.
 */
export function nameSpaceOf({ identity }: Pick<Network, 'identity'>): string {
  if (isOfSwarm(identity)) return identity;
  return identity.startsWith('name:') ? identity.slice('name:'.length) : '';
}

export function createClaims(records: Records, { self, owners, isKnown }: ClaimSettings): Claims {
  const { codecs } = records;
  const readAddresses = ({ network, addresses }: EndpointClaim, signal: AbortSignal) =>
    records.readMany(
      codecs.addressClaim,
      addresses.map((address) => claimKey(network, address)),
      signal,
    );

  const planAddress = async (
    { network, endpoint }: EndpointClaim,
    address: Address,
    found: Found<AddressClaim> | null,
    signal: AbortSignal,
  ): Promise<StoreOperation> => {
    const claim = found?.value ?? null;
    if (claim !== null && !(await isFree(claim, endpoint, network, signal))) {
      throw await owners.addressTaken(address, network.identity, claim, signal);
    }
    const value = codecs.addressClaim.encode(takenBy(claim, self, endpoint));
    return { kind: 'put', key: claimKey(network, address), value, expect: found?.revision ?? 0 };
  };
  const isFree = async (
    claim: AddressClaim,
    endpoint: EndpointId,
    network: EndpointClaim['network'],
    signal: AbortSignal,
  ): Promise<boolean> => {
    if (claim.kind === 'shared') return false;
    return claim.kind === 'allocated' || owners.isYielding(claim, endpoint, network, signal);
  };
  const planMac = async ({ network, endpoint, mac }: EndpointClaim, signal: AbortSignal): Promise<StoreOperation> => {
    const key = macKey(network.key, mac);
    const owner = await records.read(codecs.macClaim, key, signal);
    if (owner !== null && !(await owners.isYielding(owner.value, endpoint, network, signal))) {
      const { endpoint: holder, node } = owner.value;
      const details = { mac, network: network.identity, endpoint: holder, node: await owners.nodeName(node, signal) };
      throw overlayError('MAC_TAKEN', details);
    }
    const value = codecs.macClaim.encode({ node: self, endpoint });
    return { kind: 'put', key, value, expect: owner?.revision ?? 0 };
  };
  const planEndpoint = async (claim: EndpointClaim, signal: AbortSignal): Promise<Plan<Revision>> => {
    const found = await readAddresses(claim, signal);
    // Addresses first: a MAC made from a taken address is taken too, and the address is what the user can change.
    const operations: StoreOperation[] = [];
    for (const [index, address] of claim.addresses.entries()) {
      operations.push(await planAddress(claim, address, found[index] ?? null, signal));
    }
    operations.push(await planMac(claim, signal));
    return { operations, answer: (revision) => revision };
  };

  /** The endpoint's part of an address; the whole of it when nothing else is left. */
  const releaseOf = (found: Found<AddressClaim> | null, endpoint: EndpointId): StoreOperation[] => {
    if (found === null || found.value.kind !== 'endpoint') return [];
    if (found.value.node !== self || found.value.endpoint !== endpoint) return [];
    return [replacing(records, found, vacated(found.value))];
  };
  const planReleaseEndpoint = async (claim: EndpointClaim, signal: AbortSignal): Promise<Plan<void>> => {
    const { network, endpoint, mac } = claim;
    // Created again, since this was asked for.
    if (isKnown(endpoint)) return { operations: [], answer: () => undefined };
    const operations = (await readAddresses(claim, signal)).flatMap((each) => releaseOf(each, endpoint));
    const owner = await records.read(codecs.macClaim, macKey(network.key, mac), signal);
    if (owner?.value.endpoint === endpoint) operations.push({ kind: 'delete', key: owner.key, expect: owner.revision });
    return { operations, answer: () => undefined };
  };

  return {
    claimEndpoint: (claim, signal) =>
      records.transact(macKey(claim.network.key, claim.mac), signal, () => planEndpoint(claim, signal)),
    releaseEndpoint: (claim, signal) =>
      records.transact(macKey(claim.network.key, claim.mac), signal, () => planReleaseEndpoint(claim, signal)),
  };
}

/** @throws ADDRESS_OUTSIDE_POOL when no subnet of the network has the address */
function claimKey(network: EndpointClaim['network'], address: Address): StoreKey {
  const subnet = network.subnets.find((each) => contains(each, address));
  if (subnet === undefined)
    throw overlayError('ADDRESS_OUTSIDE_POOL', { address, pool: network.subnets.join(' and ') });
  return addressKey(nameSpaceOf(network), subnet, address);
}

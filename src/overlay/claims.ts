/**
 * One key per address and per MAC, created by compare-and-set: who holds the key holds the address, cluster-wide.
 * Docker's IPAM call reserves an address before an endpoint exists; CreateEndpoint takes the reservation over, or
 * claims afresh when the engine uses another IPAM driver. DeleteEndpoint gives the endpoint's half back, ReleaseAddress
 * the reservation's half, in either order, and the key goes when both are gone. A claim of this node whose endpoint
 * the node does not know is a leftover and may be taken over.
 */

import { randomUUID } from 'node:crypto';
import type { Address, Subnet } from '../core/address.ts';
import { addressFromBytes, contains } from '../core/address.ts';
import type { EndpointId, NodeId } from '../core/identity.ts';
import { addressKey, macKey, nodeKey } from '../core/keys.ts';
import type { MacAddress } from '../core/mac.ts';
import type { Network } from '../core/model.ts';
import { overlayError } from '../errors.ts';
import type { AddressClaim, MacClaim } from '../ports/records.ts';
import type { Revision, StoreKey, StoreOperation } from '../ports/store.ts';
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
  /** Reserves a free address; false when it is not free. */
  reserve(name: string, subnet: Subnet, address: Address, signal: AbortSignal): Promise<boolean>;
  /** Reserves the address the user named. @throws ADDRESS_TAKEN */
  reserveGiven(name: string, subnet: Subnet, address: Address, signal: AbortSignal): Promise<void>;
  shareAuxiliary(name: string, subnet: Subnet, address: Address, signal: AbortSignal): Promise<void>;
  /** Operations that make an address everybody's, for a larger transaction. @throws ADDRESS_TAKEN */
  planShared(
    key: StoreKey,
    address: Address,
    purpose: 'gateway' | 'auxiliary',
    signal: AbortSignal,
  ): Promise<StoreOperation[]>;
  releaseReservation(name: string, subnet: Subnet, address: Address, signal: AbortSignal): Promise<void>;
  /** Whether it is a reservation of this node that no endpoint uses. */
  isAbandoned(claim: AddressClaim): boolean;
}

export interface ClaimSettings {
  readonly self: NodeId;
  isKnown(endpoint: EndpointId): boolean;
  /** A write failed, and the store may yet have taken it: `undo` is to be run when it is back. */
  onDoubt(error: unknown, subject: string, undo: (signal: AbortSignal) => Promise<void>): void;
}

/** Stands for the endpoint in a reservation, until there is one: tells a request of this process from all others. */
const reservationPrefix = 'reservation-';

/** The name space of a network's addresses: its weft.network name, or the common one. */
export function nameSpaceOf({ identity }: Pick<Network, 'identity'>): string {
  return identity.startsWith('name:') ? identity.slice('name:'.length) : '';
}

export function poolLabel(name: string): string {
  return name === '' ? 'another network' : `network ${name}`;
}

/** The inverse of the last part of an address' key. */
export function addressOfClaim(hex: string): Address {
  return addressFromBytes(Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16)));
}

export function createClaims(records: Records, { self, isKnown, onDoubt }: ClaimSettings): Claims {
  const { codecs } = records;

  const isLeftover = (claim: AddressClaim | MacClaim, endpoint: EndpointId | null): boolean => {
    if ('kind' in claim && claim.kind === 'shared') return false;
    return claim.node === self && (claim.endpoint === null || claim.endpoint === endpoint || !isKnown(claim.endpoint));
  };
  const nodeName = async (node: NodeId, signal: AbortSignal): Promise<string> =>
    (await records.read(codecs.node, nodeKey(node), signal).catch(() => null))?.value.name ?? node;
  const ownerOf = async (claim: AddressClaim, signal: AbortSignal) =>
    claim.kind === 'shared'
      ? { endpoint: `(${claim.purpose})`, node: 'every node' }
      : { endpoint: shownOf(claim.endpoint), node: await nodeName(claim.node, signal) };
  const addressTaken = async (address: Address, label: string, claim: AddressClaim, signal: AbortSignal) =>
    overlayError('ADDRESS_TAKEN', { address, network: label, ...(await ownerOf(claim, signal)) });

  const planAddress = async (
    { network, endpoint }: EndpointClaim,
    address: Address,
    found: Found<AddressClaim> | null,
    signal: AbortSignal,
  ): Promise<StoreOperation> => {
    if (found !== null && !isLeftover(found.value, endpoint)) {
      throw await addressTaken(address, network.identity, found.value, signal);
    }
    const reserved = found?.value.kind === 'endpoint' && found.value.reserved;
    const value = codecs.addressClaim.encode({ kind: 'endpoint', node: self, endpoint, reserved });
    return { kind: 'put', key: claimKey(network, address), value, expect: found?.revision ?? 0 };
  };
  const planEndpoint = async (claim: EndpointClaim, signal: AbortSignal): Promise<Plan<Revision>> => {
    const { network, endpoint, addresses, mac } = claim;
    const key = macKey(network.key, mac);
    const found = await records.readMany(
      codecs.addressClaim,
      addresses.map((address) => claimKey(network, address)),
      signal,
    );
    // Addresses first: a MAC made from a taken address is taken too, and the address is what the user can change.
    const operations: StoreOperation[] = [];
    for (const [index, address] of addresses.entries()) {
      operations.push(await planAddress(claim, address, found[index] ?? null, signal));
    }
    const owner = await records.read(codecs.macClaim, key, signal);
    if (owner !== null && !isLeftover(owner.value, endpoint)) {
      const { endpoint: holder, node } = owner.value;
      throw overlayError('MAC_TAKEN', {
        mac,
        network: network.identity,
        endpoint: holder,
        node: await nodeName(node, signal),
      });
    }
    const value = codecs.macClaim.encode({ node: self, endpoint });
    operations.push({ kind: 'put', key, value, expect: owner?.revision ?? 0 });
    return { operations, answer: (revision) => revision };
  };
  /** The endpoint's half of an address; the whole of it when no reservation is left. */
  const releaseOf = (found: Found<AddressClaim> | null, endpoint: EndpointId): StoreOperation[] => {
    if (found === null || found.value.kind === 'shared') return [];
    const { key, value: claim, revision: expect } = found;
    if (claim.node !== self || claim.endpoint !== endpoint) return [];
    if (!claim.reserved) return [{ kind: 'delete', key, expect }];
    return [{ kind: 'put', key, value: codecs.addressClaim.encode({ ...claim, endpoint: null }), expect }];
  };
  const planReleaseEndpoint = async (claim: EndpointClaim, signal: AbortSignal): Promise<Plan<void>> => {
    const { network, endpoint, addresses, mac } = claim;
    // Created again, since this was asked for.
    if (isKnown(endpoint)) return { operations: [], answer: () => undefined };
    const found = await records.readMany(
      codecs.addressClaim,
      addresses.map((address) => claimKey(network, address)),
      signal,
    );
    const operations = found.flatMap((each) => releaseOf(each, endpoint));
    const owner = await records.read(codecs.macClaim, macKey(network.key, mac), signal);
    if (owner?.value.endpoint === endpoint) operations.push({ kind: 'delete', key: owner.key, expect: owner.revision });
    return { operations, answer: () => undefined };
  };

  const reservationOf = (mark: EndpointId) =>
    codecs.addressClaim.encode({ kind: 'endpoint', node: self, endpoint: mark, reserved: true });
  const planForget = async (key: StoreKey, mark: EndpointId, signal: AbortSignal): Promise<Plan<void>> => {
    const found = await records.read(codecs.addressClaim, key, signal);
    const isOurs = found?.value.kind === 'endpoint' && found.value.endpoint === mark;
    const operations = isOurs ? [{ kind: 'delete', key, expect: found.revision } as const] : [];
    return { operations, answer: () => undefined };
  };
  /** Runs a write of a reservation with a mark of its own, by which it is found again when its outcome is open. */
  const reserving = async <Answer>(key: StoreKey, write: (value: Uint8Array) => Promise<Answer>): Promise<Answer> => {
    const mark = `${reservationPrefix}${randomUUID()}` as EndpointId;
    try {
      return await write(reservationOf(mark));
    } catch (error) {
      onDoubt(error, `reservation ${key}`, (later) => records.transact(key, later, () => planForget(key, mark, later)));
      throw error;
    }
  };
  const planReserveGiven = async (
    key: StoreKey,
    value: Uint8Array,
    signal: AbortSignal,
    takenBy: (claim: AddressClaim) => Promise<Error>,
  ): Promise<Plan<void>> => {
    const found = await records.read(codecs.addressClaim, key, signal);
    if (found !== null && !isLeftover(found.value, null)) throw await takenBy(found.value);
    return { operations: [{ kind: 'put', key, value, expect: found?.revision ?? 0 }], answer: () => undefined };
  };
  const planShared: Claims['planShared'] = async (key, address, purpose, signal) => {
    const found = await records.read(codecs.addressClaim, key, signal);
    if (found?.value.kind === 'shared') return [];
    if (found !== null) throw await addressTaken(address, 'the pool', found.value, signal);
    return [{ kind: 'put', key, value: codecs.addressClaim.encode({ kind: 'shared', purpose }), expect: 0 }];
  };
  const planReleaseReservation = async (key: StoreKey, signal: AbortSignal): Promise<Plan<void>> => {
    const found = await records.read(codecs.addressClaim, key, signal);
    const nothing: Plan<void> = { operations: [], answer: () => undefined };
    if (found === null || found.value.kind === 'shared' || found.value.node !== self) return nothing;
    const { endpoint } = found.value;
    const isUsed = endpoint !== null && isKnown(endpoint);
    const value = codecs.addressClaim.encode({ ...found.value, reserved: false });
    const operation: StoreOperation = isUsed
      ? { kind: 'put', key, value, expect: found.revision }
      : { kind: 'delete', key, expect: found.revision };
    return { operations: [operation], answer: () => undefined };
  };

  return {
    claimEndpoint: (claim, signal) =>
      records.transact(macKey(claim.network.key, claim.mac), signal, () => planEndpoint(claim, signal)),
    releaseEndpoint: (claim, signal) =>
      records.transact(macKey(claim.network.key, claim.mac), signal, () => planReleaseEndpoint(claim, signal)),
    async reserve(name, subnet, address, signal) {
      const key = addressKey(name, subnet, address);
      const result = await reserving(key, (value) =>
        records.store.commit([{ kind: 'put', key, value, expect: 0 }], signal),
      );
      return result.committed;
    },
    async reserveGiven(name, subnet, address, signal) {
      const key = addressKey(name, subnet, address);
      const takenBy = (claim: AddressClaim) => addressTaken(address, name || subnet, claim, signal);
      await reserving(key, (value) =>
        records.transact(key, signal, () => planReserveGiven(key, value, signal, takenBy)),
      );
    },
    shareAuxiliary(name, subnet, address, signal) {
      const key = addressKey(name, subnet, address);
      return records.transact(key, signal, async () => ({
        operations: await planShared(key, address, 'auxiliary', signal),
        answer: () => undefined,
      }));
    },
    planShared,
    releaseReservation(name, subnet, address, signal) {
      const key = addressKey(name, subnet, address);
      return records.transact(key, signal, () => planReleaseReservation(key, signal));
    },
    isAbandoned: (claim) => isLeftover(claim, null),
  };
}

function shownOf(endpoint: EndpointId | null): string {
  return endpoint === null || endpoint.startsWith(reservationPrefix) ? '(reserved)' : endpoint;
}

/** @throws ADDRESS_OUTSIDE_POOL when no subnet of the network has the address */
function claimKey(network: EndpointClaim['network'], address: Address): StoreKey {
  const subnet = network.subnets.find((each) => contains(each, address));
  if (subnet === undefined)
    throw overlayError('ADDRESS_OUTSIDE_POOL', { address, pool: network.subnets.join(' and ') });
  return addressKey(nameSpaceOf(network), subnet, address);
}

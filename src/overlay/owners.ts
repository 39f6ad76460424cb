/**
 * Whose a claim is. A claim of this node whose endpoint the node does not know is a leftover and may be taken over. One
 * of another node is that node's, whatever happened to it; only in a network that swarm has allocated, where the manager
 * decides who has which address and has given this one to somebody else, a node without a living daemon has lost it.
 */

import type { Address } from '../core/address.ts';
import { type EndpointId, isAllocation, isOfSwarm, type NodeId } from '../core/identity.ts';
import { nodeKey, recordKey } from '../core/keys.ts';
import type { Network } from '../core/model.ts';
import { type OverlayError, overlayError } from '../errors.ts';
import type { AddressClaim } from '../ports/records.ts';
import type { Records } from './records.ts';

/** The part of a claim that names its owner. */
export interface Owned {
  readonly node: NodeId;
  readonly endpoint: EndpointId | null;
}

/** The network a claim is in. */
export type OwnedIn = Pick<Network, 'key' | 'identity'>;

export interface Owners {
  /** Whether nobody on this node can be using it, but perhaps the endpoint itself. */
  isLeftover(claim: Owned, endpoint: EndpointId | null): boolean;
  /** Whether an endpoint of the network may have it, though it has been claimed. */
  isYielding(claim: Owned, endpoint: EndpointId, network: OwnedIn, signal: AbortSignal): Promise<boolean>;
  /** Whether no daemon of the node lives, as far as the store knows. */
  isGone(node: NodeId, signal: AbortSignal): Promise<boolean>;
  nodeName(node: NodeId, signal: AbortSignal): Promise<string>;
  addressTaken(address: Address, label: string, claim: AddressClaim, signal: AbortSignal): Promise<OverlayError>;
}

/** Stands for the endpoint in a reservation, until there is one: tells a request of this process from all others. */
export const reservationPrefix = 'reservation-';

export function createOwners(
  records: Records,
  { self, isKnown }: { readonly self: NodeId; isKnown(endpoint: EndpointId): boolean },
): Owners {
  const { codecs, store } = records;
  const isLeftover = (claim: Owned, endpoint: EndpointId | null): boolean =>
    claim.node === self && (claim.endpoint === null || claim.endpoint === endpoint || !isKnown(claim.endpoint));
  const isGone = async (node: NodeId, signal: AbortSignal): Promise<boolean> => {
    const key = nodeKey(node);
    return (await store.get([key], signal)).get(key)?.isHeld !== true;
  };
  const isAllocated = async ({ key, identity }: OwnedIn, signal: AbortSignal): Promise<boolean> => {
    if (!isOfSwarm(identity)) return false;
    const record = (await records.read(codecs.network, recordKey(key), signal))?.value;
    return record?.freed === true || record?.holders.some(isAllocation) === true;
  };
  const nodeName = async (node: NodeId, signal: AbortSignal): Promise<string> =>
    (await records.read(codecs.node, nodeKey(node), signal).catch(() => null))?.value.name ?? node;
  const ownerOf = async (claim: AddressClaim, signal: AbortSignal) => {
    if (claim.kind === 'shared') return { endpoint: `(${claim.purpose})`, node: 'every node' };
    if (claim.kind === 'allocated') return { endpoint: '(allocated by swarm)', node: 'the swarm' };
    return { endpoint: shownOf(claim.endpoint), node: await nodeName(claim.node, signal) };
  };

  return {
    isLeftover,
    async isYielding(claim, endpoint, network, signal) {
      if (claim.node === self) return isLeftover(claim, endpoint);
      return (await isAllocated(network, signal)) && (await isGone(claim.node, signal));
    },
    isGone,
    nodeName,
    addressTaken: async (address, label, claim, signal) =>
      overlayError('ADDRESS_TAKEN', { address, network: label, ...(await ownerOf(claim, signal)) }),
  };
}

function shownOf(endpoint: EndpointId | null): string {
  return endpoint === null || endpoint.startsWith(reservationPrefix) ? '(reserved)' : endpoint;
}

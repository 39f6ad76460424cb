/**
 * What nodes that died left in a swarm network. While swarm has the network it stays: such a node may come back. Once
 * swarm has freed it no task is to be in it anywhere, so a holder without a living daemon has nothing to come back to,
 * and what is its is taken away by whoever leaves the network or frees it. In networks that swarm did not allocate it
 * stays.
 */

import { isOfSwarm, type NetworkKey, type NodeId } from '../core/identity.ts';
import { claimsPrefix, macsPrefix, membershipKey, recordKey, stampKey } from '../core/keys.ts';
import type { Network } from '../core/model.ts';
import { overlayError } from '../errors.ts';
import type { AddressClaim, Codec, MacClaim, NetworkRecord } from '../ports/records.ts';
import type { StoreEntry, StoreOperation } from '../ports/store.ts';
import { nameSpaceOf } from './claims.ts';
import type { Networks } from './networks.ts';
import type { Owners } from './owners.ts';
import type { Records } from './records.ts';

export interface Remains {
  /** No-op unless swarm has freed the network, and for holders that live. @throws STORE_CONFLICT: try again */
  clear(network: NetworkKey, signal: AbortSignal): Promise<void>;
}

type ClaimCodec = Codec<AddressClaim> | Codec<MacClaim>;

/** Implementation: a transaction takes 60 operations. */
const chunk = 50;

export function createRemains(records: Records, networks: Networks, owners: Owners): Remains {
  const { codecs, store } = records;

  const deadHolders = async ({ holders }: NetworkRecord, signal: AbortSignal): Promise<readonly NodeId[]> => {
    const dead: NodeId[] = [];
    for (const holder of holders as readonly NodeId[]) if (await owners.isGone(holder, signal)) dead.push(holder);
    return dead;
  };
  /** Under a prefix, by the node in their records; one that cannot be read is nobody's. */
  const claimsOf = async (
    prefix: string,
    codec: ClaimCodec,
    nodes: readonly NodeId[],
    signal: AbortSignal,
  ): Promise<readonly StoreOperation[]> => {
    const entries = await store.list(prefix, signal);
    const isTheirs = (entry: StoreEntry) => nodes.some((node) => node === nodeIn(codec, entry));
    return entries.filter(isTheirs).map(({ key, revision }) => ({ kind: 'delete', key, expect: revision }));
  };
  const remainsOf = async (network: Network, nodes: readonly NodeId[], signal: AbortSignal) => {
    const operations: StoreOperation[] = nodes.flatMap((node) =>
      [stampKey(network.key, node), membershipKey(network.key, node)].map(
        (key): StoreOperation => ({ kind: 'delete', key, expect: 'any' }),
      ),
    );
    for (const subnet of network.subnets) {
      const prefix = claimsPrefix(nameSpaceOf(network), subnet);
      operations.push(...(await claimsOf(prefix, codecs.addressClaim, nodes, signal)));
    }
    return [...operations, ...(await claimsOf(macsPrefix(network.key), codecs.macClaim, nodes, signal))];
  };

  return {
    async clear(key, signal) {
      const found = await records.read(codecs.network, recordKey(key), signal);
      if (found === null || !isOfSwarm(found.value.identity) || found.value.freed !== true) return;
      const dead = await deadHolders(found.value, signal);
      if (dead.length === 0) return;
      // The network last: what is left in it is found by its record.
      const operations = await remainsOf(found.value, dead, signal);
      for (let start = 0; start < operations.length; start += chunk) {
        const { committed } = await store.commit(operations.slice(start, start + chunk), signal);
        if (!committed) throw overlayError('STORE_CONFLICT', { key: recordKey(key), attempts: 1 });
      }
      for (const node of dead) await networks.release(key, node, signal);
    },
  };
}

function nodeIn(codec: ClaimCodec, { value }: StoreEntry): NodeId | null {
  try {
    const claim = codec.decode(value);
    return 'node' in claim ? claim.node : null;
  } catch {
    return null;
  }
}

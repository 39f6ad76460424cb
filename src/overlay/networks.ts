/**
 * An overlay network in the cluster: its record, its VNI, and who has it. The first holder decides VNI, MTU and options;
 * every other one joins what is there, and is refused when it asked for something else. The last one to leave takes
 * record, VNI and anchor away.
 *
 * Swarm holds a network from its allocation to its end, each node as long as it has a container in it. Swarm ends a
 * network before its nodes have left it, so the VNI stays taken until the last one has: that is its quarantine.
 *
 * A VNI is looked for from the hash of the network's identity on. A network that comes back therefore finds its own
 * VNI again, and another one gets it only by a hash collision or by an explicit weft.vni.
 */

import type { Holder, NetworkIdentity, NetworkKey, NodeId } from '../core/identity.ts';
import {
  hash64,
  identityLabel,
  isAllocation,
  isOfSwarm,
  isSwarmId,
  namedIdentity,
  networkKey,
  subnetIdentity,
  swarmIdentity,
} from '../core/identity.ts';
import { anchorKey, anchorName, lastPart, networksPrefix, recordKey, stampsPrefix, vniKey } from '../core/keys.ts';
import type { Network } from '../core/model.ts';
import { type Vni, vniCandidate } from '../core/vni.ts';
import { isOverlayError, overlayError } from '../errors.ts';
import type { NetworkRecord } from '../ports/records.ts';
import type { StoreEntry, StoreOperation } from '../ports/store.ts';
import { decoded, type Found, type Plan, type Records } from './records.ts';
import type { NetworkRequest } from './requests.ts';

export interface Networks {
  /** Joins the network, making it when there is none. @throws NETWORK_CONFLICT, VNI_TAKEN */
  hold(request: NetworkRequest, holder: Holder, signal: AbortSignal): Promise<Network>;
  /** Puts a network back that this node has but the store lost, as it was. */
  restore(network: Network, signal: AbortSignal): Promise<void>;
  /** The inverse of `hold`; no-op for one that is no holder, or is one again (`isWanted`, asked before each try). */
  release(key: NetworkKey, holder: Holder, signal: AbortSignal, isWanted?: () => boolean): Promise<void>;
  /** All that it holds. */
  heldBy(holder: Holder, signal: AbortSignal): Promise<readonly Network[]>;
}

export interface NetworkSettings {
  readonly self: NodeId;
  /** What a new network's containers may see when the user names no MTU, in bytes. */
  automaticMtu(): number;
}

const anchorValue = new TextEncoder().encode('{}');

export function identityOf({ id, name, subnets }: Pick<NetworkRequest, 'id' | 'name' | 'subnets'>): NetworkIdentity {
  if (name !== null) return namedIdentity(name);
  return isSwarmId(id) ? swarmIdentity(id) : subnetIdentity(subnets);
}

export function createNetworks(records: Records, { self, automaticMtu }: NetworkSettings): Networks {
  const { codecs } = records;

  const put = (network: NetworkRecord, expect: number): StoreOperation => ({
    kind: 'put',
    key: recordKey(network.key),
    value: codecs.network.encode(network),
    expect,
  });
  /** A write also for a holder: a release of it that is under way then finds the record changed, and looks again. */
  const joinOperations = ({ value, revision }: Found<NetworkRecord>, holder: Holder): StoreOperation[] => {
    const holders = [...new Set([...value.holders, holder])];
    return [put({ ...value, holders, freed: isAllocation(holder) ? undefined : value.freed }, revision)];
  };
  const createOperations = (network: Network, holder: Holder): StoreOperation[] => {
    const { key, vni, identity } = network;
    const owner = codecs.vni.encode({ vni, network: key, label: identityLabel(identity) });
    return [
      { kind: 'put', key: vniKey(vni), value: owner, expect: 0 },
      put({ ...network, holders: [holder] }, 0),
      { kind: 'put', key: anchorKey(stampsPrefix(key)), value: anchorValue, expect: 'any' },
    ];
  };
  const requireFreeVni = async (vni: Vni, signal: AbortSignal): Promise<Vni> => {
    const taken = await records.read(codecs.vni, vniKey(vni), signal);
    if (taken !== null) throw overlayError('VNI_TAKEN', { vni, owner: taken.value.label });
    return vni;
  };
  const chooseVni = async (key: NetworkKey, signal: AbortSignal): Promise<Vni> => {
    for (let attempt = 0; ; attempt += 1) {
      const vni = vniCandidate(hash64(key), attempt);
      if ((await records.read(codecs.vni, vniKey(vni), signal)) === null) return vni;
    }
  };
  const planHold = async (request: NetworkRequest, holder: Holder, signal: AbortSignal): Promise<Plan<Network>> => {
    const identity = identityOf(request);
    const key = networkKey(identity);
    const found = await records.read(codecs.network, recordKey(key), signal);
    if (found !== null) {
      requireSame(found.value, identity, request);
      return { operations: joinOperations(found, holder), answer: () => networkOf(found.value) };
    }
    const network: Network = {
      key,
      identity,
      vni: request.vni === null ? await chooseVni(key, signal) : await requireFreeVni(request.vni, signal),
      subnets: [...request.subnets].sort(),
      mtuBytes: request.mtuBytes ?? automaticMtu(),
      multicast: request.multicast,
    };
    return { operations: createOperations(network, holder), answer: () => network };
  };
  const planRestore = async (network: Network, signal: AbortSignal): Promise<Plan<void>> => {
    const found = await records.read(codecs.network, recordKey(network.key), signal);
    if (found !== null) return { operations: joinOperations(found, self), answer: () => undefined };
    await requireFreeVni(network.vni, signal);
    return { operations: createOperations(network, self), answer: () => undefined };
  };
  const planRelease = async (
    key: NetworkKey,
    holder: Holder,
    signal: AbortSignal,
    isWanted: () => boolean,
  ): Promise<Plan<void>> => {
    const found = await records.read(codecs.network, recordKey(key), signal);
    if (found === null || !found.value.holders.includes(holder) || isWanted()) {
      return { operations: [], answer: () => undefined };
    }
    const holders = found.value.holders.filter((each) => each !== holder);
    const operations: StoreOperation[] =
      holders.length > 0
        ? [put({ ...found.value, holders, freed: isFreed(found.value, holder, holders) }, found.revision)]
        : [
            { kind: 'delete', key: found.key, expect: found.revision },
            { kind: 'delete', key: vniKey(found.value.vni), expect: 'any' },
            { kind: 'delete', key: anchorKey(stampsPrefix(key)), expect: 'any' },
          ];
    return { operations, answer: () => undefined };
  };

  return {
    hold: (request, holder, signal) =>
      records.transact(recordKey(networkKey(identityOf(request))), signal, () => planHold(request, holder, signal)),
    restore: (network, signal) => records.transact(recordKey(network.key), signal, () => planRestore(network, signal)),
    release: (key, holder, signal, isWanted = () => false) =>
      records.transact(recordKey(key), signal, () => planRelease(key, holder, signal, isWanted)),
    async heldBy(holder, signal) {
      const entries = await records.store.list(networksPrefix, signal);
      const found = entries
        .filter(({ key }) => lastPart(key) !== anchorName)
        .flatMap((entry) => readable(records, entry));
      return found.filter(({ holders }) => holders.includes(holder)).map(networkOf);
    },
  };
}

/** From the moment swarm's last allocation of it has gone. */
function isFreed({ freed }: NetworkRecord, left: Holder, holders: readonly Holder[]): boolean | undefined {
  return isAllocation(left) && !holders.some(isAllocation) ? true : freed;
}

/** One that cannot be read is nobody's here: it must not keep the others from being found. */
function readable({ codecs }: Records, entry: StoreEntry): readonly NetworkRecord[] {
  try {
    return [decoded(codecs.network, entry).value];
  } catch (error) {
    if (!isOverlayError(error, 'STORE_RECORD_CORRUPT')) throw error;
    return [];
  }
}

function networkOf({ key, identity, vni, subnets, mtuBytes, multicast }: NetworkRecord): Network {
  return { key, identity, vni, subnets, mtuBytes, multicast };
}

/** A second engine may leave VNI and MTU out, but must not ask for others. */
function requireSame(existing: Network, identity: NetworkIdentity, request: NetworkRequest): void {
  const network = identityLabel(identity);
  const subnets = [...request.subnets].sort().join(', ');
  if (isOfSwarm(identity) && existing.subnets.join(', ') !== subnets) {
    const details = { network, existing: existing.subnets.join(', '), requested: subnets };
    throw overlayError('NETWORK_DIFFERS_ON_NODE', details);
  }
  const differences: [string, string | number | boolean, string | number | boolean | null][] = [
    ['identity', existing.identity, identity],
    ['subnets', existing.subnets.join(', '), subnets],
    ['weft.vni', existing.vni, request.vni],
    ['MTU', existing.mtuBytes, request.mtuBytes],
    ['weft.multicast', existing.multicast ? 'on' : 'off', request.multicast ? 'on' : 'off'],
  ];
  for (const [field, present, requested] of differences) {
    if (requested !== null && requested !== present) {
      throw overlayError('NETWORK_CONFLICT', { network, field, existing: present, requested });
    }
  }
}

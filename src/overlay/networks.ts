/**
 * An overlay network in the cluster: its record, its VNI, and which nodes have it. The first node to create it decides
 * VNI, MTU and options; every other one joins what is there, and is refused when it asked for something else. The last
 * one to leave takes record, VNI and anchor away.
 *
 * A VNI is looked for from the hash of the network's identity on. A network that comes back therefore finds its own
 * VNI again, and another one gets it only by a hash collision or by an explicit weft.vni.
 */

import type { NetworkIdentity, NetworkKey, NodeId } from '../core/identity.ts';
import { hash64, identityLabel, namedIdentity, networkKey, subnetIdentity } from '../core/identity.ts';
import { anchorKey, recordKey, stampsPrefix, vniKey } from '../core/keys.ts';
import type { Network } from '../core/model.ts';
import { type Vni, vniCandidate } from '../core/vni.ts';
import { overlayError } from '../errors.ts';
import type { NetworkRecord } from '../ports/records.ts';
import type { StoreOperation } from '../ports/store.ts';
import type { Found, Plan, Records } from './records.ts';
import type { NetworkRequest } from './requests.ts';

export interface Networks {
  /** Joins the network, making it when there is none. @throws NETWORK_CONFLICT, VNI_TAKEN */
  hold(request: NetworkRequest, signal: AbortSignal): Promise<Network>;
  /** Puts a network back that this node has but the store lost, as it was. */
  restore(network: Network, signal: AbortSignal): Promise<void>;
  /** The inverse of `hold`; no-op when this node is no holder. */
  release(key: NetworkKey, signal: AbortSignal): Promise<void>;
}

export interface NetworkSettings {
  readonly self: NodeId;
  /** What a new network's containers may see when the user names no MTU, in bytes. */
  automaticMtu(): number;
}

const anchorValue = new TextEncoder().encode('{}');

export function identityOf(request: Pick<NetworkRequest, 'name' | 'subnets'>): NetworkIdentity {
  return request.name === null ? subnetIdentity(request.subnets) : namedIdentity(request.name);
}

export function createNetworks(records: Records, { self, automaticMtu }: NetworkSettings): Networks {
  const { codecs } = records;

  const put = (network: NetworkRecord, expect: number): StoreOperation => ({
    kind: 'put',
    key: recordKey(network.key),
    value: codecs.network.encode(network),
    expect,
  });
  const joinOperations = ({ value, revision }: Found<NetworkRecord>): StoreOperation[] =>
    value.holders.includes(self) ? [] : [put({ ...value, holders: [...value.holders, self] }, revision)];
  const createOperations = (network: Network): StoreOperation[] => {
    const { key, vni, identity } = network;
    const owner = codecs.vni.encode({ vni, network: key, label: identityLabel(identity) });
    return [
      { kind: 'put', key: vniKey(vni), value: owner, expect: 0 },
      put({ ...network, holders: [self] }, 0),
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
  const planHold = async (request: NetworkRequest, signal: AbortSignal): Promise<Plan<Network>> => {
    const identity = identityOf(request);
    const key = networkKey(identity);
    const found = await records.read(codecs.network, recordKey(key), signal);
    if (found !== null) {
      requireSame(found.value, identity, request);
      return { operations: joinOperations(found), answer: () => networkOf(found.value) };
    }
    const network: Network = {
      key,
      identity,
      vni: request.vni === null ? await chooseVni(key, signal) : await requireFreeVni(request.vni, signal),
      subnets: [...request.subnets].sort(),
      mtuBytes: request.mtuBytes ?? automaticMtu(),
      multicast: request.multicast,
    };
    return { operations: createOperations(network), answer: () => network };
  };
  const planRestore = async (network: Network, signal: AbortSignal): Promise<Plan<void>> => {
    const found = await records.read(codecs.network, recordKey(network.key), signal);
    if (found !== null) return { operations: joinOperations(found), answer: () => undefined };
    await requireFreeVni(network.vni, signal);
    return { operations: createOperations(network), answer: () => undefined };
  };
  const planRelease = async (key: NetworkKey, signal: AbortSignal): Promise<Plan<void>> => {
    const found = await records.read(codecs.network, recordKey(key), signal);
    if (found === null || !found.value.holders.includes(self)) return { operations: [], answer: () => undefined };
    const holders = found.value.holders.filter((holder) => holder !== self);
    const operations: StoreOperation[] =
      holders.length > 0
        ? [put({ ...found.value, holders }, found.revision)]
        : [
            { kind: 'delete', key: found.key, expect: found.revision },
            { kind: 'delete', key: vniKey(found.value.vni), expect: 'any' },
            { kind: 'delete', key: anchorKey(stampsPrefix(key)), expect: 'any' },
          ];
    return { operations, answer: () => undefined };
  };

  return {
    hold: (request, signal) =>
      records.transact(recordKey(networkKey(identityOf(request))), signal, () => planHold(request, signal)),
    restore: (network, signal) => records.transact(recordKey(network.key), signal, () => planRestore(network, signal)),
    release: (key, signal) => records.transact(recordKey(key), signal, () => planRelease(key, signal)),
  };
}

function networkOf({ key, identity, vni, subnets, mtuBytes, multicast }: NetworkRecord): Network {
  return { key, identity, vni, subnets, mtuBytes, multicast };
}

/** A second engine may leave VNI and MTU out, but must not ask for others. */
function requireSame(existing: Network, identity: NetworkIdentity, request: NetworkRequest): void {
  const network = identityLabel(identity);
  const subnets = [...request.subnets].sort().join(', ');
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

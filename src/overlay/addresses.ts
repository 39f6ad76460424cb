/**
 * The IPAM driver's addresses: which one, out of a pool that is held (pools.ts). A pool's gateway is one address for
 * all engines: nothing answers there (docker_gwbridge gives egress), it only must not differ or be given to a container.
 */

import type { Address, Subnet } from '../core/address.ts';
import { withPrefix } from '../core/address.ts';
import { firstUsable, freeAddress, poolSize, randomAddress, requireUsable } from '../core/ipam.ts';
import { addressKey, addressOfKey, claimsPrefix, poolKey } from '../core/keys.ts';
import { overlayError } from '../errors.ts';
import { type Pool, parsePoolId } from './pool-id.ts';
import { randomBelow } from './random.ts';
import type { Plan, Records } from './records.ts';
import type { AddressRequest, PoolId } from './requests.ts';
import type { Reservations } from './reservations.ts';

export interface Addresses {
  /** Resolves to `address/length`. @throws POOL_UNKNOWN, POOL_EXHAUSTED, ADDRESS_TAKEN, ADDRESS_OUTSIDE_POOL */
  request(request: AddressRequest, signal: AbortSignal): Promise<string>;
  release(pool: PoolId, address: Address, signal: AbortSignal): Promise<void>;
}

export interface AddressSettings {
  readonly reservations: Reservations;
  /** Whether a network of this node uses the pool. */
  isInUse(name: string, subnet: Subnet): boolean;
}

/** Implementation: random tries before looking at the whole list; with half the pool in use 1 in 256 needs the list. */
const randomTries = 8;

export function createAddresses(records: Records, { reservations, isInUse }: AddressSettings): Addresses {
  const { codecs, store } = records;
  const requirePool = async ({ name, subnet }: Pool, signal: AbortSignal) => {
    const found = await records.read(codecs.pool, poolKey(name, subnet), signal);
    if (found === null) throw overlayError('POOL_UNKNOWN', { pool: subnet });
    return found;
  };

  const planGateway = async (pool: Pool, wanted: Address | null, signal: AbortSignal): Promise<Plan<Address>> => {
    const found = await requirePool(pool, signal);
    const existing = found.value.gateway;
    if (existing !== null) {
      if (wanted === null || wanted === existing) return { operations: [], answer: () => existing };
      throw overlayError('NETWORK_CONFLICT', {
        network: pool.name === '' ? pool.subnet : `${pool.name} (${pool.subnet})`,
        field: 'gateway',
        existing,
        requested: wanted,
      });
    }
    const gateway = wanted ?? firstUsable(pool.subnet);
    const key = addressKey(pool.name, pool.subnet, gateway);
    const claim = await reservations.planShared(key, gateway, 'gateway', signal);
    const value = codecs.pool.encode({ ...found.value, gateway });
    return {
      operations: [{ kind: 'put', key: found.key, value, expect: found.revision }, ...claim],
      answer: () => gateway,
    };
  };

  /** False when it is not free. */
  const take = (pool: Pool, address: Address, signal: AbortSignal): Promise<boolean> =>
    pool.space === 'global'
      ? reservations.allocate(pool, address, signal)
      : reservations.reserve(pool, address, signal);
  const choose = async (pool: Pool, signal: AbortSignal): Promise<Address> => {
    for (let attempt = 0; attempt < randomTries; attempt += 1) {
      const address = randomAddress(pool.subnet, pool.range, randomBelow);
      if (await take(pool, address, signal)) return address;
    }
    return chooseListed(pool, signal);
  };
  /** Random tries kept hitting used addresses: list them, and try free ones only. */
  const chooseListed = async (pool: Pool, signal: AbortSignal): Promise<Address> => {
    const { name, subnet, range } = pool;
    const size = poolSize(subnet, range);
    const prefix = claimsPrefix(name, subnet);
    for (let attempt = 0; attempt < randomTries; attempt += 1) {
      const entries = await store.list(prefix, signal);
      const used = new Set(entries.map(({ key }) => addressOfKey(key)));
      const address = freeAddress(subnet, range, used, randomBelow);
      if (address === null) {
        throw overlayError('POOL_EXHAUSTED', { pool: range ?? subnet, used: used.size, size: size.toString() });
      }
      if (await take(pool, address, signal)) return address;
    }
    throw overlayError('STORE_CONFLICT', { key: prefix, attempts: randomTries });
  };

  const takeGiven = (pool: Pool, address: Address, signal: AbortSignal): Promise<void> => {
    if (pool.space === 'global') return reservations.allocateGiven(pool, address, signal);
    // Before a network of this node uses the pool, Docker asks for --aux-address: alike on every engine.
    return isInUse(pool.name, pool.subnet)
      ? reservations.reserveGiven(pool, address, signal)
      : reservations.shareAuxiliary(pool, address, signal);
  };
  const requestForEndpoint = async (pool: Pool, wanted: Address | null, signal: AbortSignal): Promise<Address> => {
    await requirePool(pool, signal);
    if (wanted === null) return choose(pool, signal);
    await takeGiven(pool, wanted, signal);
    return wanted;
  };

  return {
    async request({ pool: id, address, purpose }, signal) {
      const pool = parsePoolId(id);
      if (address !== null) requireUsable(address, pool.subnet);
      const key = poolKey(pool.name, pool.subnet);
      const gotten =
        purpose === 'gateway'
          ? await records.transact(key, signal, () => planGateway(pool, address, signal))
          : await requestForEndpoint(pool, address, signal);
      return withPrefix(gotten, pool.subnet);
    },
    release(id, address, signal) {
      const pool = parsePoolId(id);
      return pool.space === 'global'
        ? reservations.deallocate(pool, address, signal)
        : reservations.release(pool, address, signal);
    },
  };
}

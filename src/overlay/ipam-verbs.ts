/**
 * The verbs of the IPAM driver over pools and addresses. What Docker gives back is given back at once or, while the
 * store is away, later; but not any more once Docker has asked for the same thing again.
 */

import type { Store } from '../ports/store.ts';
import type { Addresses } from './addresses.ts';
import type { Background } from './background.ts';
import { persist, timeLimit } from './limit.ts';
import { parsePoolId, poolId } from './pool-id.ts';
import type { Pools } from './pools.ts';
import { type AddressSpace, allocatorLimitMs, type PoolId, type Verbs, verbLimitMs } from './requests.ts';

export interface IpamParts {
  readonly store: Pick<Store, 'kind'>;
  readonly pools: Pools;
  readonly addresses: Addresses;
  readonly background: Background;
}

type IpamVerbs = Pick<Verbs, 'requestPool' | 'releasePool' | 'requestAddress' | 'releaseAddress'>;

export function createIpamVerbs({ store, pools, addresses, background }: IpamParts): IpamVerbs {
  const releaseOfPool = (pool: PoolId) => `release of pool ${pool}`;
  const releaseOfAddress = (pool: PoolId, address: string) => `release of address ${address} of pool ${pool}`;
  const within = <T>(space: AddressSpace, task: (signal: AbortSignal) => Promise<T>): Promise<T> =>
    space === 'global'
      ? persist(store, allocatorLimitMs, task)
      : // Not half: what fails then must still be taken back within the whole limit.
        task(timeLimit(store, verbLimitMs * 0.45));

  return {
    async requestPool(request) {
      const { name, subnet, range, space } = request;
      if (subnet !== null) background.cancel(releaseOfPool(poolId({ name: name ?? '', subnet, range, space })));
      const given = await within(space, (signal) => pools.request(request, signal));
      background.cancel(releaseOfPool(given.pool));
      return given;
    },
    async releasePool(pool) {
      parsePoolId(pool); // A retry would not make sense of it either.
      await background.attempt(releaseOfPool(pool), (signal) => pools.release(pool, signal));
    },
    async requestAddress(request) {
      const { space } = parsePoolId(request.pool);
      if (request.address !== null) background.cancel(releaseOfAddress(request.pool, request.address));
      const given = await within(space, (signal) => addresses.request(request, signal));
      background.cancel(releaseOfAddress(request.pool, given.slice(0, given.indexOf('/'))));
      return given;
    },
    async releaseAddress(pool, address) {
      parsePoolId(pool);
      await background.attempt(releaseOfAddress(pool, address), (signal) => addresses.release(pool, address, signal));
    },
  };
}

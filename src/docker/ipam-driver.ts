/**
 * Docker's IpamDriver over the verbs of the overlay (moby ipams/remote/remote.go is the caller).
 *
 * Claims live in the store, so nothing needs replaying after an engine's restart, and a MAC address plays no part in
 * choosing an address. Of the two address spaces the global one is where swarm's allocator books, on the manager that
 * leads and for all nodes; each node then books the same again in the local one. A pool is the cluster's in either: the
 * space only tells whose the request is. A pool's gateway comes from RequestAddress like any other address and
 * not with the pool, because every engine since 1.13 does it that way.
 */

import type { Subnet } from '../core/address.ts';
import { familyOf, overlaps, prefixLength } from '../core/address.ts';
import type { Verbs } from '../overlay/requests.ts';
import type * as messages from './messages.ts';
import { addressSpaces, refusal } from './messages.ts';

/** Specification (moby ipamapi RequestAddressType, netlabel.Gateway). */
const gatewayType = 'com.docker.network.gateway';

const done = {};

export function createIpamDriver(verbs: Verbs) {
  return {
    getCapabilities: () => ({ RequiresMACAddress: false, RequiresRequestReplay: false }),

    getDefaultAddressSpaces: () => ({
      LocalDefaultAddressSpace: addressSpaces.local,
      GlobalDefaultAddressSpace: addressSpaces.global,
    }),

    async requestPool(request: ReturnType<typeof messages.requestPool>) {
      const { Pool: wanted, SubPool: range, V6: v6, Options: options } = request;
      requireRangeInside(wanted, range);
      requireFamily(wanted, v6);
      // Swarm's allocator leaves V6 false whatever the subnet, so a given subnet decides.
      const family = wanted !== null ? familyOf(wanted) : v6 ? 'ipv6' : 'ipv4';
      const { pool, subnet } = await verbs.requestPool({
        space: request.AddressSpace,
        family,
        subnet: wanted,
        range,
        name: options.name,
      });
      return { PoolID: pool, Pool: subnet, Data: {} };
    },

    async releasePool(request: ReturnType<typeof messages.releasePool>) {
      await verbs.releasePool(request.PoolID);
      return done;
    },

    async requestAddress(request: ReturnType<typeof messages.requestAddress>) {
      const purpose = request.Options.type === gatewayType ? 'gateway' : 'endpoint';
      const address = await verbs.requestAddress({ pool: request.PoolID, address: request.Address, purpose });
      return { Address: address, Data: {} };
    },

    async releaseAddress(request: ReturnType<typeof messages.releaseAddress>) {
      await verbs.releaseAddress(request.PoolID, request.Address);
      return done;
    },
  };
}

const requestPool = 'IpamDriver.RequestPool';

function requireRangeInside(pool: Subnet | null, range: Subnet | null): void {
  if (range === null) return;
  if (pool === null)
    throw refusal(requestPool, `SubPool ${range} is given without Pool; give --subnet with --ip-range`);
  if (overlaps(pool, range) && prefixLength(range) >= prefixLength(pool)) return;
  throw refusal(requestPool, `SubPool ${range} does not lie inside Pool ${pool}; choose --ip-range within --subnet`);
}

function requireFamily(pool: Subnet | null, v6: boolean): void {
  if (!v6 || pool === null || familyOf(pool) === 'ipv6') return;
  throw refusal(requestPool, `Pool ${pool} is not IPv6, though V6 is true`);
}

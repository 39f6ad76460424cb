/**
 * The IPAM driver's pools, cluster-wide. A pool belongs to a name space (the `weft.network` option, or the common one)
 * in which subnets never overlap; the same subnet in the same name space is the same pool on every engine.
 *
 * Who holds a pool: each node whose engine has booked it, swarm's allocator when the leader's engine has booked it for
 * the swarm, and each swarm network that was allocated with it. The allocator books again at each change of leader what
 * it has already, and gives a pool back behind the network it was for; so its hold goes when no network is left.
 */

import type { Subnet } from '../core/address.ts';
import { familyOf, overlaps } from '../core/address.ts';
import { allocator, type Holder, isAllocation, type NodeId } from '../core/identity.ts';
import { freeSubnet, type PoolRange, poolSize } from '../core/ipam.ts';
import { claimsPrefix, nameSpaceKey, poolKey } from '../core/keys.ts';
import { overlayError } from '../errors.ts';
import type { AddressClaim, Codec, PoolRecord } from '../ports/records.ts';
import type { StoreEntry, StoreKey, StoreOperation } from '../ports/store.ts';
import { type Pool, parsePoolId, poolId } from './pool-id.ts';
import { randomBelow } from './random.ts';
import type { Found, Plan, Records } from './records.ts';
import type { PoolId, PoolRequest } from './requests.ts';
import type { PoolPlace, ReservationSettings, Reservations } from './reservations.ts';

export interface Pools {
  request(request: PoolRequest, signal: AbortSignal): Promise<{ readonly pool: PoolId; readonly subnet: Subnet }>;
  /** No-op while a network of this node uses the pool: Docker calls this before it deletes the network. */
  release(pool: PoolId, signal: AbortSignal): Promise<void>;
  /** A network of this node is gone: lets go of what Docker gave back before. */
  settle(names: readonly string[], subnets: readonly Subnet[], signal: AbortSignal): Promise<void>;
  /** A swarm network holds those of its pools that are of this driver. */
  bind(places: readonly PoolPlace[], network: Holder, signal: AbortSignal): Promise<void>;
  /** The inverse. */
  unbind(places: readonly PoolPlace[], network: Holder, signal: AbortSignal): Promise<void>;
}

export interface PoolSettings {
  readonly self: NodeId;
  readonly reservations: Reservations;
  readonly ranges: Readonly<Record<'ipv4' | 'ipv6', PoolRange>>;
  /** Subnets this host routes somewhere else; a chosen pool must not hide them. */
  hostSubnets(): Promise<readonly Subnet[]>;
  /** Whether a network of this node uses the pool. */
  isInUse(name: string, subnet: Subnet): boolean;
  onDoubt: ReservationSettings['onDoubt'];
}

/** Implementation: a transaction takes 60 operations. */
const mostDepartingClaims = 50;

export function createPools(records: Records, settings: PoolSettings): Pools {
  const { codecs, store } = records;
  const { self, reservations, isInUse } = settings;
  const readPool = ({ name, subnet }: PoolPlace, signal: AbortSignal) =>
    records.read(codecs.pool, poolKey(name, subnet), signal);
  const holderOf = ({ space }: Pick<Pool, 'space'>): Holder => (space === 'global' ? allocator : self);

  const choose = async ({ family, name }: PoolRequest, taken: readonly Subnet[]): Promise<Subnet> => {
    const existing = name === null ? undefined : taken.find((subnet) => familyOf(subnet) === family);
    const host = await settings.hostSubnets();
    if (existing !== undefined) return requireApart(existing, name ?? '', host);
    const subnet = freeSubnet(settings.ranges[family], [...taken, ...host], randomBelow);
    if (subnet === null) throw overlayError('POOL_NONE_FREE', { range: settings.ranges[family].range });
    return subnet;
  };
  const joinOperations = ({ key, value, revision: expect }: Found<PoolRecord>, holder: Holder): StoreOperation[] => {
    const isAgain = holder === allocator && value.returned === true;
    if (value.holders.includes(holder) && !isAgain) return [];
    const holders = [...new Set([...value.holders, holder])];
    const joined = codecs.pool.encode({ ...value, holders, returned: isAgain ? undefined : value.returned });
    return [{ kind: 'put', key, value: joined, expect }];
  };
  const planHold = async (request: PoolRequest, signal: AbortSignal): Promise<Plan<Subnet>> => {
    const name = request.name ?? '';
    const holder = holderOf(request);
    const space = await records.read(codecs.nameSpace, nameSpaceKey(name), signal);
    const taken = space?.value.subnets ?? [];
    const subnet = request.subnet ?? (await choose(request, taken));
    const pool = await readPool({ name, subnet }, signal);
    if (pool !== null) return { operations: joinOperations(pool, holder), answer: () => subnet };
    const other = taken.find((each) => each !== subnet && overlaps(each, subnet));
    if (other !== undefined) throw overlayError('POOL_OVERLAPS', { subnet, other, owner: poolLabel(name) });
    const fresh: PoolRecord = { name, subnet, gateway: null, holders: [holder] };
    const places = codecs.nameSpace.encode({ name, subnets: [...new Set([...taken, subnet])] });
    return {
      operations: [
        { kind: 'put', key: nameSpaceKey(name), value: places, expect: space?.revision ?? 0 },
        { kind: 'put', key: poolKey(name, subnet), value: codecs.pool.encode(fresh), expect: 0 },
      ],
      answer: () => subnet,
    };
  };

  /** Resolves to whether it is done: a pool has more claims than go into one transaction. */
  const planLeave = async (place: PoolPlace, holder: Holder, signal: AbortSignal): Promise<Plan<boolean>> => {
    const found = await readPool(place, signal);
    if (found === null || !found.value.holders.includes(holder)) return { operations: [], answer: () => true };
    const rest = found.value.holders.filter((each) => each !== holder);
    const isReturned = found.value.returned === true && !rest.some(isAllocation);
    const holders = rest.filter((each) => !(isReturned && each === allocator));
    // A network is freed before the allocator gives its pool back, so the allocator's hold ends with the last network.
    if (holder === allocator && holders.some(isAllocation)) {
      const value = codecs.pool.encode({ ...found.value, returned: true });
      return { operations: [{ kind: 'put', key: found.key, value, expect: found.revision }], answer: () => true };
    }
    const going = await departingClaims(place, holder, holders.length === 0, signal);
    if (going.length > mostDepartingClaims) {
      return { operations: going.slice(0, mostDepartingClaims), answer: () => false };
    }
    if (holders.length > 0) {
      const value = codecs.pool.encode({ ...found.value, holders });
      const leave: StoreOperation = { kind: 'put', key: found.key, value, expect: found.revision };
      return { operations: [leave, ...going], answer: () => true };
    }
    const dissolve = await dissolveOperations(records, place, found, signal);
    return { operations: [...dissolve, ...going], answer: () => true };
  };
  /**
   * Reservations of this node that Docker gave up while the daemon was away; with the last holder also what all share
   * and what swarm had allocated.
   */
  const departingClaims = async (
    { name, subnet }: PoolPlace,
    holder: Holder,
    isLast: boolean,
    signal: AbortSignal,
  ): Promise<readonly StoreOperation[]> => {
    const entries = await store.list(claimsPrefix(name, subnet), signal);
    const isGoing = (claim: AddressClaim | null) =>
      claim?.kind === 'endpoint' ? (isLast || holder === self) && reservations.isAbandoned(claim) : isLast;
    return entries
      .filter((entry) => isGoing(readable(codecs.addressClaim, entry)))
      .map(({ key, revision }): StoreOperation => ({ kind: 'delete', key, expect: revision }));
  };
  const leave = async (place: PoolPlace, holder: Holder, signal: AbortSignal): Promise<void> => {
    const key = poolKey(place.name, place.subnet);
    for (let isDone = false; !isDone; ) {
      isDone = await records.transact(key, signal, () => planLeave(place, holder, signal));
    }
  };

  /** Pools that Docker has from this process and has not given back, and those it gave back while in use. */
  const given = new Set<StoreKey>();
  const returned = new Map<StoreKey, PoolPlace>();
  const release = async (pool: Pool, signal: AbortSignal): Promise<void> => {
    const key = poolKey(pool.name, pool.subnet);
    if (pool.space === 'local' && isInUse(pool.name, pool.subnet)) {
      returned.set(key, pool);
      return;
    }
    await leave(pool, holderOf(pool), signal);
  };
  const hold = async (request: PoolRequest, signal: AbortSignal): Promise<Subnet> => {
    const name = request.name ?? '';
    let tried: Subnet | null = null;
    const plan = async () => {
      const made = await planHold(request, signal);
      tried = made.answer(0);
      return made;
    };
    try {
      const subnet = await records.transact(nameSpaceKey(name), signal, plan);
      given.add(poolKey(name, subnet));
      returned.delete(poolKey(name, subnet));
      return subnet;
    } catch (error) {
      if (tried !== null) giveUp({ name, subnet: tried, range: null, space: request.space }, error);
      throw error;
    }
  };
  const giveUp = (pool: Pool, error: unknown): void => {
    const key = poolKey(pool.name, pool.subnet);
    settings.onDoubt(error, `release of pool ${poolId(pool)}`, async (signal) => {
      if (!given.has(key)) await release(pool, signal);
    });
  };

  return {
    async request(request, signal) {
      const { name, range, space } = request;
      if (range !== null && request.subnet !== null) requireInside(range, request.subnet);
      const subnet = await hold(request, signal);
      return { pool: poolId({ name: name ?? '', subnet, range, space }), subnet };
    },
    async release(id, signal) {
      const pool = parsePoolId(id);
      given.delete(poolKey(pool.name, pool.subnet));
      await release(pool, signal);
    },
    async settle(names, subnets, signal) {
      const places = names.flatMap((name) => subnets.map((subnet): PoolPlace => ({ name, subnet })));
      const late = [...returned.values()].filter(({ subnet }) => subnets.includes(subnet));
      for (const place of [...places, ...late]) {
        const key = poolKey(place.name, place.subnet);
        if (isInUse(place.name, place.subnet)) continue;
        await leave(place, self, signal);
        returned.delete(key);
      }
    },
    async bind(places, network, signal) {
      for (const place of places) {
        await records.transact(poolKey(place.name, place.subnet), signal, async () => {
          const pool = await readPool(place, signal);
          return { operations: pool === null ? [] : joinOperations(pool, network), answer: () => undefined };
        });
      }
    },
    async unbind(places, network, signal) {
      for (const place of places) await leave(place, network, signal);
    },
  };
}

function poolLabel(name: string): string {
  return name === '' ? 'another network' : `network ${name}`;
}

function requireInside(range: Subnet, subnet: Subnet): void {
  if (overlaps(range, subnet) && poolSize(range, null) <= poolSize(subnet, null)) return;
  throw overlayError('SUBNET_INVALID', { value: range, problem: `the address range must lie inside ${subnet}` });
}

/** Docker re-requests a pool that overlaps a route of its host for ever, so such a pool is an error here. */
function requireApart(subnet: Subnet, name: string, host: readonly Subnet[]): Subnet {
  const other = host.find((each) => overlaps(each, subnet));
  if (other === undefined) return subnet;
  throw overlayError('POOL_OVERLAPS', {
    subnet,
    other,
    owner: `a route of this host (network ${name} has it elsewhere)`,
  });
}

/** Null for a record that cannot be read: it must not keep a whole pool from being let go of. */
function readable(codec: Codec<AddressClaim>, { value }: StoreEntry): AddressClaim | null {
  try {
    return codec.decode(value);
  } catch {
    return null;
  }
}

/** The last holder takes the pool and its place in the name space away. */
async function dissolveOperations(
  records: Records,
  { name, subnet }: PoolPlace,
  found: Found<PoolRecord>,
  signal: AbortSignal,
): Promise<StoreOperation[]> {
  const { codecs } = records;
  const space = await records.read(codecs.nameSpace, nameSpaceKey(name), signal);
  const operations: StoreOperation[] = [{ kind: 'delete', key: found.key, expect: found.revision }];
  if (space === null) return operations;
  const subnets = space.value.subnets.filter((each) => each !== subnet);
  const { key, revision: expect } = space;
  if (subnets.length === 0) return [...operations, { kind: 'delete', key, expect }];
  return [...operations, { kind: 'put', key, value: codecs.nameSpace.encode({ name, subnets }), expect }];
}

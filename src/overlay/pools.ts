/**
 * The IPAM driver's half: pools and the addresses in them, cluster-wide. A pool belongs to a name space (the
 * `weft.network` option, or the common one) in which subnets never overlap; the same subnet in the same name space is
 * the same pool on every engine. Its gateway is one address for all of them: nothing answers there (docker_gwbridge
 * gives egress), it only must not differ or be given to a container.
 */

import type { Address, Subnet } from '../core/address.ts';
import { familyOf, overlaps, parseSubnet, withPrefix } from '../core/address.ts';
import type { NodeId } from '../core/identity.ts';
import {
  firstUsable,
  freeAddress,
  freeSubnet,
  type PoolRange,
  poolSize,
  randomAddress,
  requireUsable,
} from '../core/ipam.ts';
import { addressKey, claimsPrefix, lastPart, nameSpaceKey, poolKey } from '../core/keys.ts';
import { overlayError } from '../errors.ts';
import type { AddressClaim, Codec, PoolRecord } from '../ports/records.ts';
import type { StoreEntry, StoreKey, StoreOperation } from '../ports/store.ts';
import { addressOfClaim, type ClaimSettings, type Claims, poolLabel } from './claims.ts';
import { randomBelow } from './random.ts';
import type { Found, Plan, Records } from './records.ts';
import type { AddressRequest, PoolId, PoolRequest } from './requests.ts';

export interface Pools {
  request(request: PoolRequest, signal: AbortSignal): Promise<{ readonly pool: PoolId; readonly subnet: Subnet }>;
  /** No-op while a network of this node uses the pool: Docker calls this before it deletes the network. */
  release(pool: PoolId, signal: AbortSignal): Promise<void>;
  requestAddress(request: AddressRequest, signal: AbortSignal): Promise<string>;
  releaseAddress(pool: PoolId, address: Address, signal: AbortSignal): Promise<void>;
}

export interface PoolSettings {
  readonly self: NodeId;
  readonly ranges: Readonly<Record<'ipv4' | 'ipv6', PoolRange>>;
  /** Subnets this host routes somewhere else; a chosen pool must not hide them. */
  hostSubnets(): Promise<readonly Subnet[]>;
  /** Whether a network of this node uses the pool. */
  isInUse(name: string, subnet: Subnet): boolean;
  onDoubt: ClaimSettings['onDoubt'];
}

interface Pool {
  readonly name: string;
  readonly subnet: Subnet;
  readonly range: Subnet | null;
}

/** Implementation: random tries before looking at the whole list; with half the pool in use 1 in 256 needs the list. */
const randomTries = 8;
/** Implementation: a transaction takes 60 operations. */
const mostDepartingClaims = 50;

export function createPools(records: Records, claims: Claims, settings: PoolSettings): Pools {
  const { codecs } = records;
  const readPool = (pool: Pool, signal: AbortSignal) =>
    records.read(codecs.pool, poolKey(pool.name, pool.subnet), signal);

  const choose = async ({ family, name }: PoolRequest, taken: readonly Subnet[]): Promise<Subnet> => {
    const existing = name === null ? undefined : taken.find((subnet) => familyOf(subnet) === family);
    const host = await settings.hostSubnets();
    if (existing !== undefined) return requireApart(existing, name ?? '', host);
    const subnet = freeSubnet(settings.ranges[family], [...taken, ...host], randomBelow);
    if (subnet === null) throw overlayError('POOL_NONE_FREE', { range: settings.ranges[family].range });
    return subnet;
  };

  const planHold = async (request: PoolRequest, signal: AbortSignal): Promise<Plan<Subnet>> => {
    const name = request.name ?? '';
    const space = await records.read(codecs.nameSpace, nameSpaceKey(name), signal);
    const taken = space?.value.subnets ?? [];
    const subnet = request.subnet ?? (await choose(request, taken));
    const pool = await records.read(codecs.pool, poolKey(name, subnet), signal);
    if (pool !== null) return { operations: holdOperations(records, pool, settings.self), answer: () => subnet };
    const other = taken.find((each) => each !== subnet && overlaps(each, subnet));
    if (other !== undefined) throw overlayError('POOL_OVERLAPS', { subnet, other, owner: poolLabel(name) });
    const fresh: PoolRecord = { name, subnet, gateway: null, holders: [settings.self] };
    const subnets = [...new Set([...taken, subnet])];
    return {
      operations: [
        {
          kind: 'put',
          key: nameSpaceKey(name),
          value: codecs.nameSpace.encode({ name, subnets }),
          expect: space?.revision ?? 0,
        },
        { kind: 'put', key: poolKey(name, subnet), value: codecs.pool.encode(fresh), expect: 0 },
      ],
      answer: () => subnet,
    };
  };

  const planRelease = async (pool: Pool, signal: AbortSignal): Promise<Plan<void>> => {
    const found = await readPool(pool, signal);
    if (found === null || !found.value.holders.includes(settings.self))
      return { operations: [], answer: () => undefined };
    const holders = found.value.holders.filter((holder) => holder !== settings.self);
    const going = await departingClaims(pool, holders.length === 0, signal);
    if (holders.length > 0) {
      const value = codecs.pool.encode({ ...found.value, holders });
      const leave: StoreOperation = { kind: 'put', key: found.key, value, expect: found.revision };
      return { operations: [leave, ...going], answer: () => undefined };
    }
    const dissolve = await dissolveOperations(records, pool, found, signal);
    return { operations: [...dissolve, ...going], answer: () => undefined };
  };
  /** Reservations of this node that Docker gave up while the daemon was away, and with the last holder what all share. */
  const departingClaims = async ({ name, subnet }: Pool, isLast: boolean, signal: AbortSignal) => {
    const entries = await records.store.list(claimsPrefix(name, subnet), signal);
    const isGoing = (claim: AddressClaim | null) =>
      claim === null || claim.kind === 'shared' ? isLast : claims.isAbandoned(claim);
    return entries
      .filter((entry) => isGoing(readable(codecs.addressClaim, entry)))
      .slice(0, mostDepartingClaims)
      .map(({ key, revision }): StoreOperation => ({ kind: 'delete', key, expect: revision }));
  };

  /** Pools that Docker has from this process and has not given back. */
  const given = new Set<StoreKey>();
  const release = async (pool: Pool, signal: AbortSignal): Promise<void> => {
    if (settings.isInUse(pool.name, pool.subnet)) return;
    await records.transact(poolKey(pool.name, pool.subnet), signal, () => planRelease(pool, signal));
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
      return subnet;
    } catch (error) {
      if (tried !== null) giveUp({ name, subnet: tried, range: null }, error);
      throw error;
    }
  };
  const giveUp = (pool: Pool, error: unknown): void => {
    const key = poolKey(pool.name, pool.subnet);
    settings.onDoubt(error, `release of pool ${poolId(pool)}`, async (signal) => {
      if (!given.has(key)) await release(pool, signal);
    });
  };

  const planGateway = async (pool: Pool, wanted: Address | null, signal: AbortSignal): Promise<Plan<Address>> => {
    const found = await readPool(pool, signal);
    if (found === null) throw overlayError('POOL_UNKNOWN', { pool: pool.subnet });
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
    const claim = await claims.planShared(addressKey(pool.name, pool.subnet, gateway), gateway, 'gateway', signal);
    const value = codecs.pool.encode({ ...found.value, gateway });
    return {
      operations: [{ kind: 'put', key: found.key, value, expect: found.revision }, ...claim],
      answer: () => gateway,
    };
  };

  const chooseAddress = async (pool: Pool, signal: AbortSignal): Promise<Address> => {
    for (let attempt = 0; attempt < randomTries; attempt += 1) {
      const address = randomAddress(pool.subnet, pool.range, randomBelow);
      if (await claims.reserve(pool.name, pool.subnet, address, signal)) return address;
    }
    return chooseListed(pool, signal);
  };
  /** Random tries kept hitting used addresses: list them, and try free ones only. */
  const chooseListed = async (pool: Pool, signal: AbortSignal): Promise<Address> => {
    const size = poolSize(pool.subnet, pool.range);
    for (let attempt = 0; attempt < randomTries; attempt += 1) {
      const entries = await records.store.list(claimsPrefix(pool.name, pool.subnet), signal);
      const used = new Set(entries.map(({ key }) => addressOfClaim(lastPart(key))));
      const address = freeAddress(pool.subnet, pool.range, used, randomBelow);
      if (address === null) {
        throw overlayError('POOL_EXHAUSTED', {
          pool: pool.range ?? pool.subnet,
          used: used.size,
          size: size.toString(),
        });
      }
      if (await claims.reserve(pool.name, pool.subnet, address, signal)) return address;
    }
    throw overlayError('STORE_CONFLICT', { key: claimsPrefix(pool.name, pool.subnet), attempts: randomTries });
  };

  const endpointAddress = async (pool: Pool, wanted: Address | null, signal: AbortSignal): Promise<Address> => {
    if ((await readPool(pool, signal)) === null) throw overlayError('POOL_UNKNOWN', { pool: pool.subnet });
    if (wanted === null) return chooseAddress(pool, signal);
    // Before a network of this node uses the pool, Docker asks for --aux-address: alike on every engine.
    if (settings.isInUse(pool.name, pool.subnet)) await claims.reserveGiven(pool.name, pool.subnet, wanted, signal);
    else await claims.shareAuxiliary(pool.name, pool.subnet, wanted, signal);
    return wanted;
  };

  return {
    async request(request, signal) {
      if (request.range !== null && request.subnet !== null) requireInside(request.range, request.subnet);
      const subnet = await hold(request, signal);
      return { pool: poolId({ name: request.name ?? '', subnet, range: request.range }), subnet };
    },
    async release(id, signal) {
      const pool = parsePoolId(id);
      given.delete(poolKey(pool.name, pool.subnet));
      await release(pool, signal);
    },
    async requestAddress({ pool: id, address, purpose }, signal) {
      const pool = parsePoolId(id);
      if (address !== null) requireUsable(address, pool.subnet);
      const gotten =
        purpose === 'gateway'
          ? await records.transact(poolKey(pool.name, pool.subnet), signal, () => planGateway(pool, address, signal))
          : await endpointAddress(pool, address, signal);
      return withPrefix(gotten, pool.subnet);
    },
    async releaseAddress(id, address, signal) {
      const { name, subnet } = parsePoolId(id);
      await claims.releaseReservation(name, subnet, address, signal);
    },
  };
}

export function poolId({ name, subnet, range }: Pool): PoolId {
  return `${name}|${subnet}|${range ?? ''}` as PoolId;
}

/** @throws POOL_UNKNOWN when it is none of ours */
export function parsePoolId(id: PoolId): Pool {
  const [name, subnet, range, ...rest] = id.split('|');
  if (name === undefined || subnet === undefined || range === undefined || rest.length > 0) {
    throw overlayError('POOL_UNKNOWN', { pool: id });
  }
  return { name, subnet: parseSubnet(subnet), range: range === '' ? null : parseSubnet(range) };
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

function holdOperations(records: Records, pool: Found<PoolRecord>, self: NodeId): StoreOperation[] {
  if (pool.value.holders.includes(self)) return [];
  const value = records.codecs.pool.encode({ ...pool.value, holders: [...pool.value.holders, self] });
  return [{ kind: 'put', key: pool.key, value, expect: pool.revision }];
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
  { name, subnet }: Pool,
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

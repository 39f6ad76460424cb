/**
 * The part of an address' claim that Docker's IPAM calls ask for.
 *
 *   reserve, reserveGiven     by an engine for a container of its own, before there is an endpoint; given back by `release`
 *   allocate, allocateGiven   by swarm's allocator, on whichever node leads, for a task or service anywhere; given back
 *                             by `deallocate`, perhaps on another node. A new leader asks for everything again that is
 *                             in use, so asking for what is allocated is no mistake.
 *   planShared                gateways and auxiliary addresses: alike for all
 *
 * On the node of a task the engine reserves what swarm has allocated once more: that is the same address, not another.
 */

import { randomUUID } from 'node:crypto';
import type { Address, Subnet } from '../core/address.ts';
import type { EndpointId, NodeId } from '../core/identity.ts';
import { addressKey } from '../core/keys.ts';
import type { AddressClaim } from '../ports/records.ts';
import type { StoreKey, StoreOperation } from '../ports/store.ts';
import { isAllocated, replacing, unallocated, unreserved } from './address-claim.ts';
import { type Owners, reservationPrefix } from './owners.ts';
import type { Plan, Records } from './records.ts';

/** Of the pools that addresses are in. */
export interface PoolPlace {
  readonly name: string;
  readonly subnet: Subnet;
}

export interface Reservations {
  /** Reserves a free address; false when it is not free. */
  reserve(pool: PoolPlace, address: Address, signal: AbortSignal): Promise<boolean>;
  /** Reserves the address the user, or swarm, named. @throws ADDRESS_TAKEN */
  reserveGiven(pool: PoolPlace, address: Address, signal: AbortSignal): Promise<void>;
  release(pool: PoolPlace, address: Address, signal: AbortSignal): Promise<void>;
  allocate(pool: PoolPlace, address: Address, signal: AbortSignal): Promise<boolean>;
  /** @throws ADDRESS_TAKEN */
  allocateGiven(pool: PoolPlace, address: Address, signal: AbortSignal): Promise<void>;
  deallocate(pool: PoolPlace, address: Address, signal: AbortSignal): Promise<void>;
  shareAuxiliary(pool: PoolPlace, address: Address, signal: AbortSignal): Promise<void>;
  /** Operations that make an address everybody's, for a larger transaction. @throws ADDRESS_TAKEN */
  planShared(
    key: StoreKey,
    address: Address,
    purpose: 'gateway' | 'auxiliary',
    signal: AbortSignal,
  ): Promise<StoreOperation[]>;
  /** Whether it is a reservation of this node that no endpoint uses. */
  isAbandoned(claim: AddressClaim): boolean;
}

export interface ReservationSettings {
  readonly self: NodeId;
  readonly owners: Owners;
  isKnown(endpoint: EndpointId): boolean;
  /** A write failed, and the store may yet have taken it: `undo` is to be run when it is back. */
  onDoubt(error: unknown, subject: string, undo: (signal: AbortSignal) => Promise<void>): void;
}

const nothing: Plan<void> = { operations: [], answer: () => undefined };

export function createReservations(records: Records, settings: ReservationSettings): Reservations {
  const { codecs, store } = records;
  const { self, owners, isKnown, onDoubt } = settings;
  const keyOf = ({ name, subnet }: PoolPlace, address: Address) => addressKey(name, subnet, address);
  const labelOf = ({ name, subnet }: PoolPlace) => name || subnet;
  const read = (key: StoreKey, signal: AbortSignal) => records.read(codecs.addressClaim, key, signal);
  const writing = (operation: StoreOperation): Plan<void> => ({ operations: [operation], answer: () => undefined });

  const planForget = async (key: StoreKey, isOurs: (claim: AddressClaim) => boolean, signal: AbortSignal) => {
    const found = await read(key, signal);
    return found !== null && isOurs(found.value) ? writing(replacing(records, found, null)) : nothing;
  };
  /** Runs the write of a new claim; when its outcome is open, what is then found to be ours is taken away again. */
  const doubting = async <Answer>(
    key: StoreKey,
    isOurs: (claim: AddressClaim) => boolean,
    write: () => Promise<Answer>,
  ): Promise<Answer> => {
    try {
      return await write();
    } catch (error) {
      onDoubt(error, `reservation ${key}`, (later) =>
        records.transact(key, later, () => planForget(key, isOurs, later)),
      );
      throw error;
    }
  };
  /** With a mark of its own, by which a reservation is found again. */
  const reserving = <Answer>(key: StoreKey, write: (value: Uint8Array) => Promise<Answer>): Promise<Answer> => {
    const mark = `${reservationPrefix}${randomUUID()}` as EndpointId;
    const value = codecs.addressClaim.encode({ kind: 'endpoint', node: self, endpoint: mark, reserved: true });
    return doubting(
      key,
      (claim) => claim.kind === 'endpoint' && claim.endpoint === mark,
      () => write(value),
    );
  };
  const create = async (key: StoreKey, value: Uint8Array, signal: AbortSignal): Promise<boolean> =>
    (await store.commit([{ kind: 'put', key, value, expect: 0 }], signal)).committed;

  const planReserveGiven = async (pool: PoolPlace, address: Address, value: Uint8Array, signal: AbortSignal) => {
    const key = keyOf(pool, address);
    const found = await read(key, signal);
    if (found === null) return writing({ kind: 'put', key, value, expect: 0 });
    if (found.value.kind === 'allocated') return nothing;
    if (found.value.kind === 'shared' || !owners.isLeftover(found.value, null)) {
      throw await owners.addressTaken(address, labelOf(pool), found.value, signal);
    }
    return isAllocated(found.value) ? nothing : writing({ kind: 'put', key, value, expect: found.revision });
  };
  const planRelease = async (key: StoreKey, signal: AbortSignal): Promise<Plan<void>> => {
    const found = await read(key, signal);
    if (found === null || found.value.kind !== 'endpoint' || found.value.node !== self) return nothing;
    const { endpoint } = found.value;
    const isUsed = endpoint !== null && isKnown(endpoint);
    return writing(replacing(records, found, unreserved(found.value, isUsed)));
  };
  const planAllocateGiven = async (pool: PoolPlace, address: Address, signal: AbortSignal): Promise<Plan<void>> => {
    const key = keyOf(pool, address);
    const found = await read(key, signal);
    const value = codecs.addressClaim.encode({ kind: 'allocated' });
    if (found === null) return writing({ kind: 'put', key, value, expect: 0 });
    // Without the mark it is nobody's to undo any more: it is in use, and was asked for again.
    if (found.value.kind === 'allocated') {
      return found.value.mark === undefined ? nothing : writing({ kind: 'put', key, value, expect: found.revision });
    }
    if (isAllocated(found.value)) return nothing;
    throw await owners.addressTaken(address, labelOf(pool), found.value, signal);
  };
  const planDeallocate = async (key: StoreKey, signal: AbortSignal): Promise<Plan<void>> => {
    const found = await read(key, signal);
    if (found === null || !isAllocated(found.value)) return nothing;
    return writing(replacing(records, found, unallocated(found.value)));
  };
  const planShared: Reservations['planShared'] = async (key, address, purpose, signal) => {
    const found = await read(key, signal);
    if (found?.value.kind === 'shared') return [];
    if (found !== null) throw await owners.addressTaken(address, 'the pool', found.value, signal);
    return [{ kind: 'put', key, value: codecs.addressClaim.encode({ kind: 'shared', purpose }), expect: 0 }];
  };

  return {
    reserve(pool, address, signal) {
      const key = keyOf(pool, address);
      return reserving(key, (value) => create(key, value, signal));
    },
    reserveGiven(pool, address, signal) {
      const key = keyOf(pool, address);
      return reserving(key, (value) =>
        records.transact(key, signal, () => planReserveGiven(pool, address, value, signal)),
      );
    },
    release(pool, address, signal) {
      const key = keyOf(pool, address);
      return records.transact(key, signal, () => planRelease(key, signal));
    },
    allocate(pool, address, signal) {
      const key = keyOf(pool, address);
      const mark = randomUUID();
      const value = codecs.addressClaim.encode({ kind: 'allocated', mark });
      return doubting(
        key,
        (claim) => claim.kind === 'allocated' && claim.mark === mark,
        () => create(key, value, signal),
      );
    },
    allocateGiven: (pool, address, signal) =>
      records.transact(keyOf(pool, address), signal, () => planAllocateGiven(pool, address, signal)),
    deallocate(pool, address, signal) {
      const key = keyOf(pool, address);
      return records.transact(key, signal, () => planDeallocate(key, signal));
    },
    shareAuxiliary(pool, address, signal) {
      const key = keyOf(pool, address);
      return records.transact(key, signal, async () => ({
        operations: await planShared(key, address, 'auxiliary', signal),
        answer: () => undefined,
      }));
    },
    planShared,
    isAbandoned: (claim) => claim.kind === 'endpoint' && owners.isLeftover(claim, null),
  };
}

/** A pool as Docker knows it: `NAME|SUBNET|RANGE`, and `|global` behind it when swarm's allocator has it. Opaque to Docker. */

import { parseSubnet, type Subnet } from '../core/address.ts';
import { overlayError } from '../errors.ts';
import type { AddressSpace, PoolId } from './requests.ts';

export interface Pool {
  readonly name: string;
  readonly subnet: Subnet;
  readonly range: Subnet | null;
  readonly space: AddressSpace;
}

export function poolId({ name, subnet, range, space }: Pool): PoolId {
  return `${name}|${subnet}|${range ?? ''}${space === 'global' ? '|global' : ''}` as PoolId;
}

/** @throws POOL_UNKNOWN when it is none of ours */
export function parsePoolId(id: PoolId): Pool {
  const [name, subnet, range, space = 'local', ...rest] = id.split('|');
  const isSpace = space === 'local' || space === 'global';
  if (name === undefined || subnet === undefined || range === undefined || !isSpace || rest.length > 0) {
    throw overlayError('POOL_UNKNOWN', { pool: id });
  }
  return { name, subnet: parseSubnet(subnet), range: range === '' ? null : parseSubnet(range), space };
}

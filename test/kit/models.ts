/** Models of small clusters by chance, from a seed that a failing test prints: what a data path may be asked to hold. */

import { parseAddress, parseSubnet } from '../../src/core/address.ts';
import { type EndpointId, hash64, type NodeId, namedIdentity, networkKey } from '../../src/core/identity.ts';
import { macFromAddress } from '../../src/core/mac.ts';
import type { Endpoint, Model, Network, Vtep } from '../../src/core/model.ts';
import { parseVni } from '../../src/core/vni.ts';

/** A number from 0 to below `limit`. */
export type Chance = (limit: number) => number;

/** Mulberry32 (T. Ettinger, public domain), enough to vary tests. */
export function chanceFrom(seed: number): Chance {
  let state = seed >>> 0;
  return (limit) => {
    state = (state + 0x6d2b_79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit;
  };
}

/** 64 hex digits, alike for one name. */
export function endpointId(name: string): EndpointId {
  const digits = [0, 1, 2, 3].map((part) => hash64(`${part} ${name}`).toString(16).padStart(16, '0'));
  return digits.join('') as EndpointId;
}

export function nodeId(name: string): NodeId {
  return hash64(name).toString(16).padStart(16, '0') as NodeId;
}

/** Network `number` (1 to 250): 10.77.number.0/24, fd00:77:number::/64, VNI 4096 + number. */
export function testNetwork(number: number, rest: Partial<Pick<Network, 'mtuBytes' | 'multicast'>> = {}): Network {
  const identity = namedIdentity(`net${number}`);
  const subnets = [parseSubnet(`10.77.${number}.0/24`), parseSubnet(`fd00:77:${number}::/64`)];
  const key = networkKey(identity);
  return { key, identity, vni: parseVni(4096 + number), subnets, mtuBytes: 1450, multicast: false, ...rest };
}

/** The endpoint with host number `host` in a test network. */
export function testEndpoint(number: number, host: number, families: 'ipv4' | 'both' = 'both'): Endpoint {
  const network = testNetwork(number).key;
  const ipv4 = parseAddress(`10.77.${number}.${host}`);
  const addresses = families === 'ipv4' ? [ipv4] : [ipv4, parseAddress(`fd00:77:${number}::${host.toString(16)}`)];
  return { id: endpointId(`${number} ${host}`), network, mac: macFromAddress(ipv4), addresses, version: host };
}

/** Up to four networks; endpoints are local or behind one of `vteps` by chance. */
export function randomModel(chance: Chance, vteps: readonly Vtep[]): Model {
  const numbers = [1, 2, 3, 4].filter(() => chance(3) > 0);
  const networks = numbers.map((number) =>
    testNetwork(number, { multicast: chance(2) === 1, mtuBytes: 1400 + chance(50) }),
  );
  const local: Endpoint[] = [];
  const remote = new Map<string, { number: number; vtep: Vtep; endpoints: Endpoint[] }>();
  for (const number of numbers) {
    for (let host = 2; host < 2 + chance(12); host += 1) {
      const endpoint = testEndpoint(number, host, chance(2) === 0 ? 'ipv4' : 'both');
      const vtep = vteps[chance(vteps.length * 2)];
      if (vtep === undefined) local.push(endpoint);
      else {
        const key = `${number} ${vtep.address}`;
        const membership = remote.get(key) ?? { number, vtep, endpoints: [] };
        membership.endpoints.push(endpoint);
        remote.set(key, membership);
      }
    }
  }
  const memberships = [...remote.values()].map(({ number, vtep, endpoints }) => ({
    node: nodeId(vtep.address),
    network: testNetwork(number).key,
    vtep,
    endpoints,
    groups: chance(3) === 0 ? undefined : randomGroups(chance),
  }));
  const measured = vteps.filter(() => chance(2) === 0);
  const pathMtus = new Map(measured.map(({ address }) => [address, 1280 + chance(300)]));
  return { self: nodeId('self'), networks, remote: memberships, local, pathMtus };
}

function randomGroups(chance: Chance) {
  const groups = Array.from(
    { length: chance(4) },
    () => [`239.1.2.${chance(5)}`, `ff15::${chance(5)}`][chance(2)] ?? '::',
  );
  return [...new Set(groups)].map(parseAddress);
}

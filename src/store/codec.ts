/**
 * Records as they stand in the store: JSON, so that an operator can read them with the store's own tools; endpoints
 * as tuples, since a node's membership record repeats them a thousand times. Unknown fields are ignored, so that a
 * later version may add some.
 */

import { z } from 'zod';
import { parseAddress, parseSubnet } from '../core/address.ts';
import type { EndpointId, Holder, NetworkIdentity, NetworkKey, NodeId } from '../core/identity.ts';
import { parseMac } from '../core/mac.ts';
import { parseVni } from '../core/vni.ts';
import type { Codec, Codecs } from '../ports/records.ts';

const nodeId = z
  .string()
  .regex(/^[0-9a-f]{16}$/)
  .transform((text) => text as NodeId);
const holder = z
  .string()
  .regex(/^([0-9a-f]{16}|swarm(-[0-9a-z]{1,64})?)$/)
  .transform((text) => text as Holder);
const networkKey = z
  .string()
  .regex(/^[0-9a-f]{16}$/)
  .transform((text) => text as NetworkKey);
const identity = z
  .string()
  .regex(/^(name|swarm|subnets):./)
  .transform((text) => text as NetworkIdentity);
const endpointId = z
  .string()
  .min(1)
  .max(128)
  .transform((text) => text as EndpointId);
const address = z.string().transform(parseAddress);
const subnet = z.string().transform(parseSubnet);
const mac = z.string().transform(parseMac);
const vni = z.number().transform(parseVni);
const count = z.number().int().nonnegative();
/** Daemons from before `alternate` leave it out, and pass over it. */
const vtep = z.object({ address, port: z.number().int().min(1).max(65_535), alternate: address.optional() });
const version = { epoch: count, generation: count };

const network = z.object({
  key: networkKey,
  identity,
  vni,
  subnets: z.array(subnet),
  mtuBytes: count,
  multicast: z.boolean(),
  holders: z.array(holder),
  freed: z.boolean().optional(),
});

const node = z.object({
  id: nodeId,
  name: z.string().min(1),
  vtep,
  mtuBytes: count,
  epoch: count,
  boot: z.string(),
  pid: count,
  started: z.string(),
});

const endpoint = z
  .tuple([endpointId, mac, z.array(address), count])
  .transform(([id, ownMac, addresses, claim]) => ({ id, mac: ownMac, addresses, version: claim }));

const addressClaim = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('endpoint'),
    node: nodeId,
    endpoint: endpointId.nullable(),
    reserved: z.boolean(),
    allocated: z.boolean().optional(),
  }),
  z.object({ kind: z.literal('allocated'), mark: z.string().optional() }),
  z.object({ kind: z.literal('shared'), purpose: z.enum(['gateway', 'auxiliary']) }),
]);

const membership = z.object({ ...version, endpoints: z.array(endpoint), groups: z.array(address).optional() });

export const codecs: Codecs = {
  node: json(node),
  network: json(network),
  vni: json(z.object({ vni, network: networkKey, label: z.string() })),
  stamp: json(z.object({ ...version, vtep })),
  membership: {
    encode: (value) =>
      bytes({
        ...value,
        endpoints: value.endpoints.map((each) => [each.id, each.mac, each.addresses, each.version]),
      }),
    decode: json(membership).decode,
  },
  nameSpace: json(z.object({ name: z.string(), subnets: z.array(subnet) })),
  pool: json(
    z.object({
      name: z.string(),
      subnet,
      gateway: address.nullable(),
      holders: z.array(holder),
      returned: z.boolean().optional(),
    }),
  ),
  addressClaim: json(addressClaim),
  macClaim: json(z.object({ node: nodeId, endpoint: endpointId })),
};

function json<Value>(schema: z.ZodType<Value>): Codec<Value> {
  return {
    encode: bytes,
    decode: (value) => schema.parse(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(value))),
  };
}

function bytes(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value));
}

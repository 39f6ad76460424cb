/** The journal's records as they stand on disk: JSON, parsed into domain values when they are read. */

import { z } from 'zod';
import { parseAddress, parseSubnet } from '../core/address.ts';
import type { EndpointId, NetworkId, NetworkIdentity, NetworkKey } from '../core/identity.ts';
import { parseMac } from '../core/mac.ts';
import { parseVni } from '../core/vni.ts';
import type { LocalEndpoint, LocalNetwork } from '../ports/journal.ts';

const id = z.string().regex(/^[0-9A-Za-z_.-]{1,128}$/);
const networkId = id.transform((text) => text as NetworkId);
const endpointId = id.transform((text) => text as EndpointId);
const networkKey = z
  .string()
  .regex(/^[0-9a-f]{16}$/)
  .transform((text) => text as NetworkKey);
const identity = z
  .string()
  .regex(/^(name|swarm|subnets):./)
  .transform((text) => text as NetworkIdentity);
const address = z.string().transform(parseAddress);
const subnet = z.string().transform(parseSubnet);
const mac = z.string().transform(parseMac);
const vni = z.number().transform(parseVni);
const count = z.number().int().nonnegative();

const network: z.ZodType<LocalNetwork> = z.object({
  id: networkId,
  key: networkKey,
  identity,
  vni,
  subnets: z.array(subnet),
  mtuBytes: count,
  multicast: z.boolean(),
  departed: z.boolean().optional(),
});

const endpoint: z.ZodType<LocalEndpoint> = z.object({
  id: endpointId,
  networkId,
  network: networkKey,
  mac,
  addresses: z.array(address),
  version: count,
  isRouter: z.literal(true).optional(),
  joined: z.boolean(),
  bootId: z.string(),
  departed: z.boolean().optional(),
});

/** @throws Error of JSON, of zod, or of the domain's parsers */
export const parseNetwork = (text: string): LocalNetwork => network.parse(JSON.parse(text));
export const parseEndpoint = (text: string): LocalEndpoint => endpoint.parse(JSON.parse(text));

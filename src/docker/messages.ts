/**
 * The plugin protocol's messages, in the order of moby's drivers/remote/api/api.go and ipams/remote/api/api.go, and
 * the only place where they are read. Each reader takes a request's body to domain values or refuses it by the name of
 * the method, the field and the value.
 *
 * Rules of the wire: fields are spelt as Go spells them; those not listed here are ignored, so a newer engine may send
 * more; Go writes an absent text as "" and an absent map or list as null. An empty body is refused wherever a message
 * is due: the engine's retry after a broken connection sends one (moby pkg/plugins callWithRetry), and it must never
 * pass for a request with default values. Gateway and AuxAddresses are not read: the IPAM driver has handed them out
 * before.
 */

import { z } from 'zod';
import type { Address, Family, Subnet } from '../core/address.ts';
import { familyOf, parseAddress, parseInterfaceAddress, parseSubnet } from '../core/address.ts';
import type { EndpointId, NetworkId } from '../core/identity.ts';
import { parseMac } from '../core/mac.ts';
import { isOverlayError, messageOf, overlayError } from '../errors.ts';
import type { AddressSpace, PoolId } from '../overlay/requests.ts';
import { readEndpointOptions, readNestedNetworkOptions, readNetworkOptions, readPoolOptions } from './options.ts';

/** `method` is for the refusal. @throws MESSAGE_INVALID OPTION_UNKNOWN OPTION_INVALID */
export type Reader<Request> = (method: string, body: string) => Request;

/** Of methods that need no message: whatever is sent is not looked at. */
export const nothing: Reader<null> = () => null;

// The parts messages are made of.

const text = z.string({ error: 'must be a text' });
const absentText = text.nullish().transform((value) => value ?? '');
const textMap = z
  .record(z.string(), text, { error: 'must be a map' })
  .nullish()
  .transform((value) => value ?? {});
const anyMap = z
  .record(z.string(), z.unknown(), { error: 'must be a map' })
  .nullish()
  .transform((value) => value ?? {});

/** 64 hex digits on one engine, 25 base-36 digits in swarm; these characters are safe in store keys and file names. */
const id = text.regex(/^[a-z0-9][a-z0-9_-]{0,63}$/, {
  error: 'must be an id of 1 to 64 lower-case letters, digits, dashes or underscores',
});
const networkId = id.transform((value) => value as NetworkId);
const endpointId = id.transform((value) => value as EndpointId);
const endpoint = { NetworkID: networkId, EndpointID: endpointId };

/** moby driverapi.IPAMData. `family` null: swarm's allocator puts both into one list. */
const pool = (family: Family | null) =>
  z.object(
    { Pool: domain((value) => (family === null ? parseSubnet(value) : ofFamily(family, parseSubnet(value)))) },
    { error: 'must be an object' },
  );
const pools = (family: Family | null) =>
  z
    .array(pool(family), { error: 'must be a list' })
    .nullish()
    .transform((value) => (value ?? []).map((item) => item.Pool));

/** moby api.EndpointInterface. */
const endpointInterface = z
  .object(
    {
      Address: domainOrAbsent((value) => ofFamily('ipv4', parseInterfaceAddress(value))),
      AddressIPv6: domainOrAbsent((value) => ofFamily('ipv6', parseInterfaceAddress(value))),
      MacAddress: domainOrAbsent(parseMac),
    },
    { error: 'must be an object' },
  )
  .nullish()
  .transform((value) => value ?? { Address: null, AddressIPv6: null, MacAddress: null });

// NetworkDriver: drivers/remote/api/api.go.

/** `Options` also as they came, since the answer gives them back. */
export const allocateNetwork = message({
  NetworkID: networkId,
  Options: textMap.transform((given) => ({ given, read: readNetworkOptions(given) })),
  IPv4Data: pools(null),
  IPv6Data: pools(null),
});
export const freeNetwork = message({ NetworkID: networkId });
export const gwAllocCheck = message({ Options: anyMap.transform(readNestedNetworkOptions) });
export const createNetwork = message({
  NetworkID: networkId,
  Options: anyMap.transform(readNestedNetworkOptions),
  IPv4Data: pools('ipv4'),
  IPv6Data: pools('ipv6'),
});
export const deleteNetwork = message({ NetworkID: networkId });
export const createEndpoint = message({
  ...endpoint,
  Interface: endpointInterface,
  Options: anyMap.transform(readEndpointOptions),
});
export const deleteEndpoint = message(endpoint);
export const endpointOperInfo = message(endpoint);
/** SandboxKey is not read: up to engine 27 the namespace does not exist yet, and Docker moves the interface itself. */
export const join = message(endpoint);
export const leave = message(endpoint);
export const programExternalConnectivity = message(endpoint);
export const revokeExternalConnectivity = message(endpoint);
export const discovery = message({ DiscoveryType: z.number({ error: 'must be a number' }) });

// IpamDriver: ipams/remote/api/api.go.

/** As this driver names them. */
export const addressSpaces: Readonly<Record<AddressSpace, string>> = { local: 'WeftLocal', global: 'WeftGlobal' };

export const requestPool = message({
  AddressSpace: absentText.transform((name): AddressSpace => (name === addressSpaces.global ? 'global' : 'local')),
  Pool: domainOrAbsent(parseSubnet),
  SubPool: domainOrAbsent(parseSubnet),
  Options: textMap.transform((options) => ({ name: readPoolOptions(options) })),
  V6: z
    .boolean({ error: 'must be true or false' })
    .nullish()
    .transform((value) => value ?? false),
});
const poolId = text.min(1, { error: 'must name a pool' }).transform((value) => value as PoolId);
export const releasePool = message({ PoolID: poolId });
/** Swarm sends a pool's options again with each address, so those not listed are no mistake here. */
export const requestAddress = message({
  PoolID: poolId,
  Address: domainOrAbsent(parseAddress),
  Options: textMap.transform(({ RequestAddressType: type = '' }) => ({ type })),
});
export const releaseAddress = message({ PoolID: poolId, Address: domain(parseAddress) });

/** A reader of an object with these fields. */
function message<Shape extends z.ZodRawShape>(shape: Shape): Reader<z.output<z.ZodObject<Shape>>> {
  const schema = z.object(shape, { error: 'must be an object' });
  return (method, body) => {
    const read = schema.safeParse(parseJson(method, body), { reportInput: true });
    if (read.success) return read.data;
    throw refusal(method, read.error.issues.map(describe).join('; '));
  };
}

/** MESSAGE_INVALID of a method. */
export function refusal(method: string, problem: string) {
  return overlayError('MESSAGE_INVALID', { method, problem });
}

function parseJson(method: string, body: string): unknown {
  if (body.trim() === '') throw refusal(method, 'the body is empty');
  try {
    return JSON.parse(body);
  } catch (error) {
    throw refusal(method, `the body is not JSON: ${messageOf(error)}`);
  }
}

/** A text field read by one of the core's parsers; its refusal becomes a refusal of the field. */
function domain<Value>(parse: (value: string) => Value) {
  return text.transform(withIssues(parse));
}

/** The same for a field that may be absent: null then. */
function domainOrAbsent<Value>(parse: (value: string) => Value) {
  return absentText.transform(withIssues((value) => (value === '' ? null : parse(value))));
}

function withIssues<Value>(parse: (value: string) => Value) {
  return (value: string, context: z.RefinementCtx): Value => {
    try {
      return parse(value);
    } catch (error) {
      if (!isOverlayError(error)) throw error;
      context.addIssue({ code: 'custom', message: `: ${error.message}` });
      return z.NEVER;
    }
  };
}

function ofFamily<Value extends Address | Subnet>(family: Family, value: Value): Value {
  if (familyOf(value) === family) return value;
  const code = value.includes('/') ? 'SUBNET_INVALID' : 'ADDRESS_INVALID';
  throw overlayError(code, { value, problem: `it is not ${family === 'ipv4' ? 'IPv4' : 'IPv6'}` });
}

/** `IPv4Data[0].Pool: subnet 10.0.0.1/24 is not valid: …`, `NetworkID must be a text, got 7`. */
function describe(issue: z.core.$ZodIssue): string {
  const field = issue.path.length === 0 ? 'the body' : issue.path.map(step).join('').replace(/^\./, '');
  if (issue.code === 'custom') return `${field}${issue.message}`;
  return `${field} ${issue.message}, got ${shown(issue.input)}`;
}

function shown(value: unknown): string {
  try {
    return JSON.stringify(value) ?? 'nothing';
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return 'a value nested too deeply to be shown';
  }
}

function step(part: PropertyKey): string {
  return typeof part === 'number' ? `[${part}]` : `.${String(part)}`;
}

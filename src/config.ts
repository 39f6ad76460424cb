/**
 * Flags and environment become one frozen Config, or the first bad value becomes CONFIG_INVALID with its setting, what
 * is wrong and what to write instead. A flag wins over its environment variable, that over the default (settings.ts).
 * An empty variable counts as not set: a managed plugin's manifest can only empty a variable, never remove it.
 */

import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { isAbsolute } from 'node:path';
import { z } from 'zod';
import {
  type Address,
  type Family,
  familyOf,
  parseAddress,
  parseSubnet,
  prefixLength,
  type Subnet,
} from './core/address.ts';
import type { PoolRange } from './core/ipam.ts';
import { parseStoreLocation, type StoreLocation } from './core/store-location.ts';
import type { VtepChoice } from './core/vtep.ts';
import { isOverlayError, messageOf, overlayError } from './errors.ts';
import { environmentVariable, type SettingName, settings, tokenVariable } from './settings.ts';

/** A text that neither JSON nor a log line nor a debugger's print shows. */
export interface Secret {
  reveal(): string;
  toJSON(): string;
}

export interface Config {
  readonly node: string;
  readonly store: StoreLocation;
  readonly storeToken: Secret | null;
  /** Stand by while the store is away at the start, instead of ending. */
  readonly waitForStore: boolean;
  readonly vtep: VtepChoice;
  readonly port: number;
  readonly dataPath: 'auto' | 'ebpf' | 'bridge';
  readonly scope: 'local' | 'global';
  readonly driverName: string;
  readonly pluginSocket: string;
  readonly controlSocket: string;
  /** null: the engine is asked nothing. */
  readonly dockerSocket: string | null;
  readonly stateDir: string;
  readonly bpfDir: string;
  readonly metrics: { readonly host: string; readonly port: number } | null;
  readonly logLevel: 'trace' | 'debug' | 'info' | 'warn' | 'error';
  /** Where subnets come from when the user names none. */
  readonly pools: Readonly<Record<Family, PoolRange>>;
  readonly probeIntervalMs: number;
}

export type Flags = Readonly<Partial<Record<SettingName, string>>>;
export type Environment = Readonly<Record<string, string | undefined>>;

/** A setting's text and how to name where it came from. */
interface Origin {
  readonly text: string;
  readonly name: string;
}

/** Specification (unix(7)): sun_path has 108 bytes, the last one zero. */
const longestSocketPathBytes = 107;
/** Specification (linux/if.h): IFNAMSIZ is 16, the last one zero. */
const longestDeviceName = 15;
/** Implementation: longer prefixes leave no room for a gateway and two endpoints. */
const longestPrefix: Readonly<Record<Family, number>> = { ipv4: 30, ipv6: 126 };

const schema = z.object({
  node: z.string().regex(/^[A-Za-z0-9._-]{1,63}$/, 'it is not a node name'),
  store: z.string().transform(parseStore),
  waitForStore: oneOf('on', 'off').transform((text) => text === 'on'),
  vtep: z.string().transform(parseVtep),
  port: wholeNumber(1, 65_535),
  dataPath: oneOf('auto', 'ebpf', 'bridge'),
  scope: oneOf('local', 'global'),
  driverName: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._/:-]{0,127}$/, 'it is not a driver name'),
  pluginSocket: socketPath(),
  controlSocket: socketPath(),
  dockerSocket: z
    .string()
    .transform((text) => (text === 'off' ? null : text))
    .pipe(socketPath().nullable()),
  stateDir: absolutePath(),
  bpfDir: absolutePath(),
  metrics: z.string().transform(parseMetrics),
  logLevel: oneOf('trace', 'debug', 'info', 'warn', 'error'),
  pool: subnetOf('ipv4'),
  poolSize: wholeNumber(1, longestPrefix.ipv4),
  pool6: subnetOf('ipv6'),
  pool6Size: wholeNumber(1, longestPrefix.ipv6),
  probeInterval: wholeNumber(1, 3_600),
});

/** @throws CONFIG_INVALID */
export function readConfig(flags: Flags, environment: Environment): Config {
  const origins = new Map(settingNames().map((name) => [name, originOf(name, flags, environment)]));
  const texts = Object.fromEntries([...origins].map(([name, origin]) => [name, origin?.text]));
  const parsed = schema.safeParse(texts);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw invalid(nameOf(issue?.path[0]), origins, issue?.message ?? 'it is not valid');
  }
  const { pool, poolSize, pool6, pool6Size, probeInterval, ...rest } = parsed.data;
  if (poolSize < prefixLength(pool)) throw invalid('poolSize', origins, `it is shorter than the pool ${pool}`);
  if (pool6Size < prefixLength(pool6)) throw invalid('pool6Size', origins, `it is shorter than the pool ${pool6}`);

  return deepFreeze({
    ...rest,
    storeToken: readToken(flags, environment, origins),
    pools: { ipv4: { range: pool, length: poolSize }, ipv6: { range: pool6, length: pool6Size } },
    probeIntervalMs: probeInterval * 1_000,
  });
}

function originOf(name: SettingName, flags: Flags, environment: Environment): Origin | null {
  const { flag, fallback } = settings[name];
  const variable = environmentVariable(flag);
  const given = flags[name];
  if (given !== undefined) return { text: given, name: `${flag} ${withoutCredentials(given)}` };
  const inherited = environment[variable];
  if (inherited !== undefined && inherited !== '')
    return { text: inherited, name: `${variable}=${withoutCredentials(inherited)}` };
  if (name === 'node') return { text: hostname(), name: `${flag} (the host name ${hostname()})` };
  return fallback === null ? null : { text: fallback, name: `${flag} ${fallback}` };
}

/** Messages end up in journals: the password of `consul://user:password@host` must not. */
function withoutCredentials(text: string): string {
  return text.replace(/\/\/[^/]*@/, '//[secret]@');
}

/** The flag's file, then the variable with the token, then the variable with a file. */
function readToken(
  flags: Flags,
  environment: Environment,
  origins: ReadonlyMap<SettingName, Origin | null>,
): Secret | null {
  const inherited = environment[tokenVariable]?.trim() ?? '';
  if (flags.storeTokenFile === undefined && inherited !== '') return secret(inherited);
  const file = origins.get('storeTokenFile');
  if (file === null || file === undefined) return null;
  let text: string;
  try {
    text = readFileSync(file.text, 'utf8').trim();
  } catch (error) {
    throw invalid('storeTokenFile', origins, messageOf(error), error);
  }
  if (text === '' || /\s/.test(text)) throw invalid('storeTokenFile', origins, 'the file does not hold one token');
  return secret(text);
}

function secret(text: string): Secret {
  return { reveal: () => text, toJSON: () => '[secret]' };
}

function parseStore(text: string, context: z.RefinementCtx): StoreLocation {
  try {
    const location = parseStoreLocation(text);
    return location.kind === 'memory' ? refuse(context, 'memory: is for tests') : location;
  } catch (error) {
    if (!isOverlayError(error, 'CONFIG_INVALID')) throw error;
    return refuse(context, String(error.details['problem']));
  }
}

function parseVtep(text: string, context: z.RefinementCtx): VtepChoice {
  if (text === 'auto') return { kind: 'auto' };
  const [address, second, ...others] = text.split(',').map(addressOrNull);
  if (address !== null && address !== undefined && second !== null && others.length === 0) {
    const addresses = second === undefined ? ([address] as const) : ([address, second] as const);
    if (addresses.some(isUnusableVtep)) return refuse(context, 'no packet can be sent to that address');
    if (second !== undefined && familyOf(second) === familyOf(address))
      return refuse(context, 'a node has one VTEP address of each family at most');
    return { kind: 'addresses', addresses };
  }
  // Kernel rule for device names (net/core/dev.c, dev_valid_name), with what is plainly a mistyped address taken out.
  if (/[/:,\s]/.test(text) || /^[\d.]*$/.test(text) || text.length > longestDeviceName) {
    return refuse(
      context,
      'it is neither an address, nor one of each family with a comma between, nor the name of a device',
    );
  }
  return { kind: 'device', device: text };
}

/** Unspecified, multicast and broadcast (RFC 6890, RFC 4291 §2.4). */
function isUnusableVtep(address: Address): boolean {
  if (familyOf(address) === 'ipv6') return address === '::' || address.startsWith('ff');
  const first = Number(address.split('.', 1)[0]);
  return first === 0 || first >= 224;
}

function parseMetrics(text: string, context: z.RefinementCtx): Config['metrics'] {
  if (text === 'off') return null;
  const match = /^(?:\[(?<bracketed>[^\]]+)\]|(?<plain>[^:[\]]+)):(?<port>\d{1,5})$/.exec(text);
  const host = match?.groups?.['bracketed'] ?? match?.groups?.['plain'] ?? '';
  const port = Number(match?.groups?.['port'] ?? 0);
  if (host !== 'localhost' && addressOrNull(host) === null) return refuse(context, 'it is not an address with a port');
  if (port < 1 || port > 65_535) return refuse(context, 'the port is not a number from 1 to 65535');
  return { host, port };
}

function subnetOf(family: Family) {
  return z.string().transform((text, context): Subnet => {
    try {
      const subnet = parseSubnet(text);
      return familyOf(subnet) === family ? subnet : refuse(context, 'it is of the other address family');
    } catch (error) {
      if (!isOverlayError(error, 'SUBNET_INVALID')) throw error;
      return refuse(context, String(error.details['problem']));
    }
  });
}

function addressOrNull(text: string): Address | null {
  try {
    return parseAddress(text);
  } catch (error) {
    if (!isOverlayError(error, 'ADDRESS_INVALID')) throw error;
    return null;
  }
}

function wholeNumber(least: number, most: number) {
  return z
    .string()
    .regex(/^\d{1,9}$/, 'it is not a whole number')
    .transform(Number)
    .refine((value) => value >= least && value <= most, `it is not from ${least} to ${most}`);
}

function oneOf<const Choices extends readonly string[]>(...choices: Choices) {
  return z.enum(choices, { error: `it is not one of ${choices.join(', ')}` });
}

function absolutePath() {
  return z.string().refine((path) => isAbsolute(path) && !path.includes('\0'), 'it is not an absolute path');
}

function socketPath() {
  const fits = (path: string) => Buffer.byteLength(path) <= longestSocketPathBytes;
  return absolutePath().refine(fits, `it is longer than ${longestSocketPathBytes} bytes`);
}

function refuse(context: z.RefinementCtx, problem: string): never {
  context.addIssue({ code: 'custom', message: problem });
  return z.NEVER;
}

function invalid(
  name: SettingName,
  origins: ReadonlyMap<SettingName, Origin | null>,
  problem: string,
  cause?: unknown,
) {
  const { flag, remedy } = settings[name];
  return overlayError('CONFIG_INVALID', { setting: origins.get(name)?.name ?? flag, problem, remedy }, { cause });
}

function nameOf(key: PropertyKey | undefined): SettingName {
  const name = settingNames().find((each) => each === key);
  if (name === undefined) throw new Error(`no setting is called ${String(key)}`);
  return name;
}

function settingNames(): SettingName[] {
  return Object.keys(settings) as SettingName[];
}

function deepFreeze<Value extends object>(value: Value): Value {
  for (const part of Object.values(value)) {
    if (typeof part === 'object' && part !== null) deepFreeze(part);
  }
  return Object.freeze(value);
}

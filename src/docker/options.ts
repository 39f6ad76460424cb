/**
 * What a user may write behind `docker network create -o` and `--ipam-opt`, one table each. An option that is not in
 * the table is refused with the names of those that are: a misspelt option must not become a network that looks right
 * and is not. Options that Docker itself adds or reads (moby libnetwork/netlabel) pass unread.
 */

import { parseNetworkName } from '../core/identity.ts';
import type { MacAddress } from '../core/mac.ts';
import { macFromBytes, parseMac } from '../core/mac.ts';
import { largestMtuBytes, smallestMtuBytes } from '../core/mtu.ts';
import type { Vni } from '../core/vni.ts';
import { maxVni, parseVni } from '../core/vni.ts';
import { isOverlayError, overlayError } from '../errors.ts';

export type TextMap = Readonly<Record<string, string>>;

export interface NetworkOptions {
  readonly name: string | null;
  readonly vni: Vni | null;
  readonly mtuBytes: number | null;
  readonly multicast: boolean;
}

export interface EndpointOptions {
  readonly mac: MacAddress | null;
  readonly isRouter: boolean;
}

/** The option that sets a network's MTU, as for Docker's own drivers. */
export const mtuOption = 'com.docker.network.driver.mtu';
export const vniOption = 'weft.vni';

/** Where Docker puts what stood behind `-o`. */
const genericOption = 'com.docker.network.generic';
/** A MAC address the user gave, here as well as in the endpoint's interface. */
const macOption = 'com.docker.network.endpoint.macaddress';
const routerOption = 'weft.router';
const ownPrefix = 'weft.';

const networkOptions = new Map<string, (text: string) => Partial<NetworkOptions>>([
  ['weft.network', (text) => ({ name: parseNetworkName(text) })],
  [vniOption, (text) => ({ vni: parseVniText(text) })],
  ['weft.multicast', (text) => ({ multicast: parseSwitch('weft.multicast', text) })],
  [mtuOption, (text) => ({ mtuBytes: parseMtu(text) })],
]);

/** Read by the engine, not by its drivers. */
const engineOptions: ReadonlySet<string> = new Set([
  'com.docker.network.internal',
  'com.docker.network.enable_ipv4',
  'com.docker.network.enable_ipv6',
  'com.docker.network.advertise_addr_nmsgs',
  'com.docker.network.advertise_addr_ms',
]);

/** Swarm's allocator adds both to one map that it then sends with pools as well (moby libnetwork/cnmallocator). */
const allocatorOptions: ReadonlySet<string> = new Set(['RequestAddressType', 'com.docker.network.ipam.serial']);

const noNetworkOptions: NetworkOptions = { name: null, vni: null, mtuBytes: null, multicast: true };

/** The flat map of AllocateNetwork, and the generic part of CreateNetwork's. @throws OPTION_UNKNOWN OPTION_INVALID */
export function readNetworkOptions(options: TextMap): NetworkOptions {
  let read = noNetworkOptions;
  for (const [option, text] of Object.entries(options)) {
    if (engineOptions.has(option)) continue;
    const parse = networkOptions.get(option);
    if (parse === undefined) throw unknownOption(option, [...networkOptions.keys()]);
    read = { ...read, ...parse(text) };
  }
  return read;
}

/**
 * CreateNetwork's map: the user's options in one entry, beside it those of the engine, which are its own affair.
 * @throws OPTION_UNKNOWN OPTION_INVALID
 */
export function readNestedNetworkOptions(options: Readonly<Record<string, unknown>>): NetworkOptions {
  const own = Object.entries(options).filter(([option]) => option.startsWith(ownPrefix));
  const generic = options[genericOption] ?? {};
  if (!isPlainObject(generic)) throw notText(genericOption, generic);
  return readNetworkOptions(asTextMap([...own, ...Object.entries(generic)]));
}

/** The `weft.network` of `--ipam-opt`. @throws OPTION_UNKNOWN OPTION_INVALID */
export function readPoolOptions(options: TextMap): string | null {
  let name: string | null = null;
  for (const [option, text] of Object.entries(options)) {
    if (allocatorOptions.has(option)) continue;
    if (option !== 'weft.network') throw unknownOption(option, ['weft.network']);
    name = parseNetworkName(text);
  }
  return name;
}

/**
 * An endpoint's options: what stood behind `--network name=…,driver-opt=` is among them. Drivers for other things put
 * theirs here too, so only those that claim to be Weft's are refused.
 * @throws OPTION_UNKNOWN OPTION_INVALID
 */
export function readEndpointOptions(options: Readonly<Record<string, unknown>>): EndpointOptions {
  const unknown = Object.keys(options).find((option) => option.startsWith(ownPrefix) && option !== routerOption);
  if (unknown !== undefined) throw unknownOption(unknown, [routerOption]);
  const { [routerOption]: router = 'off' } = options;
  if (typeof router !== 'string') throw notText(routerOption, router);
  return { mac: readMac(options), isRouter: parseSwitch(routerOption, router) };
}

/** The engine sends it as Go writes bytes into JSON: in base64. */
function readMac(options: Readonly<Record<string, unknown>>): MacAddress | null {
  const text = options[macOption] ?? '';
  if (typeof text !== 'string') throw notText(macOption, text);
  if (text === '') return null;
  try {
    return text.length === 8 ? macFromBytes(Buffer.from(text, 'base64')) : parseMac(text);
  } catch (error) {
    if (!isOverlayError(error)) throw error;
    throw invalidOption(macOption, text, error.message);
  }
}

function parseVniText(text: string): Vni {
  const value = wholeNumber(text);
  if (value >= 1 && value <= maxVni) return parseVni(value);
  throw invalidOption(vniOption, text, `give a whole number from 1 to ${maxVni}`);
}

function parseMtu(text: string): number {
  const bytes = wholeNumber(text);
  if (bytes >= smallestMtuBytes && bytes <= largestMtuBytes) return bytes;
  throw invalidOption(mtuOption, text, `give a whole number of bytes from ${smallestMtuBytes} to ${largestMtuBytes}`);
}

function parseSwitch(option: string, text: string): boolean {
  if (text === 'on' || text === 'off') return text === 'on';
  throw invalidOption(option, text, 'give on or off');
}

/** NaN for anything but plain decimal digits: `Number` alone would take '', '0x1000' and '1e3'. */
function wholeNumber(text: string): number {
  return /^[0-9]{1,9}$/.test(text) ? Number(text) : Number.NaN;
}

function asTextMap(entries: ReadonlyArray<readonly [string, unknown]>): TextMap {
  const texts = entries.map(([option, value]): [string, string] => {
    if (typeof value !== 'string') throw notText(option, value);
    return [option, value];
  });
  return Object.fromEntries(texts);
}

function isPlainObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function notText(option: string, value: unknown) {
  return invalidOption(
    option,
    JSON.stringify(value),
    option === genericOption ? 'it must be a map' : 'it must be a text',
  );
}

function invalidOption(option: string, value: string, problem: string) {
  return overlayError('OPTION_INVALID', { option, value, problem });
}

function unknownOption(option: string, known: readonly string[]) {
  return overlayError('OPTION_UNKNOWN', { option, known: known.join(', ') });
}

/**
 * Every failure Weft can name, in one table: a stable code, its message and what the operator can do.
 * Match on `code`, never on text. A message says what failed, with which values, and the way out;
 * `{name}` in a template is replaced by the detail of that name.
 */

const templates = {
  // Bad input, found where it enters.
  CONFIG_INVALID: 'setting {setting}: {problem}; {remedy}',
  MESSAGE_INVALID: '{method}: {problem}; the request was refused and nothing was changed',
  OPTION_UNKNOWN: 'option {option} is not known; known options are {known}',
  OPTION_INVALID: 'option {option}={value} is not valid: {problem}',
  VNI_OUT_OF_RANGE: 'VNI {value} is out of range; give a whole number from 1 to 16777215',
  VNI_TAKEN: 'VNI {vni} belongs to network {owner}; choose another with -o weft.vni=N or leave it out',
  MAC_INVALID:
    'MAC address {value} is not valid; give six pairs of hex digits of a unicast address, such as 02:42:0a:4d:00:02',
  ADDRESS_INVALID: 'address {value} is not valid: {problem}',
  SUBNET_INVALID: 'subnet {value} is not valid: {problem}',

  // Networks, pools and addresses.
  NETWORK_UNKNOWN: 'network {network} is not known on this node; create it again with docker network create',
  NETWORK_CONFLICT:
    'network {network} exists in the cluster with {field} {existing}, not {requested}; use the same value or another weft.network name',
  NETWORK_DIFFERS_ON_NODE:
    'network {network} has the subnets {existing} in the swarm, but this node made it {requested}: swarm allocates no IPv6 subnet by itself; create the network again with one --subnet for IPv4 and one for IPv6',
  POOL_OVERLAPS:
    'subnet {subnet} overlaps {other} of {owner}; choose another --subnet, or tell the networks apart with weft.network',
  POOL_UNKNOWN: 'pool {pool} is not known; create the network again',
  POOL_NONE_FREE: "no free subnet is left in {range}; give --subnet, or widen the daemon's --pool",
  POOL_EXHAUSTED: 'pool {pool} has no free address: {used} of {size} are in use',
  ADDRESS_TAKEN: 'address {address} of {network} belongs to endpoint {endpoint} on node {node}; choose another address',
  ADDRESS_OUTSIDE_POOL: 'address {address} is not a usable host address of {pool}',
  MAC_TAKEN: 'MAC address {mac} of {network} belongs to endpoint {endpoint} on node {node}; choose another',
  ENDPOINT_UNKNOWN: 'endpoint {endpoint} is not known on this node',
  ENDPOINT_CONFLICT: 'endpoint {endpoint} exists with {field} {existing}, not {requested}',

  // The store.
  STORE_UNREACHABLE:
    'store {store} cannot be reached: {problem}; running containers keep their traffic, try again when it is back',
  STORE_AMBIGUOUS: 'store {store} did not confirm a write in time; it may or may not have been applied',
  STORE_DENIED: 'store {store} denied access to {key}; the token needs key_prefix "{prefix}" write and session write',
  STORE_VALUE_TOO_LARGE: "value of {key} is {size} bytes, more than the store's limit of {limit}",
  STORE_ANCHOR_MISSING:
    'the store has no {key}: it was emptied, or the token cannot read it; nothing is removed from the data path',
  STORE_RECORD_CORRUPT: 'store record {key} cannot be read: {problem}; it is skipped',
  STORE_CONFLICT: 'store record {key} was changed by another node {attempts} times in a row; try again',
  STORE_MISUSED: 'the store was asked for something it cannot do: {problem}; this is a defect in Weft',
  NODE_ID_IN_USE:
    'node id {node} is held by a running daemon ({holder}); two daemons must not share a --state-dir, and a cloned machine needs a new one',

  // Kernel, devices, data path.
  PRIVILEGE_MISSING:
    'the daemon lacks {privilege}; run it as root with CAP_NET_ADMIN, CAP_BPF (or CAP_SYS_ADMIN) and CAP_NET_RAW',
  KERNEL_FEATURE_MISSING: 'the kernel lacks {feature}; {remedy}',
  VTEP_ADDRESS_UNKNOWN:
    'no device of this node has the VTEP address {address}; addresses here are {known}; give --vtep ADDRESS or --vtep DEVICE',
  TUNNEL_PORT_IN_USE: 'UDP port {port} is held by {holder}; choose another with --port',
  DEVICE_CONFLICT: "device {device} exists and is not Weft's: {problem}; remove or rename it",
  NETLINK_FAILED: 'netlink request {request} failed: {errno}',
  PINS_INCOMPATIBLE:
    '{directory} holds tables of another Weft: {problem}; {remedy}, or give another --bpf-dir; or, when no container is in a Weft network, remove the directory',
  BPF_FAILED: '{operation} failed: {problem}',

  // The Docker engine.
  ENGINE_UNREACHABLE:
    'the Docker engine on {path} cannot be asked: {problem}; until it can, what was removed while weft was down stays; give --docker-socket PATH, or off',

  // The daemon and its sockets.
  SOCKET_IN_USE: 'socket {path} is served by a running process; stop it, or choose another path with {flag}',
  DAEMON_UNREACHABLE:
    "no weft daemon answers on {path}: {problem}; is it running (systemctl status weft, or docker plugin ls and the engine's log), and is --control-socket the same?",
  DAEMON_FAILED: 'the weft daemon on {path} gave no usable answer: {problem}; see its log, and weft status',
  DEADLINE_EXCEEDED: '{operation} did not finish within {milliseconds} ms',
  STATE_CORRUPT: 'state file {path} cannot be read: {problem}; move it away to start without it',
} as const;

export type ErrorCode = keyof typeof templates;
export type ErrorDetails = Readonly<Record<string, string | number | boolean>>;

/** The one error class of Weft. `details` holds the values named in the message. */
export class OverlayError extends Error {
  readonly code: ErrorCode;
  readonly details: ErrorDetails;

  constructor(code: ErrorCode, details: ErrorDetails, options?: ErrorOptions) {
    super(fill(templates[code], details), options);
    this.name = 'OverlayError';
    this.code = code;
    this.details = details;
  }
}

export function overlayError(code: ErrorCode, details: ErrorDetails, options?: ErrorOptions): OverlayError {
  return new OverlayError(code, details, options);
}

export function isOverlayError(error: unknown, ...codes: readonly ErrorCode[]): error is OverlayError {
  return error instanceof OverlayError && (codes.length === 0 || codes.includes(error.code));
}

/** One line for a person: the message of any thrown value; of a schema's error, which is a list, its first part. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const issue = 'issues' in error && Array.isArray(error.issues) ? (error.issues[0] as SchemaIssue) : undefined;
  if (issue === undefined) return error.message;
  return issue.path.length === 0 ? issue.message : `${issue.path.join('.')}: ${issue.message}`;
}

/** Of zod. */
interface SchemaIssue {
  readonly path: readonly PropertyKey[];
  readonly message: string;
}

/** The whole table, for docs/errors.md. */
export function errorTable(): ReadonlyArray<{ readonly code: ErrorCode; readonly message: string }> {
  return Object.entries(templates).map(([code, message]) => ({ code: code as ErrorCode, message }));
}

/** Implementation: a message must still say what to do when the value it quotes is a megabyte of nonsense. */
const longestDetail = 400;

function fill(template: string, details: ErrorDetails): string {
  return template.replaceAll(/\{(\w+)\}/g, (whole, name: string) => shortened(String(details[name] ?? whole)));
}

function shortened(text: string): string {
  return text.length <= longestDetail ? text : `${text.slice(0, longestDetail)}…`;
}

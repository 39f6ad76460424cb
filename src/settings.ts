/**
 * Every setting of the daemon as its operator sees it: flag, environment variable, default and meaning. Pure data, so
 * that the command line can print its help without loading what parses values (config.ts).
 *
 * Defaults that are not a matter of taste: port 14789 because swarm's ingress network holds the RFC's 4789 in the
 * host's namespace; pool6 is a unique local prefix (RFC 4193), pool a part of 10/8 that Docker's own pools leave out.
 */

export interface Setting {
  readonly flag: `--${string}`;
  /** What stands for the value in the help. */
  readonly placeholder: string;
  readonly help: string;
  /** As one would write it on the command line; null: there is none, or it is found out at start. */
  readonly fallback: string | null;
  /** What to do about a bad value. */
  readonly remedy: string;
}

export const settings = {
  node: {
    flag: '--node',
    placeholder: 'NAME',
    help: 'name of this node, as others see it (default: the host name)',
    fallback: null,
    remedy: 'give --node NAME, 1 to 63 letters, digits, dots, underscores or hyphens',
  },
  store: {
    flag: '--store',
    placeholder: 'URL',
    help: 'where the tables live: lmdb:///DIRECTORY, consul://HOST[:PORT][/PREFIX] or consul+https://…',
    fallback: 'lmdb:///var/lib/weft/store',
    remedy: 'give lmdb:///DIRECTORY, consul://HOST[:PORT][/PREFIX] or consul+https://HOST[:PORT][/PREFIX]',
  },
  storeTokenFile: {
    flag: '--store-token-file',
    placeholder: 'FILE',
    help: 'file with the ACL token of the store; or put the token itself into WEFT_STORE_TOKEN',
    fallback: null,
    remedy: 'give a file that the daemon can read and that holds the token alone',
  },
  waitForStore: {
    flag: '--wait-for-store',
    placeholder: 'on|off',
    help: 'when the store is away at the start: stand by until it answers (on), or end with an error (off)',
    fallback: 'off',
    remedy: 'give on or off',
  },
  vtep: {
    flag: '--vtep',
    placeholder: 'ADDRESS[,ADDRESS]|DEVICE|auto',
    help: 'where other nodes send tunnel packets to: an IPv4 or IPv6 address, or both; auto: those of the default routes',
    fallback: 'auto',
    remedy: 'give an IPv4 or IPv6 address of this node or both with a comma between, the name of a device, or auto',
  },
  port: {
    flag: '--port',
    placeholder: 'PORT',
    help: 'UDP port of the tunnel on this node; nodes may differ',
    fallback: '14789',
    remedy: 'give a whole number from 1 to 65535',
  },
  dataPath: {
    flag: '--data-path',
    placeholder: 'auto|ebpf|bridge',
    help: 'what carries packets; auto: the fastest that this kernel can do',
    fallback: 'auto',
    remedy: 'give auto, ebpf or bridge',
  },
  scope: {
    flag: '--scope',
    placeholder: 'local|global',
    help: 'who creates networks: each engine by itself (local), or swarm for all of them (global)',
    fallback: 'local',
    remedy: 'give local or global',
  },
  driverName: {
    flag: '--driver-name',
    placeholder: 'NAME',
    help: 'name of the driver in docker network create -d NAME',
    fallback: 'weft',
    remedy: 'give a name of letters, digits and . _ - / : that starts with a letter or digit',
  },
  pluginSocket: {
    flag: '--plugin-socket',
    placeholder: 'PATH',
    help: 'socket that the Docker engine calls',
    fallback: '/run/docker/plugins/weft.sock',
    remedy: 'give an absolute path of at most 107 bytes',
  },
  controlSocket: {
    flag: '--control-socket',
    placeholder: 'PATH',
    help: 'socket that the weft commands talk to',
    fallback: '/run/weft/control.sock',
    remedy: 'give an absolute path of at most 107 bytes',
  },
  dockerSocket: {
    flag: '--docker-socket',
    placeholder: 'PATH|off',
    help: "the Docker engine's API; asked, only to read, which networks and endpoints it still has",
    fallback: '/var/run/docker.sock',
    remedy: 'give an absolute path of at most 107 bytes, or off',
  },
  stateDir: {
    flag: '--state-dir',
    placeholder: 'DIRECTORY',
    help: "the node's id and what this engine created; must survive a reboot",
    fallback: '/var/lib/weft',
    remedy: 'give an absolute path',
  },
  bpfDir: {
    flag: '--bpf-dir',
    placeholder: 'DIRECTORY',
    help: 'where programs and maps are pinned; on a bpf file system',
    fallback: '/sys/fs/bpf/weft',
    remedy: 'give an absolute path',
  },
  metrics: {
    flag: '--metrics',
    placeholder: 'ADDRESS:PORT|off',
    help: 'where metrics are served over HTTP, at /metrics',
    fallback: '127.0.0.1:9474',
    remedy: 'give ADDRESS:PORT, [IPV6]:PORT or off',
  },
  logLevel: {
    flag: '--log-level',
    placeholder: 'LEVEL',
    help: 'trace, debug, info, warn or error',
    fallback: 'info',
    remedy: 'give trace, debug, info, warn or error',
  },
  pool: {
    flag: '--pool',
    placeholder: 'SUBNET',
    help: 'where subnets come from when a network is created without --subnet',
    fallback: '10.208.0.0/12',
    remedy: 'give an IPv4 subnet such as 10.208.0.0/12',
  },
  poolSize: {
    flag: '--pool-size',
    placeholder: 'LENGTH',
    help: 'prefix length of such a subnet',
    fallback: '24',
    remedy: "give a whole number from the pool's own prefix length to 30",
  },
  pool6: {
    flag: '--pool6',
    placeholder: 'SUBNET',
    help: 'the same for IPv6',
    fallback: 'fd77:6566:7400::/48',
    remedy: 'give an IPv6 subnet such as fd77:6566:7400::/48',
  },
  pool6Size: {
    flag: '--pool6-size',
    placeholder: 'LENGTH',
    help: 'prefix length of such a subnet',
    fallback: '64',
    remedy: "give a whole number from the pool's own prefix length to 126",
  },
  probeInterval: {
    flag: '--probe-interval',
    placeholder: 'SECONDS',
    help: 'how often the path to each node is probed for reachability, round trip and MTU',
    fallback: '30',
    remedy: 'give a number of seconds from 1 to 3600',
  },
} as const satisfies Record<string, Setting>;

export type SettingName = keyof typeof settings;

/** The store's ACL token has no flag: what stands on a command line is seen by every user of the machine. */
export const tokenVariable = 'WEFT_STORE_TOKEN';

/** `--plugin-socket` → `WEFT_PLUGIN_SOCKET` */
export function environmentVariable(flag: Setting['flag']): string {
  return `WEFT_${flag.slice(2).replaceAll('-', '_').toUpperCase()}`;
}

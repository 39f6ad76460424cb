/**
 * What can be seen to stand in a daemon's way before it has touched anything: missing privileges, and sockets that
 * somebody else serves. A second daemon started by mistake therefore ends without a trace. The same is found out again
 * when the thing is done; between the two, two daemons started at once still part there.
 */

import { readFileSync } from 'node:fs';
import type { Config } from './config.ts';
import { overlayError } from './errors.ts';
import { requireFreeAddress } from './metrics/exposition.ts';
import { requireUnserved } from './socket/listen.ts';

/** @throws PRIVILEGE_MISSING, SOCKET_IN_USE, CONFIG_INVALID */
export async function requireStartable({ dataPath, pluginSocket, controlSocket, metrics }: Config): Promise<void> {
  requirePrivileges(readFileSync('/proc/self/status', 'utf8'), dataPath);
  await requireUnserved(pluginSocket, '--plugin-socket');
  await requireUnserved(controlSocket, '--control-socket');
  if (metrics !== null) await requireFreeAddress(metrics.host, metrics.port);
}

/** Specification (linux/capability.h). One of each row is enough. Without the last, only eBPF is impossible. */
const needed = [
  { name: 'CAP_NET_ADMIN', bits: [12] },
  { name: 'CAP_NET_RAW', bits: [13] },
  { name: 'CAP_BPF', bits: [39, 21] },
] as const;

/** `status`: of /proc/PID/status. @throws PRIVILEGE_MISSING naming all that are missing */
export function requirePrivileges(status: string, dataPath: Config['dataPath']): void {
  const effective = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'}`);
  const has = (bit: number) => ((effective >> BigInt(bit)) & 1n) === 1n;
  const concerned = needed.filter(({ name }) => name !== 'CAP_BPF' || dataPath === 'ebpf');
  const missing = concerned.filter(({ bits }) => !bits.some(has)).map(({ name }) => name);
  if (missing.length > 0) throw overlayError('PRIVILEGE_MISSING', { privilege: missing.join(' and ') });
}

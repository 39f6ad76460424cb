/** A node as others have it: the kernel's own vxlan device and a bridge, with static forwarding entries. */

import { run } from './command.ts';
import type { Container, Host } from './lan.ts';
import { tunnelPort, vni } from './programs.ts';

/** Options of `ip link` for a vxlan device that neither makes nor wants UDP checksums over IPv6. */
export const zeroChecksums = ['udp6zerocsumtx', 'udp6zerocsumrx'] as const;

export async function makeBridge(host: Host, ...ports: readonly string[]): Promise<void> {
  await run([...host.inside, 'ip', 'link', 'add', 'b0', 'type', 'bridge', 'mcast_snooping', '0']);
  await run([...host.inside, 'ip', 'link', 'set', 'b0', 'up']);
  for (const port of ports) await run([...host.inside, 'ip', 'link', 'set', port, 'master', 'b0', 'up']);
}

/** Device `x0` in the bridge, anew, with options of `ip link`; and who is behind which VTEP. */
export async function makeKernelVtep(
  host: Host & { readonly address: string },
  options: readonly string[],
  remote: ReadonlyArray<readonly [address: string, containers: readonly Container[]]>,
): Promise<void> {
  const inside = (...words: readonly string[]) => run([...host.inside, ...words]);
  const device = ['local', host.address, 'dev', 'u0', 'dstport', String(tunnelPort), 'nolearning', ...options];
  await inside('sh', '-c', 'ip link delete x0 2>/dev/null || true');
  await inside('ip', 'link', 'add', 'x0', 'type', 'vxlan', 'id', String(vni), ...device);
  await inside('ip', 'link', 'set', 'x0', 'master', 'b0', 'up');
  for (const [address, containers] of remote) {
    await inside('bridge', 'fdb', 'append', '00:00:00:00:00:00', 'dev', 'x0', 'dst', address);
    for (const { mac } of containers) await inside('bridge', 'fdb', 'add', mac, 'dev', 'x0', 'dst', address);
  }
}

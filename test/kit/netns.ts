/**
 * Network namespaces by name (under /run/netns, as iproute2 keeps them). Commands enter with nsenter, not `ip netns
 * exec`, which would mount a fresh /sys and so hide the cgroups that engines need.
 */

import { attempt, run } from './command.ts';

/** Where a namespace can be opened by name. */
export function netnsPath(name: string): string {
  return `/run/netns/${name}`;
}

/** The words before a command that make it run inside. */
export function insideNetns(name: string): readonly string[] {
  return ['nsenter', `--net=${netnsPath(name)}`, '--'];
}

/** Makes an empty namespace with loopback up. */
export async function createNetns(name: string): Promise<void> {
  await run(['ip', 'netns', 'add', name]);
  await run([...insideNetns(name), 'ip', 'link', 'set', 'lo', 'up']);
}

/** Removes the name; the namespace goes with its last process. Idempotent. */
export async function deleteNetns(name: string): Promise<void> {
  const { code, stderr } = await attempt(['ip', 'netns', 'delete', name]);
  if (code !== 0 && !stderr.includes('No such file')) throw new Error(`namespace ${name} not removed: ${stderr}`);
}

/** Runs lines of iproute2 (without the word `ip`) in one go, in order, until one fails. */
export async function ipBatch(netns: string, lines: readonly string[], family?: '-4' | '-6'): Promise<void> {
  if (lines.length === 0) return;
  const flag = family === undefined ? [] : [family];
  await run([...insideNetns(netns), 'ip', ...flag, '-batch', '-'], { input: `${lines.join('\n')}\n` });
}

/** Sets kernel parameters of a namespace, given as `net.…=value`. */
export async function sysctl(netns: string, settings: readonly string[]): Promise<void> {
  await run([...insideNetns(netns), 'sysctl', '-qw', ...settings]);
}

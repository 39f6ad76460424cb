/**
 * What an attacker has: frames of any bytes from any device, and a second interface to the host, as Docker gives one by
 * docker_gwbridge. And the proof that it came to nothing: every frame carries a mark of its own, and watches on all devices
 * that could show it say which marks they saw.
 */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { attempt, eventually, type Running, run, start } from './command.ts';
import { type Container, type Host, inside } from './lan.ts';

/** Sends the frames it reads, one a line in hex, by a packet socket on a device: tags, runts and giants included. */
const source = `
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
int main(int count, char **words)
{
	static unsigned char frame[65536];
	static char line[2 * sizeof(frame) + 2];
	int fd = socket(AF_PACKET, SOCK_RAW, 0), refused = 0;
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_ifindex = if_nametoindex(words[1]) };
	while (fgets(line, sizeof(line), stdin)) {
		int length = 0;
		while (length < (int)sizeof(frame) && sscanf(line + 2 * length, "%2hhx", &frame[length]) == 1)
			length++;
		refused += sendto(fd, frame, length, 0, (struct sockaddr *)&to, sizeof(to)) != length;
	}
	return refused;
}
`;

/** Compiles once; @returns what sends frames on a device. It throws when the kernel refuses one. */
export async function createIntruder(): Promise<
  (from: Host, device: string, ...frames: readonly Uint8Array[]) => Promise<void>
> {
  const directory = mkdtempSync(join(tmpdir(), `wft-${process.pid}-intruder-`));
  process.on('exit', () => rmSync(directory, { recursive: true, force: true }));
  const path = join(directory, 'send');
  writeFileSync(`${path}.c`, source);
  await run(['cc', '-o', path, `${path}.c`]);
  return async (from, device, ...frames) => {
    const input = frames.map((frame) => `${Buffer.from(frame).toString('hex')}\n`).join('');
    const sending = await start([...from.inside, path, device], { input });
    const { code, stderr } = await sending.ended;
    if (code !== 0) throw new Error(`${code} frames not sent: ${stderr}`);
  };
}

/** Six bytes that no other frame of a test has. */
export function markOf(number: number): Uint8Array {
  return Uint8Array.of(0xa7, 0x5c, 0xe1, 0x9d, number >> 8, number & 0xff);
}

/** The number of the mark in a frame, where it has one. */
export function markIn(frame: Uint8Array): number | null {
  const at = Buffer.from(frame).indexOf(markOf(0).subarray(0, 4));
  return at < 0 || at + 6 > frame.length ? null : Buffer.from(frame).readUInt16BE(at + 4);
}

export interface Watches {
  /** Ends them. @returns for each mark where it was seen, as `name` of the place; a mark not seen is not there */
  seen(): Promise<ReadonlyMap<number, readonly string[]>>;
  /** Ends them. @returns for each place the frames that have a mark, by its number; the last of several */
  frames(): Promise<Readonly<Record<string, ReadonlyMap<number, Uint8Array>>>>;
  /** Waits until a place has seen a mark. */
  until(place: string, mark: number): Promise<void>;
}

/** Looks at all that comes in by these devices. */
export async function watch(places: Readonly<Record<string, readonly [Host, string]>>): Promise<Watches> {
  const captures: Array<readonly [string, Running]> = [];
  for (const [name, [host, device]] of Object.entries(places)) {
    const options = ['-i', device, '-Q', 'in', '-n', '-xx', '-s', '2048', '-B', '32768', '-l', '--immediate-mode'];
    captures.push([name, await start([...host.inside, 'tcpdump', ...options])]);
  }
  for (const [, capture] of captures) await capture.waitFor('listening on');
  const hexOf = (mark: number) => Buffer.from(markOf(mark)).toString('hex');
  const stop = async () => {
    const places: [string, ReadonlyMap<number, Uint8Array>][] = [];
    for (const [name, capture] of captures) {
      const { stdout } = await capture.stop('SIGINT');
      const marked = framesIn(stdout).flatMap((frame) => {
        const mark = markIn(frame);
        return mark === null ? [] : [[mark, frame] as const];
      });
      places.push([name, new Map(marked)]);
    }
    return places;
  };
  return {
    seen: async () => {
      const found = new Map<number, string[]>();
      for (const [name, frames] of await stop()) {
        for (const mark of frames.keys()) found.set(mark, [...(found.get(mark) ?? []), name]);
      }
      return found;
    },
    frames: async () => Object.fromEntries(await stop()),
    until: (place, mark) => {
      const capture = captures.find(([name]) => name === place)?.[1];
      const shown = () =>
        capture
          ?.stdout()
          .slice(-400_000)
          .replaceAll(/\n\s+0x[0-9a-f]+:|\s/g, '') ?? '';
      return eventually(`${place} sees mark ${mark}`, () => shown().includes(hexOf(mark)));
    },
  };
}

/** From tcpdump's dump in hex. */
function framesIn(text: string): readonly Uint8Array[] {
  return text
    .split(/\n(?=\S)/)
    .map((packet) => [...packet.matchAll(/^\s+0x[0-9a-f]+:(.*)$/gm)].map(([, digits = '']) => digits).join(''))
    .map((digits) => new Uint8Array(Buffer.from(digits.replaceAll(/\s/g, ''), 'hex')));
}

export const gateway = {
  mac: '02:12:00:00:00:01',
  address: '172.18.0.1',
  container: '172.18.0.2',
  containerMac: '02:12:00:00:00:02',
} as const;

/**
 * A second interface `eth1` on a bridge of the container's node, its addresses hidden behind the node's on the way out. Reverse
 * path filtering is off, as kernels ship it, so what stops a forged source is nothing of the host's.
 */
export async function addGateway(node: Host, container: Container): Promise<void> {
  const onNode = (...words: readonly string[]) => inside(node, words);
  await onNode('ip', 'link', 'add', 'gw0', 'address', gateway.mac, 'type', 'bridge');
  await onNode('ip', 'address', 'add', `${gateway.address}/16`, 'dev', 'gw0');
  await onNode('ip', 'link', 'add', 'g1', 'type', 'veth', 'peer', 'name', 'eth1', 'netns', String(container.pid));
  for (const words of [
    ['g1', 'master', 'gw0', 'up'],
    ['gw0', 'up'],
  ])
    await onNode('ip', 'link', 'set', ...words);
  await onNode('sysctl', '-qw', 'net.ipv4.ip_forward=1', 'net.ipv4.conf.all.rp_filter=0');
  await onNode('sysctl', '-qw', 'net.ipv4.conf.gw0.rp_filter=0');
  const masquerade = ['-s', '172.18.0.0/16', '!', '-o', 'gw0', '-j', 'MASQUERADE'];
  await onNode('iptables', '-t', 'nat', '-A', 'POSTROUTING', ...masquerade);
  await inside(container, ['ip', 'link', 'set', 'eth1', 'address', gateway.containerMac, 'up']);
  await inside(container, ['ip', 'address', 'add', `${gateway.container}/16`, 'dev', 'eth1']);
  await inside(container, ['ip', 'route', 'add', 'default', 'via', gateway.address]);
  const ping = [...container.inside, 'busybox', 'ping', '-c', '1', '-W', '1', gateway.address];
  await eventually('the bridge forwards', async () => (await attempt(ping)).code === 0);
}

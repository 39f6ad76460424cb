/** Traffic between the containers of a LAN (lan.ts), and what can be seen of it on a device. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { pause, run, start } from './command.ts';
import { type Container, type Host, inside } from './lan.ts';

const streamBytes = 32 * 2 ** 20;

/** Three echo requests; what ping says of them. */
export function pings(from: Container, to: string, extra: readonly string[] = []): Promise<string> {
  return inside(from, ['busybox', 'ping', '-c', '3', '-i', '0.1', '-W', '2', ...extra, to]);
}

/** Sends a TCP stream in writes of 64 KiB and holds what arrived to what was sent. */
export async function streams(from: Container, to: Container, address: string): Promise<void> {
  const server = await start([...to.inside, process.execPath, '-e', receiver]);
  try {
    await server.waitFor('listening');
    const sent = await inside(from, [process.execPath, '-e', sender, address]);
    const { stdout } = await server.ended;
    assert.is(stdout.trim().split('\n')[1], sent);
  } finally {
    await server.stop();
  }
}

/** What a host sees on a device while something happens, as hex without spaces, mixed with tcpdump's words. */
export async function captured(
  host: Host,
  device: string,
  filter: string,
  happen: () => Promise<unknown>,
): Promise<string> {
  const capture = await start([
    ...host.inside,
    'tcpdump',
    '-i',
    device,
    '-n',
    '-e',
    '-xx',
    '-U',
    '--immediate-mode',
    filter,
  ]);
  await capture.waitFor('listening on');
  await happen();
  await pause(300);
  const { stdout } = await capture.stop('SIGINT');
  return stdout.replaceAll(/\n\s+0x[0-9a-f]+:/g, '').replaceAll(/\s/g, '');
}

/** Sends one frame, given in hex, by a packet socket: tags and runts included. */
const senderSource = `
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
int main(int count, char **words)
{
	unsigned char frame[2048];
	int length = 0, fd = socket(AF_PACKET, SOCK_RAW, 0);
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_ifindex = if_nametoindex(words[1]) };
	while (sscanf(words[2] + 2 * length, "%2hhx", &frame[length]) == 1)
		length++;
	return sendto(fd, frame, length, 0, (struct sockaddr *)&to, sizeof(to)) == length ? 0 : 1;
}
`;

/** The path of the compiled program; the directory goes with the test. */
export async function compileSender(): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), `wft-${process.pid}-sender-`));
  process.on('exit', () => rmSync(directory, { recursive: true, force: true }));
  const path = join(directory, 'send');
  writeFileSync(`${path}.c`, senderSource);
  await run(['cc', '-o', path, `${path}.c`]);
  return path;
}

const receiver = `
  const hash = require('crypto').createHash('sha256');
  require('net').createServer((socket) => socket.on('data', (part) => hash.update(part)).on('end', () => {
    socket.end();
    console.log(hash.digest('hex'));
    process.exit();
  })).listen(7000, '::', () => console.log('listening'));`;
const sender = `
  const { createHash } = require('crypto');
  const { Readable, pipeline } = require('stream');
  const hash = createHash('sha256');
  const parts = function* () {
    const part = require('crypto').randomBytes(65536);
    for (let index = 0; index < ${streamBytes / 65536}; index++) {
      part.writeUInt32LE(index);
      hash.update(part);
      yield Buffer.from(part);
    }
  };
  const socket = require('net').connect(7000, process.argv[1]);
  pipeline(Readable.from(parts()), socket, (error) => { if (error) throw error; });
  socket.resume().on('close', () => console.log(hash.digest('hex')));`;

/** A wire between a client and a server on loopback, which a test can cut, hush, or let break off in mid-answer. */

import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

export type WireState =
  | 'whole'
  /** Connections are closed, new ones too. */
  | 'cut'
  /** Connections stand, and no byte comes back. */
  | 'hushed'
  /** The first hundred bytes of each answer come back, then the connection ends. */
  | 'broken';

export interface Wire {
  readonly port: number;
  become(state: WireState): void;
  close(): Promise<void>;
}

const brokenAfterBytes = 100;

export async function layWire(serverPort: number): Promise<Wire> {
  let state: WireState = 'whole';
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    if (state === 'cut') return void near.destroy();
    const far = connect(serverPort, '127.0.0.1');
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(socket);
      socket.on('error', () => other.destroy());
      socket.on('close', () => {
        sockets.delete(socket);
        other.destroy();
      });
    }
    near.on('data', (chunk) => far.write(chunk));
    far.on('data', (chunk) => {
      if (state === 'whole') near.write(chunk);
      if (state === 'broken') near.end(chunk.subarray(0, brokenAfterBytes));
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');

  const cut = () => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    port: (server.address() as AddressInfo).port,
    become(next) {
      state = next;
      if (next === 'cut') cut();
    },
    async close() {
      const closed = once(server, 'close');
      server.close();
      cut();
      await closed;
    },
  };
}

/** The part of node-netlink 0.0.4 that `socket.ts` uses; the package has no types of its own. */

declare module 'node-netlink' {
  import type { EventEmitter } from 'node:events';

  export type Header = {
    readonly nlmsg_type: bigint;
    nlmsg_flags: bigint;
    readonly nlmsg_seq: bigint;
    readonly nlmsg_pid: bigint;
  };

  export type Packet = { readonly header: Header; readonly payload: Buffer };

  export type Socket = {
    readonly nl_pid: bigint;
    tryTalk(
      message: { header: { nlmsg_type: bigint; nlmsg_flags: bigint }; payload: Uint8Array },
      options: { timeout: number },
    ): Promise<unknown>;
    close(): Promise<void>;
    /** Bound to the emitter, so that inside a listener `this` is the emitter. */
    on(event: 'newListener', listener: (this: EventEmitter) => void): void;
  };

  const netlink: { open(options: { family: number; groups: number }): Promise<Socket> };
  // biome-ignore lint/style/noDefaultExport: it is how the package exports
  export default netlink;
}

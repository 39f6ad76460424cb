/** The part of raw-socket 1.8.1 that `icmp.ts` uses; the package has no types of its own. */

declare module 'raw-socket' {
  export const AddressFamily: { readonly IPv4: number; readonly IPv6: number };
  export const Protocol: { readonly ICMP: number; readonly ICMPv6: number };

  export type Socket = {
    setOption(level: number, option: number, value: Buffer, length: number): void;
    /** Calls one of the two, `after` with null or an error, once the socket takes the packet or refuses it. */
    send(
      packet: Buffer,
      offset: number,
      length: number,
      address: string,
      before: () => void,
      after: (error: Error | null) => void,
    ): void;
    /** The packet is a view of the one receive buffer: read it at once. IPv4 packets begin with their IP header. */
    on(event: 'message', listener: (packet: Buffer, source: string) => void): void;
    on(event: 'error', listener: (error: Error) => void): void;
    on(event: 'close', listener: () => void): void;
    close(): void;
  };

  export function createSocket(options: { protocol: number; addressFamily: number; bufferSize: number }): Socket;
}

/** What links have counted since they were made. Source: linux/if_link.h `struct rtnl_link_stats64`. */

import { decodeAttributes, readBytes, readText } from './attributes.ts';
import { encodeLink, linkAttribute, linkMessage } from './link.ts';
import type { NetlinkMessage, NetlinkSocket, RequestOptions } from './socket.ts';

type Counted = { readonly packets: number; readonly bytes: number };

export type LinkStatistics = {
  readonly name: string;
  readonly received: Counted;
  readonly sent: Counted;
  /** Packets, errors included. */
  readonly receiveDropped: number;
  readonly sendDropped: number;
};

/** Specification: position among the 64-bit numbers of the record. */
const position = {
  receivedPackets: 0,
  sentPackets: 1,
  receivedBytes: 2,
  sentBytes: 3,
  receiveErrors: 4,
  sendErrors: 5,
  receiveDropped: 6,
  sendDropped: 7,
} as const;

/** Of every link. @throws NETLINK_FAILED */
export async function listStatistics(
  socket: NetlinkSocket,
  options?: RequestOptions,
): Promise<readonly LinkStatistics[]> {
  const request = { name: 'list statistics of links', type: linkMessage.get, payload: encodeLink({}, []) };
  return (await socket.dump(request, options)).map(decodeStatistics);
}

export function decodeStatistics({ payload }: NetlinkMessage): LinkStatistics {
  const attributes = decodeAttributes(payload.subarray(16));
  const record = readBytes(attributes, linkAttribute.statistics);
  const at = (name: keyof typeof position) => Number(record?.readBigUInt64LE(position[name] * 8) ?? 0n);
  return {
    name: readText(attributes, linkAttribute.name) ?? '',
    received: { packets: at('receivedPackets'), bytes: at('receivedBytes') },
    sent: { packets: at('sentPackets'), bytes: at('sentBytes') },
    receiveDropped: at('receiveErrors') + at('receiveDropped'),
    sendDropped: at('sendErrors') + at('sendDropped'),
  };
}

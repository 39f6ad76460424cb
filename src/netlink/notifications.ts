/**
 * What changes in the kernel, as it changes: links, addresses, routes and, asked for, neighbours of this namespace,
 * whoever changes them.
 *
 * A consumer keeps a picture of the kernel: on `overrun` it reads everything anew, on any other it reads what is named.
 * The first item is always an overrun, sent once the groups are joined, so that nothing falls between the first
 * reading and the first change. Changes of one thing that wait together become the last of them; when more wait than a
 * consumer could sensibly read one by one, they become an overrun.
 *
 *      kernel --multicast--> socket --> mailbox (one entry per thing) --> consumer
 *                              |
 *                              +-- silent for a second? ask whether it still hears; if not: another socket, overrun
 *
 * Source: linux/rtnetlink.h `RTMGRP_*`.
 */

import type { Address } from '../core/address.ts';
import { addressMessage, decodeLinkAddress } from './address.ts';
import { decodeLinkHead, linkMessage } from './link.ts';
import { decodeNeighbourRow, type NeighbourRow, neighbourMessage, rowKey } from './neighbour.ts';
import { decodeRoute, localTable, type Route, routeMessage } from './route.ts';
import { type NetlinkMessage, type NotificationSocket, openNotificationSocket } from './socket.ts';

export type KernelChange =
  | { readonly kind: 'link'; readonly ifindex: number; readonly name: string; readonly isRemoved: boolean }
  | { readonly kind: 'address'; readonly ifindex: number; readonly address: Address; readonly isRemoved: boolean }
  | (Pick<Route, 'destination' | 'family' | 'table'> & { readonly kind: 'route'; readonly isRemoved: boolean })
  | { readonly kind: 'neighbour'; readonly row: NeighbourRow; readonly isRemoved: boolean }
  /** Somebody asked a vxlan link for an address that it has no neighbour for. */
  | { readonly kind: 'question'; readonly ifindex: number; readonly address: Address }
  | { readonly kind: 'overrun'; readonly reason: 'started' | 'lost' };

/** Specification: linux/rtnetlink.h. */
const groups = { link: 0x1, ipv4Address: 0x10, ipv4Route: 0x40, ipv6Address: 0x100, ipv6Route: 0x400 } as const;
const everyGroup = Object.values(groups).reduce((mask, group) => mask | group, 0);
const neighbourGroup = 0x4;
const unspecifiedFamily = 0;

/** Implementation: beyond this, reading everything is cheaper than reading one by one. */
const mailboxLimit = 1_024;
const silenceMs = 1_000;

export type Watched = {
  /** Neighbours and forwarding databases too. They change much: every host that is talked to is one. */
  readonly neighbours?: boolean;
};

/** Ends when the signal aborts or the consumer leaves; the socket is closed by then. @throws NETLINK_FAILED */
export async function* watchKernel(
  signal: AbortSignal,
  { neighbours = false }: Watched = {},
): AsyncGenerator<KernelChange, void, undefined> {
  const mask = everyGroup | (neighbours ? neighbourGroup : 0);
  const mailbox = createMailbox();
  const listen = () => openNotificationSocket(mask, (message) => mailbox.put(message));
  let socket: NotificationSocket = await listen();
  try {
    mailbox.overrun('started');
    while (!signal.aborted) {
      yield* mailbox.take();
      if (await mailbox.hasMail(silenceMs, signal)) continue;
      if (signal.aborted || (await socket.isHearing(silenceMs))) continue;
      await socket.close();
      socket = await listen();
      mailbox.overrun('lost');
    }
  } finally {
    await socket.close();
  }
}

/** Null for what a bridge says of its ports, for local routes, which follow addresses, and for other families. */
export function decodeChange(message: NetlinkMessage): Exclude<KernelChange, { kind: 'overrun' }> | null {
  switch (message.type) {
    case linkMessage.new:
    case linkMessage.delete: {
      const { family, index, name } = decodeLinkHead(message);
      if (family !== unspecifiedFamily) return null;
      return { kind: 'link', ifindex: index, name, isRemoved: message.type === linkMessage.delete };
    }
    case addressMessage.new:
    case addressMessage.delete: {
      const changed = decodeLinkAddress(message);
      if (changed === null) return null;
      const { ifindex, address } = changed;
      return { kind: 'address', ifindex, address, isRemoved: message.type === addressMessage.delete };
    }
    case routeMessage.new:
    case routeMessage.delete: {
      const route = decodeRoute(message);
      if (route === null || route.table === localTable) return null;
      const { destination, family, table } = route;
      return { kind: 'route', destination, family, table, isRemoved: message.type === routeMessage.delete };
    }
    case neighbourMessage.new:
    case neighbourMessage.delete: {
      const row = decodeNeighbourRow(message);
      return row === null ? null : { kind: 'neighbour', row, isRemoved: message.type === neighbourMessage.delete };
    }
    case neighbourMessage.get: {
      const row = decodeNeighbourRow(message);
      return row?.table === 'address' ? { kind: 'question', ifindex: row.ifindex, address: row.address } : null;
    }
    default:
      return null;
  }
}

function createMailbox() {
  let waiting = new Map<string, KernelChange>();
  let wake: () => void = () => {};

  function overrun(reason: 'started' | 'lost'): void {
    waiting = new Map([['overrun', { kind: 'overrun', reason }]]);
    wake();
  }

  return {
    overrun,

    /** Runs within the socket's receive loop, which an exception would end: what cannot be read is an overrun. */
    put(message: NetlinkMessage): void {
      try {
        const change = decodeChange(message);
        if (change === null || waiting.has('overrun')) return;
        if (waiting.size >= mailboxLimit) {
          overrun('lost');
          return;
        }
        const key = keyOf(change);
        waiting.delete(key);
        waiting.set(key, change);
        wake();
      } catch {
        overrun('lost');
      }
    },

    /** All that waits, oldest first. */
    take(): readonly KernelChange[] {
      const taken = [...waiting.values()];
      waiting.clear();
      return taken;
    },

    /** Waits for mail, a time limit or the signal, whichever is first. */
    hasMail(limitMs: number, signal: AbortSignal): Promise<boolean> {
      if (waiting.size > 0 || signal.aborted) return Promise.resolve(waiting.size > 0);
      return new Promise((resolve) => {
        const timer = setTimeout(() => wake(), limitMs);
        wake = () => {
          clearTimeout(timer);
          signal.removeEventListener('abort', wake);
          wake = () => {};
          resolve(waiting.size > 0);
        };
        signal.addEventListener('abort', wake, { once: true });
      });
    },
  };
}

function keyOf(change: Exclude<KernelChange, { kind: 'overrun' }>): string {
  switch (change.kind) {
    case 'link':
      return `link ${change.ifindex}`;
    case 'address':
      return `address ${change.ifindex} ${change.address}`;
    case 'route':
      return `route ${change.family} ${change.table} ${change.destination}`;
    case 'neighbour':
      return `neighbour ${rowKey(change.row)}`;
    case 'question':
      return `question ${change.ifindex} ${change.address}`;
  }
}

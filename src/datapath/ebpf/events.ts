/**
 * What the programs and the kernel tell, for whoever listens. Each listener has a queue of its own; one that does not
 * keep up loses the oldest, which is safe: a miss happens again, and drift is found by the next audit.
 */

import { macFromBytes } from '../../core/mac.ts';
import { parseVni } from '../../core/vni.ts';
import { isOverlayError } from '../../errors.ts';
import type { DataPathEvent } from '../../ports/data-path.ts';
import { enums, event as record } from './layout.gen.ts';
import { addressOf } from './records.ts';

export interface Events {
  emit(event: DataPathEvent): void;
  /** Ends when the signal aborts or `close` is called. */
  listen(signal: AbortSignal): AsyncIterable<DataPathEvent>;
  close(): void;
}

/** Implementation: about a second of the most that the programs' own buckets let through from a few devices. */
const queueLimit = 4_096;

interface Listener {
  readonly queue: DataPathEvent[];
  wake: () => void;
}

export function createEvents(): Events {
  const listeners = new Set<Listener>();
  const closed = new AbortController();

  async function* drain(listener: Listener, signal: AbortSignal): AsyncGenerator<DataPathEvent> {
    try {
      while (!signal.aborted) {
        const event = listener.queue.shift();
        if (event !== undefined) yield event;
        else await nextEvent(listener, signal);
      }
    } finally {
      listeners.delete(listener);
    }
  }

  return {
    emit: (event) => {
      for (const listener of listeners) {
        if (listener.queue.length >= queueLimit) listener.queue.shift();
        listener.queue.push(event);
        listener.wake();
      }
    },
    listen: (signal) => {
      const listener: Listener = { queue: [], wake: () => {} };
      const ended = AbortSignal.any([signal, closed.signal]);
      if (!ended.aborted) listeners.add(listener);
      return drain(listener, ended);
    },
    close: () => closed.abort(),
  };
}

/**
 * A record of the ring as an event. Null for a kind that is not in the data path's contract, such as the sample of a drop,
 * and for an address that is none: a container may send to any MAC.
 */
export function decodeEvent(bytes: Uint8Array): DataPathEvent | null {
  try {
    return readEvent(bytes);
  } catch (error) {
    if (isOverlayError(error, 'MAC_INVALID', 'VNI_OUT_OF_RANGE', 'ADDRESS_INVALID')) return null;
    throw error;
  }
}

function readEvent(bytes: Uint8Array): DataPathEvent | null {
  const { kind, vni, mac, address, vtep } = record.decode(bytes);
  switch (kind) {
    case enums.event_kind.EVENT_MISS_MAC:
      return { kind: 'miss', vni: parseVni(vni), address: null, mac: macFromBytes(mac) };
    case enums.event_kind.EVENT_MISS_ADDRESS:
      return { kind: 'miss', vni: parseVni(vni), address: addressOf(address), mac: null };
    case enums.event_kind.EVENT_PROVISIONAL:
      return { kind: 'provisional', vni: parseVni(vni), mac: macFromBytes(mac), vtep: addressOf(vtep) };
    case enums.event_kind.EVENT_GROUPS:
      return { kind: 'groups' };
    default:
      return null;
  }
}

function nextEvent(listener: Listener, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const wake = () => {
      signal.removeEventListener('abort', wake);
      listener.wake = () => {};
      resolve();
    };
    listener.wake = wake;
    signal.addEventListener('abort', wake, { once: true });
  });
}

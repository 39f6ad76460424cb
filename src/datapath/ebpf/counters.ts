/** Counters of the programs: one row per reason, a value per CPU, summed here. */

import { type MapFd, mapEntries } from '../../native/binding.ts';
import type { PacketCounters } from '../../ports/data-path.ts';
import { counterSize, decodeCounter, index, reasonNames } from './records.ts';

export function readCounters(map: MapFd): PacketCounters {
  const counted: Record<string, { packets: number; bytes: number }> = {};
  for (const [key, values] of mapEntries(map)) {
    const name = reasonNames.get(index.decode(key));
    if (name !== undefined) counted[name] = sum(values);
  }
  return counted;
}

function sum(values: Uint8Array): { packets: number; bytes: number } {
  const total = { packets: 0, bytes: 0 };
  for (let offset = 0; offset + counterSize <= values.length; offset += counterSize) {
    const { packets, bytes } = decodeCounter(values.subarray(offset, offset + counterSize));
    total.packets += packets;
    total.bytes += bytes;
  }
  return total;
}

/** Counters of the programs: one row per reason, a value per CPU, summed here and named as metrics name them. */

import { type MapFd, mapEntries } from '../../native/binding.ts';
import type { PacketCounters } from '../../ports/data-path.ts';
import { counter, reasons } from './layout.gen.ts';
import { index } from './records.ts';

export function readCounters(map: MapFd): PacketCounters {
  const names = new Map(reasons.map(({ code, name }) => [code, name.toLowerCase()]));
  const counted: Record<string, { packets: number; bytes: number }> = {};
  for (const [key, values] of mapEntries(map)) {
    const name = names.get(index.decode(key));
    if (name !== undefined) counted[name] = sum(values);
  }
  return counted;
}

function sum(values: Uint8Array): { packets: number; bytes: number } {
  const total = { packets: 0, bytes: 0 };
  for (let offset = 0; offset + counter.size <= values.length; offset += counter.size) {
    const { packets, bytes } = counter.decode(values.subarray(offset, offset + counter.size));
    total.packets += Number(packets);
    total.bytes += Number(bytes);
  }
  return total;
}

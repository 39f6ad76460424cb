/** What the programs tell through their ring, as events of the data path. */

import { macFromBytes } from '../../core/mac.ts';
import { parseVni } from '../../core/vni.ts';
import { isOverlayError } from '../../errors.ts';
import type { DataPathEvent } from '../../ports/data-path.ts';
import { enums, event as record } from './layout.gen.ts';
import { addressOf } from './records.ts';

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

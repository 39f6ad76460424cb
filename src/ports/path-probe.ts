/** Asks the underlay whether a VTEP answers, and how large a packet gets there unfragmented. */

import type { Address } from '../core/address.ts';

export type ProbeResult =
  | { readonly kind: 'reply'; readonly rttMs: number }
  | { readonly kind: 'timeout' }
  /** The packet is larger than a link on the way carries. */
  | { readonly kind: 'too-big' };

export interface PathProbe {
  /** One ICMP echo in an IP packet of exactly `sizeBytes`, not to be fragmented. */
  probe(address: Address, sizeBytes: number, timeoutMs: number): Promise<ProbeResult>;
  close(): Promise<void>;
}

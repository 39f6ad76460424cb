/** Asks the underlay whether a VTEP answers, and how large a packet gets there unfragmented. */

import type { Address } from '../core/address.ts';

export type ProbeResult =
  | { readonly kind: 'reply'; readonly rttMs: number }
  | { readonly kind: 'timeout' }
  /** Larger than the path carries; `mtuBytes` is what a router named, null when this node's device refused it. */
  | { readonly kind: 'too-big'; readonly mtuBytes: number | null }
  /** This node has no route, or a router on the path sent word that it has none. */
  | { readonly kind: 'unreachable'; readonly problem: string };

export interface PathProbe {
  /** One ICMP echo in an IP packet of exactly `sizeBytes`, not to be fragmented. @throws an AbortError once closed */
  probe(address: Address, sizeBytes: number, timeoutMs: number): Promise<ProbeResult>;
  /**
   * The listener is called when a router on the way to an address refuses a UDP packet of this node's as too big, with
   * the size it named. Anyone can forge such a message: it is a reason to probe, never a fact.
   */
  onRefused(listener: (address: Address, mtuBytes: number | null) => void): void;
  /** Idempotent. */
  close(): void;
}

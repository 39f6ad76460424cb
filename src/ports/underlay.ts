/** Where the others reach this node. It changes while the daemon runs: DHCP renews, an uplink is replaced, an MTU is set. */

import type { Node } from '../core/model.ts';

export type Place = Pick<Node, 'vtep' | 'mtuBytes'>;

export interface Underlay {
  /** As last seen. */
  place(): Place;
  /** Why nobody can reach this node now, with what to do; null when that is not so. */
  problem(): string | null;
  /** The present place, and each one after it. Ends when the signal aborts. */
  places(signal: AbortSignal): AsyncIterable<Place>;
}

/** What the parts of the swarm suite have in common. */

import type { suite } from '../suite.ts';
import type { Swarm } from '../swarm.ts';

export interface SwarmContext {
  swarm: Swarm;
}

export type SwarmTest = ReturnType<typeof suite<SwarmContext>>;

/** The network and the service of all parts; scaled to `most` at first. */
export const green = { network: 'green', subnet: '10.90.0.0/24', service: 'web', most: 20, replicas: 9 } as const;

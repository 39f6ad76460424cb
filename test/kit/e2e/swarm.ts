/**
 * Weft in a real swarm of three nodes on three LANs, with Consul on three servers: services, their life and that of the
 * nodes. One swarm for all, in the order of the text: each part finds the service that the first one made. What does not
 * depend on the engine's version and takes minutes is done on one of them.
 */

import type { EngineVersion } from '../engine.ts';
import { suite } from '../suite.ts';
import { createSwarm } from '../swarm.ts';
import { testNodes } from './swarm-nodes.ts';
import { testServices } from './swarm-services.ts';
import type { SwarmContext } from './swarm-stage.ts';
import { testUpkeep } from './swarm-upkeep.ts';

export function testSwarm(version: EngineVersion): void {
  const test = suite<SwarmContext>(`swarm on ${version}`, undefined, { isSequence: true });
  test.before(async (context) => {
    context.swarm = await createSwarm({ version, nodes: 3, settings: ['WEFT_SCOPE=global', 'WEFT_METRICS=off'] });
  });
  test.after(({ swarm }) => swarm?.close());
  testServices(test);
  testNodes(test, version);
  testUpkeep(test, version);
  test.run();
}

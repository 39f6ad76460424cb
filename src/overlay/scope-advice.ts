/** What the driver's scope means on this engine, since the engine's own messages lead elsewhere. */

import type { EngineReport } from './report.ts';

/** As the driver tells it to Docker: who creates networks, each engine by itself or swarm for all. */
export type Scope = 'local' | 'global';

export interface ScopeAdvice {
  readonly problems: readonly string[];
  readonly notes: readonly string[];
}

const globalAlone =
  "scope is global but this engine is in no swarm: engines up to 20.10 refuse networks of such a driver, saying 'This node is not a swarm manager'; use WEFT_SCOPE=local, or docker swarm init / join";
const localInSwarm =
  'scope is local in a swarm: networks belong to this node alone unless made with --scope swarm --config-from; docker service needs that or WEFT_SCOPE=global';

/** Global without a swarm is wrong on an engine that refuses its networks, and odd on a later one. */
export function scopeAdvice(scope: Scope, { state, version, swarm }: EngineReport): ScopeAdvice {
  if (state !== 'connected') return { problems: [], notes: [] };
  if (scope === 'global' && swarm === 'inactive') {
    const isRefused = Number.parseInt(version ?? '', 10) <= 20;
    return isRefused ? { problems: [globalAlone], notes: [] } : { problems: [], notes: [globalAlone] };
  }
  const isInSwarm = swarm === 'worker' || swarm === 'manager';
  return { problems: [], notes: scope === 'local' && isInSwarm ? [localInSwarm] : [] };
}

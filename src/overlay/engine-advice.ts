/**
 * What the engine and its swarm are told about Weft wrongly, since their own messages lead elsewhere: the driver's scope
 * for the mode, its name, nodes without the plugin, services behind a virtual address. Pure.
 *
 *   problems   what cannot work as it is
 *   notes      what was asked for, but may not be what was meant
 */

import type { EngineInventory } from '../ports/engine.ts';

/** As the driver tells it to Docker: who creates networks, each engine by itself or swarm for all. */
export type Scope = 'local' | 'global';

export interface Driver {
  readonly scope: Scope;
  /** As users write it behind --driver. */
  readonly name: string;
}

export interface Advice {
  readonly problems: readonly string[];
  readonly notes: readonly string[];
}

const globalAlone =
  "scope is global but this engine is in no swarm: engines up to 20.10 refuse networks of such a driver, saying 'This node is not a swarm manager'; use WEFT_SCOPE=local, or docker swarm init / join";
const localInSwarm =
  'scope is local in a swarm: networks belong to this node alone unless made with --scope swarm --config-from; docker service needs that or WEFT_SCOPE=global';

/** `inventory` null: the engine has not told anything. */
export function engineAdvice(driver: Driver, inventory: EngineInventory | null): Advice {
  if (inventory === null) return { problems: [], notes: [] };
  const scope = scopeAdvice(driver, inventory);
  return {
    problems: [...scope.problems, ...untagged(driver, inventory)],
    notes: [...scope.notes, ...nodesWithout(driver, inventory), ...deadAddresses(driver, inventory)],
  };
}

/** Global without a swarm is wrong on an engine that refuses its networks, and odd on a later one. */
function scopeAdvice({ scope }: Driver, { version, swarm }: EngineInventory): Advice {
  if (scope === 'global' && swarm === 'inactive') {
    const isRefused = Number.parseInt(version, 10) <= 20;
    return isRefused ? { problems: [globalAlone], notes: [] } : { problems: [], notes: [globalAlone] };
  }
  const isInSwarm = swarm === 'worker' || swarm === 'manager';
  return { problems: [], notes: scope === 'local' && isInSwarm ? [localInSwarm] : [] };
}

/** Swarm keeps a network of a driver that it cannot find, without ever allocating it. */
function untagged({ name }: Driver, { networks }: EngineInventory): readonly string[] {
  const short = /^(.+):[^/:]+$/.exec(name)?.[1];
  return [...networks.values()]
    .filter(({ driver, scope }) => scope === 'swarm' && driver === short && driver !== name)
    .map(
      (network) =>
        `network ${network.name} is of driver ${short}, which swarm does not know: a managed plugin's name has its tag; docker network rm ${network.name} and create it with --driver ${name}`,
    );
}

/** Swarm says "no suitable node (missing plugin on 1 node)", but not which. */
function nodesWithout({ scope, name }: Driver, { nodes }: EngineInventory): readonly string[] {
  if (scope === 'local' || nodes.length === 0) return [];
  if (!nodes.some(({ plugins }) => plugins.has(name))) {
    return [`no node of the swarm has a plugin ${name}; set WEFT_DRIVER_NAME to the name that docker plugin ls shows`];
  }
  return nodes
    .filter(({ isReady, plugins }) => isReady && !plugins.has(name))
    .map((node) => {
      const cause = `node ${node.name} of the swarm has no enabled plugin ${name}, so it gets no task of its networks`;
      return `${cause}; docker plugin install it there under that very name, or docker plugin enable ${name}`;
    });
}

/** No engine serves the virtual address of a service in a network of another driver than its own overlay (moby daemon/network.go). */
function deadAddresses({ name }: Driver, { networks, services }: EngineInventory): readonly string[] {
  return services.flatMap((service) =>
    service.virtualIn
      .map((id) => networks.get(id))
      .filter((network) => network?.driver === name)
      .map((network) => {
        const cause = `the name of service ${service.name} stands for a virtual address in network ${network?.name}, where nothing answers`;
        return `${cause}; create the service with --endpoint-mode dnsrr, or use tasks.${service.name}`;
      }),
  );
}

/**
 * The port's adapter: the API of a Docker engine on its unix socket. Paths bear no version, so that each engine answers
 * in its newest; the few fields read are the same in all. Every answer is parsed, every failure is ENGINE_UNREACHABLE.
 */

import type { z } from 'zod';
import type { NetworkId } from '../core/identity.ts';
import { messageOf, overlayError } from '../errors.ts';
import type { Engine, EngineNetwork, SwarmNode, SwarmService } from '../ports/engine.ts';
import {
  containersAnswer,
  endpointIds,
  infoAnswer,
  networkAnswer,
  networksAnswer,
  nodesAnswer,
  refusalAnswer,
  servicesAnswer,
} from './answers.ts';
import { get, type RequestLimits } from './request.ts';

/** Implementation: a container takes 2 KB of the list, so this is some 30,000; an engine answers in milliseconds. */
const defaultLimits: RequestLimits = { milliseconds: 5_000, bytes: 64 * 1024 * 1024 };

export function createEngine(path: string, limits: RequestLimits = defaultLimits): Engine {
  /** Null: the engine says that there is no such thing. */
  const ask = async <Answer>(where: string, schema: z.ZodType<Answer>, signal: AbortSignal): Promise<Answer | null> => {
    try {
      const { status, text } = await get(path, where, limits, signal);
      if (status === 404) return null;
      if (status !== 200) throw new Error(`GET ${where}: it answered ${status}${reasonIn(text)}`);
      return parse(where, text, schema);
    } catch (error) {
      signal.throwIfAborted();
      throw overlayError('ENGINE_UNREACHABLE', { path, problem: messageOf(error) }, { cause: error });
    }
  };
  const answerTo = async <Answer>(where: string, schema: z.ZodType<Answer>, signal: AbortSignal): Promise<Answer> => {
    const answer = await ask(where, schema, signal);
    if (answer !== null) return answer;
    throw overlayError('ENGINE_UNREACHABLE', { path, problem: `GET ${where}: it answered 404; is it an engine?` });
  };

  /** A manager without a quorum answers neither: then nothing is said of the swarm, and the rest still holds. */
  const swarmInventory = async (signal: AbortSignal) => {
    const nodes = (await ask('/nodes', nodesAnswer, signal).catch(unlessAborted(signal))) ?? [];
    const services = (await ask('/services', servicesAnswer, signal).catch(unlessAborted(signal))) ?? [];
    return { nodes: nodes.map(nodeOf), services: services.map(serviceOf) };
  };

  return {
    async inventory(signal) {
      const info = await answerTo('/info', infoAnswer, signal);
      const swarm = swarmOf(info.Swarm);
      // Containers before networks: what is made in between is in neither or in the second, never an orphan.
      const containers = await answerTo('/containers/json?all=1', containersAnswer, signal);
      const networks = await answerTo('/networks', networksAnswer, signal);
      return {
        id: info.ID,
        version: info.ServerVersion,
        swarm,
        networks: new Map(networks.map((each) => [each.Id, networkOf(each)])),
        endpoints: endpointIds(
          containers.flatMap(({ NetworkSettings }) => Object.values(NetworkSettings?.Networks ?? {})),
        ),
        ...(swarm === 'manager' ? await swarmInventory(signal) : { nodes: [], services: [] }),
      };
    },
    async endpointsOf(network: NetworkId, signal) {
      const where = `/networks/${encodeURIComponent(network)}`;
      const answer = await ask(where, networkAnswer, signal);
      if (answer === null) return null;
      if (answer.Id === network) return endpointIds(Object.values(answer.Containers ?? {}));
      throw overlayError('ENGINE_UNREACHABLE', { path, problem: `GET ${where}: it answered with another network` });
    },
  };
}

function unlessAborted(signal: AbortSignal): () => null {
  return () => {
    signal.throwIfAborted();
    return null;
  };
}

function networkOf({ Name, Driver, Scope }: z.output<typeof networksAnswer>[number]): EngineNetwork {
  return { name: Name ?? '', driver: Driver ?? '', scope: Scope ?? '' };
}

function nodeOf({ Description, Status }: z.output<typeof nodesAnswer>[number]): SwarmNode {
  const plugins = (Description?.Engine?.Plugins ?? []).filter(({ Type }) => Type === 'Network');
  return {
    name: Description?.Hostname ?? '',
    isReady: Status?.State === 'ready',
    plugins: new Set(plugins.map(({ Name }) => Name)),
  };
}

function serviceOf({ Spec, Endpoint }: z.output<typeof servicesAnswer>[number]): SwarmService {
  const virtual = (Endpoint?.VirtualIPs ?? []).filter(({ Addr }) => (Addr ?? '') !== '');
  return { name: Spec.Name, virtualIn: virtual.map(({ NetworkID }) => NetworkID) };
}

function parse<Answer>(where: string, text: string, schema: z.ZodType<Answer>): Answer {
  try {
    return schema.parse(JSON.parse(text));
  } catch (error) {
    throw new Error(`GET ${where}: its answer makes no sense (${messageOf(error).slice(0, 100)})`, { cause: error });
  }
}

function reasonIn(text: string): string {
  try {
    return `: ${refusalAnswer.parse(JSON.parse(text)).message.slice(0, 200)}`;
  } catch {
    return '';
  }
}

function swarmOf(swarm: z.output<typeof infoAnswer>['Swarm']): string {
  const state = swarm?.LocalNodeState || 'inactive';
  if (state !== 'active') return state;
  return swarm?.ControlAvailable === true ? 'manager' : 'worker';
}

/** An engine as its user handles it: through the docker command, nothing behind its back. */

import { DockerError, type Engine, testImage } from './engine.ts';
import type { Station } from './node.ts';

export interface Container extends Station {
  /** Where it runs. */
  readonly node: Docker;
  readonly id: string;
  /** Its addresses in one network; `address6` is empty without IPv6. */
  readonly address: string;
  readonly address6: string;
  readonly mac: string;
}

export interface RunOptions {
  readonly network: string;
  /** More words of docker run, before the image. */
  readonly args?: readonly string[];
  /** What runs in it; default: it sleeps. */
  readonly command?: readonly string[];
}

export interface Docker {
  readonly name: string;
  /** Runs docker with words separated by spaces, then with the rest as they are. @throws DockerError */
  docker(words: string, ...rest: readonly string[]): Promise<string>;
  /** The same for a command that must fail. @returns what it said; @throws when it succeeds */
  refused(words: string, ...rest: readonly string[]): Promise<string>;
  /** docker run --detach. */
  run(name: string, options: RunOptions): Promise<Container>;
  /** A running container as it is now, seen from one of its networks. */
  container(name: string, network: string): Promise<Container>;
}

/** `name`: of the node, for messages. */
export function createDocker(name: string, engine: Engine): Docker {
  const container = async (wanted: string, network: string): Promise<Container> => {
    const { Id, NetworkSettings } = parseInspect(await engine.docker(['inspect', '--type', 'container', wanted]));
    const place = NetworkSettings.Networks[network];
    if (place === undefined) throw new Error(`container ${wanted} is not in network ${network}`);
    const { IPAddress, GlobalIPv6Address, MacAddress } = place;
    const station = await engine.container(wanted);
    return { ...station, node, id: Id, address: IPAddress, address6: GlobalIPv6Address, mac: MacAddress };
  };
  const node: Docker = {
    name,
    docker: (words, ...rest) => engine.docker([...split(words), ...rest]),
    async refused(words, ...rest) {
      try {
        await engine.docker([...split(words), ...rest]);
      } catch (error) {
        if (error instanceof DockerError) return error.message;
        throw error;
      }
      throw new Error(`docker ${[...split(words), ...rest].join(' ')} on ${name} should have been refused`);
    },
    async run(wanted, { network, args = [], command = [] }) {
      await engine.docker(['run', '--detach', '--name', wanted, '--network', network, ...args, testImage, ...command]);
      return container(wanted, network);
    },
    container,
  };
  return node;
}

/** The part of docker inspect that is of use here. */
interface Inspected {
  readonly Id: string;
  readonly NetworkSettings: {
    readonly Networks: Readonly<
      Record<string, { readonly IPAddress: string; readonly GlobalIPv6Address: string; readonly MacAddress: string }>
    >;
  };
}

function parseInspect(text: string): Inspected {
  const [only] = JSON.parse(text) as readonly Inspected[];
  if (only === undefined) throw new Error('docker inspect found nothing');
  return only;
}

/** Words separated by spaces. */
export function split(words: string): readonly string[] {
  return words.split(/\s+/).filter((word) => word !== '');
}

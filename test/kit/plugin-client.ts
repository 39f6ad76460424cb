/**
 * The engine's end of the plugin socket, without an engine: one HTTP call at a time as moby's client makes it, and the
 * sequences of calls behind `docker network create`, `docker run` and their opposites. A container is a network
 * namespace that gets the end of the veth pair as an engine would give it.
 */

import { randomBytes } from 'node:crypto';
import { request } from 'node:http';
import type { Daemon } from './daemon.ts';
import { createNetns, deleteNetns, insideNetns, ipBatch } from './netns.ts';
import type { LabNode, Station } from './node.ts';

export interface PluginReply {
  readonly status: number;
  readonly body: string;
  readonly milliseconds: number;
}

export class PluginRefusal extends Error {
  readonly method: string;
  readonly reply: PluginReply;

  constructor(method: string, reply: PluginReply, text: string) {
    super(text);
    this.name = 'PluginRefusal';
    this.method = method;
    this.reply = reply;
  }
}

export type Answer = Readonly<Record<string, unknown>>;

export interface PluginClient {
  /** Any bytes. @throws when the connection breaks, or after the limit */
  send(method: string, body: string, limitMs?: number): Promise<PluginReply>;
  /** @throws PluginRefusal; Error when the answer took longer than a verb may take */
  call(method: string, message: object): Promise<Answer>;
}

/** Whatever becomes of the store. */
export const answerLimitMs = 3_000;
/** Implementation: longer than any answer may take, so that a late one is told from none. */
const sendLimitMs = 15_000;

export function createPluginClient(socketPath: string): PluginClient {
  const send: PluginClient['send'] = (method, body, limitMs = sendLimitMs) =>
    new Promise((resolve, reject) => {
      const startedMs = performance.now();
      const headers = { accept: 'application/vnd.docker.plugins.v1.2+json', 'content-length': Buffer.byteLength(body) };
      const signal = AbortSignal.timeout(limitMs);
      const call = request(
        { socketPath, method: 'POST', path: `/${method}`, headers, agent: false, signal },
        (reply) => {
          let text = '';
          reply.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
          reply.once('error', reject);
          reply.once('end', () =>
            resolve({ status: reply.statusCode ?? 0, body: text, milliseconds: performance.now() - startedMs }),
          );
        },
      );
      call.once('error', (cause) => reject(new Error(`${method} got no answer: ${cause.message}`, { cause })));
      call.end(body);
    });
  return {
    send,
    async call(method, message) {
      const reply = await send(method, `${JSON.stringify(message)}\n`);
      const text = refusalOf(method, reply);
      if (reply.milliseconds > answerLimitMs) {
        throw new Error(`${method} took ${Math.round(reply.milliseconds)} ms, to say ${text ?? 'yes'}`);
      }
      if (text !== null) throw new PluginRefusal(method, reply, text);
      return JSON.parse(reply.body) as Answer;
    },
  };
}

/** As moby reads it: under `Error` for IPAM, under `Err` for networks. Null: it was no failure. */
export function refusalOf(method: string, { status, body }: PluginReply): string | null {
  const answer = JSON.parse(body) as Answer;
  const text = answer[method.startsWith('IpamDriver.') ? 'Error' : 'Err'];
  if (typeof text === 'string' && text !== '') return text;
  return status === 200 ? null : `status ${status}`;
}

export interface HandNetwork {
  /** Docker's id. */
  readonly id: string;
  readonly pool: string;
  readonly subnet: string;
  readonly gateway: string;
}

export interface HandEndpoint {
  readonly id: string;
  readonly network: HandNetwork;
  /** Without a prefix length. */
  readonly address: string;
  readonly mac: string;
}

export interface HandContainer extends Station {
  readonly netns: string;
  readonly endpoint: HandEndpoint;
  readonly address: string;
}

export interface NetworkWishes {
  readonly subnet?: string;
  /** An IPv6 subnet besides, whose addresses the containers ask for themselves. */
  readonly subnet6?: string;
  /** weft.network, for both drivers. */
  readonly name?: string;
  readonly gateway?: string;
  /** Behind -o. */
  readonly options?: Readonly<Record<string, string>>;
  readonly id?: string;
}

export interface EndpointWishes {
  readonly address?: string;
  /** With its prefix length. */
  readonly address6?: string;
}

export interface Hand extends PluginClient {
  /** RequestPool, RequestAddress and CreateNetwork. What was given out goes back when a step fails. */
  createNetwork(wishes?: NetworkWishes): Promise<HandNetwork>;
  removeNetwork(network: HandNetwork): Promise<void>;
  /** RequestAddress and CreateEndpoint. What was reserved is given back when the endpoint fails, as an engine does. */
  createEndpoint(network: HandNetwork, wishes?: EndpointWishes): Promise<HandEndpoint>;
  /** @returns the name of the container's interface */
  join(endpoint: HandEndpoint): Promise<string>;
  leave(endpoint: HandEndpoint): Promise<void>;
  /** DeleteEndpoint and ReleaseAddress. */
  removeEndpoint(endpoint: HandEndpoint): Promise<void>;
  /** All that `docker run` does up to the container's first packet. */
  run(network: HandNetwork, wishes?: EndpointWishes): Promise<HandContainer>;
  /** All that `docker rm --force` does. */
  remove(container: HandContainer): Promise<void>;
}

export const newId = (): string => randomBytes(32).toString('hex');

const gatewayOptions = { RequestAddressType: 'com.docker.network.gateway' };
const none = { Address: '', AddressIPv6: '', MacAddress: '' };
let containers = 0;

/** Does by hand what the engine of a node does. */
export function createHand(host: LabNode, daemon: Pick<Daemon, 'pluginSocket'>): Hand {
  const client = createPluginClient(daemon.pluginSocket);
  const { call } = client;

  const hand: Hand = {
    ...client,
    async createNetwork({ subnet = '', subnet6, name, gateway = '', options = {}, id = newId() } = {}) {
      const named = name === undefined ? {} : { 'weft.network': name };
      const wanted = { AddressSpace: 'WeftLocal', Pool: subnet, SubPool: '', Options: named, V6: false };
      const { PoolID: pool, Pool } = await call('IpamDriver.RequestPool', wanted);
      const undo: (() => Promise<unknown>)[] = [() => call('IpamDriver.ReleasePool', { PoolID: pool })];
      try {
        const given = { PoolID: pool, Address: gateway, Options: gatewayOptions };
        const { Address: Gateway } = await call('IpamDriver.RequestAddress', given);
        const own = withoutLength(String(Gateway));
        undo.push(() => call('IpamDriver.ReleaseAddress', { PoolID: pool, Address: own }));
        const generic = { 'com.docker.network.generic': { ...named, ...options } };
        const data = [{ AddressSpace: 'WeftLocal', Pool, Gateway }];
        const data6 = subnet6 === undefined ? [] : [{ AddressSpace: 'WeftLocal', Pool: subnet6, Gateway: '' }];
        const message = { NetworkID: id, Options: generic, IPv4Data: data, IPv6Data: data6 };
        await call('NetworkDriver.CreateNetwork', message);
        return { id, pool: String(pool), subnet: String(Pool), gateway: own };
      } catch (error) {
        for (const step of undo.toReversed()) await step();
        throw error;
      }
    },
    async removeNetwork({ id, pool, gateway }) {
      await call('IpamDriver.ReleaseAddress', { PoolID: pool, Address: gateway });
      await call('IpamDriver.ReleasePool', { PoolID: pool });
      await call('NetworkDriver.DeleteNetwork', { NetworkID: id });
    },
    async createEndpoint(network, { address: wanted = '', address6 = '' } = {}) {
      const id = newId();
      const asked = { PoolID: network.pool, Address: wanted, Options: null };
      const { Address } = await call('IpamDriver.RequestAddress', asked);
      const address = withoutLength(String(Address));
      const message = {
        NetworkID: network.id,
        EndpointID: id,
        Interface: { ...none, Address, AddressIPv6: address6 },
        Options: {},
      };
      try {
        const { Interface } = await call('NetworkDriver.CreateEndpoint', message);
        return { id, network, address, mac: String((Interface as Answer)['MacAddress']) };
      } catch (error) {
        await call('IpamDriver.ReleaseAddress', { PoolID: network.pool, Address: address });
        throw error;
      }
    },
    async join({ id, network }) {
      const message = { NetworkID: network.id, EndpointID: id, SandboxKey: '/var/run/docker/netns/0', Options: {} };
      const { InterfaceName } = await call('NetworkDriver.Join', message);
      return String((InterfaceName as Answer)['SrcName']);
    },
    leave: async ({ id, network }) =>
      void (await call('NetworkDriver.Leave', { NetworkID: network.id, EndpointID: id })),
    async removeEndpoint({ id, network, address }) {
      await call('NetworkDriver.DeleteEndpoint', { NetworkID: network.id, EndpointID: id });
      await call('IpamDriver.ReleaseAddress', { PoolID: network.pool, Address: address });
    },
    async run(network, wishes) {
      const endpoint = await hand.createEndpoint(network, wishes);
      const device = await hand.join(endpoint);
      containers += 1;
      const netns = `${host.netns}-k${containers}`;
      await createNetns(netns);
      await ipBatch(host.netns, [`link set ${device} netns ${netns}`]);
      await ipBatch(netns, [
        `link set ${device} name eth0`,
        `link set eth0 address ${endpoint.mac} up`,
        `address add ${endpoint.address}/${network.subnet.split('/')[1]} dev eth0`,
        ...(wishes?.address6 === undefined ? [] : [`address add ${wishes.address6} dev eth0 nodad`]),
      ]);
      return { ...within(host, netns), netns, endpoint, address: endpoint.address };
    },
    async remove({ endpoint, netns }) {
      await hand.leave(endpoint);
      await hand.removeEndpoint(endpoint);
      await deleteNetns(netns);
    },
  };
  return hand;
}

/** Entered through the node, so that its lab ends what is started there. */
function within(host: LabNode, netns: string): Station {
  const inside = insideNetns(netns);
  return {
    name: netns,
    exec: (argv, options) => host.exec([...inside, ...argv], options),
    run: (argv, options) => host.run([...inside, ...argv], options),
    spawn: (argv, options) => host.spawn([...inside, ...argv], options),
  };
}

function withoutLength(address: string): string {
  return address.split('/')[0] ?? '';
}

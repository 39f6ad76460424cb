/**
 * An engine's side of the plugin protocol, as far as attaching a container needs it: the same calls in the same order
 * over the plugin's socket, on kept-alive connections, and then what the engine does itself: moving the interface into
 * the container's namespace and giving it its name and address (moby libnetwork/osl/interface_linux.go).
 */

import { Agent, request } from 'node:http';
import { run } from '../test/kit/command.ts';
import { insideNetns, ipBatch } from '../test/kit/netns.ts';

export interface PluginClient {
  /** @throws Error with what the plugin said */
  call(method: string, message: object): Promise<Answer>;
  close(): void;
}

/** The fields of all answers that are used here. */
interface Answer {
  readonly PoolID?: string;
  readonly Address?: string;
  readonly Interface?: { readonly MacAddress?: string };
  readonly InterfaceName?: { readonly SrcName: string };
  readonly Err?: string;
  readonly Error?: string;
}

export interface PluginNetwork {
  readonly id: string;
  readonly pool: string;
}

export interface Attachment {
  readonly endpointId: string;
  /** With the prefix length. */
  readonly address: string;
  readonly mac: string;
  readonly interfaceName: string;
  /** How long the plugin took. */
  readonly timings: Timings;
}

export interface Timings {
  readonly requestAddressMs: number;
  readonly createEndpointMs: number;
  readonly joinMs: number;
}

const accept = 'application/vnd.docker.plugins.v1.2+json';
const generic = 'com.docker.network.generic';
const gatewayType = { RequestAddressType: 'com.docker.network.gateway' };

export function connectPlugin(socketPath: string): PluginClient {
  const agent = new Agent({ keepAlive: true });
  return {
    async call(method, message) {
      const text = await post({ socketPath, agent, path: `/${method}` }, JSON.stringify(message));
      const answer = JSON.parse(text) as Answer;
      const problem = answer.Err || answer.Error;
      if (problem) throw new Error(`${method}: ${problem}`);
      return answer;
    },
    close: () => agent.destroy(),
  };
}

/** `docker network create --ipam-driver weft --subnet SUBNET`. The same id on two engines would be swarm's way. */
export async function createNetwork(
  plugin: PluginClient,
  { id, subnet, options = {} }: { id: string; subnet: string; options?: Readonly<Record<string, string>> },
): Promise<PluginNetwork> {
  const { PoolID: pool = '' } = await plugin.call('IpamDriver.RequestPool', { Pool: subnet, Options: {} });
  const gateway = await plugin.call('IpamDriver.RequestAddress', { PoolID: pool, Address: '', Options: gatewayType });
  await plugin.call('NetworkDriver.CreateNetwork', {
    NetworkID: id,
    Options: { [generic]: options },
    IPv4Data: [{ AddressSpace: 'WeftLocal', Pool: subnet, Gateway: gateway.Address }],
    IPv6Data: [],
  });
  return { id, pool };
}

/** What `docker run --network` asks of the plugin. */
export async function attach(plugin: PluginClient, network: PluginNetwork, endpointId: string): Promise<Attachment> {
  const start = performance.now();
  const { Address: address = '' } = await plugin.call('IpamDriver.RequestAddress', {
    PoolID: network.pool,
    Address: '',
    Options: {},
  });
  const addressed = performance.now();
  const endpoint = { NetworkID: network.id, EndpointID: endpointId };
  const created = await plugin.call('NetworkDriver.CreateEndpoint', {
    ...endpoint,
    Interface: { Address: address, AddressIPv6: '', MacAddress: '' },
    Options: {},
  });
  const endpointMade = performance.now();
  const joined = await plugin.call('NetworkDriver.Join', { ...endpoint, SandboxKey: '', Options: {} });
  const end = performance.now();
  return {
    endpointId,
    address,
    mac: created.Interface?.MacAddress ?? '',
    interfaceName: joined.InterfaceName?.SrcName ?? '',
    timings: {
      requestAddressMs: addressed - start,
      createEndpointMs: endpointMade - addressed,
      joinMs: end - endpointMade,
    },
  };
}

/** Gives the interface of an attachment to a container: from the node's namespace into that one, as eth0. */
export async function plugIn(attachment: Attachment, nodeNetns: string, containerNetns: string): Promise<void> {
  const { interfaceName, address } = attachment;
  await run([...insideNetns(nodeNetns), 'ip', 'link', 'set', interfaceName, 'netns', containerNetns, 'name', 'eth0']);
  await ipBatch(containerNetns, [`address add ${address} dev eth0`, 'link set eth0 up']);
}

interface Destination {
  readonly socketPath: string;
  readonly agent: Agent;
  readonly path: string;
}

function post({ socketPath, agent, path }: Destination, body: string): Promise<string> {
  const headers = { accept, 'content-type': accept, 'content-length': Buffer.byteLength(body) };
  return new Promise((resolve, reject) => {
    const call = request({ socketPath, agent, path, method: 'POST', headers }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => (text += chunk));
      response.on('end', () => resolve(text));
      response.on('error', reject);
    });
    call.on('error', reject).end(body);
  });
}

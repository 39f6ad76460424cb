/**
 * The whole protocol on one screen: method → how its message is read → what answers it. Order: plugin activation,
 * then moby's drivers/remote/api/api.go, then ipams/remote/api/api.go.
 */

import type { Verbs } from '../overlay/requests.ts';
import { createIpamDriver } from './ipam-driver.ts';
import * as read from './messages.ts';
import { createNetworkDriver, type Scope } from './network-driver.ts';

/** Body in, answer out; the method's name is for refusals. */
export type Route = (method: string, body: string) => Promise<object>;

export interface RouteSettings {
  readonly verbs: Verbs;
  readonly scope: Scope;
  readonly driverName: string;
}

export function createRoutes(settings: RouteSettings): ReadonlyMap<string, Route> {
  const network = createNetworkDriver(settings);
  const ipam = createIpamDriver(settings.verbs);

  return new Map([
    ['Plugin.Activate', route(read.nothing, () => ({ Implements: ['NetworkDriver', 'IpamDriver'] }))],

    ['NetworkDriver.GetCapabilities', route(read.nothing, network.getCapabilities)],
    ['NetworkDriver.AllocateNetwork', route(read.allocateNetwork, network.allocateNetwork)],
    ['NetworkDriver.FreeNetwork', route(read.freeNetwork, network.freeNetwork)],
    ['NetworkDriver.GwAllocCheck', route(read.gwAllocCheck, network.gwAllocCheck)],
    ['NetworkDriver.CreateNetwork', route(read.createNetwork, network.createNetwork)],
    ['NetworkDriver.DeleteNetwork', route(read.deleteNetwork, network.deleteNetwork)],
    ['NetworkDriver.CreateEndpoint', route(read.createEndpoint, network.createEndpoint)],
    ['NetworkDriver.DeleteEndpoint', route(read.deleteEndpoint, network.deleteEndpoint)],
    ['NetworkDriver.EndpointOperInfo', route(read.endpointOperInfo, network.endpointOperInfo)],
    ['NetworkDriver.Join', route(read.join, network.join)],
    ['NetworkDriver.Leave', route(read.leave, network.leave)],
    [
      'NetworkDriver.ProgramExternalConnectivity',
      route(read.programExternalConnectivity, network.programExternalConnectivity),
    ],
    [
      'NetworkDriver.RevokeExternalConnectivity',
      route(read.revokeExternalConnectivity, network.revokeExternalConnectivity),
    ],
    ['NetworkDriver.DiscoverNew', route(read.discovery, network.discoverNew)],
    ['NetworkDriver.DiscoverDelete', route(read.discovery, network.discoverDelete)],

    ['IpamDriver.GetCapabilities', route(read.nothing, ipam.getCapabilities)],
    ['IpamDriver.GetDefaultAddressSpaces', route(read.nothing, ipam.getDefaultAddressSpaces)],
    ['IpamDriver.RequestPool', route(read.requestPool, ipam.requestPool)],
    ['IpamDriver.ReleasePool', route(read.releasePool, ipam.releasePool)],
    ['IpamDriver.RequestAddress', route(read.requestAddress, ipam.requestAddress)],
    ['IpamDriver.ReleaseAddress', route(read.releaseAddress, ipam.releaseAddress)],
  ]);
}

function route<Request>(reader: read.Reader<Request>, answer: (request: Request) => object | Promise<object>): Route {
  return async (method, body) => answer(reader(method, body));
}

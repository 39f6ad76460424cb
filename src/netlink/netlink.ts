/**
 * rtnetlink as one object: the links, addresses and routes of the network namespace this process was started in.
 * Every function takes `{ signal, timeoutMs }` last, and throws NETLINK_FAILED with the kernel's errno by name in
 * `details.errno`; ask with `hasErrno(error, 'EEXIST')` of `socket.ts`. An aborted request may still have been carried
 * out. Changes are watched apart from this, by `watchKernel` of `notifications.ts`, on a socket of its own.
 */

import type { Address } from '../core/address.ts';
import type { MacAddress } from '../core/mac.ts';
import { type LinkAddress, listAddresses } from './address.ts';
import { createBridge, createSealedBridge, sealBridge, setBridgePort } from './bridge.ts';
import type { BridgePortSetting } from './bridge-port.ts';
import { deleteLink, findLink, type Link, listLinks, setLink } from './link.ts';
import { deleteNeighbourRow, listNeighbourRows, type NeighbourRow, putNeighbourRow } from './neighbour.ts';
import { createNetworkTunnel, type NetworkTunnel } from './network-tunnel.ts';
import { type ChosenRoute, hopsTo, listRoutes, type NextHop, type Route, type RouteOptions, routeTo } from './route.ts';
import { addRule, deleteRule, listRules, type Rule } from './rule.ts';
import { openRequestSocket, type RequestOptions } from './socket.ts';
import { type LinkStatistics, listStatistics } from './statistics.ts';
import { createVethPair, type VethPair } from './veth.ts';
import { createTunnel, type Tunnel } from './vxlan.ts';

export type Netlink = {
  links(options?: RequestOptions): Promise<readonly Link[]>;
  /** Null when no link has the name. */
  linkByName(name: string, options?: RequestOptions): Promise<Link | null>;
  /** Both ends down; all or nothing. errno EEXIST when either name is taken. */
  createVethPair(pair: VethPair, options?: RequestOptions): Promise<void>;
  /** Down; all or nothing. errno EEXIST when the name is taken or another such device has the port. */
  createTunnel(tunnel: Tunnel, options?: RequestOptions): Promise<void>;
  /** Down; all or nothing. errno EEXIST when the name is taken. */
  createBridge(name: string, options?: RequestOptions): Promise<void>;
  /** One VNI's own; down; all or nothing. errno EEXIST when the name, or the VNI on this port, is taken. */
  createNetworkTunnel(tunnel: NetworkTunnel, options?: RequestOptions): Promise<void>;
  /** Deaf and mute to the host it stands on; down; all or nothing. errno EEXIST when the name is taken. */
  createSealedBridge(name: string, options?: RequestOptions): Promise<void>;
  /** Makes a bridge what `createSealedBridge` makes. Idempotent. */
  sealBridge(name: string, options?: RequestOptions): Promise<void>;
  setBridgePort(name: string, setting: BridgePortSetting, options?: RequestOptions): Promise<void>;
  /** Of a tunnel, errno EADDRINUSE when its port is held by something else. */
  setUp(name: string, options?: RequestOptions): Promise<void>;
  setDown(name: string, options?: RequestOptions): Promise<void>;
  setMtu(name: string, mtuBytes: number, options?: RequestOptions): Promise<void>;
  setMac(name: string, mac: MacAddress, options?: RequestOptions): Promise<void>;
  setAlias(name: string, alias: string, options?: RequestOptions): Promise<void>;
  /** Makes it a port of the bridge with this index; of another it is one no more. */
  setMaster(name: string, bridge: number, options?: RequestOptions): Promise<void>;
  /** Idempotent: false when there was none. Of a veth pair, both ends go. */
  deleteLink(name: string, options?: RequestOptions): Promise<boolean>;
  addresses(options?: RequestOptions): Promise<readonly LinkAddress[]>;
  /** errno ENETUNREACH when there is no route; see `route.ts` for the others. */
  routeTo(address: Address, options?: RouteOptions): Promise<ChosenRoute>;
  hopsTo(address: Address, options?: RouteOptions): Promise<readonly NextHop[]>;
  routes(options?: RequestOptions): Promise<readonly Route[]>;
  /** Of policy routing: our own, told by their protocol number. */
  rules(options?: RequestOptions): Promise<readonly Rule[]>;
  addRule(rule: Rule, options?: RequestOptions): Promise<void>;
  deleteRule(rule: Rule, options?: RequestOptions): Promise<void>;
  statistics(options?: RequestOptions): Promise<readonly LinkStatistics[]>;
  /** Neighbours and the forwarding databases of bridges and vxlan links. */
  neighbourRows(options?: RequestOptions): Promise<readonly NeighbourRow[]>;
  /** A lasting row. Idempotent. */
  putNeighbourRow(row: NeighbourRow, options?: RequestOptions): Promise<void>;
  /** Idempotent: false when there was none. */
  deleteNeighbourRow(row: NeighbourRow, options?: RequestOptions): Promise<boolean>;
  /** Answers what was asked before, refuses what is asked after with errno EBADF, and closes. Idempotent. */
  close(): Promise<void>;
};

/** @throws NETLINK_FAILED */
export async function openNetlink(): Promise<Netlink> {
  const socket = await openRequestSocket();
  return {
    links: (options) => listLinks(socket, options),
    linkByName: (name, options) => findLink(socket, name, options),
    createVethPair: (pair, options) => createVethPair(socket, pair, options),
    createTunnel: (tunnel, options) => createTunnel(socket, tunnel, options),
    createBridge: (name, options) => createBridge(socket, name, options),
    createNetworkTunnel: (tunnel, options) => createNetworkTunnel(socket, tunnel, options),
    createSealedBridge: (name, options) => createSealedBridge(socket, name, options),
    sealBridge: (name, options) => sealBridge(socket, name, options),
    setBridgePort: (name, setting, options) => setBridgePort(socket, name, setting, options),
    setUp: (name, options) => setLink(socket, name, { isUp: true }, options),
    setDown: (name, options) => setLink(socket, name, { isUp: false }, options),
    setMtu: (name, mtuBytes, options) => setLink(socket, name, { mtuBytes }, options),
    setMac: (name, mac, options) => setLink(socket, name, { mac }, options),
    setAlias: (name, alias, options) => setLink(socket, name, { alias }, options),
    setMaster: (name, master, options) => setLink(socket, name, { master }, options),
    deleteLink: (name, options) => deleteLink(socket, name, options),
    addresses: (options) => listAddresses(socket, options),
    routeTo: (address, options) => routeTo(socket, address, options),
    hopsTo: (address, options) => hopsTo(socket, address, options),
    routes: (options) => listRoutes(socket, options),
    rules: (options) => listRules(socket, options),
    addRule: (rule, options) => addRule(socket, rule, options),
    deleteRule: (rule, options) => deleteRule(socket, rule, options),
    statistics: (options) => listStatistics(socket, options),
    neighbourRows: (options) => listNeighbourRows(socket, options),
    putNeighbourRow: (row, options) => putNeighbourRow(socket, row, options),
    deleteNeighbourRow: (row, options) => deleteNeighbourRow(socket, row, options),
    close: () => socket.close(),
  };
}

/**
 * rtnetlink as one object: the links, addresses and routes of the network namespace this process was started in.
 * Every function takes `{ signal, timeoutMs }` last, and throws NETLINK_FAILED with the kernel's errno by name in
 * `details.errno`; ask with `hasErrno(error, 'EEXIST')` of `socket.ts`. An aborted request may still have been carried
 * out. Changes are watched apart from this, by `watchKernel` of `notifications.ts`, on a socket of its own.
 */

import type { Address } from '../core/address.ts';
import type { MacAddress } from '../core/mac.ts';
import { type LinkAddress, listAddresses } from './address.ts';
import { createBridge } from './bridge.ts';
import { deleteLink, findLink, type Link, listLinks, setLink } from './link.ts';
import { type ChosenRoute, hopsTo, listRoutes, type NextHop, type Route, type RouteOptions, routeTo } from './route.ts';
import { addRule, deleteRule, listRules, type Rule } from './rule.ts';
import { openRequestSocket, type RequestOptions } from './socket.ts';
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
  /** Of a tunnel, errno EADDRINUSE when its port is held by something else. */
  setUp(name: string, options?: RequestOptions): Promise<void>;
  setDown(name: string, options?: RequestOptions): Promise<void>;
  setMtu(name: string, mtuBytes: number, options?: RequestOptions): Promise<void>;
  setMac(name: string, mac: MacAddress, options?: RequestOptions): Promise<void>;
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
    setUp: (name, options) => setLink(socket, name, { isUp: true }, options),
    setDown: (name, options) => setLink(socket, name, { isUp: false }, options),
    setMtu: (name, mtuBytes, options) => setLink(socket, name, { mtuBytes }, options),
    setMac: (name, mac, options) => setLink(socket, name, { mac }, options),
    setMaster: (name, master, options) => setLink(socket, name, { master }, options),
    deleteLink: (name, options) => deleteLink(socket, name, options),
    addresses: (options) => listAddresses(socket, options),
    routeTo: (address, options) => routeTo(socket, address, options),
    hopsTo: (address, options) => hopsTo(socket, address, options),
    routes: (options) => listRoutes(socket, options),
    rules: (options) => listRules(socket, options),
    addRule: (rule, options) => addRule(socket, rule, options),
    deleteRule: (rule, options) => deleteRule(socket, rule, options),
    close: () => socket.close(),
  };
}

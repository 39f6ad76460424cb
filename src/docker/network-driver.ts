/**
 * Docker's NetworkDriver over the verbs of the overlay (moby drivers/remote/driver.go is the caller).
 *
 * Scope is the operator's: `local` for plain engines, since 20.10 refuses a global driver outside swarm; `global` for
 * the managed plugin in swarm. ConnectivityScope is always global, because it is true: it is read only by the swarm
 * agent, where it decides whether names of a node-local network resolve on other nodes; on a plain engine it is inert.
 *
 * The gateway's address is reserved on every engine. From 28 on an engine asks whether it may skip that; before, it
 * cannot. One network is shared by engines of all versions, so what is a gateway for one must never be a container's
 * address for another: the answer is no. The question is welcome all the same: it comes before any address is
 * allocated, so a bad option is refused before there is anything to undo.
 *
 * Join gives no gateway: docker_gwbridge brings the default route and publishes ports, and for the same reason there
 * is nothing to do in ProgramExternalConnectivity, which the engine sends to a gateway's driver alone.
 */

import type { Subnet } from '../core/address.ts';
import { familyOf, overlaps, prefixLength } from '../core/address.ts';
import { overlayError } from '../errors.ts';
import type { Verbs } from '../overlay/requests.ts';
import type * as messages from './messages.ts';
import { refusal } from './messages.ts';
import { mtuOption, vniOption } from './options.ts';

export type Scope = 'local' | 'global';

/** Specification (RFC 8200 §5): Linux turns IPv6 off on a link with less. */
const smallestIpv6MtuBytes = 1_280;
/** Implementation: containers see eth0, eth1 … as with Docker's own drivers. */
const interfacePrefix = 'eth';

const done = {};

export interface NetworkDriverSettings {
  readonly verbs: Verbs;
  readonly scope: Scope;
  /** For messages: what the user writes behind --ipam-driver. */
  readonly driverName: string;
}

export function createNetworkDriver({ verbs, scope, driverName }: NetworkDriverSettings) {
  return {
    getCapabilities: () => ({ Scope: scope, ConnectivityScope: 'global', GwAllocChecker: true }),

    /**
     * On swarm's leader, again for every network at each change of leader. What is answered replaces the options, so
     * they go back whole, with the VNI: each node's CreateNetwork brings it along.
     */
    async allocateNetwork(request: Request<'allocateNetwork'>) {
      const subnets = [...request.IPv4Data, ...request.IPv6Data];
      requireSubnets('NetworkDriver.AllocateNetwork', subnets, driverName);
      const { given, read } = request.Options;
      requireIpv6Room(subnets, read.mtuBytes);
      const vni = await verbs.allocateNetwork({ id: request.NetworkID, subnets, ...read });
      return { Options: { ...given, [vniOption]: String(vni) } };
    },

    async freeNetwork(request: Request<'freeNetwork'>) {
      await verbs.freeNetwork(request.NetworkID);
      return done;
    },

    gwAllocCheck: () => ({ SkipIPv4: false, SkipIPv6: false }),

    async createNetwork(request: Request<'createNetwork'>) {
      const subnets = [...request.IPv4Data, ...request.IPv6Data];
      requireSubnets('NetworkDriver.CreateNetwork', subnets, driverName);
      requireIpv6Room(subnets, request.Options.mtuBytes);
      await verbs.createNetwork({ id: request.NetworkID, subnets, ...request.Options });
      return done;
    },

    async deleteNetwork(request: Request<'deleteNetwork'>) {
      await verbs.deleteNetwork(request.NetworkID);
      return done;
    },

    /** The engine fails the endpoint if the answer has a field that the request had, even with the same value. */
    async createEndpoint(request: Request<'createEndpoint'>) {
      const { Address, AddressIPv6, MacAddress } = request.Interface;
      const mac = await verbs.createEndpoint({
        networkId: request.NetworkID,
        id: request.EndpointID,
        addresses: [Address, AddressIPv6].filter((address) => address !== null),
        mac: MacAddress ?? request.Options.mac,
        isRouter: request.Options.isRouter,
      });
      return MacAddress === null ? { Interface: { MacAddress: mac } } : done;
    },

    async deleteEndpoint(request: Request<'deleteEndpoint'>) {
      await verbs.deleteEndpoint(request.NetworkID, request.EndpointID);
      return done;
    },

    async endpointOperInfo(request: Request<'endpointOperInfo'>) {
      return { Value: await verbs.endpointFacts(request.NetworkID, request.EndpointID) };
    },

    async join(request: Request<'join'>) {
      const { interfaceName } = await verbs.join(request.NetworkID, request.EndpointID);
      return { InterfaceName: { SrcName: interfaceName, DstPrefix: interfacePrefix } };
    },

    async leave(request: Request<'leave'>) {
      await verbs.leave(request.NetworkID, request.EndpointID);
      return done;
    },

    programExternalConnectivity: () => done,
    revokeExternalConnectivity: () => done,

    /** Swarm's news of nodes: gossip addresses, not tunnel ends, and none on plain engines. The store knows better. */
    discoverNew: () => done,
    discoverDelete: () => done,
  };
}

/** What the reader of that name in messages.ts makes of a body. */
type Request<Name extends keyof typeof messages> =
  (typeof messages)[Name] extends messages.Reader<infer Value> ? Value : never;

/** Docker's null IPAM driver sends 0.0.0.0/0 and endpoints without addresses. */
function requireSubnets(method: string, subnets: readonly Subnet[], driverName: string): void {
  if (subnets.length === 0) throw refusal(method, 'the network has no subnet; enable IPv4 or IPv6 for it');
  const whole = subnets.find((subnet) => prefixLength(subnet) === 0);
  if (whole !== undefined) {
    const remedy = `use --ipam-driver ${driverName} or leave the option out`;
    throw refusal(method, `pool ${whole} hands out no addresses; ${remedy}`);
  }
  for (const [index, subnet] of subnets.entries()) {
    const other = subnets.slice(0, index).find((earlier) => overlaps(earlier, subnet));
    if (other !== undefined) throw refusal(method, `subnet ${subnet} overlaps ${other} of the same network`);
  }
}

function requireIpv6Room(subnets: readonly Subnet[], mtuBytes: number | null): void {
  if (mtuBytes === null || mtuBytes >= smallestIpv6MtuBytes) return;
  const subnet = subnets.find((candidate) => familyOf(candidate) === 'ipv6');
  if (subnet === undefined) return;
  const problem = `a network with an IPv6 subnet (${subnet}) needs at least ${smallestIpv6MtuBytes}`;
  throw overlayError('OPTION_INVALID', { option: mtuOption, value: mtuBytes, problem });
}

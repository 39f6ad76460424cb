/** What is to be said of paths that carry less than the containers of a network may send. Pure. */

import { familyOf } from '../core/address.ts';
import type { NodeId } from '../core/identity.ts';
import type { Membership, Network } from '../core/model.ts';
import { encapsulationBytes } from '../core/mtu.ts';
import type { PathState } from './path-search.ts';

export interface PathFacts {
  readonly self: string;
  readonly networks: readonly Network[];
  /** Of the other nodes. */
  readonly memberships: readonly Membership[];
  nodeName(id: NodeId): string;
  networkName(network: Network): string;
  stateOf(vtep: Membership['vtep']['address']): PathState;
}

/** Implementation: names in one sentence. */
const mostNames = 3;

/** One sentence for each peer with a short path, the widest network in it being the measure. */
export function shortPathNotes(facts: PathFacts): readonly string[] {
  const peers = new Map(facts.memberships.map((membership) => [membership.node, membership.vtep.address]));
  return [...peers].flatMap(([node, vtep]) => {
    const { mtuBytes } = facts.stateOf(vtep);
    if (mtuBytes === null) return [];
    const room = mtuBytes - encapsulationBytes[familyOf(vtep)];
    const joined = new Set(facts.memberships.filter((each) => each.node === node).map(({ network }) => network));
    const tooWide = facts.networks.filter((network) => joined.has(network.key) && network.mtuBytes > room);
    const widest = Math.max(...tooWide.map((network) => network.mtuBytes));
    if (tooWide.length === 0) return [];
    const names = tooWide.map((network) => facts.networkName(network)).sort();
    const shown = [...names.slice(0, mostNames), ...(names.length > mostNames ? ['others'] : [])].join(', ');
    return [
      `the path from ${facts.self} to ${facts.nodeName(node)} carries packets of ${mtuBytes} bytes, and ${shown} with an MTU ` +
        `of ${widest} needs ${widest + mtuBytes - room}: senders are told by ICMP and go on in smaller packets; raise the ` +
        `MTU on that path, or create the network with -o com.docker.network.driver.mtu=${room}`,
    ];
  });
}

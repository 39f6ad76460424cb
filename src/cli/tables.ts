/** The tables of `weft nodes`, `networks`, `endpoints` and `peers`; `status` shows two of them as well. */

import type { EndpointReport, NetworkReport, NodeReport, PeerReport } from '../control/client.ts';
import { formatTable, sortBy } from './table.ts';

/** Implementation: as many digits of a Docker id as Docker itself shows. */
const shortIdLength = 12;

export function nodesTable(nodes: readonly NodeReport[]): string {
  return formatTable(
    [
      { title: 'NODE', cell: ({ name, isSelf }) => (isSelf ? `${name} (this node)` : name) },
      { title: 'ID', cell: ({ id }) => id },
      { title: 'VTEP', cell: vtepText },
      { title: 'MTU', cell: ({ mtuBytes }) => mtuBytes },
      { title: 'EPOCH', cell: ({ epoch }) => epoch },
    ],
    sortBy(nodes, ({ name }) => name),
  );
}

export function networksTable(networks: readonly NetworkReport[]): string {
  return formatTable(
    [
      { title: 'NETWORK', cell: ({ name }) => name },
      { title: 'VNI', cell: ({ vni }) => vni },
      { title: 'SUBNETS', cell: ({ subnets }) => list(subnets) },
      { title: 'MTU', cell: ({ mtuBytes }) => mtuBytes },
      { title: 'ENDPOINTS', cell: ({ endpoints }) => endpoints },
      { title: 'DOCKER IDS', cell: ({ dockerIds }) => list(dockerIds.map(shortId)) },
    ],
    sortBy(networks, ({ name }) => name),
  );
}

export function endpointsTable(endpoints: readonly EndpointReport[]): string {
  return formatTable(
    [
      { title: 'ENDPOINT', cell: ({ id }) => shortId(id) },
      { title: 'NETWORK', cell: ({ network }) => network },
      { title: 'NODE', cell: ({ node, isLocal }) => (isLocal ? `${node} (this node)` : node) },
      { title: 'MAC', cell: ({ mac }) => mac },
      { title: 'ADDRESSES', cell: ({ addresses }) => list(addresses) },
    ],
    sortBy(endpoints, ({ network, node, addresses }) => [network, node, ...addresses].join(' ')),
  );
}

export function peersTable(peers: readonly PeerReport[]): string {
  return formatTable(
    [
      { title: 'NODE', cell: ({ node }) => node },
      { title: 'VTEP', cell: ({ address, port }) => addressWithPort(address, port) },
      { title: 'STATE', cell: ({ state }) => state },
      { title: 'MTU', cell: ({ mtuBytes }) => mtuBytes ?? '-' },
      { title: 'RTT', cell: ({ rttMs }) => (rttMs === null ? '-' : `${rttMs.toFixed(2)} ms`) },
      ...(peers.some(({ problem }) => problem !== undefined) ? [problemColumn] : []),
    ],
    sortBy(peers, ({ node }) => node),
  );
}

const problemColumn = { title: 'PROBLEM', cell: ({ problem }: PeerReport) => problem ?? '' };

/** Both addresses of a node that has two. */
export function vtepText({ vtep, port, alternate }: Pick<NodeReport, 'vtep' | 'port' | 'alternate'>): string {
  const addresses = alternate === undefined ? [vtep] : [vtep, alternate];
  return addresses.map((address) => addressWithPort(address, port)).join(', ');
}

/** RFC 5952 §6 for IPv6: `[fd00::1]:14789`. */
export function addressWithPort(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

function list(values: readonly string[]): string {
  return values.length === 0 ? '-' : values.join(', ');
}

function shortId(id: string): string {
  return id.slice(0, shortIdLength);
}

/** Status, tables and counters of this node, gathered when asked. */

import { createHash } from 'node:crypto';
import { familyOf } from '../core/address.ts';
import { everyGroup } from '../core/group.ts';
import { identityLabel, isOfSwarm } from '../core/identity.ts';
import type { Membership, Network, Node, Vtep } from '../core/model.ts';
import { addressesOf, reachable, towards } from '../core/vtep.ts';
import type { DataPath, PacketCounters } from '../ports/data-path.ts';
import type { Store } from '../ports/store.ts';
import type { Underlay } from '../ports/underlay.ts';
import type { Background } from './background.ts';
import type { Directory } from './directory.ts';
import { type Driver, engineAdvice } from './engine-advice.ts';
import type { Forgotten } from './forgotten.ts';
import type { Heartbeat } from './heartbeat.ts';
import type { Local } from './local.ts';
import { shortPathNotes } from './path-advice.ts';
import type { Paths } from './paths.ts';
import type { Presence } from './presence.ts';
import type { Publisher } from './publisher.ts';
import type { Reconciler } from './reconciler.ts';
import type { EndpointReport, NetworkReport, PeerReport, Reports } from './report.ts';

export interface ReportParts {
  readonly store: Store;
  readonly dataPath: DataPath;
  readonly local: Local;
  readonly directory: Directory;
  readonly reconciler: Reconciler;
  readonly background: Background;
  readonly publisher: Publisher;
  readonly presence: Presence;
  readonly paths: Paths;
  readonly heartbeat: Heartbeat;
  readonly forgotten: Forgotten;
  readonly underlay: Pick<Underlay, 'problem'>;
}

export interface ReportFacts {
  readonly version: string;
  readonly driver: Driver;
}

export function createReports(parts: ReportParts, { version, driver }: ReportFacts): Reports {
  const { store, dataPath, local, directory, reconciler, background, publisher } = parts;
  const { presence, paths, heartbeat, forgotten } = parts;
  const { id: selfId, name: selfName } = presence.node;

  /** All memberships of this node's networks, its own included. */
  const memberships = (): readonly Membership[] => [
    ...directory.memberships(),
    ...local.overlays().map(({ key }) => ({
      node: selfId,
      network: key,
      vtep: presence.node.vtep,
      endpoints: local.joined(key),
      groups: publisher.groups(key),
    })),
  ];
  const otherNodes = () => directory.nodes().filter(({ id }) => id !== selfId);
  const nodeName = (id: string) =>
    id === selfId ? selfName : (directory.nodes().find((node) => node.id === id)?.name ?? id);

  const peers = async (): Promise<PeerReport[]> => otherNodes().map((node) => peerReport(presence.node, node, paths));
  /** A swarm network's own name is Docker's alone; its id stands for it until the engine has told. */
  const shownName = ({ key, identity }: Network): string => {
    const ids = isOfSwarm(identity) ? local.networks().filter((each) => each.key === key) : [];
    const names = ids.map(({ id }) => forgotten.inventory()?.networks.get(id)?.name ?? '');
    return names.find((name) => name !== '') ?? identityLabel(identity);
  };
  const networks = async (): Promise<NetworkReport[]> => {
    const all = memberships();
    return local.overlays().map((network) => networkReport(network, shownName(network), local, all));
  };
  const notes = (): string[] => [
    ...engineAdvice(driver, forgotten.inventory()).notes,
    ...shortPathNotes({
      self: selfName,
      networks: local.overlays(),
      memberships: reachable(presence.node.vtep, directory.memberships()),
      ...{ nodeName, networkName: shownName, stateOf: paths.stateOf },
    }),
  ];
  const problems = (): string[] => {
    const lease = presence.problem();
    const silence = heartbeat.problem();
    const unreachable = parts.underlay.problem();
    return [
      ...(unreachable === null ? [] : [unreachable]),
      ...(lease === null ? [] : [lease]),
      ...(silence === null ? [] : [silence]),
      ...otherNodes()
        .filter(({ vtep }) => towards(presence.node.vtep, vtep) === null)
        .map(
          (node) =>
            `${apart(presence.node, node)}; give one of them an address of the other family as well, with --vtep`,
        ),
      ...directory.problems(),
      ...reconciler.problems(),
      ...background.problems(),
      ...engineAdvice(driver, forgotten.inventory()).problems,
    ];
  };

  return {
    async status() {
      const counters = await dataPath.counters();
      const { id, name, vtep, epoch } = presence.node;
      return {
        node: { id, name, ...vtepFields(vtep), epoch },
        version,
        dataPath: { kind: dataPath.kind, reason: dataPath.reason },
        store: {
          kind: store.kind,
          state: heartbeat.problem() === null ? directory.state() : 'down',
          digest: digest(local.overlays(), memberships()),
        },
        peers: await peers(),
        networks: await networks(),
        drops: dropsOf(counters),
        repairs: reconciler.repairs(),
        forgotten: forgotten.counts(),
        engine: forgotten.engine(),
        problems: problems(),
        notes: notes(),
      };
    },
    nodes: async () =>
      [presence.node, ...otherNodes()].map(({ id, name, vtep, mtuBytes, epoch }) => ({
        id,
        name,
        ...vtepFields(vtep),
        mtuBytes,
        epoch,
        isSelf: id === selfId,
      })),
    networks,
    async endpoints() {
      const labels = new Map(local.overlays().map((network) => [network.key, shownName(network)]));
      return memberships().flatMap(({ node, network, endpoints }) =>
        endpoints.map(
          ({ id, mac, addresses }): EndpointReport => ({
            id,
            network: labels.get(network) ?? network,
            node: nodeName(node),
            mac,
            addresses,
            isLocal: node === selfId,
          }),
        ),
      );
    },
    peers,
    counters: () => dataPath.counters(),
  };
}

function vtepFields({ address, port, alternate }: Vtep) {
  return { vtep: address, port, ...(alternate === undefined ? {} : { alternate }) };
}

function peerReport(self: Node, node: Node, paths: Paths): PeerReport {
  const { name, vtep } = node;
  const there = towards(self.vtep, vtep);
  const place = { node: name, address: there?.address ?? vtep.address, port: vtep.port };
  if (there !== null) return { ...place, ...paths.stateOf(there.address) };
  return { ...place, state: 'unreachable', mtuBytes: null, rttMs: null, problem: apart(self, node) };
}

/** Of two nodes with no address family in common. */
function apart(one: Node, other: Node): string {
  const only = ({ name, vtep }: Node) => `${name} has only ${familyOf(vtep.address) === 'ipv4' ? 'IPv4' : 'IPv6'}`;
  return `no tunnel joins ${one.name} and ${other.name}: ${only(one)}, ${only(other)} for its VTEP`;
}

function networkReport(network: Network, name: string, local: Local, all: readonly Membership[]): NetworkReport {
  const { key, vni, subnets, mtuBytes } = network;
  return {
    name,
    id: key,
    dockerIds: local
      .networks()
      .filter((each) => each.key === key)
      .map(({ id }) => id),
    vni,
    subnets,
    mtuBytes,
    endpoints: all.filter((each) => each.network === key).reduce((sum, { endpoints }) => sum + endpoints.length, 0),
  };
}

function dropsOf(counters: PacketCounters): Record<string, number> {
  const dropped = Object.entries(counters).filter(([name, { packets }]) => name.startsWith('drop_') && packets > 0);
  return Object.fromEntries(dropped.map(([name, { packets }]) => [name.slice('drop_'.length), packets]));
}

/** SHA-256 over one line per network, membership and endpoint, sorted: independent of node and order of arrival. */
function digest(networks: readonly Network[], memberships: readonly Membership[]): string {
  const lines = [
    ...networks.map(({ key, vni, subnets, mtuBytes, multicast }) => [
      'network',
      key,
      vni,
      subnets.join(' '),
      mtuBytes,
      multicast,
    ]),
    ...memberships.map(({ network, node, vtep, groups }) => [
      'member',
      network,
      node,
      addressesOf(vtep).join(' '),
      vtep.port,
      groups?.join(' ') ?? everyGroup,
    ]),
    ...memberships.flatMap(({ network, node, endpoints }) =>
      endpoints.map(({ id, mac, addresses, version }) => [
        'endpoint',
        network,
        node,
        id,
        mac,
        addresses.join(' '),
        version,
      ]),
    ),
  ].map((fields) => fields.join('|'));
  return createHash('sha256').update(lines.sort().join('\n')).digest('hex').slice(0, 16);
}

/** `weft status` on one screen: who this node is, how packets travel, whom it knows, and what is wrong. */

import type { StatusReport } from '../control/client.ts';
import { formatFacts, formatTable, indent } from './table.ts';
import { networksTable, peersTable, vtepText } from './tables.ts';

export function statusScreen(status: StatusReport): string {
  const { node, version, dataPath, store, networks, peers, drops, repairs, forgotten, engine, problems, notes } =
    status;
  const reachable = peers.filter(({ state }) => state === 'reachable').length;
  const facts = formatFacts([
    ['node', `${node.name} (${node.id}), epoch ${node.epoch}`],
    ['vtep', vtepText(node)],
    ['version', version],
    ['data path', `${dataPath.kind}: ${dataPath.reason}`],
    ['store', `${store.kind}, ${store.state}${meaning[store.state]}`],
    ['digest', store.digest],
    ['engine', engineFact(engine)],
  ]);
  return [
    facts,
    section('networks', String(networks.length), networks.length === 0 ? '' : networksTable(networks)),
    section('peers', `${reachable} of ${peers.length} reachable`, peers.length === 0 ? '' : peersTable(peers)),
    countSection('drops', 'REASON', 'PACKETS', drops),
    countSection('repairs', 'KIND', 'COUNT', repairs),
    ...(isEmpty(forgotten) ? [] : [countSection('released, forgotten by the engine', 'KIND', 'COUNT', forgotten)]),
    section('problems', problems.length === 0 ? 'none' : String(problems.length), problems.join('\n')),
    ...(notes.length === 0 ? [] : [section('notes', String(notes.length), notes.join('\n'))]),
  ].join('\n\n');
}

const meaning: Readonly<Record<StatusReport['store']['state'], string>> = {
  live: '',
  stale: ': being read again, the last known tables are in force',
  down: ': cannot be reached, the last known tables stay in force',
};

function engineFact({ state, version, swarm, problem }: StatusReport['engine']): string {
  const about = state === 'connected' ? [`Docker ${version}`, `swarm ${swarm}`] : [state];
  return `${about.join(', ')}${problem === null ? '' : `: ${problem}`}`;
}

function isEmpty(counts: Readonly<Record<string, number>>): boolean {
  return Object.values(counts).every((count) => count === 0);
}

function countSection(name: string, what: string, unit: string, counts: Readonly<Record<string, number>>): string {
  const rows = Object.entries(counts)
    .filter(([, count]) => count > 0)
    .sort(([, one], [, other]) => other - one);
  if (rows.length === 0) return section(name, 'none', '');
  const table = formatTable(
    [
      { title: what, cell: ([key]: readonly [string, number]) => key },
      { title: unit, cell: ([, count]: readonly [string, number]) => count },
    ],
    rows,
  );
  return section(name, String(rows.reduce((sum, [, count]) => sum + count, 0)), table);
}

function section(name: string, summary: string, body: string): string {
  return body === '' ? `${name}: ${summary}` : `${name}: ${summary}\n${indent(body)}`;
}

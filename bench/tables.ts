/**
 * Results as Markdown for people. A ratio is the median over the runs of (other's cost / Weft's cost) in one run; in
 * brackets the least and the most of them. Above 1, Weft is cheaper; of a limit it is the other way round.
 */

import type {
  BroadcastFigures,
  ControlPlaneFigures,
  Mode,
  PacketScenario,
  PathMtuFigures,
  Percentiles,
  Place,
  Results,
  VariantFigures,
} from './results.ts';
import { median, ratioOf } from './statistics.ts';

interface Column {
  readonly label: string;
  readonly title: string;
  /** Shown as Weft's cost in terms of its own. */
  readonly isLimit?: boolean;
}

interface Table {
  readonly place: Place;
  readonly title: string;
  readonly weft: string;
  readonly paths: readonly Column[];
  readonly against: readonly Column[];
  /** Whether the size of the packets that arrive is shown. */
  readonly hasSizes?: true;
}

const betweenNodes = {
  weft: 'weft',
  paths: [
    { label: 'underlay', title: 'bare underlay' },
    { label: 'plain', title: 'forwarded, no tunnel' },
    { label: 'forward', title: 'routed, no tunnel' },
    { label: 'weft', title: '**Weft**' },
    { label: 'kernel_nonf', title: 'vxlan + bridge, br_netfilter off' },
    { label: 'kernel', title: 'vxlan + bridge, br_netfilter on' },
  ],
  against: [
    { label: 'kernel', title: 'cheaper than with br_netfilter' },
    { label: 'kernel_nonf', title: 'cheaper than without' },
    { label: 'plain', title: 'of the cost of forwarding', isLimit: true },
  ],
} as const;
const without = (columns: readonly Column[], ...labels: readonly string[]) =>
  columns.filter(({ label }) => !labels.includes(label));

const tables: readonly Table[] = [
  { place: 'between nodes', title: 'Between containers of two nodes', ...betweenNodes },
  { place: 'between nodes, IPv6 inside', title: 'The same, by IPv6 between the containers', ...betweenNodes },
  { place: 'between nodes over IPv6', title: 'The same, with tunnels over IPv6', ...betweenNodes },
  {
    place: 'emulated network card',
    title: 'The same through an emulated network card: sent in packets of the wire, put together by the receiver',
    weft: 'weft',
    paths: without(betweenNodes.paths, 'plain', 'forward'),
    against: without(betweenNodes.against, 'plain'),
    hasSizes: true,
  },
  {
    place: 'on one node',
    title: 'Between containers of one node',
    weft: 'weft_local',
    paths: [
      { label: 'veth', title: 'bare cable' },
      { label: 'weft_local', title: '**Weft**' },
      { label: 'bridge', title: 'bridge, br_netfilter on' },
    ],
    against: [{ label: 'bridge', title: 'cheaper than the bridge' }],
  },
];

const absent = 'not measured';

export function toMarkdown(results: Results): string {
  return [
    ...heading(results),
    ...tables.flatMap((table) => packetTable(table, results.packetCost)),
    ...broadcastTable(results.broadcast),
    ...variantTable(results.variants),
    ...controlPlaneTable(results.controlPlane),
    ...propagationTable(results),
    ...pathMtuTable(results.pathMtu ?? []),
    ...results.missing.map(({ what, why }) => `Not measured: ${what}: ${why}.`),
  ]
    .join('\n')
    .trimEnd();
}

function heading({ takenAt, isQuick, weft, machine }: Results): readonly string[] {
  const { kernel, cpu, cpus, node, loadBefore } = machine;
  const modified = weft.isModified ? ', with local changes' : '';
  return [
    `Taken ${takenAt.slice(0, 10)} on Linux ${kernel}, ${cpus} CPUs (${cpu}), Node.js ${node}, Weft ${weft.version} at`,
    `commit ${weft.commit}${modified}; load average ${loadBefore} before the run.`,
    ...(isQuick ? ['**A quick run: enough to see that the bench works, not to quote.**'] : []),
    '',
  ];
}

function packetTable(table: Table, all: readonly PacketScenario[]): readonly string[] {
  const scenarios = all.filter(({ place }) => place === table.place);
  if (scenarios.length === 0) return [];
  const titles = ['', ...table.paths.map(({ title }) => title), ...table.against.map(({ title }) => title)];
  return [
    `**${table.title}**`,
    '',
    ...head(titles),
    ...scenarios.map((scenario) =>
      row([
        describe(scenario),
        ...table.paths.map(({ label }) => cost(scenario, label)),
        ...table.against.map((column) => ratio(scenario, column, table.weft)),
      ]),
    ),
    ...(table.hasSizes ? scenarios.map((scenario) => sizeRow(table, scenario)) : []),
    '',
    ...losses(scenarios),
  ];
}

const modeTitles: Readonly<Record<Mode, string>> = {
  udp: 'UDP, one way',
  rr: 'UDP request and answer',
  tcprr: 'TCP request and answer',
  stream: 'TCP stream',
};

function describe({ mode, bytes }: PacketScenario): string {
  return mode === 'stream' ? modeTitles.stream : `${modeTitles[mode]}, ${bytes} bytes`;
}

/** Of one CPU that does all the work of both ends. */
function cost({ mode, bytes, paths }: PacketScenario, label: string): string {
  const figures = paths[label];
  if (figures === undefined) return absent;
  const ns = median(figures.medianNs);
  return mode === 'stream' ? `${((bytes * 8) / ns).toFixed(1)} Gbit/s` : `${(ns / 1000).toFixed(2)} µs`;
}

function ratio({ paths }: PacketScenario, { label, isLimit = false }: Column, weft: string): string {
  const [own, other] = [paths[weft], paths[label]];
  if (own === undefined || other === undefined) return absent;
  const [above, below] = isLimit ? [own, other] : [other, own];
  const { median: middle, least, most } = ratioOf(above.medianNs, below.medianNs);
  return `**${middle.toFixed(2)}x** (${least.toFixed(2)}–${most.toFixed(2)})`;
}

function sizeRow({ paths, against }: Table, scenario: PacketScenario): string {
  const size = ({ label }: Column) => {
    const figures = scenario.paths[label];
    return figures === undefined ? absent : `${(median(figures.packetBytes) / 1000).toFixed(1)} kB`;
  };
  return row(['mean packet at the receiver', ...paths.map(size), ...against.map(() => '')]);
}

/** Packets that did not arrive make a median a lie, so they are told. */
function losses(scenarios: readonly PacketScenario[]): readonly string[] {
  const lines = scenarios.flatMap((scenario) =>
    Object.entries(scenario.paths)
      .filter(([, { lost }]) => lost > 0)
      .map(([label, { lost, samples }]) => `${describe(scenario)}, ${label}: ${lost} lost beside ${samples} samples.`),
  );
  return lines.length === 0 ? [] : [...lines, ''];
}

function broadcastTable(figures: readonly BroadcastFigures[]): readonly string[] {
  if (figures.length === 0) return [];
  const own = figures.filter(({ path }) => path === 'weft');
  return [
    '**One broadcast, all copies made and sent**',
    '',
    ...head(['remote nodes', '**Weft**', 'vxlan + bridge, br_netfilter on', 'cheaper']),
    ...own.map(({ remotes, medianNs }) => {
      const other = figures.find((each) => each.path === 'kernel' && each.remotes === remotes);
      const us = (values: readonly number[]) => `${(median(values) / 1000).toFixed(0)} µs`;
      if (other === undefined) return row([String(remotes), us(medianNs), absent, absent]);
      const { median: middle } = ratioOf(other.medianNs, medianNs);
      return row([String(remotes), us(medianNs), us(other.medianNs), `${middle.toFixed(2)}x`]);
    }),
    '',
  ];
}

function variantTable(figures: readonly VariantFigures[]): readonly string[] {
  const [base, ...others] = figures;
  if (base === undefined) return [];
  return [
    `**What checks and choices cost: UDP, one way, 64 bytes, ${(median(base.baseNs) / 1000).toFixed(2)} µs as it is**`,
    '',
    ...head(['changed programs', 'ns more', 'per cent', 'least to most ns']),
    ...others.map(({ title, baseNs, overNs }) => {
      const share = (100 * median(overNs)) / median(baseNs);
      const range = `${Math.min(...overNs)} to ${Math.max(...overNs)}`;
      return row([title, median(overNs).toFixed(0), share.toFixed(1), range]);
    }),
    '',
  ];
}

function controlPlaneTable(rows: readonly ControlPlaneFigures[]): readonly string[] {
  if (rows.length === 0) return [];
  return [
    '**Attaching a container: p50 / p99**',
    '',
    ...head(['store', 'endpoints on the node', 'CreateEndpoint + Join', 'CreateEndpoint', 'Join', 'RequestAddress']),
    ...rows.map(({ store, present, count, createAndJoin, createEndpoint, join, requestAddress }) =>
      row([
        store === 'lmdb' ? 'LMDB' : 'Consul',
        `${present} to ${present + count}`,
        `**${milliseconds(createAndJoin)}**`,
        ...[createEndpoint, join, requestAddress].map(milliseconds),
      ]),
    ),
    '',
  ];
}

function propagationTable({ propagation }: Results): readonly string[] {
  return propagation.map(
    ({ store, nodes, count, known }) =>
      `A new endpoint is known on all of ${nodes} nodes on ${store === 'lmdb' ? 'LMDB' : 'Consul'} after ` +
      `${milliseconds(known)} (p50 / p99 of ${count}).\n`,
  );
}

/** A ratio of medians: the runs of the two are in turn, but no run of one belongs to one of the other. */
function pathMtuTable(rows: readonly PathMtuFigures[]): readonly string[] {
  if (rows.length === 0) return [];
  const speed = (mebibytes: number, seconds: readonly number[]) => (mebibytes * 1.048576) / median(seconds);
  return [
    "**TCP over short paths: the network's MTU left to Weft, against one set by hand**",
    '',
    ...head(['path', 'router', 'containers', 'left to Weft', 'set by hand', 'of it']),
    ...rows.map(({ pathBytes, isMute, family, mebibytes, automatic, tuned }) =>
      row([
        `${pathBytes} bytes`,
        isMute ? 'silent' : 'says so',
        family === 'ipv4' ? 'IPv4' : 'IPv6',
        ...[automatic, tuned].map((seconds) => `${speed(mebibytes, seconds).toFixed(0)} MB/s`),
        `**${((median(tuned) / median(automatic)) * 100).toFixed(0)} %**`,
      ]),
    ),
    '',
  ];
}

function milliseconds({ p50Ms, p99Ms }: Percentiles): string {
  return `${p50Ms.toFixed(1)} / ${p99Ms.toFixed(1)} ms`;
}

function head(titles: readonly string[]): readonly string[] {
  return [row(titles), `|${titles.map((_, i) => (i === 0 ? '---|' : '---:|')).join('')}`];
}

function row(cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`;
}

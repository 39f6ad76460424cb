/**
 * Bounded test traffic between stations (nodes, containers), every datagram accounted for. The work is done by one
 * small program (image/traffic.c) in the network namespace of each station; nothing here depends on a test image.
 */

import { type Outcome, pause, type Running } from './command.ts';
import type { Station } from './node.ts';
import { labFile } from './paths.ts';

/** What a receiver of numbered datagrams got. */
export interface Tally {
  readonly received: number;
  /** Different numbers among them; received - distinct = duplicates. */
  readonly distinct: number;
  readonly duplicates: number;
  readonly misordered: number;
  /** Datagrams of someone else. */
  readonly foreign: number;
  readonly bytes: number;
}

export interface Answers {
  readonly sent: number;
  readonly answered: number;
  readonly duplicates: number;
  readonly misordered: number;
  /** Not sent, because the kernel said no (no route, too big). */
  readonly refused: number;
  readonly p50Us: number;
  readonly p99Us: number;
}

export interface Stream {
  readonly bytes: number;
  readonly checksum: string;
  readonly seconds: number;
}

export interface SendOptions {
  readonly count?: number;
  readonly bytes?: number;
  readonly intervalUs?: number;
  /** Needed for multicast and for 255.255.255.255: the device to send from. */
  readonly device?: string;
}

export interface ReceiveOptions {
  /** How long after the last datagram was sent receivers go on counting. Default 300 ms. */
  readonly settleMs?: number;
  /** A multicast group to join, on a device (default eth0). */
  readonly group?: string;
  readonly device?: string;
}

/** Implementation: from a report in one container to the tables of the nodes of others. */
const joinedMs = 1_000;
const port = 17_700;

/** Whether each pair of stations can ping each other. @returns the pairs that cannot, as "a -> b (address)" */
export async function pingAll(
  stations: readonly { readonly station: Station; readonly address: string }[],
): Promise<readonly string[]> {
  const pairs = stations.flatMap((from) => stations.filter((to) => to !== from).map((to) => ({ from, to })));
  const results = await Promise.all(
    pairs.map(async ({ from, to }) => {
      const reached = await ping(from.station, to.address);
      return reached ? [] : [`${from.station.name} -> ${to.station.name} (${to.address})`];
    }),
  );
  return results.flat();
}

/** One echo within the limit, several tries. */
export async function ping(
  from: Station,
  address: string,
  options: { tries?: number; bytes?: number } = {},
): Promise<boolean> {
  const { tries = 3, bytes = 56 } = options;
  for (let i = 0; i < tries; i += 1) {
    const { code } = await from.exec(['busybox', 'ping', '-c', '1', '-W', '1', '-s', String(bytes), address]);
    if (code === 0) return true;
  }
  return false;
}

/** An UDP echo on a station, until stopped (or 10 minutes). */
export async function startEcho(on: Station, echoPort = port): Promise<Running> {
  const echo = await on.spawn([program(), 'echo', String(echoPort), '600']);
  await echo.waitFor('ready');
  return echo;
}

/** Numbered requests to an echo, one every interval. */
export async function ask(
  from: Station,
  address: string,
  options: SendOptions & { readonly port?: number } = {},
): Promise<Answers> {
  const { count = 100, intervalUs = 1000, bytes = 64 } = options;
  const argv = [program(), 'ask', address, String(options.port ?? port), count, intervalUs, bytes].map(String);
  return parse<Answers>(await from.exec(argv, { timeoutMs: limitOf(count, intervalUs) }));
}

/**
 * Asks an echo at a steady pace while something happens: how many answers that cost. Without count, for as long as it
 * takes: requests go in rounds of 200 until it is over, and one round after.
 */
export async function countLoss<T>(
  between: { readonly from: Station; readonly address: string; readonly port?: number; readonly intervalUs?: number },
  happen: () => Promise<T>,
): Promise<{ readonly sent: number; readonly lost: number; readonly duplicates: number; readonly result: T }> {
  const { from, address, intervalUs = 1000 } = between;
  let over = false;
  const rounds: Answers[] = [];
  const asking = (async () => {
    for (let last = false; !last; ) {
      last = over;
      rounds.push(await ask(from, address, { count: 200, intervalUs, port: between.port ?? port }));
    }
  })();
  // Its failure is told by the await below; until then it must not end the process.
  asking.catch(() => undefined);
  let result: T;
  try {
    result = await happen();
  } finally {
    over = true;
    await asking;
  }
  const sum = (field: 'sent' | 'answered' | 'duplicates') => rounds.reduce((total, round) => total + round[field], 0);
  return { sent: sum('sent'), lost: sum('sent') - sum('answered'), duplicates: sum('duplicates'), result };
}

/**
 * Sends numbered datagrams (to one, to a broadcast address or to a group) and counts what each receiver got.
 * @returns one tally per receiver, in their order
 */
export async function countDatagrams(
  from: Station,
  to: { readonly address: string; readonly receivers: readonly Station[]; readonly receive?: ReceiveOptions },
  options: SendOptions = {},
): Promise<readonly Tally[]> {
  const receivers = await Promise.all(to.receivers.map((station) => startReceiver(station, to.receive ?? {})));
  if (to.receive?.group !== undefined) await pause(joinedMs);
  const { count = 100, bytes = 100, intervalUs = 500, device } = options;
  const argv = [
    program(),
    'send',
    to.address,
    port,
    count,
    bytes,
    intervalUs,
    ...(device === undefined ? [] : [device]),
  ];
  const sent = await from.exec(argv.map(String), { timeoutMs: limitOf(count, intervalUs) });
  await pause(to.receive?.settleMs ?? 300);
  const tallies = await Promise.all(receivers.map(async (receiver) => tallyOf(await receiver.stop())));
  const { refused } = parse<{ refused: number }>(sent);
  if (refused > 0) throw new Error(`the kernel of ${from.name} refused to send ${refused} of ${count} datagrams`);
  return tallies;
}

/** Counts what arrives until it is stopped; then `tallyOf` reads what it says. */
export async function startReceiver(station: Station, options: ReceiveOptions): Promise<Running> {
  const join = options.group === undefined ? [] : [options.group, options.device ?? 'eth0'];
  const receiver = await station.spawn([program(), 'receive', String(port), '600', ...join]);
  await receiver.waitFor('ready');
  return receiver;
}

export function tallyOf(ended: Outcome): Tally {
  return parse<Tally>(ended);
}

/** One TCP stream of so many MiB; both ends compute a checksum. @throws when they differ */
export async function transfer(from: Station, to: Station, address: string, mebibytes: number): Promise<Stream> {
  const bytes = mebibytes * 1024 * 1024;
  const sink = await to.spawn([program(), 'sink', String(port), '30']);
  await sink.waitFor('ready');
  const argv = [program(), 'pour', address, port, bytes, (process.pid << 8) + mebibytes].map(String);
  const poured = await from.exec(argv, { timeoutMs: 120_000 });
  if (poured.code !== 0) {
    await sink.stop('SIGKILL');
    throw new Error(`the stream from ${from.name} to ${address} broke: ${poured.stderr.trim()}`);
  }
  const there = parse<Stream>(await sink.ended);
  const here = parse<Stream>(poured);
  if (there.checksum === here.checksum && there.bytes === here.bytes) return there;
  throw new Error(
    `${from.name} sent ${here.bytes} bytes (${here.checksum}), ${to.name} got ${there.bytes} (${there.checksum})`,
  );
}

/** TCP throughput by iperf3. */
export async function throughput(
  from: Station,
  to: Station,
  address: string,
  seconds = 2,
): Promise<{ readonly bitsPerSecond: number; readonly retransmits: number }> {
  const server = await to.spawn(['iperf3', '--server', '--one-off', '--port', String(port)]);
  await pause(100);
  const argv = ['iperf3', '--client', address, '--port', port, '--time', seconds, '--json', '--connect-timeout', 3000];
  try {
    const outcome = await from.exec(argv.map(String), { timeoutMs: seconds * 1000 + 15_000 });
    const report = parse<IperfReport>(outcome);
    return { bitsPerSecond: report.end.sum_received.bits_per_second, retransmits: report.end.sum_sent.retransmits };
  } finally {
    await server.stop();
  }
}

/** Of `iperf3 --json`, version 3. */
interface IperfReport {
  readonly end: {
    readonly sum_sent: { readonly retransmits: number };
    readonly sum_received: { readonly bits_per_second: number };
  };
}

function program(): string {
  return labFile('traffic');
}

function limitOf(count: number, intervalUs: number): number {
  return 15_000 + (count * intervalUs) / 1000;
}

/** The last line of the tool's output, or all of iperf3's. */
function parse<T>({ code, stdout, stderr }: Outcome): T {
  if (code !== 0) throw new Error(`traffic ended with code ${code}: ${stderr.trim() || stdout.trim()}`);
  return JSON.parse(stdout.replace(/^ready\n/, '')) as T;
}

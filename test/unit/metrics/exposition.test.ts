/** Metrics over a real HTTP server, from reports of a kit. */

import * as assert from 'uvu/assert';
import { isOverlayError } from '../../../src/errors.ts';
import { catalogue } from '../../../src/metrics/catalogue.ts';
import { type MetricsServer, startMetricsServer } from '../../../src/metrics/exposition.ts';
import type { Reports } from '../../../src/overlay/report.ts';
import { type RememberedLine, rememberingLog, sampleReports, sampleStatus } from '../../kit/reports.ts';
import { suite } from '../../kit/suite.ts';

const test = suite('metrics');

test('a scrape tells everything that status tells', async () => {
  const server = await start();

  const { status, type, text } = await get(server, '/metrics');

  assert.is(status, 200);
  assert.match(type, 'text/plain; version=0.0.4');
  for (const line of [
    'weft_build_info{version="0.1.0",node="alpha",data_path="ebpf"} 1',
    'weft_packets_total{outcome="encapsulated"} 1000',
    'weft_bytes_total{outcome="encapsulated"} 64000',
    'weft_dropped_packets_total{reason="source_mac"} 12',
    'weft_dropped_bytes_total{reason="source_mac"} 720',
    'weft_network_endpoints{network="blue",vni="4097"} 7',
    'weft_network_mtu_bytes{network="blue",vni="4097"} 1450',
    'weft_peers{state="reachable"} 1',
    'weft_peers{state="unreachable"} 1',
    'weft_peers{state="unknown"} 0',
    'weft_peer_reachable{peer="beta10"} 0',
    'weft_peer_mtu_bytes{peer="beta2"} 1500',
    'weft_peer_round_trip_seconds{peer="beta2"} 0.0004567',
    'weft_store_state{store="consul",state="live"} 1',
    'weft_store_state{store="consul",state="down"} 0',
    'weft_repairs_total{kind="fdb"} 2',
    'weft_forgotten_total{kind="endpoint"} 4',
    'weft_engine_connected 1',
    'weft_problems 1',
  ]) {
    assert.ok(text.split('\n').includes(line), `${line}\nis not in\n${text}`);
  }
  assert.not.match(text, 'outcome="drop_');
  assert.not.match(text, 'weft_peer_mtu_bytes{peer="beta10"}');
  await server.close();
});

test('every metric of the catalogue is exposed with its kind and help, and none twice', async () => {
  const server = await start();

  const { text } = await get(server, '/metrics');

  const lines = text.split('\n');
  assert.is(new Set(catalogue.map(({ name }) => name)).size, catalogue.length);
  for (const { name, kind, help } of catalogue) {
    assert.ok(lines.includes(`# HELP ${name} ${help}`), name);
    assert.ok(lines.includes(`# TYPE ${name} ${kind}`), name);
    assert.is(name.endsWith('_total'), kind === 'counter', name);
  }
  await server.close();
});

test('the process tells plausible values about itself', async () => {
  const server = await start();

  const { text } = await get(server, '/metrics');

  const read = (name: string) => Number(new RegExp(`^${name} (.*)$`, 'm').exec(text)?.[1]);
  assert.ok(read('weft_process_resident_memory_bytes') > 10_000_000);
  assert.ok(read('weft_process_cpu_seconds_total') > 0);
  assert.ok(Math.abs(read('weft_process_start_time_seconds') - Date.now() / 1_000) < 3_600);
  await server.close();
});

test('a network that is gone leaves no line behind', async () => {
  let networks = sampleStatus.networks;
  const server = await start({ ...sampleReports, status: async () => ({ ...sampleStatus, networks }) });
  assert.match((await get(server, '/metrics')).text, 'network="blue"');

  networks = [];

  assert.not.match((await get(server, '/metrics')).text, 'network="blue"');
  await server.close();
});

test('a name with quotes and line breaks does not break the format', async () => {
  const node = { ...sampleStatus.node, name: 'a"b\\c\nd' };
  const server = await start({ ...sampleReports, status: async () => ({ ...sampleStatus, node }) });

  assert.match((await get(server, '/metrics')).text, 'node="a\\"b\\\\c\\nd"');
  await server.close();
});

test('a reading that fails is a 500 with its reason and a log line, and the next scrape is served', async () => {
  let isBroken = true;
  const lines: RememberedLine[] = [];
  const counters = async () => (isBroken ? Promise.reject(new Error('map is gone')) : sampleReports.counters());
  const server = await start({ ...sampleReports, counters }, lines);

  const failed = await get(server, '/metrics');
  isBroken = false;
  const served = await get(server, '/metrics');

  assert.is(failed.status, 500);
  assert.match(failed.text, 'map is gone');
  assert.equal(
    lines.map(({ event }) => event),
    ['metrics could not be read'],
  );
  assert.is(served.status, 200);
  await server.close();
});

test('another path and another method are refused', async () => {
  const server = await start();

  assert.is((await get(server, '/')).status, 404);
  assert.is((await get(server, '/metrics', 'POST')).status, 405);
  await server.close();
});

test('an address that is taken is an error of --metrics', async () => {
  const first = await start();

  const error = await startMetricsServer({
    reports: sampleReports,
    host: '127.0.0.1',
    port: first.port,
    log: rememberingLog([]),
  }).catch((reason: unknown) => reason);

  assert.ok(isOverlayError(error, 'CONFIG_INVALID'));
  assert.match(error.message, `--metrics 127.0.0.1:${first.port}: another process listens there`);
  await first.close();
});

test.run();

function start(reports: Reports = sampleReports, lines: RememberedLine[] = []): Promise<MetricsServer> {
  return startMetricsServer({ reports, host: '127.0.0.1', port: 0, log: rememberingLog(lines) });
}

async function get(
  { port }: MetricsServer,
  path: string,
  method = 'GET',
): Promise<{ status: number; type: string; text: string }> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, { method });
  return { status: response.status, type: response.headers.get('content-type') ?? '', text: await response.text() };
}

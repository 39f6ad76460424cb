/** The command line as a user meets it: text, exit codes, and what it loads. */

import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import * as assert from 'uvu/assert';
import { runCli } from '../../../src/cli/main.ts';
import type { Config } from '../../../src/config.ts';
import { type ControlServer, startControlServer } from '../../../src/control/server.ts';
import { overlayError } from '../../../src/errors.ts';
import { settings } from '../../../src/settings.ts';
import { readVersion } from '../../../src/version.ts';
import { rememberingLog, sampleReports } from '../../kit/reports.ts';
import { suite } from '../../kit/suite.ts';

interface Context {
  directory: string;
  path: string;
  server: ControlServer | null;
}

const context: Context = { directory: '', path: '', server: null };
const test = suite('the command line', context);

test.before(async (state) => {
  state.directory = await mkdtemp(join(tmpdir(), 'weft-cli-'));
  state.path = join(state.directory, 'control.sock');
  state.server = await startControlServer({
    reports: sampleReports,
    version: '9.9.9',
    socketPath: state.path,
    log: rememberingLog([]),
  });
});

test.after(async ({ server, directory }) => {
  await server?.close();
  await rm(directory, { recursive: true });
});

interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
  readonly configs: readonly Config[];
}

async function weft(
  words: readonly string[],
  environment: Readonly<Record<string, string>> = {},
  daemonError: Error | null = null,
): Promise<Outcome> {
  let out = '';
  let err = '';
  const configs: Config[] = [];
  const runDaemon = async (config: Config): Promise<void> => {
    configs.push(config);
    if (daemonError !== null) throw daemonError;
  };
  const code = await runCli(
    ['node', 'weft', ...words],
    { runDaemon },
    {
      environment,
      print: (text) => {
        out += text;
      },
      printError: (text) => {
        err += text;
      },
    },
  );
  return { code, out, err, configs };
}

test('status shows the node, its networks and peers, what was dropped and what is wrong', async ({ path }) => {
  const { code, out, err } = await weft(['status', '--control-socket', path]);

  assert.is(code, 0);
  assert.is(err, '');
  assert.is(
    out,
    `node       alpha (6f1c0de5a1b2c3d4), epoch 3
vtep       10.10.1.2:14789
version    0.1.0
data path  ebpf: the kernel has tcx and BTF
store      consul, live
digest     0123456789abcdef
engine     Docker 28.5.2, swarm worker

networks: 1
  NETWORK   VNI  SUBNETS                      MTU  ENDPOINTS  DOCKER IDS
  blue     4097  10.77.0.0/24, fd00:77::/64  1450          7  aaaaaaaaaaaa

peers: 1 of 2 reachable
  NODE    VTEP              STATE        MTU   RTT
  beta2   [fd00:2::2]:4789  reachable    1500  0.46 ms
  beta10  10.10.10.2:14789  unreachable  -     -

drops: 312
  REASON      PACKETS
  too_big         300
  source_mac       12

repairs: 2
  KIND  COUNT
  fdb       2

released, forgotten by the engine: 5
  KIND      COUNT
  endpoint      4
  network       1

problems: 1
  store record weft/v1/n/x cannot be read: it is skipped

notes: 1
  scope is local in a swarm
`,
  );
});

test('with --json each command prints the report and nothing else', async ({ path }) => {
  for (const name of ['status', 'nodes', 'networks', 'endpoints', 'peers'] as const) {
    const { code, out } = await weft([name, '--json', '--control-socket', path]);

    assert.is(code, 0);
    assert.equal(JSON.parse(out), await sampleReports[name]());
  }
});

test('tables have aligned columns and no trailing spaces', async ({ path }) => {
  const { out } = await weft(['nodes', '--control-socket', path]);

  assert.is(
    out,
    `NODE               ID                VTEP               MTU  EPOCH
alpha (this node)  6f1c0de5a1b2c3d4  10.10.1.2:14789   1500      3
beta2              00000000000000b2  [fd00:2::2]:4789  9000      1
`,
  );
  assert.match((await weft(['endpoints', '--control-socket', path])).out, '02:42:0a:4d:00:02  10.77.0.2, fd00:77::2\n');
});

test('the control socket may be given before the command, after it, or by variable', async ({ path }) => {
  assert.is((await weft(['--control-socket', path, 'peers'])).code, 0);
  assert.is((await weft(['peers', '--control-socket', path])).code, 0);
  assert.is((await weft(['peers'], { WEFT_CONTROL_SOCKET: path })).code, 0);
});

test('without a daemon a report fails with one line that names the socket', async ({ directory }) => {
  const path = join(directory, 'nobody.sock');

  const { code, out, err } = await weft(['status', '--control-socket', path]);

  assert.is(code, 1);
  assert.is(out, '');
  assert.match(err, /^weft: no weft daemon answers on .*nobody\.sock: .*\n$/);
});

test("version tells this program's and the daemon's, and needs no daemon", async ({ path, directory }) => {
  assert.is((await weft(['version', '--control-socket', path])).out, `weft ${readVersion()}\ndaemon 9.9.9\n`);

  const alone = await weft(['version', '--control-socket', join(directory, 'nobody.sock')]);

  assert.is(alone.out, `weft ${readVersion()}\n`);
  assert.is(alone.code, 0);
});

test('daemon gets its configuration from flags and environment', async () => {
  const words = [
    'daemon',
    '--node',
    'alpha',
    '--state-dir',
    '/srv/weft',
    '--pool6-size=80',
    '--control-socket',
    '/run/a.sock',
  ];

  const { code, configs } = await weft(words, { WEFT_PLUGIN_SOCKET: '/run/p.sock' });

  assert.is(code, 0);
  const [config] = configs;
  assert.is(config?.node, 'alpha');
  assert.is(config?.stateDir, '/srv/weft');
  assert.is(config?.pools.ipv6.length, 80);
  assert.is(config?.controlSocket, '/run/a.sock');
  assert.is(config?.pluginSocket, '/run/p.sock');
});

test('every setting is a flag of daemon and stands in its help with its variable', async () => {
  const { code, out } = await weft(['daemon', '--help']);

  assert.is(code, 0);
  for (const { flag } of Object.values(settings)) assert.match(out, `${flag} `);
  assert.match(out, 'WEFT_POOL6_SIZE');
  assert.match(out, 'WEFT_STORE_TOKEN');
});

const misused: ReadonlyArray<readonly [words: readonly string[], problem: RegExp]> = [
  [['daemon', '--prot', '1'], /unknown option '--prot'/],
  [['daemon', '--port'], /argument missing/],
  [['daemon', '--node', 'a', '--port', '0'], /setting --port 0: it is not from 1 to 65535/],
  [['daemon', 'now'], /too many arguments/],
  [['statsu'], /unknown command 'statsu'/],
  [['status', '--xml'], /unknown option '--xml'/],
];

test('wrong usage is exit code 2 with one line, and the daemon is not started', async () => {
  for (const [words, problem] of misused) {
    const { code, err, configs } = await weft(words);

    assert.is(code, 2, words.join(' '));
    assert.match(err, problem);
    assert.match(err, /^weft: [^\n]*\n$/);
    assert.is(configs.length, 0);
  }
});

test('weft alone shows the help and is wrong usage', async () => {
  const { code, err } = await weft([]);

  assert.is(code, 2);
  assert.match(err, 'Usage: weft');
});

test('help that was asked for is no failure', async () => {
  const { code, out } = await weft(['--help']);

  assert.is(code, 0);
  assert.match(out, 'Usage: weft');
});

test('a daemon that cannot start is exit code 1 with one line', async () => {
  const error = overlayError('TUNNEL_PORT_IN_USE', { port: 14789, holder: 'another\nprocess' });

  const { code, err } = await weft(['daemon', '--node', 'a'], {}, error);

  assert.is(code, 1);
  assert.is(err, 'weft: UDP port 14789 is held by another process; choose another with --port\n');
});

test('the commands load nothing of what a daemon is made of', async ({ path }) => {
  const loaded = await modulesLoadedBy(['status', '--control-socket', path]);

  assert.ok(loaded.some((url) => url.endsWith('/src/cli/reports.ts')));
  assert.equal(
    loaded.filter((url) =>
      /\/src\/(config|daemon|core|overlay|docker|metrics|store|datapath|netlink|native|probe)/.test(url),
    ),
    [],
  );
  assert.equal(
    loaded.filter((url) =>
      /node_modules\/(consul|lmdb|node-netlink|raw-socket|pino|prom-client|ip-address)\//.test(url),
    ),
    [],
  );
});

test.run();

/** URLs of all modules a fresh process reads to run the command. */
async function modulesLoadedBy(words: readonly string[]): Promise<string[]> {
  const hook =
    "import { writeSync } from 'node:fs'; export const load = (url, context, next) => { writeSync(2, url + '\\n'); return next(url, context); };";
  const source = new URL('../../../src/cli/main.ts', import.meta.url).href;
  const program = `
    import { register } from 'node:module';
    register('data:text/javascript,' + encodeURIComponent(${JSON.stringify(hook)}));
    const { runCli } = await import('${source}');
    process.exitCode = await runCli(['node', 'weft', ...${JSON.stringify(words)}], { runDaemon: async () => {} });`;
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [
    '--import',
    'tsx',
    '--input-type=module',
    '-e',
    program,
  ]);
  assert.match(stdout, 'data path');
  return stderr.split('\n').map((line) => line.split('?', 1)[0] ?? '');
}

/** The lab itself: what other kernel tests build on must hold before their results mean anything. */

import { existsSync } from 'node:fs';
import * as assert from 'uvu/assert';
import { createLab, type Lab } from '../kit/lab.ts';
import { findLeftovers, findProcesses } from '../kit/leftovers.ts';
import { suite } from '../kit/suite.ts';
import { ask, countDatagrams, countLoss, ping, pingAll, startEcho, throughput, transfer } from '../kit/traffic.ts';

const context: { lab: Lab } = { lab: await createLab() };
const test = suite('lab', context);

test.after(() => context.lab.close());

test('nodes on different LANs reach each other through the router, over both families', async ({ lab }) => {
  const [a, b, c] = [await lab.node(), await lab.node(), await lab.node({ lan: 1 })];

  const stations = [a, b, c].map((station) => ({ station, address: station.address }));
  assert.equal(await pingAll(stations), []);
  assert.equal(await pingAll([a, b, c].map((station) => ({ station, address: station.address6 }))), []);
  assert.equal([a.lan, b.lan, c.lan], [1, 2, 1]);
  const hops = await b.run(['cat', '/proc/net/route']);
  assert.match(hops, /eth0\s+00000000\s+01020A0A/);
});

test('a node that is cut off is reached by nobody, and by everybody when it is healed', async ({ lab }) => {
  const [a, b] = nodes(lab);
  await startEcho(b);

  await b.cut();
  const during = await ask(a, b.address, { count: 20 });
  await b.heal();
  const after = await ask(a, b.address, { count: 20 });

  assert.is(during.answered, 0);
  assert.is(after.answered, 20);
});

test('a narrow path answers what does not fit, or drops it in silence when mute', async ({ lab }) => {
  const [a, b] = nodes(lab);
  const big = ['busybox', 'ping', '-c', '1', '-W', '1', '-s', '1440'];
  await b.setMtu(1400);

  await a.exec([...big, b.address]);
  const learned = await a.run(['ip', 'route', 'get', b.address]);
  await b.exec([...big, a.address]);
  const learnedBack = await b.run(['ip', 'route', 'get', a.address]);
  await b.setMtu(1300);
  await lab.router.setMute(true);
  await a.exec([...big, b.address]);
  const mute = await a.run(['ip', 'route', 'get', b.address]);
  await lab.router.setMute(false);
  await b.setMtu(1500);

  assert.match(learned, /mtu 1400/);
  assert.match(learnedBack, /mtu 1400/);
  assert.not.match(mute, /mtu 1300/);
  assert.ok(await ping(b, a.address, { bytes: 1000 }));
});

test('traffic is counted exactly: streams, datagrams, broadcasts, losses', async ({ lab }) => {
  const [a, b, c] = nodes(lab);

  const stream = await transfer(a, b, b.address, 8);
  assert.is(stream.bytes, 8 * 1024 * 1024);

  const [alone] = await countDatagrams(a, { address: b.address, receivers: [b] }, { count: 500 });
  assert.is(alone?.distinct, 500);
  assert.is(alone?.received, 500);

  const broadcast = { address: '10.10.1.255', receivers: [c] };
  assert.is((await countDatagrams(a, broadcast, { count: 50 }))[0]?.received, 50);
  const group = { address: '239.1.2.3', receivers: [c], receive: { group: '239.1.2.3', device: 'eth0' } };
  assert.is((await countDatagrams(a, group, { count: 50, device: 'eth0' }))[0]?.received, 50);

  const echo = await startEcho(b, 17_701);
  const quiet = await countLoss({ from: a, address: b.address, port: 17_701 }, async () => 'nothing');
  assert.is(quiet.lost, 0);
  const lossy = await countLoss({ from: a, address: b.address, port: 17_701 }, () => echo.stop('SIGKILL'));
  assert.ok(lossy.lost > 0);

  const { bitsPerSecond } = await throughput(a, b, b.address, 1);
  assert.ok(bitsPerSecond > 1e6);
});

for (const version of ['20.10', '28'] as const) {
  test(`an engine of version ${version} runs containers, and survives being stopped and killed`, async ({ lab }) => {
    const node = nodes(lab)[version === '28' ? 1 : 0];
    const engine = await node.engine({ version });
    const image = await engine.loadImage();
    const containerId = await engine.docker(['run', '--detach', '--name', 'first', image]);

    assert.ok(version === '28' ? Number.parseInt(engine.version, 10) >= 26 : engine.version.startsWith('20.10'));
    assert.is(await engine.docker(['exec', 'first', 'echo', 'hello']), 'hello');
    const station = await engine.container('first');
    assert.match(await station.run(['ip', '-4', 'address', 'show', 'eth0']), /172\.17\.0\.2/);

    await engine.kill();
    await engine.start();
    assert.is(await engine.docker(['inspect', '--format', '{{.State.Running}}', 'first']), 'false');
    await engine.docker(['start', 'first']);
    await engine.stop();
    assert.is(engine.isRunning(), false);
    await engine.start();
    assert.is(await engine.docker(['inspect', '--format', '{{.Id}}', 'first']), containerId);

    const failure = await engine.docker(['run', 'no-such-image:1']).catch((error: unknown) => error);
    assert.instance(failure, Error);
    assert.match(String(failure), /no-such-image/);
  });
}

test('the engines of two nodes know nothing of each other or of the machine', async ({ lab }) => {
  const [a, b] = nodes(lab);
  const bridges = await Promise.all([a, b].map((node) => node.run(['ip', '-brief', 'link', 'show', 'docker0'])));

  assert.is(bridges.length, 2);
  assert.equal(
    findLeftovers((name) => name.startsWith(lab.name)).filter(({ kind }) => kind === 'link'),
    [],
  );
  assert.not.ok(existsSync(`/run/docker/plugins/${lab.name}`));
});

test('a daemon starts beside nothing, survives kill -9, and one that cannot start says why', async ({ lab }) => {
  const node = await lab.node();
  const daemon = await node.daemon({ store: lab.embeddedStore });
  const { pid } = daemon;

  await daemon.kill9();
  assert.is(daemon.isRunning(), false);
  await daemon.restart();
  assert.is.not(daemon.pid, pid);
  assert.is(JSON.parse(await daemon.cli(['status', '--json'])).node.name, node.name);
  assert.ok(daemon.log().length > 0);
  assert.is((await daemon.stop()).code, 0);

  const refused = await node.daemon({ store: 'nonsense://here' }).catch((error: unknown) => error);
  assert.match(String(refused), /ended with code 2: .*nonsense/);
});

test('Consul answers through the router, stops answering when paused, and keeps its data over a restart', async ({
  lab,
}) => {
  const [a] = nodes(lab);
  const consul = await lab.consul();
  await consul.command(['kv', 'put', 'weft/test', 'value']);
  const { address } = consul.servers[0] ?? { address: '' };

  assert.is(consul.url, 'consul://10.10.200.2:8500');
  const get = fetching(`http://${address}:8500/v1/kv/weft/test?raw`);
  assert.is(await a.run(get), 'value');

  consul.pause();
  assert.is.not((await a.exec(get)).code, 0);
  consul.resume();
  await consul.ready();
  await consul.stop();
  await consul.start();
  assert.is(await consul.command(['kv', 'get', 'weft/test']), 'value');
});

test('three Consul servers with ACLs go on without one of them', async ({ lab }) => {
  const consul = await lab.consul({ servers: 3, acl: true });
  const [first, , third] = consul.servers;

  await third?.kill();
  await consul.ready();
  assert.is(await consul.command(['kv', 'get', 'weft-lab/ready']), 'yes');
  const denied = await first?.exec(fetching('http://127.0.0.1:8500/v1/kv/weft-lab/ready?raw'));
  assert.is.not(denied?.code, 0);
});

test('a closed lab leaves nothing: no process, namespace, mount, cgroup, pin or directory', async () => {
  const lab = await createLab();
  const node = await lab.node();
  const engine = await node.engine();
  const image = await engine.loadImage();
  await engine.docker(['run', '--detach', image]);
  await node.spawn(['sleep', '1000']);
  await engine.kill();

  await lab.close();
  await lab.close();

  assert.equal(
    findLeftovers((name) => name === lab.name || name.startsWith(`${lab.name}-`)),
    [],
  );
  assert.equal(findProcesses('WEFT_LAB', lab.name), []);
});

/** A command that prints what a URL holds, or fails within a second. (A statically linked busybox cannot look up names.) */
function fetching(url: string): readonly string[] {
  const script = `fetch(${JSON.stringify(url)}, { signal: AbortSignal.timeout(1000) }).then(async (response) => {
    process.stdout.write(await response.text());
    process.exitCode = response.ok ? 0 : 1;
  })`;
  return [process.execPath, '--eval', script];
}

function nodes(lab: Lab) {
  const [a, b, c] = lab.nodes;
  if (a === undefined || b === undefined || c === undefined) throw new Error('the first test made no nodes');
  return [a, b, c] as const;
}

test.run();

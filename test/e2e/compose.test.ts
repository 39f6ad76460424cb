/** docs/examples/compose.yaml as it is, brought up by a real Docker Compose on two engines of different age and LAN. */

import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { requireClean } from '../kit/cluster-leftovers.ts';
import { type StoreView, viewConsul } from '../kit/cluster-store.ts';
import { eventually } from '../kit/command.ts';
import { compose, loadBusybox } from '../kit/compose.ts';
import type { Container } from '../kit/docker.ts';
import { createLab, type Lab } from '../kit/lab.ts';
import { repositoryRoot } from '../kit/paths.ts';
import { type PluginHost, pluginHost } from '../kit/plugin-host.ts';
import { suite } from '../kit/suite.ts';
import { pingAll } from '../kit/traffic.ts';

interface Context {
  lab: Lab;
  store: StoreView;
  nodes: readonly [PluginHost, PluginHost];
}

const file = join(repositoryRoot, 'docs', 'examples', 'compose.yaml');
/** Compose names containers and networks after the project, and that by default after the file's directory. */
const project = 'examples';
const network = `${project}_blue`;

const test = suite<Context>('compose.yaml');

test.before(async (context) => {
  const lab = await createLab();
  context.lab = lab;
  const consul = await lab.consul();
  context.store = viewConsul(consul);
  const start = async (version: '20.10' | '28') => {
    const host = await pluginHost(await lab.node(), version, [`WEFT_STORE=${consul.url}`, 'WEFT_SCOPE=local']);
    await loadBusybox(host.engine);
    return host;
  };
  context.nodes = [await start('20.10'), await start('28')];
});
test.after(({ lab }) => lab?.close());

test('brought up on two engines, its services are containers of one network', async ({ nodes }) => {
  await Promise.all(nodes.map(({ engine }) => compose(engine, file, 'up', '--detach', '--pull', 'never')));

  const containers = await containersOf(nodes);
  assert.is(new Set(containers.map(({ address }) => address)).size, 4);
  assert.equal(await pingAll(containers.map((station) => ({ station, address: station.address }))), []);
});

test('a client reads from the web server beside it by name, and from either engine by address', async ({ nodes }) => {
  const servers = (await containersOf(nodes)).filter(({ name }) => name.includes('web'));
  for (const [index, { engine }] of nodes.entries()) {
    const own = servers[index];
    const hasRead = async () =>
      (await compose(engine, file, 'logs', '--no-log-prefix', 'client'))
        .split('\n')
        .some((line) => line === `${own?.address} ${own?.id.slice(0, 12)}`);
    await eventually('the client has read by name', hasRead, { limitMs: 60_000, everyMs: 1_000 });
    for (const { address, id } of servers) {
      const ask = `printf 'GET /index.html HTTP/1.0\\r\\n\\r\\n' | nc -w 5 ${address} 80 | tail -n 1`;
      assert.is(await compose(engine, file, 'exec', '-T', 'client', 'sh', '-c', ask), id.slice(0, 12));
    }
  }
});

test('up again changes nothing, and a recreated service is back in the network', async ({ nodes }) => {
  const before = await containersOf(nodes);
  await compose(nodes[0].engine, file, 'up', '--detach', '--pull', 'never');
  assert.equal(idsOf(await containersOf(nodes)), idsOf(before));

  await compose(nodes[0].engine, file, 'up', '--detach', '--pull', 'never', '--force-recreate', '--no-deps', 'web');
  const after = await containersOf(nodes);
  assert.is(after.filter(({ id }) => !idsOf(before).includes(id)).length, 1);
  assert.equal(await pingAll(after.map((station) => ({ station, address: station.address }))), []);
});

test('down removes everything, on one engine after the other', async ({ nodes, store }) => {
  for (const { engine, docker } of nodes) {
    await compose(engine, file, 'down');
    assert.is(await docker('ps --all --quiet'), '');
    assert.is(await docker('network ls --quiet --filter', `name=${network}`), '');
  }
  await requireClean({ nodes, store });
});

test.run();

async function containersOf(nodes: readonly PluginHost[]): Promise<readonly Container[]> {
  const names = ['web', 'client'].map((service) => `${project}-${service}-1`);
  return Promise.all(nodes.flatMap((node) => names.map((name) => node.container(name, network))));
}

function idsOf(containers: readonly Container[]): readonly string[] {
  return containers.map(({ id }) => id).sort();
}

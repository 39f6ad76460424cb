/** docs/examples/stack.yaml and stack-dual.yaml as they are, deployed on a swarm of two nodes on two LANs. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { requireClean } from '../kit/cluster-leftovers.ts';
import { eventually } from '../kit/command.ts';
import { loadBusybox } from '../kit/compose.ts';
import { split } from '../kit/docker.ts';
import { repositoryRoot } from '../kit/paths.ts';
import { removeNetwork } from '../kit/plugin-host.ts';
import { suite } from '../kit/suite.ts';
import { createSwarm, type Swarm, type Task } from '../kit/swarm.ts';
import { meshProblems, untilResolved } from '../kit/swarm-traffic.ts';

interface Context {
  swarm: Swarm;
}

const examples = join(repositoryRoot, 'docs', 'examples');
const limits = { limitMs: 120_000, everyMs: 500 };
const test = suite<Context>('stack.yaml');

test.before(async (context) => {
  context.swarm = await createSwarm({ version: '28', nodes: 2, settings: ['WEFT_SCOPE=global', 'WEFT_METRICS=off'] });
  for (const { engine } of context.swarm.nodes) await loadBusybox(engine);
});
test.after(({ swarm }) => swarm?.close());

test('deployed, it has web servers on both nodes that reach each other', async ({ swarm }) => {
  await deploy(swarm, 'stack.yaml', 'shop');
  const servers = await swarm.settled('shop_web', 'shop_green', 4);

  assert.equal(nodesOf(servers), ['n1', 'n2']);
  assert.equal(await meshProblems(servers), []);
});

test('the client reads from web servers by both names', async ({ swarm }) => {
  const servers = await swarm.settled('shop_web', 'shop_green', 4);
  const [client] = await swarm.settled('shop_client', 'shop_green', 1);
  if (client === undefined) throw new Error('the client runs');
  for (const name of ['web', 'tasks.web']) {
    await untilResolved(client, name, servers);
    const answers = servers.map(({ address, container }) => `${name} ${address} ${container.slice(0, 12)}`);
    const hasRead = async () => (await logOf(client)).some((line) => answers.includes(line));
    await eventually(`the client has read from ${name}`, hasRead, limits);
  }
});

test('a container attached to its network reads from it', async ({ swarm }) => {
  const [server] = await swarm.tasks('shop_web', 'shop_green');
  const node = swarm.nodes.find((each) => each !== server?.node);
  const ask = `printf 'GET /index.html HTTP/1.0\\r\\n\\r\\n' | nc -w 5 ${server?.address} 80 | tail -n 1`;
  const words = ['busybox:1.36', 'sh', '-c', ask];
  assert.is(await node?.docker('run --rm --network shop_green', ...words), server?.container.slice(0, 12));
});

test('deployed again with another number, it has that many, and those that were there stay', async ({ swarm }) => {
  const before = await swarm.tasks('shop_web', 'shop_green');
  await deploy(swarm, 'stack.yaml', 'shop', (text) => text.replace('replicas: 4', 'replicas: 6'));
  const after = await swarm.settled('shop_web', 'shop_green', 6);

  assert.is(before.filter(({ container }) => after.some((task) => task.container === container)).length, 4);
  assert.equal(await meshProblems(after), []);
  const [client] = await swarm.tasks('shop_client', 'shop_green');
  if (client === undefined) throw new Error('the client runs');
  await untilResolved(client, 'web', after);
});

test('with both families, each task has an address of either that no other has', async ({ swarm }) => {
  // The command is in the file.
  const create = /^#\s+docker (network create .*)$/m.exec(readFileSync(join(examples, 'stack-dual.yaml'), 'utf8'))?.[1];
  await swarm.node(0).docker(create ?? '');
  await deploy(swarm, 'stack-dual.yaml', 'shop6');
  const servers = await swarm.settled('shop6_web', 'dual', 4);

  assert.equal(nodesOf(servers), ['n1', 'n2']);
  const addresses = servers.flatMap(({ address, address6 }) => [address, address6]).filter((each) => each !== '');
  assert.is(new Set(addresses).size, 8);
  assert.equal(await meshProblems(servers), []);
});

test('removed, nothing is left of them', async ({ swarm }) => {
  for (const stack of ['shop', 'shop6']) await swarm.node(0).docker(`stack rm ${stack}`);
  await removeNetwork(swarm.node(0), 'dual');
  for (const node of swarm.nodes) {
    const left = async () => [
      ...split(await node.docker('ps --all --quiet --filter label=com.docker.stack.namespace')),
      ...split(await node.docker('network ls --quiet --filter driver=weft:latest')),
    ];
    await eventually(`${node.name} has no part of a stack`, async () => (await left()).length === 0, limits);
  }
  await requireClean(swarm);
});

test.run();

/** The file as written, or edited in one place. */
async function deploy(swarm: Swarm, file: string, stack: string, edit?: (text: string) => string): Promise<void> {
  const { engine } = swarm.node(0);
  const path = join(examples, file);
  const [name, input] = edit === undefined ? [path, ''] : ['-', edit(readFileSync(path, 'utf8'))];
  // There is no registry to ask about the image.
  const words = ['stack', 'deploy', '--detach=true', '--resolve-image', 'never', '--compose-file', name, stack];
  await engine.docker(words, { input, timeoutMs: 120_000 });
}

function nodesOf(tasks: readonly Task[]): readonly string[] {
  return [...new Set(tasks.map(({ node }) => node.name))].sort();
}

async function logOf({ node, container }: Task): Promise<readonly string[]> {
  return (await node.docker(`logs --tail 50 ${container}`)).split('\n');
}

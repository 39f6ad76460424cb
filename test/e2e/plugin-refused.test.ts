/** What stops a managed plugin from being made or enabled, and what the operator is told. */

import * as assert from 'uvu/assert';
import { eventually } from '../kit/command.ts';
import type { Engine } from '../kit/engine.ts';
import { createLab, type Lab } from '../kit/lab.ts';
import { createPlugin, type ManagedPlugin, makePlugin } from '../kit/managed-plugin.ts';
import { suite } from '../kit/suite.ts';

interface Context {
  lab: Lab;
  engine: Engine;
  plugin: ManagedPlugin;
}

const test = suite<Context>('managed plugin, refused');

test.before(async (context) => {
  context.lab = await createLab();
  const node = await context.lab.node();
  context.engine = await node.engine({ version: '28' });
  context.plugin = await createPlugin(node, context.engine);
});
test.after(({ lab }) => lab?.close());

test('npm run plugin refuses a name that is taken, and says how to go on', async ({ engine }) => {
  const { code, stderr } = await makePlugin(engine);

  assert.is(code, 1);
  assert.match(stderr, 'plugin: the engine has a plugin weft:latest already: docker plugin rm weft:latest first');
});

for (const [words, says] of [
  [['--name', 'We:ft:1'], '--name We:ft:1 is no plugin name'],
  [['--bogus'], "Unknown option '--bogus'"],
  [['now'], "Unexpected argument 'now'"],
  [['--name'], 'argument missing'],
] as const) {
  test(`npm run plugin -- ${words.join(' ')} is wrong usage`, async ({ engine }) => {
    const { code, stderr } = await makePlugin(engine, ...words);

    assert.is(code, 2);
    assert.match(stderr.split('\n', 1)[0] ?? '', says);
    assert.match(stderr, 'usage: npm run plugin');
  });
}

test('npm run plugin without an engine names DOCKER_HOST', async ({ engine }) => {
  const env = { ...engine.env, DOCKER_HOST: 'unix:///nowhere/docker.sock' };
  const { code, stderr } = await makePlugin({ ...engine, env });

  assert.is(code, 1);
  assert.match(stderr, 'plugin: no Docker engine answers at DOCKER_HOST=unix:///nowhere/docker.sock');
  assert.is(stderr.trim().split('\n').length, 1);
});

test('a mount whose source is not there is refused with its path', async ({ plugin }) => {
  await plugin.set('docker-socket.source=/nowhere/docker.sock');
  const { code, stderr } = await plugin.tryEnable();

  assert.is(code, 1);
  assert.match(stderr, '/nowhere/docker.sock');
  assert.is(await plugin.isEnabled(), false);
});

for (const [setting, says] of [
  ['WEFT_STORE=http://nowhere', 'give lmdb:///DIRECTORY, consul://HOST'],
  ['WEFT_SCOPE=swarm', 'give local or global'],
] as const) {
  test(`${setting} stops it with one line that says what to write instead`, async ({ plugin }) => {
    const before = plugin.log().length;
    await plugin.set('docker-socket.source=/dev/null', setting);
    let lines: ReadonlySet<string> = new Set();
    // After an attempt that failed the engine makes one more by itself, which can get in the way of the next.
    const isTold = async () => {
      const { code } = await plugin.tryEnable();
      assert.equal([code, await plugin.isEnabled()], [1, false]);
      const said = plugin.log().slice(before);
      lines = new Set(said.map(({ text }) => String(text)));
      return lines.size > 0;
    };
    await eventually('the daemon says why it ends', isTold, { limitMs: 120_000, everyMs: 2_000 });
    await plugin.set(setting.replace(/=.*/, '='));

    assert.is(lines.size, 1, [...lines].join('; '));
    assert.match([...lines].join(), `weft: setting ${setting}: `);
    assert.match([...lines].join(), says);
  });
}

test('an empty value is the default, and then it starts', async ({ plugin }) => {
  await plugin.enable();

  assert.is(await plugin.isEnabled(), true);
});

test('a store that is away lets it be enabled, and status and every refusal say what is wrong', async ({
  engine,
  plugin,
}) => {
  await plugin.disable();
  await plugin.set('WEFT_STORE=consul://127.0.0.1:1');
  await plugin.enable();

  const status = await plugin.cli(['status']);
  const network = ['network', 'create', '--driver', plugin.name, '--subnet', '10.77.0.0/24', 'blue'];
  const { code, stderr } = await engine.tryDocker(network);
  await plugin.disable();

  const cause = /store consul:\/\/127\.0\.0\.1:1 cannot be reached: .*ECONNREFUSED.*try again when it is back/;
  assert.match(status, /store +consul, down/);
  assert.match(status, cause);
  assert.is(code, 1);
  assert.match(stderr, cause);
});

test.run();

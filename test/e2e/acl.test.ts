/**
 * Consul with access control: without a token that may write, a daemon does not start and says what the token needs;
 * when the right is taken away at run time, nothing is, and everything goes on when it is given back.
 */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import type { ConsulCluster } from '../kit/consul.ts';
import { attemptStart } from '../kit/daemon-attempt.ts';
import { createPair, type Pair, requireOutageSurvived } from '../kit/e2e/pair.ts';
import { createLab, type Lab } from '../kit/lab.ts';
import type { LabNode } from '../kit/node.ts';
import { readConsul, readNode } from '../kit/node-state.ts';
import { suite } from '../kit/suite.ts';

interface Context extends Pair {
  lab: Lab;
  consul: ConsulCluster;
  bare: LabNode;
  /** Of a token with just the rights that docs/operations.md names. */
  token: string;
}

const enough = 'key_prefix "weft/" { policy = "write" } session_prefix "" { policy = "write" }';
const readOnly = 'key_prefix "weft/" { policy = "read" } session_prefix "" { policy = "write" }';
const noSessions = 'key_prefix "weft/" { policy = "write" }';
const elsewhere = 'key_prefix "other/" { policy = "write" } session_prefix "" { policy = "write" }';

const test = suite<Context>('access control');

test.before(async (context) => {
  context.lab = await createLab();
  context.consul = await context.lab.consul({ acl: true });
  context.token = await createToken(context, 'daemons', enough);
  context.bare = await context.lab.node();
  const store = readConsul(context.consul);
  const env = { WEFT_STORE_TOKEN: context.token };
  Object.assign(context, await createPair(context.lab, { url: context.consul.url, store, env }));
});

test.after(({ lab }) => lab?.close());

async function createToken({ consul }: Context, name: string, rules: string): Promise<string> {
  await consul.command(['acl', 'policy', 'create', '-name', name, '-rules', rules]);
  const said = await consul.command(['acl', 'token', 'create', '-policy-name', name]);
  const secret = /SecretID:\s*(\S+)/.exec(said)?.[1];
  if (secret === undefined) throw new Error(`no token in: ${said}`);
  return secret;
}

function refused(title: string, tokenOf: (context: Context) => Promise<string>): void {
  test(title, async (context) => {
    const { lab, bare, consul } = context;
    const token = await tokenOf(context);
    const before = await context.store.records();

    const attempt = await attemptStart(lab, bare, {
      flags: { store: consul.url },
      env: token === '' ? {} : { WEFT_STORE_TOKEN: token },
    });

    assert.is(attempt.code, 1);
    assert.match(attempt.line, 'denied access');
    assert.match(attempt.line, 'the token needs key_prefix "weft/v1/" write and session write');
    if (token !== '') assert.not.match(attempt.output, token);
    assert.equal(await context.store.records(), before);
  });
}

refused('without a token the daemon does not start, and says what is needed', async () => '');
refused('with a token that nobody knows it does not start', async () => '11111111-2222-3333-4444-555555555555');
refused('with a token that may only read it does not start', (context) => createToken(context, 'reader', readOnly));
refused('with a token for other keys it does not start', (context) => createToken(context, 'other', elsewhere));
refused('with a token that may not have sessions it does not start', (context) =>
  createToken(context, 'sessionless', noSessions),
);

test('with the rights that the documentation names it starts, the token in a file', async ({ lab, consul, token }) => {
  const host = await lab.node();
  const file = join(lab.directory, 'token');
  writeFileSync(file, `${token}\n`, { mode: 0o600 });

  const daemon = await host.daemon({ store: consul.url, args: ['--store-token-file', file] });
  const ended = await daemon.stop();

  assert.is(ended.code, 0);
  assert.not.match(ended.stderr, token);
  assert.ok((await readNode(host, daemon, null)).devices.includes('weft14789'));
});

for (const [what, rules] of [
  ['all its rights are taken away', elsewhere],
  ['it may only read any more', readOnly],
] as const) {
  test(`while ${what}, what needs the store is refused and leaves nothing, the rest goes on`, async (context) => {
    const { consul } = context;
    const setRules = (text: string) => consul.command(['acl', 'policy', 'update', '-name', 'daemons', '-rules', text]);
    await requireOutageSurvived(context, { begin: () => setRules(rules), end: () => setRules(enough) });
  });
}

test('no log line of any daemon has the token', ({ sides, token }) => {
  for (const { daemon } of sides) assert.not.match(JSON.stringify(daemon.log()), token);
});

test.run();

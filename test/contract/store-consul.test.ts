/** What only Consul can do to its clients: be away, be slow, break off, deny, and forget. */

import { setTimeout as sleep } from 'node:timers/promises';
import { inspect } from 'node:util';
import * as assert from 'uvu/assert';
import type { Store } from '../../src/ports/store.ts';
import { openStore } from '../../src/store/open.ts';
import { type ConsulProcess, startConsulProcess } from '../kit/consul-process.ts';
import { suite } from '../kit/suite.ts';
import { contents, failureOf, observe, put, within } from './store-stage.ts';
import { bytes } from './store-work.ts';
import { layWire, type Wire } from './wire.ts';

/** Every kind of call, for what they must all do alike. */
const calls = (store: Store, signal?: AbortSignal): Readonly<Record<string, () => Promise<unknown>>> => ({
  'get of one': () => store.get(['f/a'], signal),
  'get of several': () => store.get(['f/a', 'f/b', 'f/none'], signal),
  list: () => store.list('f/', signal),
  lease: () => store.lease('f/lease', bytes('me'), signal),
  commit: () => store.commit([{ kind: 'put', key: 'f/a', value: bytes('x'), expect: 'any' }], signal),
});

const portOf = (consul: ConsulProcess): number => Number(new URL(consul.url).port);

const outage = suite<{ consul?: ConsulProcess; wire?: Wire; store?: Store }>('consul store in an outage');

outage.before(async (context) => {
  context.consul = await startConsulProcess({ persistent: true });
  context.wire = await layWire(portOf(context.consul));
  context.store = await openStore(`consul://127.0.0.1:${context.wire.port}`);
  await put(context.store, 'f/_', '');
  await put(context.store, 'f/a', 'one');
});
outage.after(async (context) => {
  context.wire?.become('whole');
  await context.store?.close();
  await context.wire?.close();
  await context.consul?.remove();
});

const stageOf = (context: { consul?: ConsulProcess; wire?: Wire; store?: Store }) => {
  const { consul, wire, store } = context;
  if (consul === undefined || wire === undefined || store === undefined) throw new Error('the stage is not set');
  return { consul, wire, store };
};

outage('a server that says nothing ends every call within 3 s, a write as ambiguous', async (context) => {
  const { consul, store } = stageOf(context);
  consul.pause();
  try {
    for (const [name, call] of Object.entries(calls(store))) {
      const error = await within(3_000, `${name} does not end`, failureOf(call()));
      assert.is(error.code, name === 'commit' ? 'STORE_AMBIGUOUS' : 'STORE_UNREACHABLE', `${name}: ${error.message}`);
    }
  } finally {
    consul.resume();
  }
  await within(5_000, 'Consul does not come back', untilAnswered(store));
});

outage(
  'a call to a server that says nothing ends at once when its signal aborts, and so does a watch',
  async (context) => {
    const { consul, store } = stageOf(context);
    const watch = observe(store, 'f/');
    await watch.next();
    consul.pause();
    try {
      for (const [name, start] of Object.entries(calls(store, AbortSignal.timeout(100)))) {
        const started = performance.now();
        const error = await failureOf(start());
        assert.is(error instanceof Error && error.name, 'TimeoutError', `${name}: ${error.message}`);
        assert.ok(performance.now() - started < 500, name);
      }
      await watch.end();
    } finally {
      consul.resume();
    }
  },
);

outage('an answer that breaks off is an error within 3 s, not a wait for ever', async (context) => {
  const { wire, store } = stageOf(context);
  wire.become('broken');
  try {
    for (const [name, call] of Object.entries(calls(store))) {
      const error = await within(6_000, `${name} does not end`, failureOf(call()));
      assert.is(error.code, name === 'commit' ? 'STORE_AMBIGUOUS' : 'STORE_UNREACHABLE', `${name}: ${error.message}`);
    }
  } finally {
    wire.become('whole');
  }
});

outage('after a cut, the watch says lost once, and then shows what has changed meanwhile', async (context) => {
  const { consul, wire, store } = stageOf(context);
  const other = await openStore(consul.url);
  await put(other, 'f/a', 'before');
  const watch = observe(store, 'f/');
  await watch.until((state) => state.get('f/a') === 'before');

  wire.become('cut');
  const lost = await watch.next();
  await put(other, 'f/a', 'meanwhile');
  await sleep(1_500);
  const saidSinceThen = watch.count();
  wire.become('whole');
  const seen = await watch.next(8_000);

  assert.is(lost.kind === 'lost' && 'code' in lost.error && lost.error.code, 'STORE_UNREACHABLE');
  assert.is(saidSinceThen, 2);
  assert.is(seen.kind === 'snapshot' && contents(seen.entries).get('f/a'), 'meanwhile');
  await watch.end();
  await other.close();
});

outage(
  'a server that is stopped refuses calls as unreachable, and its return brings a snapshot though nothing changed',
  async (context) => {
    const { consul } = stageOf(context);
    const store = await openStore(consul.url);
    const watch = observe(store, 'f/');
    const before = await watch.next();

    await consul.stop();
    const lost = await watch.next();
    for (const [name, call] of Object.entries(calls(store))) {
      const error = await within(3_000, `${name} does not end`, failureOf(call()));
      assert.is(error.code, 'STORE_UNREACHABLE', `${name}: ${error.message}`);
    }
    assert.is((await within(3_000, 'open does not end', failureOf(openStore(consul.url)))).code, 'STORE_UNREACHABLE');
    await consul.start();
    // A server that has just started can answer before it has read its log; then the watch says once more that it is blind.
    let after = await watch.next(15_000);
    while (after.kind === 'lost') after = await watch.next(15_000);

    assert.is(lost.kind, 'lost');
    assert.equal(after, before);
    await watch.end();
    await store.close();
  },
);

outage('a session that Consul has ended fails the fence of its lease', async (context) => {
  const { consul, store } = stageOf(context);
  await untilAnswered(store);
  const lease = await store.lease('f/fence', bytes('me'));
  await consul.api('PUT', `/v1/session/destroy/${lease.token}`);

  const result = await store.commit([
    { kind: 'fence', lease },
    { kind: 'put', key: 'f/fenced', value: bytes('x'), expect: 'any' },
  ]);

  assert.equal(result, { committed: false, conflicts: [] });
  assert.is((await store.get(['f/fenced'])).size, 0);
  await lease.release();
});

outage('a prefix in the URL goes before every key, and keeps stores apart', async (context) => {
  const { consul, store } = stageOf(context);
  const other = await openStore(`${consul.url}/team/Blue`);
  await put(other, 'apart/a', 'x');

  assert.equal(await store.list('apart/'), []);
  assert.equal(await consul.api('GET', '/v1/kv/team/?keys'), ['team/Blue/weft/v1/apart/a']);
  await other.close();
});
outage.run();

const denial = suite<{ consul?: ConsulProcess }>('consul store with access control');

denial.before(async (context) => {
  context.consul = await startConsulProcess({ acl: true });
});
denial.after(({ consul }) => consul?.remove());

const rules = 'key_prefix "weft/" { policy = "write" } session_prefix "" { policy = "write" }';

async function grant(
  consul: ConsulProcess,
  text: string,
): Promise<{ readonly token: string; revoke(): Promise<unknown> }> {
  const name = `policy-${Math.random().toString(36).slice(2)}`;
  const policy = (await consul.api('PUT', '/v1/acl/policy', { Name: name, Rules: text })) as { readonly ID: string };
  const granted = (await consul.api('PUT', '/v1/acl/token', { Policies: [{ ID: policy.ID }] })) as {
    readonly SecretID: string;
  };
  const revoke = () => consul.api('PUT', `/v1/acl/policy/${policy.ID}`, { ID: policy.ID, Name: name, Rules: '' });
  return { token: granted.SecretID, revoke };
}

denial('a token with the documented rules is enough for everything', async ({ consul }) => {
  if (consul === undefined) throw new Error('the stage is not set');
  const { token } = await grant(consul, rules);
  const store = await openStore(consul.url, { token });
  await put(store, 'f/_', '');

  for (const call of Object.values(calls(store))) await call();
  const watch = observe(store, 'f/');
  assert.is((await watch.next()).kind, 'snapshot');

  await watch.end();
  await store.close();
});

denial('a token that does not exist, or may only read, cannot open the store', async ({ consul }) => {
  if (consul === undefined) throw new Error('the stage is not set');
  const reader = await grant(consul, 'key_prefix "weft/" { policy = "read" }');

  for (const token of [undefined, '11111111-2222-3333-4444-555555555555', reader.token]) {
    const error = await failureOf(openStore(consul.url, { token }));
    assert.is(error.code, 'STORE_DENIED', error.message);
    assert.not.match(inspect(error, { depth: 9, showHidden: true }), token ?? 'never');
  }
});

denial(
  'when permission is withdrawn every call is denied, the watch is lost, and nothing looks empty',
  async ({ consul }) => {
    if (consul === undefined) throw new Error('the stage is not set');
    const { token, revoke } = await grant(consul, rules);
    const store = await openStore(consul.url, { token });
    await put(store, 'f/_', '');
    await put(store, 'f/a', 'x');
    const manager = await openStore(consul.url, { token: consul.token });
    const watch = observe(store, 'f/');
    await watch.next();

    await revoke();
    await put(manager, 'f/a', 'wakes the watch');
    const lost = await watch.next(10_000);

    assert.is(lost.kind === 'lost' && 'code' in lost.error && lost.error.code, 'STORE_DENIED');
    const errors = await Promise.all(Object.values(calls(store)).map((call) => failureOf(call())));
    const missing = await failureOf(store.get(['f/none']));
    const several = await failureOf(store.get(['f/none', 'f/nothing']));
    const empty = await failureOf(store.list('none/'));
    for (const error of [...errors, missing, several, empty, lost.kind === 'lost' ? lost.error : null]) {
      assert.is(error !== null && 'code' in error && error.code, 'STORE_DENIED');
      assert.not.match(inspect(error, { depth: 9, showHidden: true }), token);
    }
    await watch.end();
    await store.close();
    await manager.close();
  },
);
denial.run();

const encrypted = suite('consul store over TLS');

encrypted('a server whose authority is given is used, and one whose authority is not known is refused', async () => {
  const consul = await startConsulProcess({ tls: true });
  try {
    const store = await openStore(consul.url, { tls: { ca: consul.authority } });
    await put(store, 'f/_', '');
    const watch = observe(store, 'f/');
    await watch.next();
    await put(store, 'f/a', 'x');
    await watch.until((state) => state.has('f/a'));
    await watch.end();
    await store.close();

    assert.is((await failureOf(openStore(consul.url))).code, 'STORE_UNREACHABLE');
  } finally {
    await consul.remove();
  }
});
encrypted.run();

async function untilAnswered(store: Store): Promise<void> {
  for (;;) {
    const isThere = await store.list('f/').then(
      () => true,
      () => false,
    );
    if (isThere) return;
    await sleep(100);
  }
}

/** Notifications of a real kernel, in a namespace of its own. */

import { spawnSync } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import { type Netlink, openNetlink } from '../../src/netlink/netlink.ts';
import { type KernelChange, watchKernel } from '../../src/netlink/notifications.ts';
import { enterOwnNamespace, run } from '../kit/own-namespace.ts';
import { suite } from '../kit/suite.ts';

enterOwnNamespace(import.meta.url);

type Watch = { readonly seen: KernelChange[]; readonly abort: AbortController; readonly ended: Promise<void> };

const test = suite<{ netlink: Netlink; watch: Watch }>('kernel watch');

/** A consumer that keeps what it is told. */
function startWatch(): Watch {
  const abort = new AbortController();
  const seen: KernelChange[] = [];
  const consume = async () => {
    for await (const change of watchKernel(abort.signal)) seen.push(change);
  };
  return { seen, abort, ended: consume() };
}

/** Waits until the consumer was told a change with all these fields; then forgets what came up to it. */
async function isTold({ seen }: Watch, wanted: object): Promise<void> {
  const deadline = performance.now() + 5_000;
  const matches = (change: KernelChange) =>
    Object.entries(wanted).every(([key, value]) => Object.entries(change).some(([k, v]) => k === key && v === value));
  while (!seen.some(matches)) {
    if (performance.now() > deadline) {
      throw new Error(`never told ${JSON.stringify(wanted)}, but ${JSON.stringify(seen.slice(-10))}`);
    }
    await sleep(5);
  }
  seen.splice(0, seen.findIndex(matches) + 1);
}

const warnings: unknown[] = [];

test.before(async (context) => {
  console.warn = (...words: unknown[]) => warnings.push(words);
  context.netlink = await openNetlink();
});
test.before.each(async (context) => {
  context.watch = startWatch();
  await isTold(context.watch, { kind: 'overrun', reason: 'started' });
});
test.after.each(async ({ watch }) => {
  watch.abort.abort();
  await watch.ended;
  // Fails where a test made no links.
  spawnSync('ip', ['link', 'delete', 'group', '7']);
});
test.after(async ({ netlink }) => {
  await netlink.close();
});

test('a link that comes, changes and goes is told, whoever did it', async ({ netlink, watch }) => {
  await netlink.createVethPair({ name: 'wft-a', peerName: 'wft-b', mtuBytes: 1450 });
  await isTold(watch, { kind: 'link', name: 'wft-a', isRemoved: false });

  run('ip', 'link', 'set', 'wft-a', 'up');
  await isTold(watch, { kind: 'link', name: 'wft-a', isRemoved: false });

  await netlink.deleteLink('wft-b');
  await isTold(watch, { kind: 'link', name: 'wft-a', isRemoved: true });
});

test('a port that leaves its bridge is not told as a link that went', async ({ watch }) => {
  run('ip', 'link', 'add', 'wft-br', 'group', '7', 'type', 'bridge');
  run('ip', 'link', 'add', 'wft-a', 'group', '7', 'type', 'veth', 'peer', 'name', 'wft-b', 'group', '7');
  run('ip', 'link', 'set', 'wft-a', 'master', 'wft-br');
  run('ip', 'link', 'set', 'wft-a', 'nomaster');
  run('ip', 'link', 'set', 'lo', 'mtu', '65000');

  await isTold(watch, { kind: 'link', name: 'lo' });

  assert.not.ok(watch.seen.some((change) => change.kind === 'link' && change.isRemoved));
});

test('addresses and routes of both families are told as they come and go', async ({ watch }) => {
  run('ip', 'link', 'add', 'wft-a', 'group', '7', 'type', 'veth', 'peer', 'name', 'wft-b', 'group', '7');
  run('ip', 'link', 'set', 'wft-b', 'up');
  run('ip', 'link', 'set', 'wft-a', 'up');

  run('ip', 'address', 'add', '192.0.2.1/24', 'dev', 'wft-a');
  await isTold(watch, { kind: 'address', address: '192.0.2.1', isRemoved: false });
  run('ip', 'route', 'add', 'default', 'via', '192.0.2.254');
  await isTold(watch, { kind: 'route', destination: 'default', family: 'ipv4', isRemoved: false });
  run('ip', 'address', 'delete', '192.0.2.1/24', 'dev', 'wft-a');
  await isTold(watch, { kind: 'address', address: '192.0.2.1', isRemoved: true });

  run('ip', 'address', 'add', '2001:db8::1/64', 'dev', 'wft-a', 'nodad');
  await isTold(watch, { kind: 'address', address: '2001:db8::1', isRemoved: false });
  run('ip', 'route', 'add', '2001:db8:1::/48', 'via', '2001:db8::fe');
  await isTold(watch, { kind: 'route', destination: '2001:db8:1::/48', family: 'ipv6', isRemoved: false });
  run('ip', 'route', 'delete', '2001:db8:1::/48');
  await isTold(watch, { kind: 'route', destination: '2001:db8:1::/48', isRemoved: true });
  run('ip', 'address', 'delete', '2001:db8::1/64', 'dev', 'wft-a');
  await isTold(watch, { kind: 'address', address: '2001:db8::1', isRemoved: true });
});

test('changes of one link that wait together are told once', async () => {
  const changes = watchKernel(AbortSignal.timeout(5_000));
  await changes.next();
  run('ip', 'link', 'add', 'wft-a', 'group', '7', 'type', 'bridge');
  for (let mtu = 1400; mtu < 1420; mtu += 1) run('ip', 'link', 'set', 'wft-a', 'mtu', String(mtu));
  // The messages of the kernel are taken from the socket while nobody asks for them.
  await sleep(200);
  run('ip', 'link', 'set', 'lo', 'mtu', '63000');

  const names: string[] = [];
  for await (const change of changes) {
    if (change.kind === 'link') names.push(change.name);
    if (names.includes('lo')) break;
  }

  assert.equal(names, ['wft-a', 'lo']);
});

test('more changes than the socket holds are told as an overrun, and later ones as before', async ({ watch }) => {
  const complaints: unknown[] = [];
  const { error } = console;
  // What the package prints when its receive loop ends, which this test makes it do.
  console.error = (...words: unknown[]) => complaints.push(words);
  try {
    const links = Array.from(
      { length: 800 },
      (_, index) => `link add wft-d${index} group 7 type vxlan id ${index + 1} dstport 0`,
    );
    // Synchronous: nothing is received meanwhile.
    spawnSync('ip', ['-batch', '-'], { input: links.join('\n') });
    await isTold(watch, { kind: 'overrun', reason: 'lost' });
  } finally {
    console.error = error;
  }
  assert.is(complaints.length, 1, 'the receive loop did end');

  run('ip', 'link', 'set', 'lo', 'mtu', '64000');

  await isTold(watch, { kind: 'link', name: 'lo' });
});

test('a quiet kernel is no overrun', async ({ watch }) => {
  await sleep(2_500);

  assert.equal(watch.seen, []);
});

test('a consumer that leaves, or a signal already aborted, leaves nothing open', async () => {
  for await (const change of watchKernel(new AbortController().signal)) {
    assert.is(change.kind, 'overrun');
    break;
  }
  const changes: KernelChange[] = [];
  for await (const change of watchKernel(AbortSignal.abort())) changes.push(change);

  assert.equal(changes, []);
});

test('the package printed no warnings meanwhile', () => {
  assert.equal(warnings, []);
});

test.run();

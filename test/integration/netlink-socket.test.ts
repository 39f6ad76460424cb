/** The socket below rtnetlink against a real kernel: order, completeness, time limits, aborts and closing. */

import { spawn, spawnSync } from 'node:child_process';
import { readdirSync, readlinkSync } from 'node:fs';
import * as assert from 'uvu/assert';
import { type Netlink, openNetlink } from '../../src/netlink/netlink.ts';
import { hasErrno } from '../../src/netlink/socket.ts';
import { enterOwnNamespace } from '../kit/own-namespace.ts';
import { suite } from '../kit/suite.ts';

enterOwnNamespace(import.meta.url);

const test = suite<{ netlink: Netlink }>('netlink socket');

test.before(async (context) => {
  context.netlink = await openNetlink();
});
test.after.each(() => {
  // Fails where a test made no links.
  spawnSync('ip', ['link', 'delete', 'group', '7']);
});
test.after(async ({ netlink }) => {
  await netlink.close();
});

/** Runs `ip` once for many commands. */
function batch(commands: readonly string[]): void {
  const { status, stderr } = spawnSync('ip', ['-batch', '-'], { input: commands.join('\n'), encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
}

async function errnoOf(request: Promise<unknown>): Promise<string> {
  try {
    await request;
  } catch (error) {
    if (error instanceof Error && 'details' in error) return String((error.details as { errno?: string }).errno);
    throw error;
  }
  return 'none';
}

/** Of one group, which the kernel deletes at once. */
function manyLinks(count: number): string[] {
  return Array.from(
    { length: count },
    (_, index) => `link add wft-d${index} group 7 type vxlan id ${index + 1} dstport 0`,
  );
}

test('300 links are listed whole while others come and go', async ({ netlink }) => {
  batch(manyLinks(300));
  const churn = Array.from({ length: 60 }, () => [
    'link add wft-churn type vxlan id 9999 dstport 0',
    'link delete wft-churn',
  ]).flat();
  const other = spawn('ip', ['-batch', '-'], { stdio: ['pipe', 'ignore', 'inherit'] });
  other.stdin.end(churn.join('\n'));

  let rounds = 0;
  for (; other.exitCode === null; rounds += 1) {
    const names = (await netlink.links()).map(({ name }) => name).filter((name) => name.startsWith('wft-d'));
    assert.is(names.length, 300);
    assert.is(new Set(names).size, 300);
  }
  assert.ok(rounds > 1);
  assert.is(other.exitCode, 0);
});

test('many requests at once are answered each with its own', async ({ netlink }) => {
  batch(manyLinks(40));

  const names = Array.from({ length: 40 }, (_, index) => `wft-d${index}`);
  const [all, ...links] = await Promise.all([netlink.links(), ...names.map((name) => netlink.linkByName(name))]);

  assert.equal(
    links.map((link) => link?.name),
    names,
  );
  assert.is(all.filter(({ name }) => name.startsWith('wft-d')).length, 40);
});

test('a request that finds no answer in time fails, and the next one works', async ({ netlink }) => {
  batch(manyLinks(300));

  assert.is(await errnoOf(netlink.links({ timeoutMs: 1 })), 'ETIMEDOUT');
  assert.is((await netlink.links()).length, 301);
});

test('an abort frees its caller, not the socket from its order', async ({ netlink }) => {
  batch(manyLinks(100));
  const abort = new AbortController();
  const reason = new Error('changed my mind');

  const underWay = netlink.links({ signal: abort.signal });
  const queued = netlink.deleteLink('wft-d1', { signal: abort.signal });
  const after = netlink.linkByName('wft-d1');
  abort.abort(reason);

  for (const request of [underWay, queued, netlink.links({ signal: abort.signal })]) {
    assert.is(await request.catch((error: unknown) => error), reason);
  }
  assert.is((await after)?.name, 'wft-d1', 'what had not begun was not carried out');
});

test('a name longer than the kernel takes is refused by it', async ({ netlink }) => {
  assert.is(await errnoOf(netlink.linkByName('x'.repeat(100))), 'ERANGE');
});

test('a closed socket holds nothing and refuses requests', async () => {
  const openSockets = () =>
    readdirSync('/proc/self/fd').filter((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`).startsWith('socket:');
      } catch {
        return false;
      }
    }).length;
  const before = openSockets();
  const netlink = await openNetlink();
  assert.is(openSockets(), before + 1);

  const last = netlink.links();
  await netlink.close();
  await netlink.close();

  assert.is((await last).length, 1, 'what was asked before is answered');
  assert.is(openSockets(), before);
  const refused = await netlink.links().catch((error: unknown) => error);
  assert.ok(hasErrno(refused, 'EBADF'));
});

test.run();

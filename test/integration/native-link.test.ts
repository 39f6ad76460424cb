/** Programs on devices: tcx links, clsact filters; and test runs, which need a device's index. */

import { createSocket } from 'node:dgram';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import * as bpf from '../../src/native/binding.ts';
import { bpfSuite, failure, frame, number, total } from '../kit/bpf-object.ts';
import { run } from '../kit/own-namespace.ts';

const test = bpfSuite('native links and filters', import.meta.url);

test('a pinned tcx link counts packets, changes its program and is defunct when its device goes', async (object) => {
  const loaded = object.load({ rodata: { verdict: 0xffff_ffff } });
  const [first, second] = [loaded.program('count_first'), loaded.program('count_second')];
  const ifindex = makePair();
  const path = join(object.pins, 'link');

  assert.is(bpf.linkInfo(path), null);
  assert.is(bpf.updateLink(path, first), 'missing');
  bpf.attachTcx({ program: first, ifindex, pinPath: path });
  assert.is(bpf.errnoOf(failure(() => bpf.attachTcx({ program: first, ifindex, pinPath: path }))), 'EEXIST');
  await sendOne();
  const before = total(loaded.map('hits'), 0);
  assert.ok(before > 0);
  assert.is(bpf.updateLink(path, second), 'updated');
  await sendOne();
  assert.is(total(loaded.map('hits'), 0), before);
  assert.ok(total(loaded.map('hits'), 1) > 0);
  const link = bpf.linkInfo(path);
  assert.equal([link?.ifindex, link?.programId], [ifindex, bpf.programInfo(second).id]);

  ip('link del wft0');
  assert.is(bpf.updateLink(path, first), 'defunct');
  assert.is(bpf.linkInfo(path)?.ifindex, null);
  assert.is(bpf.errnoOf(failure(() => bpf.attachTcx({ program: first, ifindex, pinPath: `${path}2` }))), 'ENODEV');
  assert.equal(readdirSync(object.pins), ['link']);
  loaded.close();
});

test('a clsact filter is attached, replaced in its place and detached', async (object) => {
  const loaded = object.load({ rodata: { verdict: 0 } });
  const [first, second] = [loaded.program('count_first'), loaded.program('count_second')];
  const place = { ifindex: makePair(), handle: 1, priority: 7 };

  assert.is(bpf.clsactInfo(place), null);
  assert.is(bpf.detachClsact(place), false);
  bpf.attachClsact({ ...place, program: first });
  bpf.attachClsact({ ...place, program: second });
  assert.equal(bpf.clsactInfo(place), { programId: bpf.programInfo(second).id });
  await sendOne();
  assert.is(total(loaded.map('hits'), 0), 0);
  assert.ok(total(loaded.map('hits'), 1) > 0);
  assert.is(bpf.detachClsact(place), true);
  assert.is(bpf.clsactInfo(place), null);
  ip('link del wft0');
  assert.is(bpf.clsactInfo(place), null);
  assert.is(bpf.errnoOf(failure(() => bpf.attachClsact({ ...place, program: first }))), 'ENODEV');
  loaded.close();
});

test('places that cannot be are refused', (object) => {
  const loaded = object.load({ rodata: {} });
  const first = loaded.program('count_first');

  assert.match(
    failure(() => bpf.attachTcx({ program: first, ifindex: 0, pinPath: object.pins })).message,
    /0 is not an interface index/,
  );
  assert.match(failure(() => bpf.detachClsact({ ifindex: 1, handle: 0, priority: 1 })).message, /handle 0 is not/);
  assert.match(
    failure(() => bpf.clsactInfo({ ifindex: 1, handle: 1, priority: 65_536 })).message,
    /priority 65536 is not/,
  );
  loaded.close();
});

test('a test run sees the interface it is given and shows frame and context as they are afterwards', (object) => {
  const loaded = object.load({ rodata: {} });
  const ifindex = makePair();
  ip('link set wft1 up');

  const told = bpf.testRun({ program: loaded.program('tell_ifindex'), data: frame, ifindex });
  assert.is(number(told.context.subarray(8, 12)), ifindex);
  assert.equal(told.data, frame);
  const grown = bpf.testRun({ program: loaded.program('grow'), data: frame, repeat: 3 });
  assert.equal([grown.verdict, grown.data.length], [0, 100]);
  assert.ok(grown.durationNs > 0);
  assert.is(
    bpf.errnoOf(failure(() => bpf.testRun({ program: loaded.program('grow'), data: new Uint8Array(3) }))),
    'EINVAL',
  );
  ip('link del wft0');
  loaded.close();
});

test.run();

function ip(command: string): string {
  return run('ip', ...command.split(' '));
}

/** A veth pair; datagrams to 10.9.9.2 go in at wft0 and arrive at wft1, whose index it returns. */
function makePair(): number {
  ip('link add wft0 type veth peer name wft1');
  for (const device of ['wft0', 'wft1']) ip(`link set ${device} up`);
  ip('address add 10.9.9.1/24 dev wft0');
  ip('neighbour add 10.9.9.2 lladdr 02:42:0a:09:09:02 dev wft0');
  return Number.parseInt(ip('-o link show wft1'), 10);
}

async function sendOne(): Promise<void> {
  const socket = createSocket('udp4');
  await new Promise((resolve) => socket.send('x', 9, '10.9.9.2', resolve));
  await new Promise<void>((resolve) => socket.close(resolve));
}

/**
 * The same packets through Weft's programs and through the kernel's own vxlan device. Outbound, an inner frame must come out in
 * the same outer packet, apart from source address, source port and what follows from them. Inbound, a packet bent at random
 * must come out of both as the same frame or of neither, apart from what Weft refuses on purpose, which a model here names.
 * WEFT_TEST_SEED repeats a run.
 */

import * as assert from 'uvu/assert';
import {
  bytes,
  checksum,
  ethernet,
  ipv4,
  ipv6,
  type Outer,
  patched,
  protocols,
  transports,
  u16,
  udp,
  vxlan,
} from '../kit/frame.ts';
import { createIntruder, markOf, watch } from '../kit/intruder.ts';
import { createLan, type Host, inside, type Lan } from '../kit/lan.ts';
import { type Chance, chanceFrom } from '../kit/models.ts';
import { enterOwnNamespace } from '../kit/own-namespace.ts';
import { tunnelPort, vni } from '../kit/programs.ts';
import { suite } from '../kit/suite.ts';
import { withOptions } from '../kit/underlay-attacks.ts';

const { bpfRoot } = enterOwnNamespace(import.meta.url);
const seed = Number(process.env['WEFT_TEST_SEED'] ?? Math.floor(Math.random() * 2 ** 32));
process.stdout.write(`seed ${seed}\n`);

type Send = Awaited<ReturnType<typeof createIntruder>>;
const test = suite<{ lan?: Lan; send?: Send }>('differential', {});
test.before(async (context) => {
  context.lan = await createLan(bpfRoot);
  context.send = await createIntruder();
  const { three, oneA, twoA } = context.lan;
  // Of the kernel's settings those that mean the same: no checksum, DF, and no bridge behind it.
  await inside(three, ['ip', 'link', 'del', 'x0']);
  const same = ['dstport', String(tunnelPort), 'nolearning', 'noudpcsum', 'df', 'set', 'ttl', '64'];
  await inside(three, [
    'ip',
    'link',
    'add',
    'y0',
    'type',
    'vxlan',
    'id',
    String(vni),
    'local',
    '192.0.2.3',
    'dev',
    'u0',
    ...same,
  ]);
  await inside(three, ['ip', 'link', 'set', 'y0', 'up']);
  await inside(three, ['bridge', 'fdb', 'add', twoA.mac, 'dev', 'y0', 'dst', '192.0.2.2']);
  for (const node of [three, context.lan.one])
    await inside(node, ['busybox', 'ping', '-c', '1', '-W', '2', '192.0.2.2']);
  assert.ok(oneA.mac < twoA.mac);
});
test.after(async ({ lan }) => {
  await lan?.close();
});

const station = (number: number) => ({
  mac: `02:42:0a:00:00:0${number}`,
  ipv4: `10.0.0.${number}`,
  ipv6: `fd00::${number}`,
});
const [a, c] = [station(1), station(3)];
/** Marks of sentinels are above. */
const firstSentinel = 0xff00;
/** A processor's backlog holds 1000 packets, and a packet may pass several times. */
const chunk = 200;

/**
 * Sends frames a few at a time, each time until the sentinel behind them is seen: none may be lost on a busy machine. It takes
 * the slower road, through the kernel's device, so nothing is on its way behind it.
 */
async function inChunks(
  frames: readonly Uint8Array[],
  sentinel: (mark: number) => Uint8Array,
  send: (frames: readonly Uint8Array[], mark: number) => Promise<unknown>,
): Promise<void> {
  for (let from = 0; from < frames.length; from += chunk) {
    const mark = firstSentinel + from / chunk;
    await send([...frames.slice(from, from + chunk), sentinel(mark)], mark);
  }
}

/** A frame from one station to another of a kind, type of service and size by chance. */
function randomFrame(chance: Chance, mark: number, from = a, to = c): Uint8Array {
  const rest = new Uint8Array(chance(mark % 10 === 0 ? 1300 : 200)).map(() => chance(256));
  const payload = udp(1000 + chance(5000), 9, bytes(markOf(mark), rest));
  const tos = chance(256);
  const wrap = (protocol: number, packet: Uint8Array) =>
    ethernet({ destination: to.mac, source: from.mac, protocol, payload: packet });
  const transport = [transports.udp, 132, 47, 253][chance(4)] ?? transports.udp;
  switch (chance(5)) {
    case 0:
      return wrap(0x88b5, bytes(markOf(mark), rest));
    case 1:
    case 2:
      return wrap(
        protocols.ipv6,
        ipv6({ source: from.ipv6, destination: to.ipv6, transport, payload, tos, ttl: 1 + chance(255) }),
      );
    default:
      return wrap(
        protocols.ipv4,
        ipv4({
          source: from.ipv4,
          destination: to.ipv4,
          transport,
          payload,
          tos,
          ttl: 1 + chance(255),
          id: chance(65536),
        }),
      );
  }
}

/** An outer packet without what must differ: MACs, IP identification, checksum, source address and port. */
function comparable(packet: Uint8Array): string {
  const [same, blank] = [packet.slice(), (from: number, count: number) => same.fill(0, from, from + count)];
  blank(0, 12);
  for (const [from, count] of [
    [18, 2],
    [24, 6],
    [34, 2],
  ] as const)
    blank(from, count);
  return Buffer.from(same).toString('hex');
}

test('a frame goes out as the kernel would send it', async ({ lan, send }) => {
  if (lan === undefined || send === undefined) throw new Error('no LAN');
  const { one, two, three, oneA } = lan;
  const chance = chanceFrom(seed);
  const frames = Array.from({ length: 600 }, (_, index) => randomFrame(chance, index));
  const capture = async (from: Host, device: string) => {
    const watches = await watch({ two: [two, 'u0'] });
    const sentinel = (mark: number) =>
      ethernet({
        destination: c.mac,
        source: a.mac,
        protocol: 0x88b5,
        payload: bytes(markOf(mark), new Uint8Array(50)),
      });
    await inChunks(frames, sentinel, async (some, mark) => {
      await send(from, device, ...some);
      await watches.until('two', mark);
    });
    return (await watches.frames())['two'] ?? new Map<number, Uint8Array>();
  };

  one.counts();
  const ours = await capture(oneA, 'eth0');
  const theirs = await capture(three, 'y0');

  const { ENCAPSULATED = 0, FALLBACK = 0 } = one.counts();
  assert.ok(ENCAPSULATED > 300 && FALLBACK > 50, `${ENCAPSULATED} natively, ${FALLBACK} by the device`);
  for (const mark of frames.keys()) {
    const [our, their] = [ours.get(mark), theirs.get(mark)];
    if (our === undefined || their === undefined) throw new Error(`frame ${mark} was not seen twice; seed ${seed}`);
    assert.is(comparable(our), comparable(their), `frame ${mark}, seed ${seed}`);
    const port = ((our[34] ?? 0) << 8) | (our[35] ?? 0);
    assert.ok(port >= 49152 || FALLBACK > 0, `source port ${port}`);
  }
});

const outer: Omit<Outer, 'destination' | 'destinationMac'> = {
  sourceMac: '02:11:00:00:00:02',
  source: '192.0.2.2',
  sourcePort: 50_000,
  port: tunnelPort,
  vni,
};
const headers = {
  tos: 15,
  id: 18,
  ttl: 22,
  sourceAddress: 29,
  sourcePort: 34,
  udpLength: 39,
  flags: 42,
  reserved: 43,
  vni: 48,
  last: 49,
};

/** Up to three bytes changed, of the outer headers and the inner addresses; the IP checksum made right again. */
function bent(packet: Uint8Array, chance: Chance): Uint8Array {
  let changed = packet;
  const places = [...Object.values(headers), ...Array.from({ length: 14 }, (_, index) => 50 + index), 64, 65];
  for (let change = chance(4); change > 0; change--) {
    const at = places[chance(places.length)] ?? headers.tos;
    const near = (changed[at] ?? 0) ^ (1 << chance(8));
    changed = patched(changed, at, chance(2) === 0 ? near : chance(256));
  }
  // Node three would not take its own address from outside.
  if (changed[headers.sourceAddress] === 3) changed = patched(changed, headers.sourceAddress, 66);
  changed = patched(changed, 24, 0, 0);
  return patched(changed, 24, ...u16(checksum(changed.subarray(14, 34))));
}

/** What Weft refuses and the kernel's device takes, in words; null: nothing. A source nobody has is learnt, not refused. */
function refusedOnPurpose(packet: Uint8Array): string | null {
  const hex = (from: number, count: number) => Buffer.from(packet.subarray(from, from + count)).toString('hex');
  const isGroup = (at: number) => ((packet[at] ?? 0) & 1) === 1;
  const [destination, source] = [50, 56];
  const elsewhere = [1, 2, 4].map((number) => station(number).mac.replaceAll(':', ''));
  if (hex(26, 4) !== 'c0000202') return 'an outer source that is no VTEP of the network';
  if (isGroup(source)) return 'a group for an inner source';
  if (elsewhere.includes(hex(source, 6))) return 'an inner source that lives elsewhere';
  if (!isGroup(destination) && hex(destination, 6) !== a.mac.replaceAll(':', ''))
    return 'a destination that is not here';
  return ['8100', '88a8'].includes(hex(62, 2)) ? 'an inner tag' : null;
}

/** What Weft takes and the kernel's device refuses: reserved bits, which RFC 7348 section 5 says to ignore. */
function takenOnPurpose(packet: Uint8Array): boolean {
  const reserved = [headers.reserved, headers.reserved + 1, headers.reserved + 2, headers.last];
  return packet[headers.flags] === 0x08 && reserved.some((at) => packet[at] !== 0);
}

test('a packet bent at random comes in as by the kernel, but for what is meant to differ', async ({ lan, send }) => {
  if (lan === undefined || send === undefined) throw new Error('no LAN');
  const { two, three, oneA } = lan;
  const chance = chanceFrom(seed + 1);
  const to = (node: 1 | 3, packet: Uint8Array) => {
    const moved = patched(patched(packet, 5, node), 33, node);
    return patched(patched(moved, 24, 0, 0), 24, ...u16(checksum(patched(moved, 24, 0, 0).subarray(14, 34))));
  };
  const plain = (mark: number) =>
    vxlan(
      { ...outer, destination: '192.0.2.1', destinationMac: '02:11:00:00:00:01', tos: chance(256) },
      randomFrame(chance, mark, c, a),
    );
  const packets = Array.from({ length: 2500 }, (_, mark) => bent(plain(mark), chance));
  const sentinel = (mark: number) =>
    vxlan(
      { ...outer, destination: '192.0.2.1', destinationMac: '02:11:00:00:00:01' },
      ethernet({
        destination: a.mac,
        source: c.mac,
        protocol: 0x88b5,
        payload: bytes(markOf(mark), new Uint8Array(50)),
      }),
    );
  const watches = await watch({ ours: [oneA, 'eth0'], theirs: [three, 'y0'] });

  for (const [node, place] of [
    [1, 'ours'],
    [3, 'theirs'],
  ] as const) {
    await inChunks(packets, sentinel, async (some, mark) => {
      const end = some.at(-1) ?? new Uint8Array(0);
      const moved = some.slice(0, -1).map((packet) => to(node, packet));
      await send(two, 'u0', ...moved, node === 1 ? withOptions(end) : to(node, end));
      await watches.until(place, mark);
    });
  }

  const { ours = new Map(), theirs = new Map() } = await watches.frames();
  const fates = packets.map((packet, mark) => {
    const [our, their] = [ours.get(mark), theirs.get(mark)].map((frame) => frame && Buffer.from(frame).toString('hex'));
    return judge(packet, { our, their }, `packet ${mark}, seed ${seed}: ${Buffer.from(packet).toString('hex')}`);
  });
  for (const fate of ['both', 'neither', 'reserved bits', 'a destination that is not here']) {
    assert.ok(fates.filter((each) => each === fate).length > 20, `few ${fate}`);
  }
});

/** Holds what came out of both to each other. @returns what became of the packet, in words */
function judge(
  packet: Uint8Array,
  { our, their }: { our: string | undefined; their: string | undefined },
  context: string,
): string {
  const refused = refusedOnPurpose(packet);
  if (refused !== null) {
    assert.is(our, undefined, `${refused}: ${context}`);
    return refused;
  }
  if (their === undefined && takenOnPurpose(packet)) return 'reserved bits';
  assert.is(our, their, context);
  return our === undefined ? 'neither' : 'both';
}

test.run();

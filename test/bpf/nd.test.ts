/** Neighbour discovery answered in place (native/bpf/lib/nd.h): the IPv6 twin of arp.test.ts. */

import * as assert from 'uvu/assert';
import { enums, neighbourKey } from '../../src/datapath/ebpf/layout.gen.ts';
import * as bpf from '../../src/native/binding.ts';
import { address, bytes, ethernet, icmpv6, mac, patched, protocols, u32 } from '../kit/frame.ts';
import { enterOwnNamespace } from '../kit/own-namespace.ts';
import { a, b, c, dropped, fate, loadPrograms, mapped, stranger, vni } from '../kit/programs.ts';
import { suite } from '../kit/suite.ts';

enterOwnNamespace(import.meta.url);
const programs = loadPrograms();
const test = suite('nd');
test.before.each(() => programs.reset());

const solicitation = 135;
const advertisement = 136;
const solicited = 0x40000000;
const override = 0x20000000;

const option = (type: number, hardware: string) => bytes(type, 1, mac(hardware));
const nonce = bytes(14, 1, new Uint8Array(6).fill(9));

interface Asking {
  readonly target?: string;
  readonly source?: string;
  readonly options?: Uint8Array;
  readonly destinationMac?: string;
  readonly hopLimit?: number;
  readonly code?: number;
}

/** A neighbour solicitation of endpoint a. */
function ask(asking: Asking): Uint8Array {
  const { target = c.ipv6, source = a.ipv6, options = option(1, a.mac), hopLimit = 255, code = 0 } = asking;
  const last = address(target).subarray(13);
  const group = `ff02::1:ff${hex(last.subarray(0, 1))}:${hex(last.subarray(1))}`;
  const packet = icmpv6(
    { source, destination: group, ttl: hopLimit },
    solicitation,
    code,
    bytes(u32(0), address(target), options),
  );
  const destination =
    asking.destinationMac ?? `33:33:ff:${[...last].map((byte) => hex(Uint8Array.of(byte))).join(':')}`;
  return ethernet({ destination, source: a.mac, protocol: protocols.ipv6, payload: packet });
}

function hex(values: Uint8Array): string {
  return Buffer.from(values).toString('hex');
}

/** The advertisement that must come back to endpoint a. */
function answer(owner: { readonly mac: string; readonly ipv6: string }, to: string, flags: number): Uint8Array {
  const rest = bytes(u32(flags), address(owner.ipv6), option(2, owner.mac));
  const packet = icmpv6({ source: owner.ipv6, destination: to, ttl: 255 }, advertisement, 0, rest);
  const destination = to === 'ff02::1' ? '33:33:00:00:00:01' : a.mac;
  return ethernet({ destination, source: owner.mac, protocol: protocols.ipv6, payload: packet });
}

test('a solicitation for a known address is answered with every byte in place', () => {
  const outcome = programs.fromContainer(ask({}));

  fate(outcome, 'redirect', { ND_ANSWERED: 1 });
  assert.equal(outcome.data, answer(c, a.ipv6, solicited | override));
});

test('the answer is the same whatever options the solicitation had', () => {
  for (const options of [new Uint8Array(0), bytes(option(1, a.mac), nonce)]) {
    const { data } = programs.fromContainer(ask({ options }));
    assert.equal(data, answer(c, a.ipv6, solicited | override));
  }
});

test('a solicitation from a link-local source is answered to it', () => {
  const { data } = programs.fromContainer(ask({ source: 'fe80::1' }));

  assert.equal(data, answer(c, 'fe80::1', solicited | override));
});

test('a unicast solicitation to the owner is answered, one to somebody else is forwarded', () => {
  fate(programs.fromContainer(ask({ destinationMac: c.mac })), 'redirect', { ND_ANSWERED: 1 });
  fate(programs.fromContainer(ask({ destinationMac: b.mac })), 'redirect', { LOCAL: 1 });
});

test("duplicate address detection of another's address is answered to all nodes, unsolicited", () => {
  const outcome = programs.fromContainer(ask({ source: '::', options: nonce }));

  fate(outcome, 'redirect', { ND_ANSWERED: 1 });
  assert.equal(outcome.data, answer(c, 'ff02::1', override));
});

test('duplicate address detection of the own address is flooded, whether or not it is in the table yet', () => {
  const probe = ask({ source: '::', target: a.ipv6, options: new Uint8Array(0) });
  fate(programs.fromContainer(probe), 'drop', { FLOODED: 1 });

  bpf.mapDelete(programs.map('neighbours'), neighbourKey.encode({ vni, address: mapped(a.ipv6) }));

  const outcome = programs.fromContainer(probe);
  fate(outcome, 'drop', { FLOODED: 1 });
  assert.equal(outcome.events, []);
});

test('a solicitation for an unknown address is flooded, and user space is asked', () => {
  const outcome = programs.fromContainer(ask({ target: stranger.ipv6 }));

  fate(outcome, 'drop', { FLOODED: 1 });
  const [miss, ...others] = outcome.events;
  assert.equal(others, []);
  assert.is(miss?.kind, enums.event_kind.EVENT_MISS_ADDRESS);
  assert.equal(miss?.address, mapped(stranger.ipv6));
});

test('a solicitation for a link-local address is flooded without asking: no table has those', () => {
  const outcome = programs.fromContainer(ask({ target: 'fe80::99' }));

  fate(outcome, 'drop', { FLOODED: 1 });
  assert.equal(outcome.events, []);
});

test('a claimed link-layer address must be the own one', () => {
  for (const options of [option(1, b.mac), bytes(nonce, option(1, b.mac)), option(2, c.mac)]) {
    dropped(programs.fromContainer(ask({ options })), 'DROP_SOURCE_MAC');
  }
});

test('an advertisement may speak for the own addresses and no others', () => {
  const say = (target: string, hardware: string) => {
    const rest = bytes(u32(override), address(target), option(2, hardware));
    const packet = icmpv6({ source: a.ipv6, destination: c.ipv6, ttl: 255 }, advertisement, 0, rest);
    return programs.fromContainer(
      ethernet({ destination: c.mac, source: a.mac, protocol: protocols.ipv6, payload: packet }),
    );
  };

  fate(say(a.ipv6, a.mac), 'redirect', { ENCAPSULATED: 1 });
  fate(say('fe80::1', a.mac), 'redirect', { ENCAPSULATED: 1 });
  dropped(say(b.ipv6, a.mac), 'DROP_SOURCE_ADDRESS');
  dropped(say(a.ipv6, b.mac), 'DROP_SOURCE_MAC');
});

test('a router solicitation with its own address is flooded, with another it is dropped', () => {
  const say = (hardware: string) => {
    const packet = icmpv6(
      { source: 'fe80::1', destination: 'ff02::2', ttl: 255 },
      133,
      0,
      bytes(u32(0), option(1, hardware)),
    );
    return programs.fromContainer(
      ethernet({ destination: '33:33:00:00:00:02', source: a.mac, protocol: protocols.ipv6, payload: packet }),
    );
  };

  fate(say(a.mac), 'drop', { FLOODED: 1 });
  dropped(say(b.mac), 'DROP_SOURCE_MAC');
});

test('a malformed message is dropped', () => {
  const targetOffset = 14 + 40 + 8;
  const optionLength = 14 + 40 + 24 + 1;
  for (const frame of [
    ask({ hopLimit: 64 }),
    ask({ code: 1 }),
    patched(ask({}), targetOffset, 0xff, 0x02),
    patched(ask({}), optionLength, 0),
    patched(ask({}), optionLength, 2),
    ask({}).slice(0, 14 + 40 + 23),
    ask({}).slice(0, 14 + 40 + 24 + 5),
    ask({}).slice(0, 14 + 40 + 1),
    ask({ options: bytes(nonce, nonce, nonce, nonce, nonce, nonce, nonce) }),
  ]) {
    dropped(programs.fromContainer(frame), 'DROP_MALFORMED');
  }
});

test('other ICMPv6 is left alone', () => {
  const packet = icmpv6({ source: a.ipv6, destination: c.ipv6 }, 128, 0, new Uint8Array(8));
  const frame = ethernet({ destination: c.mac, source: a.mac, protocol: protocols.ipv6, payload: packet });

  fate(programs.fromContainer(frame), 'redirect', { ENCAPSULATED: 1 });
});

test.run();

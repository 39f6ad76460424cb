import * as assert from 'uvu/assert';
import { parseAddress } from '../../../../src/core/address.ts';
import { parseMac } from '../../../../src/core/mac.ts';
import { parseVni } from '../../../../src/core/vni.ts';
import { decodeEvent } from '../../../../src/datapath/ebpf/events.ts';
import { enums, event, floodEntry, port as portStruct } from '../../../../src/datapath/ebpf/layout.gen.ts';
import {
  fdbKey,
  fdbRecord,
  floodRecord,
  hopKey,
  hopRecord,
  index,
  neighbourKey,
  neighbourRecord,
  networkKey,
  networkRecord,
  peerKey,
  peerRecord,
  portRecord,
  settingsRecord,
  vtepRecord,
} from '../../../../src/datapath/ebpf/records.ts';
import type { Codec } from '../../../../src/datapath/ebpf/table.ts';
import { suite } from '../../../kit/suite.ts';

const test = suite('records');

const vni = parseVni(4097);
const mac = parseMac('02:42:0a:4d:01:02');
const ipv4 = parseAddress('10.77.1.2');
const ipv6 = parseAddress('fd00:77:1::2');

function returns<Value>(codec: Codec<Value>, ...values: readonly Value[]): void {
  for (const value of values) assert.equal(codec.decode(codec.encode(value)), value);
}

test('every record comes back from its bytes, with and without what may be absent', () => {
  returns(index, 0, 7, 0xffff_ffff);
  returns(settingsRecord, null, { address: ipv4, port: 14789 }, { address: ipv6, port: 65535 });
  returns(settingsRecord, { address: ipv4, port: 14789, alternate: ipv6 });
  returns(networkKey, vni);
  returns(networkRecord, { mtuBytes: 1450, multicast: true }, { mtuBytes: 68, multicast: false });
  returns(peerKey, { vni, source: ipv4 }, { vni, source: ipv6 });
  returns(hopKey, { vtepId: 7, slot: 3 });
  returns(hopRecord, { gateway: null, ifindex: 2 }, { gateway: ipv4, ifindex: 3 }, { gateway: ipv6, ifindex: 3 });
  returns(peerRecord, 1);
  returns(fdbKey, { vni, mac });
  returns(fdbRecord, { target: { kind: 'local', ifindex: 7 }, isProvisional: false });
  returns(fdbRecord, { target: { kind: 'remote', vtepId: 7 }, isProvisional: true });
  returns(neighbourKey, { vni, address: ipv4 }, { vni, address: ipv6 });
  returns(neighbourRecord, mac);
  returns(floodRecord, null, { kind: 'local', ifindex: 7 }, { kind: 'remote', vtepId: 7 });
  for (const addresses of [
    { ipv4, ipv6 },
    { ipv4, ipv6: null },
    { ipv4: null, ipv6 },
  ]) {
    for (const isRouter of [true, false]) returns(portRecord, { vni, mtuBytes: 1450, mac, ...addresses, isRouter });
  }
});

test('a VTEP comes back with its next hop, and a free slot as none', () => {
  const near = {
    address: ipv4,
    port: 14789,
    gateway: null,
    ifindex: 2,
    tunnelIfindex: 3,
    mtuBytes: 1400,
    provenMtuBytes: 1400,
    hops: 4,
  };
  const far = { ...near, address: ipv6, gateway: parseAddress('fe80::1'), mtuBytes: null, provenMtuBytes: null };

  returns(vtepRecord, null, near, far);
});

test('bytes lie as the programs read them: ports and addresses in network order', () => {
  const { port } = settingsField(settingsRecord.encode({ address: ipv4, port: 0x1234 }));
  assert.equal([...port], [0x12, 0x34]);
  assert.equal(
    [...portStruct.decode(portRecord.encode({ vni, mtuBytes: 1450, mac, ipv4, ipv6: null, isRouter: false })).ipv4],
    [10, 77, 1, 2],
  );
  assert.is(floodEntry.decode(floodRecord.encode({ kind: 'local', ifindex: 7 })).kind, enums.flood_kind.FLOOD_LOCAL);
});

function settingsField(bytes: Uint8Array): { readonly port: Uint8Array } {
  return { port: bytes.subarray(20, 22) };
}

const raw = {
  reason: 0,
  vni,
  ifindex: 7,
  mac: Uint8Array.of(2, 66, 10, 77, 1, 2),
  address: neighbourKey.encode({ vni, address: ipv4 }).subarray(4),
  vtep: neighbourKey.encode({ vni, address: ipv6 }).subarray(4),
};

test('records of the ring become the events of the contract', () => {
  const decode = (kind: number) => decodeEvent(event.encode({ ...raw, kind }));

  assert.equal(decode(enums.event_kind.EVENT_MISS_ADDRESS), { kind: 'miss', vni, address: ipv4, mac: null });
  assert.equal(decode(enums.event_kind.EVENT_MISS_MAC), { kind: 'miss', vni, address: null, mac });
  assert.equal(decode(enums.event_kind.EVENT_PROVISIONAL), { kind: 'provisional', vni, mac, vtep: ipv6 });
});

test('samples of drops, and addresses that are none, are no events', () => {
  const none = { ...raw, mac: new Uint8Array(6), kind: enums.event_kind.EVENT_MISS_MAC };

  assert.is(decodeEvent(event.encode({ ...raw, kind: enums.event_kind.EVENT_DROP })), null);
  assert.is(decodeEvent(event.encode(none)), null);
  assert.is(decodeEvent(event.encode({ ...none, vni: 0, mac: raw.mac })), null);
});

test.run();

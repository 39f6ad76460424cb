/** The generated codecs: what is written is read back, byte order is right, and a wrong length is refused. */

import * as assert from 'uvu/assert';
import { event, fdbKey, layout, port, reasons, settings, vtep } from '../../src/datapath/ebpf/layout.gen.ts';
import { suite } from '../kit/suite.ts';

const test = suite('layout');
const sequence = (length: number) => Uint8Array.from({ length }, (_, index) => index + 1);

test('a key has its number in host order and its bytes as given', () => {
  const bytes = fdbKey.encode({ vni: 0x010203, mac: sequence(6) });

  assert.equal([...bytes], [3, 2, 1, 0, 1, 2, 3, 4, 5, 6, 0, 0]);
});

test('a port number is in network order', () => {
  const bytes = settings.encode({ ipv4: new Uint8Array(4), ipv6: new Uint8Array(16), port: 14789 });

  assert.equal([...bytes.subarray(20, 22)], [0x39, 0xc5]);
});

test('every field is read back from where it was written', () => {
  const records = {
    vtep: {
      address: sequence(16),
      gateway: sequence(16),
      ifindex: 1,
      tunnelIfindex: 2,
      mtu: 3,
      hops: 4,
      port: 5,
      family: 6,
      provenMtu: 7,
    },
    event: { kind: 1, reason: 2, vni: 3, ifindex: 4, mac: sequence(6), address: sequence(16), vtep: sequence(16) },
    port: { vni: 1, mtu: 2, mac: sequence(6), flags: 3, ipv4: sequence(4), ipv6: sequence(16) },
  };

  assert.equal(vtep.decode(vtep.encode(records.vtep)), records.vtep);
  assert.equal(event.decode(event.encode(records.event)), records.event);
  assert.equal(port.decode(port.encode(records.port)), records.port);
});

test('a part of larger memory is read where it lies', () => {
  const whole = sequence(40);

  const { mac } = fdbKey.decode(whole.subarray(8, 20));

  assert.equal([...mac], [13, 14, 15, 16, 17, 18]);
});

test('bytes of another length are refused', () => {
  assert.throws(() => fdbKey.decode(new Uint8Array(11)), /11 bytes are not a struct of 12/);
  assert.throws(() => fdbKey.encode({ vni: 1, mac: new Uint8Array(5) }), /5 bytes are not a field of 6/);
});

test('codecs and offsets agree', () => {
  assert.is(layout.fdb_key.size, fdbKey.size);
  assert.is(layout.vtep.size, vtep.size);
  assert.equal(layout.fdb_key.fields.mac, { offset: 4, size: 6 });
});

test('reasons tell drops from outcomes', () => {
  for (const { name, isDrop } of reasons) assert.is(isDrop, name.startsWith('DROP_'), name);
  assert.is(new Set(reasons.map(({ code }) => code)).size, reasons.length);
});

test.run();

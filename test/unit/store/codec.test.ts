/** Records of nodes and stamps: of one VTEP address and of two, across versions of the daemon. */

import * as assert from 'uvu/assert';
import { z } from 'zod';
import { parseAddress } from '../../../src/core/address.ts';
import { codecs } from '../../../src/store/codec.ts';
import { nodeId } from '../../kit/models.ts';
import { suite } from '../../kit/suite.ts';

const test = suite('store/codec');

const ipv4 = parseAddress('10.0.0.2');
const ipv6 = parseAddress('fd00::2');
const record = {
  id: nodeId('two'),
  name: 'two',
  vtep: { address: ipv4, port: 14789 },
  mtuBytes: 1500,
  epoch: 3,
  boot: 'b',
  pid: 7,
  started: '99',
};
const bytes = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
const text = (encoded: Uint8Array) => new TextDecoder().decode(encoded);

test('a node and its stamps come back with both addresses, or with the one there is', () => {
  for (const vtep of [
    { address: ipv4, port: 1 },
    { address: ipv6, port: 65_535 },
    { address: ipv4, port: 14789, alternate: ipv6 },
  ]) {
    assert.equal(codecs.node.decode(codecs.node.encode({ ...record, vtep })), { ...record, vtep });
    const stamp = { epoch: 1, generation: 2, vtep };
    assert.equal(codecs.stamp.decode(codecs.stamp.encode(stamp)), stamp);
  }
});

test('what a daemon wrote before a node had two addresses is read', () => {
  assert.equal(codecs.node.decode(bytes(record)), record);
});

test('what is written of two addresses still is, for such a daemon, a node with the first', () => {
  const before = z.object({ vtep: z.object({ address: z.string(), port: z.number() }) });
  const written = codecs.node.encode({ ...record, vtep: { address: ipv4, port: 14789, alternate: ipv6 } });

  assert.equal(before.parse(JSON.parse(text(written))), { vtep: { address: '10.0.0.2', port: 14789 } });
  assert.not.match(text(codecs.node.encode(record)), 'alternate');
});

test('an alternate address that is none is refused', () => {
  assert.throws(() => codecs.node.decode(bytes({ ...record, vtep: { ...record.vtep, alternate: 'fd00::g' } })));
});

test.run();

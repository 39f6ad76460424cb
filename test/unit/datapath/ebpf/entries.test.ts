import * as assert from 'uvu/assert';
import { type Address, parseAddress } from '../../../../src/core/address.ts';
import type { EndpointId } from '../../../../src/core/identity.ts';
import { parseMac } from '../../../../src/core/mac.ts';
import { parseVni } from '../../../../src/core/vni.ts';
import { fdbRow, floodCopies, floodEntry, macEntry, type Names } from '../../../../src/datapath/ebpf/entries.ts';
import { isOverlayError } from '../../../../src/errors.ts';
import { endpointId } from '../../../kit/models.ts';
import { suite } from '../../../kit/suite.ts';

const test = suite('entries');

const here = endpointId('here');
const there = parseAddress('192.0.2.2');
const vni = parseVni(4097);
const mac = parseMac('02:42:0a:4d:01:02');
const names: Names = {
  indexOf: (endpoint: EndpointId) => (endpoint === here ? 7 : null),
  endpointAt: (index: number) => (index === 7 ? here : endpointId(`interface ${index}`)),
  idOf: (vtep: Address) => (vtep === there ? 3 : null),
  addressOf: (id: number) => (id === 3 ? there : null),
};

test('a MAC goes to its row and comes back, local or remote', () => {
  for (const at of [{ kind: 'local', endpoint: here } as const, { kind: 'remote', vtep: there } as const]) {
    const entry = { table: 'mac' as const, vni, mac, at };
    const [key, record] = fdbRow(names, entry);

    assert.equal(macEntry(names, key, record), entry);
  }
});

test('a provisional row is no entry', () => {
  assert.is(macEntry(names, { vni, mac }, { target: { kind: 'remote', vtepId: 3 }, isProvisional: true }), null);
});

test('what is not there cannot be referred to', () => {
  const at = { kind: 'remote' as const, vtep: parseAddress('192.0.2.9') };
  try {
    fdbRow(names, { table: 'mac', vni, mac, at });
    assert.unreachable();
  } catch (error) {
    assert.ok(isOverlayError(error, 'BPF_FAILED'));
  }
});

test('a row that names what is gone is shown as nothing that can be desired', () => {
  const entry = macEntry(names, { vni, mac }, { target: { kind: 'remote', vtepId: 9 }, isProvisional: false });

  assert.equal(entry?.at, { kind: 'remote', vtep: '::' });
});

test('a flood list comes back sorted, whatever order the kernel holds', () => {
  const entry = { table: 'flood' as const, vni, endpoints: [here], vteps: [there] };
  const copies = [...floodCopies(names, entry)].reverse();

  assert.equal(floodEntry(names, vni, copies), entry);
});

test.run();

import * as assert from 'uvu/assert';
import { parseAddress } from '../../../src/core/address.ts';
import {
  decodeNeighbourRow,
  encodeNeighbourRow,
  isListed,
  type NeighbourRow,
  rowKey,
} from '../../../src/netlink/neighbour.ts';
import { suite } from '../../kit/suite.ts';

const test = suite('netlink/neighbour');
const mac = '02:42:0a:4d:00:02';
const [ifindex, isLasting] = [7, true];
const decode = (payload: Buffer) => decodeNeighbourRow({ type: 28, payload });
/** struct ndmsg: family, index, state, flags, type. */
const message = (head: string, ...attributes: readonly string[]) =>
  decode(Buffer.from([head, ...attributes].join('').replaceAll(' ', ''), 'hex'));
const macAttribute = '0a00 0200 02420a4d0002 0000';

test('rows of vxlan links and of neighbours are read as they were written', () => {
  const rows: readonly NeighbourRow[] = [
    { table: 'vxlan', ifindex, mac, isLasting, vtep: parseAddress('192.0.2.2'), port: null },
    { table: 'vxlan', ifindex, mac: '00:00:00:00:00:00', isLasting, vtep: parseAddress('2001:db8::2'), port: 4790 },
    { table: 'address', ifindex, mac, isLasting, address: parseAddress('10.77.0.2') },
    { table: 'address', ifindex, mac, isLasting, address: parseAddress('fd00::2') },
  ];
  for (const row of rows) assert.equal(decode(encodeNeighbourRow(row)), row);
});

test('a row of a bridge names the bridge in what the kernel tells, and its port in what it is told', () => {
  const row: NeighbourRow = { table: 'bridge', ifindex, mac, isLasting };
  // State NOARP; flags MASTER and STICKY.
  assert.is(encodeNeighbourRow(row).toString('hex', 0, 12), '070000000700000040004400');

  assert.equal(message('07000000 07000000 4000 4000', macAttribute, '0800 0900 05000000'), row);
});

test('what a kernel noted by itself does not last, and a port has rows of its own that are left out', () => {
  assert.equal(message('07000000 07000000 0200 0200', macAttribute, '0800 0100 c0000202'), {
    ...{ table: 'vxlan', ifindex, mac, isLasting: false, vtep: '192.0.2.2', port: null },
  });
  assert.is(message('07000000 07000000 8000 4000', macAttribute, '0800 0900 05000000'), null);
  assert.is(message('07000000 07000000 8000 0200', macAttribute), null);
});

test('a question is an address without a MAC', () => {
  assert.equal(message('02000000 07000000 0400 0000', '0800 0100 0a4d00c8'), {
    ...{ table: 'address', ifindex, mac: null, isLasting: false, address: '10.77.0.200' },
  });
});

test('a group and zero stand for several VTEPs, which are rows of their own; a station has one', () => {
  assert.equal([mac, '01:00:5e:00:00:01', '00:00:00:00:00:00'].map(isListed), [false, true, true]);
  const row = (address: string, to: string) => {
    const vtep = parseAddress(address);
    return rowKey({ table: 'vxlan', ifindex, mac: to, isLasting, vtep, port: null });
  };
  assert.is(row('192.0.2.2', mac), row('192.0.2.3', mac));
  assert.is.not(row('192.0.2.2', '00:00:00:00:00:00'), row('192.0.2.3', '00:00:00:00:00:00'));
});

test.run();

import * as assert from 'uvu/assert';
import { parseAddress, parseSubnet } from '../../../src/core/address.ts';
import { hash64, namedIdentity, networkKey, parseNetworkName, subnetIdentity } from '../../../src/core/identity.ts';
import { macBytes, macFromAddress, macFromBytes, parseMac } from '../../../src/core/mac.ts';
import { overlayMtu } from '../../../src/core/mtu.ts';
import { automaticVnis, maxVni, parseVni, vniCandidate } from '../../../src/core/vni.ts';
import { suite } from '../../kit/suite.ts';

const test = suite('core/identity');

test('every engine derives the same key from the same subnets, in whatever order', () => {
  const one = subnetIdentity([parseSubnet('10.77.0.0/24'), parseSubnet('fd00:77::/64')]);
  const other = subnetIdentity([parseSubnet('fd00:77::/64'), parseSubnet('10.77.0.0/24')]);
  assert.is(networkKey(one), networkKey(other));
  assert.match(networkKey(one), /^[0-9a-f]{16}$/);
});

test('a name and a subnet of the same text are different networks', () => {
  assert.is.not(namedIdentity('10.77.0.0/24'), subnetIdentity([parseSubnet('10.77.0.0/24')]));
});

test('the hash is FNV-1a with 64 bits', () => {
  assert.is(hash64(''), 0xcbf29ce484222325n);
  assert.is(hash64('a'), 0xaf63dc4c8601ec8cn);
  assert.is(hash64('foobar'), 0x85944171f73967e8n);
});

test('network names are checked', () => {
  assert.is(parseNetworkName('blue-2.x_y'), 'blue-2.x_y');
  for (const text of ['', '-x', 'a b', 'a|b', 'x'.repeat(65)])
    assert.throws(() => parseNetworkName(text), /weft.network/);
});

test('VNIs have 24 bits and candidates walk through the automatic range', () => {
  assert.is(parseVni(maxVni), maxVni);
  for (const value of [0, -1, 0x1000000, 1.5, Number.NaN]) assert.throws(() => parseVni(value), /out of range/);
  const size = automaticVnis.last - automaticVnis.first + 1;
  assert.is(vniCandidate(BigInt(size - 1), 0), automaticVnis.last);
  assert.is(vniCandidate(BigInt(size - 1), 1), automaticVnis.first);
});

test('MAC addresses are unicast, canonical, and made of the address as Docker makes them', () => {
  assert.is(parseMac('02-42-0A-4D-00-02'), '02:42:0a:4d:00:02');
  assert.is(macFromBytes(macBytes(parseMac('02:42:0a:4d:00:02'))), '02:42:0a:4d:00:02');
  assert.is(macFromAddress(parseAddress('10.77.0.2')), '02:42:0a:4d:00:02');
  assert.is(macFromAddress(parseAddress('fd00:77::1:2')), '02:42:00:01:00:02');
  for (const text of ['01:00:5e:00:00:01', '00:00:00:00:00:00', '02:42:0a:4d:00', 'x']) {
    assert.throws(() => parseMac(text), /MAC address/);
  }
});

test('encapsulation takes 50 bytes over IPv4 and 70 over IPv6', () => {
  assert.is(overlayMtu(1500, 'ipv4'), 1450);
  assert.is(overlayMtu(1500, 'ipv6'), 1430);
});

test.run();

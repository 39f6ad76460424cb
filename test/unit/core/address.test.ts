import * as assert from 'uvu/assert';
import {
  addressBytes,
  addressFromBytes,
  contains,
  mappedBytes,
  overlaps,
  parseAddress,
  parseInterfaceAddress,
  parseSubnet,
  subnetAround,
  subnetRange,
  withPrefix,
} from '../../../src/core/address.ts';
import { isOverlayError } from '../../../src/errors.ts';
import { suite } from '../../kit/suite.ts';

const test = suite('core/address');

test('text in any spelling becomes the canonical one', () => {
  assert.is(parseAddress('10.77.0.2'), '10.77.0.2');
  assert.is(parseAddress('FD00:0077:0:0::0002'), 'fd00:77::2');
  assert.is(parseInterfaceAddress('10.77.0.2/24'), '10.77.0.2');
  assert.is(parseSubnet('FD00:77::/64'), 'fd00:77::/64');
});

test('what is no address is refused by name', () => {
  for (const text of ['', '10.77.0', '10.77.0.256', 'fe80::1%eth0', '10.77.0.0/24', 'blue', '1.2.3.4.5']) {
    assert.throws(
      () => parseAddress(text),
      (error: unknown) => isOverlayError(error, 'ADDRESS_INVALID') && error.message.includes(text),
      text,
    );
  }
});

test('a subnet with host bits is refused and told what was meant', () => {
  assert.throws(
    () => parseSubnet('10.77.0.5/24'),
    (error: unknown) => isOverlayError(error, 'SUBNET_INVALID') && error.message.includes('10.77.0.0/24'),
  );
  for (const text of ['10.77.0.0', 'x/24', '10.77.0.0/33']) {
    assert.throws(
      () => parseSubnet(text),
      (error: unknown) => isOverlayError(error, 'SUBNET_INVALID'),
    );
  }
});

test('bytes and back give the same address, IPv4 also in its IPv6 form', () => {
  for (const text of ['0.0.0.0', '10.77.0.2', '255.255.255.255', '::', 'fd00:77::2', '::1']) {
    const address = parseAddress(text);
    assert.is(addressFromBytes(addressBytes(address)), address);
    assert.is(addressFromBytes(mappedBytes(address)), address);
    assert.is(mappedBytes(address).length, 16);
  }
});

test('containment and overlap keep families apart', () => {
  const subnet = parseSubnet('10.77.0.0/24');
  assert.ok(contains(subnet, parseAddress('10.77.0.255')));
  assert.not(contains(subnet, parseAddress('10.77.1.0')));
  assert.not(contains(subnet, parseAddress('::ffff')));
  assert.ok(overlaps(subnet, parseSubnet('10.0.0.0/8')));
  assert.not(overlaps(subnet, parseSubnet('10.77.1.0/24')));
  assert.not(overlaps(subnet, parseSubnet('::/0')));
});

test('ranges, prefixes and the subnet around an address', () => {
  assert.equal(subnetRange(parseSubnet('10.77.0.0/30')), { first: 0x0a4d0000n, last: 0x0a4d0003n });
  assert.is(withPrefix(parseAddress('10.77.0.9'), parseSubnet('10.77.0.0/24')), '10.77.0.9/24');
  assert.is(subnetAround(parseAddress('10.77.3.9'), 22), '10.77.0.0/22');
  assert.is(subnetAround(parseAddress('fd00:77::9'), 64), 'fd00:77::/64');
});

test.run();

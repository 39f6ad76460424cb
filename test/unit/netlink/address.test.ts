import * as assert from 'uvu/assert';
import { addressBytes, parseAddress } from '../../../src/core/address.ts';
import { decodeLinkAddress } from '../../../src/netlink/address.ts';
import { bytes, u32 } from '../../../src/netlink/attributes.ts';
import { suite } from '../../kit/suite.ts';

const test = suite('netlink/address');

/** `struct ifaddrmsg` of link 3. */
function message(family: number, prefix: number, scope: number, ...attributes: Buffer[]) {
  return { type: 20, payload: Buffer.concat([Buffer.from([family, prefix, 0, scope, 3, 0, 0, 0]), ...attributes]) };
}

function address(type: number, text: string): Buffer {
  return bytes(type, addressBytes(parseAddress(text)));
}

test('on a point-to-point link the own address is told, not the other side', () => {
  const decoded = decodeLinkAddress(message(2, 32, 0, address(1, '10.0.0.2'), address(2, '10.0.0.1')));

  assert.equal(decoded, {
    ifindex: 3,
    address: '10.0.0.1',
    prefix: 32,
    family: 'ipv4',
    scope: 'global',
    isTemporary: false,
  });
});

test('an IPv6 address is canonical and keeps its scope', () => {
  const decoded = decodeLinkAddress(message(10, 64, 253, address(1, 'fe80:0:0::1')));

  assert.equal(decoded, {
    ifindex: 3,
    address: 'fe80::1',
    prefix: 64,
    family: 'ipv6',
    scope: 'link',
    isTemporary: false,
  });
});

test('an IPv6 address that will not stay is told: temporary, deprecated or a duplicate', () => {
  for (const flag of [0x01, 0x08, 0x20]) {
    const flags = u32(8, 0x80 | flag);
    assert.is(decodeLinkAddress(message(10, 64, 0, address(1, 'fd00::1'), flags))?.isTemporary, true);
    // Of IPv4, the first of these is secondary.
    assert.is(decodeLinkAddress(message(2, 24, 0, address(1, '10.0.0.1'), flags))?.isTemporary, false);
  }
});

test('a scope of the administrator is told as other, another family not at all', () => {
  assert.is(decodeLinkAddress(message(2, 24, 77, address(1, '10.0.0.1')))?.scope, 'other');
  assert.is(decodeLinkAddress(message(12, 8, 0, bytes(1, Uint8Array.of(1)))), null);
});

test.run();

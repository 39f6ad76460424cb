/** Which addresses the tunnel ends at, of hosts that are not there. */

import * as assert from 'uvu/assert';
import { type Address, familyOf, parseAddress } from '../../../src/core/address.ts';
import type { VtepChoice } from '../../../src/core/vtep.ts';
import { chooseVtep, type HostNetwork } from '../../../src/datapath/vtep.ts';
import { suite } from '../../kit/suite.ts';

const test = suite('datapath/vtep');

interface Given {
  readonly on: string;
  readonly scope?: 'global' | 'link' | 'host';
  readonly isTemporary?: boolean;
}

const devices = ['lo', 'eth0', 'eth1', 'docker0'];
const mtus: Readonly<Record<string, number>> = { eth0: 1500, eth1: 9000 };

function host(addresses: Readonly<Record<string, Given>>, ...sources: readonly string[]): HostNetwork {
  const links = devices.map((name, position) => ({
    ...{ index: position + 1, name, kind: null, mac: null, isUp: true, isArp: true, alias: null, peerIndex: null },
    ...{ linkNetnsId: null, master: null, vxlan: null, bridgePort: null, mtuBytes: mtus[name] ?? 65_536 },
  }));
  return {
    links,
    addresses: Object.entries(addresses).map(([text, { on, scope = 'global', isTemporary = false }]) => {
      const address = parseAddress(text);
      return { ifindex: devices.indexOf(on) + 1, address, prefix: 64, family: familyOf(address), scope, isTemporary };
    }),
    sources: sources.map(parseAddress),
  };
}

const auto: VtepChoice = { kind: 'auto' };
const eth0: VtepChoice = { kind: 'device', device: 'eth0' };
const these = (...texts: [string, ...string[]]): VtepChoice => ({
  kind: 'addresses',
  addresses: texts.map(parseAddress) as unknown as [Address],
});
const usual = {
  '127.0.0.1': { on: 'lo', scope: 'host' },
  '10.0.0.1': { on: 'eth0' },
  '10.0.1.1': { on: 'eth1' },
  'fe80::1': { on: 'eth0', scope: 'link' },
  'fd00::1': { on: 'eth0' },
  'fd00:1::1': { on: 'eth1' },
  '172.17.0.1': { on: 'docker0' },
} as const;

test('auto takes the source of the default route, of each family that has one', () => {
  assert.equal(chooseVtep(auto, host(usual, '10.0.1.1')).addresses, ['10.0.1.1']);
  assert.equal(chooseVtep(auto, host(usual, 'fd00::1')).addresses, ['fd00::1']);
  assert.equal(chooseVtep(auto, host(usual, 'fd00:1::1', '10.0.0.1')), {
    addresses: ['10.0.0.1', 'fd00:1::1'],
    devices: ['eth0', 'eth1'],
    mtuBytes: 1500,
  });
});

test('auto without a default route takes the only address there is, and IPv6 beside an IPv4 one never', () => {
  assert.equal(chooseVtep(auto, host({ '10.0.0.1': { on: 'eth0' }, 'fd00::1': { on: 'docker0' } })).addresses, [
    '10.0.0.1',
  ]);
  assert.equal(chooseVtep(auto, host({ 'fd00::1': { on: 'eth0' } })).addresses, ['fd00::1']);
  assert.throws(() => chooseVtep(auto, host(usual)), /VTEP address auto; addresses here are 10\.0\.0\.1, 10\.0\.1\.1/);
  assert.throws(() => chooseVtep(auto, host({})), /\(none\)/);
});

test('a temporary address stands for a lasting one of its device, where there is one', () => {
  const fleeting = { ...usual, 'fd00::abcd': { on: 'eth0', isTemporary: true } };

  assert.equal(chooseVtep(auto, host(fleeting, 'fd00::abcd')).addresses, ['fd00::1']);
  assert.equal(chooseVtep(eth0, host({ 'fd00::abcd': { on: 'eth0', isTemporary: true }, ...usual })).addresses, [
    '10.0.0.1',
    'fd00::1',
  ]);
  const alone = { 'fd00::abcd': { on: 'eth0', isTemporary: true } };
  assert.equal(chooseVtep(auto, host(alone, 'fd00::abcd')).addresses, ['fd00::abcd']);
});

test('a device gives an address of each family that it has', () => {
  assert.equal(chooseVtep(eth0, host(usual)), {
    addresses: ['10.0.0.1', 'fd00::1'],
    devices: ['eth0'],
    mtuBytes: 1500,
  });
  assert.equal(chooseVtep(eth0, host({ 'fd00::1': { on: 'eth0' } })).addresses, ['fd00::1']);
  assert.throws(() => chooseVtep({ kind: 'device', device: 'lo' }, host(usual)), /of device lo/);
  assert.throws(() => chooseVtep({ kind: 'device', device: 'eth9' }, host(usual)), /of device eth9/);
});

test('addresses are taken as they are given, IPv4 first, and each must be here', () => {
  assert.equal(chooseVtep(these('fd00:1::1'), host(usual)).addresses, ['fd00:1::1']);
  assert.equal(chooseVtep(these('fd00:1::1', '10.0.1.1'), host(usual)), {
    addresses: ['10.0.1.1', 'fd00:1::1'],
    devices: ['eth1'],
    mtuBytes: 9000,
  });
  assert.throws(() => chooseVtep(these('10.0.0.1', 'fd00::9'), host(usual)), /VTEP address fd00::9; addresses here/);
  assert.throws(() => chooseVtep(these('127.0.0.1'), host(usual)), /VTEP address 127\.0\.0\.1/);
});

test('the same host gives the same answer again', () => {
  const given = host(usual, '10.0.0.1', 'fd00::1');

  assert.equal(chooseVtep(auto, given), chooseVtep(auto, given));
});

test.run();

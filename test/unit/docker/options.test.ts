import * as assert from 'uvu/assert';
import {
  readEndpointOptions,
  readNestedNetworkOptions,
  readNetworkOptions,
  readPoolOptions,
} from '../../../src/docker/options.ts';
import { isOverlayError } from '../../../src/errors.ts';
import { suite } from '../../kit/suite.ts';

const defaults = { name: null, vni: null, mtuBytes: null, multicast: true };

const test = suite('docker/options');

test('no option at all is the defaults', () => {
  assert.equal(readNetworkOptions({}), defaults);
  assert.equal(readNestedNetworkOptions({}), defaults);
  assert.is(readPoolOptions({}), null);
  assert.equal(readEndpointOptions({}), { mac: null, isRouter: false });
});

test('flat and nested options mean the same', () => {
  const options = { 'weft.network': 'blue', 'weft.vni': '16777215', 'weft.multicast': 'on' };

  assert.equal(
    readNestedNetworkOptions({ 'com.docker.network.generic': options, 'com.docker.network.enable_ipv6': true }),
    readNetworkOptions(options),
  );
});

test('options the engine reads itself pass unread', () => {
  const names = ['internal', 'enable_ipv4', 'enable_ipv6', 'advertise_addr_nmsgs', 'advertise_addr_ms'];
  const options = Object.fromEntries(names.map((name) => [`com.docker.network.${name}`, 'anything']));

  assert.equal(readNetworkOptions(options), defaults);
});

test('the ends of each range are inside', () => {
  const mtu = (text: string) => readNetworkOptions({ 'com.docker.network.driver.mtu': text }).mtuBytes;

  assert.equal([mtu('68'), mtu('65465')], [68, 65_465]);
  assert.throws(
    () => mtu('65466'),
    (error: unknown) => isOverlayError(error, 'OPTION_INVALID'),
  );
  assert.is(readNetworkOptions({ 'weft.vni': '1' }).vni, 1);
});

test('an empty MAC option is none', () => {
  assert.is(readEndpointOptions({ 'com.docker.network.endpoint.macaddress': '' }).mac, null);
});

test('an endpoint is a router when its option says so, and nothing else is taken for that', () => {
  assert.is(readEndpointOptions({ 'weft.router': 'on' }).isRouter, true);
  assert.is(readEndpointOptions({ 'weft.router': 'off' }).isRouter, false);
  for (const value of ['', 'true', 'ON', true, null]) {
    assert.throws(
      () => readEndpointOptions({ 'weft.router': value }),
      (error: unknown) => isOverlayError(error, 'OPTION_INVALID'),
    );
  }
});

test.run();

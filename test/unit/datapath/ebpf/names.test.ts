import * as assert from 'uvu/assert';
import { deviceOfLink, linkName, tunnelName, tunnelPort } from '../../../../src/datapath/ebpf/names.ts';
import { interfacesOf, stemOf } from '../../../../src/datapath/interfaces.ts';
import { endpointId } from '../../../kit/models.ts';
import { suite } from '../../../kit/suite.ts';

const test = suite('names');

test('interface names fit the kernel and lead back to the start of the id', () => {
  const id = endpointId('one');
  const { hostInterface, containerInterface } = interfacesOf(id);

  assert.is(hostInterface.length, 14);
  assert.is(containerInterface.length, 14);
  assert.is(stemOf(hostInterface), id.slice(0, 12));
});

test('names that only look like ours are not ours', () => {
  for (const name of ['wh', 'whatever', 'wh0123456789ag', 'wh0123456789abc', 'wc0123456789ab'])
    assert.is(stemOf(name), null);
  for (const name of ['weft', 'weft0', 'weft123456', 'weft1x', 'xweft1']) assert.is(tunnelPort(name), null);
});

test('a tunnel is found by its port and gives it back', () => {
  assert.is(tunnelPort(tunnelName(14789)), 14789);
});

test('a device with a dot or a percent sign has a pin without a dot, and back', () => {
  for (const device of ['eth0', 'bond0.100', 'a%2eb', '%.', '%25']) {
    assert.not(linkName(device).includes('.'));
    assert.is(deviceOfLink(linkName(device)), device);
  }
});

test.run();

import * as assert from 'uvu/assert';
import {
  bridgeName,
  bridgeText,
  multicastOf,
  placeOf,
  portOf,
  portText,
  tunnelName,
} from '../../../../src/datapath/bridge/names.ts';
import { testEndpoint, testNetwork } from '../../../kit/models.ts';
import { suite } from '../../../kit/suite.ts';

const test = suite('datapath/bridge/names');
const { vni, mtuBytes } = testNetwork(1);

test('devices are found by their VNI and give it back', () => {
  assert.equal(placeOf(bridgeName(vni)), { kind: 'bridge', vni });
  assert.equal(placeOf(tunnelName(vni)), { kind: 'tunnel', vni });
  assert.equal(placeOf(tunnelName(0)), { kind: 'tunnel', vni: 0 });
});

test('names that only look like ours are not ours', () => {
  for (const name of ['wb', 'wx01', 'wx16777216', 'wx123456789', 'wa1', 'wb1.2', 'xwb1'])
    assert.is(placeOf(name), null);
});

test('the text of an interface says whose it is, and fits', () => {
  const { id: endpoint, mac, addresses } = testEndpoint(1, 2);
  const text = portText({ table: 'port', endpoint, vni, mac, addresses, mtuBytes });

  assert.equal(portOf(text), { endpoint, mac, addresses });
  assert.ok(text.length < 256);
});

test('another text is no text of ours', () => {
  for (const text of [
    null,
    '',
    'uplink',
    'weft endpoint x',
    'weft endpoint x y z',
    'weft endpoint x 02:42:0a:4d:00:02 z',
  ])
    assert.is(portOf(text), null, String(text));
  assert.equal([bridgeText(true), bridgeText(false), 'weft network', null].map(multicastOf), [true, false, null, null]);
});

test.run();

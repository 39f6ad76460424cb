import * as assert from 'uvu/assert';
import { createRoutes } from '../../../src/docker/routes.ts';
import { suite } from '../../kit/suite.ts';
import { recordingVerbs } from './recording-verbs.ts';

const routes = createRoutes({ verbs: recordingVerbs().verbs, scope: 'local', driverName: 'weft' });

const test = suite('docker/routes');

test('every method of the protocol has a route, and nothing else has', () => {
  const network =
    'GetCapabilities AllocateNetwork FreeNetwork GwAllocCheck CreateNetwork DeleteNetwork CreateEndpoint ' +
    'DeleteEndpoint EndpointOperInfo Join Leave ProgramExternalConnectivity RevokeExternalConnectivity ' +
    'DiscoverNew DiscoverDelete';
  const ipam = 'GetCapabilities GetDefaultAddressSpaces RequestPool ReleasePool RequestAddress ReleaseAddress';
  const named = (subsystem: string, methods: string) => methods.split(' ').map((method) => `${subsystem}.${method}`);

  assert.equal(
    [...routes.keys()],
    ['Plugin.Activate', ...named('NetworkDriver', network), ...named('IpamDriver', ipam)],
  );
});

test('methods without a message take any body, the others refuse an empty one', async () => {
  const silent = new Set([
    'Plugin.Activate',
    'NetworkDriver.GetCapabilities',
    'IpamDriver.GetCapabilities',
    'IpamDriver.GetDefaultAddressSpaces',
  ]);
  for (const [method, route] of routes) {
    for (const body of ['', ' \n', 'null', '{', '[]']) {
      const refused = await route(method, body).then(
        () => false,
        (error) => error.code === 'MESSAGE_INVALID' && error.message.startsWith(`${method}: `),
      );
      assert.is(refused, !silent.has(method), `${method} with body ${JSON.stringify(body)}`);
    }
  }
});

test('activation names both kinds of driver', async () => {
  const answer = await routes.get('Plugin.Activate')?.('Plugin.Activate', '');

  assert.equal(answer, { Implements: ['NetworkDriver', 'IpamDriver'] });
});

test.run();

import * as assert from 'uvu/assert';
import * as messages from '../../../src/docker/messages.ts';
import { isOverlayError } from '../../../src/errors.ts';
import { suite } from '../../kit/suite.ts';

const method = 'IpamDriver.RequestPool';
const pool = { AddressSpace: 'WeftLocal', Pool: '10.77.0.0/24', SubPool: '', Options: null, V6: false };

function refusalOf(body: string): string {
  try {
    messages.requestPool(method, body);
  } catch (error) {
    if (isOverlayError(error, 'MESSAGE_INVALID', 'OPTION_UNKNOWN')) return error.message;
    throw error;
  }
  throw new Error(`${body} was read`);
}

const test = suite('docker/messages');

test('what is read has only the fields of the protocol, in domain values', () => {
  const read = messages.requestPool(method, `${JSON.stringify({ ...pool, Extra: 1, pool: 'lower case' })}\n`);

  const domain = { AddressSpace: 'local', Pool: '10.77.0.0/24', SubPool: null, Options: { name: null }, V6: false };
  assert.equal(read, domain);
});

test('addresses come out in canonical form', () => {
  const read = messages.releaseAddress('IpamDriver.ReleaseAddress', '{"PoolID":"p","Address":"FD00:0077:0::0002"}');

  assert.equal(read, { PoolID: 'p', Address: 'fd00:77::2' });
});

test('a body that is no message is refused for what it is', () => {
  assert.match(refusalOf(''), /^IpamDriver\.RequestPool: the body is empty; the request was refused/);
  assert.match(refusalOf('\n'), /the body is empty/);
  assert.match(refusalOf('{"Pool":'), /the body is not JSON: /);
  assert.match(refusalOf('null'), /the body must be an object, got null/);
  assert.match(refusalOf('[]'), /the body must be an object, got \[\]/);
});

test('all bad fields are named at once', () => {
  assert.is(
    refusalOf(JSON.stringify({ ...pool, SubPool: 5, V6: 'no' })),
    'IpamDriver.RequestPool: SubPool must be a text, got 5; V6 must be true or false, got "no"; ' +
      'the request was refused and nothing was changed',
  );
});

test('an unknown option is its own kind of error', () => {
  assert.match(refusalOf(JSON.stringify({ ...pool, Options: { subnet: 'x' } })), /^option subnet is not known/);
});

test.run();

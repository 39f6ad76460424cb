import * as assert from 'uvu/assert';
import { isOverlayError } from '../../../src/errors.ts';
import { openStore } from '../../../src/store/open.ts';
import { suite } from '../../kit/suite.ts';

const test = suite('opening a store');

async function refusal(url: string): Promise<string> {
  try {
    const store = await openStore(url);
    await store.close();
    return 'opened';
  } catch (error) {
    return isOverlayError(error, 'CONFIG_INVALID') ? error.message : `another error: ${String(error)}`;
  }
}

test('a URL that names no store is refused with the setting and the accepted forms', async () => {
  const bad = [
    '',
    'lmdb',
    '/var/lib/weft',
    'redis://127.0.0.1',
    'lmdb:',
    'lmdb://relative/path',
    'lmdb:///',
    'consul://',
    'consul:///prefix',
    'consul://127.0.0.1:99999',
    'consul://127.0.0.1/a//b',
    'consul://127.0.0.1/sp%20ace',
    'consul://127.0.0.1/?token=x',
    `consul://127.0.0.1/${'a'.repeat(201)}`,
  ];

  for (const url of bad) {
    const message = await refusal(url);
    for (const part of ['--store', 'lmdb:///', 'consul://', 'consul+https://']) assert.match(message, part);
  }
});

test('a URL with a user, password or query is refused without repeating it', async () => {
  for (const url of [
    'consul://hunter2@127.0.0.1',
    'consul://user:hunter2@127.0.0.1',
    'consul://127.0.0.1?token=hunter2',
  ]) {
    const message = await refusal(url);

    assert.match(message, '--store');
    assert.not.match(message, 'hunter2');
  }
});

test('a memory store is fresh each time', async () => {
  const [one, other] = [await openStore('memory:'), await openStore('memory:')];

  await one.commit([{ kind: 'put', key: 'a', value: new Uint8Array(), expect: 0 }]);

  assert.is((await one.get(['a'])).size, 1);
  assert.is((await other.get(['a'])).size, 0);
  await one.close();
  await other.close();
});

test.run();

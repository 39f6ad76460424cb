import * as assert from 'uvu/assert';
import type { StoreOperation } from '../../../src/ports/store.ts';
import { ConsulFailure } from '../../../src/store/consul-client.ts';
import { toTransaction } from '../../../src/store/consul-transaction.ts';
import { suite } from '../../kit/suite.ts';

const test = suite('consul transaction');

const path = (key: string) => `weft/v1/${key}`;
const lease = { key: 'n/one', token: 'session', lost: new AbortController().signal, release: async () => undefined };
const verbs = (operations: readonly StoreOperation[]) =>
  toTransaction(operations, path).operations.map(({ KV }) => KV.Verb);
const remove = (key: string): StoreOperation => ({ kind: 'delete', key, expect: 7 });

test('each operation has its verb, and a conditional delete a check before it', () => {
  const value = new Uint8Array();

  assert.equal(
    verbs([
      { kind: 'fence', lease },
      { kind: 'put', key: 'a', value, expect: 'any' },
      { kind: 'put', key: 'b', value, expect: 0 },
      { kind: 'delete', key: 'c', expect: 'any' },
      { kind: 'delete', key: 'd', expect: 0 },
      remove('e'),
    ]),
    ['check-session', 'set', 'cas', 'delete', 'check-not-exists', 'check-index', 'delete-cas'],
  );
});

test('there are never more than 64 operations, whatever the checks', () => {
  const removals = Array.from({ length: 60 }, (_, index) => remove(`k/${index}`));

  assert.is(verbs(removals).length, 64);
  assert.is(verbs(removals.slice(0, 32)).length, 64);
  assert.is(verbs(removals.slice(0, 31)).length, 62);
});

test('conflicts name each key once, also when both its check and its delete are refused', () => {
  const transaction = toTransaction([remove('a'), { kind: 'put', key: 'b', value: new Uint8Array(), expect: 0 }], path);
  const refused = (...indexes: number[]) =>
    new ConsulFailure(
      'conflict',
      '',
      indexes.map((OpIndex) => ({ OpIndex, What: 'stale' })),
    );

  assert.equal(transaction.conflicts(refused(0, 1, 2)), ['a', 'b']);
  assert.equal(transaction.conflicts(refused(1)), ['a']);
  assert.is(transaction.conflicts(refused()), null);
  assert.is(transaction.conflicts(refused(9)), null);
});

test('a fence that fails is a conflict without keys, whatever else is refused', () => {
  const transaction = toTransaction([{ kind: 'fence', lease }, remove('a')], path);
  const errors = [0, 1].map((OpIndex) => ({ OpIndex, What: 'x' }));

  assert.equal(transaction.conflicts(new ConsulFailure('conflict', '', errors)), []);
});

test.run();

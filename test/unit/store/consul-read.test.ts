import * as assert from 'uvu/assert';
import { nextCursor } from '../../../src/store/consul-read.ts';
import { suite } from '../../kit/suite.ts';

const test = suite('index of a blocking query');

const answer = (index?: string) => (index === undefined ? {} : { 'x-consul-index': index });

test('the index of an answer is where the next query waits', () => {
  assert.is(nextCursor(answer('17'), undefined), 17);
  assert.is(nextCursor(answer('17'), 17), 17);
  assert.is(nextCursor(answer('18'), 17), 18);
});

test('an index that went back starts anew', () => {
  assert.is(nextCursor(answer('16'), 17), undefined);
});

test('an index that is zero, missing or no number starts anew', () => {
  for (const index of ['0', '-1', 'x', '', undefined]) assert.is(nextCursor(answer(index), undefined), undefined);
});

test.run();

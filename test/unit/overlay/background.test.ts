import { setTimeout as sleep } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import { overlayError } from '../../../src/errors.ts';
import { type Background, createBackground } from '../../../src/overlay/background.ts';
import { eventually } from '../../kit/command.ts';
import { suite } from '../../kit/suite.ts';

const test = suite<{ background: Background; tried: string[] }>('overlay/background');
const quiet = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const away = overlayError('STORE_UNREACHABLE', { store: 'memory', problem: 'it is a test' });

test.before.each((context) => {
  context.background = createBackground({ kind: 'memory' }, quiet);
  context.tried = [];
});
test.after.each(({ background }) => background.close());

test('a task that succeeds is done when the call returns', async ({ background, tried }) => {
  await background.attempt('one', async () => void tried.push('one'));

  assert.equal([tried, background.problems()], [['one'], []]);
});

test('a task that fails is tried until it succeeds, and told as a problem until then', async ({
  background,
  tried,
}) => {
  await background.attempt('one', async () => {
    if (tried.push('one') < 3) throw away;
  });

  assert.equal(background.problems(), [`one waits for the store: ${away.message}`]);
  await eventually('it is done', () => background.problems().length === 0);
  assert.equal(tried, ['one', 'one', 'one']);
});

test('a waiting task whose reason is gone is not done any more', async ({ background, tried }) => {
  await background.attempt('one', async () => {
    tried.push('one');
    throw away;
  });

  background.cancel('one');
  await sleep(1_000);

  assert.equal([tried, background.problems()], [['one'], []]);
});

test('while the store is away nobody waits to find it out again, and all is written when it is back', async ({
  background,
  tried,
}) => {
  let isBack = false;
  const task = (name: string) => async () => {
    tried.push(name);
    if (!isBack) throw away;
  };
  await background.attempt('one', task('one'));
  await background.attempt('two', task('two'));
  assert.equal(tried, ['one']);

  isBack = true;

  await eventually('all is done', () => background.problems().length === 0);
  assert.equal(tried, ['one', 'one', 'two']);
});

test('what fails for another reason holds nobody up', async ({ background, tried }) => {
  await background.attempt('one', async () => {
    throw new Error('it cannot be read');
  });
  await background.attempt('two', async () => void tried.push('two'));

  assert.equal(tried, ['two']);
});

test('a later task takes the place of the one that waits for the same', async ({ background, tried }) => {
  await background.attempt('one', async () => {
    throw new Error('not now');
  });
  await background.attempt('one', async () => void tried.push('later'));
  await sleep(1_000);

  assert.equal([tried, background.problems()], [['later'], []]);
});

test('what is in doubt is undone twice, since a queue may hold the write that is undone', async ({
  background,
  tried,
}) => {
  background.doubt(away, 'one', async () => void tried.push('undone'));

  await eventually('it is made sure of', () => background.problems().length === 0);
  assert.equal(tried, ['undone', 'undone']);
});

test('a refusal leaves no doubt', ({ background }) => {
  background.doubt(overlayError('VNI_OUT_OF_RANGE', { value: 0 }), 'one', async () => undefined);

  assert.equal(background.problems(), []);
});

test.run();

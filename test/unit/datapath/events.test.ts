import * as assert from 'uvu/assert';
import { createEvents } from '../../../src/datapath/events.ts';
import { suite } from '../../kit/suite.ts';

const test = suite('events');

test('every listener hears everything from when it began, in order', async () => {
  const events = createEvents();
  events.emit({ kind: 'drift', what: 'before' });
  const heard = [listen(events, 2), listen(events, 2)];
  for (const what of ['one', 'two']) events.emit({ kind: 'drift', what });

  for (const list of heard) assert.equal(await list, ['one', 'two']);
});

test('an aborted listener ends, also while it waits', async () => {
  const events = createEvents();
  const ended = new AbortController();
  const waiting = events.listen(ended.signal)[Symbol.asyncIterator]().next();
  ended.abort();

  assert.is((await waiting).done, true);
});

test('closing ends all listeners, and those that come later', async () => {
  const events = createEvents();
  const waiting = listen(events, 1);
  events.close();

  assert.equal(await waiting, []);
  assert.equal(await listen(events, 1), []);
});

test('a listener that does not keep up loses the oldest', async () => {
  const events = createEvents();
  const listening = events.listen(new AbortController().signal)[Symbol.asyncIterator]();
  for (let number = 0; number < 5_000; number += 1) events.emit({ kind: 'drift', what: String(number) });

  const { value } = await listening.next();
  assert.equal(value, { kind: 'drift', what: String(5_000 - 4_096) });
});

async function listen(events: ReturnType<typeof createEvents>, count: number): Promise<readonly string[]> {
  const heard: string[] = [];
  for await (const event of events.listen(new AbortController().signal)) {
    heard.push(event.kind === 'drift' ? event.what : event.kind);
    if (heard.length === count) break;
  }
  return heard;
}

test.run();

import * as assert from 'uvu/assert';
import { overlayError } from '../../../src/errors.ts';
import type { StoreEntry, WatchEvent } from '../../../src/ports/store.ts';
import { type Cursor, type Polled, type WatchSource, watchPrefix } from '../../../src/store/watch.ts';
import { suite } from '../../kit/suite.ts';

const test = suite('watching a prefix');

const pace = { shortestMs: 1, longestMs: 1, bytesPerSecond: 1 };
const entry = (key: string, revision: number, value = 'x'): StoreEntry => ({
  key,
  revision,
  value: new TextEncoder().encode(value),
  isHeld: false,
});
const anchor = entry('p/_', 1);

/** Plays the script, one step for each poll, and aborts after the last. */
async function play(script: readonly (Polled | Error)[]): Promise<{ events: WatchEvent[]; cursors: Cursor[] }> {
  const stop = new AbortController();
  const cursors: Cursor[] = [];
  const source: WatchSource = {
    pace,
    async poll(_, cursor) {
      const step = script[cursors.length];
      if (step === undefined) {
        stop.abort();
        throw stop.signal.reason;
      }
      cursors.push(cursor);
      if (step instanceof Error) throw step;
      return step;
    },
  };
  const events: WatchEvent[] = [];
  for await (const event of watchPrefix(source, 'p/', stop.signal)) events.push(event);
  return { events, cursors };
}

const unreachable = () => overlayError('STORE_UNREACHABLE', { store: 's', problem: 'p' });
const denied = () => overlayError('STORE_DENIED', { store: 's', key: 'k', prefix: 'p' });

test('an unchanged state is shown once, and each poll gets the cursor of the one before', async () => {
  const state = { entries: [anchor, entry('p/a', 2)], cursor: 2 };

  const { events, cursors } = await play([state, { ...state, cursor: 3 }, { ...state, cursor: undefined }, state]);

  assert.equal(events, [{ kind: 'snapshot', entries: [entry('p/a', 2)] }]);
  assert.equal(cursors, [undefined, 2, 3, undefined]);
});

test('another value at the same revision is a change, as in a store that was wiped and filled again', async () => {
  const { events } = await play([
    { entries: [anchor, entry('p/a', 2, 'x')], cursor: 2 },
    { entries: [anchor, entry('p/a', 2, 'y')], cursor: 2 },
    { entries: [anchor, entry('p/b', 2, 'y')], cursor: 2 },
    { entries: [anchor, entry('p/b', 1, 'y')], cursor: 2 },
  ]);

  assert.is(events.length, 4);
});

test('one blind spell is one event for each kind of error, and ends with a snapshot though nothing changed', async () => {
  const state = { entries: [anchor], cursor: 2 };

  const { events, cursors } = await play([state, unreachable(), unreachable(), denied(), state]);

  assert.equal(
    events.map((event) => (event.kind === 'lost' && 'code' in event.error ? event.error.code : event.kind)),
    ['snapshot', 'STORE_UNREACHABLE', 'STORE_DENIED', 'snapshot'],
  );
  assert.equal(cursors, [undefined, 2, undefined, undefined, undefined]);
});

test('entries without the anchor are never shown', async () => {
  const { events } = await play([
    { entries: [], cursor: 1 },
    { entries: [entry('p/a', 1)], cursor: 1 },
  ]);

  assert.is(events.length, 1);
  assert.is(events[0]?.kind, 'lost');
});

test.run();

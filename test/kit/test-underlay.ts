/** An underlay that a test moves. */

import { EventEmitter, once } from 'node:events';
import type { Place, Underlay } from '../../src/ports/underlay.ts';

export interface TestUnderlay extends Underlay {
  move(place: Place): void;
  lose(problem: string): void;
}

export function createTestUnderlay(first: Place): TestUnderlay {
  const news = new EventEmitter();
  let present = first;
  let problem: string | null = null;
  return {
    place: () => present,
    problem: () => problem,
    places: async function* (signal) {
      let told: Place | null = null;
      while (!signal.aborted) {
        if (told === present) await once(news, 'change', { signal }).catch(() => undefined);
        else {
          told = present;
          yield told;
        }
      }
    },
    move(place) {
      present = place;
      problem = null;
      news.emit('change');
    },
    lose(why) {
      problem = why;
    },
  };
}

/** What a second client does to a store while the test looks on: in a process of its own, or beside it in memory. */

import { setTimeout as sleep } from 'node:timers/promises';
import type { Store } from '../../src/ports/store.ts';

export type Work =
  /** Tries to create `count` keys; prints how many it got. */
  | { readonly kind: 'create'; readonly prefix: string; readonly count: number }
  /** Adds one `times` times to a counter by compare-and-set; prints the sum of the revisions it was given. */
  | { readonly kind: 'add'; readonly key: string; readonly times: number }
  /** Takes a lease, prints `held`, and keeps it. */
  | { readonly kind: 'hold'; readonly key: string; readonly value: string }
  /** Writes as fast as it can for ever; prints `writing` after the first. */
  | { readonly kind: 'write'; readonly prefix: string };

export async function work(store: Store, task: Work, print: (text: string) => void): Promise<void> {
  if (task.kind === 'create') print(String(await create(store, task.prefix, task.count)));
  if (task.kind === 'add') print(String(await add(store, task.key, task.times)));
  if (task.kind === 'hold') {
    await store.lease(task.key, bytes(task.value));
    print('held');
    await new Promise(() => undefined);
  }
  if (task.kind === 'write') await write(store, task.prefix, print);
}

export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
export const text = (value: Uint8Array | undefined): string => new TextDecoder().decode(value);

async function create(store: Store, prefix: string, count: number): Promise<number> {
  let won = 0;
  for (let index = 0; index < count; index += 1) {
    const result = await store.commit([
      { kind: 'put', key: `${prefix}${index}`, value: bytes(String(process.pid)), expect: 0 },
    ]);
    if (result.committed) won += 1;
  }
  return won;
}

async function add(store: Store, key: string, times: number): Promise<number> {
  let done = 0;
  while (done < times) {
    const entry = (await store.get([key])).get(key);
    const value = bytes(String(Number(text(entry?.value)) + 1));
    const result = await store.commit([{ kind: 'put', key, value, expect: entry?.revision ?? 0 }]);
    if (result.committed) done += 1;
    else await sleep(Math.random() * 5);
  }
  return done;
}

async function write(store: Store, prefix: string, print: (text: string) => void): Promise<void> {
  for (let count = 0; ; count += 1) {
    const value = bytes(String(count));
    await store.commit([
      { kind: 'put', key: `${prefix}one`, value, expect: 'any' },
      { kind: 'put', key: `${prefix}other`, value, expect: 'any' },
    ]);
    if (count === 0) print('writing');
  }
}

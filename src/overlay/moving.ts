/**
 * This node's way to another place on the underlay: data path first, so that what peers send there is received, then the
 * node's record and the stamps of its networks, by which peers follow. The node's id, its claims and its containers
 * stay as they are. What the store does not take now is written when it is back.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { addressesOf, isSameVtep } from '../core/vtep.ts';
import { messageOf } from '../errors.ts';
import type { DataPath } from '../ports/data-path.ts';
import type { Log } from '../ports/log.ts';
import type { Place, Underlay } from '../ports/underlay.ts';
import type { Background } from './background.ts';
import type { Presence } from './presence.ts';

interface Mover {
  readonly dataPath: Pick<DataPath, 'move'>;
  readonly presence: Presence;
  readonly background: Background;
  readonly log: Log;
  /** What depends on the place is to be made and written again. */
  onMoved(): void;
}

/** Implementation: a place that the data path refuses, by a device in its way, is tried again at this pace. */
const retryMs = 1_000;

/** Serves until the signal aborts. */
export async function followUnderlay(underlay: Underlay, mover: Mover, signal: AbortSignal): Promise<void> {
  for await (const place of underlay.places(signal)) {
    const { vtep, mtuBytes } = mover.presence.node;
    if (isSameVtep(place.vtep, vtep) && place.mtuBytes === mtuBytes) continue;
    await moveDataPath(place, mover, signal);
    mover.presence.move(place);
    void mover.background.attempt('record of this node', (limit) => mover.presence.write(limit));
    mover.onMoved();
  }
}

async function moveDataPath({ vtep }: Place, { dataPath, log }: Mover, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      return await dataPath.move(vtep);
    } catch (error) {
      log.warn({ vtep: addressesOf(vtep).join(), problem: messageOf(error) }, 'data path not moved');
      await sleep(retryMs, undefined, { signal }).catch(() => undefined);
    }
  }
}

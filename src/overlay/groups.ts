/**
 * Tells the other nodes which multicast groups are wanted here: part of a network's membership record, and written with it.
 * The data path says when to look; a slow timer is for what it could not say.
 *
 *      changed ─▶ gather 50 ms ─▶ wanted ≠ published ? ─▶ token? ─▶ publish
 *
 * Every write is read by all nodes of the network, so a container that joins and leaves without end must not cost them
 * more than a write in two seconds.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import type { Address } from '../core/address.ts';
import { summarized } from '../core/group.ts';
import type { NetworkKey } from '../core/identity.ts';
import type { Network } from '../core/model.ts';
import { messageOf } from '../errors.ts';
import type { DataPath } from '../ports/data-path.ts';
import type { Log } from '../ports/log.ts';

export interface Groups {
  /** Look soon. */
  changed(): void;
  close(): Promise<void>;
}

export interface GroupsCharge {
  networks(): readonly Network[];
  /** Of these networks, as they would be published now. */
  wanted(networks: readonly Network[]): Promise<ReadonlyMap<NetworkKey, readonly Address[] | undefined>>;
  published(network: NetworkKey): readonly Address[] | undefined;
  publish(network: NetworkKey): Promise<void>;
  readonly log: Log;
}

/** Implementation: an application joins several groups at once. */
const gatherMs = 50;
const pollMs = 10_000;
/** Implementation: so many writes at once for one network, and then one each time. */
const burst = 4;
const refillMs = 2_000;

/** Undefined where the data path does not know. */
export async function wantedGroups(
  dataPath: Pick<DataPath, 'groups'>,
  networks: readonly Network[],
): Promise<ReadonlyMap<NetworkKey, readonly Address[] | undefined>> {
  const joined = await dataPath.groups().catch(() => null);
  return new Map(
    networks.map(({ key, vni }) => [key, joined === null ? undefined : summarized(joined.get(vni) ?? [])]),
  );
}

export function startGroups({ networks, wanted, published, publish, log }: GroupsCharge): Groups {
  const closing = new AbortController();
  const tokens = createTokens();
  let wake = new AbortController();
  let isDue = false;

  /** Returns whether everything wanted was published. */
  const look = async (): Promise<boolean> => {
    let isDone = true;
    for (const [network, groups] of await wanted(networks())) {
      if (String(groups) === String(published(network))) continue;
      if (tokens.take(network)) await publish(network);
      else isDone = false;
    }
    return isDone;
  };
  const pause = async (ms: number, ...signals: readonly AbortSignal[]): Promise<void> => {
    const signal = AbortSignal.any([closing.signal, ...signals]);
    await sleep(ms, undefined, { signal, ref: false }).catch(() => undefined);
  };
  const watch = async (): Promise<void> => {
    let waitMs = pollMs;
    while (!closing.signal.aborted) {
      if (!isDue) await pause(waitMs, wake.signal);
      await pause(gatherMs);
      if (closing.signal.aborted) return;
      isDue = false;
      wake = new AbortController();
      const isDone = await look().catch((error) => {
        log.warn({ problem: messageOf(error) }, 'multicast groups not published');
        return true;
      });
      waitMs = isDone ? pollMs : refillMs;
    }
  };
  const watching = watch();
  return {
    changed() {
      isDue = true;
      wake.abort();
    },
    async close() {
      closing.abort();
      await watching;
    },
  };
}

/** A bucket of tokens per network. */
function createTokens() {
  const fullAt = new Map<NetworkKey, number>();
  return {
    take(network: NetworkKey): boolean {
      const now = performance.now();
      const next = Math.max(fullAt.get(network) ?? 0, now) + refillMs;
      if (next > now + burst * refillMs) return false;
      fullAt.set(network, next);
      return true;
    },
  };
}

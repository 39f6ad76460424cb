/**
 * Looking after what no forwarding entry describes: tunnel devices, programs on underlay devices, routes to VTEPs. Kernel
 * notifications say when to look, gathered for a moment because they come in swarms; timers are for what makes no
 * notification: a program that was taken off is looked for every few seconds, a path MTU that was learnt more seldom.
 *
 *      kernel ──change──▶ ours? ──▶ gather 100 ms ──▶ inspect ports touched, refresh the rest ──▶ drift
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../errors.ts';
import type { Link } from '../netlink/link.ts';
import { type KernelChange, watchKernel } from '../netlink/notifications.ts';

export interface Upkeep {
  stop(): Promise<void>;
}

type Device = Pick<Link, 'name' | 'index'>;

/** `inspect`: it touches a port; `lost`: look at everything, and tell. */
export type Verdict = 'ignore' | 'refresh' | 'inspect' | 'lost';

interface Charge {
  /** Whether neighbours and forwarding databases are of concern too. */
  readonly neighbours?: boolean;
  /** What a change means here. */
  judge(change: KernelChange): Verdict;
  /** Restores the devices and routes; may be called when nothing is wrong. */
  refresh(): Promise<void>;
  /** The same without the routes. */
  keep(): Promise<void>;
  /** Whether the device is there and up. */
  isSound(device: Device): Promise<boolean>;
  drift(what: string): void;
  readonly keepMs?: number;
}

/** Implementation. A route takes 0.6 ms to ask for, so with a thousand VTEPs the timer slows down to stay unnoticed. */
const gatherMs = 100;
const ordinaryKeepMs = 8_000;
const leastPeriodMs = 30_000;
const idleShare = 0.005;
const retryMs = 1_000;

export function startUpkeep(charge: Charge): Upkeep {
  const stopped = new AbortController();
  const tasks = [watch(charge, stopped.signal), tick(charge, stopped.signal)];
  return {
    stop: async () => {
      stopped.abort();
      await Promise.all(tasks);
    },
  };
}

async function watch(charge: Charge, signal: AbortSignal): Promise<void> {
  const gathered = gather(charge, signal);
  while (!signal.aborted) {
    try {
      for await (const change of watchKernel(signal, charge)) gathered.add(change);
    } catch (error) {
      charge.drift(`kernel notifications failed: ${messageOf(error)}`);
      await pause(retryMs, signal);
    }
  }
  await gathered.settled();
}

function gather(charge: Charge, signal: AbortSignal) {
  const touched = new Map<number, Device>();
  let isDue = false;
  let settling: Promise<void> | null = null;

  async function settle(): Promise<void> {
    while (isDue || touched.size > 0) {
      await pause(gatherMs, signal);
      const [devices, needsRefresh] = [[...touched.values()], isDue];
      touched.clear();
      isDue = false;
      if (signal.aborted) break;
      if (needsRefresh) await guarded(charge, () => charge.refresh());
      for (const device of devices) await guarded(charge, () => inspect(charge, device));
    }
    settling = null;
  }

  return {
    add: (change: KernelChange) => {
      const verdict = charge.judge(change);
      if (verdict === 'ignore') return;
      if (verdict === 'inspect' && change.kind === 'link') {
        touched.set(change.ifindex, { index: change.ifindex, name: change.name });
      } else isDue = true;
      if (verdict === 'lost') charge.drift(describe(change));
      settling ??= settle();
    },
    settled: async () => {
      await settling;
    },
  };
}

async function inspect(charge: Charge, device: Device): Promise<void> {
  if (!(await charge.isSound(device))) charge.drift(`interface ${device.name} was removed or set down`);
}

async function tick(charge: Charge, signal: AbortSignal): Promise<void> {
  let refreshAtMs = performance.now() + leastPeriodMs;
  while (!signal.aborted) {
    await pause(charge.keepMs ?? ordinaryKeepMs, signal);
    if (signal.aborted) return;
    const startedAtMs = performance.now();
    if (startedAtMs < refreshAtMs) {
      await guarded(charge, () => charge.keep());
      continue;
    }
    await guarded(charge, () => charge.refresh());
    const endedAtMs = performance.now();
    refreshAtMs = endedAtMs + Math.max(leastPeriodMs, (endedAtMs - startedAtMs) / idleShare);
  }
}

/** What fails is tried again at the next occasion, and told. */
async function guarded(charge: Charge, task: () => Promise<void>): Promise<void> {
  try {
    await task();
  } catch (error) {
    charge.drift(`upkeep failed: ${messageOf(error)}`);
  }
}

async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  try {
    await sleep(milliseconds, undefined, { signal, ref: false });
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

function describe(change: KernelChange): string {
  return change.kind === 'link' ? `device ${change.name} was removed` : 'kernel notifications were lost';
}

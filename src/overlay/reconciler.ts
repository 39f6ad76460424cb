/**
 * The one loop: desired = forwarding(model), changes = diff(desired, applied), apply. Local and remote changes, a new
 * node, a restart and a repair all come through here.
 *
 *   request ──▶ pass: desired, diff, apply ──▶ applied ──▶ (request came meanwhile? pass again)
 *                      │ a change fails: each one alone, failures kept and retried
 *   audit every 8 s or on drift: is the kernel as it was left? if not, applied := what it has, and the differences are
 *     counted as repairs
 *
 * Callers who must know that their change is in the kernel await `settle`.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { type Change, diff, patch } from '../core/change.ts';
import { entryKey, type ForwardingState, type ForwardingTable, forwarding } from '../core/forwarding.ts';
import type { Model } from '../core/model.ts';
import { messageOf } from '../errors.ts';
import type { DataPath } from '../ports/data-path.ts';
import type { Log } from '../ports/log.ts';

export interface Reconciler {
  /** Reads the kernel, shows what it holds, makes the first pass, starts auditing. */
  start(onFound?: (state: ForwardingState) => void): Promise<void>;
  /** Brings the data path up to date some time soon. Before `start` there is nothing to bring up to date with. */
  request(): void;
  /** Resolves when a pass that began after this call is done. @throws what made the row of this key fail */
  settle(key?: string): Promise<void>;
  /** Audits soon: something in the kernel was changed by someone else. */
  suspect(): void;
  repairs(): Readonly<Record<string, number>>;
  problems(): readonly string[];
  close(): Promise<void>;
}

/** Implementation: what was changed is found, and put right, within 10 s; see docs/decisions/0018. */
const ordinaryAuditMs = 8_000;
/** Implementation: a notification comes in a burst (a deleted link takes addresses and routes along). */
const suspectMs = 200;
const retryMs = 1_000;

export function createReconciler(
  dataPath: DataPath,
  model: () => Model,
  log: Log,
  auditMs = ordinaryAuditMs,
): Reconciler {
  const closing = new AbortController();
  const repaired = new Map<ForwardingTable, number>();
  let applied: ForwardingState = new Map();
  let failures: ReadonlyMap<string, Error> = new Map();
  let next: Promise<void> | null = null;
  let running: Promise<void> = Promise.resolve();
  let isSuspicious = false;
  let auditProblem: string | null = null;
  let started = false;

  const applyEach = async (changes: readonly Change[]): Promise<Map<string, Error>> => {
    const failed = new Map<string, Error>();
    for (const change of changes) {
      try {
        await dataPath.apply([change]);
        applied = patch(applied, [change]);
      } catch (error) {
        const key = entryKey(change.entry);
        failed.set(key, error instanceof Error ? error : new Error(String(error)));
        log.warn({ change: change.kind, row: key, problem: messageOf(error) }, 'row not programmed');
      }
    }
    return failed;
  };
  const pass = async (): Promise<void> => {
    const changes = diff(forwarding(model()), applied);
    try {
      await dataPath.apply(changes);
      applied = patch(applied, changes);
      failures = new Map();
    } catch {
      // One bad row must not hold up the others: applying is idempotent, so every change is made alone.
      failures = await applyEach(changes);
      later(retryMs, request);
    }
  };
  /** Passes run one after another; all requests made before one begins share it. */
  const schedule = (): Promise<void> => {
    if (next !== null) return next;
    const mine = running.then(() => {
      next = null;
      return pass();
    });
    next = mine;
    running = mine.catch((error) => log.error({ problem: messageOf(error) }, 'pass failed'));
    return mine;
  };
  const request = (): void => {
    if (!started) return;
    schedule().catch(() => undefined);
  };
  const later = (delayMs: number, task: () => void): void => {
    sleep(delayMs, undefined, { signal: closing.signal }).then(task, () => undefined);
  };

  const readKernel = async (): Promise<void> => {
    const actual = await dataPath.read();
    for (const { entry } of diff(applied, actual)) repaired.set(entry.table, (repaired.get(entry.table) ?? 0) + 1);
    applied = actual;
  };
  const audit = async (): Promise<void> => {
    if (await dataPath.isIntact()) return;
    const before = applied;
    await readKernel();
    const drifted = diff(before, applied).map(({ entry }) => entryKey(entry));
    if (drifted.length > 0) log.warn({ rows: drifted.slice(0, 10), count: drifted.length }, 'drift found and repaired');
    await pass();
  };
  const auditNow = (): Promise<void> => {
    running = running.then(audit).then(
      () => {
        auditProblem = null;
      },
      (error) => {
        auditProblem = messageOf(error);
        log.error({ problem: auditProblem }, 'audit failed');
      },
    );
    return running;
  };
  const keepAuditing = async (): Promise<void> => {
    while (!closing.signal.aborted) {
      await sleep(auditMs, undefined, { signal: closing.signal }).catch(() => undefined);
      if (!closing.signal.aborted) await auditNow();
    }
  };
  let auditing: Promise<void> = Promise.resolve();

  return {
    async start(onFound) {
      applied = await dataPath.read();
      onFound?.(applied);
      started = true;
      await schedule();
      auditing = keepAuditing();
    },
    request,
    async settle(key) {
      await schedule();
      const failure = key === undefined ? undefined : failures.get(key);
      if (failure !== undefined) throw failure;
    },
    suspect() {
      if (isSuspicious || !started) return;
      isSuspicious = true;
      later(suspectMs, () => {
        isSuspicious = false;
        void auditNow();
      });
    },
    repairs: () => ({ ...Object.fromEntries(repaired), ...dataPath.repairs() }),
    problems: () => [
      ...[...failures].map(([row, error]) => `row ${row} is not programmed: ${error.message}`),
      ...dataPath.problems(),
      ...(auditProblem === null ? [] : [`the data path cannot be checked: ${auditProblem}`]),
    ],
    async close() {
      closing.abort();
      await Promise.all([running, auditing]);
    },
  };
}

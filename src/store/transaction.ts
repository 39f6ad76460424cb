/** Whether a transaction's conditions hold, for the stores that check them in this process. */

import type { Lease, Revision, StoreKey, StoreOperation } from '../ports/store.ts';

export interface PresentState {
  /** 0 when the key does not exist. */
  revisionOf(key: StoreKey): Revision;
  isHeld(lease: Lease): boolean;
}

/** Keys whose condition does not hold, none for a fence that failed; null when everything holds. */
export function conflictsOf(operations: readonly StoreOperation[], state: PresentState): readonly StoreKey[] | null {
  if (operations.some((operation) => operation.kind === 'fence' && !state.isHeld(operation.lease))) return [];
  const conflicts = operations.flatMap((operation) => {
    if (operation.kind === 'fence' || operation.expect === 'any') return [];
    return state.revisionOf(operation.key) === operation.expect ? [] : [operation.key];
  });
  return conflicts.length > 0 ? conflicts : null;
}

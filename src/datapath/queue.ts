/** One task after another, so that what is read from the kernel is never half of a change under way. */

import { overlayError } from '../errors.ts';

interface Queue {
  /** @throws BPF_FAILED when the queue is closed */
  run<Result>(task: () => Promise<Result>): Promise<Result>;
  /** Takes no more tasks. False when it was closed already. */
  close(): boolean;
  /** Resolves when the last task taken is done. */
  idle(): Promise<void>;
}

export function createQueue(): Queue {
  let last: Promise<unknown> = Promise.resolve();
  let isClosed = false;
  return {
    run: async (task) => {
      if (isClosed)
        throw overlayError('BPF_FAILED', { operation: 'using the data path', problem: 'it is closed', errno: 'EBADF' });
      const result = last.then(task);
      last = result.catch(() => {});
      return result;
    },
    close: () => {
      const wasOpen = !isClosed;
      isClosed = true;
      return wasOpen;
    },
    idle: async () => {
      await last;
    },
  };
}

/** What has been opened, closed in reverse order: each part may rely on the ones before it until it is gone. */

import { messageOf } from './errors.ts';

export interface Scope {
  /** Remembers how to close what was just opened, and returns it. */
  own<Resource>(resource: Resource, close: (resource: Resource) => void | Promise<void>): Resource;
  /** Closes everything, also when some of it fails. @throws the first failure, with the messages of all */
  close(): Promise<void>;
}

export function createScope(): Scope {
  const closers: (() => void | Promise<void>)[] = [];
  return {
    own(resource, close) {
      closers.push(() => close(resource));
      return resource;
    },
    async close() {
      const failures: unknown[] = [];
      for (let closer = closers.pop(); closer !== undefined; closer = closers.pop()) {
        try {
          await closer();
        } catch (error) {
          failures.push(error);
        }
      }
      if (failures.length > 0)
        throw new AggregateError(failures, `closing failed: ${failures.map(messageOf).join('; ')}`);
    },
  };
}

/** Runs what has the same name one after the other, in the order of the calls, and all else side by side. */
export function createQueues(): <T>(name: string, action: () => Promise<T>) => Promise<T> {
  const tails = new Map<string, Promise<unknown>>();
  return (name, action) => {
    const before = tails.get(name) ?? Promise.resolve();
    const result = before.then(action);
    // The next one does not care how this one ended; its caller does.
    const tail: Promise<unknown> = result
      .catch(() => undefined)
      .then(() => tails.get(name) === tail && tails.delete(name));
    tails.set(name, tail);
    return result;
  };
}

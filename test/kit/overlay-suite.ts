/** A suite in which each test has a store in memory and starts overlay nodes on it; all are closed after it. */

import type { Store } from '../../src/ports/store.ts';
import { createMemoryStore } from '../../src/store/memory.ts';
import { type OverlayNode, startOverlayNode } from './overlay-node.ts';
import { suite } from './suite.ts';

export interface OverlayContext {
  store: Store;
  nodes: OverlayNode[];
  node(number: number, options?: Parameters<typeof startOverlayNode>[2]): Promise<OverlayNode>;
}

export function overlaySuite(name: string): ReturnType<typeof suite<OverlayContext>> {
  const test = suite<OverlayContext>(name, {} as OverlayContext);
  test.before.each((context) => {
    context.store = createMemoryStore();
    context.nodes = [];
    context.node = async (number, options) => {
      const node = await startOverlayNode(context.store, number, options);
      context.nodes.push(node);
      return node;
    };
  });
  test.after.each(async ({ nodes, store }) => {
    for (const node of nodes) await node.close();
    await store.close();
  });
  return test;
}

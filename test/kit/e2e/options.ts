/**
 * What a user may ask of Docker for a container or a network, with two engines of different age: each option has the
 * effect that it has with Docker's own drivers, and across nodes. Every test has networks of its own and leaves none.
 */

import type * as uvu from 'uvu';
import { type Cluster, createCluster, type StoreKind } from '../cluster.ts';
import { suite } from '../suite.ts';
import { testContainerOptions } from './container-options.ts';
import { testNetworkLife } from './network-life.ts';
import { testNetworkOptions } from './network-options.ts';

export interface Context {
  cluster: Cluster;
}

export type Suite = uvu.Test<Context>;

export function testOptions(store: StoreKind): void {
  const test: Suite = suite<Context>(`options on ${store}`);

  test.before(async (context) => {
    context.cluster = await createCluster({ store, engines: ['20.10', '28'] });
  });
  test.after.each(async ({ cluster }) => {
    await cluster?.sweep();
  });
  test.after(async ({ cluster }) => {
    await cluster?.close();
  });

  testContainerOptions(test);
  testNetworkOptions(test);
  testNetworkLife(test);

  test.run();
}

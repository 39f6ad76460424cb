/** What stands in a cluster's store, read past the daemons: LMDB by opening it, Consul through its HTTP API. */

import { openStore } from '../../src/store/open.ts';
import type { ConsulCluster } from './consul.ts';

export interface StoreView {
  /** All keys without the product's own prefix, in order. */
  keys(): Promise<readonly string[]>;
}

/** Of src/core/keys.ts: everything that the product writes lies under one of these. */
const tables = ['n/', 'net/', 'vni/', 's/', 'd/', 'ns/', 'p/', 'a/', 'm/'] as const;
const root = 'weft/v1/';

export function viewLmdb(url: string): StoreView {
  return {
    async keys() {
      const store = await openStore(url);
      try {
        const entries = await Promise.all(tables.map((prefix) => store.list(prefix)));
        return entries
          .flat()
          .map(({ key }) => key)
          .sort();
      } finally {
        await store.close();
      }
    },
  };
}

export function viewConsul(consul: ConsulCluster): StoreView {
  return {
    async keys() {
      const exported = JSON.parse(await consul.command(['kv', 'export', root])) as readonly { readonly key: string }[];
      return exported.map(({ key }) => key.slice(root.length)).sort();
    },
  };
}

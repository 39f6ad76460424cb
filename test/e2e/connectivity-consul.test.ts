/** Containers on different LANs reach each other: see the suite; the store is Consul. */

import { testConnectivity } from '../kit/e2e/connectivity.ts';

testConnectivity('consul');

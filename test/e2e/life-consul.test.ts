/** Daemons and engines that are stopped, killed and started again: see the suite; the store is Consul. */

import { testLife } from '../kit/e2e/life.ts';

testLife('consul');

/** Daemons and engines that are stopped, killed and started again: see the suite; the store is the embedded one. */

import { testLife } from '../kit/e2e/life.ts';

testLife('lmdb');

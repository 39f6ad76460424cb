/** What a user may ask of Docker for a container or a network: see the suite; the store is the embedded one. */

import { testOptions } from '../kit/e2e/options.ts';

testOptions('lmdb');

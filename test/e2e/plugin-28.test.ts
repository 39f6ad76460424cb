/** Weft as a managed plugin of the newer engine: see the suite. */

import { testPlugin } from '../kit/e2e/plugin.ts';

testPlugin('28');

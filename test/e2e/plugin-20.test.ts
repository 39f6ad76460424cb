/** Weft as a managed plugin of the older engine: see the suite. */

import { testPlugin } from '../kit/e2e/plugin.ts';

testPlugin('20.10');

/** The bridge data path in a cluster with an eBPF node, whose port differs. */

import { connectivity } from '../kit/data-path-connectivity.ts';
import { enterOwnNamespace } from '../kit/own-namespace.ts';

const { bpfRoot } = enterOwnNamespace(import.meta.url);

connectivity({
  bpfRoot,
  kinds: ['bridge', 'tcx'],
  addresses: ['192.0.2.1', '192.0.2.2'],
  prefix: 24,
  ports: [14789, 4790],
});

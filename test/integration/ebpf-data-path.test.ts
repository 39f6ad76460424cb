/** The eBPF data path between nodes, with both kinds of attachment and both underlay families. */

import { connectivity } from '../kit/data-path-connectivity.ts';
import { enterOwnNamespace } from '../kit/own-namespace.ts';

const { bpfRoot } = enterOwnNamespace(import.meta.url);
const ipv4 = { bpfRoot, addresses: ['192.0.2.1', '192.0.2.2'], prefix: 24 } as const;
const ipv6 = { bpfRoot, addresses: ['2001:db8::1', '2001:db8::2'], prefix: 64 } as const;

connectivity({ ...ipv4, kinds: ['tcx', 'tcx'], ports: [14789, 14789] });
connectivity({ ...ipv4, kinds: ['clsact', 'clsact'], ports: [14789, 4790] });
connectivity({ ...ipv6, kinds: ['tcx', 'tcx'], ports: [14789, 14789] });

/** The contract of data paths on the eBPF one. */

import { parseAddress } from '../../src/core/address.ts';
import type { Vtep } from '../../src/core/model.ts';
import { openNetlink } from '../../src/netlink/netlink.ts';
import { ebpfSubject } from '../kit/ebpf-subject.ts';
import { enterOwnNamespace } from '../kit/own-namespace.ts';
import { suite } from '../kit/suite.ts';
import { dataPathContract, layUnderlay, self } from './data-path-cases.ts';

const { bpfRoot } = enterOwnNamespace(import.meta.url);
const netlink = await openNetlink();
layUnderlay();
for (const hook of ['tcx', 'clsact'] as const) dataPathContract(ebpfSubject({ hook, bpfRoot, self, netlink }));

// What is damaged and healed does not depend on the underlay's family.
const overIpv6: Vtep = { address: parseAddress('2001:db8::1'), port: 14789 };
dataPathContract({ ...ebpfSubject({ hook: 'tcx', bpfRoot, self: overIpv6, netlink }), damages: {} });

const end = suite<object>('end');
end('netlink closes', () => netlink.close());
end.run();

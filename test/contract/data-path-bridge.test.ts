/** The contract of data paths on the bridge one. */

import { openNetlink } from '../../src/netlink/netlink.ts';
import { bridgeSubject } from '../kit/bridge-subject.ts';
import { enterOwnNamespace } from '../kit/own-namespace.ts';
import { suite } from '../kit/suite.ts';
import { dataPathContract, layUnderlay, self } from './data-path-cases.ts';

enterOwnNamespace(import.meta.url);
const netlink = await openNetlink();
layUnderlay();
dataPathContract(bridgeSubject({ self, netlink }));

const end = suite<object>('end');
end('netlink closes', () => netlink.close());
end.run();

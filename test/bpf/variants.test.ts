/** Every way the object is loaded must pass the verifier: with and without what a kernel may lack, with each limit on and off. */

import * as assert from 'uvu/assert';
import * as bpf from '../../src/native/binding.ts';
import { enterOwnNamespace } from '../kit/own-namespace.ts';
import { suite } from '../kit/suite.ts';

enterOwnNamespace(import.meta.url);
const test = suite('variants');
const path = new URL('../../native/build/overlay.bpf.o', import.meta.url).pathname;
/** BPF_F_ADJ_ROOM_DECAP_L4_UDP of linux/bpf.h. */
const decapL4Udp = 1 << 9;

for (const decap_flags of [0, decapL4Udp]) {
  for (const rate of [0, 1, 4_000_000_000]) {
    test(`decap_flags ${decap_flags}, limits ${rate}`, () => {
      const rodata = { decap_flags, bum_rate: rate, event_rate: rate, learn_rate: rate };
      const { programs, maps } = bpf.loadObject({ path, pinPath: null, rodata });
      for (const fds of [programs, maps]) for (const fd of fds.values()) bpf.closeFd(fd);
      for (const name of ['from_container', 'from_tunnel', 'from_underlay']) assert.ok(programs.has(name), name);
    });
  }
}

test.run();

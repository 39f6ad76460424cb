import * as assert from 'uvu/assert';
import { requireFeatures } from '../../../src/datapath/select.ts';
import { isOverlayError, messageOf } from '../../../src/errors.ts';
import type { KernelFeatures } from '../../../src/native/probe.ts';
import { suite } from '../../kit/suite.ts';

const test = suite('select');

const all: KernelFeatures = {
  tcx: true,
  redirectPeer: true,
  redirectNeigh: true,
  ringBuffer: true,
  resizableInnerMaps: true,
  encapEthernet: true,
  decapL3: true,
  decapL4: true,
};

test('a kernel without what can be done without will do', () => {
  requireFeatures({ ...all, tcx: false, decapL4: false });
});

test('a kernel that lacks more is refused, with all it lacks', () => {
  try {
    requireFeatures({ ...all, ringBuffer: false, redirectPeer: false });
    assert.unreachable();
  } catch (error) {
    assert.ok(isOverlayError(error, 'KERNEL_FEATURE_MISSING'));
    assert.match(messageOf(error), /ring buffers/);
    assert.match(messageOf(error), /bpf_redirect_peer/);
  }
});

test.run();

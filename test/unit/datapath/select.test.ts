import * as assert from 'uvu/assert';
import { requireFeatures } from '../../../src/datapath/select.ts';
import { isOverlayError } from '../../../src/errors.ts';
import type { KernelFeatures } from '../../../src/native/probe.ts';
import { suite } from '../../kit/suite.ts';

const test = suite('datapath/select');

const modern: KernelFeatures = {
  tcx: true,
  redirectPeer: true,
  redirectNeigh: true,
  ringBuffer: true,
  resizableInnerMaps: true,
  encapEthernet: true,
  decapL3: true,
  decapL4: true,
};

function refusal(features: KernelFeatures): string | null {
  try {
    requireFeatures(features);
    return null;
  } catch (error) {
    if (!isOverlayError(error, 'KERNEL_FEATURE_MISSING')) throw error;
    return error.message;
  }
}

test('a kernel with everything, or without what is only faster, will do', () => {
  assert.is(refusal(modern), null);
  assert.is(refusal({ ...modern, tcx: false, decapL4: false }), null);
});

test('a kernel without a feature that nothing stands in for is refused with its name and the kernel to run', () => {
  for (const [feature, words] of [
    ['redirectPeer', 'bpf_redirect_peer'],
    ['redirectNeigh', 'bpf_redirect_neigh'],
    ['ringBuffer', 'ring buffers'],
    ['resizableInnerMaps', 'map of maps'],
    ['encapEthernet', 'encapsulation of Ethernet frames'],
    ['decapL3', 'DECAP_L3'],
  ] as const) {
    const message = refusal({ ...modern, [feature]: false }) ?? '';
    assert.match(message, words);
    assert.match(message, 'run Linux 6.3 or newer');
  }
});

test('all that is missing is named at once', () => {
  const message = refusal({ ...modern, redirectPeer: false, ringBuffer: false }) ?? '';
  assert.match(message, /bpf_redirect_peer.*ring buffers/);
});

test.run();

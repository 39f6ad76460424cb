import * as assert from 'uvu/assert';
import { isOverlayError } from '../../src/errors.ts';
import { requirePrivileges } from '../../src/preflight.ts';
import { suite } from '../kit/suite.ts';

const test = suite('preflight');

function missing(effective: bigint, dataPath: 'auto' | 'ebpf' | 'bridge' = 'ebpf'): unknown {
  try {
    requirePrivileges(
      `Name:\tnode\nCapPrm:\t0\nCapEff:\t${effective.toString(16).padStart(16, '0')}\nSeccomp:\t0\n`,
      dataPath,
    );
    return null;
  } catch (error) {
    if (!isOverlayError(error, 'PRIVILEGE_MISSING')) throw error;
    return error.details['privilege'];
  }
}

const bits = (...numbers: readonly number[]) => numbers.reduce((sum, bit) => sum | (1n << BigInt(bit)), 0n);

test('all capabilities, or just those that are needed, are enough', () => {
  assert.is(missing(0x1ff_ffff_ffffn), null);
  assert.is(missing(bits(12, 13, 39)), null);
});

test('CAP_SYS_ADMIN stands for CAP_BPF, as in kernels that have none', () => {
  assert.is(missing(bits(12, 13, 21)), null);
});

test('only a daemon that must use eBPF needs CAP_BPF', () => {
  assert.is(missing(bits(12, 13), 'auto'), null);
  assert.is(missing(bits(12, 13), 'bridge'), null);
  assert.is(missing(bits(12, 13), 'ebpf'), 'CAP_BPF');
});

test('every missing capability is named at once', () => {
  assert.is(missing(bits(12, 39)), 'CAP_NET_RAW');
  assert.is(missing(bits(13)), 'CAP_NET_ADMIN and CAP_BPF');
  assert.is(missing(0n), 'CAP_NET_ADMIN and CAP_NET_RAW and CAP_BPF');
});

test.run();

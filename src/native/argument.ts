/** Arguments on their way to the addon: what is refused before it crosses, and what is packed for it. */

import { type OverlayError, overlayError } from '../errors.ts';

/** The error of an argument that cannot be, alike to what the kernel would say. */
export function refuse(operation: string, problem: string): OverlayError {
  return overlayError('BPF_FAILED', { operation, problem, errno: 'EINVAL' });
}

/** @throws BPF_FAILED, EINVAL */
export function checkIfindex(operation: string, ifindex: number): void {
  if (Number.isInteger(ifindex) && ifindex > 0 && ifindex < 2 ** 31) return;
  throw refuse(operation, `${ifindex} is not an interface index`);
}

/** The place of a traffic control filter. @throws BPF_FAILED, EINVAL */
export function checkPlace(
  operation: string,
  place: Readonly<Record<'ifindex' | 'handle' | 'priority', number>>,
): void {
  const { ifindex, handle, priority } = place;
  checkIfindex(operation, ifindex);
  if (!(handle >= 1 && handle <= 0xffff_ffff)) throw refuse(operation, `handle ${handle} is not in 1..0xffffffff`);
  if (!(priority >= 1 && priority <= 0xffff)) throw refuse(operation, `priority ${priority} is not in 1..65535`);
}

/** Parts of one size, end to end. @throws BPF_FAILED, EINVAL */
export function pack(operation: string, parts: readonly Uint8Array[]): Uint8Array {
  const size = parts[0]?.length ?? 0;
  const packed = new Uint8Array(size * parts.length);
  parts.forEach((part, index) => {
    if (part.length !== size) throw refuse(operation, `item ${index} is ${part.length} bytes, the first ${size}`);
    packed.set(part, index * size);
  });
  return packed;
}

/** A `struct __sk_buff` with its `ifindex` set. */
export function withIfindex(context: Uint8Array | null, ifindex: number): Uint8Array {
  const whole = new Uint8Array(Math.max(context?.length ?? 0, skBuffIfindex + 4));
  if (context !== null) whole.set(context);
  whole.set(new Uint8Array(Uint32Array.of(ifindex).buffer), skBuffIfindex);
  return whole;
}

/** Where `ifindex` lies in `struct __sk_buff` of linux/bpf.h. */
const skBuffIfindex = 40;

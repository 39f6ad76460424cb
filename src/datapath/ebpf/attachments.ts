/**
 * Programs on devices, by tcx or, on kernels before 6.6, by a filter on clsact; both on ingress, one program of ours
 * per device. Neither needs this process once made: a tcx link is pinned under the device's name, a filter is the
 * device's own. Attaching where something of ours is attached swaps the program without losing a packet.
 *
 *      tcx:     no pin ──attach──▶ pinned link ──device gone──▶ defunct link (unpinned by prune)
 *                                   │     ▲
 *                                   └─────┘ attach: link_update
 */

import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import {
  attachClsact,
  attachTcx,
  clsactInfo,
  detachClsact,
  linkInfo,
  type ProgramFd,
  programInfo,
  updateLink,
} from '../../native/binding.ts';
import { deviceOfLink, linkName } from './names.ts';

export type Hook = 'tcx' | 'clsact';

export interface Device {
  readonly name: string;
  readonly index: number;
}

export interface Attachments {
  /** Idempotent. @throws BPF_FAILED */
  attach(program: ProgramFd, device: Device): void;
  /** Idempotent; the device may be gone. */
  detach(device: Device | { readonly name: string; readonly index: null }): void;
  isAttached(program: ProgramFd, device: Device): boolean;
  /** Devices that have something of ours as far as this hook remembers them without the device. */
  remembered(): readonly string[];
  /** Forgets what hung on devices that are gone or have another name now. */
  prune(devices: readonly Device[]): void;
}

/** Implementation: what tells our filter apart; "weft" as a number, and a place behind filters with low priorities. */
const filter = { handle: 0x7765_6674, priority: 1457 } as const;

export function createAttachments(hook: Hook, directory: string): Attachments {
  return hook === 'tcx' ? tcxAttachments(directory) : clsactAttachments();
}

/** The same attachments; tells when something this process had attached was taken off or replaced by someone else. */
export function watchAttachments(attachments: Attachments, onRepair: () => void): Attachments {
  const attached = new Map<string, number>();
  return {
    ...attachments,
    attach: (program, device) => {
      const wasHere = attached.get(device.name) === device.index && !attachments.isAttached(program, device);
      attachments.attach(program, device);
      attached.set(device.name, device.index);
      if (wasHere) onRepair();
    },
    detach: (device) => {
      attached.delete(device.name);
      attachments.detach(device);
    },
  };
}

function tcxAttachments(directory: string): Attachments {
  const pathOf = (device: string) => join(directory, linkName(device));
  const unpin = (device: string) => rmSync(pathOf(device), { force: true });
  const remembered = () => readdirSync(directory).map(deviceOfLink);
  return {
    attach: (program, { name, index }) => {
      const pinPath = pathOf(name);
      if (linkInfo(pinPath)?.ifindex === index && updateLink(pinPath, program) === 'updated') return;
      unpin(name);
      attachTcx({ program, ifindex: index, pinPath });
    },
    detach: ({ name }) => unpin(name),
    isAttached: (program, { name, index }) => {
      const link = linkInfo(pathOf(name));
      return link !== null && link.ifindex === index && link.programId === programInfo(program).id;
    },
    remembered,
    prune: (devices) => {
      const indexes = new Map(devices.map(({ name, index }) => [name, index]));
      for (const name of remembered()) {
        const index = linkInfo(pathOf(name))?.ifindex ?? null;
        if (index === null || indexes.get(name) !== index) unpin(name);
      }
    },
  };
}

function clsactAttachments(): Attachments {
  return {
    attach: (program, { index }) => attachClsact({ ...filter, program, ifindex: index }),
    detach: ({ index }) => {
      if (index !== null) detachClsact({ ...filter, ifindex: index });
    },
    isAttached: (program, { index }) =>
      clsactInfo({ ...filter, ifindex: index })?.programId === programInfo(program).id,
    remembered: () => [],
    prune: () => {},
  };
}

/**
 * This node's place on the underlay, chosen anew when the kernel tells a change. An address stays for as long as a
 * device that is up has it, wherever the default route has gone: a VPN that takes over the default route must not
 * take the overlay along. While there is none to choose, the last one stands and the problem is told.
 *
 *      kernel ──change──▶ gather 100 ms ──▶ still here? ─▶ keep, with its device and MTU as they are now
 *                                               └─ no ──▶ choose as at the start (vtep.ts)
 */

import { EventEmitter, once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Address, familyOf } from '../core/address.ts';
import { type VtepChoice, vtepOf } from '../core/vtep.ts';
import { isOverlayError, messageOf } from '../errors.ts';
import type { Netlink } from '../netlink/netlink.ts';
import { watchKernel } from '../netlink/notifications.ts';
import type { Log } from '../ports/log.ts';
import type { Place, Underlay } from '../ports/underlay.ts';
import { chooseVtep, type HostNetwork, type LocalVtep, readHostNetwork } from './vtep.ts';

export interface WatchedUnderlay extends Underlay {
  close(): Promise<void>;
}

interface UnderlaySurroundings {
  readonly netlink: Netlink;
  readonly log: Log;
}

interface Sight {
  readonly local: LocalVtep;
  readonly place: Place;
}

/** Implementation: changes come in swarms, and an address often goes just before its successor comes. */
const gatherMs = 100;
const retryMs = 1_000;

/** @throws VTEP_ADDRESS_UNKNOWN */
export async function watchUnderlay(
  choice: VtepChoice,
  port: number,
  { netlink, log }: UnderlaySurroundings,
): Promise<WatchedUnderlay> {
  const closing = new AbortController();
  const news = new EventEmitter().setMaxListeners(0);
  const seen = (local: LocalVtep): Sight => ({
    local,
    place: { vtep: vtepOf(local.addresses, port), mtuBytes: local.mtuBytes },
  });
  let sight = seen(chooseVtep(choice, await readHostNetwork(netlink)));
  let problem: string | null = null;

  async function look(): Promise<void> {
    try {
      const next = await chooseAgain(choice, sight.local, netlink);
      const fields = { vtep: next.addresses.join(), device: next.devices.join() };
      if (problem !== null) log.info(fields, 'VTEP address found again');
      problem = null;
      if (isSame(next, sight.local)) return;
      log.info({ ...fields, former: sight.local.addresses.join() }, 'place on the underlay changed');
      sight = seen(next);
      news.emit('change');
    } catch (error) {
      if (!isOverlayError(error, 'VTEP_ADDRESS_UNKNOWN', 'NETLINK_FAILED')) throw error;
      if (problem === null) log.warn({ problem: messageOf(error) }, 'VTEP address lost');
      problem = messageOf(error);
    }
  }
  const watching = keepLooking(look, closing.signal);

  return {
    place: () => sight.place,
    problem: () => problem,
    places: async function* (signal) {
      const ended = AbortSignal.any([signal, closing.signal]);
      let told: Place | null = null;
      while (!ended.aborted) {
        if (told === sight.place) await once(news, 'change', { signal: ended }).catch(() => undefined);
        else {
          told = sight.place;
          yield told;
        }
      }
    },
    async close() {
      closing.abort();
      await watching;
    },
  };
}

/** Looks after each swarm of changes in the kernel, and whatever was missed of them. */
async function keepLooking(look: () => Promise<void>, signal: AbortSignal): Promise<void> {
  const pause = (milliseconds: number) => sleep(milliseconds, undefined, { signal }).catch(() => undefined);
  let isDue = false;
  let settling: Promise<void> = Promise.resolve();
  let isSettling = false;

  async function settle(): Promise<void> {
    while (isDue && !signal.aborted) {
      await pause(gatherMs);
      isDue = false;
      if (!signal.aborted) await look();
    }
    isSettling = false;
  }

  while (!signal.aborted) {
    try {
      for await (const _ of watchKernel(signal)) {
        isDue = true;
        if (isSettling) continue;
        isSettling = true;
        settling = settle();
      }
    } catch (error) {
      if (!isOverlayError(error, 'NETLINK_FAILED')) throw error;
      await pause(retryMs);
    }
  }
  await settling;
}

/** The same addresses while they can be had, else as at the start. @throws VTEP_ADDRESS_UNKNOWN, NETLINK_FAILED */
async function chooseAgain(choice: VtepChoice, present: LocalVtep, netlink: Netlink): Promise<LocalVtep> {
  const host = await readHostNetwork(netlink);
  if (choice.kind === 'addresses') return chooseVtep(choice, host);
  const kept = present.addresses.filter((address) => isHere(choice, address, host));
  const isNew = (address: Address) => kept.every((each) => familyOf(each) !== familyOf(address));
  const [first, ...others] = [...kept, ...found(choice, host).filter(isNew)];
  return chooseVtep(first === undefined ? choice : { kind: 'addresses', addresses: [first, ...others] }, host);
}

function found(choice: VtepChoice, host: HostNetwork): readonly Address[] {
  try {
    return chooseVtep(choice, host).addresses;
  } catch (error) {
    if (!isOverlayError(error, 'VTEP_ADDRESS_UNKNOWN')) throw error;
    return [];
  }
}

function isHere(choice: VtepChoice, address: Address, { addresses, links }: HostNetwork): boolean {
  const owners = addresses.filter((each) => each.address === address).map(({ ifindex }) => ifindex);
  const devices = links.filter(({ index }) => owners.includes(index));
  return devices.some(({ name, isUp }) => (choice.kind === 'device' ? name === choice.device : isUp));
}

function isSame(left: LocalVtep, right: LocalVtep): boolean {
  return JSON.stringify(left) === JSON.stringify(right);
}

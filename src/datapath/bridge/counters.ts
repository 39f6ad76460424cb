/**
 * What the devices have counted since they were made, named as the eBPF data path names the like:
 *
 *      encapsulated, decapsulated             through the tunnels
 *      from_container, to_container           through the ports
 *      drop_tunnel_send, drop_tunnel_receive  a packet that a tunnel could not send; one that it did not take
 *      drop_port_send, drop_port_receive      the same of a port
 *
 * What a bridge drops it does not count: frames of a foreign MAC, and to a MAC that it was not told of.
 */

import type { LinkStatistics } from '../../netlink/statistics.ts';
import type { PacketCounters } from '../../ports/data-path.ts';
import { stemOf } from '../interfaces.ts';
import { nodesOwn, placeOf } from './names.ts';

type Counted = PacketCounters[string];

export function countersOf(statistics: readonly LinkStatistics[]): PacketCounters {
  const tunnels = statistics.filter(({ name }) => {
    const place = placeOf(name);
    return place?.kind === 'tunnel' && place.vni !== nodesOwn;
  });
  const ports = statistics.filter(({ name }) => stemOf(name) !== null);
  return {
    encapsulated: sum(tunnels.map(({ sent }) => sent)),
    decapsulated: sum(tunnels.map(({ received }) => received)),
    from_container: sum(ports.map(({ received }) => received)),
    to_container: sum(ports.map(({ sent }) => sent)),
    drop_tunnel_send: packets(tunnels.map(({ sendDropped }) => sendDropped)),
    drop_tunnel_receive: packets(tunnels.map(({ receiveDropped }) => receiveDropped)),
    drop_port_send: packets(ports.map(({ sendDropped }) => sendDropped)),
    drop_port_receive: packets(ports.map(({ receiveDropped }) => receiveDropped)),
  };
}

function sum(counted: readonly Counted[]): Counted {
  const total = { packets: 0, bytes: 0 };
  for (const { packets: more, bytes } of counted) {
    total.packets += more;
    total.bytes += bytes;
  }
  return total;
}

/** Of dropped packets a device does not count the bytes. */
function packets(numbers: readonly number[]): Counted {
  return sum(numbers.map((each) => ({ packets: each, bytes: 0 })));
}

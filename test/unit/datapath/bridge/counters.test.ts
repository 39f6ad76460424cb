import * as assert from 'uvu/assert';
import { countersOf } from '../../../../src/datapath/bridge/counters.ts';
import type { LinkStatistics } from '../../../../src/netlink/statistics.ts';
import { suite } from '../../../kit/suite.ts';

const test = suite('datapath/bridge/counters');

function device(name: string, base: number): LinkStatistics {
  const [received, sent] = [base, base + 1].map((packets) => ({ packets, bytes: packets * 100 }));
  assert.ok(received !== undefined && sent !== undefined);
  return { name, received, sent, receiveDropped: base + 2, sendDropped: base + 3 };
}

test("tunnels and ports are added up, other devices and the node's own left out", () => {
  const devices = ['wx7', 'wx8', 'wh0123456789ab', 'wb7', 'wx0', 'eth0'];
  const counted = countersOf(devices.map((name, at) => device(name, 10 ** at)));

  assert.equal(counted, {
    encapsulated: { packets: 13, bytes: 1_300 },
    decapsulated: { packets: 11, bytes: 1_100 },
    from_container: { packets: 100, bytes: 10_000 },
    to_container: { packets: 101, bytes: 10_100 },
    drop_tunnel_send: { packets: 17, bytes: 0 },
    drop_tunnel_receive: { packets: 15, bytes: 0 },
    drop_port_send: { packets: 103, bytes: 0 },
    drop_port_receive: { packets: 102, bytes: 0 },
  });
});

test.run();

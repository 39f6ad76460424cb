import * as assert from 'uvu/assert';
import { parseAddress } from '../../../src/core/address.ts';
import { decodeAnswer, encodeEcho } from '../../../src/probe/echo.ts';
import { suite } from '../../kit/suite.ts';

const test = suite('probe/echo');

const key = { identifier: 0x1234, sequence: 0xfffe };
const echo = encodeEcho('ipv4', key, 28);
const echo6 = encodeEcho('ipv6', key, 48);

/** An IPv4 header of 20 bytes, or of 24 with options, in front of an ICMP message. */
function ipv4(payload: Buffer, { protocol = 1, optionBytes = 0 } = {}): Buffer {
  const header = Buffer.alloc(20 + optionBytes);
  header.writeUInt8(0x40 | (header.length / 4), 0);
  header.writeUInt8(protocol, 9);
  return Buffer.concat([header, payload]);
}

function ipv6(payload: Buffer, protocol = 58): Buffer {
  const header = Buffer.alloc(40);
  header.writeUInt8(protocol, 6);
  return Buffer.concat([header, payload]);
}

/** Type, code and the word after the checksum, then what is quoted. */
function icmpError(type: number, code: number, word: number, quoted: Buffer): Buffer {
  const head = Buffer.from([type, code, 0, 0, 0, 0, 0, 0]);
  head.writeUInt32BE(word, 4);
  return Buffer.concat([head, quoted]);
}

test('an echo request has its checksum and fills the packet to its size', () => {
  // type 8, code 0, checksum, identifier, sequence (RFC 792); checked with RFC 1071 by hand.
  assert.is(echo.toString('hex'), '0800e5cc1234fffe');
  assert.is(encodeEcho('ipv4', key, 1500).length, 1480);
  assert.is(encodeEcho('ipv4', key, 29).length, 9);
});

test('of ICMPv6 the checksum is left to the kernel', () => {
  assert.is(echo6.toString('hex'), '800000001234fffe');
  assert.is(encodeEcho('ipv6', key, 1280).length, 1240);
});

test('a reply is told by its key, with IP options as without', () => {
  const reply = Buffer.from('000000001234fffe', 'hex');

  assert.equal(decodeAnswer('ipv4', ipv4(reply)), { kind: 'reply', ...key });
  assert.equal(decodeAnswer('ipv4', ipv4(reply, { optionBytes: 4 })), { kind: 'reply', ...key });
  assert.equal(decodeAnswer('ipv6', Buffer.from('810000001234fffe', 'hex')), { kind: 'reply', ...key });
});

test('a router that cannot forward the packet whole names the MTU, in either family', () => {
  const tooBig = { kind: 'too-big', ...key, mtuBytes: 1400 };

  assert.equal(decodeAnswer('ipv4', ipv4(icmpError(3, 4, 1400, ipv4(echo)))), tooBig);
  assert.equal(decodeAnswer('ipv6', icmpError(2, 0, 1400, ipv6(echo6))), tooBig);
});

test('a router from before RFC 1191 names none', () => {
  assert.equal(decodeAnswer('ipv4', ipv4(icmpError(3, 4, 0, ipv4(echo)))), { kind: 'too-big', ...key, mtuBytes: null });
});

test('other unreachable destinations are told in words', () => {
  const host = decodeAnswer('ipv4', ipv4(icmpError(3, 1, 0, ipv4(echo))));
  const filtered = decodeAnswer('ipv4', ipv4(icmpError(3, 13, 0, ipv4(echo))));
  const noRoute = decodeAnswer('ipv6', icmpError(1, 0, 0, ipv6(echo6)));

  assert.equal(host, { kind: 'unreachable', ...key, problem: 'host unreachable' });
  assert.equal(filtered, { kind: 'unreachable', ...key, problem: 'unreachable, code 13' });
  assert.equal(noRoute, { kind: 'unreachable', ...key, problem: 'no route' });
});

test('a router that refuses a UDP packet is told by the destination of that packet, in either family', () => {
  const packet = ipv4(Buffer.alloc(8), { protocol: 17 });
  Buffer.from([198, 51, 100, 1]).copy(packet, 16);
  const packet6 = ipv6(Buffer.alloc(8), 17);
  Buffer.from('20010db8000200000000000000000001', 'hex').copy(packet6, 24);
  const [destination, destination6] = [parseAddress('198.51.100.1'), parseAddress('2001:db8:2::1')];

  assert.equal(decodeAnswer('ipv4', ipv4(icmpError(3, 4, 1400, packet))), {
    ...{ kind: 'refused', destination, mtuBytes: 1400 },
  });
  assert.equal(decodeAnswer('ipv4', ipv4(icmpError(3, 4, 0, packet))), {
    kind: 'refused',
    destination,
    mtuBytes: null,
  });
  assert.equal(decodeAnswer('ipv6', icmpError(2, 0, 1400, packet6)), {
    ...{ kind: 'refused', destination: destination6, mtuBytes: 1400 },
  });
  assert.is(decodeAnswer('ipv4', ipv4(icmpError(3, 1, 0, packet))), null, 'unreachable');
  assert.is(decodeAnswer('ipv4', ipv4(icmpError(3, 4, 1400, packet.subarray(0, 18)))), null, 'quoted too little');
});

test('what answers no echo request is passed over', () => {
  const udp = Buffer.alloc(8);

  assert.is(decodeAnswer('ipv4', ipv4(echo)), null, 'a request');
  assert.is(decodeAnswer('ipv4', ipv4(icmpError(3, 3, 0, ipv4(udp, { protocol: 17 })))), null, 'an error for UDP');
  assert.is(decodeAnswer('ipv4', ipv4(icmpError(3, 4, 1400, ipv4(echo.subarray(0, 4))))), null, 'quoted too little');
  assert.is(decodeAnswer('ipv4', ipv4(icmpError(11, 0, 0, ipv4(echo)))), null, 'time exceeded');
  assert.is(decodeAnswer('ipv4', Buffer.alloc(0)), null, 'nothing');
  assert.is(decodeAnswer('ipv6', Buffer.from('8100', 'hex')), null, 'a fragment of a reply');
  assert.is(decodeAnswer('ipv6', icmpError(2, 0, 1400, Buffer.alloc(0))), null, 'an error that quotes nothing');
});

test.run();

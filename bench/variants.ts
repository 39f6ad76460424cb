/**
 * The programs with one thing left out or done in another way, each as the edits that make it from the source. They are
 * made for measuring and nothing else: many of them are wrong. An edit whose text is no longer in the source fails.
 */

import type { Edit } from './standing.ts';

export interface Variant {
  readonly label: string;
  readonly title: string;
  readonly edits: readonly Edit[];
}

const counters: Edit = [
  'lib/events.h',
  '	struct counter *counter = bpf_map_lookup_elem(&counters, &index);\n',
  '	struct counter *counter;\n\n	if (1)\n		return;\n	counter = bpf_map_lookup_elem(&counters, &index);\n',
];
const senderSource: Edit = [
  'lib/source.h',
  '	if (!mac_equal(frame->source, mac_read(port->mac)))\n',
  '	if (1)\n		return 0;\n	if (!mac_equal(frame->source, mac_read(port->mac)))\n',
];
const remoteSource: Edit = [
  'lib/learn.h',
  '	if (mac_is_group(source) || mac_is_zero(source))\n',
  '	if (1)\n		return 0;\n	if (mac_is_group(source) || mac_is_zero(source))\n',
];
const size: Edit = ['overlay.bpf.c', '	if (skb->len > mtu + ETH_HLEN) {', '	if (0) {'];
const ecn: readonly Edit[] = [
  ['lib/ecn.h', '	outer &= ECN_MASK;\n', '	if (1)\n		return 0;\n	outer &= ECN_MASK;\n'],
  ['lib/ecn.h', '	return (family == AF_INET6 ?', '	if (1)\n		return 0;\n	return (family == AF_INET6 ?'],
];
const outerHeaders: Edit = [
  'lib/decapsulate.h',
  '	return bpf_ntohs(outer->ip.tot_len) == length &&\n',
  '	if (1)\n		return true;\n	return bpf_ntohs(outer->ip.tot_len) == length &&\n',
];
const checksumLevel: Edit = ['lib/decapsulate.h', '	bpf_csum_level(skb, BPF_CSUM_LEVEL_DEC);\n', ''];
const marks: readonly Edit[] = [
  ['lib/decapsulate.h', '	*(volatile __u32 *)&skb->queue_mapping = 0;\n', ''],
  ['lib/decapsulate.h', '	*(volatile __u32 *)&skb->mark = 0;\n', ''],
];
const hash = 'hash = skb->hash ? skb->hash : bpf_get_hash_recalc(skb);';
const hop = 'return bpf_redirect_neigh(ifindex, &neighbour, sizeof(neighbour), 0);';

/** The first is the programs as they are, with which the others are compared; the second shows how much is noise. */
export const variants: readonly Variant[] = [
  { label: 'full', title: 'the programs as they are', edits: [] },
  { label: 'again', title: 'the same once more: the noise', edits: [] },
  { label: 'counters', title: 'no counters', edits: [counters] },
  { label: 'sender', title: 'no check of a container’s own MAC and addresses', edits: [senderSource] },
  { label: 'remote', title: 'no check of a remote source: VTEP and inner MAC', edits: [remoteSource] },
  { label: 'size', title: 'no check of the size', edits: [size] },
  { label: 'ecn', title: 'no ECN', edits: ecn },
  { label: 'outer', title: 'no check of outer lengths, checksum, flags', edits: [outerHeaders] },
  { label: 'level', title: 'no checksum level taken off', edits: [checksumLevel] },
  { label: 'marks', title: 'mark and queue left as they came', edits: marks },
  {
    label: 'none',
    title: 'none of all these',
    edits: [counters, senderSource, remoteSource, size, ...ecn, outerHeaders, checksumLevel, ...marks],
  },
  {
    label: 'peers',
    title: 'the table of peers asked for each packet (decision 6)',
    edits: [
      [
        'lib/learn.h',
        'if (entry && !entry->ifindex && !(entry->flags & FDB_PROVISIONAL)) {',
        'if (peer_lookup(origin->vni, origin->vtep) && entry && !entry->ifindex && !(entry->flags & FDB_PROVISIONAL)) {',
      ],
    ],
  },
  {
    label: 'route',
    title: 'the route looked up for each packet',
    edits: [['lib/encapsulate.h', hop, 'return bpf_redirect_neigh(ifindex, NULL, 0, 0);']],
  },
  {
    label: 'redirect',
    title: 'delivered by bpf_redirect, not to the peer',
    edits: [['lib/deliver.h', 'return bpf_redirect_peer(ifindex, 0);', 'return bpf_redirect(ifindex, 0);']],
  },
  {
    label: 'hash',
    title: 'the hash always asked of the helper',
    edits: [['lib/encapsulate.h', hash, 'hash = bpf_get_hash_recalc(skb);']],
  },
];

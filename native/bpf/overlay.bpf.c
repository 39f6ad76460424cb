// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * The overlay's data path: three programs of traffic control, attached by tcx or clsact at ingress
 * (and a fourth, into_container, that user space runs).
 *
 *   from_container   host end of an endpoint's veth: read the frame, check its source, answer ARP
 *                    and ND, find the destination; then a local container, native VXLAN, the
 *                    kernel's device, or copies
 *   from_underlay    devices that reach other nodes: native VXLAN for us; check it, take the outer
 *                    headers off, deliver
 *   from_tunnel      collect-metadata vxlan device: what from_underlay left to the kernel, and
 *                    nothing else; the same checks, deliver
 *
 * Here stands only the order of decisions; each step is in lib/, named by its noun. A step returns
 * 0 to go on, an action when it has dealt with the packet, or a negative reason: `conclude` gives
 * every reason its count and its event.
 *
 * Cost of a unicast packet: two hash lookups on the way out, two on the way in. What is slow or
 * rare is not inlined, to keep the common path short.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include "lib/arp.h"
#include "lib/decapsulate.h"
#include "lib/encapsulate.h"
#include "lib/nd.h"
#include "lib/report.h"
#include "lib/too_big.h"
#include "lib/vouch.h"

char _license[] SEC("license") = "Dual BSD/GPL";

/* conclude - the one place where a reason becomes an action. */
static __always_inline int conclude(struct __sk_buff *skb, int verdict, const struct origin *origin)
{
	if (verdict >= 0)
		return verdict;
	if (verdict == -NOT_OURS)
		return TC_ACT_UNSPEC;
	if (verdict == -DECLINED) {
		count(DECLINED, skb->len);
		return TC_ACT_UNSPEC;
	}
	return drop(skb, -verdict, origin);
}

/* answer_locally - ARP and ND. Returns an action, 0 to forward, or a negative drop reason. */
static __always_inline int answer_locally(struct __sk_buff *skb, const struct port *port,
					  const struct frame *frame)
{
	if (frame->protocol == bpf_htons(ETH_P_ARP))
		return arp_handle(skb, port);
	if (frame->family != AF_INET6 || frame->next_header == IPPROTO_TCP ||
	    frame->next_header == IPPROTO_UDP)
		return 0;
	if (frame->next_header == IPPROTO_ICMPV6)
		return nd_handle(skb, port);
	return nd_hidden(skb, frame->next_header);
}

/* snoop_is_on - whether a network carries multicast, and so must know who wants it. */
static __always_inline bool snoop_is_on(__u32 vni)
{
	struct network_key key = { .vni = vni };
	struct network *network = bpf_map_lookup_elem(&networks, &key);

	return network && network->flags & NETWORK_MULTICAST;
}

/* send_report - takes note of a membership report, which then goes to routers alone. */
static __noinline int send_report(struct __sk_buff *skb, __u32 vni, const struct snooped *snooped)
{
	__u32 length = skb->len;
	int error;

	if (!bucket_take(BUCKET_REPORT, skb->ifindex, report_rate))
		return -DROP_RATE_LIMITED;
	error = snoop_is_on(vni) ? report_take(skb, vni, snooped) : 0;
	if (!error)
		error = flood_copies(skb, vni, skb->ifindex, true, snooped);
	if (error)
		return error;
	count(GROUP_REPORTED, length);
	return TC_ACT_SHOT;
}

static __always_inline int send_to_group(struct __sk_buff *skb, const struct port *port,
					 const struct frame *frame)
{
	struct snooped snooped = {};
	__u32 length = skb->len;
	int error = flood_check(skb, frame, port->vni, 0);

	if (error)
		return error;
	snoop_read(skb, frame, &snooped);
	if (snooped.kind == SNOOP_REPORT)
		return send_report(skb, port->vni, &snooped);
	if (!bucket_take(BUCKET_FLOOD, skb->ifindex, bum_rate))
		return -DROP_RATE_LIMITED;
	if (snooped.kind == SNOOP_ROUTER && snoop_is_on(port->vni) &&
	    member_join(skb->ifindex, snooped.group))
		members_changed(skb, port->vni);
	error = flood_copies(skb, port->vni, skb->ifindex, true, &snooped);
	if (error)
		return error;
	count(FLOODED, length);
	return TC_ACT_SHOT;
}

/* miss_mac - tells user space; the frame is dropped, unknown unicast is never flooded. */
static __noinline int miss_mac(struct __sk_buff *skb, __u32 vni)
{
	struct event event = { .kind = EVENT_MISS_MAC, .vni = vni, .ifindex = skb->ifindex };

	if (!bpf_skb_load_bytes(skb, 0, event.mac, ETH_ALEN) &&
	    bucket_take(BUCKET_MISS_EVENT, skb->ifindex, event_rate))
		event_submit(&event);
	return -DROP_UNKNOWN_DESTINATION;
}

static __always_inline int send_to_vtep(struct __sk_buff *skb, const struct port *port, __u8 family,
					__u32 id)
{
	struct vtep *vtep = bpf_map_lookup_elem(&vteps, &id);
	__u32 mtu;
	int verdict;

	if (!vtep || !vtep->ifindex)
		return -DROP_UNKNOWN_VTEP;
	mtu = largest_packet(port, vtep);
	if (skb->len > mtu + ETH_HLEN) {
		verdict = check_size(skb, family, port->vni, vtep, mtu);
		if (verdict)
			return verdict;
	}
	return encapsulate(skb, family, port->vni, vtep, id);
}

static __always_inline int leave(struct __sk_buff *skb, const struct port *port)
{
	struct fdb_entry *entry;
	struct frame frame = {};
	int verdict;

	verdict = frame_leave(skb, port, &frame);
	if (!verdict)
		verdict = answer_locally(skb, port, &frame);
	if (verdict)
		return verdict;
	if (mac_is_group(frame.destination))
		return send_to_group(skb, port, &frame);
	entry = fdb_lookup(port->vni, frame.destination);
	if (!entry)
		return miss_mac(skb, port->vni);
	if (!entry->ifindex)
		return send_to_vtep(skb, port, frame.family, entry->vtep);
	count(LOCAL, skb->len);
	return deliver(skb, entry->ifindex, frame.family);
}

SEC("tc")
int from_container(struct __sk_buff *skb)
{
	struct port_key key = { .ifindex = skb->ifindex };
	struct port *port = bpf_map_lookup_elem(&ports, &key);
	struct origin origin = {};

	if (!port)
		return conclude(skb, -DROP_NO_ENDPOINT, &origin);
	origin.vni = port->vni;
	return conclude(skb, leave(skb, port), &origin);
}

/* admit - the checks on what a VTEP sends, by either road. Returns 0, or a negative drop reason. */
static __always_inline int admit(struct __sk_buff *skb, struct origin *origin,
				 const struct frame *frame)
{
	if (frame_is_tagged(skb, frame))
		return -DROP_VLAN_TAGGED;
	return source_admit(skb, origin, frame->source);
}

/* local_port - puts the port of a destination into `ifindex`. Returns 0, or a negative reason. */
static __always_inline int local_port(__u32 vni, struct mac destination, __u32 *ifindex)
{
	struct fdb_entry *entry = fdb_lookup(vni, destination);

	if (!entry)
		return -DROP_UNKNOWN_DESTINATION;
	*ifindex = entry->ifindex;
	return *ifindex ? 0 : -DROP_NOT_HERE;
}

/* receive_group - copies to local ports only: the sender's node made the copies for all others. */
static __always_inline int receive_group(struct __sk_buff *skb, const struct origin *origin,
					 const struct frame *frame)
{
	struct peer *peer = peer_lookup(origin->vni, origin->vtep);
	struct snooped snooped = {};
	__u32 length = skb->len;
	int error;

	if (!peer)
		return -DROP_UNKNOWN_VTEP;
	if (!bucket_take(BUCKET_FLOOD_RECEIVED, peer->vtep, received_bum_rate))
		return -DROP_RATE_LIMITED;
	snoop_read(skb, frame, &snooped);
	error = flood_copies(skb, origin->vni, 0, false, &snooped);
	if (error)
		return error;
	count(FLOOD_RECEIVED, length);
	return TC_ACT_SHOT;
}

static __always_inline int arrive_over(__u8 underlay, struct __sk_buff *skb, struct origin *origin)
{
	struct frame frame = {};
	__u32 ifindex = 0;
	bool is_group;
	__u8 tos;
	int verdict, mark;

	verdict = outer_read(underlay, skb, origin, &frame, &tos);
	if (!verdict)
		verdict = admit(skb, origin, &frame);
	if (verdict)
		return verdict;
	is_group = mac_is_group(frame.destination);
	verdict = is_group ? flood_check(skb, &frame, origin->vni, origin->frame) :
			     local_port(origin->vni, frame.destination, &ifindex);
	if (verdict)
		return verdict;
	mark = ecn_combine(skb, frame.family, tos, overhead(underlay));
	if (mark < 0)
		return mark;
	verdict = outer_remove(underlay, skb, &frame);
	if (verdict)
		return verdict;
	origin->frame = 0;
	if (mark && (verdict = ecn_write(skb, frame.family, mark)))
		return verdict;
	if (is_group)
		return receive_group(skb, origin, &frame);
	count(DECAPSULATED, skb->len);
	return deliver(skb, ifindex, frame.family);
}

static __noinline int arrive_over_ipv6(struct __sk_buff *skb, struct origin *origin)
{
	return arrive_over(AF_INET6, skb, origin);
}

static __always_inline int arrive(struct __sk_buff *skb, struct origin *origin)
{
	if (skb->protocol == bpf_htons(ETH_P_IPV6))
		return arrive_over_ipv6(skb, origin);
	return arrive_over(AF_INET, skb, origin);
}

SEC("tc")
int from_underlay(struct __sk_buff *skb)
{
	struct origin origin = {};
	int verdict = arrive(skb, &origin);

	if (verdict == -NOT_OURS || verdict == -DECLINED)
		vouch(skb);
	return conclude(skb, verdict, &origin);
}

static __always_inline int arrive_by_kernel(struct __sk_buff *skb, struct origin *origin)
{
	struct frame frame = {};
	__u32 ifindex = 0;
	void *data;
	int verdict;

	verdict = tunnel_key_take(skb, &origin->vni, origin->vtep);
	if (verdict)
		return verdict;
	if (!vouched_take(skb))
		return -DROP_NOT_UNDERLAY;
	data = pulled(skb, ETH_HLEN);
	if (!data)
		return -DROP_RUNT;
	ethernet_read(data, &frame);
	verdict = admit(skb, origin, &frame);
	if (verdict)
		return verdict;
	if (mac_is_group(frame.destination)) {
		verdict = flood_check(skb, &frame, origin->vni, origin->frame);
		return verdict ? verdict : receive_group(skb, origin, &frame);
	}
	verdict = local_port(origin->vni, frame.destination, &ifindex);
	if (verdict)
		return verdict;
	count(FALLBACK_RECEIVED, skb->len);
	return deliver(skb, ifindex, frame.family);
}

SEC("tc")
int from_tunnel(struct __sk_buff *skb)
{
	struct origin origin = {};

	return conclude(skb, arrive_by_kernel(skb, &origin), &origin);
}

/*
 * into_container - not attached: user space runs it to put a frame of its own, a query, on the wire
 * to a port.
 */
SEC("tc")
int into_container(struct __sk_buff *skb)
{
	bpf_clone_redirect(skb, skb->ifindex, 0);
	return TC_ACT_SHOT;
}

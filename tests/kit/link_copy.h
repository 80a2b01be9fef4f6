/* link_copy.h - reads a frame of the link and writes it again from what was understood. There is
 * one way to spell a frame, so the copy must be the same bytes: whatever a reader accepts but
 * loses, misplaces or makes up shows. Used by unit tests and the fuzz target. */
#pragma once
#include "wire/link.h"

struct link_copying {
	struct link_head h;
	struct str body;
	struct buf *out;
};

static inline bool copy_hello(const struct link_copying *c)
{
	struct link_hello h;

	if (!link_hello_read(c->body, &h))
		return false;
	link_hello_write(c->out, &h);
	return true;
}

static inline bool copy_bare(const struct link_copying *c)
{
	link_bare_write(c->out, c->h.type, c->h.channel, c->h.generation);
	return true;
}

static inline bool copy_open(const struct link_copying *c)
{
	struct link_open o;

	if (!link_open_read(c->body, c->h.flags, &o))
		return false;
	link_open_write(c->out, c->h.channel, c->h.generation, c->h.flags, &o);
	return true;
}

static inline bool copy_opened(const struct link_copying *c)
{
	struct link_opened o;
	struct link_sub sub;
	unsigned seen = 0;
	size_t frame;

	if (!link_opened_read(c->body, &o))
		return false;
	frame = link_opened_begin(c->out, c->h.channel, c->h.generation,
	                          c->h.flags & LINK_OPENED_PRESENT, o.reason, o.count);
	for (; link_opened_next(&o, &sub); seen++)
		link_opened_add(c->out, &sub);
	link_opened_mark(c->out, frame, c->h.flags, LINK_MINOR);
	link_end(c->out, frame);
	MUST(seen == o.count);
	return true;
}

static inline bool copy_close(const struct link_copying *c)
{
	uint32_t expiry;

	if (!link_close_read(c->body, c->h.flags, &expiry))
		return false;
	link_close_write(c->out, c->h.channel, c->h.generation, c->h.flags, expiry);
	return true;
}

static inline bool copy_token(const struct link_copying *c)
{
	struct link_token t;

	if (!link_token_read(c->body, &t))
		return false;
	link_token_write(c->out, c->h.channel, c->h.generation, &t);
	return true;
}

static inline bool copy_closed(const struct link_copying *c)
{
	uint8_t reason;

	if (!link_closed_read(c->body, &reason))
		return false;
	link_closed_write(c->out, c->h.channel, c->h.generation, reason);
	return true;
}

static inline bool copy_publish(const struct link_copying *c)
{
	struct link_publish p;

	if (!link_publish_read(c->body, c->h.flags, &p))
		return false;
	link_publish_write(c->out, c->h.channel, c->h.generation, c->h.flags, &p);
	return true;
}

static inline bool copy_deliver(const struct link_copying *c)
{
	enum { MOST = 4096 };
	static struct link_entry entries[MOST];
	struct link_deliver d;

	if (!link_deliver_read(c->body, &d))
		return false;
	MUST(d.count <= MOST); /* what tests and the fuzzer make is smaller */
	for (uint32_t i = 0; i < d.count; i++)
		entries[i] = link_deliver_entry(&d, i);
	link_deliver_write(c->out, &d, entries, d.count);
	return true;
}

static inline bool copy_ack(const struct link_copying *c)
{
	uint16_t packet_id;
	uint8_t reason;

	if (!link_ack_read(c->body, c->h.flags, &packet_id, &reason))
		return false;
	link_ack_write(c->out, c->h.channel, c->h.generation, c->h.flags, packet_id, reason);
	return true;
}

static inline bool copy_subscribe(const struct link_copying *c)
{
	struct link_subscribe s;
	struct link_item item;
	struct str filter;
	unsigned items = 0, inner;
	size_t frame, at;
	bool system;

	if (!link_subscribe_read(c->body, &s))
		return false;
	frame = link_subscribe_begin(c->out, c->h.type, c->h.channel, c->h.generation, s.packet_id,
	                             s.subscription_id);
	for (; link_subscribe_next(&s, &item); items++) {
		at = link_item_begin(c->out, frame, item.code, item.opts, item.filter);
		for (inner = 0; link_item_next(&item, &filter, &system); inner++)
			link_item_inner(c->out, at, filter, system);
		MUST(inner == item.count);
	}
	link_end(c->out, frame);
	MUST(items == s.count);
	return true;
}

static inline bool copy_suback(const struct link_copying *c)
{
	uint16_t packet_id;
	struct str codes;

	if (!link_suback_read(c->body, (enum link_type)c->h.type, &packet_id, &codes))
		return false;
	link_suback_write(c->out, c->h.type, c->h.channel, c->h.generation, packet_id,
	                  (const uint8_t *)codes.p, codes.n);
	return true;
}

static inline bool copy_unsubscribe(const struct link_copying *c)
{
	struct link_unsubscribe u;
	struct str filter;
	unsigned seen = 0;
	size_t frame;

	if (!link_unsubscribe_read(c->body, &u))
		return false;
	frame = link_unsubscribe_begin(c->out, c->h.channel, c->h.generation, u.packet_id);
	for (; link_unsubscribe_next(&u, &filter); seen++)
		link_unsubscribe_add(c->out, frame, filter);
	link_end(c->out, frame);
	MUST(seen == u.count);
	return true;
}

static inline bool copy_rights(const struct link_copying *c)
{
	struct link_rights r;
	struct str filter;
	unsigned seen = 0;
	size_t frame;
	bool system;

	if (!link_rights_read(c->body, &r))
		return false;
	if (c->h.flags) {
		if (r.count)
			return false;
		link_rights_say(c->out, c->h.flags, r.customer, r.token);
		return true;
	}
	frame = link_rights_begin(c->out, r.customer, r.token);
	for (; link_rights_next(&r, &filter, &system); seen++)
		link_rights_add(c->out, frame, filter, system);
	link_end(c->out, frame);
	MUST(seen == r.count);
	return true;
}

static inline bool copy_hold(const struct link_copying *c)
{
	uint64_t customer;
	bool hold;

	if (!link_hold_read(c->body, &customer, &hold))
		return false;
	link_hold_write(c->out, customer, hold);
	return true;
}

/* One whole frame, its head already read. False: the body does not parse. */
static inline bool link_copy(struct link_head h, struct str frame, struct buf *out)
{
	static bool (*const copies[])(const struct link_copying *) = {
		[LINK_HELLO] = copy_hello,     [LINK_PING] = copy_bare,
		[LINK_PONG] = copy_bare,       [LINK_OPEN] = copy_open,
		[LINK_OPENED] = copy_opened,   [LINK_CLOSE] = copy_close,
		[LINK_CLOSED] = copy_closed,   [LINK_WILL_DROP] = copy_bare,
		[LINK_PUBLISH] = copy_publish, [LINK_DELIVER] = copy_deliver,
		[LINK_ACK] = copy_ack,         [LINK_SUBSCRIBE] = copy_subscribe,
		[LINK_SUBACK] = copy_suback,   [LINK_UNSUBSCRIBE] = copy_unsubscribe,
		[LINK_UNSUBACK] = copy_suback, [LINK_REGRANT] = copy_subscribe,
		[LINK_PAUSE] = copy_bare,      [LINK_RESUME] = copy_bare,
		[LINK_FINISH] = copy_bare,     [LINK_FINISHED] = copy_bare,
		[LINK_RIGHTS] = copy_rights,   [LINK_TOKEN] = copy_token,
		[LINK_HOLD] = copy_hold,
	};
	struct link_copying c = { h, str_make(frame.p + LINK_HEAD, h.length - LINK_HEAD), out };

	MUST(h.type < ARRAY_LEN(copies) && copies[h.type]);
	return copies[h.type](&c);
}

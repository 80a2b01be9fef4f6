/* core_talk.h - several clients of two customers on one link, and what each of their channels
 * hears. For tests/unit/core_budget.c and core_lanes.c only. */
#pragma once
#define UNUSED_FN __attribute__((unused))
#include "tests/unit/core_link_help.h"

#include "core/uplink_parts.h"
#include "core/work.h"

enum { CHANNELS = 8, SAID = 60000 };

/* ---- A conversation of several clients of two customers, on one link ---- */
UNUSED_FN static uint64_t customer_of(uint32_t channel)
{
	return channel % 2 ? 7 : 8;
}

UNUSED_FN static struct str own(struct room *room, uint32_t channel, const char *name)
{
	(void)snprintf(room->text, sizeof(room->text), "customer/%u/%s",
	               (unsigned)customer_of(channel), name);
	return str_c(room->text);
}

UNUSED_FN static void put_open(struct buf *b, uint32_t channel, uint16_t generation, const char *id)
{
	struct link_open o = { .version = MQTT_V5,
		               .receive_maximum = 10,
		               .customer = customer_of(channel),
		               .token = 5,
		               .session_expiry_s = 60,
		               .client_id = str_c(id),
		               .peer = STR("local") };

	link_open_write(b, channel, generation, 0, &o);
	link_bare_write(b, LINK_RESUME, channel, generation);
}

UNUSED_FN static void put_sub(struct buf *b, uint32_t channel, uint16_t generation,
                              const char *filter, uint8_t opts)
{
	struct room room;
	size_t frame = link_subscribe_begin(b, LINK_SUBSCRIBE, channel, generation, 7, 0);
	size_t item = link_item_begin(b, frame, 0, opts, str_c(filter));

	link_item_inner(b, item, own(&room, channel, filter), true);
	link_end(b, frame);
}

UNUSED_FN static void put_unsub(struct buf *b, uint32_t channel, uint16_t generation,
                                const char *filter)
{
	size_t frame = link_unsubscribe_begin(b, channel, generation, 8);

	link_unsubscribe_add(b, frame, str_c(filter));
	link_end(b, frame);
}

UNUSED_FN static void put_pub(struct buf *b, uint32_t channel, uint16_t generation,
                              const char *topic, const char *payload, uint8_t qos,
                              uint16_t packet_id)
{
	struct room room;
	struct link_publish p = { qos ? packet_id : 0,
		                  { .topic = own(&room, channel, topic),
		                    .payload = str_c(payload),
		                    .expiry_s = LINK_NO_EXPIRY } };

	link_publish_write(b, channel, generation, qos, &p);
}

/* ---- What each channel hears, as text ---- */
struct heard {
	size_t n;
	char text[SAID];
};
static struct heard heard[2][CHANNELS + 1];
static struct heard *ears;

UNUSED_FN static void hear(uint32_t channel, const char *what, struct str body, unsigned a,
                           unsigned b)
{
	struct heard *h = &ears[channel];

	if (h->n + 100 > sizeof(h->text)) /* a flood, of which the rest is the same */
		return;
	body.n = size_min(body.n, 40);
	h->n += (size_t)snprintf(h->text + h->n, sizeof(h->text) - h->n, "%s %.*s %u %u\n", what,
	                         STR_ARG(body), a, b);
	MUST(h->n < sizeof(h->text));
}

UNUSED_FN static void hear_frame(const struct link_head *head, struct str body)
{
	struct link_deliver d;

	if (head->type != LINK_DELIVER) {
		if (head->channel)
			hear(head->channel, link_type_name(head->type),
			     head->type == LINK_OPENED ? STR("") : str_make(body.p, 0),
			     head->generation, body.n > 2 ? (uint8_t)body.p[2] : 0);
		return;
	}
	MUST(link_deliver_read(body, &d));
	for (uint32_t i = 0; i < d.count; i++) {
		struct link_entry e = link_deliver_entry(&d, i);

		hear(e.channel, "DELIVER", d.msg.payload, e.flags, e.packet_id);
	}
}

UNUSED_FN static void listen_all(void)
{
	struct link_head head;
	ssize_t n;

	do {
		n = recv(fd, buf_reserve(&from, 1 << 20), 1 << 20, 0);
		if (n > 0)
			buf_commit(&from, (size_t)n);
	} while (n > 0);
	while (link_head_read(buf_str(&from), &head) == PARSE_OK) {
		hear_frame(&head, str_make(buf_str(&from).p + LINK_HEAD, head.length - LINK_HEAD));
		buf_consume(&from, head.length);
	}
}

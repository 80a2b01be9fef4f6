/* layout.h - one message as one kind of client gets it: encoded once, copied per client with the
 * packet id patched. Pure. */
#pragma once
#include "wire/link.h"

/* What makes two encodings differ. */
struct layout {
	/* MQTT_V5 or anything lower: there are two shapes */
	uint8_t version;
	uint8_t flags;            /* LINK_QOS | LINK_RETAIN | LINK_DUP */
	uint32_t subscription_id; /* 0 = none, and for v3 */
};

/* The message in the client's terms. */
struct layout_msg {
	struct str topic, response_topic, props, payload; /* props as in struct link_msg */
	struct str extra; /* more user properties in wire form, or empty */
	uint32_t expiry_s;
};

/* normal form: equal layouts have equal bytes */
struct layout layout_of(uint8_t version, uint8_t flags, uint32_t subscription_id);
bool layout_same(const struct layout *a, const struct layout *b);
/* Appends the packet. *packet_id_at: where in the packet the two bytes of the packet id stand; 0
 * with QoS 0. False: longer than MQTT can say, or no memory; nothing is appended then. */
bool layout_write(struct buf *out, const struct layout *l, const struct layout_msg *m,
                  size_t *packet_id_at);

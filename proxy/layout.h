/* layout.h - one message as one kind of client gets it: encoded once, copied per client with the
 * packet id patched. Pure. */
#pragma once
#include "wire/link.h"

/* The topic itself; the topic, and an alias for it; the alias alone. MQTT5 3.3.2.3.4 */
enum layout_alias { ALIAS_NONE, ALIAS_SET, ALIAS_ONLY };

/* What makes two encodings differ. */
struct layout {
	/* MQTT_V5 or anything lower: there are two shapes */
	uint8_t version;
	uint8_t flags;            /* LINK_QOS | LINK_RETAIN | LINK_DUP */
	uint8_t alias;            /* enum layout_alias; NONE for v3 */
	bool extra;               /* with the message's extra properties; not for v3 */
	uint32_t subscription_id; /* 0 = none, and for v3 */
};

/* The message in the client's terms. */
struct layout_msg {
	struct str topic, response_topic, props, payload; /* props as in struct link_msg */
	struct str extra;                                 /* more user properties in wire form */
	uint32_t expiry_s;
};

/* normal form: equal layouts have equal bytes. Without alias and extra: the caller adds them */
struct layout layout_of(uint8_t version, uint8_t flags, uint32_t subscription_id);
bool layout_same(const struct layout *a, const struct layout *b);
struct layout_at { /* where in the packet two bytes are to be filled in; 0 = nowhere */
	size_t packet_id, alias;
};
/* Appends the packet. False: longer than MQTT can say, or no memory; nothing is appended then. */
bool layout_write(struct buf *out, const struct layout *l, const struct layout_msg *m,
                  struct layout_at *at);

/* msg.h - one message of the core: made once, never changed, shared by reference between queues,
 * windows and the retained store. Counted atomically: with several homes a message may be handed to
 * another home's thread. */
#pragma once
#include <stdatomic.h>

#include "wire/link.h"

struct msg {
	_Atomic uint32_t refs;
	uint8_t qos; /* as published */
	bool retain; /* as published */
	bool system; /* topic is under customer/<id>/flespi/ */
	/* bytes of topic before the customer's own name ("customer/7/"); 0 for the trusted world's
	 * names */
	uint8_t prefix;
	/* whose name space the topic is in (0: the trusted world's); token id of the publisher, 0 =
	 * the platform */
	uint64_t customer, token;
	/* publisher, for no-local: compared only, never followed */
	struct session *from;
	int64_t timestamp_ms; /* wall clock when the core accepted it */
	int64_t expires_ms;   /* wall clock when it ends; 0 = never */
	struct link_msg m;    /* str fields point into bytes[] */
	size_t size;          /* what it is charged for: sizeof + bytes */
	char bytes[];
};

/* Copies everything of src (the one copy in). customer and prefix are derived from the topic. NULL:
 * out of memory. */
struct msg *msg_new(const struct link_msg *src, uint8_t qos, bool retain, uint64_t token,
                    struct session *from, int64_t wall_ms);
/* The calling thread keeps memory of messages for reuse, until msg_spares_free(). */
void msg_spares_keep(void);
void msg_spares_free(void);
static inline struct msg *msg_get(struct msg *m)
{
	atomic_fetch_add_explicit(&m->refs, 1, memory_order_relaxed);
	return m;
}
/* drops one reference; empties the slot; NULL is fine */
void msg_put(struct msg **slot);
struct str msg_name(const struct msg *m); /* the topic without the customer's prefix */
/* seconds; LINK_NO_EXPIRY; MQTT5 3.3.2.3.3 */
uint32_t msg_expiry_left(const struct msg *m, int64_t wall_ms);
bool msg_expired(const struct msg *m, int64_t wall_ms);

/* store_parts.h - what a kind of store provides. store.c looks after the call, the kind after the
 * keeping. Only store*.c include it. */
#pragma once
#include "core/store.h"

/* Rows with the arguments of the calls of core/store.h, s included. A kind fills every one of them:
 * store_open() checks that, so that no kind can forget to keep something. Errors while keeping are
 * fatal inside the kind. */
#define STORE_CALLS(C) \
	C(session_put, \
	  (struct store * s, uint64_t customer, struct str client_id, uint32_t expiry_s, \
	   int64_t ended_wall_ms), \
	  (s, customer, client_id, expiry_s, ended_wall_ms)) \
	C(session_del, (struct store * s, uint64_t customer, struct str client_id), \
	  (s, customer, client_id)) \
	C(sub_put, \
	  (struct store * s, uint64_t customer, struct str client_id, const struct link_sub *sub), \
	  (s, customer, client_id, sub)) \
	C(sub_del, (struct store * s, uint64_t customer, struct str client_id, struct str filter), \
	  (s, customer, client_id, filter)) \
	C(queue_put, \
	  (struct store * s, uint64_t customer, struct str client_id, uint64_t number, \
	   const struct msg *m, uint8_t qos, uint32_t subscription_id), \
	  (s, customer, client_id, number, m, qos, subscription_id)) \
	C(queue_sent, \
	  (struct store * s, uint64_t customer, struct str client_id, uint64_t number, \
	   uint16_t packet_id, uint8_t step), \
	  (s, customer, client_id, number, packet_id, step)) \
	C(queue_del, (struct store * s, uint64_t customer, struct str client_id, uint64_t number), \
	  (s, customer, client_id, number)) \
	C(inbound_put, \
	  (struct store * s, uint64_t customer, struct str client_id, uint16_t packet_id), \
	  (s, customer, client_id, packet_id)) \
	C(inbound_del, \
	  (struct store * s, uint64_t customer, struct str client_id, uint16_t packet_id), \
	  (s, customer, client_id, packet_id)) \
	C(will_put, \
	  (struct store * s, uint64_t customer, struct str client_id, const struct msg *will, \
	   int64_t due_wall_ms), \
	  (s, customer, client_id, will, due_wall_ms)) \
	C(will_del, (struct store * s, uint64_t customer, struct str client_id), \
	  (s, customer, client_id)) \
	C(retained_put, (struct store * s, const struct msg *m), (s, m)) \
	C(retained_del, (struct store * s, struct str inner_topic), (s, inner_topic))

struct store_kind {
	const char *name;
	/* a struct store at the start of the kind's own */
	int (*open)(struct store **out, const char *dir, const char **why);
	void (*close)(struct store *s); /* frees it */
	bool (*commit)(struct store *s, struct store_commit *c);
#define C(name, parameters, arguments) void(*name) parameters;
	STORE_CALLS(C)
#undef C
};

struct store {
	const struct store_kind *kind; /* set by store_open() */
};

extern const struct store_kind store_memory;

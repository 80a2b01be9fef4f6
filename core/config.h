/* config.h - the core's settings: one struct, filled by the table in config.c (base/opts.h).
 * Read-only once threads run. */
#pragma once
#include "base/opts.h"
#include "base/uids.h"

struct core_config {
	char *dir; /* folder of the sockets, the lock and the store */
	int64_t homes;
	int store; /* index into core_store_words */
	/* "1000,1001": uids that may connect besides root and ourselves: to both doors, to the link
	 * only, to the MQTT door as mbus-admin */
	char *trusted_uids, *proxy_uids, *admin_uids;
	/* one session; OPEN may name its own queue and subscription limits */
	int64_t queue_messages, queue_bytes, subscriptions, window_max, inbound_max,
	    session_expiry_max;
	/* copies of one message for one session; ms that a QoS 2 id without PUBREL is kept when
	 * there is no room for more; ms between take-overs of a session */
	int64_t copies_max, inbound_expiry, takeover_interval;
	/* one customer */
	int64_t customer_sessions, customer_subscriptions, customer_subscription_bytes,
	    customer_queue_bytes, customer_will_bytes, customer_input, customer_egress,
	    retained_messages, retained_bytes;
	/* $filter/: bytes of a payload that are looked into, steps per message */
	int64_t condition_payload, condition_steps;
	int64_t will_rate;       /* Wills sent per second, 0 = any number */
	int retained_of_revoked; /* enum core_revoked */
	int64_t rights_bytes;    /* of a customer */
	/* ms after a link was lost before the Wills of its clients fire */
	int64_t will_grace;
	/* per home; bytes waiting on a link before its clients count as paused */
	int64_t links_max, link_high;
	/* trusted MQTT door: how many, and how long a packet may be */
	int64_t door_connections, door_packet;
	int log_level;
	/* worked out by core_config_finish */
	struct uids trusted, proxies, admins;
};

enum core_revoked { REVOKED_HIDE, REVOKED_KEEP };
extern const char *const core_store_words[]; /* kinds that store_open knows */

extern const struct opt_set core_opts; /* .config is set by main and tests */

/* After opts_read: reads the lists of user ids. 0 or -E_INVALID with *why. */
int core_config_finish(struct core_config *c, const char **why) MUST_CHECK;

/* What a process may be to us. Root and our own uid may be all of it.
 * LINK    a proxy: speaks for clients of customers (wire/link.h)
 * DOOR    a local service: the trusted MQTT door
 * ADMIN   mbus-admin: publishes mbus/... there, which all proxies believe */
enum core_role { CORE_LINK, CORE_DOOR, CORE_ADMIN };
bool core_uid_may(const struct core_config *c, uid_t uid, enum core_role role);

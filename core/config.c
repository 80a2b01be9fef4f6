/* config.c - the table behind core/config.h. The defaults are the quotas of the design
 * (attacks-and-faults, section 3). */
#include "base/base.h"
#include "core/config.h"

#include "base/log.h"

#define AT(field) offsetof(struct core_config, field)
#define KB(n)     ((int64_t)(n) << 10)
#define MB(n)     ((int64_t)(n) << 20)
#define SEC(n)    ((int64_t)(n)*1000)
#define DAY(n)    SEC((int64_t)(n)*86400)

const char *const core_store_words[] = { "memory", NULL };
/* enum core_revoked */
static const char *const revoked_words[] = { "hide", "keep", NULL };
/* enum log_level */
static const char *const log_levels[] = { "debug", "info", "warn", "error", NULL };

static const struct opt table[] = {
	{ "dir", OPT_TEXT, AT(dir), "/run/mbus", 0, 0, NULL,
	  "folder of the sockets and the lock; made with mode 0750 if it is not there", false },
	{ "homes", OPT_INT, AT(homes), "1", 1, 64, NULL, "threads; a customer lives on one of them",
	  false },
	{ "store", OPT_ENUM, AT(store), "memory", 0, 0, core_store_words,
	  "memory: a restart forgets everything", false },
	{ "trusted_uids", OPT_TEXT, AT(trusted_uids), NULL, 0, 0, NULL,
	  "user ids that may connect to the link and to the trusted MQTT door, besides root and "
	  "the core's own, with commas between them",
	  false },
	{ "proxy_uids", OPT_TEXT, AT(proxy_uids), NULL, 0, 0, NULL,
	  "user ids that may connect to the link only", false },
	{ "admin_uids", OPT_TEXT, AT(admin_uids), NULL, 0, 0, NULL,
	  "user ids that may connect to the trusted MQTT door and publish mbus/... there, as "
	  "mbus-admin does",
	  false },

	{ "queue_messages", OPT_INT, AT(queue_messages), "1000", 1, 10000000, NULL,
	  "QoS 1 and 2 messages waiting for one session", false },
	{ "queue_bytes", OPT_SIZE, AT(queue_bytes), "4m", KB(1), MB(4095), NULL, "and their bytes",
	  false },
	{ "subscriptions", OPT_INT, AT(subscriptions), "1000", 1, 1000000, NULL,
	  "subscriptions of one session", false },
	{ "window_max", OPT_INT, AT(window_max), "1000", 1, 65535, NULL,
	  "messages under way to one client, if it allows so many", false },
	{ "inbound_max", OPT_INT, AT(inbound_max), "1000", 1, 65535, NULL,
	  "QoS 2 messages of one client waiting for its PUBREL", false },
	{ "session_expiry_max", OPT_MSEC, AT(session_expiry_max), "365d", 0, DAY(365), NULL,
	  "a session without a client lives so long at most, whatever a proxy asks for", false },
	{ "copies_max", OPT_INT, AT(copies_max), "64", 1, 1000000, NULL,
	  "copies of one message for one session whose filters overlap; the rest is dropped",
	  false },
	{ "inbound_expiry", OPT_MSEC, AT(inbound_expiry), "1h", SEC(1), DAY(365), NULL,
	  "a QoS 2 message whose PUBREL did not come is forgotten after so long, when its place "
	  "is needed",
	  false },
	{ "takeover_interval", OPT_MSEC, AT(takeover_interval), "1s", 0, SEC(3600), NULL,
	  "one client takes a session over from another so often, after a burst of ten; 0x9F "
	  "beyond it; 0 = any number",
	  false },

	{ "customer_sessions", OPT_INT, AT(customer_sessions), "100000", 1, 100000000, NULL,
	  "sessions of one customer, connected or not", false },
	{ "customer_subscriptions", OPT_INT, AT(customer_subscriptions), "1000000", 1, 1000000000,
	  NULL, "subscriptions of one customer", false },
	{ "customer_subscription_bytes", OPT_SIZE, AT(customer_subscription_bytes), "512m", KB(1),
	  INT64_C(1) << 50, NULL,
	  "and their bytes, with the filters that rights make of them and what stands for these in "
	  "the index",
	  false },
	{ "customer_queue_bytes", OPT_SIZE, AT(customer_queue_bytes), "1g", KB(1), INT64_C(1) << 50,
	  NULL, "messages waiting for all sessions of one customer", false },
	{ "customer_will_bytes", OPT_SIZE, AT(customer_will_bytes), "256m", KB(1), INT64_C(1) << 50,
	  NULL, "Wills of all sessions of one customer", false },
	{ "customer_input", OPT_SIZE, AT(customer_input), "1m", KB(16), MB(1024), NULL,
	  "what clients of one customer said and waits for its turn, before they are not read any "
	  "more",
	  false },
	{ "customer_egress", OPT_SIZE, AT(customer_egress), "0", 0, INT64_C(1) << 40, NULL,
	  "bytes of messages to all clients of one customer per second, a second's worth at once; "
	  "beyond it QoS 0 is dropped, QoS 1 and 2 wait; 0 = no limit",
	  false },
	{ "retained_messages", OPT_INT, AT(retained_messages), "10000", 0, 1000000000, NULL,
	  "retained messages of one customer; 0 = no limit", false },
	{ "retained_bytes", OPT_SIZE, AT(retained_bytes), "64m", 0, INT64_C(1) << 50, NULL,
	  "and their bytes; 0 = no limit", false },
	{ "will_rate", OPT_INT, AT(will_rate), "10000", 0, 10000000, NULL,
	  "Wills of one customer sent per second, with a burst of ten seconds; the rest is "
	  "dropped; 0 = no limit",
	  false },
	{ "condition_payload", OPT_SIZE, AT(condition_payload), "16k", 0, MB(1), NULL,
	  "bytes of a payload that $filter/ looks into; a longer one is null there", false },
	{ "condition_steps", OPT_INT, AT(condition_steps), "50000", 1, 1000000000, NULL,
	  "what all $filter/ together may cost one message, in steps of about 20 ns; beyond it "
	  "they "
	  "hold for none",
	  false },
	{ "retained_of_revoked", OPT_ENUM, AT(retained_of_revoked), "hide", 0, 0, revoked_words,
	  "what becomes of a token's retained messages when it may no longer publish there",
	  false },
	{ "rights_bytes", OPT_SIZE, AT(rights_bytes), "4m", 0, MB(1024), NULL,
	  "bytes of one customer for what its narrowed tokens may still publish; over it, what "
	  "such "
	  "a token had retained is hidden",
	  false },

	{ "will_grace", OPT_MSEC, AT(will_grace), "15s", 0, SEC(3600), NULL,
	  "after a proxy was lost, its clients have so long to come back before their Wills are "
	  "sent",
	  false },
	{ "links_max", OPT_INT, AT(links_max), "256", 1, 4096, NULL, "links from proxies, per home",
	  false },
	{ "link_high", OPT_SIZE, AT(link_high), "8m", KB(64), MB(1024), NULL,
	  "bytes waiting on a link before its clients count as paused", false },
	{ "door_connections", OPT_INT, AT(door_connections), "1000", 1, 100000, NULL,
	  "clients of the trusted MQTT door", false },
	{ "door_packet", OPT_SIZE, AT(door_packet), "1m", KB(1), MB(256), NULL,
	  "longest packet at the trusted MQTT door", false },
	{ "log_level", OPT_ENUM, AT(log_level), "info", 0, 0, log_levels,
	  "least level that is written", false },
};

const struct opt_set core_opts = {
	.program = "mbus-core",
	.section = "core",
	.summary = "sessions, subscriptions, retained and queued messages; Unix sockets only",
	.table = table,
	.count = ARRAY_LEN(table),
	.config = NULL,
};

int core_config_finish(struct core_config *c, const char **why)
{
	int err = uids_read(&c->trusted, c->trusted_uids, why);

	if (!err)
		err = uids_read(&c->proxies, c->proxy_uids, why);
	return err ? err : uids_read(&c->admins, c->admin_uids, why);
}

bool core_uid_may(const struct core_config *c, uid_t uid, enum core_role role)
{
	switch (role) {
	case CORE_LINK:
		return uids_trust(&c->trusted, uid) || uids_trust(&c->proxies, uid);
	case CORE_DOOR:
		return uids_trust(&c->trusted, uid) || uids_trust(&c->admins, uid);
	default:
		return uids_trust(&c->admins, uid);
	}
}

/* limits.c - the table of quotas, and the one place where it is decided which of several values
 * holds (limits.h). */
#include "base/base.h"
#include "acl/limits.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/mem.h"
#include "wire/mqtt.h"

#define KB(n)   (INT64_C(n) << 10)
#define MB(n)   (INT64_C(n) << 20)
#define DAYS(n) (INT64_C(n) * 86400)

/* when a change counts; who enforces it: CUSTOMER is the core too, and no token has one */
enum { AT_CONNECT = false, LIVE = true };
enum { BY_PROXY, BY_CORE, CUSTOMER, BY_ADMIN, CUSTOMER_BY_ADMIN };

/* scripts/limits-docs reads these rows: one call of Q each. */
#define Q(id, name, what, settings, least, most, reason, live, by, file) \
	[LIMIT_##id] = { name, \
		         what, \
		         settings, \
		         least, \
		         most, \
		         reason, \
		         live, \
		         by == BY_CORE || by == CUSTOMER, \
		         by == CUSTOMER || by == CUSTOMER_BY_ADMIN, \
		         file }
const struct limit_row limit_rows[LIMIT_COUNT] = {
	Q(PACKET_SIZE, "mqtt_packet_size", "bytes of a packet", "proxy.packet_max", 128, MB(255),
	  RC_PACKET_TOO_LARGE, AT_CONNECT, BY_PROXY, "proxy/gate.c"),
	Q(TOPIC_SIZE, "mqtt_topic_size", "bytes of a topic or filter", "proxy.topic_max", 1, 65535,
	  RC_TOPIC_NAME_INVALID, LIVE, BY_PROXY, "proxy/gate.c"),
	Q(TOPIC_LEVELS, "mqtt_topic_levels", "levels of a topic or filter", "proxy.levels_max", 1,
	  128, RC_TOPIC_NAME_INVALID, LIVE, BY_PROXY, "proxy/gate.c"),
	Q(CLIENT_ID_SIZE, "mqtt_client_id_size", "bytes of a client id", "proxy.client_id_max", 1,
	  16384, RC_CLIENT_IDENTIFIER_NOT_VALID, AT_CONNECT, BY_PROXY, "proxy/admit.c"),
	Q(USER_PROPERTIES, "mqtt_user_properties", "user properties of a packet",
	  "proxy.user_properties_max", 0, 10000, RC_QUOTA_EXCEEDED, LIVE, BY_PROXY, "proxy/gate.c"),
	Q(USER_PROPERTIES_SIZE, "mqtt_user_properties_size", "bytes of user properties of a packet",
	  "proxy.user_properties_bytes", 0, MB(1), RC_PACKET_TOO_LARGE, LIVE, BY_PROXY,
	  "proxy/gate.c"),
	Q(SUBSCRIBE_FILTERS, "mqtt_subscribe_filters", "filters judged in one SUBSCRIBE",
	  "proxy.filters_per_subscribe", 1, 10000, RC_QUOTA_EXCEEDED, LIVE, BY_PROXY,
	  "proxy/in_subscribe.c"),
	Q(RECEIVE_MAXIMUM, "mqtt_receive_maximum",
	  "QoS 1 and 2 messages of a client that are not acknowledged", "proxy.receive_maximum", 1,
	  1000, RC_RECEIVE_MAXIMUM_EXCEEDED, AT_CONNECT, BY_PROXY, "proxy/in_publish.c"),
	Q(TOPIC_ALIAS_MAXIMUM, "mqtt_topic_alias_maximum", "highest topic alias of a client",
	  "proxy.topic_alias_max", 0, 1000, RC_TOPIC_ALIAS_INVALID, AT_CONNECT, BY_PROXY,
	  "proxy/in_publish.c"),
	Q(KEEP_ALIVE, "mqtt_keep_alive", "seconds of the longest keep-alive (MQTT 5)",
	  "proxy.keep_alive_max", 1, 65535, 0, AT_CONNECT, BY_PROXY, "proxy/opened.c"),
	Q(MESSAGES, "mqtt_messages", "publishes of a client per second", "proxy.publish_rate", 0,
	  10000000, RC_MESSAGE_RATE_TOO_HIGH, LIVE, BY_PROXY, "proxy/in_publish.c"),
	Q(TRAFFIC, "mqtt_traffic", "bytes of publishes of a client per second",
	  "proxy.publish_bytes", 0, MB(1024), RC_MESSAGE_RATE_TOO_HIGH, LIVE, BY_PROXY,
	  "proxy/in_publish.c"),
	Q(SUBSCRIPTIONS, "mqtt_subscriptions", "subscriptions of a session",
	  "proxy.subscriptions_max, core.subscriptions", 0, 1000000, RC_QUOTA_EXCEEDED, LIVE,
	  BY_CORE, "proxy/in_subscribe.c, core/subscription.c"),
	Q(SESSION_MESSAGES, "mqtt_session_messages", "QoS 1 and 2 messages waiting for a session",
	  "proxy.queue_messages, core.queue_messages", 0, 10000000, 0, LIVE, BY_CORE,
	  "core/session_out.c"),
	Q(SESSION_STORAGE, "mqtt_session_storage", "bytes of messages waiting for a session",
	  "proxy.queue_bytes, core.queue_bytes", 0, MB(4095), 0, LIVE, BY_CORE,
	  "core/session_out.c"),
	Q(SESSION_EXPIRY, "mqtt_session_expiry", "seconds of a session's life without its client",
	  "proxy.session_expiry_max, core.session_expiry_max", 0, DAYS(365), 0, AT_CONNECT,
	  BY_PROXY, "proxy/opened.c"),
	Q(SESSIONS, "mqtt_sessions", "connections",
	  "proxy.connections_per_token, proxy.connections_per_customer", 0, 10000000,
	  RC_QUOTA_EXCEEDED, AT_CONNECT, BY_PROXY, "proxy/admit.c"),
	Q(CONNECTS, "mqtt_connects", "clients that connect per second",
	  "proxy.connect_rate_per_token, proxy.connect_rate_per_customer", 0, 1000000,
	  RC_CONNECTION_RATE_EXCEEDED, AT_CONNECT, BY_PROXY, "proxy/admit.c"),
	Q(CLIENT_CONNECTS, "mqtt_client_connects", "connects of one client id per second",
	  "proxy.connect_rate_per_client", 0, 1000000, RC_CONNECTION_RATE_EXCEEDED, AT_CONNECT,
	  BY_PROXY, "proxy/admit.c"),
	Q(STORED_SESSIONS, "mqtt_stored_sessions", "sessions, connected or not",
	  "core.customer_sessions", 0, 100000000, RC_QUOTA_EXCEEDED, AT_CONNECT, BY_CORE,
	  "core/session_open.c"),
	Q(RETAINED_MESSAGES, "mqtt_retained_messages", "retained messages",
	  "core.retained_messages", 0, 1000000000, RC_QUOTA_EXCEEDED, LIVE, BY_CORE,
	  "core/retained.c"),
	Q(RETAINED_STORAGE, "mqtt_retained_storage", "bytes of retained messages",
	  "core.retained_bytes", 0, INT64_C(1) << 50, RC_QUOTA_EXCEEDED, LIVE, BY_CORE,
	  "core/retained.c"),
	Q(SESSIONS_STORAGE, "mqtt_sessions_storage",
	  "bytes of messages waiting for all sessions of a customer", "core.customer_queue_bytes",
	  0, INT64_C(1) << 50, 0, LIVE, CUSTOMER, "core/session_out.c"),
	Q(EGRESS, "mqtt_egress", "bytes of messages to all clients of a customer per second",
	  "core.customer_egress", 1, INT64_C(1) << 40, 0, LIVE, CUSTOMER, "core/egress.c"),
	Q(WILLS, "mqtt_wills", "Wills of a customer sent per second", "core.will_rate", 0, 10000000,
	  0, LIVE, CUSTOMER, "core/will.c"),
	Q(API_CALLS, "api_calls", "REST calls per minute",
	  "admin.api_calls_per_token, admin.api_calls_per_customer", 0, 10000000, 0, LIVE, BY_ADMIN,
	  "admin/calls.c"),
	Q(TOKENS, "tokens_count", "tokens of a customer", "admin.tokens_per_customer", 0, 1000000,
	  0, LIVE, CUSTOMER_BY_ADMIN, "admin/rest_tokens.c"),
	Q(SUBACCOUNTS, "subaccounts_count", "accounts directly below a customer",
	  "admin.subaccounts_per_customer", 0, 1000000, 0, LIVE, CUSTOMER_BY_ADMIN,
	  "admin/rest_subaccounts.c"),
};
#undef Q

static const char *const objects[LIMIT_LEVELS] = {
	[LIMIT_BY_SERVER] = "server_limits",
	[LIMIT_BY_CUSTOMER] = "customer_limits",
	[LIMIT_BY_TOKEN] = "limits",
};

/* ---- Reading ---- */

static bool in_range(const struct limit_row *row, const json_t *value, int64_t most)
{
	json_int_t v = json_integer_value(value);

	return json_is_integer(value) && (v == -1 || (v >= row->least && v <= most));
}

static int complain(const struct limit_row *row, const json_t *value, char *why, size_t why_size)
{
	if (!json_is_integer(value))
		(void)snprintf(why, why_size, "%s must be an integer", row->name);
	else
		(void)snprintf(why, why_size,
		               "%s is out of range: -1 (no limit of its own) or %" PRId64
		               " to %" PRId64,
		               row->name, row->least, row->most);
	return -E_INVALID;
}

struct room {
	struct limits l;
	struct limit_told at[LIMITS_MOST];
};

static int read_level(struct room *room, enum limit_level level, const json_t *object, char *why,
                      size_t why_size)
{
	const json_t *limits = json_object_get(object, objects[level]), *value;

	if (!limits)
		return 0;
	if (!json_is_object(limits)) {
		(void)snprintf(why, why_size, "%s must be an object", objects[level]);
		return -E_INVALID;
	}
	for (unsigned id = 0; id < LIMIT_COUNT; id++) {
		value = json_object_get(limits, limit_rows[id].name);
		if (!value)
			continue;
		/* whoever says "any number" by a very large one: limits_value knows the most */
		if (!in_range(&limit_rows[id], value, INT64_MAX))
			return complain(&limit_rows[id], value, why, why_size);
		room->at[room->l.count++] =
		    (struct limit_told){ (uint8_t)level, (uint8_t)id, json_integer_value(value) };
	}
	return 0;
}

int limits_read(struct limits **out, const json_t *object, char *why, size_t why_size)
{
	struct room room;
	int err = 0;

	memset(&room, 0, sizeof(room)); /* the gaps too: see limits_same */
	for (unsigned level = 0; !err && level < LIMIT_LEVELS; level++)
		err = read_level(&room, level, object, why, why_size);
	return err ? err : limits_copy(out, &room.l);
}

static int check(const json_t *object, bool token, char *why, size_t why_size)
{
	const char *key;
	json_t *value;

	/* jansson's iterator wants a pointer that is not const, and changes nothing */
	json_object_foreach((json_t *)(uintptr_t)object, key, value)
	{
		unsigned id = 0;

		while (id < LIMIT_COUNT && strcmp(limit_rows[id].name, key) != 0)
			id++;
		if (id == LIMIT_COUNT) {
			(void)snprintf(why, why_size, "limits: there is no %.40s", key);
			return -E_INVALID;
		}
		if (token && limit_rows[id].customers_only) {
			(void)snprintf(why, why_size, "limits: %s is for customers", key);
			return -E_INVALID;
		}
		if (!in_range(&limit_rows[id], value, limit_rows[id].most))
			return complain(&limit_rows[id], value, why, why_size);
	}
	return 0;
}

int limits_check_token(const json_t *object, char *why, size_t why_size)
{
	return check(object, true, why, why_size);
}

int limits_check_customer(const json_t *object, char *why, size_t why_size)
{
	return check(object, false, why, why_size);
}

/* ---- Keeping ---- */

static size_t size_of(const struct limits *l)
{
	return sizeof(*l) + l->count * sizeof(l->at[0]);
}

int limits_copy(struct limits **out, const struct limits *from)
{
	struct limits *l = NULL;

	if (from && from->count) {
		l = mem_dup(from, size_of(from));
		if (!l)
			return -E_NOMEM;
	}
	*out = l;
	return 0;
}

void limits_free(struct limits **slot)
{
	mem_free(*slot);
	*slot = NULL;
}

bool limits_same(const struct limits *a, const struct limits *b)
{
	if (!a || !b)
		return a == b;
	if (a->count != b->count)
		return false;
	for (unsigned i = 0; i < a->count; i++) {
		if (a->at[i].level != b->at[i].level || a->at[i].id != b->at[i].id ||
		    a->at[i].value != b->at[i].value)
			return false;
	}
	return true;
}

/* ---- What holds ---- */

static int64_t lower(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

int64_t limits_value(const struct limits *l, enum limit id, enum limit_level level, int64_t ours)
{
	/* an operator who sets more than `most` for all means it */
	int64_t most = ours > limit_rows[id].most ? ours : limit_rows[id].most, value = ours;

	for (unsigned i = 0; l && i < l->count; i++) {
		const struct limit_told *t = &l->at[i];
		int64_t v = t->value < 0 ? most : lower(t->value, most);

		if (t->id != id || t->level > level)
			continue;
		value = t->level == LIMIT_BY_SERVER ? v : lower(value, v);
	}
	return value;
}

int limits_lower(json_t *limits, const json_t *cap)
{
	for (unsigned id = 0; id < LIMIT_COUNT; id++) {
		const char *name = limit_rows[id].name;
		const json_t *have = json_object_get(limits, name),
			     *most = json_object_get(cap, name);
		json_int_t h = json_integer_value(have), m = json_integer_value(most);

		if (!most || (have && (m < 0 || (h >= 0 && h <= m))))
			continue;
		if (json_object_set_new(limits, name, json_integer(m)))
			return -E_NOMEM;
	}
	return 0;
}

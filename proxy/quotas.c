/* quotas.c - which setting is the default of which quota (quotas.h). */
#include "base/base.h"
#include "proxy/quotas.h"

#include "proxy/config.h"
#include "proxy/worker.h"
#include "wire/link.h"

enum zero { ZERO_IS_ZERO, ZERO_IS_NONE };

struct default_row {
	enum limit id;
	enum limit_level level;
	size_t setting; /* offset of an int64_t in struct proxy_config */
	int64_t unit;   /* so much of the setting is one */
	enum zero zero;
};

#define AT(field) offsetof(struct proxy_config, field)
#define T         LIMIT_BY_TOKEN
#define C         LIMIT_BY_CUSTOMER
static const struct default_row defaults[] = {
	{ LIMIT_PACKET_SIZE, T, AT(packet_max), 1, ZERO_IS_ZERO },
	{ LIMIT_TOPIC_SIZE, T, AT(topic_max), 1, ZERO_IS_ZERO },
	{ LIMIT_TOPIC_LEVELS, T, AT(levels_max), 1, ZERO_IS_ZERO },
	{ LIMIT_CLIENT_ID_SIZE, T, AT(client_id_max), 1, ZERO_IS_ZERO },
	{ LIMIT_USER_PROPERTIES, T, AT(user_properties_max), 1, ZERO_IS_ZERO },
	{ LIMIT_USER_PROPERTIES_SIZE, T, AT(user_properties_bytes), 1, ZERO_IS_ZERO },
	{ LIMIT_SUBSCRIBE_FILTERS, T, AT(filters_per_subscribe), 1, ZERO_IS_ZERO },
	{ LIMIT_RECEIVE_MAXIMUM, T, AT(receive_maximum), 1, ZERO_IS_ZERO },
	{ LIMIT_TOPIC_ALIAS_MAXIMUM, T, AT(topic_alias_max), 1, ZERO_IS_ZERO },
	{ LIMIT_KEEP_ALIVE, T, AT(keep_alive_max), 1000, ZERO_IS_ZERO },
	{ LIMIT_MESSAGES, T, AT(publish_rate), 1, ZERO_IS_NONE },
	{ LIMIT_TRAFFIC, T, AT(publish_bytes), 1, ZERO_IS_NONE },
	{ LIMIT_SUBSCRIPTIONS, T, AT(subscriptions_max), 1, ZERO_IS_ZERO },
	{ LIMIT_SESSION_MESSAGES, T, AT(queue_messages), 1, ZERO_IS_ZERO },
	{ LIMIT_SESSION_STORAGE, T, AT(queue_bytes), 1, ZERO_IS_ZERO },
	{ LIMIT_SESSION_EXPIRY, T, AT(session_expiry_max), 1000, ZERO_IS_ZERO },
	{ LIMIT_SESSIONS, T, AT(connections_per_token), 1, ZERO_IS_NONE },
	{ LIMIT_SESSIONS, C, AT(connections_per_customer), 1, ZERO_IS_NONE },
	{ LIMIT_CONNECTS, T, AT(connect_rate_per_token), 1, ZERO_IS_NONE },
	{ LIMIT_CONNECTS, C, AT(connect_rate_per_customer), 1, ZERO_IS_NONE },
	{ LIMIT_CLIENT_CONNECTS, T, AT(connect_rate_per_client), 1, ZERO_IS_NONE },
};
#undef T
#undef C

static int64_t setting_of(const struct proxy_config *f, const struct default_row *row)
{
	int64_t v;

	memcpy(&v, (const char *)f + row->setting, sizeof(v));
	return v == 0 && row->zero == ZERO_IS_NONE ? LIMIT_NONE : v / row->unit;
}

void quotas_work_out(struct quotas *q, const struct proxy_config *f, const struct limits *told)
{
	for (unsigned id = 0; id < LIMIT_COUNT; id++)
		q->token[id] = q->customer[id] = LIMIT_NONE;
	for (size_t i = 0; i < ARRAY_LEN(defaults); i++) {
		const struct default_row *row = &defaults[i];
		int64_t *to = row->level == LIMIT_BY_TOKEN ? q->token : q->customer;

		to[row->id] = limits_value(told, row->id, row->level, setting_of(f, row));
	}
}

unsigned quota_over(struct worker *w, enum limit id)
{
	w->over[id]++;
	return limit_rows[id].reason;
}

void quotas_tell(const struct quotas *q, const struct limits *told, struct buf *out)
{
	for (unsigned id = 0; id < LIMIT_COUNT; id++) {
		if (limit_rows[id].core && q->token[id] != LIMIT_NONE)
			link_limit_put(out, &(struct link_limit){ LIMIT_BY_SERVER, (uint8_t)id,
			                                          q->token[id] });
	}
	for (unsigned i = 0; told && i < told->count; i++) {
		const struct limit_told *t = &told->at[i];

		if (limit_rows[t->id].core && q->token[t->id] == LIMIT_NONE)
			link_limit_put(out, &(struct link_limit){ t->level, t->id, t->value });
	}
}

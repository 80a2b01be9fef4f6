/* quota.c - the quotas that the core enforces: its settings, and what the proxies say of tokens and
 * customers with OPEN and TOKEN. The last word counts for all of a customer. */
#include "base/base.h"
#include "core/session.h"

void quota_read(struct told *out, struct str entries)
{
	struct link_limit l;

	out->l.count = 0;
	while (out->l.count < LIMITS_MOST && link_limits_next(&entries, &l)) {
		if (l.level < LIMIT_LEVELS && l.id < LIMIT_COUNT)
			out->at[out->l.count++] = (struct limit_told){ l.level, l.id, l.value };
	}
}

/* A setting where 0 is no limit. */
static int64_t none_if_zero(int64_t setting)
{
	return setting ? setting : LIMIT_NONE;
}

void quota_customer(struct customer *c, const struct limits *told)
{
	const struct core_config *f = c->home->config;

	c->most_sessions =
	    limits_value(told, LIMIT_STORED_SESSIONS, LIMIT_BY_CUSTOMER, f->customer_sessions);
	c->most_queue_bytes =
	    limits_value(told, LIMIT_SESSIONS_STORAGE, LIMIT_BY_CUSTOMER, f->customer_queue_bytes);
	c->will_rate =
	    c->id ? limits_value(told, LIMIT_WILLS, LIMIT_BY_CUSTOMER, none_if_zero(f->will_rate))
		  : LIMIT_NONE;
	c->egress = c->id ? limits_value(told, LIMIT_EGRESS, LIMIT_BY_CUSTOMER,
	                                 none_if_zero(f->customer_egress))
	                  : LIMIT_NONE; /* the trusted world hears all customers */
	retained_limit(c->retained,
	               limits_value(told, LIMIT_RETAINED_MESSAGES, LIMIT_BY_CUSTOMER,
	                            none_if_zero(f->retained_messages)),
	               limits_value(told, LIMIT_RETAINED_STORAGE, LIMIT_BY_CUSTOMER,
	                            none_if_zero(f->retained_bytes)));
}

void quota_account(struct account *a, const struct limits *told)
{
	a->most_sessions = limits_value(told, LIMIT_STORED_SESSIONS, LIMIT_BY_TOKEN, LIMIT_NONE);
	a->most_retained = limits_value(told, LIMIT_RETAINED_MESSAGES, LIMIT_BY_TOKEN, LIMIT_NONE);
	a->most_retained_bytes =
	    limits_value(told, LIMIT_RETAINED_STORAGE, LIMIT_BY_TOKEN, LIMIT_NONE);
}

static uint32_t of_session(const struct limits *told, enum limit id, int64_t ours)
{
	int64_t v = limits_value(told, id, LIMIT_BY_TOKEN, ours);

	return v < UINT32_MAX ? (uint32_t)v : UINT32_MAX;
}

void quota_session(struct session *s, const struct limits *told)
{
	const struct core_config *f = session_home(s)->config;

	s->queue_messages_max = of_session(told, LIMIT_SESSION_MESSAGES, f->queue_messages);
	s->queue_bytes_max = of_session(told, LIMIT_SESSION_STORAGE, f->queue_bytes);
	s->subscriptions_max = of_session(told, LIMIT_SUBSCRIPTIONS, f->subscriptions);
}

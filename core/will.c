/* will.c - Wills, and what is left of a token that lost rights (RIGHTS). While a client is
 * connected the proxy judges its Will; afterwards it waits here (Will delay, grace of a lost link),
 * and is judged again: by rights_until when it fires, and by RIGHTS (attack C02). */
#include "base/base.h"
#include "core/session.h"

#include "base/log.h"

enum { WILL_BURST_S = 10 };

struct msg *will_new(struct home *h, const struct link_open *o)
{
	return msg_new(&o->will, o->will_qos, o->will_retain, o->token, NULL, home_wall(h));
}

void will_set(struct session *s, struct msg *will, uint32_t delay_s)
{
	MUST(!s->will);
	s->will = will;
	s->will_delay_s = delay_s;
	if (s->durable)
		store_will_put(session_home(s)->store, s->customer->id, session_id(s), will, 0);
}

void will_forget(struct session *s)
{
	s->will_due = 0;
	if (!s->will)
		return;
	if (s->durable)
		store_will_del(session_home(s)->store, s->customer->id, session_id(s));
	msg_put(&s->will);
}

/* Attack R19: connecting with a Will and breaking off again is a way to publish, too. */
static bool over_rate(struct customer *c)
{
	int64_t rate = c->will_rate, now = home_now(c->home) * 1000;

	if (rate == LIMIT_NONE || rate == 0)
		return rate == 0;
	if (c->wills_due < now)
		c->wills_due = now;
	if (c->wills_due + 1000000 / rate > now + WILL_BURST_S * 1000000)
		return true;
	c->wills_due += 1000000 / rate;
	return false;
}

/* What is published is a new message: its time and its expiry begin now (MQTT5 3.1.3.2.4). */
void will_fire(struct session *s)
{
	struct home *h = session_home(s);
	struct msg *m = NULL;

	if (!s->will)
		return;
	if (over_rate(s->customer)) {
		h->counters.wills_over_rate++;
		LOG_WARN(home_name(h), "will-dropped", "cid=%" PRIu64 " client=%s why=rate",
		         s->customer->id, log_esc(session_id(s)));
	} else if (s->rights_until && home_wall(h) >= s->rights_until * 1000) {
		h->counters.wills_dropped++;
		LOG_INFO(home_name(h), "will-dropped", "cid=%" PRIu64 " client=%s why=token-ended",
		         s->customer->id, log_esc(session_id(s)));
	} else {
		m = msg_new(&s->will->m, s->will->qos, s->will->retain, s->will->token, s,
		            home_wall(h));
		if (!m)
			h->counters.dropped_memory++;
	}
	will_forget(s);
	if (!m)
		return;
	h->counters.wills_fired++;
	(void)home_publish(h, m);
	msg_put(&m);
}

/* Without memory for it the Will is dropped: under its old token it would be judged by rights that
 * are no longer its client's. */
void will_change_token(struct session *s)
{
	struct home *h = session_home(s);
	struct msg *m;

	if (!s->will || s->will->token == s->token)
		return;
	m = msg_new(&s->will->m, s->will->qos, s->will->retain, s->token, NULL, home_wall(h));
	if (!m) {
		h->counters.wills_dropped++;
		will_forget(s);
		return;
	}
	msg_put(&s->will);
	will_set(s, m, s->will_delay_s);
}

void session_will_drop(struct port *p)
{
	if (p->session->will)
		session_home(p->session)->counters.wills_dropped++;
	will_forget(p->session);
}

/* ---- RIGHTS ---- */
struct rights {
	const struct customer *customer;
	struct link_rights filters;
};

static bool may_publish(const struct rights *rights, const struct msg *m)
{
	struct link_rights walk = rights->filters;
	struct filter f;

	while (link_rights_next(&walk, &f.text, &f.system)) {
		if (customer_name(rights->customer, f.text, &f.text) && topic_match(f, msg_name(m)))
			return true;
	}
	return false;
}

static bool rights_inside(const struct customer *c, struct link_rights walk)
{
	struct str filter, name;
	bool system;

	while (link_rights_next(&walk, &filter, &system)) {
		if (!customer_name(c, filter, &name))
			return false;
	}
	return true;
}

static bool keep(void *arg, struct msg *m)
{
	const struct rights *rights = arg;

	if (may_publish(rights, m))
		return true;
	store_retained_del(rights->customer->home->store, m->m.topic);
	return false;
}

static void wills_apply(struct customer *c, const struct rights *rights, uint64_t token)
{
	struct home *h = c->home;

	map_each(n, &c->sessions) {
		struct session *s = container_of(n, struct session, node);

		if (!s->will || s->will->token != token || may_publish(rights, s->will))
			continue;
		h->counters.wills_dropped++;
		LOG_INFO(home_name(h), "will-dropped", "cid=%" PRIu64 " client=%s why=rights",
		         c->id, log_esc(session_id(s)));
		will_forget(s);
		session_rearm(s);
	}
}

bool rights_apply(struct home *h, const struct link_rights *r)
{
	struct customer *c = r->customer ? customer_find(h, r->customer) : NULL;
	struct rights rights = { c, *r };
	size_t purged;

	if (!r->customer || !r->token)
		return false;
	home_changed(h);
	if (!c)
		return true; /* nothing of it here */
	if (!rights_inside(c, *r))
		return false;
	wills_apply(c, &rights, r->token);
	if (h->config->retained_of_revoked == REVOKED_HIDE) {
		purged = retained_purge(c->retained, r->token, keep, &rights);
		h->counters.retained_purged += purged;
		if (purged)
			LOG_INFO(home_name(h), "retained-hidden",
			         "cid=%" PRIu64 " token=%" PRIu64 " count=%zu", c->id, r->token,
			         purged);
		customer_settle(c);
	}
	return true;
}

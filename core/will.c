/* will.c - Wills. While a client is connected the proxy judges its Will; afterwards it waits here
 * (Will delay, grace of a lost link), and is judged again when it fires: by rights_until, and by
 * what its token may publish then (rights.h, attack C02). */
#include "base/base.h"
#include "core/session.h"

#include "base/log.h"
#include "core/rights.h"

enum { WILL_BURST_S = 10 };

struct msg *will_new(struct home *h, const struct link_open *o)
{
	return msg_new(&o->will, o->will_qos, o->will_retain, o->token, NULL, home_wall(h));
}

/* Attack R19: a Will has up to 64 KiB, and waits as long as its session. */
bool will_fits(const struct customer *c, const struct session *s, const struct msg *will)
{
	size_t before = s && s->will ? s->will->size : 0;

	if (c->will_bytes - before + will->size <= (size_t)c->home->config->customer_will_bytes)
		return true;
	c->home->counters.refused_will_bytes++;
	return false;
}

void will_release(struct session *s)
{
	if (!s->will)
		return;
	s->customer->will_bytes -= s->will->size;
	if (s->account)
		s->account->wills--;
	msg_put(&s->will);
}

void will_set(struct session *s, struct msg *will, uint32_t delay_s)
{
	MUST(!s->will); /* that of a session's last connection was sent or forgotten */
	s->will = will;
	s->will_delay_s = delay_s;
	s->customer->will_bytes += will->size;
	if (s->account)
		s->account->wills++;
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
	will_release(s);
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

/* NULL, or why its token's Will is not sent. */
static const char *rights_refuse(const struct session *s)
{
	struct account *a = s->account;
	size_t cost = 0;

	if (s->rights_until && home_wall(session_home(s)) >= s->rights_until * 1000)
		return "token-ended";
	if (s->customer->blocked)
		return "customer-blocked";
	if (!a || a->state == ACCOUNT_FREE ||
	    (a->state == ACCOUNT_SOME && rights_allow(a, msg_name(s->will), &cost)))
		return NULL;
	return "rights";
}

/* What is published is a new message: its time and its expiry begin now (MQTT5 3.1.3.2.4). */
void will_fire(struct session *s)
{
	struct home *h = session_home(s);
	struct msg *m = NULL;
	const char *why;

	if (!s->will)
		return;
	why = rights_refuse(s);
	if (over_rate(s->customer)) {
		h->counters.wills_over_rate++;
		LOG_WARN(home_name(h), "will-dropped", "cid=%" PRIu64 " client=%s why=rate",
		         s->customer->id, log_esc(session_id(s)));
	} else if (why) {
		h->counters.wills_dropped++;
		LOG_INFO(home_name(h), "will-dropped", "cid=%" PRIu64 " client=%s why=%s",
		         s->customer->id, log_esc(session_id(s)), why);
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
	will_release(s);
	will_set(s, m, s->will_delay_s);
}

void session_will_drop(struct port *p)
{
	if (p->session->will)
		session_home(p->session)->counters.wills_dropped++;
	will_forget(p->session);
}

/* session_open.c - how a session begins, goes on, or changes hands: OPEN and TOKEN. Is there room,
 * what becomes of the one who had it before, which terms hold now. */
#include "base/base.h"
#include "core/session.h"

#include "base/log.h"
#include "core/rights.h"

enum { TAKEOVER_BURST = 10, LOOK_FOR_ROOM = 64 };

static bool open_inside(const struct customer *c, uint8_t flags, const struct link_open *o)
{
	const struct home *h = c->home;
	struct str name;

	if (o->client_id.n == 0 || o->client_id.n > UINT16_MAX)
		return false;
	/* the trusted world publishes everywhere */
	if (o->customer && link_home_of(o->customer, h->count) != h->index)
		return false;
	if (!(flags & LINK_OPEN_WILL))
		return true;
	return customer_name(c, o->will.topic, &name) && topic_name_ok(name) &&
	       (o->will.response_topic.n == 0 || customer_name(c, o->will.response_topic, &name));
}

/* Is the old session's Will not to be sent? A client that comes back to a waiting session cancels
 * it [MQTT-3.1.3-9], and within the grace of a lost link so does one that starts anew. On a
 * take-over it is sent, unless the new connection goes on with the session and the Will was to wait
 * (MQTT5 3.1.4, comment). */
static bool will_cancelled(const struct session *s, bool clean, bool goes_on)
{
	if (s->state == SESSION_LIVE)
		return !clean && s->will_delay_s;
	return goes_on || s->grace_until > home_now(session_home(s));
}

/* An old session, whatever its state, becomes one without a connection. True: it goes on; false: it
 * starts anew, with nothing; it may be another one then. */
static bool settle_old(struct session **slot, bool clean)
{
	struct session *s = *slot;
	struct home *h = session_home(s);
	bool live = s->state == SESSION_LIVE;
	/* 0: it ends with its connection */
	bool goes_on = !clean && s->state != SESSION_GHOST && !(live && s->expiry_s == 0);
	struct port *p = s->port;

	if (s->will && will_cancelled(s, clean, goes_on)) {
		h->counters.wills_cancelled++;
		will_forget(s);
	}
	if (live) { /* [MQTT-3.1.4-3] */
		h->counters.taken_over++;
		session_port_off(s);
		session_enter(s, SESSION_AWAY);
		p->ops->closed(p, RC_SESSION_TAKEN_OVER);
	}
	will_fire(s);
	s->will_due = s->ends_due = s->grace_until = 0;
	session_rearm(s);
	if (!goes_on)
		*slot = session_anew(s);
	return goes_on;
}

static void take_terms(struct session *s, const struct link_open *o, struct account *account,
                       const struct limits *told)
{
	struct home *h = session_home(s);
	const struct core_config *config = h->config;

	session_take_token(s, o->token, o->rights_until, account);
	s->expiry_s = session_clamp_expiry(h, o->session_expiry_s);
	s->window = o->receive_maximum < config->window_max ? o->receive_maximum
	                                                    : (uint16_t)config->window_max;
	if (s->window == 0)
		s->window = 1;
	quota_session(s, told);
	/* what it had lives on with the connection, but not in the store */
	if (s->expiry_s == 0 && s->durable)
		store_session_del(h->store, s->customer->id, session_id(s));
	s->durable = s->expiry_s != 0;
	if (s->durable)
		store_session_put(h->store, s->customer->id, session_id(s), s->expiry_s, 0);
}

static void attach(struct session *s, struct port *p, bool present)
{
	struct home *h = session_home(s);

	session_enter(s, SESSION_LIVE);
	s->port = p;
	p->session = s;
	p->paused = true;
	work_spend(h, s->filters_bytes / WORK_BYTES); /* OPENED lists them */
	out_connected(s);
	replays_unpause(s);
	h->counters.opened++;
	h->counters.resumed += present;
	p->tell_rights = rights_opened(s->customer, s->account);
	p->ops->opened(p, present, RC_SUCCESS, s);
}

static void refuse(struct home *h, struct port *p, const struct link_open *o, uint8_t reason)
{
	h->counters.refused++;
	LOG_WARN(home_name(h), "open-refused", "cid=%" PRIu64 " client=%s why=%s", o->customer,
	         log_esc(o->client_id), mqtt_reason_text(reason));
	p->session = NULL;
	p->ops->opened(p, false, reason, NULL);
}

/* Attack R07: two clients under one id that reconnect at once would drive each other, and us, round
 * and round. The newcomer is sent away and the old one stays: it is the one that works. */
static bool takeover_fits(struct session *s)
{
	int64_t interval = session_home(s)->config->takeover_interval,
		now = home_now(session_home(s));

	if (s->takeovers_due < now)
		s->takeovers_due = now;
	if (s->takeovers_due + interval > now + TAKEOVER_BURST * interval) {
		session_home(s)->counters.takeovers_refused++;
		return false;
	}
	s->takeovers_due += interval;
	return true;
}

/* Attack R12: over the count, the session that has waited longest and is owed nothing makes room
 * for who is here now. Messages that were taken are never thrown away for it. of: only sessions of
 * this account; NULL: any. NULL if there is none. */
static struct session *who_makes_room(struct customer *c, const struct account *of)
{
	unsigned looked = 0;
	struct session *s;

	list_each(s, &c->idle, struct session, place) {
		if (++looked > LOOK_FOR_ROOM)
			return NULL;
		if (!of || s->account == of)
			return s;
	}
	return NULL;
}

/* s: the session under that name, or NULL. account has a place for the newcomer already. victim:
 * who has to go for it, or NULL; a session of the account makes room in both counts. */
static bool room_for(struct customer *c, const struct session *s, const struct account *account,
                     struct session **victim)
{
	bool too_many = !s && (int64_t)c->sessions.count >= c->most_sessions,
	     too_many_of_account = account && !(s && s->account == account) &&
	                           (int64_t)account->sessions > account->most_sessions;

	*victim = NULL;
	if (!too_many && !too_many_of_account)
		return true;
	*victim = who_makes_room(c, too_many_of_account ? account : NULL);
	return *victim;
}

static void evict(struct session *s)
{
	struct customer *c = s->customer;

	c->home->counters.evicted++;
	LOG_INFO(home_name(c->home), "session-evicted", "cid=%" PRIu64 " client=%s", c->id,
	         log_esc(session_id(s)));
	session_finish(s);
}

/* RC_SUCCESS, or why not. All that can be refused comes before another session, or the old one, is
 * touched. */
static uint8_t open_as(struct customer *c, struct port *p, uint8_t flags, const struct link_open *o,
                       struct account *account, const struct limits *told)
{
	struct session *s = session_find(c, o->client_id), *victim;
	bool present = false, fresh = !s;
	struct msg *will = NULL;

	if (!room_for(c, s, account, &victim))
		return RC_QUOTA_EXCEEDED;
	if (!fresh && s->state == SESSION_LIVE && !takeover_fits(s))
		return RC_CONNECTION_RATE_EXCEEDED;
	if ((flags & LINK_OPEN_WILL) && !(will = will_new(c->home, o)))
		return RC_SERVER_BUSY;
	if (will && !will_fits(c, s, will)) {
		msg_put(&will);
		return RC_QUOTA_EXCEEDED;
	}
	if (victim)
		evict(victim);
	if (fresh)
		s = session_new(c, o->client_id);
	else
		present = settle_old(&s, flags & LINK_OPEN_CLEAN);
	if (!s) {
		msg_put(&will);
		return RC_SERVER_BUSY;
	}
	p->other_token = present && s->token != o->token;
	take_terms(s, o, account, told);
	if (will)
		will_set(s, will, o->will_delay_s);
	attach(s, p, present);
	return RC_SUCCESS;
}

static uint8_t open_in(struct customer *c, struct port *p, uint8_t flags, const struct link_open *o)
{
	struct account *account = NULL;
	struct told told;
	uint8_t reason;

	quota_read(&told, o->limits);
	quota_customer(c, &told.l);
	if (c->id && o->token) {
		account = account_get(&c->accounts, o->token);
		if (!account)
			return RC_SERVER_BUSY;
		quota_account(account, &told.l);
		account->sessions++; /* held, whoever goes meanwhile */
	}
	reason = open_as(c, p, flags, o, account, &told.l);
	if (account)
		account->sessions--;
	account_settle(&account);
	return reason;
}

struct port *session_port(struct home *h, uint64_t customer, struct str client_id)
{
	struct customer *c = customer_find(h, customer);
	struct session *s = c ? session_find(c, client_id) : NULL;

	return s ? s->port : NULL;
}

bool session_open(struct home *h, struct port *p, uint8_t flags, const struct link_open *o)
{
	struct customer *c = customer_get(h, o->customer);
	uint8_t reason;

	home_changed(h);
	p->session = NULL;
	p->paused = true;
	if (!c) {
		refuse(h, p, o, RC_SERVER_BUSY);
		return true;
	}
	if (!open_inside(c, flags, o)) {
		customer_settle(c);
		return false;
	}
	reason = h->ending ? RC_SERVER_SHUTTING_DOWN : open_in(c, p, flags, o);
	if (reason) {
		refuse(h, p, o, reason);
		customer_settle(c);
	}
	return true;
}

void session_token(struct port *p, const struct link_token *t)
{
	struct session *s = p->session;
	struct customer *c = s->customer;
	struct account *account = s->account;
	struct told told;

	quota_read(&told, t->limits);
	quota_customer(c, &told.l);
	quota_session(s, &told.l);
	if (c->id && t->token && t->token != s->token)
		/* without memory it stays with the old one, which only counts */
		account = account_get(&c->accounts, t->token);
	if (!account)
		account = s->account;
	if (account && account->token == t->token)
		quota_account(account, &told.l);
	session_take_token(s, t->token, t->rights_until, account);
	rights_used(account);
	will_change_token(s);
}

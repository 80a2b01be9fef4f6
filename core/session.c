/* session.c - the life of a session: opening with take-over and resumption, the ways a connection
 * ends, expiry.
 *
 * When a connection has ended, two moments may lie ahead: the Will's (delay, grace of a lost link)
 * and the session's end (expiry). One timer stands for the earlier. A session that ends while its
 * Will still waits for the grace of its link stays as a ghost: it has nothing but that Will, and
 * whoever comes back under its client id cancels it. */
#include "base/base.h"
#include "core/session.h"

#include "base/log.h"
#include "base/mem.h"

enum { ENDINGS_PER_TURN = 512, ENDINGS_LATER_MS = 8, TAKEOVER_BURST = 10 };

#define TO(state) (1u << SESSION_##state)
static const struct {
	const char *name;
	unsigned next;
} states[] = {
#define S(name, next) [SESSION_##name] = { #name, next },
	SESSION_STATES(S)
#undef S
};

/* the only writer of s->state */
static void session_enter(struct session *s, enum session_state to)
{
	MUST(states[s->state].next & (1u << to));
	LOG_DEBUG(home_name(session_home(s)), "session", "cid=%" PRIu64 " client=%s from=%s to=%s",
	          s->customer->id, log_esc(session_id(s)), states[s->state].name, states[to].name);
	s->state = (uint8_t)to;
}

/* ---- Look-up and memory ---- */
static uint64_t session_hash(struct str client_id)
{
	return hash_bytes(client_id.p, client_id.n);
}

struct session *session_find(const struct customer *c, struct str client_id)
{
	for (struct map_node *n = map_first(&c->sessions, session_hash(client_id)); n;
	     n = map_next(n)) {
		struct session *s = container_of(n, struct session, node);

		if (str_eq(session_id(s), client_id))
			return s;
	}
	return NULL;
}

static void timer_fired(struct timer *t);

static struct session *session_new(struct customer *c, struct str client_id)
{
	struct session *s = mem_zalloc(sizeof(*s) + client_id.n);

	if (!s)
		return NULL;
	s->customer = c;
	s->state = SESSION_AWAY;
	s->next_id = 1;
	s->qos_max = 2;
	s->id_len = (uint16_t)client_id.n;
	memcpy(s->id, client_id.p, client_id.n);
	list_init(&s->queue);
	list_init(&s->flight);
	timer_init(&s->timer, timer_fired);
	if (map_add(&c->sessions, &s->node, session_hash(client_id))) {
		mem_free(s);
		return NULL;
	}
	return s;
}

/* Everything the session has, but its Will. Group members' messages go to others. */
static void session_empty(struct session *s)
{
	subs_clear(s);
	out_clear(s);
	inbound_clear(s);
	s->redeliver = s->sweep = false;
	if (s->durable)
		store_session_del(session_home(s)->store, s->customer->id, session_id(s));
	s->durable = false;
}

static void session_free(struct session *s) /* port, Will and what it had are gone */
{
	session_enter(s, SESSION_GONE);
	timer_stop(&s->timer);
	map_del(&s->customer->sessions, &s->node);
	mem_free(s);
}

/* The session's end: its Will, if one is left, is sent now (MQTT5 3.1.3.2.2). The customer may go
 * with it. */
static void session_end(struct session *s)
{
	struct customer *c = s->customer;

	will_fire(s);
	session_empty(s);
	session_free(s);
	map_trim(&c->sessions);
	customer_settle(c);
}

void session_free_all(struct customer *c)
{
	map_each(n, &c->sessions) {
		struct session *s = container_of(n, struct session, node);

		MUST(!s->port);
		msg_put(&s->will);
		session_empty(s);
		session_free(s);
	}
}

/* ---- Time ---- */
void session_rearm(struct session *s)
{
	int64_t due = s->will_due;

	if (s->ends_due && (!due || s->ends_due < due))
		due = s->ends_due;
	if (due)
		timer_set(session_home(s)->loop, &s->timer, due - home_now(session_home(s)));
	else
		timer_stop(&s->timer);
}

/* Many sessions may end in the same second (fault F29): a turn ends so many, the others wait a
 * moment. */
static bool too_many(struct home *h)
{
	if (h->ended_at != home_now(h)) {
		h->ended_at = home_now(h);
		h->ended = 0;
	}
	return h->ended++ >= ENDINGS_PER_TURN;
}

static void timer_fired(struct timer *t)
{
	struct session *s = container_of(t, struct session, timer);
	struct home *h = session_home(s);

	home_changed(h);
	if (too_many(h)) {
		timer_set(h->loop, t, ENDINGS_LATER_MS);
		return;
	}
	if (s->will_due && s->will_due <= home_now(h))
		will_fire(s);
	if (!s->ends_due || s->ends_due > home_now(h)) {
		session_rearm(s);
		return;
	}
	if (s->state == SESSION_AWAY)
		h->counters.expired++;
	session_end(s);
}

/* ---- The end of a connection ---- */
static void replays_stop(struct session *s)
{
	map_each(n, &s->subs)
		replay_stop(container_of(n, struct subscription, node));
}

static void port_off(struct session *s)
{
	s->port->session = NULL;
	s->port = NULL;
	if (s->replays)
		replays_stop(s);
}

/* The port is off. May free s. grace_ms: the Will waits at least so long. */
static void session_away(struct session *s, int64_t grace_ms)
{
	struct home *h = session_home(s);
	int64_t now = home_now(h), delay = 0;

	home_changed(h);
	if (s->will) {
		delay =
		    (int64_t)(s->will_delay_s < s->expiry_s ? s->will_delay_s : s->expiry_s) * 1000;
		if (delay < grace_ms)
			delay = grace_ms;
	}
	if (s->expiry_s == 0 && delay == 0) {
		session_end(s);
		return;
	}
	s->grace_until = grace_ms ? now + grace_ms : 0;
	session_enter(s, s->expiry_s ? SESSION_AWAY : SESSION_GHOST);
	if (s->state == SESSION_GHOST)
		session_empty(s);
	s->will_due = s->will && delay ? now + delay : 0;
	s->ends_due = s->state == SESSION_GHOST ? s->will_due : now + (int64_t)s->expiry_s * 1000;
	if (s->durable)
		store_session_put(h->store, s->customer->id, session_id(s), s->expiry_s,
		                  home_wall(h));
	if (!s->will_due)
		will_fire(s);
	session_rearm(s);
}

static uint32_t clamp_expiry(const struct home *h, uint32_t expiry_s)
{
	int64_t most = h->config->session_expiry_max / 1000;

	return expiry_s < most ? expiry_s : (uint32_t)most;
}

void session_close(struct port *p, uint8_t flags, uint32_t session_expiry_s)
{
	struct session *s = p->session;
	struct home *h = session_home(s);

	h->counters.closed++;
	port_off(s);
	/* MQTT5 3.14.2.2.2: from 0 it cannot be raised */
	if ((flags & LINK_CLOSE_EXPIRY) && s->expiry_s) {
		s->expiry_s = clamp_expiry(h, session_expiry_s);
		if (s->expiry_s == 0 && s->durable) {
			store_session_del(h->store, s->customer->id, session_id(s));
			s->durable = false;
		}
	}
	if (!(flags & LINK_CLOSE_WILL)) /* MQTT5 [MQTT-3.1.2-10] */
		will_forget(s);
	session_away(s, 0);
}

void session_lost(struct port *p, int64_t grace_ms)
{
	struct session *s = p->session;

	session_home(s)->counters.lost++;
	port_off(s);
	session_away(s, grace_ms);
}

void sessions_close(struct home *h, uint8_t reason)
{
	map_each(cn, &h->customers) {
		struct customer *c = container_of(cn, struct customer, node);

		map_each(n, &c->sessions) {
			struct session *s = container_of(n, struct session, node);
			struct port *p = s->port;

			if (!p)
				continue;
			port_off(s);
			session_enter(s, SESSION_AWAY);
			p->ops->closed(p, reason);
		}
	}
}

/* ---- Opening ---- */
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
 * starts anew, with nothing. */
static bool settle_old(struct session *s, bool clean)
{
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
		port_off(s);
		session_enter(s, SESSION_AWAY);
		p->ops->closed(p, RC_SESSION_TAKEN_OVER);
	}
	will_fire(s);
	s->will_due = s->ends_due = s->grace_until = 0;
	session_rearm(s);
	if (!goes_on)
		session_empty(s);
	return goes_on;
}

static uint32_t limit_of(uint32_t asked, int64_t ours)
{
	int64_t limit = asked ? asked : ours;

	return limit < UINT32_MAX ? (uint32_t)limit : UINT32_MAX;
}

static void take_terms(struct session *s, const struct link_open *o)
{
	struct home *h = session_home(s);
	const struct core_config *config = h->config;

	s->token = o->token;
	s->rights_until = o->rights_until;
	s->expiry_s = clamp_expiry(h, o->session_expiry_s);
	s->window = o->receive_maximum < config->window_max ? o->receive_maximum
	                                                    : (uint16_t)config->window_max;
	if (s->window == 0)
		s->window = 1;
	s->queue_messages_max = limit_of(o->queue_messages, config->queue_messages);
	s->queue_bytes_max = limit_of(o->queue_bytes, config->queue_bytes);
	s->subscriptions_max = limit_of(o->subscriptions, config->subscriptions);
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
	out_connected(s);
	h->counters.opened++;
	h->counters.resumed += present;
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

/* RC_SUCCESS, or why not. All that can fail comes before the old session is touched. */
static uint8_t open_in(struct customer *c, struct port *p, uint8_t flags, const struct link_open *o)
{
	struct session *s = session_find(c, o->client_id);
	bool present = false, fresh = !s;
	struct msg *will = NULL;

	if (fresh && c->sessions.count >= (size_t)c->home->config->customer_sessions)
		return RC_QUOTA_EXCEEDED;
	if (!fresh && s->state == SESSION_LIVE && !takeover_fits(s))
		return RC_CONNECTION_RATE_EXCEEDED;
	if ((flags & LINK_OPEN_WILL) && !(will = will_new(c->home, o)))
		return RC_SERVER_BUSY;
	if (fresh)
		s = session_new(c, o->client_id);
	else
		present = settle_old(s, flags & LINK_OPEN_CLEAN);
	if (!s) {
		msg_put(&will);
		return RC_SERVER_BUSY;
	}
	take_terms(s, o);
	if (will)
		will_set(s, will, o->will_delay_s);
	attach(s, p, present);
	return RC_SUCCESS;
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
	const struct core_config *config = session_home(s)->config;

	s->token = t->token;
	s->rights_until = t->rights_until;
	s->queue_messages_max = limit_of(t->queue_messages, config->queue_messages);
	s->queue_bytes_max = limit_of(t->queue_bytes, config->queue_bytes);
	s->subscriptions_max = limit_of(t->subscriptions, config->subscriptions);
	will_change_token(s);
}

/* ---- Flow ---- */
void session_pause(struct port *p)
{
	p->paused = true;
}

void session_resume(struct port *p)
{
	p->paused = false;
	out_pump(p->session);
}

void session_drained(struct port *p)
{
	out_pump(p->session);
}

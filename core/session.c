/* session.c - the life of a session: memory, the ways a connection ends, expiry. It begins in
 * session_open.c, and what it has is taken apart in session_end.c.
 *
 * When a connection has ended, two moments may lie ahead: the Will's (delay, grace of a lost link)
 * and the session's end (expiry). One timer stands for the earlier. A session that ends while its
 * Will still waits for the grace of its link stays as a ghost: it has nothing but that Will, and
 * whoever comes back under its client id cancels it. */
#include "base/base.h"
#include "core/session.h"

#include "base/log.h"
#include "base/mem.h"
#include "core/work.h"

enum { DUE_UNITS = 100 }; /* a session that ends, and its lines; besides what ends with it */

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
void session_enter(struct session *s, enum session_state to)
{
	MUST(states[s->state].next & (1u << to)); /* callers ask for the state, not the peer */
	LOG_DEBUG(home_name(session_home(s)), "session", "cid=%" PRIu64 " client=%s from=%s to=%s",
	          s->customer->id, log_esc(session_id(s)), states[s->state].name, states[to].name);
	s->state = (uint8_t)to;
	list_del(&s->place);
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

struct session *session_new(struct customer *c, struct str client_id)
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
	list_init(&s->place);
	list_init(&s->due);
	list_init(&s->asleep);
	timer_init(&s->timer, timer_fired);
	if (map_add(&c->sessions, &s->node, session_hash(client_id))) {
		mem_free(s);
		return NULL;
	}
	return s;
}

/* Whose session it is from now on; an account that is left empty goes. */
void session_take_token(struct session *s, uint64_t token, int64_t rights_until,
                        struct account *account)
{
	s->token = token;
	s->rights_until = rights_until;
	if (account == s->account)
		return;
	if (s->account) {
		s->account->sessions--;
		s->account->wills -= s->will != NULL;
	}
	account_settle(&s->account);
	s->account = account;
	if (account) {
		account->sessions++;
		account->wills += s->will != NULL;
	}
}

void session_unlist(struct session *s)
{
	session_enter(s, SESSION_GONE);
	timer_stop(&s->timer);
	list_del(&s->due);
	session_take_token(s, 0, 0, NULL);
	map_del(&s->customer->sessions, &s->node);
}

void session_free(struct session *s)
{
	map_free(&s->subs);
	mem_free(s);
}

/* The customer may go with it. */
static void session_end(struct session *s)
{
	struct customer *c = s->customer;

	session_finish(s);
	customer_settle(c);
}

void session_free_all(struct customer *c)
{
	map_each(n, &c->sessions) {
		struct session *s = container_of(n, struct session, node);

		MUST(!s->port); /* doors and links are closed before */
		will_release(s);
		session_empty(s);
		session_unlist(s);
		session_free(s);
	}
}

/* ---- Time ---- */
void session_rearm(struct session *s)
{
	int64_t due = s->will_due;

	list_del(&s->due);
	if (s->ends_due && (!due || s->ends_due < due))
		due = s->ends_due;
	if (due)
		timer_set(session_home(s)->loop, &s->timer, due - home_now(session_home(s)));
	else
		timer_stop(&s->timer);
}

static void time_came(struct session *s)
{
	struct home *h = session_home(s);

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

/* Many sessions of a customer may end in the same second (fault F29), each with a Will for many
 * subscribers: they wait for their customer's turn. A Will whose way is cut (route.c) stands behind
 * this job, and before the next session. */
static bool due_step(struct work *w)
{
	struct customer *c = container_of(w, struct customer, due_work);
	struct home *h = c->home;
	struct session *s;

	home_changed(h);
	list_del(&w->node); /* no job is under way for what these publish */
	while ((s = list_first(&c->due, struct session, due))) {
		list_del(&s->due);
		work_spend(h, DUE_UNITS);
		time_came(s);
		if (work_over(h) || work_jobs(c))
			break;
	}
	if (list_empty(&c->due))
		return false;
	list_add_tail(&c->works, &w->node);
	return true;
}

static void due_drop(struct work *w)
{
	(void)w; /* only when the home ends */
}

void sessions_due_init(struct customer *c)
{
	list_init(&c->due);
	list_init(&c->due_work.node);
	c->due_work.step = due_step;
	c->due_work.drop = due_drop;
}

static void timer_fired(struct timer *t)
{
	struct session *s = container_of(t, struct session, timer);
	struct customer *c = s->customer;

	list_add_tail(&c->due, &s->due);
	if (list_empty(&c->due_work.node))
		work_add(c, &c->due_work);
}

/* ---- The end of a connection ---- */
void session_port_off(struct session *s)
{
	if (s->customer->awaited == s->port)
		s->customer->awaited = NULL;
	s->port->session = NULL;
	s->port = NULL;
	request_leave(s, false);
	replays_pause(s);
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
	if (!s->expiry_s)
		s = session_anew(s);
	session_enter(s, s->expiry_s ? SESSION_AWAY : SESSION_GHOST);
	s->grace_until = grace_ms ? now + grace_ms : 0;
	s->will_due = s->will && delay ? now + delay : 0;
	s->ends_due = s->state == SESSION_GHOST ? s->will_due : now + (int64_t)s->expiry_s * 1000;
	if (s->durable)
		store_session_put(h->store, s->customer->id, session_id(s), s->expiry_s,
		                  home_wall(h));
	if (!s->will_due)
		will_fire(s);
	session_rearm(s);
	if (s->state == SESSION_AWAY && list_empty(&s->queue) && list_empty(&s->flight) &&
	    !inbound_any(s))
		list_add_tail(&s->customer->idle, &s->place);
}

uint32_t session_clamp_expiry(const struct home *h, uint32_t expiry_s)
{
	int64_t most = h->config->session_expiry_max / 1000;

	return expiry_s < most ? expiry_s : (uint32_t)most;
}

void session_close(struct port *p, uint8_t flags, uint32_t session_expiry_s)
{
	struct session *s = p->session;
	struct home *h = session_home(s);

	h->counters.closed++;
	session_port_off(s);
	/* MQTT5 3.14.2.2.2: from 0 it cannot be raised */
	if ((flags & LINK_CLOSE_EXPIRY) && s->expiry_s) {
		s->expiry_s = session_clamp_expiry(h, session_expiry_s);
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
	session_port_off(s);
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
			session_port_off(s);
			session_enter(s, SESSION_AWAY);
			p->ops->closed(p, reason);
		}
	}
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

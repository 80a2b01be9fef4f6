/* auth_ask.c - asks of workers on their way to the endpoint and back.
 *
 * One credential is asked about once at a time, however many wait for it (F05). Bounded:
 * credentials in the queue (auth_queue, and of one address auth_queue_per_ip), asks that wait
 * (auth_queue + connections_max), time in the queue and at the endpoint (auth_timeout each). Who
 * does not fit is answered at once: 0x89. Refreshes of tokens in use have a queue of their own,
 * which cannot grow beyond the table; both queues take turns for free slots, so that neither a
 * storm of connects nor a storm of refreshes starves the other. */
#include "base/base.h"
#include "proxy/auth_parts.h"

#include "base/mem.h"
#include "proxy/rates.h"
#include "wire/mqtt.h"

/* ---- A worker's ask ---- */
static void ask_arrived(struct inbox_item *item);

struct auth_ask *auth_ask_new(const struct credential *c, const struct sock_addr *peer,
                              struct inbox *reply_to, void (*done)(struct auth_ask *), void *owner)
{
	struct auth_ask *ask = mem_zalloc(sizeof(*ask) + c->key.n + c->cert.n);

	if (!ask)
		return NULL;
	ask->reply_to = reply_to;
	ask->done = done;
	ask->owner = owner;
	ask->peer = *peer;
	ask->short_id = c->short_id;
	ask->key_size = c->key.n;
	if (c->key.n)
		memcpy(ask->key, c->key.p, c->key.n);
	ask->cert_size = c->cert.n;
	if (c->cert.n)
		memcpy(ask->key + c->key.n, c->cert.p, c->cert.n);
	list_init(&ask->waiting);
	return ask;
}

void auth_ask(struct auth *a, struct auth_ask *ask)
{
	ask->auth = a;
	ask->item.run = ask_arrived;
	inbox_push(a->inbox, &ask->item);
}

void auth_ask_free(struct auth_ask **slot)
{
	struct auth_ask *ask = *slot;

	*slot = NULL;
	if (!ask)
		return;
	auth_token_put(&ask->token);
	mem_wipe(ask->key, ask->key_size);
	mem_free(ask);
}

static void ask_back(struct inbox_item *item) /* worker's thread */
{
	struct auth_ask *ask = container_of(item, struct auth_ask, item);

	ask->done(ask);
}

/* token: a reference that goes along, with RC_SUCCESS. */
static void answer(struct auth *a, struct auth_ask *ask, uint8_t reason, struct token *token)
{
	MUST((reason == RC_SUCCESS) == (token != NULL));
	if (reason == RC_SUCCESS)
		COUNT(a, yes);
	else if (reason == RC_SERVER_UNAVAILABLE)
		COUNT(a, unavailable);
	else if (reason == RC_SERVER_BUSY)
		COUNT(a, overflow);
	else
		COUNT(a, no);
	ask->reason = reason;
	ask->token = token;
	mem_wipe(ask->key, ask->key_size); /* nobody needs it any more */
	ask->item.run = ask_back;
	inbox_push(ask->reply_to, &ask->item);
}

void auth_ask_waiting(struct auth *a, struct known *k, uint8_t reason)
{
	struct auth_ask *ask;

	list_each(ask, &k->waiting, struct auth_ask, waiting) {
		list_del(&ask->waiting);
		a->waiting_count--;
		answer(a, ask, reason, reason == RC_SUCCESS ? auth_token_get(&k->token) : NULL);
	}
}

static void wait_for(struct auth *a, struct known *k, struct auth_ask *ask)
{
	list_add_tail(&k->waiting, &ask->waiting);
	a->waiting_count++;
}

/* ---- The queues ---- */
static size_t queue_most(const struct auth *a)
{
	return a->config->auth_queue > 0 ? (size_t)a->config->auth_queue : 1;
}

static size_t waiting_most(const struct auth *a)
{
	return queue_most(a) +
	       (a->config->connections_max > 0 ? (size_t)a->config->connections_max : 0);
}

static void queued(struct auth *a, struct known *k, enum known_state queue)
{
	MUST(k->state == KNOWN_IDLE);
	k->state = queue;
	k->queued_at = loop_now(a->loop);
	/* Not now: the caller may be walking over a table that starting (and failing) takes entries
	 * from. */
	loop_at_end(a->loop, &a->pump);
}

/* For those who wait; in the turn of the one that waits longest. 0 or -E_NOMEM */
static int enqueue_ask(struct auth *a, struct known *k, bool first)
{
	const struct auth_ask *ask = list_first(&k->waiting, struct auth_ask, waiting);

	if (auth_queue_add(&a->asks, k, &ask->peer, first))
		return -E_NOMEM;
	auth_tidy_in(a, AUTH_TIDY_MS); /* nobody waits for a slot for ever */
	queued(a, k, KNOWN_QUEUED_ASK);
	return 0;
}

static void dequeue(struct auth *a, struct known *k)
{
	MUST(k->state == KNOWN_QUEUED_ASK || k->state == KNOWN_QUEUED_REFRESH);
	if (k->state == KNOWN_QUEUED_ASK)
		auth_queue_del(&a->asks, k);
	else
		list_del(&k->queue);
	k->state = KNOWN_IDLE;
}

void auth_ask_refresh(struct auth *a, struct known *k)
{
	if (k->state != KNOWN_IDLE)
		return;
	list_add_tail(&a->refreshes, &k->queue);
	queued(a, k, KNOWN_QUEUED_REFRESH);
}

static void leave_queue(struct auth *a, struct known *k, uint8_t reason)
{
	dequeue(a, k);
	auth_ask_waiting(a, k, reason);
	if (k->listed)
		auth_later(a, k);
	else
		auth_table_forget(&a->table, k);
}

/* ---- Arrival ---- */
/* What can be said without asking: RC_SUCCESS with *token, a reason, or -1. */
static int known_already(struct auth *a, const uint8_t digest[CRYPT_HASH], struct known *k,
                         struct token **token)
{
	int64_t now = loop_now(a->loop);
	uint8_t reason;

	if (k && k->listed)
		return auth_known_reason(k, now, token);
	reason = auth_refused_look(&a->refused, digest, now);
	return reason ? reason : -1;
}

/* Has this address as much waiting as one may? Of this machine: whoever forwards for many. */
static bool over_share(const struct auth *a, const struct sock_addr *peer)
{
	int64_t most = a->config->auth_queue_per_ip;

	return most > 0 && !rates_loopback(peer) && auth_queue_has(&a->asks, peer, (size_t)most);
}

/* May one more credential be queued? RC_SUCCESS or why not. Another one may have to go for it. */
static uint8_t may_queue(struct auth *a, const struct known *k, const struct sock_addr *peer)
{
	int64_t now = loop_now(a->loop);
	struct known *last;

	if ((k && now < k->rest_until) || breaker_says(&a->breaker, now) == BREAKER_STOP)
		return RC_SERVER_UNAVAILABLE;
	if (over_share(a, peer)) {
		COUNT(a, over_share);
		return RC_SERVER_BUSY;
	}
	if (a->asks.count < queue_most(a))
		return RC_SUCCESS;
	last = auth_queue_give_way(&a->asks, peer);
	if (!last)
		return RC_SERVER_BUSY;
	COUNT(a, over_share);
	leave_queue(a, last, RC_SERVER_BUSY);
	return RC_SUCCESS;
}

/* Nobody waits for it yet. */
static void first_asked(struct auth *a, struct known *k)
{
	if (k->state == KNOWN_QUEUED_REFRESH)
		/* somebody waits for it now: it gets the deadline of an ask */
		dequeue(a, k);
	if (k->listed) {
		auth_arm(a, k);
	} else {
		auth_table_awake(&a->table, k);
		timer_stop(&k->timer);
	}
	if (enqueue_ask(a, k, false)) {
		auth_ask_waiting(a, k, RC_SERVER_UNAVAILABLE);
		if (k->listed)
			auth_later(a, k);
		else
			auth_table_forget(&a->table, k);
	}
}

static void known_asked(struct auth *a, struct known *k, struct auth_ask *ask)
{
	wait_for(a, k, ask);
	if (k->state == KNOWN_IDLE || k->state == KNOWN_QUEUED_REFRESH)
		first_asked(a, k);
	else
		COUNT(a, merged);
}

static void ask_arrived(struct inbox_item *item)
{
	struct auth_ask *ask = container_of(item, struct auth_ask, item);
	struct auth *a = ask->auth;
	const struct credential c = { .key = str_make(ask->key, ask->key_size),
		                      .short_id = ask->short_id,
		                      .cert = str_make(ask->key + ask->key_size, ask->cert_size) };
	uint8_t digest[CRYPT_HASH], may = RC_SUCCESS;
	struct token *token = NULL;
	struct known *k;
	int reason;

	COUNT(a, asked);
	if (!credential_ok(&c, a->config->auth_key_form == 1)) {
		COUNT(a, refused_form);
		answer(a, ask, RC_BAD_USER_NAME_OR_PASSWORD, NULL);
		return;
	}
	auth_table_digest(&a->table, &c, digest);
	k = auth_table_find(&a->table, digest);
	reason = known_already(a, digest, k, &token);
	if (reason >= 0) {
		answer(a, ask, (uint8_t)reason, token);
		return;
	}
	if (a->waiting_count >= waiting_most(a))
		may = RC_SERVER_BUSY;
	else if (!k || k->state == KNOWN_IDLE || k->state == KNOWN_QUEUED_REFRESH)
		may = may_queue(a, k, &ask->peer);
	if (may == RC_SUCCESS && !k) {
		k = auth_table_add(&a->table, &c, digest);
		if (k)
			auth_adopt(a, k);
		else
			may = RC_SERVER_UNAVAILABLE;
	}
	if (may == RC_SUCCESS)
		known_asked(a, k, ask);
	else
		answer(a, ask, may, NULL);
}

/* ---- To the endpoint and back ---- */
static struct known *next_queued(struct auth *a)
{
	struct known *ask = auth_queue_next(&a->asks),
		     *refresh = list_first(&a->refreshes, struct known, queue);

	if (ask && refresh) {
		a->refresh_turn = !a->refresh_turn;
		return a->refresh_turn ? refresh : ask;
	}
	return ask ? ask : refresh;
}

static void start(struct auth *a, struct known *k)
{
	const struct credential c = { .key = str_make(k->key, k->key_size),
		                      .short_id = k->short_id,
		                      .cert = str_make(k->key + k->key_size, k->cert_size) };
	struct auth_reply nothing = { .said = SAID_NOTHING, .reason = RC_SERVER_UNAVAILABLE };

	dequeue(a, k);
	k->breaker_round = breaker_start(&a->breaker);
	k->asked_serial = a->push_serial;
	if (auth_http_ask(a->http, &c, k) == 0) {
		k->state = KNOWN_RUNNING;
		return;
	}
	/* No memory for it: that says nothing about the endpoint, but a probe must have an end. */
	(void)breaker_result(&a->breaker, k->breaker_round, false, loop_now(a->loop),
	                     auth_random(a));
	auth_answered(a, k, &nothing);
}

/* The circuit is open: nobody waits for a closed door. Their credentials were not asked about, so
 * they need no rest afterwards. */
static void give_up_queued(struct auth *a)
{
	struct known *k;

	while ((k = next_queued(a)))
		leave_queue(a, k, RC_SERVER_UNAVAILABLE);
}

void auth_ask_pump(struct hook *pump)
{
	struct auth *a = container_of(pump, struct auth, pump);

	while (auth_http_room(a->http)) {
		struct known *k = next_queued(a);

		if (!k)
			return;
		switch (breaker_says(&a->breaker, loop_now(a->loop))) {
		case BREAKER_WAIT:
			return;
		case BREAKER_STOP:
			give_up_queued(a);
			return;
		case BREAKER_GO:
			start(a, k);
			break;
		}
	}
}

/* A push came while this was asked: the answer may tell what was before it. */
static bool overtaken(const struct auth *a, const struct known *k, const struct auth_reply *reply)
{
	if (a->push_serial == k->asked_serial)
		return false;
	if (k->by_token.group && auth_pushed_since(a, k->asked_serial, k->customer, k->id))
		return true;
	return reply->said == SAID_TOKEN &&
	       auth_pushed_since(a, k->asked_serial, reply->info.customer, reply->info.id);
}

/* Before all others. False: no memory */
static bool again(struct auth *a, struct known *k)
{
	if (!list_empty(&k->waiting))
		return enqueue_ask(a, k, true) == 0;
	list_add_head(&a->refreshes, &k->queue);
	queued(a, k, KNOWN_QUEUED_REFRESH);
	return true;
}

void auth_ask_done(void *auth, void *known, struct auth_reply *reply)
{
	struct auth *a = auth;
	struct known *k = known;

	MUST(k->state == KNOWN_RUNNING); /* auth_http.h calls this once per call */
	k->state = KNOWN_IDLE;
	if (breaker_result(&a->breaker, k->breaker_round,
	                   reply->said != SAID_NOTHING || !reply->down, loop_now(a->loop),
	                   auth_random(a)))
		COUNT(a, breaker_opened);
	if (reply->said != SAID_NOTHING && overtaken(a, k, reply)) {
		if (reply->said == SAID_TOKEN)
			token_info_free(&reply->info);
		*reply =
		    (struct auth_reply){ .said = SAID_NOTHING, .reason = RC_SERVER_UNAVAILABLE };
		if (k->again++ < AUTH_AGAIN_MAX && again(a, k))
			return;
	}
	k->again = 0;
	auth_answered(a, k, reply);
	loop_at_end(a->loop, &a->pump); /* a slot is free */
}

void auth_ask_expire(struct auth *a)
{
	int64_t now = loop_now(a->loop);
	struct known *k;

	while ((k = list_first(&a->asks.all, struct known, queue)) &&
	       now - k->queued_at > a->config->auth_timeout)
		leave_queue(a, k, RC_SERVER_BUSY);
}

void auth_ask_stop(struct auth *a)
{
	map_each(node, &a->table.all) {
		struct known *k = container_of(node, struct known, by_digest);
		struct auth_ask *ask;

		list_each(ask, &k->waiting, struct auth_ask, waiting) {
			list_del(&ask->waiting);
			auth_ask_free(&ask);
		}
		if (k->state == KNOWN_QUEUED_ASK)
			auth_queue_del(&a->asks, k);
		list_del(&k->queue);
		k->state = KNOWN_IDLE;
	}
	a->waiting_count = 0;
}

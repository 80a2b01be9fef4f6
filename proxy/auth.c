/* auth.c - authentication as workers see it: the fast path without a lock, starting and stopping
 * the thread. */
#include "base/base.h"
#include "proxy/auth.h"

#include "base/clock.h"
#include "base/mem.h"
#include "proxy/auth_parts.h"
#include "wire/mqtt.h"

/* ---- The fast path: any worker ---- */
int auth_known_reason(struct known *k, int64_t now, struct token **out)
{
	const struct verdict *v;

	/* Before the verdict: who sees "not stale" sees at least the verdict that made it so. */
	if (atomic_load_explicit(&k->stale, memory_order_acquire))
		return -1;
	v = auth_verdict(&k->token);
	if (now >= v->fresh_until)
		return -1;
	if (v->reason != RC_SUCCESS)
		return v->reason;
	if (!known_try_get(k))
		return -1;
	*out = &k->token;
	return RC_SUCCESS;
}

int auth_look(struct auth *a, const struct credential *c, const struct sock_addr *peer,
              struct token **out)
{
	int64_t now = clock_mono_ms();
	uint8_t digest[CRYPT_HASH], refused;
	struct known *k;
	int reason;

	/* a verdict is about the token; its `ips` are the worker's to check */
	(void)peer;
	if (!credential_ok(c, a->config->auth_key_form == 1)) {
		COUNT(a, refused_form);
		return RC_BAD_USER_NAME_OR_PASSWORD;
	}
	auth_table_digest(&a->table, c, digest);
	k = auth_table_look(&a->table, digest);
	if (k) {
		reason = auth_known_reason(k, now, out);
	} else {
		refused = auth_refused_look(&a->refused, digest, now);
		reason = refused ? refused : -1;
	}
	if (reason >= 0)
		COUNT(a, look_hits);
	return reason;
}

bool auth_untold(struct auth *a, const struct credential *c, uint64_t *customer, uint64_t *id)
{
	uint8_t digest[CRYPT_HASH];
	struct known *k;

	if (!credential_ok(c, a->config->auth_key_form == 1))
		return false;
	auth_table_digest(&a->table, c, digest);
	k = auth_table_look(&a->table, digest);
	if (!k || !atomic_exchange_explicit(&k->untold, false, memory_order_acq_rel))
		return false;
	*customer = k->customer;
	*id = k->id;
	return true;
}

void auth_refused_form(struct auth *a)
{
	COUNT(a, refused_form);
}

const struct auth_counters *auth_counters(const struct auth *a)
{
	return &a->counters;
}

/* ---- Housekeeping: only while there is something to do ---- */
void auth_tidy_in(struct auth *a, int64_t ms)
{
	if (!timer_is_set(&a->housekeeping) || a->housekeeping.due > loop_now(a->loop) + ms)
		timer_set(a->loop, &a->housekeeping, ms);
}

static void tidy(struct timer *t)
{
	struct auth *a = container_of(t, struct auth, housekeeping);

	auth_ask_expire(a);
	auth_refused_sweep(&a->refused, loop_now(a->loop));
	loop_at_end(a->loop, &a->pump);
	if (a->asks.count)
		auth_tidy_in(a, AUTH_TIDY_MS);
	else if (a->refused.count)
		auth_tidy_in(a, AUTH_SWEEP_MS);
}

/* ---- Life ---- */
static int parts_open(struct auth *a, const char **why)
{
	const struct proxy_config *c = a->config;
	int err;

	*why = "authentication: out of memory or descriptors";
	err = crypt_random(&a->random, sizeof(a->random));
	if (!err)
		err = auth_table_open(&a->table,
		                      c->auth_known_max > 0 ? (size_t)c->auth_known_max : 1);
	if (!err)
		err =
		    auth_refused_open(&a->refused, c->auth_no_max > 0 ? (size_t)c->auth_no_max : 1);
	if (!err)
		err = loop_open(&a->loop);
	if (!err)
		err = inbox_open(&a->inbox, a->loop);
	return err ? err : auth_http_open(&a->http, a->loop, c, auth_ask_done, a, why);
}

int auth_start(struct auth **out, const struct proxy_config *config, const char **why)
{
	int err;
	struct auth *a = mem_zalloc(sizeof(*a));

	*why = "authentication: out of memory";
	if (!a)
		return -E_NOMEM;
	hash_start();
	a->config = config;
	a->stale_item.run = auth_stale_run;
	auth_queue_init(&a->asks);
	list_init(&a->refreshes);
	timer_init(&a->housekeeping, tidy);
	hook_init(&a->pump, auth_ask_pump);
	err = parts_open(a, why);
	if (err) {
		auth_stop(&a);
		return err;
	}
	*out = a;
	return 0;
}

void auth_add_worker(struct auth *a, struct inbox *inbox, void *worker, auth_notice_fn notice)
{
	MUST(a->worker_count < AUTH_WORKERS_MAX && !a->thread);
	a->workers[a->worker_count].inbox = inbox;
	a->workers[a->worker_count].worker = worker;
	a->workers[a->worker_count].notice = notice;
	a->worker_count++;
}

static void thread_main(void *arg)
{
	struct auth *a = arg;

	loop_run(a->loop);
}

int auth_run(struct auth *a)
{
	return thread_start(&a->thread, "auth", thread_main, a);
}

void auth_stop(struct auth **slot)
{
	struct auth *a = *slot;

	*slot = NULL;
	if (!a)
		return;
	if (a->thread) {
		loop_stop(a->loop);
		thread_join(&a->thread);
	}
	if (a->inbox)
		inbox_close(&a->inbox); /* what is left becomes queued or answered */
	auth_http_close(&a->http);
	auth_ask_stop(a);
	auth_queue_free(&a->asks);
	auth_table_close(&a->table);
	auth_refused_close(&a->refused);
	timer_stop(&a->housekeeping);
	hook_cancel(&a->pump);
	loop_close(&a->loop);
	mem_free(a);
}

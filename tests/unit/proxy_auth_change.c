/* proxy_auth_change.c - what happens to tokens in use: refreshed, narrowed, revoked, ended, and the
 * endpoint going down and coming back (A12, A15, F04, F07). */
#include "tests/unit/proxy_auth.h"

/* ---- Refreshing ---- */
static void a_token_in_use_is_refreshed_ahead_and_never_lapses(void)
{
	struct token *t;

	defaults();
	config.auth_cache = 500;
	begin();
	t = use("k1");
	for (int64_t end_at = clock_mono_ms() + 1500; clock_mono_ms() < end_at;) {
		IS(look("k1"), RC_SUCCESS);
		turn_for(20);
	}
	YES(requests() >= 3 && requests() <= 7);
	IS(told_count, 0); /* nothing changed */
	IS(counted(&auth_counters(au)->refreshed), requests() - 1);
	auth_token_put(&t);
	end();
}

static void a_token_in_use_is_asked_again_every_poll(void)
{
	struct token *t;

	defaults();
	config.auth_poll = 200;
	begin();
	t = use("k1");
	UNTIL(requests() >= 4, 1500);
	auth_token_put(&t);
	end();
}

static void what_was_narrowed_is_told_at_the_next_refresh(void)
{
	struct token *t;

	defaults();
	config.auth_poll = 200;
	begin();
	t = use("k1");
	YES(may(t, "a/x"));
	atomic_store(&ep->topic, "b/#");
	UNTIL(told_count == 1, 2000);
	YES(told[0].token == t && told[0].rights && told[0].may_b);
	NO(may(t, "a/x"));
	YES(may(t, "b/x"));
	turn_for(500);
	IS(told_count, 1); /* once */
	auth_token_put(&t);
	end();
}

static void other_addresses_certificates_or_limits_are_told_too(void)
{
	struct token *t;

	defaults();
	config.auth_poll = 200;
	begin();
	t = use("k1");
	atomic_store(&ep->extra, ",\"ips\":\"10.0.*\"");
	UNTIL(told_count == 1, 2000);
	atomic_store(&ep->extra, ",\"ips\":\"10.0.*\",\"limits\":{\"mqtt_sessions\":3}");
	UNTIL(told_count == 2, 2000);
	IS(limits_value(auth_verdict(t)->info.limits, LIMIT_SESSIONS, LIMIT_BY_TOKEN, 10), 3);
	atomic_store(&ep->extra, ",\"ips\":\"10.0.*\",\"certs\":\"lamp-*\","
	                         "\"limits\":{\"mqtt_sessions\":3}");
	UNTIL(told_count == 3, 2000);
	IS_BYTES(str_c(auth_verdict(t)->info.certs), STR("lamp-*"));
	atomic_store(&ep->extra, ",\"ips\":\"10.0.*\",\"certs\":\"lamp-*\","
	                         "\"client_ids\":[\"a\"],\"limits\":{\"mqtt_sessions\":3}");
	UNTIL(told_count == 4, 2000);
	IS_BYTES(str_c(auth_verdict(t)->info.client_ids), STR("a"));
	auth_token_put(&t);
	end();
}

static void a_token_refused_at_a_refresh_loses_its_rights(void)
{
	struct token *t;

	defaults();
	config.auth_poll = 200;
	begin();
	t = use("k1");
	atomic_store(&ep->reply, says_401);
	UNTIL(told_count == 1, 2000);
	YES(told[0].token == t && !told[0].rights);
	IS(told[0].reason, RC_BAD_USER_NAME_OR_PASSWORD);
	IS(told[0].customer, 7);
	IS(told[0].id, 1);
	IS(heard_count, 1);
	IS(heard[0].tell, TELL_HIDDEN);
	IS(reason_of(t), RC_BAD_USER_NAME_OR_PASSWORD);
	IS(look("k1"), RC_BAD_USER_NAME_OR_PASSWORD);
	auth_token_put(&t);
	end();
}

static void says_blocked(struct endpoint *e, int fd, const char *key)
{
	(void)key;
	endpoint_say(e, fd, "403 Forbidden\r\nContent-Type: application/json",
	             "{\"errors\":[{\"code\":4,\"id\":1,\"cid\":7,\"blocked\":true}]}");
}

static void a_token_of_a_blocked_customer_hides_what_is_the_customers(void)
{
	struct token *t;

	defaults();
	config.auth_poll = 200;
	begin();
	t = use("k1");
	atomic_store(&ep->reply, says_blocked);
	UNTIL(told_count == 1, 2000);
	IS(heard_count, 1);
	IS(heard[0].tell, TELL_BLOCKED);
	IS(heard[0].customer, 7);
	auth_token_put(&t);
	end();
}

static void whole_key_refused(struct endpoint *e, int fd, const char *key)
{
	if (*key == 'k')
		says_401(e, fd, key);
	else
		good(e, fd, key);
}

static void a_token_that_is_good_by_another_credential_keeps_its_rights_in_the_core(void)
{
	const struct credential c = { .key = STR("0123456789abcdef"), .short_id = 1 };
	struct token *t, *s;

	defaults();
	config.auth_poll = 200;
	begin();
	t = use("k1");
	IS(ask_as(c, &home, &s), RC_SUCCESS);
	atomic_store(&ep->reply, whole_key_refused);
	UNTIL(told_count == 1, 2000);
	YES(told[0].token == t && !told[0].rights);
	IS(heard_count, 0);
	auth_token_put(&t);
	auth_token_put(&s);
	end();
}

static void a_token_of_another_customer_now_is_another_token(void) /* A12 */
{
	struct token *t, *other;

	defaults();
	config.auth_poll = 200;
	begin();
	t = use("k1");
	atomic_store(&ep->cid, 8);
	UNTIL(told_count == 1, 2000);
	YES(told[0].token == t && !told[0].rights);
	IS(told[0].customer, 7);
	IS(reason_of(t), RC_NOT_AUTHORIZED);
	other = use("k1");
	NO(other == t);
	IS(auth_verdict(other)->info.customer, 8);
	IS(reason_of(t), RC_NOT_AUTHORIZED);
	auth_token_put(&other);
	auth_token_put(&t);
	end();
}

/* ---- The clock ---- */
static void a_token_ends_at_its_second(void) /* A15 */
{
	struct token *t;
	int64_t ends = clock_wall_ms() / 1000 + 2;

	defaults();
	begin();
	atomic_store(&ep->expire, ends);
	t = use("k1");
	YES(auth_verdict(t)->fresh_until - clock_mono_ms() <= 2000);
	UNTIL(told_count == 1, 4000);
	YES(clock_wall_ms() >= ends * 1000 && clock_wall_ms() < ends * 1000 + 1000);
	YES(told[0].token == t && !told[0].rights);
	IS(told[0].reason, RC_NOT_AUTHORIZED);
	NO(look("k1") == RC_SUCCESS);
	/* nearer and nearer to its end is not more and more often */
	YES(requests() <= 3);
	auth_token_put(&t);
	end();
}

static void a_token_ends_at_its_second_while_the_endpoint_is_down(void)
{
	struct token *t;
	int64_t ends = clock_wall_ms() / 1000 + 2;

	defaults();
	begin();
	atomic_store(&ep->expire, ends);
	t = use("k1");
	atomic_store(&ep->reply, says_500);
	UNTIL(told_count == 1, 4000);
	YES(clock_wall_ms() >= ends * 1000 && clock_wall_ms() < ends * 1000 + 1000);
	IS(told[0].reason, RC_NOT_AUTHORIZED);
	auth_token_put(&t);
	end();
}

/* ttl: each answer tells a later end */
static void a_token_whose_end_moves_on_with_use_lives_on(void)
{
	struct token *t;

	defaults();
	begin();
	atomic_store(&ep->expire, clock_wall_ms() / 1000 + 2);
	t = use("k1");
	atomic_store(&ep->expire, clock_wall_ms() / 1000 + 3600);
	turn_for(3200);
	YES(may(t, "a/x"));
	IS(told_count, 0);
	IS(requests(), 2); /* once, at four fifths */
	auth_token_put(&t);
	end();
}

/* ---- The endpoint goes down and comes back ---- */
/* F04 */
static void who_is_in_stays_in_and_nobody_new_comes_in_while_the_endpoint_is_down(void)
{
	struct token *t;
	int64_t start;

	defaults();
	config.auth_poll = 100;
	config.auth_cache = 400;
	begin();
	t = use("k1");
	endpoint_stop(&ep);
	start = clock_mono_ms();
	for (int i = 0; i < 12; i++) {
		int64_t asked = clock_mono_ms();

		IS(ask("k2"), RC_SERVER_UNAVAILABLE);
		YES(clock_mono_ms() - asked < 1000);
		turn_for(100);
	}
	UNTIL(look("k1") == -1, 1000); /* the same key from somebody new */
	IS(ask("k1"), RC_SERVER_UNAVAILABLE);
	YES(may(t, "a/x"));
	IS(told_count, 0);
	YES(clock_mono_ms() - start > 1000);
	auth_token_put(&t);
	end();
}

static void a_token_in_use_ends_when_the_endpoint_is_away_too_long(void)
{
	struct token *t;
	int64_t start;

	defaults();
	config.auth_poll = 100;
	config.auth_cache = 300;
	config.auth_stale = 1000;
	begin();
	t = use("k1");
	start = clock_mono_ms();
	atomic_store(&ep->reply, says_500);
	UNTIL(told_count == 1, 3000);
	YES(clock_mono_ms() - start >= 900 && clock_mono_ms() - start < 2000);
	YES(!told[0].rights);
	IS(told[0].reason, RC_SERVER_UNAVAILABLE);
	IS(heard_count, 0); /* O1: nobody has said that a right is gone */
	IS(look("k1"), -1); /* not remembered as a refusal */
	auth_token_put(&t);
	end();
}

static void the_circuit_opens_and_spares_the_endpoint(void)
{
	unsigned before;
	char key[16];

	defaults();
	begin();
	atomic_store(&ep->reply, says_500);
	for (int i = 0; i < 5; i++) {
		(void)snprintf(key, sizeof(key), "k%d", i + 1);
		IS(ask(key), RC_SERVER_UNAVAILABLE);
	}
	IS(counted(&auth_counters(au)->breaker_opened), 1);
	before = requests();
	for (int i = 0; i < 100; i++) {
		(void)snprintf(key, sizeof(key), "k%d", i + 100);
		IS(ask(key), RC_SERVER_UNAVAILABLE);
	}
	IS(requests(), before);
	end();
}

static void after_an_outage_they_come_in_again_within_a_second_or_so(void)
{
	int64_t back;
	struct asked x;
	unsigned n = 100;
	char key[16];

	defaults();
	begin();
	atomic_store(&ep->reply, says_500);
	for (int i = 0; i < 8; i++) {
		(void)snprintf(key, sizeof(key), "k%d", i + 1);
		IS(ask(key), RC_SERVER_UNAVAILABLE);
	}
	IS(counted(&auth_counters(au)->breaker_opened), 1);
	atomic_store(&ep->reply, good);
	back = clock_mono_ms();
	do {
		(void)snprintf(key, sizeof(key), "k%u", n++);
		send_ask(&x, key);
		UNTIL(x.back, 1000);
		turn_for(20);
	} while (x.reason != RC_SUCCESS && clock_mono_ms() - back < 5000);
	IS(x.reason, RC_SUCCESS);
	YES(clock_mono_ms() - back < 2000);
	auth_token_put(&x.token);
	IS(ask("k1"), RC_SUCCESS); /* one of those who failed */
	end();
}

static void those_who_come_while_the_probe_runs_wait_for_it(void)
{
	static struct asked x[10];
	char key[16];

	defaults();
	begin();
	atomic_store(&ep->reply, says_500);
	for (int i = 0; i < 5; i++) {
		(void)snprintf(key, sizeof(key), "k%d", i + 1);
		IS(ask(key), RC_SERVER_UNAVAILABLE);
	}
	atomic_store(&ep->reply, good);
	atomic_store(&ep->delay_ms, 200);
	turn_for(1300);
	for (int i = 0; i < 10; i++) {
		(void)snprintf(key, sizeof(key), "k%d", i + 50);
		send_ask(&x[i], key);
	}
	turn_for(100);
	IS(requests(), 6); /* one probe */
	for (int i = 0; i < 10; i++) {
		UNTIL(x[i].back, 2000);
		IS(x[i].reason, RC_SUCCESS);
		auth_token_put(&x[i].token);
	}
	end();
}

static void coin(struct endpoint *e, int fd, const char *key)
{
	static _Atomic unsigned n;

	if (atomic_fetch_add(&n, 1) & 1)
		good(e, fd, key);
	else
		says_500(e, fd, key);
}

static void a_flapping_endpoint_never_makes_a_wrong_verdict(void) /* F07 */
{
	struct token *t;
	unsigned in = 0;
	char key[16];

	defaults();
	config.auth_poll = 50;
	begin();
	t = use("k1");
	atomic_store(&ep->reply, coin);
	for (unsigned i = 0; i < 150; i++) {
		uint8_t reason;

		(void)snprintf(key, sizeof(key), "k%u", i + 10);
		reason = ask(key);
		YES(reason == RC_SUCCESS || reason == RC_SERVER_UNAVAILABLE);
		in += reason == RC_SUCCESS;
		YES(may(t, "a/x"));
		turn_for(10);
	}
	YES(in > 0);
	IS(told_count, 0);
	auth_token_put(&t);
	end();
}

/* ---- Memory ---- */
#ifdef RCU_TSAN
#define NEEDS_FAILING_MEMORY() SKIP() /* there rcu_free_later itself needs memory */
#else
#define NEEDS_FAILING_MEMORY() ((void)0)
#endif

static void a_revocation_survives_any_lack_of_memory(void)
{
	NEEDS_FAILING_MEMORY();
	for (unsigned long n = 1; n <= 40; n++) {
		struct token *t;

		defaults();
		ep = endpoint_start(0, NULL);
		(void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/auth/info", ep->port);
		/* in this thread, so that its allocations are the ones to fail */
		start_auth(false);
		log_start("test", LOG_ERROR + 1);
		t = use("k1");
		atomic_store(&ep->reply, says_401);
		mem_fail_at(n, false);
		push("mbus/token/7/1", DELETED(1));
		turn_once();
		turn_once();
		mem_fail_at(0, false);
		NO(look("k1") == RC_SUCCESS);
		UNTIL(told_count > 0, 1000);
		YES(told[0].token == t && !told[0].rights);
		UNTIL(heard_count > 0, 1000);
		/* the push was heard, or for want of memory the endpoint was asked */
		YES(heard[0].tell == TELL_DELETED || heard[0].tell == TELL_HIDDEN);
		NO(reason_of(t) == RC_SUCCESS);
		auth_token_put(&t);
		end();
	}
}

static void no_allocation_that_fails_lets_anybody_in_or_leaks(void)
{
	NEEDS_FAILING_MEMORY();
	for (unsigned long n = 1; n <= 120; n++) {
		struct asked x;

		defaults();
		ep = endpoint_start(0, NULL);
		(void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/auth/info", ep->port);
		start_auth(false);
		log_start("test", LOG_ERROR + 1);
		send_ask(&x, "k1");
		mem_fail_at(n, false);
		UNTIL(x.back, 5000);
		mem_fail_at(0, false);
		YES(x.reason == RC_SUCCESS || x.reason == RC_SERVER_UNAVAILABLE);
		YES((x.token != NULL) == (x.reason == RC_SUCCESS));
		auth_token_put(&x.token);
		end();
	}
}

static void starting_fails_cleanly_without_memory(void)
{
	NEEDS_FAILING_MEMORY();
	defaults();
	(void)snprintf(url, sizeof(url), "http://127.0.0.1:1/auth/info");
	each_alloc_failure(n)
	{
		const char *why = NULL;
		struct auth *a = NULL;
		int err = auth_start(&a, &config, &why);

		if (err)
			YES(!a && why);
		auth_stop(&a);
	}
}

/* ---- Threads ---- */
enum { LOOKERS = 3 };
static _Atomic bool lookers_stop;
static _Atomic unsigned lookers_hits;

static void looker(void *arg)
{
	struct loop *own = NULL;

	(void)arg;
	MUST(loop_open(&own) == 0);
	while (!atomic_load(&lookers_stop)) {
		for (unsigned i = 1; i <= 8; i++) {
			char key[8];
			struct credential c;
			struct token *t = NULL, *more;

			(void)snprintf(key, sizeof(key), "k%u", i);
			c = whole(key);
			if (auth_look(au, &c, &home, &t) != RC_SUCCESS)
				continue;
			MUST(t);
			if (reason_of(t) == RC_SUCCESS)
				MUST(auth_verdict(t)->info.id == i);
			more = auth_token_get(t);
			auth_token_put(&t);
			auth_token_put(&more);
			atomic_fetch_add(&lookers_hits, 1);
		}
		loop_turn(own, 0);
	}
	loop_close(&own);
}

static void workers_may_look_while_everything_changes(void)
{
	struct thread *threads[LOOKERS] = { 0 };
	struct token *t;
	unsigned n = 0;

	defaults();
	config.auth_cache = 100;
	config.auth_no = 50;
	config.auth_known_max = 4;
	begin();
	atomic_store(&lookers_stop, false);
	atomic_store(&lookers_hits, 0);
	for (int i = 0; i < LOOKERS; i++)
		IS(thread_start(&threads[i], "looker", looker, NULL), 0);
	for (int64_t end_at = clock_mono_ms() + 1500; clock_mono_ms() < end_at; n++) {
		char key[8];

		(void)snprintf(key, sizeof(key), "k%u", n % 8 + 1);
		IS(n % 5 == 4 || ask_as(whole(key), &home, &t) <= RC_SERVER_BUSY, 1);
		if (n % 5 != 4)
			auth_token_put(&t);
		push("mbus/token/7/2", n & 1 ? TOKEN(2, "b/#") : TOKEN(2, "a/#"));
		push("mbus/token/7/3", n & 1 ? DELETED(3) : TOKEN(3, "a/#"));
		if (n % 16 == 0)
			auth_stale_all(au);
		atomic_store(&ep->reply, n % 32 == 31 ? says_401 : good);
		turn_once();
		told_count = heard_count = 0;
	}
	atomic_store(&lookers_stop, true);
	for (int i = 0; i < LOOKERS; i++)
		thread_join(&threads[i]);
	YES(atomic_load(&lookers_hits) > 100);
	end();
}

RUN(a_token_in_use_is_refreshed_ahead_and_never_lapses, a_token_in_use_is_asked_again_every_poll,
    what_was_narrowed_is_told_at_the_next_refresh,
    other_addresses_certificates_or_limits_are_told_too,
    a_token_refused_at_a_refresh_loses_its_rights,
    a_token_of_a_blocked_customer_hides_what_is_the_customers,
    a_token_that_is_good_by_another_credential_keeps_its_rights_in_the_core,
    a_token_of_another_customer_now_is_another_token, a_token_ends_at_its_second,
    a_token_ends_at_its_second_while_the_endpoint_is_down,
    a_token_whose_end_moves_on_with_use_lives_on,
    who_is_in_stays_in_and_nobody_new_comes_in_while_the_endpoint_is_down,
    a_token_in_use_ends_when_the_endpoint_is_away_too_long,
    the_circuit_opens_and_spares_the_endpoint,
    after_an_outage_they_come_in_again_within_a_second_or_so,
    those_who_come_while_the_probe_runs_wait_for_it,
    a_flapping_endpoint_never_makes_a_wrong_verdict, a_revocation_survives_any_lack_of_memory,
    no_allocation_that_fails_lets_anybody_in_or_leaks, starting_fails_cleanly_without_memory,
    workers_may_look_while_everything_changes)

/* proxy_auth_push.c - what the platform pushes about tokens and customers reaches the connections,
 * at once and for good (A14). */
#include "tests/unit/proxy_auth.h"

/* ---- Pushes ---- */
static void a_push_narrows_at_once_and_prolongs_nothing(void)
{
	struct token *t;
	int64_t fresh_until;

	defaults();
	begin();
	t = use("k1");
	fresh_until = auth_verdict(t)->fresh_until;
	atomic_store(&ep->topic, "b/#");
	turn_for(20);
	push("mbus/token/7/1", TOKEN(1, "b/#"));
	UNTIL(told_count == 1, 1000);
	YES(told[0].token == t && told[0].may_b);
	NO(may(t, "a/x"));
	IS(auth_verdict(t)->fresh_until, fresh_until);
	auth_token_put(&t);
	end();
}

static void revokes(const char *payload)
{
	const struct credential c = { .key = STR("k1") };
	uint64_t customer, id;
	struct token *t;

	defaults();
	begin();
	t = use("k1");
	push("mbus/token/7/1", payload);
	UNTIL(told_count == 1, 1000);
	YES(told[0].token == t && !told[0].rights);
	IS(told[0].reason, RC_NOT_AUTHORIZED);
	IS(look("k1"), RC_NOT_AUTHORIZED);
	YES(auth_untold(au, &c, &customer, &id));
	IS(customer, 7);
	IS(id, 1);
	NO(auth_untold(au, &c, &customer, &id)); /* once */
	auth_token_put(&t);
	end();
}

static void a_push_of_deleted_disabled_ended_or_blocked_revokes(void)
{
	revokes(DELETED(1));
	revokes("{\"id\":1,\"cid\":7,\"enabled\":false," ACCESS("#") "}");
	revokes("{\"id\":1,\"cid\":7,\"enabled\":true,\"expire\":1000000000," ACCESS("#") "}");
	revokes("{\"id\":1,\"cid\":7,\"enabled\":true,\"blocked\":true," ACCESS("#") "}");
}

static void a_push_reaches_the_whole_key_and_the_short_form(void)
{
	const struct credential c = { .key = STR("0123456789abcdef"), .short_id = 1 };
	struct token *t, *s;

	defaults();
	begin();
	t = use("k1");
	IS(ask_as(c, &home, &s), RC_SUCCESS);
	NO(t == s);
	push("mbus/token/7/1", DELETED(1));
	UNTIL(told_count == 2, 1000);
	YES((told[0].token == t && told[1].token == s) ||
	    (told[0].token == s && told[1].token == t));
	NO(reason_of(t) == RC_SUCCESS || reason_of(s) == RC_SUCCESS);
	auth_token_put(&t);
	auth_token_put(&s);
	end();
}

static void a_push_about_a_token_nobody_uses_goes_to_the_core(void)
{
	defaults();
	begin();
	push("mbus/token/7/5", TOKEN(5, "b/#"));
	UNTIL(heard_count == 2, 1000);
	IS(heard[0].tell, TELL_FREE);
	IS(heard[0].customer, 7);
	IS(heard[1].tell, TELL_RIGHTS);
	YES(heard[1].may_b);
	IS(heard[1].customer, 7);
	IS(heard[1].id, 5);
	push("mbus/token/7/5", DELETED(5));
	UNTIL(heard_count == 3, 1000);
	IS(heard[2].tell, TELL_DELETED);
	IS(told_count, 0);
	end();
}

/* O3: the same word whether somebody is connected with it or not. */
static void the_core_hears(const char *payload, enum auth_tell of_token, enum auth_tell of_customer)
{
	for (int used = 0; used < 2; used++) {
		struct token *t = NULL;

		defaults();
		begin();
		if (used)
			t = use("k1");
		push("mbus/token/7/1", payload);
		UNTIL(heard_count == 2, 1000);
		IS(heard[0].tell, of_customer);
		IS(heard[0].id, 0);
		IS(heard[1].tell, of_token);
		IS(heard[1].id, 1);
		auth_token_put(&t);
		end();
	}
}

static void the_core_hears_what_a_push_says_whoever_is_connected(void)
{
	the_core_hears(TOKEN(1, "b/#"), TELL_RIGHTS, TELL_FREE);
	the_core_hears("{\"id\":1,\"cid\":7,\"enabled\":false," ACCESS("#") "}", TELL_HIDDEN,
	               TELL_FREE);
	the_core_hears(
	    "{\"id\":1,\"cid\":7,\"enabled\":true,\"expire\":1000000000," ACCESS("#") "}",
	    TELL_HIDDEN, TELL_FREE);
	the_core_hears("{\"id\":1,\"cid\":7,\"enabled\":true,\"blocked\":true," ACCESS("#") "}",
	               TELL_RIGHTS, TELL_BLOCKED);
}

static void the_core_hears_of_customers(void)
{
	static const struct {
		const char *payload;
		enum auth_tell tell;
	} rows[] = { { "{\"cid\":8,\"blocked\":true}", TELL_BLOCKED },
		     { "{\"cid\":8,\"blocked\":false}", TELL_FREE },
		     { "{\"cid\":8,\"deleted\":true}", TELL_CUSTOMER_DELETED } };

	defaults();
	begin();
	push("mbus/customer/8", "{\"cid\":8}");
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		push("mbus/customer/8", rows[i].payload);
		UNTIL(heard_count == i + 1, 1000);
		IS(heard[i].tell, rows[i].tell);
		IS(heard[i].customer, 8);
	}
	end();
}

static void a_push_about_another_customers_token_touches_nothing(void)
{
	struct token *t;

	defaults();
	begin();
	t = use("k1");
	push("mbus/token/8/1", "{\"id\":1,\"cid\":8,\"deleted\":true}");
	UNTIL(heard_count == 1, 1000);
	IS(heard[0].customer, 8);
	IS(told_count, 0);
	YES(may(t, "a/x"));
	auth_token_put(&t);
	end();
}

static void the_same_push_of_every_worker_counts_once(void)
{
	struct token *t;

	defaults();
	begin();
	t = use("k1");
	for (int i = 0; i < 16; i++)
		push("mbus/token/7/1", TOKEN(1, "b/#"));
	push("mbus/token/7/9", DELETED(9));
	UNTIL(heard_count == 3 && heard[2].id == 9, 1000);
	IS(told_count, 1);
	IS(auth_verdict(t)->serial, 2);
	auth_token_put(&t);
	end();
}

static void a_push_alone_never_makes_a_refused_key_good(void)
{
	struct token *t;
	unsigned before;

	defaults();
	begin();
	t = use("k1");
	push("mbus/token/7/1", DELETED(1));
	UNTIL(told_count == 1, 1000);
	atomic_store(&ep->reply, says_401);
	before = requests();
	push("mbus/token/7/1", TOKEN(1, "#"));
	UNTIL(look("k1") != RC_NOT_AUTHORIZED, 1000);
	NO(look("k1") == RC_SUCCESS);
	IS(ask("k1"), RC_BAD_USER_NAME_OR_PASSWORD);
	YES(requests() > before);
	auth_token_put(&t);
	end();
}

/* A14: revoked while asked */
static void an_answer_from_before_a_push_does_not_undo_it(void)
{
	struct asked x;
	struct token *t;

	defaults();
	config.auth_poll = 0;
	begin();
	atomic_store(&ep->delay_ms, 300);
	/* unknown here: nobody can tell yet that it is token 1 */
	send_ask(&x, "k1");
	UNTIL(requests() == 1, 1000);
	/* the request under way still gets the good answer */
	atomic_store(&ep->reply, says_401);
	push("mbus/token/7/1", DELETED(1));
	UNTIL(x.back, 3000);
	IS(x.reason, RC_BAD_USER_NAME_OR_PASSWORD);
	IS(requests(), 2);

	atomic_store(&ep->reply, good);
	atomic_store(&ep->delay_ms, 0);
	t = use("k2");
	atomic_store(&ep->delay_ms, 300);
	auth_stale_all(au); /* a refresh is under way */
	UNTIL(requests() == 4, 1000);
	atomic_store(&ep->reply, says_401);
	push("mbus/token/7/2", DELETED(2));
	UNTIL(reason_of(t) != RC_SUCCESS, 1000);
	for (int64_t end_at = clock_mono_ms() + 1000; clock_mono_ms() < end_at;) {
		NO(reason_of(t) == RC_SUCCESS);
		turn_for(10);
	}
	auth_token_put(&t);
	end();
}

static void a_push_of_a_customer_asks_for_all_its_tokens(void)
{
	struct token *t, *other;
	unsigned before;

	defaults();
	begin();
	t = use("k1");
	atomic_store(&ep->cid, 8);
	other = use("k2");
	IS(ask("k3"), RC_SUCCESS); /* customer 8, not in use */
	before = requests();
	push("mbus/customer/8", "{\"cid\":8}");
	UNTIL(requests() == before + 1, 1000);
	IS(look("k3"), -1);
	UNTIL(look("k2") == RC_SUCCESS, 1000);
	IS(look("k1"), RC_SUCCESS);
	atomic_store(&ep->extra, ",\"blocked\":true");
	push("mbus/customer/8", "{\"cid\":8,\"blocked\":true}");
	UNTIL(told_count == 1, 1000);
	YES(told[0].token == other && !told[0].rights);
	YES(may(t, "a/x"));
	auth_token_put(&t);
	auth_token_put(&other);
	end();
}

static void a_strange_push_makes_everything_be_asked_again(void)
{
	static const struct {
		const char *topic, *payload;
	} rows[] = {
		{ "mbus/token/7/1", "" },
		{ "mbus/token/7/1", "{" },
		{ "mbus/token/7/1", TOKEN(2, "#") },
		{ "mbus/token/8/1", TOKEN(1, "#") },
		{ "mbus/token/7/1", "{\"id\":2,\"cid\":7,\"deleted\":true}" },
		{ "mbus/token/7/1", "{\"deleted\":true}" },
		{ "mbus/token/7/1", "{\"id\":1,\"cid\":7,\"enabled\":true}" },
		{ "mbus/token/7", DELETED(1) },
		{ "mbus/token/7/1/2", DELETED(1) },
		{ "mbus/token//1", DELETED(1) },
		{ "mbus/customer/7", "{\"cid\":8}" },
		{ "mbus/customer/", "{\"cid\":7}" },
		{ "mbus/nonsense", "{}" },
	};
	struct token *t;

	defaults();
	begin();
	log_start("test", LOG_ERROR + 1);
	t = use("k1");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		unsigned before = requests();

		push(rows[i].topic, rows[i].payload);
		UNTIL(requests() > before, 1000);
		UNTIL(look("k1") == RC_SUCCESS, 1000);
	}
	IS(told_count, 0);
	YES(may(t, "a/x"));
	auth_token_put(&t);
	end();
}

static void after_missed_pushes_all_in_use_are_asked_again(void)
{
	struct token *t[10];
	char key[16];

	defaults();
	begin();
	for (int i = 0; i < 10; i++) {
		(void)snprintf(key, sizeof(key), "k%d", i + 1);
		t[i] = use(key);
	}
	IS(ask("k11"), RC_SUCCESS);
	atomic_store(&ep->topic, "b/#");
	auth_stale_all(au);
	auth_stale_all(au);
	UNTIL(told_count == 10, 2000);
	for (int i = 0; i < 10; i++)
		NO(may(t[i], "a/x"));
	IS(look("k11"), -1);
	for (int i = 0; i < 10; i++)
		auth_token_put(&t[i]);
	end();
}

RUN(a_push_narrows_at_once_and_prolongs_nothing,
    a_push_of_deleted_disabled_ended_or_blocked_revokes,
    a_push_reaches_the_whole_key_and_the_short_form,
    a_push_about_a_token_nobody_uses_goes_to_the_core,
    the_core_hears_what_a_push_says_whoever_is_connected, the_core_hears_of_customers,
    a_push_about_another_customers_token_touches_nothing, the_same_push_of_every_worker_counts_once,
    a_push_alone_never_makes_a_refused_key_good, an_answer_from_before_a_push_does_not_undo_it,
    a_push_of_a_customer_asks_for_all_its_tokens, a_strange_push_makes_everything_be_asked_again,
    after_missed_pushes_all_in_use_are_asked_again)

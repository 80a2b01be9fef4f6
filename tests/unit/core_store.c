/* core_store.c - the choice of a store, and the one that keeps nothing. */
#include "tests/kit/kit.h"

#include "core/store.h"

static bool late;

static void done_late(struct store_commit *c)
{
	(void)c;
	late = true;
}

static void an_unknown_kind_is_refused_with_a_reason(void)
{
	struct store *s = NULL;
	const char *why = NULL;

	IS(store_open(&s, "cloud", "/nonexistent", &why), -E_INVALID);
	NO(s);
	CONTAINS(why, "kind");
}

static void the_memory_store_says_what_it_is(void)
{
	struct store *s;
	const char *why;

	IS(store_open(&s, "memory", "/nonexistent", &why), 0);
	IS_BYTES(str_c(store_name(s)), STR("memory"));
	store_close(&s);
	NO(s);
	store_close(&s); /* harmless */
}

static void the_memory_store_takes_every_change_and_is_done_at_once(void)
{
	struct link_msg src = { .topic = STR("customer/7/a"), .expiry_s = LINK_NO_EXPIRY };
	struct msg *m = msg_new(&src, 1, true, 0, NULL, 0);
	struct link_sub sub = { STR("a/#"), 1, 0 };
	struct store_commit commit = { done_late };
	struct store *s;
	const char *why;

	IS(store_open(&s, "memory", "/nonexistent", &why), 0);
	store_session_put(s, 7, STR("x"), 60, 0);
	store_sub_put(s, 7, STR("x"), &sub);
	store_queue_put(s, 7, STR("x"), 1, m, 1, 0);
	store_queue_sent(s, 7, STR("x"), 1, 5, MQTT_PUBLISH);
	store_queue_del(s, 7, STR("x"), 1);
	store_inbound_put(s, 7, STR("x"), 9);
	store_inbound_del(s, 7, STR("x"), 9);
	store_will_put(s, 7, STR("x"), m, 1000);
	store_will_del(s, 7, STR("x"));
	store_retained_put(s, m);
	store_retained_del(s, STR("customer/7/a"));
	store_sub_del(s, 7, STR("x"), STR("a/#"));
	store_session_del(s, 7, STR("x"));
	IS(m->refs, 1); /* kept by nobody else */
	YES(store_commit(s, &commit));
	NO(late);
	store_close(&s);
	msg_put(&m);
}

static void without_memory_there_is_no_store(void)
{
	struct store *s;
	const char *why = NULL;

	mem_fail_at(1, false);
	IS(store_open(&s, "memory", "/nonexistent", &why), -E_NOMEM);
	YES(why);
}

RUN(an_unknown_kind_is_refused_with_a_reason, the_memory_store_says_what_it_is,
    the_memory_store_takes_every_change_and_is_done_at_once, without_memory_there_is_no_store)

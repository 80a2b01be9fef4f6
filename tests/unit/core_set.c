/* core_set.c - sets of inner filters: who shares one, what they cost, and how they end. */
#include "tests/unit/core_help.h"

#include <malloc.h>

#include "base/bytes.h"

enum { GRANTS = 256 };

static struct client a, p;

static void begin(void)
{
	world_begins();
	a.n = p.n = 0;
	OPEN(&p, .id = "p");
	OPEN(&a, .id = "a", .expiry = 60, .subscriptions = 100000);
}

static void end(void)
{
	struct customer *c = customer_find(home, 7);

	session_close(&a.port, LINK_CLOSE_EXPIRY, 0);
	home->slice_end = UINT64_MAX;
	while (!list_empty(&c->works))
		work_cancel(list_first(&c->works, struct work, node));
	IS(c->filter_bytes, 0);
	IS(c->sets.count, 0);
	YES(tree_empty(c->tree));
	session_close(&p.port, LINK_CLOSE_EXPIRY, 0);
	world_ends();
}

/* A filter with `grants` inner ones: t/<first>, ... */
static uint8_t subscribe(const char *filter, unsigned first, unsigned grants)
{
	static struct buf b;
	struct link_subscribe s;
	struct room room;
	size_t frame, item;
	char code[4];

	buf_reset(&b);
	frame = link_subscribe_begin(&b, LINK_SUBSCRIBE, 1, 1, 7, 0);
	item = link_item_begin(&b, frame, 0, 1, str_c(filter));
	for (unsigned i = 0; i < grants; i++) {
		char name[64];

		(void)snprintf(name, sizeof(name), "t/%u/%.20s", first + i, "as long as a name is");
		link_item_inner(&b, item, inner(&room, name), true);
	}
	link_end(&b, frame);
	MUST(buf_ok(&b) && link_subscribe_read(str_skip(buf_str(&b), LINK_HEAD), &s));
	a.n = 0;
	YES(session_subscribe(&a.port, &s));
	(void)snprintf(code, sizeof(code), "%.2s", a.said + strlen("suback#7 "));
	a.n = 0;
	return (uint8_t)strtoul(code, NULL, 16);
}

static uint8_t subscribe_nth(unsigned n, unsigned first, unsigned grants)
{
	char filter[32];

	(void)snprintf(filter, sizeof(filter), "$share/g%u/#", n);
	return subscribe(filter, first, grants);
}

static bool unsubscribe_nth(unsigned n)
{
	char filter[32];

	(void)snprintf(filter, sizeof(filter), "$share/g%u/#", n);
	a.n = 0;
	return unsub(&a, filter);
}

static size_t charged(void)
{
	return customer_find(home, 7)->filter_bytes;
}

/* Issue 9: 4,000 of them were 193 MiB. */
static void equal_sets_are_shared_and_what_is_charged_is_what_they_take(void)
{
	enum { MANY = 4000 };
	size_t before, used, own;

	begin();
	IS(subscribe("#", 1000, 1), 1);
	before = mallinfo2().uordblks;
	own = charged();
	for (unsigned i = 0; i < MANY; i++)
		IS(subscribe_nth(i, i, 1), 1);
	used = mallinfo2().uordblks - before;
	printf("%u subscriptions of one: %zu bytes each charged, %zu taken\n", MANY,
	       (charged() - own) / MANY, used / MANY);
	YES(charged() - own < (size_t)MANY * 900);
#ifndef __SANITIZE_ADDRESS__
	YES(used < (charged() - own) * 5 / 4);
#endif
	for (unsigned i = 0; i < MANY; i++)
		YES(unsubscribe_nth(i));
	before = mallinfo2().uordblks;
	own = charged();
	for (unsigned i = 0; i < MANY; i++)
		IS(subscribe_nth(i, 0, GRANTS), 1);
	used = mallinfo2().uordblks - before;
	printf("%u subscriptions of %u inner filters: %zu bytes each charged, %zu taken\n", MANY,
	       GRANTS, (charged() - own) / MANY, used / MANY);
	YES(charged() - own < (size_t)MANY * 2000);
#ifndef __SANITIZE_ADDRESS__
	YES(used < (charged() - own) * 5 / 4);
	YES(used > (charged() - own) / 2);
#endif
	end();
}

static void bytes_of_subscriptions_of_a_customer_have_a_limit(void)
{
	unsigned n = 0;
	uint8_t code;

	begin();
	config.customer_subscription_bytes = 1 << 20;
	while ((code = subscribe_nth(n, n * GRANTS, GRANTS)) == 1)
		n++;
	IS(code, RC_QUOTA_EXCEEDED);
	YES(n >= 5 && n < 40);
	YES(charged() <= 1 << 20);
	IS(home->counters.refused_subscription_bytes, 1);
	IS(a.port.session->subs.count, n);
	YES(unsubscribe_nth(0));
	IS(subscribe_nth(n, 0, GRANTS), 1);
	/* the same set once more costs next to nothing */
	IS(subscribe_nth(n + 1, 0, GRANTS), 1);
	IS(subscribe_nth(n + 2, 900000, GRANTS), RC_QUOTA_EXCEEDED);
	/* rights that grow beyond it match nothing, rather than more than there is room for */
	for (unsigned i = 0; i < 1000; i++)
		(void)subscribe_nth(n + 3 + i, 0, GRANTS);
	YES(charged() <= 1 << 20);
	end();
}

static void a_message_reaches_each_of_those_that_share_once(void)
{
	char topic[64];

	begin();
	config.copies_max = 1000;
	for (unsigned i = 0; i < 200; i++)
		IS(subscribe_nth(i, 0, GRANTS), 1);
	IS(subscribe("#", 0, GRANTS), 1);
	IS(subscribe("+/+/+", 0, GRANTS), 1);
	(void)snprintf(topic, sizeof(topic), "t/%u/%.20s", 77, "as long as a name is");
	session_pause(&a.port);
	PUB(&p, topic, "x", 1, 1);
	IS(a.port.session->queue_count, 202);
	for (unsigned i = 0; i < 200; i += 2)
		YES(unsubscribe_nth(i));
	PUB(&p, topic, "x", 1, 2);
	/* the groups that ended have taken theirs with them */
	IS(a.port.session->queue_count, 102 + 102);
	/* places that have become free are taken again */
	for (unsigned i = 0; i < 200; i += 2)
		IS(subscribe_nth(i, 0, GRANTS), 1);
	PUB(&p, topic, "x", 1, 3);
	IS(a.port.session->queue_count, 102 + 102 + 202);
	IS(customer_find(home, 7)->sets.count, 1); /* 202 in four, three of them full */
	end();
}

static void what_nobody_uses_leaves_the_tree_in_slices(void)
{
	struct customer *c;
	unsigned slices = 0;
	char topic[64];

	begin();
	c = customer_find(home, 7);
	IS(subscribe("#", 0, GRANTS), 1);
	home->slice_end = 0;
	YES(unsub(&a, "#"));
	NO(tree_empty(c->tree));
	home->slice_end = UINT64_MAX;
	(void)snprintf(topic, sizeof(topic), "t/%u/%.20s", 77, "as long as a name is");
	p.n = 0;
	PUB(&p, topic, "x", 1, 1);
	home->slice_end = 0;
	while (work_waits(c)) {
		struct work *w = list_first(&c->works, struct work, node);

		slices++;
		if (!w->step(w))
			work_cancel(w);
	}
	YES(slices > GRANTS / 2);
	SAID(&p, "puback#1 10");
	YES(tree_empty(c->tree));
	IS(charged(), 0);
	end();
}

static void running_out_of_memory_leaves_no_set_behind(void)
{
	begin();
	for (unsigned long n = 1; n < 80; n++) {
		mem_fail_at(n, n % 2);
		(void)subscribe("#", 0, 3);
		(void)subscribe("+/#", 0, 3);
		mem_fail_at(0, false);
		(void)unsub(&a, "#");
		(void)unsub(&a, "+/#");
		a.n = 0;
		IS(charged(), 0);
	}
	end();
}

RUN(equal_sets_are_shared_and_what_is_charged_is_what_they_take,
    bytes_of_subscriptions_of_a_customer_have_a_limit,
    a_message_reaches_each_of_those_that_share_once, what_nobody_uses_leaves_the_tree_in_slices,
    running_out_of_memory_leaves_no_set_behind)

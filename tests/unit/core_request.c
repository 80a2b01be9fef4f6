/* core_request.c - SUBSCRIBE, UNSUBSCRIBE and REGRANT that are too much for one slice. */
#include "tests/unit/core_help.h"

#include "base/bytes.h"

enum { ITEMS = 8 };

static struct client a, p;
static const char *const filters[ITEMS] = { "a/#", "+/b",   "$share/g/#", "a/b",
	                                    "c/#", "d/+/e", "f",          "#" };

static struct customer *seven(void)
{
	return customer_find(home, 7);
}

static void begin(void)
{
	world_begins();
	a.n = p.n = 0;
	OPEN(&p, .id = "p");
	OPEN(&a, .id = "a", .expiry = 60, .subscriptions = 7);
	home->slice_end = 0; /* every job is cut after its smallest step */
}

static void end(void)
{
	if (a.port.session)
		session_close(&a.port, LINK_CLOSE_EXPIRY, 0);
	session_close(&p.port, LINK_CLOSE_EXPIRY, 0);
	home->slice_end = UINT64_MAX;
	while (seven() && !list_empty(&seven()->works))
		work_cancel(list_first(&seven()->works, struct work, node));
	world_ends();
}

static bool slice(void)
{
	struct work *w = seven() ? list_first(&seven()->works, struct work, node) : NULL;

	if (w && !w->step(w))
		work_cancel(w);
	return w;
}

static unsigned slices(void)
{
	unsigned n = 0;

	while (slice())
		n++;
	return n;
}

/* All filters; REGRANT: with the set "x" instead. */
static void ask(enum link_type type)
{
	struct buf b = { 0 };
	struct link_subscribe s;
	struct room room;
	size_t frame = link_subscribe_begin(&b, type, 1, 1, type == LINK_REGRANT ? 0 : 7, 0);

	for (size_t i = 0; i < ITEMS; i++) {
		size_t item = link_item_begin(&b, frame, i == 3 ? 0x87 : 0, 1, str_c(filters[i]));

		if (type == LINK_REGRANT)
			link_item_inner(&b, item, inner(&room, "x"), true);
		else if (i == 2)
			link_item_inner(&b, item, inner(&room, "#"), true);
		else
			link_item_inner(&b, item, inner(&room, filters[i]), true);
	}
	link_end(&b, frame);
	MUST(buf_ok(&b) && link_subscribe_read(str_skip(buf_str(&b), LINK_HEAD), &s));
	YES(type == LINK_REGRANT ? session_regrant(&a.port, &s) : session_subscribe(&a.port, &s));
	buf_free(&b); /* what is left is the core's own copy */
}

static void unask(void)
{
	struct buf b = { 0 };
	struct link_unsubscribe u;
	size_t frame = link_unsubscribe_begin(&b, 1, 1, 8);

	for (size_t i = 0; i < ITEMS; i++)
		link_unsubscribe_add(&b, frame, str_c(filters[i]));
	link_end(&b, frame);
	MUST(buf_ok(&b) && link_unsubscribe_read(str_skip(buf_str(&b), LINK_HEAD), &u));
	YES(session_unsubscribe(&a.port, &u));
	buf_free(&b);
}

static void a_long_subscribe_has_one_answer_when_all_is_done(void)
{
	begin();
	ask(LINK_SUBSCRIBE);
	SAID(&a, "");
	IS(a.port.session->subs.count, 1);
	while (a.port.session->request) {
		SAID(&a, "");
		YES(slice());
	}
	/* the fourth was refused by the proxy */
	SAID(&a, "suback#7 01,01,01,87,01,01,01,01");
	IS(a.port.session->subs.count, 7);
	unask();
	SAID(&a, "");
	YES(slices() >= ITEMS - 1);
	SAID(&a, "unsuback#8 00,00,00,11,00,00,00,00");
	IS(a.port.session->subs.count, 0);
	end();
}

static void of_a_client_that_is_gone_the_rest_is_not_subscribed(void)
{
	begin();
	ask(LINK_SUBSCRIBE);
	YES(slice());
	session_lost(&a.port, 1000);
	(void)slices();
	IS(session_find(seven(), STR("a"))->subs.count, 2);
	YES(!session_find(seven(), STR("a"))->request);
	SAID(&a, "");
	end();
}

static void a_session_that_ends_takes_it_along(void)
{
	begin();
	ask(LINK_SUBSCRIBE);
	session_close(&a.port, LINK_CLOSE_EXPIRY, 0);
	a.port.session = NULL;
	IS(slices(), 0);
	YES(!session_find(seven(), STR("a")));
	end();
}

static void rights_that_are_lost_are_lost_also_if_the_client_goes_meanwhile(void)
{
	begin();
	ask(LINK_SUBSCRIBE);
	(void)slices();
	session_pause(&a.port);
	a.n = 0;
	PUB(&p, "a/b", "1", 1, 1);
	(void)slices();
	IS(a.port.session->queue_count, 4);
	ask(LINK_REGRANT);
	session_resume(&a.port);
	SAID(&a, ""); /* nothing that is not judged */
	session_lost(&a.port, 1000);
	(void)slices();
	IS(home->counters.dropped_rights + home->counters.dropped_ended, 4);
	YES(open_with(&a, (struct terms){ .id = "a", .expiry = 60 }));
	a.n = 0;
	session_resume(&a.port);
	SAID(&a, "");
	PUB(&p, "x", "2", 1, 2);
	(void)slices();
	IS(home->counters.dropped_rights + home->counters.dropped_ended, 4);
	YES(a.n > 0); /* the control */
	end();
}

static void without_memory_for_a_job_all_is_done_at_once(void)
{
	struct buf b = { 0 };
	struct link_unsubscribe u;
	size_t frame;

	begin();
	home->slice_end = UINT64_MAX;
	ask(LINK_SUBSCRIBE);
	a.n = 0;
	home->slice_end = 0;
	frame = link_unsubscribe_begin(&b, 1, 1, 8);
	link_unsubscribe_add(&b, frame, STR("a/#"));
	link_unsubscribe_add(&b, frame, STR("+/b"));
	link_end(&b, frame);
	MUST(link_unsubscribe_read(str_skip(buf_str(&b), LINK_HEAD), &u));
	mem_fail_at(1, true);
	YES(session_unsubscribe(&a.port, &u));
	mem_fail_at(0, false);
	buf_free(&b);
	SAID(&a, "unsuback#8 00,00");
	YES(!a.port.session->request);
	end();
}

RUN(a_long_subscribe_has_one_answer_when_all_is_done,
    of_a_client_that_is_gone_the_rest_is_not_subscribed, a_session_that_ends_takes_it_along,
    rights_that_are_lost_are_lost_also_if_the_client_goes_meanwhile,
    without_memory_for_a_job_all_is_done_at_once)

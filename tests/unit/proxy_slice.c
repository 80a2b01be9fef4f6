/* proxy_slice.c - what a customer may have done in a turn of its worker, with the clock given. */
#include "tests/kit/kit.h"
#include "proxy/slice.h"

static struct slices all;
static struct slice a, b;
static uint32_t mark_a, mark_b;

static void fresh(void)
{
	all = (struct slices){ 0 };
	a = b = (struct slice){ 0 };
	mark_a = mark_b = 0;
	slices_next(&all, 1000);
}

/* How many units of work get done in this turn, one by one. */
static unsigned work(struct slice *s, uint32_t *mark, unsigned most)
{
	unsigned n = 0;

	while (n < most && slice_open(&all, s)) {
		slices_busy(&all, mark);
		slice_charge(&all, s, 1);
		n++;
	}
	return n;
}

static void who_is_alone_may_do_much(void)
{
	fresh();
	IS(work(&a, &mark_a, 100000), SLICE_ALONE);
	slices_next(&all, 1001);
	IS(work(&a, &mark_a, 100000), SLICE_ALONE);
}

static void two_get_the_same_however_much_one_has_to_do(void)
{
	unsigned done_a = 0, done_b = 0;

	fresh();
	(void)work(&a, &mark_a, 1);
	(void)work(&b, &mark_b, 1);
	for (int64_t ms = 1001; ms < 1101; ms++) {
		slices_next(&all, ms);
		done_a += work(&a, &mark_a, 100000);
		done_b += work(&b, &mark_b, 100000);
		YES(slices_contended(&all));
	}
	IS(done_a, done_b);
	IS(done_a, 100 * (SLICE_BESIDE / 2));
}

static void a_neighbour_that_went_is_forgotten_after_two_windows(void)
{
	fresh();
	(void)work(&a, &mark_a, 1);
	(void)work(&b, &mark_b, 1);
	for (int64_t ms = 1001; ms < 1001 + 2 * SLICE_WINDOW_MS + 2; ms++) {
		slices_next(&all, ms);
		(void)work(&a, &mark_a, 1);
		if (ms < 1000 + SLICE_WINDOW_MS)
			YES(slices_contended(&all));
	}
	NO(slices_contended(&all));
}

static void after_a_long_silence_nobody_is_a_neighbour(void)
{
	fresh();
	(void)work(&a, &mark_a, 1);
	(void)work(&b, &mark_b, 1);
	slices_next(&all, 60000);
	NO(slices_contended(&all));
}

static void what_one_packet_took_too_much_is_waited_for(void)
{
	unsigned turns = 0;

	fresh();
	(void)work(&b, &mark_b, 1);
	(void)work(&a, &mark_a, 1);
	slices_next(&all, 1001);
	slice_charge(&all, &a, 10 * SLICE_BESIDE / 2);
	do {
		slices_next(&all, 1001);
		turns++;
	} while (!slice_open(&all, &a));
	IS(turns, 10);
	YES(slice_open(&all, &b));
}

static void nobody_waits_for_ever(void)
{
	unsigned turns = 0;

	fresh();
	(void)work(&b, &mark_b, 1);
	(void)work(&a, &mark_a, 1);
	slices_next(&all, 1001);
	slice_charge(&all, &a, UINT32_MAX);
	slice_charge(&all, &a, UINT32_MAX);
	do {
		slices_next(&all, 1001);
		turns++;
	} while (!slice_open(&all, &a) && turns < 100000);
	YES(turns < 1000);
}

static void of_a_thousand_each_gets_something(void)
{
	static uint32_t mark[1000];
	static struct slice s[1000];

	fresh();
	memset(mark, 0, sizeof(mark));
	memset(s, 0, sizeof(s));
	for (unsigned i = 0; i < 1000; i++)
		(void)work(&s[i], &mark[i], 1);
	slices_next(&all, 1001);
	for (unsigned i = 0; i < 1000; i++)
		IS(work(&s[i], &mark[i], 100000), SLICE_LEAST);
}

RUN(who_is_alone_may_do_much, two_get_the_same_however_much_one_has_to_do,
    a_neighbour_that_went_is_forgotten_after_two_windows,
    after_a_long_silence_nobody_is_a_neighbour, what_one_packet_took_too_much_is_waited_for,
    nobody_waits_for_ever, of_a_thousand_each_gets_something)

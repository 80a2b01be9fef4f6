/* proxy_breaker.c - the circuit breaker, with its clock and dice given. */
#include "tests/kit/kit.h"
#include "proxy/breaker.h"

static struct breaker b;
static int64_t now;

static void fresh(void)
{
	b = (struct breaker){ 0 };
	now = 1000;
}

/* one request from start to end; true when it opened the circuit */
static bool one(bool ok)
{
	IS(breaker_says(&b, now), BREAKER_GO);
	return breaker_result(&b, breaker_start(&b), ok, now, 0);
}

static void open_it(void)
{
	fresh();
	for (int i = 0; i < BREAKER_TRIP; i++)
		(void)one(false);
	IS(b.state, BREAKER_OPEN);
}

static void five_failures_of_ten_open_it(void)
{
	fresh();
	for (int i = 0; i < 4; i++) {
		NO(one(false));
		NO(one(true));
	}
	IS(breaker_says(&b, now), BREAKER_GO);
	YES(one(false));
	IS(breaker_says(&b, now), BREAKER_STOP);
}

static void four_failures_of_ten_do_not_open_it(void)
{
	fresh();
	for (int i = 0; i < 1000; i++)
		NO(one(i % 10 >= 4));
	IS(breaker_says(&b, now), BREAKER_GO);
}

static void it_stays_open_for_a_second(void)
{
	open_it();
	now += 999;
	IS(breaker_says(&b, now), BREAKER_STOP);
	now += 1;
	IS(breaker_says(&b, now), BREAKER_GO);
}

static void only_one_probe_goes_out(void)
{
	open_it();
	now += 1000;
	(void)breaker_start(&b);
	IS(breaker_says(&b, now), BREAKER_WAIT);
	now += 100000;
	IS(breaker_says(&b, now), BREAKER_WAIT);
}

static void a_good_probe_closes_it(void)
{
	open_it();
	now += 1000;
	NO(one(true));
	IS(b.state, BREAKER_CLOSED);
	for (int i = 0; i < BREAKER_TRIP - 1; i++)
		NO(one(false)); /* nothing of before counts any more */
	YES(one(false));
}

static void a_bad_probe_doubles_the_pause_up_to_four_seconds(void)
{
	static const int64_t pauses[] = { 1000, 2000, 4000, 4000, 4000 };

	open_it();
	for (size_t i = 0; i < ARRAY_LEN(pauses); i++) {
		IS(b.retry_at - now, pauses[i]);
		now = b.retry_at;
		YES(one(false));
	}
}

static void a_success_makes_the_next_pause_short_again(void)
{
	open_it();
	now = b.retry_at;
	(void)one(false);
	now = b.retry_at;
	(void)one(true);
	for (int i = 0; i < BREAKER_TRIP; i++)
		(void)one(false);
	IS(b.retry_at - now, BREAKER_PAUSE_MS);
}

static void dice_add_at_most_a_quarter(void)
{
	int64_t least = INT64_MAX, most = 0;

	for (int i = 0; i < 2000; i++) {
		fresh();
		for (int k = 0; k < BREAKER_TRIP; k++)
			(void)breaker_result(&b, breaker_start(&b), false, now, (uint32_t)any());
		least = b.retry_at - now < least ? b.retry_at - now : least;
		most = b.retry_at - now > most ? b.retry_at - now : most;
	}
	YES(least >= 1000 && least < 1010);
	YES(most > 1240 && most <= 1250);
}

static void late_answers_of_the_time_before_say_nothing_about_the_probe(void)
{
	uint32_t early, probe;

	fresh();
	early = breaker_start(&b);
	for (int i = 0; i < BREAKER_TRIP; i++)
		(void)breaker_result(&b, early, false, now, 0);
	NO(breaker_result(&b, early, true, now, 0)); /* open: ignored */
	IS(b.state, BREAKER_OPEN);
	now += 1000;
	probe = breaker_start(&b);
	NO(breaker_result(&b, early, true, now, 0));
	NO(breaker_result(&b, early, false, now, 0));
	IS(b.state, BREAKER_PROBING);
	NO(breaker_result(&b, probe, true, now, 0));
	IS(b.state, BREAKER_CLOSED);
}

static void half_of_all_failing_does_not_swing_it_faster_than_once_a_second(void)
{
	int64_t opened = 0;

	fresh();
	for (int i = 0; i < 20000; i++, now += 5) {
		if (breaker_says(&b, now) != BREAKER_GO)
			continue;
		if (!breaker_result(&b, breaker_start(&b), any() & 1, now, (uint32_t)any()))
			continue;
		YES(opened == 0 || now - opened >= BREAKER_PAUSE_MS);
		opened = now;
	}
	YES(opened > 0);
}

RUN(five_failures_of_ten_open_it, four_failures_of_ten_do_not_open_it, it_stays_open_for_a_second,
    only_one_probe_goes_out, a_good_probe_closes_it,
    a_bad_probe_doubles_the_pause_up_to_four_seconds, a_success_makes_the_next_pause_short_again,
    dice_add_at_most_a_quarter, late_answers_of_the_time_before_say_nothing_about_the_probe,
    half_of_all_failing_does_not_swing_it_faster_than_once_a_second)

/* proxy_gather.c - how long a worker lets work gather, with its clock given. */
#include "tests/kit/kit.h"
#include "proxy/gather.h"

enum { MOST = 200, AGES = 100000, LITTLE = 2, MUCH = 100 };

static struct gather g;
static int64_t now;

static void fresh(void)
{
	now = 5000;
	gather_init(&g, MOST, now);
}

/* A second of turns, so many each millisecond; somebody who was last heard ago_ms ago speaks in
 * each of them. How many were followed by a pause; *pause is the last one. */
static unsigned second(unsigned per_ms, int64_t ago_ms, uint64_t work, unsigned *pause)
{
	unsigned pauses = 0;

	for (unsigned ms = 0; ms < 1000; ms++, now++) {
		for (unsigned i = 0; i < per_ms; i++) {
			gather_heard(&g, ago_ms);
			*pause = gather_pause(&g, now, work, false);
			pauses += *pause > 0;
		}
	}
	return pauses;
}

static void a_worker_woken_often_for_little_pauses_for_the_time_set(void)
{
	unsigned pause;

	fresh();
	YES(second(5, AGES, LITTLE, &pause) > 4900);
	IS(pause, MOST);
}

static void a_worker_woken_two_thousand_times_a_second_never_pauses(void)
{
	unsigned pause;

	fresh();
	IS(second(2, AGES, LITTLE, &pause), 0);
}

static void a_turn_with_much_work_is_not_followed_by_a_pause(void)
{
	unsigned pause;

	fresh();
	IS(second(5, AGES, MUCH, &pause), 0);
}

static void who_sends_within_a_millisecond_is_never_kept_waiting(void)
{
	unsigned pause;

	fresh();
	IS(second(5, 0, LITTLE, &pause), 0);
}

static void nobody_waits_longer_than_a_sixteenth_of_his_rhythm(void)
{
	unsigned pause;

	for (int64_t ago = 1; ago < 20; ago++) {
		fresh();
		YES(second(5, ago, LITTLE, &pause) > 4900);
		YES(pause * 16 <= ago * 1000);
		YES(pause <= MOST);
	}
}

static void one_hasty_client_among_patient_ones_is_remembered_for_a_window(void)
{
	unsigned pause;

	fresh();
	(void)second(5, AGES, LITTLE, &pause);
	gather_heard(&g, 0);
	for (int64_t until = now + 16; now < until; now++) {
		for (unsigned i = 0; i < 5; i++)
			IS(gather_pause(&g, now, LITTLE, false), 0);
	}
	(void)second(5, AGES, LITTLE, &pause);
	IS(pause, MOST);
}

static void an_answer_of_the_core_is_waited_for_without_a_pause_but_not_for_ever(void)
{
	unsigned pause;

	fresh();
	(void)second(5, AGES, LITTLE, &pause);
	for (unsigned i = 0; i < 4; i++)
		IS(gather_pause(&g, now, LITTLE, true), 0);
	IS(gather_pause(&g, now, LITTLE, true), MOST);
	IS(gather_pause(&g, now, LITTLE, true), 0);
	IS(gather_pause(&g, now, LITTLE, false), MOST);
}

static void after_a_silence_the_first_turns_are_not_followed_by_a_pause(void)
{
	unsigned pause;

	fresh();
	(void)second(5, AGES, LITTLE, &pause);
	now += 1000;
	IS(gather_pause(&g, now, LITTLE, false), 0);
}

static void switched_off_it_never_pauses(void)
{
	unsigned pause;

	now = 5000;
	gather_init(&g, 0, now);
	IS(second(5, AGES, LITTLE, &pause), 0);
}

RUN(a_worker_woken_often_for_little_pauses_for_the_time_set,
    a_worker_woken_two_thousand_times_a_second_never_pauses,
    a_turn_with_much_work_is_not_followed_by_a_pause,
    who_sends_within_a_millisecond_is_never_kept_waiting,
    nobody_waits_longer_than_a_sixteenth_of_his_rhythm,
    one_hasty_client_among_patient_ones_is_remembered_for_a_window,
    an_answer_of_the_core_is_waited_for_without_a_pause_but_not_for_ever,
    after_a_silence_the_first_turns_are_not_followed_by_a_pause, switched_off_it_never_pauses)

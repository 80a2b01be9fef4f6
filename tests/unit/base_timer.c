/* The timer wheel, against a plain list of due times. */
#include "base/base.h"
#include "tests/kit/kit.h"

#include "base/clock.h"
#include "base/loop.h"
#include "base/mem.h"
#include "base/timer.h"

struct alarm {
	struct timer timer;
	unsigned fired;
	int64_t at, wanted;
	unsigned place;
	struct alarm *stops;
	int64_t again; /* set itself so, < 0: not */
	bool frees_itself;
};

static struct loop *loop;
static unsigned place, freed;

static void fire(struct timer *t)
{
	struct alarm *a = container_of(t, struct alarm, timer);

	a->fired++;
	a->at = loop_now(loop);
	a->place = ++place;
	NO(timer_is_set(t));
	if (a->stops)
		timer_stop(&a->stops->timer);
	if (a->again >= 0 && a->fired < 1000) /* a test that would never end is no test */
		timer_set(loop, t, a->again);
	if (a->frees_itself) {
		mem_free(a);
		freed++;
	}
}

static void alarm_init(struct alarm *a)
{
	memset(a, 0, sizeof(*a));
	timer_init(&a->timer, fire);
	a->again = -1;
}

static int64_t shifted;

static void pass(int64_t ms) /* the loop sees the time only in its turn */
{
	shifted += ms;
	clock_shift(shifted, 0);
	loop_turn(loop, 0);
}

static void open_loop(void)
{
	shifted = 0;
	place = freed = 0;
	IS(loop_open(&loop), 0);
	loop_turn(loop, 0);
}

static void a_timer_fires_once_in_time_and_never_early(void)
{
	struct alarm a;

	open_loop();
	alarm_init(&a);
	timer_set(loop, &a.timer, 1000);
	a.wanted = loop_now(loop) + 1000;
	YES(timer_is_set(&a.timer));
	pass(900);
	IS(a.fired, 0);
	pass(1000);
	IS(a.fired, 1);
	YES(a.at >= a.wanted);
	pass(10000);
	IS(a.fired, 1);
	loop_close(&loop);
}

static void the_loop_wakes_by_itself_for_a_timer(void)
{
	struct alarm a;
	unsigned turns = 0;

	open_loop();
	alarm_init(&a);
	timer_set(loop, &a.timer, 50);
	a.wanted = loop_now(loop) + 50;
	while (!a.fired) {
		loop_turn(loop, -1);
		turns++;
	}
	YES(a.at >= a.wanted);
	YES(turns <= 3); /* no ticking; at most a wake to move it down a level */
	loop_close(&loop);
}

static void a_stopped_timer_does_not_fire(void)
{
	struct alarm a;

	open_loop();
	alarm_init(&a);
	timer_stop(&a.timer);
	timer_set(loop, &a.timer, 10);
	timer_stop(&a.timer);
	timer_stop(&a.timer);
	NO(timer_is_set(&a.timer));
	pass(1000);
	IS(a.fired, 0);
	loop_close(&loop);
}

static void a_timer_set_again_forgets_its_first_time(void)
{
	struct alarm a;

	open_loop();
	alarm_init(&a);
	timer_set(loop, &a.timer, 100);
	pass(90);
	timer_set(loop, &a.timer, 1000);
	pass(500);
	IS(a.fired, 0);
	pass(600);
	IS(a.fired, 1);
	loop_close(&loop);
}

static void a_timer_may_set_itself_to_nothing_without_holding_the_turn(void)
{
	struct alarm a;
	unsigned before;

	open_loop();
	alarm_init(&a);
	a.again = 0;
	timer_set(loop, &a.timer, -5);
	for (unsigned turn = 0; turn < 64; turn++) { /* some of them exactly on a tick */
		before = a.fired;
		pass(1);
		YES(a.fired <= before + 1);
	}
	YES(a.fired >= 64 / TICK_MS - 1);
	timer_stop(&a.timer);
	loop_close(&loop);
}

static void a_timer_may_stop_another_that_is_due_in_the_same_turn(void)
{
	struct alarm a, b;

	open_loop();
	alarm_init(&a);
	alarm_init(&b);
	a.stops = &b;
	b.stops = &a;
	timer_set(loop, &a.timer, 10);
	timer_set(loop, &b.timer, 10);
	pass(100);
	IS(a.fired + b.fired, 1);
	loop_close(&loop);
}

static void a_timer_may_free_its_owner(void)
{
	struct alarm *a[3];

	open_loop();
	for (size_t i = 0; i < ARRAY_LEN(a); i++) {
		a[i] = mem_alloc(sizeof(*a[i]));
		YES(a[i]);
		alarm_init(a[i]);
		a[i]->frees_itself = true;
		timer_set(loop, &a[i]->timer, 10);
	}
	pass(100);
	IS(freed, 3);
	loop_close(&loop);
}

static void timers_missed_in_a_long_turn_fire_in_the_order_of_their_times(void)
{
	static const int64_t in_ms[] = {
		90000, 20, 5000, 700000, 40, 80, 9000000, 600, 3000000000
	};
	struct alarm a[ARRAY_LEN(in_ms)];

	open_loop();
	for (size_t i = 0; i < ARRAY_LEN(in_ms); i++) {
		alarm_init(&a[i]);
		timer_set(loop, &a[i].timer, in_ms[i]);
	}
	pass(4000000000);
	for (size_t i = 0; i < ARRAY_LEN(in_ms); i++) {
		unsigned before = 0;

		for (size_t j = 0; j < ARRAY_LEN(in_ms); j++)
			before += in_ms[j] < in_ms[i];
		IS(a[i].place, before + 1);
	}
	loop_close(&loop);
}

static void a_time_beyond_the_wheel_is_kept_too(void)
{
	static const int64_t day = 86400000;
	struct alarm a, never;

	open_loop();
	alarm_init(&a);
	alarm_init(&never);
	timer_set(loop, &a.timer, 400 * day);
	timer_set(loop, &never.timer, INT64_MAX);
	for (int i = 0; i < 399; i++)
		pass(day);
	IS(a.fired, 0);
	pass(day + 100);
	IS(a.fired, 1);
	IS(never.fired, 0);
	timer_stop(&never.timer);
	loop_close(&loop);
}

/* Any mixture of setting, stopping and passing time does what a list of due times would do. */
static void the_wheel_agrees_with_a_plain_list(void)
{
	enum { COUNT = 64, ROUNDS = 20000 };
	static struct timer timers[COUNT];
	static int64_t due[COUNT]; /* 0: not set */
	struct wheel *w = mem_alloc(sizeof(*w));
	int64_t now = 123456789;

	YES(w);
	wheel_init(w, now);
	memset(due, 0, sizeof(due));
	for (size_t i = 0; i < COUNT; i++)
		timer_init(&timers[i], NULL);
	for (unsigned round = 0; round < ROUNDS; round++) {
		size_t i = any_below(COUNT);
		struct timer *t;
		int64_t next;
		unsigned most;
		bool more;

		timer_stop(&timers[i]);
		due[i] = 0;
		if (any_below(4)) {
			due[i] = timers[i].due = now + (int64_t)(any() >> (64 - 1 - any_below(36)));
			wheel_add(w, &timers[i], tick_floor(now) + 1);
		}
		next = wheel_next_ms(w);
		for (size_t k = 0; k < COUNT; k++)
			YES(!due[k] || (next >= 0 && next <= due[k] + 2 * TICK_MS));
		now += (int64_t)(any() >> (64 - 1 - any_below(30)));
		do {
			most = 1 + (unsigned)any_below(8);
			more = wheel_step(w, tick_floor(now), &most);
			while ((t = list_first(&w->due, struct timer, node))) {
				size_t k = (size_t)(t - timers);

				YES(due[k] && due[k] <= now);
				timer_stop(t);
				due[k] = 0;
			}
		} while (more && any_below(16)); /* a turn ends, in the middle of a slot too */
		for (size_t k = 0; !more && k < COUNT; k++)
			YES(!due[k] || due[k] > now - 2 * TICK_MS);
	}
	mem_free(w);
}

/* A client may choose when its timers are due: the loop looks for events in between. */
static void of_very_many_that_are_due_at_once_some_fire_in_each_turn(void)
{
	enum { COUNT = 100000, MOST = 8192 };
	static struct alarm alarms[COUNT];
	struct alarm later;
	unsigned turns = 0, before = 0;

	open_loop();
	for (size_t i = 0; i < COUNT; i++) {
		alarm_init(&alarms[i]);
		/* two seconds, so that many move down together before they fire */
		timer_set(loop, &alarms[i].timer, 60000 + (int64_t)(i % 2) * 1000);
	}
	alarm_init(&later);
	timer_set(loop, &later.timer, 61500);
	pass(62000);
	YES(place <= MOST);
	while (!later.fired && ++turns < COUNT) {
		before = place;
		loop_turn(loop, 1000); /* it does not wait */
		YES(place - before <= MOST);
	}
	IS(place, COUNT + 1);
	IS(later.place, COUNT + 1);
	YES(turns >= COUNT / MOST);
	YES(turns <= 6 * COUNT / MOST); /* a timer fires once, after a move or none per level */
	for (size_t i = 0; i < COUNT; i++) {
		IS(alarms[i].fired, 1);
		YES(i % 2 == 0 || alarms[i].place > COUNT / 2);
	}
	loop_close(&loop);
}

static void one_that_waits_for_its_turn_may_be_stopped_and_set_again(void)
{
	enum { COUNT = 5000 };
	static struct alarm alarms[COUNT];

	open_loop();
	for (size_t i = 0; i < COUNT; i++) {
		alarm_init(&alarms[i]);
		timer_set(loop, &alarms[i].timer, 1000);
	}
	pass(1100);
	NO(alarms[COUNT - 1].fired);
	timer_stop(&alarms[COUNT - 1].timer);
	timer_set(loop, &alarms[COUNT - 2].timer, 1000);
	for (int i = 0; i < 10; i++)
		loop_turn(loop, 0);
	IS(place, COUNT - 2);
	pass(1100);
	IS(place, COUNT - 1);
	loop_close(&loop);
}

RUN(a_timer_fires_once_in_time_and_never_early, the_loop_wakes_by_itself_for_a_timer,
    a_stopped_timer_does_not_fire, a_timer_set_again_forgets_its_first_time,
    a_timer_may_set_itself_to_nothing_without_holding_the_turn,
    a_timer_may_stop_another_that_is_due_in_the_same_turn, a_timer_may_free_its_owner,
    timers_missed_in_a_long_turn_fire_in_the_order_of_their_times,
    a_time_beyond_the_wheel_is_kept_too, the_wheel_agrees_with_a_plain_list,
    of_very_many_that_are_due_at_once_some_fire_in_each_turn,
    one_that_waits_for_its_turn_may_be_stopped_and_set_again)

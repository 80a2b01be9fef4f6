/* The event loop: watches, hooks, stopping. Timers have base_timer.c. */
#include "base/base.h"
#include "tests/kit/kit.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/loop.h"
#include "base/mem.h"

struct side {
	struct watch watch;
	struct loop *loop;
	struct side *other; /* ended by this one's callback */
	unsigned calls, last;
	bool read_it, end_it, freed_here;
};

static struct loop *loop;

static void ready(struct watch *w, unsigned events)
{
	struct side *s = container_of(w, struct side, watch);
	char bytes[16];

	s->calls++;
	s->last = events;
	if (s->read_it)
		(void)!read(w->fd, bytes, sizeof(bytes));
	if (s->other) {
		loop_unwatch(s->loop, &s->other->watch);
		if (s->freed_here)
			mem_free(s->other);
		s->other = NULL;
	}
	if (s->end_it)
		loop_unwatch(s->loop, w);
}

static void start(struct side *s, int pair[2], unsigned events)
{
	memset(s, 0, sizeof(*s));
	s->loop = loop;
	IS(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	IS(loop_watch(loop, &s->watch, pair[0], events, ready), 0);
}

static void finish(int pair[2])
{
	close(pair[0]);
	close(pair[1]);
}

static void open_loop(void)
{
	IS(loop_open(&loop), 0);
}

static void close_loop(void)
{
	loop_close(&loop);
	YES(loop == NULL);
}

static void bytes_left_unread_are_reported_again(void)
{
	struct side s;
	int pair[2];

	open_loop();
	start(&s, pair, LOOP_READ);
	loop_turn(loop, 0);
	IS(s.calls, 0);
	IS(write(pair[1], "x", 1), 1);
	loop_turn(loop, 1000);
	loop_turn(loop, 1000);
	IS(s.calls, 2);
	IS(s.last, LOOP_READ);
	s.read_it = true;
	loop_turn(loop, 1000);
	loop_turn(loop, 0);
	IS(s.calls, 3);
	loop_unwatch(loop, &s.watch);
	finish(pair);
	close_loop();
}

static void only_what_is_asked_for_is_reported(void)
{
	struct side s;
	int pair[2];

	open_loop();
	start(&s, pair, 0);
	IS(write(pair[1], "x", 1), 1);
	loop_turn(loop, 0);
	IS(s.calls, 0);
	loop_rewatch(loop, &s.watch, LOOP_WRITE);
	loop_turn(loop, 1000);
	IS(s.last, LOOP_WRITE);
	loop_rewatch(loop, &s.watch, LOOP_READ | LOOP_WRITE);
	loop_turn(loop, 1000);
	IS(s.last, LOOP_READ | LOOP_WRITE);
	loop_unwatch(loop, &s.watch);
	finish(pair);
	close_loop();
}

static void a_hangup_is_reported_even_when_nothing_is_asked_for(void)
{
	struct side s;
	int pair[2];

	open_loop();
	start(&s, pair, 0);
	close(pair[1]);
	s.end_it = true;
	loop_turn(loop, 1000);
	IS(s.calls, 1);
	IS(s.last, LOOP_HANGUP | LOOP_READ);
	loop_turn(loop, 0);
	IS(s.calls, 1);
	close(pair[0]);
	close_loop();
}

static void an_event_fetched_already_never_reaches_a_watch_that_was_ended(void)
{
	struct side a, b;
	int pair_a[2], pair_b[2];

	open_loop();
	start(&a, pair_a, LOOP_READ);
	start(&b, pair_b, LOOP_READ);
	a.other = &b;
	b.other = &a;
	IS(write(pair_a[1], "x", 1), 1);
	IS(write(pair_b[1], "x", 1), 1);
	loop_turn(loop, 1000);
	IS(a.calls + b.calls, 1);
	loop_unwatch(loop, &a.watch);
	loop_unwatch(loop, &b.watch);
	finish(pair_a);
	finish(pair_b);
	close_loop();
}

static void a_callback_may_free_the_owner_of_another_watch(void)
{
	struct side a, *b = mem_zalloc(sizeof(*b));
	int pair_a[2], pair_b[2];

	YES(b);
	open_loop();
	start(&a, pair_a, LOOP_READ);
	start(b, pair_b, LOOP_READ);
	a.other = b;
	a.freed_here = true;
	IS(write(pair_a[1], "x", 1), 1);
	loop_turn(loop, 1000); /* only a is ready */
	IS(a.calls, 1);
	YES(a.other == NULL);
	IS(write(pair_b[1], "x", 1), 1);
	loop_turn(loop, 0); /* ASan would see b used */
	loop_unwatch(loop, &a.watch);
	finish(pair_a);
	finish(pair_b);
	close_loop();
}

static void pause_other(struct watch *w, unsigned events)
{
	struct side *s = container_of(w, struct side, watch);

	(void)events;
	s->calls++;
	loop_rewatch(s->loop, &s->other->watch, 0);
}

static void a_watch_paused_in_this_turn_is_not_called_in_it(void)
{
	struct side a, b;
	int pair_a[2], pair_b[2];

	open_loop();
	start(&a, pair_a, LOOP_READ);
	start(&b, pair_b, LOOP_READ);
	a.watch.ready = b.watch.ready = pause_other;
	a.other = &b;
	b.other = &a;
	IS(write(pair_a[1], "x", 1), 1);
	IS(write(pair_b[1], "x", 1), 1);
	loop_turn(loop, 1000);
	IS(a.calls + b.calls, 1);
	loop_unwatch(loop, &a.watch);
	loop_unwatch(loop, &b.watch);
	finish(pair_a);
	finish(pair_b);
	close_loop();
}

static void unwatching_twice_or_what_was_never_watched_is_harmless(void)
{
	struct watch never = { 0 };
	struct side s;
	int pair[2];

	open_loop();
	start(&s, pair, LOOP_READ);
	loop_unwatch(loop, &s.watch);
	loop_unwatch(loop, &s.watch);
	loop_unwatch(loop, &never);
	loop_rewatch(loop, &s.watch, LOOP_WRITE);
	IS(s.watch.fd, pair[0]); /* still there for the owner to close */
	finish(pair);
	close_loop();
}

static void watching_what_cannot_be_watched_is_an_error(void)
{
	struct watch w = { 0 };
	const char *file = temp_file("plain", "x");
	FILE *f = fopen(file, "r");

	YES(f);
	open_loop();
	IS(loop_watch(loop, &w, -1, LOOP_READ, ready), -E_INVALID);
	IS(loop_watch(loop, &w, fileno(f), LOOP_READ, ready), -E_INVALID);
	YES(w.ready == NULL);
	fclose(f);
	close_loop();
}

static void more_ready_watches_than_one_turn_fetches_are_all_served(void)
{
	enum { MANY = 300 };
	static struct side s[MANY];
	static int pairs[MANY][2];

	open_loop();
	for (size_t i = 0; i < MANY; i++) {
		start(&s[i], pairs[i], LOOP_READ);
		s[i].read_it = true;
		IS(write(pairs[i][1], "x", 1), 1);
	}
	loop_turn(loop, 1000);
	loop_turn(loop, 1000);
	for (size_t i = 0; i < MANY; i++) {
		IS(s[i].calls, 1);
		loop_unwatch(loop, &s[i].watch);
		finish(pairs[i]);
	}
	close_loop();
}

/* ---- Hooks ---- */
struct step {
	struct hook hook;
	struct step *asks; /* asked for by this one's run */
	unsigned runs, place;
};

static unsigned place;

static void step_run(struct hook *h)
{
	struct step *s = container_of(h, struct step, hook);

	s->runs++;
	s->place = ++place;
	if (s->asks)
		loop_at_end(loop, &s->asks->hook);
}

static void a_hook_runs_once_a_turn_however_often_it_is_asked_for(void)
{
	struct step a = { .runs = 0 };

	open_loop();
	hook_init(&a.hook, step_run);
	loop_at_end(loop, &a.hook);
	loop_at_end(loop, &a.hook);
	loop_turn(loop, 0);
	IS(a.runs, 1);
	loop_turn(loop, 0);
	IS(a.runs, 1);
	loop_at_end(loop, &a.hook);
	loop_turn(loop, 0);
	IS(a.runs, 2);
	close_loop();
}

static void a_hook_asked_for_by_a_hook_runs_in_the_same_turn_after_the_others(void)
{
	struct step a = { .runs = 0 }, b = { .runs = 0 }, late = { .runs = 0 },
		    gone = { .runs = 0 };

	open_loop();
	place = 0;
	hook_init(&a.hook, step_run);
	hook_init(&b.hook, step_run);
	hook_init(&late.hook, step_run);
	hook_init(&gone.hook, step_run);
	a.asks = &late;
	loop_at_end(loop, &a.hook);
	loop_at_end(loop, &gone.hook);
	loop_at_end(loop, &b.hook);
	hook_cancel(&gone.hook);
	hook_cancel(&gone.hook);
	loop_turn(loop, 0);
	IS(a.place, 1);
	IS(b.place, 2);
	IS(late.place, 3);
	IS(gone.runs, 0);
	close_loop();
}

/* ---- Time and stopping ---- */
/* ns that a turn takes which has nothing to wait for */
static int64_t turn_takes(void)
{
	struct timespec before, after;

	clock_gettime(CLOCK_MONOTONIC, &before);
	loop_turn(loop, 0);
	clock_gettime(CLOCK_MONOTONIC, &after);
	return (after.tv_sec - before.tv_sec) * 1000000000 + after.tv_nsec - before.tv_nsec;
}

static void a_pause_comes_before_the_next_look_for_events_and_only_once(void)
{
	int64_t shortest = INT64_MAX;
	struct side s;
	int pair[2];

	open_loop();
	start(&s, pair, LOOP_READ);
	IS(write(pair[1], "x", 1), 1);
	loop_pause(loop, 100000);
	YES(turn_takes() >= 100000000);
	IS(s.calls, 1);
	for (unsigned i = 0; i < 50 && shortest >= 100000000; i++) {
		int64_t took = turn_takes();

		shortest = took < shortest ? took : shortest;
	}
	YES(shortest < 100000000);
	loop_unwatch(loop, &s.watch);
	finish(pair);
	close_loop();
}

static unsigned runs;

static void run_again(struct hook *h)
{
	if (++runs < 3)
		loop_at_next_end(loop, h);
}

static void a_hook_for_the_next_turn_runs_once_a_turn_and_the_turn_does_not_wait(void)
{
	struct hook hook;
	int64_t before;

	open_loop();
	hook_init(&hook, run_again);
	loop_at_end(loop, &hook);
	runs = 0;
	loop_turn(loop, 0);
	IS(runs, 1);
	before = clock_mono_ms();
	loop_turn(loop, 10000);
	IS(runs, 2);
	loop_pause(loop, 900000);
	loop_turn(loop, 10000);
	IS(runs, 3);
	YES(clock_mono_ms() - before < 500);
	loop_turn(loop, 0);
	IS(runs, 3);
	close_loop();
}

static void the_loop_reads_both_clocks_once_a_turn(void)
{
	int64_t mono, wall;

	open_loop();
	loop_turn(loop, 0);
	mono = loop_now(loop);
	wall = loop_wall(loop);
	clock_shift(5000, -7000);
	IS(loop_now(loop), mono);
	loop_turn(loop, 0);
	YES(loop_now(loop) - mono >= 5000 && loop_now(loop) - mono < 6000);
	YES(loop_wall(loop) - wall <= -6000 && loop_wall(loop) - wall >= -7000);
	close_loop();
}

static void *stop_later(void *arg)
{
	usleep(20000);
	loop_stop(arg);
	return NULL;
}

static void another_thread_stops_a_loop_that_sleeps(void)
{
	pthread_t id;

	open_loop();
	for (int round = 0; round < 2; round++) { /* it may be run again */
		IS(pthread_create(&id, NULL, stop_later, loop), 0);
		loop_run(loop);
		pthread_join(id, NULL);
	}
	close_loop();
}

static void on_signal(int number)
{
	(void)number;
	loop_stop(loop);
}

static void a_signal_handler_stops_a_loop(void)
{
	open_loop();
	signal(SIGUSR1, on_signal);
	raise(SIGUSR1); /* before the run: counts too */
	loop_run(loop);
	signal(SIGUSR1, SIG_DFL);
	close_loop();
}

/* ---- Edges ---- */
static void an_edge_is_told_once_and_again_when_asked_for(void)
{
	struct side s;
	int pair[2];

	open_loop();
	start(&s, pair, LOOP_READ | LOOP_EDGE);
	IS(write(pair[1], "x", 1), 1);
	loop_turn(loop, 0);
	loop_turn(loop, 0);
	IS(s.calls, 1); /* though the byte is still there */
	loop_again(loop, &s.watch);
	loop_turn(loop, 0);
	loop_turn(loop, 0);
	IS(s.calls, 2);
	IS(write(pair[1], "y", 1), 1);
	loop_turn(loop, 0);
	IS(s.calls, 3);
	loop_unwatch(loop, &s.watch);
	loop_again(loop, &s.watch); /* harmless */
	finish(pair);
	close_loop();
}

static void what_came_while_an_edge_was_paused_is_told_afterwards(void)
{
	struct side s;
	int pair[2];

	open_loop();
	start(&s, pair, LOOP_READ | LOOP_EDGE);
	IS(write(pair[1], "x", 1), 1);
	loop_rewatch(loop, &s.watch, LOOP_EDGE);
	loop_turn(loop, 0);
	IS(s.calls, 0);
	loop_rewatch(loop, &s.watch, LOOP_READ | LOOP_EDGE);
	loop_turn(loop, 0);
	IS(s.calls, 1);
	loop_unwatch(loop, &s.watch);
	finish(pair);
	close_loop();
}

/* The owner reads once per call and takes what is there: the end that came with the bytes is told
 * all the same. */
static void an_end_that_came_behind_the_bytes_is_told(void)
{
	struct side s;
	int pair[2];

	open_loop();
	for (int whole = 0; whole < 2; whole++) {
		start(&s, pair, LOOP_READ | LOOP_EDGE);
		s.read_it = true;
		IS(write(pair[1], "x", 1), 1);
		IS(shutdown(pair[1], whole ? SHUT_RDWR : SHUT_WR), 0);
		loop_turn(loop, 0);
		IS(s.calls, 1);
		s.end_it = true;
		loop_turn(loop, 0);
		IS(s.calls, 2);
		loop_turn(loop, 0);
		IS(s.calls, 2);
		finish(pair);
	}
	close_loop();
}

static void an_edge_that_ends_itself_is_not_looked_at_again(void)
{
	struct side s;
	int pair[2];

	open_loop();
	start(&s, pair, LOOP_READ | LOOP_EDGE);
	s.end_it = true;
	IS(shutdown(pair[1], SHUT_WR), 0);
	loop_turn(loop, 0);
	loop_turn(loop, 0);
	IS(s.calls, 1);
	finish(pair);
	close_loop();
}

static void an_open_that_runs_out_of_memory_leaves_nothing_behind(void)
{
	each_alloc_failure(n)
	{
		struct loop *l = NULL;
		int err = loop_open(&l);

		IS(err, n == 1 ? -E_NOMEM : 0);
		YES((l != NULL) == (err == 0));
		loop_close(&l);
	}
}

RUN(bytes_left_unread_are_reported_again, only_what_is_asked_for_is_reported,
    a_hangup_is_reported_even_when_nothing_is_asked_for,
    an_event_fetched_already_never_reaches_a_watch_that_was_ended,
    a_callback_may_free_the_owner_of_another_watch, a_watch_paused_in_this_turn_is_not_called_in_it,
    unwatching_twice_or_what_was_never_watched_is_harmless,
    watching_what_cannot_be_watched_is_an_error,
    more_ready_watches_than_one_turn_fetches_are_all_served,
    a_hook_runs_once_a_turn_however_often_it_is_asked_for,
    a_hook_asked_for_by_a_hook_runs_in_the_same_turn_after_the_others,
    a_pause_comes_before_the_next_look_for_events_and_only_once,
    a_hook_for_the_next_turn_runs_once_a_turn_and_the_turn_does_not_wait,

    the_loop_reads_both_clocks_once_a_turn, another_thread_stops_a_loop_that_sleeps,
    a_signal_handler_stops_a_loop, an_edge_is_told_once_and_again_when_asked_for,
    what_came_while_an_edge_was_paused_is_told_afterwards,
    an_end_that_came_behind_the_bytes_is_told, an_edge_that_ends_itself_is_not_looked_at_again,
    an_open_that_runs_out_of_memory_leaves_nothing_behind)

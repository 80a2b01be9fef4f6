/* How long the turns of a loop take, and what took longest. */
#include "base/base.h"
#include "tests/kit/kit.h"

#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/loop.h"

static struct loop *loop;

static void open_loop(void)
{
	IS(loop_open(&loop), 0);
}

static void close_loop(void)
{
	loop_close(&loop);
}

static void waste(unsigned ms)
{
	for (int64_t until = clock_mono_us() + ms * 1000; clock_mono_us() < until;)
		;
}

static void waste_in_two_steps(struct hook *h)
{
	(void)h;
	loop_step(loop, "short");
	waste(2);
	loop_step(loop, "lengthy");
	waste(20);
	loop_step(loop, "last");
}

static void the_longest_turn_is_known_with_the_step_that_took_longest(void)
{
	struct hook hook;

	open_loop();
	loop_turn(loop, 0);
	YES(loop_longest(loop).us < 20000);
	hook_init(&hook, waste_in_two_steps);
	loop_at_end(loop, &hook);
	loop_turn(loop, 0);
	loop_turn(loop, 0);
	YES(loop_longest(loop).us >= 22000);
	IS_STR(str_c(loop_longest(loop).step), "lengthy");
	YES(loop_longest_since(loop).us >= 22000);
	loop_turn(loop, 0);
	YES(loop_longest_since(loop).us < 20000);
	YES(loop_longest(loop).us >= 22000);
	close_loop();
}

static void sleep_only(struct hook *h)
{
	(void)h;
	loop_step(loop, "asleep");
	usleep(40000);
}

static void a_turn_in_which_others_had_the_cpu_is_told_apart_from_one_that_used_it(void)
{
	struct hook asleep, busy;

	open_loop();
	hook_init(&asleep, sleep_only);
	hook_init(&busy, waste_in_two_steps);
	loop_at_end(loop, &asleep);
	loop_turn(loop, 0);
	YES(loop_longest(loop).us >= 40000);
	YES(loop_longest(loop).cpu_us < 20000);
	loop_at_end(loop, &busy);
	loop_turn(loop, 0);
	IS_STR(str_c(loop_longest(loop).cpu_step), "lengthy");
	YES(loop_longest(loop).cpu_us > 5000);
	YES(loop_longest(loop).cpu_us <= loop_longest(loop).us);
	close_loop();
}

static void waste_sixty(struct timer *t)
{
	(void)t;
	waste(60);
}

/* Standard error goes to a file meanwhile. */
static size_t lines_of_long_turns(unsigned turns)
{
	FILE *file = tmpfile();
	int saved = dup(STDERR_FILENO);
	char text[4096] = "";
	struct timer t;
	size_t n, count = 0;

	timer_init(&t, waste_sixty);
	dup2(fileno(file), STDERR_FILENO);
	for (unsigned i = 0; i < turns; i++) {
		timer_set(loop, &t, 0);
		for (int64_t until = clock_mono_ms() + 100;
		     timer_is_set(&t) && clock_mono_ms() < until;)
			loop_turn(loop, 10);
	}
	dup2(saved, STDERR_FILENO);
	close(saved);
	rewind(file);
	n = fread(text, 1, sizeof(text) - 1, file);
	text[n] = '\0';
	for (const char *at = text; (at = strstr(at, "ev=long-turn")); at++) {
		YES(strstr(at, "step=timer") != NULL);
		count++;
	}
	fclose(file);
	return count;
}

static void a_turn_over_fifty_ms_is_a_log_line_but_not_each_of_many(void)
{
	open_loop();
	loop_name(loop, "test");
	IS(lines_of_long_turns(3), 1);
	close_loop();
}

RUN(the_longest_turn_is_known_with_the_step_that_took_longest,
    a_turn_in_which_others_had_the_cpu_is_told_apart_from_one_that_used_it,
    a_turn_over_fifty_ms_is_a_log_line_but_not_each_of_many)

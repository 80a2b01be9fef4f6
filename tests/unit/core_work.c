/* core_work.c - jobs that are cut into slices: whose turn it is, and what becomes of them. */
#include "tests/unit/core_help.h"

#include "core/work.h"

struct job {
	struct work work;
	unsigned left, steps; /* units; steps so far */
	bool dropped;
	uint64_t first, last; /* turns in which it was served */
};

static bool step(struct work *w)
{
	struct job *j = container_of(w, struct job, work);

	j->steps++;
	j->last = home->work_turn;
	if (!j->first)
		j->first = home->work_turn;
	while (j->left && !work_over(home)) {
		work_spend(home, 100);
		j->left--;
	}
	return j->left;
}

static void drop(struct work *w)
{
	container_of(w, struct job, work)->dropped = true;
}

static struct customer *customer(uint64_t id)
{
	struct customer *c = customer_get(home, id);

	MUST(c);
	return c;
}

static void add(struct customer *c, struct job *j, unsigned left)
{
	*j = (struct job){ .work = { .step = step, .drop = drop }, .left = left };
	work_add(c, &j->work);
}

static void a_job_goes_on_in_later_turns_until_it_is_done(void)
{
	struct job j;

	world_begins();
	add(customer(7), &j, 1000); /* five slices */
	IS(j.steps, 0);
	loop_turn(home->loop, 0);
	IS(j.steps, 1);
	YES(!j.dropped);
	turn();
	YES(j.dropped);
	IS(j.left, 0);
	IS(j.last - j.first, 4);
	YES(customer_find(home, 7) == NULL); /* nothing was left of it */
	world_ends();
}

static void jobs_of_a_customer_run_one_after_the_other(void)
{
	struct job a, b;

	world_begins();
	add(customer(7), &a, 400);
	add(customer(7), &b, 10);
	loop_turn(home->loop, 0);
	IS(b.steps, 0);
	turn();
	YES(a.dropped && b.dropped);
	YES(b.first >= a.last);
	world_ends();
}

/* The control: without slices the second customer would wait for all of the first one's work. */
static void another_customer_waits_for_a_slice_only(void)
{
	struct job big, small;

	world_begins();
	add(customer(7), &big, 100000);
	turn();
	add(customer(8), &small, 10);
	loop_turn(home->loop, 0);
	YES(small.dropped);
	YES(!big.dropped);
	for (int i = 0; i < 600; i++)
		loop_turn(home->loop, 0);
	YES(big.dropped);
	world_ends();
}

/* A turn has a limit for all customers; one that was not served in it comes first in the next. */
static void many_customers_take_turns(void)
{
	struct job j[50];
	uint64_t spent;

	world_begins();
	for (unsigned i = 0; i < 50; i++)
		add(customer(100 + i), &j[i], 1000);
	spent = home->spent;
	loop_turn(home->loop, 0);
	YES(home->spent - spent <= WORK_TURN + WORK_SLICE);
	for (unsigned i = 0; i < 16; i++)
		loop_turn(home->loop, 0);
	for (unsigned i = 0; i < 50; i++)
		YES(j[i].steps >= 1);
	for (unsigned i = 0; i < 100; i++)
		loop_turn(home->loop, 0);
	for (unsigned i = 0; i < 50; i++)
		YES(j[i].dropped);
	world_ends();
}

/* Each of fifty had a whole slice before it was its turn: 20 turns. */
static void who_comes_waits_for_about_a_turn_however_many_wait(void)
{
	struct job many[50], small;
	unsigned turns = 0;

	world_begins();
	for (unsigned i = 0; i < 50; i++)
		add(customer(100 + i), &many[i], 1000);
	for (unsigned i = 0; i < 5; i++)
		loop_turn(home->loop, 0);
	add(customer(99), &small, 5);
	while (!small.dropped && turns++ < 100)
		loop_turn(home->loop, 0);
	YES(turns <= 3);
	for (unsigned i = 0; i < 50; i++)
		NO(many[i].dropped); /* the control: they still wait */
	for (unsigned i = 0; i < 200; i++)
		loop_turn(home->loop, 0);
	for (unsigned i = 0; i < 50; i++)
		YES(many[i].dropped);
	world_ends();
}

static bool costly_step(struct work *w)
{
	struct job *j = container_of(w, struct job, work);

	j->steps++;
	j->last = home->work_turn;
	work_spend(home, 10 * WORK_SLICE);
	return --j->left;
}

static void what_cannot_be_cut_is_paid_back(void)
{
	struct job j = { .work = { .step = costly_step, .drop = drop }, .left = 2 };

	world_begins();
	work_add(customer(7), &j.work);
	loop_turn(home->loop, 0);
	IS(j.steps, 1);
	turn();
	IS(j.steps, 1);
	turn();
	IS(j.steps, 2);
	IS(j.last, 11);
	YES(j.dropped);
	world_ends();
}

static void jobs_are_dropped_with_their_home_and_when_cancelled(void)
{
	struct job a, b;

	world_begins();
	add(customer(7), &a, 100000);
	add(customer(7), &b, 100000);
	turn();
	work_cancel(&a.work);
	YES(a.dropped && !b.dropped);
	turn();
	YES(b.steps > 0);
	world_ends();
	YES(b.dropped);
}

RUN(a_job_goes_on_in_later_turns_until_it_is_done, jobs_of_a_customer_run_one_after_the_other,
    another_customer_waits_for_a_slice_only, many_customers_take_turns,
    who_comes_waits_for_about_a_turn_however_many_wait, what_cannot_be_cut_is_paid_back,
    jobs_are_dropped_with_their_home_and_when_cancelled)

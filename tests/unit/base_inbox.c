/* Handing work between threads: inbox, thread, RCU. Also what TSan runs on. */
#include "base/base.h"
#include "tests/kit/kit.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/inbox.h"
#include "base/rcu.h"
#include "base/thread.h"

static struct loop *loop;
static struct inbox *inbox;

struct word {
	struct inbox_item item;
	unsigned from, number;
	struct word *pushes;
};

static unsigned seen[8], wrong, total, wanted;

static void take_word(struct inbox_item *item)
{
	struct word *w = container_of(item, struct word, item);

	wrong += w->number != seen[w->from]++;
	if (w->pushes)
		inbox_push(inbox, &w->pushes->item);
	mem_free(w);
	if (++total == wanted)
		loop_stop(loop);
}

static struct word *word_new(unsigned from, unsigned number)
{
	struct word *w = mem_zalloc(sizeof(*w));

	MUST(w);
	w->item.run = take_word;
	w->from = from;
	w->number = number;
	return w;
}

static void open_both(void)
{
	memset(seen, 0, sizeof(seen));
	wrong = total = wanted = 0;
	IS(loop_open(&loop), 0);
	IS(inbox_open(&inbox, loop), 0);
}

static void close_both(void)
{
	inbox_close(&inbox);
	YES(inbox == NULL);
	loop_close(&loop);
}

static void items_run_in_the_order_they_were_pushed(void)
{
	open_both();
	for (unsigned i = 0; i < 100; i++)
		inbox_push(inbox, &word_new(0, i)->item);
	IS(total, 0); /* not before the owner's turn */
	loop_turn(loop, 1000);
	IS(total, 100);
	IS(wrong, 0);
	loop_turn(loop, 0);
	IS(total, 100);
	close_both();
}

static void what_an_item_pushes_runs_in_the_next_turn(void)
{
	struct word *first;

	open_both();
	first = word_new(0, 0);
	first->pushes = word_new(0, 1);
	inbox_push(inbox, &first->item);
	loop_turn(loop, 1000);
	IS(total, 1);
	loop_turn(loop, 1000);
	IS(total, 2);
	close_both();
}

static void closing_runs_what_is_left(void)
{
	struct word *first;

	open_both();
	first = word_new(0, 0);
	first->pushes = word_new(0, 1);
	inbox_push(inbox, &first->item);
	close_both();
	IS(total, 2);
	IS(wrong, 0);
}

enum { PUSHERS = 4, EACH = 50000 };

static void push_many(void *arg)
{
	unsigned from = (unsigned)(uintptr_t)arg;

	for (unsigned i = 0; i < EACH; i++)
		inbox_push(inbox, &word_new(from, i)->item);
}

static void many_threads_lose_nothing_and_keep_their_order(void)
{
	struct thread *threads[PUSHERS];

	open_both();
	wanted = PUSHERS * EACH;
	for (uintptr_t i = 0; i < PUSHERS; i++)
		IS(thread_start(&threads[i], "pusher", push_many, (void *)i), 0);
	loop_run(loop);
	for (size_t i = 0; i < PUSHERS; i++)
		thread_join(&threads[i]);
	IS(total, PUSHERS * EACH);
	IS(wrong, 0);
	close_both();
}

static void opening_an_inbox_without_memory_leaves_nothing(void)
{
	IS(loop_open(&loop), 0);
	each_alloc_failure(n)
	{
		int err = inbox_open(&inbox, loop);

		IS(err, n == 1 ? -E_NOMEM : 0);
		if (!err)
			inbox_close(&inbox);
	}
	loop_close(&loop);
}

/* ---- Threads ---- */
static struct {
	char name[16];
	bool term_blocked;
} told;

static void tell(void *arg)
{
	sigset_t mask;

	(void)arg;
	(void)pthread_getname_np(pthread_self(), told.name, sizeof(told.name));
	(void)pthread_sigmask(SIG_SETMASK, NULL, &mask);
	told.term_blocked = sigismember(&mask, SIGTERM) == 1;
}

static void a_thread_has_its_name_and_takes_no_signals(void)
{
	struct thread *t = NULL;
	sigset_t mask;

	IS(thread_start(&t, "a name that is too long", tell, NULL), 0);
	thread_join(&t);
	YES(t == NULL);
	thread_join(&t);
	IS_STR(str_c(told.name), "a name that is ");
	YES(told.term_blocked);
	(void)pthread_sigmask(SIG_SETMASK, NULL, &mask);
	IS(sigismember(&mask, SIGTERM), 0); /* ours is as it was */
}

static void starting_a_thread_without_memory_is_an_error(void)
{
	struct thread *t = NULL;

	mem_fail_at(1, false);
	IS(thread_start(&t, "x", tell, NULL), -E_NOMEM);
	mem_fail_at(0, false);
	YES(t == NULL);
}

/* ---- RCU: readers in their loops, one writer that replaces what they read ---- */
enum { READERS = 2, REPLACES = 2000 };

struct fact {
	struct rcu_head rcu;
	uint64_t value, twice;
};

static struct fact *fact;
static unsigned freed, inconsistent;
static struct reader {
	struct loop *loop;
	struct thread *thread;
	struct hook hook;
	struct timer timer;
	unsigned turns;
} readers[READERS];

static void fact_free(struct rcu_head *head)
{
	struct fact *f = container_of(head, struct fact, rcu);

	f->value = f->twice = 1; /* a reader that still holds it would see nonsense */
	mem_free(f);
	__atomic_fetch_add(&freed, 1, __ATOMIC_RELAXED);
}

static struct fact *fact_new(uint64_t value)
{
	struct fact *f = mem_alloc(sizeof(*f));

	MUST(f);
	f->value = value;
	f->twice = 2 * value;
	return f;
}

static void read_fact(struct hook *h)
{
	struct reader *r = container_of(h, struct reader, hook);

	for (unsigned i = 0; i < 10; i++) {
		const struct fact *f = rcu_dereference(fact);

		/* time enough for the writer to replace it, and to free it wrongly */
		(void)sched_yield();
		if (f->twice != 2 * f->value)
			__atomic_fetch_add(&inconsistent, 1, __ATOMIC_RELAXED);
	}
	r->turns++;
}

static void wake_up(struct timer *t)
{
	struct reader *r = container_of(t, struct reader, timer);

	loop_at_end(r->loop, &r->hook);
	timer_set(r->loop, t, 0);
}

static void reader_main(void *arg)
{
	struct reader *r = arg;

	hook_init(&r->hook, read_fact);
	timer_init(&r->timer, wake_up);
	timer_set(r->loop, &r->timer, 0);
	loop_run(r->loop);
}

static void readers_never_see_what_is_freed_and_everything_is_freed(void)
{
	fact = fact_new(0);
	for (size_t i = 0; i < READERS; i++) {
		IS(loop_open(&readers[i].loop), 0);
		IS(thread_start(&readers[i].thread, "reader", reader_main, &readers[i]), 0);
	}
	for (uint64_t i = 1; i <= REPLACES; i++) {
		struct fact *old = rcu_xchg_pointer(&fact, fact_new(i));

		rcu_free_later(&old->rcu, fact_free);
		if (i % 100 == 0)
			usleep(1000);
	}
	for (size_t i = 0; i < READERS; i++) {
		loop_stop(readers[i].loop);
		thread_join(&readers[i].thread);
		YES(readers[i].turns > 0);
		loop_close(&readers[i].loop);
	}
	rcu_drain();
	IS(__atomic_load_n(&freed, __ATOMIC_RELAXED), REPLACES);
	IS(inconsistent, 0);
	mem_free(fact);
}

/* A turn that does not end until it is told to. */
static int turn_state; /* atomic: 0 not begun, 1 holds the fact, 2 may end */

static void hold_fact(struct hook *h)
{
	const struct fact *f = rcu_dereference(fact);

	(void)h;
	__atomic_store_n(&turn_state, 1, __ATOMIC_RELEASE);
	while (__atomic_load_n(&turn_state, __ATOMIC_ACQUIRE) != 2)
		usleep(1000);
	inconsistent += f->twice != 2 * f->value;
}

static void holder_main(void *arg)
{
	struct hook hook;

	hook_init(&hook, hold_fact);
	loop_at_end(arg, &hook);
	loop_turn(arg, 0);
}

static void nothing_is_freed_while_a_turn_may_hold_it(void)
{
	struct loop *l;
	struct thread *t;

	freed = inconsistent = 0;
	fact = fact_new(7);
	IS(loop_open(&l), 0);
	IS(thread_start(&t, "holder", holder_main, l), 0);
	while (__atomic_load_n(&turn_state, __ATOMIC_ACQUIRE) != 1)
		usleep(1000);
	rcu_free_later(&rcu_xchg_pointer(&fact, fact_new(8))->rcu, fact_free);
	usleep(100000);
	IS(__atomic_load_n(&freed, __ATOMIC_RELAXED), 0);
	__atomic_store_n(&turn_state, 2, __ATOMIC_RELEASE);
	thread_join(&t);
	IS(inconsistent, 0);
	rcu_drain();
	IS(__atomic_load_n(&freed, __ATOMIC_RELAXED), 1);
	mem_free(fact);
	loop_close(&l);
}

static void sleeper_main(void *arg)
{
	loop_run(arg); /* no timer, no watch: it sleeps until it is stopped */
}

static void a_loop_that_sleeps_does_not_hold_back_frees(void)
{
	struct loop *l;
	struct thread *t;

	freed = 0;
	IS(loop_open(&l), 0);
	IS(thread_start(&t, "sleeper", sleeper_main, l), 0);
	usleep(20000);
	rcu_free_later(&fact_new(1)->rcu, fact_free);
	rcu_drain(); /* would wait for ever */
	IS(__atomic_load_n(&freed, __ATOMIC_RELAXED), 1);
	loop_stop(l);
	thread_join(&t);
	loop_close(&l);
}

static void sleeping_means_nothing_in_a_thread_that_does_not_read(void)
{
	rcu_sleep();
	rcu_wake();
	rcu_turn_done();
	rcu_thread_enter();
	rcu_sleep();
	rcu_wake();
	DIES(rcu_thread_enter());
	rcu_thread_leave();
	DIES(rcu_thread_leave());
}

RUN(items_run_in_the_order_they_were_pushed, what_an_item_pushes_runs_in_the_next_turn,
    closing_runs_what_is_left, many_threads_lose_nothing_and_keep_their_order,
    opening_an_inbox_without_memory_leaves_nothing, a_thread_has_its_name_and_takes_no_signals,
    starting_a_thread_without_memory_is_an_error,
    sleeping_means_nothing_in_a_thread_that_does_not_read,
    readers_never_see_what_is_freed_and_everything_is_freed,
    nothing_is_freed_while_a_turn_may_hold_it, a_loop_that_sleeps_does_not_hold_back_frees)

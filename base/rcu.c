/* rcu.c - registration of reader threads, and freeing after every reader has ended its turn.
 * TSan sees neither liburcu's barriers nor its grace periods; every quiescent state is told to it
 * as a release, and every deferred free as the acquire of all of them (as BIND 9 does). */
#include "base/base.h"
#include "base/rcu.h"

#include <unistd.h>

#include "base/mem.h"

static _Thread_local bool entered;
static char quiet; /* only its address is used, by TSan */

void rcu_thread_enter(void)
{
	MUST(!entered);
	rcu_register_thread();
	entered = true;
}

void rcu_thread_leave(void)
{
	MUST(entered);
	RCU_TOLD(&quiet);
	rcu_unregister_thread();
	entered = false;
}

void rcu_sleep(void)
{
	if (!entered)
		return;
	RCU_TOLD(&quiet);
	rcu_thread_offline();
}

void rcu_wake(void)
{
	if (entered)
		rcu_thread_online();
}

void rcu_turn_done(void)
{
	if (!entered)
		return;
	RCU_TOLD(&quiet);
	rcu_quiescent_state();
}

#ifdef RCU_TSAN
static unsigned long waiting; /* atomic: frees that are still to come */

struct told {
	struct rcu_head head;
	struct rcu_head *inner;
	void (*free_fn)(struct rcu_head *);
};

static void free_told(struct rcu_head *head)
{
	struct told *t = container_of(head, struct told, head);

	RCU_HEARD(&quiet);
	t->free_fn(t->inner);
	mem_free(t);
	__atomic_fetch_sub(&waiting, 1, __ATOMIC_RELEASE);
}

void rcu_free_later(struct rcu_head *head, void (*free_fn)(struct rcu_head *))
{
	struct told *t = mem_alloc(sizeof(*t));

	MUST(t); /* an instrumented build has no other place to remember free_fn */
	t->inner = head;
	t->free_fn = free_fn;
	RCU_TOLD(&quiet);
	__atomic_fetch_add(&waiting, 1, __ATOMIC_RELAXED);
	call_rcu(&t->head, free_told);
}

/* Not rcu_barrier(): its hand-over to the thread that frees is one more thing that TSan would have
 * to be told. */
void rcu_drain(void)
{
	rcu_sleep();
	while (__atomic_load_n(&waiting, __ATOMIC_ACQUIRE))
		usleep(1000);
	rcu_wake();
}
#else
void rcu_free_later(struct rcu_head *head, void (*free_fn)(struct rcu_head *))
{
	(void)quiet;
	call_rcu(head, free_fn);
}

void rcu_drain(void)
{
	rcu_barrier(); /* takes this thread offline itself */
}
#endif

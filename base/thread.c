/* thread.c - threads that are ours: named, deaf to signals (the main thread takes them), known to
 * RCU. */
#include "base/base.h"
#include "base/thread.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/rcu.h"

struct thread {
	pthread_t id;
	void (*main)(void *arg);
	void *arg;
	char name[16]; /* the kernel's limit */
};

/* A loop that is woken finishes nothing sooner by interrupting who woke it: a worker that has
 * written to the core would be put aside between two of its own writes, and back again, for every
 * batch (docs/performance.md). As a batch thread it waits until the other one sleeps or its slice
 * ends. Without it everything works, only dearer. */
static void be_patient(void)
{
	struct sched_param none = { 0 };

	(void)pthread_setschedparam(pthread_self(), SCHED_BATCH, &none);
}

static void *thread_main(void *arg)
{
	struct thread *t = arg;

	be_patient();
	(void)pthread_setname_np(pthread_self(), t->name);
	rcu_thread_enter();
	t->main(t->arg);
	rcu_thread_leave();
	return NULL;
}

int thread_start(struct thread **out, const char *name, void (*main)(void *arg), void *arg)
{
	struct thread *t = mem_zalloc(sizeof(*t));
	sigset_t all, before;
	int number;

	if (!t)
		return -E_NOMEM;
	t->main = main;
	t->arg = arg;
	(void)snprintf(t->name, sizeof(t->name), "%s", name);
	/* The new thread inherits the mask, so there is no moment in which it could take a signal.
	 */
	(void)sigfillset(&all);
	MUST(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
	number = pthread_create(&t->id, NULL, thread_main, t);
	MUST(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
	if (number) {
		mem_free(t);
		return number == EAGAIN ? -E_LIMIT : -E_IO;
	}
	*out = t;
	return 0;
}

void thread_join(struct thread **slot)
{
	struct thread *t = *slot;

	*slot = NULL;
	if (!t)
		return;
	rcu_sleep();
	MUST(pthread_join(t->id, NULL) == 0);
	rcu_wake();
	mem_free(t);
}

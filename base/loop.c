/* loop.c - the event loop. Level-triggered unless asked otherwise: a callback that leaves bytes
 * unread is called again, nothing is ever missed. In steady state a turn costs one system call,
 * epoll_wait; the clocks come from the vDSO. */
#include "base/base.h"
#include "base/loop.h"

#include <errno.h>
#include <limits.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/rcu.h"
#include "base/timer.h"

enum { LOOP_EVENTS = 256 };

struct loop {
	/* The loop's thread */
	int epoll;
	int64_t now, wall;
	int fetched, at;       /* events[at] is being handled, those up to fetched will be */
	struct watch *handled; /* of events[at], while it is watched */
	unsigned pause_us;     /* before the next wait */
	struct epoll_event events[LOOP_EVENTS];
	struct list hooks;
	struct wheel wheel;
	struct watch woken;
	/* Any thread and signal handlers: loop_stop() */
	int wake; /* eventfd; never changes */
	int stop; /* atomic */
};

/* ---- File descriptors ---- */
static uint32_t to_epoll(unsigned events)
{
	uint32_t asked =
	    (events & LOOP_READ ? EPOLLIN : 0u) | (events & LOOP_WRITE ? EPOLLOUT : 0u);

	/* RDHUP: an end that came before the bytes were read will be no new edge */
	if (events & LOOP_EDGE)
		asked |= EPOLLET | (events & LOOP_READ ? EPOLLRDHUP : 0u);
	return asked;
}

static int watch_error(int number)
{
	switch (number) {
	case ENOMEM:
		return -E_NOMEM;
	case ENOSPC:
		return -E_LIMIT;
	case EEXIST:
		return -E_EXISTS;
	case EBADF:
	case EPERM:
		return -E_INVALID;
	default:
		return -E_IO;
	}
}

int loop_watch(struct loop *l, struct watch *w, int fd, unsigned events,
               void (*ready)(struct watch *, unsigned))
{
	struct epoll_event e = { .events = to_epoll(events), .data.ptr = w };

	if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &e) < 0)
		return watch_error(errno);
	w->ready = ready;
	w->fd = fd;
	w->events = events;
	return 0;
}

void loop_rewatch(struct loop *l, struct watch *w, unsigned events)
{
	struct epoll_event e = { .events = to_epoll(events), .data.ptr = w };

	if (!w->ready || w->events == events)
		return;
	w->events = events;
	MUST(epoll_ctl(l->epoll, EPOLL_CTL_MOD, w->fd, &e) == 0);
}

void loop_again(struct loop *l, struct watch *w)
{
	struct epoll_event e = { .events = to_epoll(w->events), .data.ptr = w };

	if (w->ready)
		MUST(epoll_ctl(l->epoll, EPOLL_CTL_MOD, w->fd, &e) == 0);
}

void loop_unwatch(struct loop *l, struct watch *w)
{
	if (!w->ready)
		return;
	if (l->handled == w)
		l->handled = NULL;
	(void)epoll_ctl(l->epoll, EPOLL_CTL_DEL, w->fd, NULL);
	w->ready = NULL;
	/* w may be freed now, and its memory may become another watch: no event of this turn may
	 * reach either. */
	for (int i = l->at + 1; i < l->fetched; i++) {
		if (l->events[i].data.ptr == w)
			l->events[i].data.ptr = NULL;
	}
}

static void handle_event(struct loop *l, const struct epoll_event *e)
{
	struct watch *w = e->data.ptr;
	unsigned events = 0;

	if (!w)
		return;
	/* Asked for in this turn's callbacks counts: a watch that was paused meanwhile is not
	 * called. */
	if (e->events & EPOLLIN)
		events |= LOOP_READ & w->events;
	if (e->events & EPOLLOUT)
		events |= LOOP_WRITE & w->events;
	if (e->events & (EPOLLHUP | EPOLLERR))
		events |= LOOP_HANGUP | LOOP_READ;
	if (!events)
		return;
	l->handled = w;
	w->ready(w, events);
	if ((e->events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) && l->handled == w &&
	    (w->events & LOOP_EDGE))
		loop_again(l, w);
	l->handled = NULL;
}

/* ---- Timers ---- */
void timer_set(struct loop *l, struct timer *t, int64_t in_ms)
{
	if (t->due)
		list_del(&t->node);
	if (in_ms < 0)
		in_ms = 0;
	/* Never 0, which means "not set"; never so far that adding overflows. */
	t->due = in_ms < INT64_MAX / 2 ? l->now + in_ms : INT64_MAX / 2;
	if (t->due <= 0)
		t->due = 1;
	/* A timer that sets itself to 0 fires once in a turn, not for ever. */
	wheel_add(&l->wheel, t, tick_floor(l->now) + 1);
}

static void fire_timers(struct loop *l)
{
	uint64_t until = tick_floor(l->now);
	struct timer *t;
	bool more;

	do {
		more = wheel_step(&l->wheel, until);
		while ((t = list_first(&l->wheel.due, struct timer, node))) {
			timer_stop(t);
			t->fire(t); /* may free t, set it, stop others */
		}
	} while (more);
}

static int wait_ms(struct loop *l, int64_t most_ms)
{
	int64_t next, wait = most_ms;

	if (most_ms == 0)
		return 0;
	next = wheel_next_ms(&l->wheel);
	if (next >= 0) {
		/* Not l->now: the turn that just ended may have taken long. */
		next -= clock_mono_ms();
		if (next < 0)
			next = 0;
		if (wait < 0 || next < wait)
			wait = next;
	}
	return wait > INT_MAX ? INT_MAX : (int)wait;
}

/* ---- Hooks ---- */
void hook_init(struct hook *h, void (*run)(struct hook *))
{
	list_init(&h->node);
	h->run = run;
}

void loop_at_end(struct loop *l, struct hook *h)
{
	if (list_empty(&h->node))
		list_add_tail(&l->hooks, &h->node);
}

void hook_cancel(struct hook *h)
{
	list_del(&h->node);
}

static void run_hooks(struct loop *l)
{
	struct hook *h;

	while ((h = list_first(&l->hooks, struct hook, node))) {
		list_del(&h->node);
		h->run(h); /* may free h */
	}
}

/* ---- Turns ---- */
static void read_clocks(struct loop *l)
{
	l->now = clock_mono_ms();
	l->wall = clock_wall_ms();
}

void loop_pause(struct loop *l, unsigned us)
{
	l->pause_us = us;
}

static void sleep_us(unsigned us)
{
	struct timespec t = { .tv_nsec = (long)us * 1000 };

	(void)clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL); /* a signal only makes it shorter */
}

static int wait_events(struct loop *l, int64_t most_ms)
{
	int timeout, n;

	/* A reader that sleeps online would stop all freeing in the process. */
	rcu_sleep();
	if (l->pause_us)
		sleep_us(l->pause_us);
	l->pause_us = 0;
	timeout = wait_ms(l, most_ms);
	n = epoll_wait(l->epoll, l->events, LOOP_EVENTS, timeout);
	rcu_wake();
	MUST(n >= 0 || errno == EINTR);
	return n < 0 ? 0 : n;
}

void loop_turn(struct loop *l, int64_t most_ms)
{
	l->fetched = wait_events(l, most_ms);
	read_clocks(l);
	for (l->at = 0; l->at < l->fetched; l->at++)
		handle_event(l, &l->events[l->at]);
	l->fetched = 0;
	fire_timers(l);
	run_hooks(l);
	rcu_turn_done();
}

void loop_run(struct loop *l)
{
	while (!__atomic_load_n(&l->stop, __ATOMIC_ACQUIRE))
		loop_turn(l, -1);
	__atomic_store_n(&l->stop, 0, __ATOMIC_RELAXED);
}

/* In signal handlers too: an atomic and write(2), and errno as it was. */
void loop_stop(struct loop *l)
{
	int saved = errno;
	uint64_t one = 1;

	__atomic_store_n(&l->stop, 1, __ATOMIC_RELEASE);
	if (write(l->wake, &one, sizeof(one)) < 0)
		MUST(errno == EAGAIN); /* the counter is full: it wakes anyway */
	errno = saved;
}

static void woken(struct watch *w, unsigned events)
{
	uint64_t count;

	(void)events;
	if (read(w->fd, &count, sizeof(count)) < 0)
		MUST(errno == EAGAIN || errno == EINTR);
}

/* ---- Life ---- */
int loop_open(struct loop **out)
{
	int err = -E_NOMEM;
	struct loop *l = mem_zalloc(sizeof(*l));

	if (!l)
		return err;
	list_init(&l->hooks);
	read_clocks(l);
	wheel_init(&l->wheel, l->now);
	l->wake = -1;
	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	err = -E_LIMIT; /* of descriptors */
	if (l->epoll < 0)
		goto fail;
	l->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (l->wake < 0)
		goto fail;
	err = loop_watch(l, &l->woken, l->wake, LOOP_READ, woken);
	if (err)
		goto fail;
	*out = l;
	return 0;
fail:
	loop_close(&l);
	return err;
}

void loop_close(struct loop **slot)
{
	struct loop *l = *slot;

	*slot = NULL;
	if (!l)
		return;
	if (l->wake >= 0)
		close(l->wake);
	if (l->epoll >= 0)
		close(l->epoll);
	mem_free(l);
}

int64_t loop_now(const struct loop *l)
{
	return l->now;
}

int64_t loop_wall(const struct loop *l)
{
	return l->wall;
}

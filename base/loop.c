/* loop.c - the event loop. Level-triggered unless asked otherwise: a callback that leaves bytes
 * unread is called again, nothing is ever missed. In steady state a turn costs one system call,
 * epoll_wait; the clocks come from the vDSO. */
#include "base/base.h"
#include "base/loop.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rcu.h"
#include "base/thread.h"
#include "base/timer.h"

enum {
	LOOP_EVENTS = 256,
	LONG_TURN_US = 50000,
	LONG_TURN_EVERY_MS = 1000,
	/* A loop that is never idle keeps its CPU until the kernel's next tick (4 ms), while other
	 * loops on the same CPU wait: a message would wait so long for the core, and again for the
	 * proxy. After so much work the CPU is offered to them. Alone on it, this costs nothing. */
	YIELD_US = 300,
	TIMERS_MOST = 8192, /* moved and fired in a turn; a client may have chosen their moment */
};

/* What the turn that is under way does now, and what took longest in it: in ticks, which are
 * compared only. */
struct steps {
	const char *now, *longest;
	uint64_t began, most;
};

struct loop {
	/* The loop's thread */
	int epoll;
	int64_t now, wall;
	int fetched, at;       /* events[at] is being handled, those up to fetched will be */
	struct watch *handled; /* of events[at], while it is watched */
	unsigned pause_us;     /* before the next wait */
	bool deferring;        /* loop_defer() was called */
	uint64_t ran_us;       /* since the CPU was offered to others */
	uint64_t cpu_us;       /* of the thread, when it was looked at last */
	int64_t began_us;      /* this turn */
	uint64_t turns;
	struct steps steps;
	struct loop_longest ever, since;
	const char *name;
	int64_t told_long; /* loop time of the last line about a long turn */
	uint64_t long_turns;
	struct epoll_event events[LOOP_EVENTS];
	struct list hooks, next; /* of this turn; of the next one, which does not wait then */
	struct wheel wheel;
	struct watch woken;
	/* Any thread and signal handlers: loop_stop() */
	int wake; /* eventfd; never changes */
	int stop; /* atomic */
};

/* ---- How long a turn takes, and why ---- */
static inline uint64_t ticks(void)
{
#if defined(__x86_64__)
	return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
	uint64_t t;

	__asm__ volatile("mrs %0, cntvct_el0" : "=r"(t));
	return t;
#else
	return (uint64_t)clock_mono_us();
#endif
}

/* The step that went on until now is over. */
static inline void step_over(struct steps *s, const char *next)
{
	uint64_t now = ticks(), took = now - s->began;

	if (took > s->most) {
		s->most = took;
		s->longest = s->now;
	}
	s->now = next;
	s->began = now;
}

void loop_step(struct loop *l, const char *step)
{
	step_over(&l->steps, step);
}

static void long_turn(struct loop *l, uint64_t us)
{
	l->long_turns++;
	if (l->told_long && l->now - l->told_long < LONG_TURN_EVERY_MS)
		return;
	l->told_long = l->now;
	LOG_WARN(l->name ? l->name : "", "long-turn", "ms=%u step=%s turns=%u",
	         (unsigned)(us / 1000), l->steps.longest, (unsigned)l->long_turns);
	l->long_turns = 0;
}

/* To read the thread's CPU time takes a system call, too much for every turn: it is read whenever
 * the CPU is offered to others, and after a turn that may have used the most. */
static uint64_t cpu_since(struct loop *l)
{
	uint64_t before = l->cpu_us;

	l->cpu_us = (uint64_t)clock_thread_us();
	return l->cpu_us - before;
}

void loop_longest_add(struct loop_longest *to, const struct loop_longest *of)
{
	if (of->us > to->us || !to->step) {
		to->us = of->us;
		to->step = of->step;
	}
	if (of->cpu_us > to->cpu_us || !to->cpu_step) {
		to->cpu_us = of->cpu_us;
		to->cpu_step = of->cpu_step;
	}
}

void loop_longest_text(const struct loop_longest *longest, struct buf *line)
{
	buf_printf(line, " longest_turn_us=%" PRIu64 " longest_turn_step=%s", longest->us,
	           longest->step ? longest->step : "none");
	buf_printf(line, " longest_turn_cpu_us=%" PRIu64 " longest_turn_cpu_step=%s",
	           longest->cpu_us, longest->cpu_step ? longest->cpu_step : "none");
}

static void turn_over(struct loop *l)
{
	uint64_t us = (uint64_t)(clock_mono_us() - l->began_us);
	struct loop_longest this;

	l->ran_us += us;
	if (likely(us <= l->since.cpu_us && us < LONG_TURN_US))
		return;
	step_over(&l->steps, "idle");
	if (us >= LONG_TURN_US)
		long_turn(l, us);
	this = (struct loop_longest){ us, l->steps.longest, cpu_since(l), l->steps.longest };
	if (this.cpu_us > us)
		this.cpu_us = us;
	loop_longest_add(&l->since, &this);
	loop_longest_add(&l->ever, &this);
}

struct loop_longest loop_longest(const struct loop *l)
{
	return l->ever;
}

struct loop_longest loop_longest_since(struct loop *l)
{
	struct loop_longest longest = l->since;

	l->since = (struct loop_longest){ .step = NULL };
	return longest;
}

void loop_name(struct loop *l, const char *name)
{
	l->name = name;
}

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
	/* it is in the set (ready): to change that needs no memory */
	MUST(epoll_ctl(l->epoll, EPOLL_CTL_MOD, w->fd, &e) == 0);
}

void loop_again(struct loop *l, struct watch *w)
{
	struct epoll_event e = { .events = to_epoll(w->events), .data.ptr = w };

	if (w->ready) /* as in loop_rewatch() */
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
	step_over(&l->steps, "event");
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
	unsigned most = TIMERS_MOST;
	struct timer *t;
	bool more;

	do {
		more = wheel_step(&l->wheel, until, &most);
		while (most && (t = list_first(&l->wheel.due, struct timer, node))) {
			most--;
			timer_stop(t);
			t->fire(t); /* may free t, set it, stop others */
			step_over(&l->steps, "timer");
		}
	} while (more && most);
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

void loop_at_next_end(struct loop *l, struct hook *h)
{
	if (list_empty(&h->node))
		list_add_tail(&l->next, &h->node);
}

void hook_cancel(struct hook *h)
{
	list_del(&h->node);
}

/* What was left for this turn comes first. */
static void next_is_now(struct loop *l)
{
	struct hook *h;

	while ((h = list_first(&l->next, struct hook, node))) {
		list_del(&h->node);
		list_add_tail(&l->hooks, &h->node);
	}
}

static void run_hooks(struct loop *l)
{
	struct hook *h;

	while ((h = list_first(&l->hooks, struct hook, node))) {
		list_del(&h->node);
		h->run(h); /* may free h */
		step_over(&l->steps, "end");
	}
}

/* ---- Turns ---- */
static void read_clocks(struct loop *l)
{
	l->began_us = clock_mono_us();
	l->now = l->began_us / 1000;
	l->wall = clock_wall_ms();
}

void loop_pause(struct loop *l, unsigned us)
{
	l->pause_us = us;
}

static void sleep_us(unsigned us)
{
	struct timespec t = { .tv_nsec = us ? (long)us * 1000 : 1 };

	(void)clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL); /* a signal only makes it shorter */
}

void loop_defer(struct loop *l)
{
	l->deferring = true;
}

/* sched_yield() alone is not enough for work that never ends: the scheduler owes a loop that often
 * sleeps some milliseconds, and lets it have them at a stretch, yield or not. Who sleeps is not
 * run. */
static void offer_cpu(struct loop *l)
{
	if (l->deferring)
		sleep_us(0);
	else
		(void)sched_yield();
	l->ran_us = 0;
	(void)cpu_since(l);
}

static int wait_events(struct loop *l, int64_t most_ms)
{
	int timeout, n;

	/* A reader that sleeps online would stop all freeing in the process. */
	rcu_sleep();
	if (l->ran_us >= YIELD_US)
		offer_cpu(l);
	l->deferring = false;
	if (l->pause_us && list_empty(&l->next))
		sleep_us(l->pause_us);
	l->pause_us = 0;
	timeout = list_empty(&l->next) ? wait_ms(l, most_ms) : 0;
	n = epoll_wait(l->epoll, l->events, LOOP_EVENTS, timeout);
	rcu_wake();
	MUST(n >= 0 || errno == EINTR);
	return n < 0 ? 0 : n;
}

void loop_turn(struct loop *l, int64_t most_ms)
{
	l->fetched = wait_events(l, most_ms);
	read_clocks(l);
	next_is_now(l);
	l->turns++;
	l->steps = (struct steps){ .now = "event", .longest = "none", .began = ticks() };
	for (l->at = 0; l->at < l->fetched; l->at++)
		handle_event(l, &l->events[l->at]);
	l->fetched = 0;
	l->steps.now = "timer";
	fire_timers(l);
	l->steps.now = "end";
	run_hooks(l);
	l->steps.now = "rcu";
	rcu_turn_done();
	turn_over(l);
	thread_turn(l->began_us);
}

void loop_run(struct loop *l)
{
	(void)cpu_since(l); /* it may have been opened by another thread */
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
	list_init(&l->next);
	read_clocks(l);
	(void)cpu_since(l);
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

uint64_t loop_turns(const struct loop *l)
{
	return l->turns;
}

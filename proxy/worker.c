/* worker.c - a worker: its thread, its turn's end, its links, its memory (worker.h). */
#include "base/base.h"
#include "proxy/worker.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"
#include "proxy/badge.h"
#include "proxy/conn.h"
#include "proxy/later.h"
#include "proxy/transport_tls.h"
#include "proxy/uplink.h"

/* ---- Spare memory ---- */

void worker_buf_take(struct worker *w, struct buf *b)
{
	MUST(!b->p);
	if (w->spares)
		*b = w->spare[--w->spares];
}

void worker_buf_give(struct worker *w, struct buf *b)
{
	if (!b->p)
		return;
	buf_reset(b);
	if (w->spares < WORKER_SPARES && b->cap <= WORKER_SPARE_MAX && buf_ok(b)) {
		w->spare[w->spares++] = *b;
		*b = (struct buf){ 0 };
	} else {
		buf_free(b);
	}
}

/* ---- The end of a turn ---- */

void worker_touch(struct worker *w)
{
	loop_at_end(w->loop, &w->end_of_turn);
}

struct buf *worker_sink(struct worker *w)
{
	if (w->sink.cap > WORKER_SPARE_MAX)
		buf_free(&w->sink);
	buf_cut(&w->sink, 0);
	return &w->sink;
}

static void flush_links(struct worker *w)
{
	w->dirty_links = false;
	for (unsigned i = 0; i < LINK_HOMES_MAX; i++) {
		if (w->link[i])
			uplink_flush(w->link[i]);
	}
}

static bool links_empty(const struct worker *w)
{
	for (unsigned i = 0; i < LINK_HOMES_MAX; i++) {
		if (w->link[i] && uplink_up(w->link[i]) && w->link[i]->writing)
			return false;
	}
	return true;
}

/* Answers of the core may be here before a pause would be over. */
static void pause_a_little(struct worker *w)
{
	uint64_t work = w->n.recvs + w->n.sends, asked = w->n.publishes_in;
	unsigned us = gather_pause(&w->gather, loop_now(w->loop), work - w->work_before,
	                           asked != w->asked_before);

	w->work_before = work;
	w->asked_before = asked;
	if (us == 0)
		return;
	w->n.pauses++;
	loop_pause(w->loop, us);
}

static void more(struct hook *h)
{
	worker_touch(container_of(h, struct worker, more));
}

static void go_on_soon(struct worker *w)
{
	loop_at_next_end(w->loop, &w->more);
	if (slices_contended(&w->slices))
		loop_defer(w->loop);
}

/* The link first, so that the core works while we write to clients; what they caused for the link
 * goes after them. */
static void end_of_turn(struct hook *h)
{
	struct worker *w = container_of(h, struct worker, end_of_turn);

	loop_step(w->loop, "deliver");
	later_serve(w);
	loop_step(w->loop, "regrant");
	shares_due(w);
	shares_end(w);
	shares_regrant(w);
	loop_step(w->loop, "read");
	shares_read(w);
	do {
		loop_step(w->loop, "link-write");
		flush_links(w);
		loop_step(w->loop, "flush");
		shares_flush(w);
	} while (w->dirty_links);
	if (list_empty(&w->more.node)) /* once a turn, even if there is more at its end */
		slices_next(&w->slices, loop_now(w->loop));
	if (shares_done(w))
		pause_a_little(w);
	else
		go_on_soon(w);
	drain_look(w);
	if (w->stopping && w->conn_count == 0 && (links_empty(w) || !timer_is_set(&w->stop_timer)))
		loop_stop(w->loop);
}

/* ---- Links ---- */

struct uplink *worker_link_of(struct worker *w, uint64_t customer)
{
	struct uplink *u = w->homes ? w->link[link_home_of(customer, w->homes)] : NULL;

	return u && uplink_up(u) ? u : NULL;
}

static void open_doors(struct worker *w)
{
	for (unsigned i = 0; i < w->doors; i++) {
		int err = door_open(&w->door[i]);

		if (err)
			LOG_ERROR("", "door", "worker=%u kind=%s why=\"%s\"", w->index,
			          w->door[i].kind->name, err_text(err));
	}
}

static void tell_ready(struct worker *w)
{
	if (w->told_ready || w->homes == 0 || !w->link[0]->subscribed)
		return;
	for (unsigned i = 0; i < w->homes; i++) {
		if (!w->link[i] || !uplink_up(w->link[i]))
			return;
	}
	w->told_ready = true;
	if (w->doors_wait)
		open_doors(w);
	if (atomic_fetch_add(&w->crew->ready, 1) + 1 == w->crew->workers)
		w->crew->on_ready(w->crew);
}

/* A core that came back with another number of homes has its customers elsewhere: who is on the old
 * ones must come again. */
void worker_link_changed(struct worker *w)
{
	for (unsigned i = 1; i < w->homes && !w->stopping; i++) {
		if (w->link[i])
			continue;
		if (uplink_new(&w->link[i], w, i)) {
			/* its customers get 0x88 until it can be made */
			LOG_ERROR("", "no-memory", "link=%u", i);
			return;
		}
		uplink_start(w->link[i]);
	}
	for (unsigned i = w->homes; w->homes && i < LINK_HOMES_MAX; i++) {
		if (w->link[i])
			uplink_fail(w->link[i], "the core has fewer homes now");
	}
	tell_ready(w);
}

/* ---- Life ---- */

static void thread_main(void *arg)
{
	struct worker *w = arg;

	if (!w->doors_wait)
		open_doors(w);
	uplink_start(w->link[0]);
	loop_run(w->loop);
	timer_stop(&w->stop_timer);
	timer_stop(&w->drain_timer);
	for (unsigned i = 0; i < LINK_HOMES_MAX; i++)
		uplink_free(&w->link[i]);
	atomic_fetch_add(&w->crew->ended, 1);
}

int worker_new(struct worker **out, struct crew *crew, unsigned index)
{
	struct worker *w = mem_zalloc(sizeof(*w));
	int err = -E_NOMEM;

	if (!w)
		return err;
	w->index = index;
	w->crew = crew;
	w->config = crew->config;
	w->auth = crew->auth;
	w->rights.value = sizeof(uint64_t);
	list_init(&w->conns);
	shares_init(w);
	partial_init(w);
	drain_init(w);
	hook_init(&w->end_of_turn, end_of_turn);
	hook_init(&w->more, more);
	w->room = mem_alloc(WORKER_ROOM);
	if (!w->room)
		goto fail;
	err = loop_open(&w->loop);
	if (err)
		goto fail;
	gather_init(&w->gather, (unsigned)w->config->gather_us, loop_now(w->loop));
	err = inbox_open(&w->inbox, w->loop);
	if (err)
		goto fail;
	err = uplink_new(&w->link[0], w, 0);
	if (!err && crew->tls_seed)
		err = tls_side_new(&w->tls, w->loop, crew->tls_seed);
	if (err)
		goto fail;
	*out = w;
	return 0;
fail:
	worker_free(&w);
	return err;
}

int worker_add_door(struct worker *w, const struct door_kind *kind, const struct listener *listener,
                    int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	MUST(w->doors < WORKER_DOORS);
	if (copy < 0)
		return -E_LIMIT;
	door_init(&w->door[w->doors++], w, kind, listener, copy);
	return 0;
}

int worker_run(struct worker *w)
{
	char name[16];

	(void)snprintf(name, sizeof(name), "worker-%u", w->index);
	return thread_start(&w->thread, name, thread_main, w);
}

void worker_end(struct worker *w)
{
	thread_join(&w->thread);
}

void worker_free(struct worker **slot)
{
	struct worker *w = *slot;

	*slot = NULL;
	if (!w)
		return;
	MUST(w->conn_count == 0 && !w->thread);
	inbox_close(
	    &w->inbox); /* answers, notices and certificates and notices that came too late */
	uplink_free(&w->link[0]); /* if it never ran */
	for (unsigned i = 0; i < w->doors; i++)
		door_close(&w->door[i]);
	tls_side_free(&w->tls);
	loop_close(&w->loop);
	map_free(&w->badges);
	shares_free(w);
	partial_free(w);
	for (unsigned i = 0; i < w->spares; i++)
		buf_free(&w->spare[i]);
	memo_free(&w->rights);
	buf_free(&w->scratch);
	buf_free(&w->encoded);
	buf_free(&w->sink);
	mem_free(w->room);
	mem_free(w);
}

void worker_add_counters(const struct worker *w, struct worker_counters *sum,
                         uint64_t over[LIMIT_COUNT])
{
	for (unsigned i = 0; i < LIMIT_COUNT; i++)
		over[i] += w->over[i];
#define C(name) sum->name += w->n.name;
	WORKER_COUNTERS(C)
#undef C
}

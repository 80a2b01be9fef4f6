/* home.c - the thread of a home: its loop, the commit at the end of each turn, and its end.
 *
 * What a turn said waits in the doors' buffers. At the end of the turn they are sealed, the store
 * commits, and when that is done what was sealed is written. While a commit is under way (a store
 * on disk) the next turns fill the same buffers behind the seal. */
#include "base/base.h"
#include "core/overflow.h"
#include "core/rights.h"
#include "core/session.h"
#include "core/work.h"

#include <stdio.h>

#include "base/bytes.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"

enum { END_MS = 100 }; /* for the last words to be written */

/* ---- Output ---- */
void home_out_init(struct home_out *o, const struct buf *bytes, void (*seal)(struct home_out *),
                   void (*flush)(struct home_out *))
{
	*o = (struct home_out){ .bytes = bytes, .seal = seal, .flush = flush };
	list_init(&o->node);
}

void home_flush_later(struct home *h, struct home_out *o)
{
	if (o->dirty)
		return;
	o->dirty = true;
	/* else it waits for the commit under way, and comes again after it */
	if (list_empty(&o->node))
		list_add_tail(&h->dirty, &o->node);
	loop_at_end(h->loop, &h->turn_end);
}

void home_out_cancel(struct home_out *o)
{
	list_del(&o->node);
	o->dirty = false;
}

static void seal_all(struct home *h)
{
	struct home_out *o;

	while ((o = list_first(&h->dirty, struct home_out, node))) {
		if (o->seal)
			o->seal(o);
		list_del(&o->node);
		list_add_tail(&h->sealed, &o->node);
		o->dirty = false;
		o->sealing = buf_len(o->bytes) - o->sealed;
	}
}

static void flush_all(struct home *h)
{
	struct home_out *o;

	while ((o = list_first(&h->sealed, struct home_out, node))) {
		list_del(&o->node);
		if (o->dirty)
			list_add_tail(&h->dirty, &o->node);
		o->sealed += o->sealing;
		o->sealing = 0;
		o->flush(o); /* may free o */
	}
}

static void turn_ended(struct hook *k)
{
	struct home *h = container_of(k, struct home, turn_end);

	loop_step(h->loop, "commit");
	if (h->committing)
		return; /* commit_done looks again */
	seal_all(h);
	if (store_commit(h->store, &h->commit))
		flush_all(h);
	else
		h->committing = true;
}

static void commit_done(struct store_commit *c)
{
	struct home *h = container_of(c, struct home, commit);

	h->committing = false;
	flush_all(h);
	loop_at_end(h->loop, &h->turn_end);
}

/* ---- What doors ask ---- */
struct loop *home_loop(const struct home *h)
{
	return h->loop;
}

int64_t home_now(const struct home *h)
{
	return loop_now(h->loop);
}

int64_t home_wall(const struct home *h)
{
	return loop_wall(h->loop);
}

const struct core_config *home_config(const struct home *h)
{
	return h->config;
}

struct store *home_store(const struct home *h)
{
	return h->store;
}

unsigned home_index(const struct home *h)
{
	return h->index;
}

bool home_ending(const struct home *h)
{
	return h->ending;
}

const char *home_name(const struct home *h)
{
	return h->name;
}

struct home_counters *home_counters(struct home *h)
{
	return &h->counters;
}

/* ---- Life ---- */
static void end_waited(struct timer *t)
{
	loop_stop(container_of(t, struct home, end_timer)->loop);
}

static void end_begins(struct inbox_item *item)
{
	struct home *h = container_of(item, struct home, end_item);

	h->ending = true;
	sessions_close(h, RC_SERVER_SHUTTING_DOWN);
	timer_set(h->loop, &h->end_timer, END_MS);
}

static void tell_numbers(struct inbox_item *item);

static void home_init(struct home *h, const struct core_config *config, unsigned index)
{
	h->config = config;
	h->index = index;
	h->count = 1;
	(void)snprintf(h->name, sizeof(h->name), "home=%u", index);
	route_init(h);
	work_init(h);
	trusted_init(h);
	list_init(&h->replays);
	list_init(&h->fars);
	list_init(&h->graves);
	list_init(&h->doomed);
	list_init(&h->spare_outs);
	list_init(&h->dirty);
	list_init(&h->sealed);
	h->commit.done = commit_done;
	h->replay_item.run = replay_run;
	h->grave_item.run = rights_bury;
	h->end_item.run = end_begins;
	h->numbers_item.run = tell_numbers;
	hook_init(&h->turn_end, turn_ended);
	timer_init(&h->end_timer, end_waited);
}

int home_new(struct home **out, const struct core_config *config, unsigned index, const char **why)
{
	struct home *h = mem_zalloc(sizeof(*h));
	int err = -E_NOMEM;

	*why = err_text(err);
	if (!h)
		return err;
	home_init(h, config, index);
	err = loop_open(&h->loop);
	if (!err)
		loop_name(h->loop, h->name);
	if (!err)
		err = inbox_open(&h->inbox, h->loop);
	if (err) {
		*why = err_text(err);
		goto fail;
	}
	err = store_open(&h->store, core_store_words[config->store], config->dir, why);
	if (err)
		goto fail;
	err = -E_NOMEM;
	h->trusted = customer_get(h, 0);
	if (!h->trusted)
		goto fail;
	*out = h;
	return 0;
fail:
	home_free(&h);
	return err;
}

void home_know(struct home *h, struct home *const *all, unsigned count)
{
	h->all = all;
	h->count = count;
}

static void home_main(void *arg)
{
	struct home *h = arg;

	msg_spares_keep();
	loop_run(h->loop);
	msg_spares_free();
}

int home_run(struct home *h)
{
	char name[16];

	(void)snprintf(name, sizeof(name), "home-%u", h->index);
	return thread_start(&h->thread, name, home_main, h);
}

static void counters_text(const struct home *h, struct loop_longest longest, struct buf *line)
{

#define C(name) \
	if (h->counters.name) \
		buf_printf(line, " " #name "=%" PRIu64, h->counters.name);
	HOME_COUNTERS(C)
#undef C
	loop_longest_text(&longest, line);
}

static void log_counters(const struct home *h)
{
	struct buf line = { 0 };

	counters_text(h, loop_longest(h->loop), &line);
	LOG_INFO(h->name, "end", "customers=%zu%.*s", h->customers.count - 1,
	         STR_ARG(buf_str(&line)));
	buf_free(&line);
}

static void tell_numbers(struct inbox_item *item)
{
	struct home *h = container_of(item, struct home, numbers_item);
	struct buf line = { 0 };

	atomic_store(&h->numbers_asked, false);
	counters_text(h, loop_longest_since(h->loop), &line);
	LOG_INFO(h->name, "numbers", "customers=%zu%.*s", h->customers.count - 1,
	         STR_ARG(buf_str(&line)));
	buf_free(&line);
}

void home_numbers(struct home *h)
{
	if (h->thread && !h->end_asked && !atomic_exchange(&h->numbers_asked, true))
		inbox_push(h->inbox, &h->numbers_item);
}

void home_end_begin(struct home *h)
{
	if (!h->thread || h->end_asked)
		return;
	h->end_asked = true;
	inbox_push(h->inbox, &h->end_item);
}

void home_end(struct home *h)
{
	if (!h->thread)
		return;
	home_end_begin(h);
	thread_join(&h->thread);
	log_counters(h);
}

void home_free(struct home **slot)
{
	struct home *h = *slot;

	*slot = NULL;
	if (!h)
		return;
	MUST(list_empty(&h->dirty) || !h->loop);
	fars_free(h);
	overflows_free(h);
	trusted_free(h);
	customers_free(h);
	memo_free(&h->routes);
	outs_free(h);
	if (h->inbox)
		inbox_close(&h->inbox);
	store_close(&h->store);
	loop_close(&h->loop);
	mem_free(h);
}

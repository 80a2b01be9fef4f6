/* far.c - retained messages of customers on other homes, for a subscription of the trusted world on
 * home 0. Home 0 asks; the other home walks its customers' stores in slices and sends a letter per
 * message; home 0 gives it to the subscription if it is still there.
 *
 * A `struct far` travels: made on home 0, it belongs to the other home from the moment it is
 * pushed, and pushes itself again for each slice: one of them has a slice in a turn. */
#include "base/base.h"
#include "core/session.h"

#include "base/mem.h"
#include "core/work.h"

enum { SLICE_NAMES = 256, WAIT_LETTERS = 5000, WAIT_MS = 16 };

struct far {
	struct inbox_item item;
	struct home *at; /* the other home */
	/* in at->fars while it waits for home 0 to catch up */
	struct list node;
	struct timer timer;
	struct retained_walk walk;
	uint64_t *ids; /* customers there when it came */
	size_t count, next;
	uint16_t id_len, filter_len; /* whose it is, and what it is called there */
	uint32_t inner_len;
	char bytes[]; /* id, filter, inner */
};

/* id and filter in one, as a letter carries them */
static struct str far_name(const struct far *f)
{
	return str_make(f->bytes, (size_t)f->id_len + f->filter_len);
}

static void far_free(struct far **slot)
{
	struct far *f = *slot;

	*slot = NULL;
	list_del(&f->node);
	timer_stop(&f->timer);
	retained_walk_end(&f->walk);
	mem_free(f->ids);
	mem_free(f);
}

/* ---- On the other home ---- */
static bool far_begin(struct far *f)
{
	struct home *h = f->at;

	f->ids = mem_array(h->customers.count, sizeof(*f->ids));
	if (!f->ids)
		return false;
	map_each(n, &h->customers) {
		uint64_t id = container_of(n, struct customer, node)->id;

		if (id)
			f->ids[f->count++] = id;
	}
	return true;
}

static void found(void *arg, struct msg *m)
{
	struct far *f = arg;

	trusted_retained(f->at, m, far_name(f), f->id_len);
}

/* False: nothing is left, or no memory to go on with. */
static bool far_slice(struct far *f)
{
	struct home *h = f->at;
	struct customer *c = f->next < f->count ? customer_find(h, f->ids[f->next]) : NULL;
	/* its first level is not the first level of the filter as it was written */
	struct filter filter = { .system = true };

	if (c && replay_inside(str_make(f->bytes + f->id_len + f->filter_len, f->inner_len), c,
	                       &filter.text)) {
		int err = retained_walk(c->retained, filter, &f->walk, SLICE_NAMES, home_wall(h),
		                        found, f);

		work_spend(h, f->walk.cost);
		if (err) {
			h->counters.dropped_memory++;
			return false;
		}
		if (!f->walk.done)
			return true;
		retained_walk_end(&f->walk);
		f->walk = (struct retained_walk){ 0 };
	}
	return ++f->next < f->count;
}

static void far_run(struct inbox_item *item)
{
	struct far *f = container_of(item, struct far, item);
	struct home *h = f->at;

	/* the end; no memory; nobody here */
	if (!h->trusted || (!f->ids && !far_begin(f)) || (f->count == 0)) {
		far_free(&f);
		return;
	}
	if (atomic_load_explicit(&h->all[0]->letters, memory_order_relaxed) > WAIT_LETTERS) {
		list_add_tail(&h->fars, &f->node);
		timer_set(h->loop, &f->timer, WAIT_MS);
		return;
	}
	work_turn_is(h);
	if (h->far_turn == h->turn || far_slice(f))
		inbox_push(h->inbox, &f->item);
	else
		far_free(&f);
	h->far_turn = h->turn;
}

static void far_waited(struct timer *t)
{
	struct far *f = container_of(t, struct far, timer);

	list_del(&f->node);
	far_run(&f->item);
}

void fars_free(struct home *h)
{
	struct far *f;

	list_each(f, &h->fars, struct far, node)
		far_free(&f);
}

/* ---- On home 0 ---- */
static void far_send(struct subscription *sub, struct str inner, struct home *to)
{
	struct home *h = session_home(sub->session);
	struct str id = session_id(sub->session);
	struct far *f = mem_zalloc(sizeof(*f) + id.n + sub->filter_len + inner.n);

	if (!f) {
		h->counters.dropped_memory++;
		return;
	}
	f->item.run = far_run;
	f->at = to;
	list_init(&f->node);
	timer_init(&f->timer, far_waited);
	f->id_len = (uint16_t)id.n;
	f->filter_len = sub->filter_len;
	f->inner_len = (uint32_t)inner.n;
	memcpy(f->bytes, id.p, id.n);
	memcpy(f->bytes + id.n, sub->filter, sub->filter_len);
	memcpy(f->bytes + id.n + sub->filter_len, inner.p, inner.n);
	inbox_push(to->inbox, &f->item);
}

void far_ask(struct subscription *sub)
{
	struct home *h = session_home(sub->session);

	for (unsigned i = 1; i < h->count; i++) {
		for (unsigned k = 0; k < sub->set->count; k++)
			far_send(sub, sub->set->at[k].text, h->all[i]);
	}
}

void far_came(struct home *h, struct msg *m, struct str name, size_t id_len)
{
	struct session *s = session_find(h->trusted, str_make(name.p, id_len));
	struct subscription *sub = s ? sub_find(s, str_skip(name, id_len)) : NULL;

	if (sub && sub_wants(sub, m))
		replay_show(sub, m);
	conditions_forget(h);
}

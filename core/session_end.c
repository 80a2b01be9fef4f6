/* session_end.c - a session ends, or starts anew: what it has is taken apart. How many
 * subscriptions that are, and how many messages wait, is the client's choice: so it is a job in
 * slices (work.h). Such a session is in its customer's table no more, and is given nothing; where
 * its name lives on (Clean Start, a ghost), that is another session.
 *
 * The trusted world's frames do not wait for jobs: its sessions end at once. */
#include "base/base.h"
#include "core/session.h"

#include "base/mem.h"

/* To take a subscription or a message apart, at most of ordinary ones: what is less than a slice is
 * not worth another session. */
enum { ITEM_UNITS = 400 };

struct remains {
	struct work work;
	struct session *s;
	size_t bucket; /* of s->subs; those before it are empty */
};

/* ---- One after the other ---- */

/* False: there is none. What waits for a member of a group goes to others first. */
static bool take_sub(struct session *s, size_t *bucket)
{
	struct map_node *n = map_walk(&s->subs, bucket, NULL);
	struct subscription *sub;

	if (!n)
		return false;
	sub = container_of(n, struct subscription, node);
	if (!sub->member || !group_part(sub))
		sub_drop(sub, true);
	return true;
}

static bool take_out(struct session *s)
{
	struct out *o = list_first(&s->flight, struct out, node);

	if (!o)
		o = list_first(&s->queue, struct out, node);
	if (!o)
		return false;
	out_drop(s, o);
	return true;
}

static bool take(struct remains *r)
{
	return take_sub(r->s, &r->bucket) || take_out(r->s);
}

/* From now on it is given nothing. */
static void close_up(struct session *s)
{
	s->queue_messages_max = s->queue_bytes_max = 0;
	s->redeliver = false;
	request_leave(s, true);
	inbound_clear(s);
	if (s->durable)
		store_session_del(session_home(s)->store, s->customer->id, session_id(s));
	s->durable = false;
}

void session_empty(struct session *s)
{
	struct remains r = { .s = s };

	close_up(s);
	while (take(&r))
		;
	map_free(&s->subs);
}

/* ---- In slices ---- */
static bool step(struct work *w)
{
	struct remains *r = container_of(w, struct remains, work);
	struct home *h = session_home(r->s);

	home_changed(h);
	while (take(r)) {
		if (work_over(h))
			return true;
	}
	return false;
}

static void drop(struct work *w)
{
	struct remains *r = container_of(w, struct remains, work);

	while (take(r)) /* when the home ends */
		;
	session_free(r->s);
	mem_free(r);
}

static size_t left(const struct session *s)
{
	return s->subs.count + s->queue_count + s->live + s->again;
}

/* It is nobody's. Without memory for a job it is done at once. */
static void take_apart(struct session *s)
{
	struct remains now = { .work = { .step = step, .drop = drop }, .s = s }, *r;
	struct home *h = session_home(s);

	while (take(&now)) {
		if (!work_over(h) || !s->customer->id || !left(s) || !(r = mem_alloc(sizeof(*r))))
			continue;
		*r = now;
		list_init(&r->work.node);
		work_add(s->customer, &r->work);
		return;
	}
	session_free(s);
}

void session_finish(struct session *s)
{
	struct customer *c = s->customer;

	will_fire(s);
	close_up(s);
	session_unlist(s);
	map_trim(&c->sessions);
	take_apart(s);
}

/* ---- Anew ---- */

/* Of its name, with its Will and its token; it has nothing else. */
static struct session *twin(struct session *s)
{
	struct session *fresh = session_new(s->customer, session_id(s));

	if (!fresh)
		return NULL;
	session_take_token(fresh, s->token, s->rights_until, s->account);
	fresh->will = s->will;
	fresh->will_delay_s = s->will_delay_s;
	fresh->expiry_s = s->expiry_s;
	fresh->takeovers_due = s->takeovers_due;
	s->will = NULL;
	return fresh;
}

struct session *session_anew(struct session *s)
{
	bool much = left(s) * ITEM_UNITS > session_home(s)->most.slice;
	struct session *fresh = much && s->customer->id ? twin(s) : NULL;

	if (!fresh) {
		session_empty(s);
		return s;
	}
	close_up(s);
	session_unlist(s);
	take_apart(s);
	return fresh;
}

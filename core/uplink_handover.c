/* uplink_handover.c - a client that comes back while its session still has a connection. What it
 * said on the old one, a DISCONNECT perhaps, may still lie in the old socket: it comes first. The
 * proxy of the old channel is asked to FINISH, which is to work on what it has received; the new
 * OPEN waits for its CLOSE or FINISHED, at most FINISH_MS. Then it takes the session over, if the
 * old connection is still there.
 *
 * Newcomers for one session wait in the order in which they came: the first one gets the session,
 * the others wait for the first one's channel then. What a proxy says about a newcomer that waits
 * is kept behind its OPEN. It is let in when its customer's turn comes, as if its OPEN had come
 * now: thousands may come back at once, each to a session of which much has to be freed. */
#include "base/base.h"
#include "core/uplink_parts.h"

#include "base/mem.h"
#include "core/session.h"
#include "core/work.h"

enum { FINISH_MS = 1000, SAID_MOST = 16 };

struct newcomer {
	struct list node; /* handover->newcomers */
	struct handover *handover;
	struct channel *channel;
	unsigned count;  /* of frames in said */
	struct buf said; /* its OPEN, and what came after it */
};

struct handover {
	struct channel *old; /* NULL: it has ended */
	struct home *home;
	struct list newcomers;
	struct timer timer;
	struct work work; /* the old one has finished: the first newcomer is let in */
	bool over;        /* nobody waits any more */
};

static void handover_free(struct handover *h)
{
	MUST(list_empty(&h->newcomers)); /* callers ask */
	if (h->old)
		h->old->handover = NULL;
	timer_stop(&h->timer);
	list_del(&h->work.node);
	mem_free(h);
}

static void newcomer_free(struct newcomer *n)
{
	list_del(&n->node);
	n->channel->newcomer = NULL;
	buf_free(&n->said);
	mem_free(n);
}

static bool keep(struct newcomer *n, const struct link_head *head, struct str body)
{
	/* not the bytes before body: a parked frame has its head in a struct */
	buf_le32(&n->said, head->length);
	buf_u8(&n->said, head->type);
	buf_u8(&n->said, head->flags);
	buf_le16(&n->said, head->generation);
	buf_le32(&n->said, head->channel);
	buf_str_add(&n->said, body);
	n->count++;
	return buf_ok(&n->said);
}

static void ask(struct handover *h)
{
	struct link *l = h->old->link;

	l->home->counters.handovers++;
	link_gather_end(l);
	/* behind its OPENED, which may wait there: before it, FINISH is nonsense to the proxy */
	link_bare_write(lane_buf(h->old->lane), LINK_FINISH, h->old->number, h->old->generation);
	lane_say(h->old->lane);
	timer_set(h->home->loop, &h->timer, FINISH_MS);
}

/* ---- The old connection has finished, or has had its time ---- */

/* The frames of the newcomer, as if they came now. c, if it has the session then and its number
 * still; it may be freed. */
static struct channel *let_in(struct channel *c)
{
	struct newcomer *n = c->newcomer;
	struct link *l = c->link;
	struct buf said = n->said;
	struct str rest = buf_str(&said);
	struct link_head head;
	bool sense = true, first = true, there;

	n->said = (struct buf){ 0 };
	newcomer_free(n);
	channel_hold(c);
	while (sense && !l->broken && link_head_read(rest, &head) == PARSE_OK) {
		struct str body = str_make(rest.p + LINK_HEAD, head.length - LINK_HEAD);

		sense = first ? link_open_run(c, &head, body) : link_frame_run(l, c, &head, body);
		rest = str_skip(rest, head.length);
		first = false;
	}
	buf_free(&said);
	if (!sense)
		link_nonsense(l, &head);
	there = c->port.session && c->listed;
	channel_release(c);
	return there ? c : NULL;
}

/* Whose channel has the session now is the one that the others wait for. */
static void others_wait_for(struct handover *h, struct channel *c)
{
	h->over = list_empty(&h->newcomers);
	if (h->over)
		return;
	h->old = c;
	c->handover = h;
	ask(h);
}

static bool step(struct work *w)
{
	struct handover *h = container_of(w, struct handover, work);
	struct newcomer *n;

	home_changed(h->home);
	if (h->old)
		h->old->handover = NULL;
	h->old = NULL;
	while ((n = list_first(&h->newcomers, struct newcomer, node))) {
		struct link *l = n->channel->link;
		struct channel *c;

		if (work_over(h->home))
			return true;
		work_spend(h->home, WORK_FRAME);
		c = let_in(n->channel);
		if (c && handover_knows(l)) {
			others_wait_for(h, c);
			return false;
		}
	}
	h->over = true;
	return false;
}

static void drop(struct work *w)
{
	struct handover *h = container_of(w, struct handover, work);

	if (h->over) /* else it waits again, or the home ends */
		handover_free(h);
}

static void go_on(struct timer *t)
{
	struct handover *h = container_of(t, struct handover, timer);
	struct newcomer *n = list_first(&h->newcomers, struct newcomer, node);
	struct customer *c = n ? customer_find(h->home, n->channel->lane->customer) : NULL;

	if (!list_empty(&h->work.node))
		return;
	if (c) {
		work_park(c, &h->work); /* behind what the old connection has said */
		return;
	}
	(void)step(&h->work); /* its customer has nothing here any more */
	drop(&h->work);
}

void handover_over(struct channel *c)
{
	struct handover *h = c->handover;

	c->handover = NULL;
	if (!h)
		return;
	h->old = NULL;
	if (list_empty(&h->newcomers))
		handover_free(h);
	else
		timer_set(h->home->loop, &h->timer, 0);
}

void handover_finished(struct channel *c)
{
	if (c->handover)
		timer_set(c->handover->home->loop, &c->handover->timer, 0);
}

/* ---- Newcomers ---- */

bool handover_knows(const struct link *l)
{
	return l->minor >= LINK_MINOR_FINISH && !l->broken;
}

static struct handover *handover_new(struct channel *old)
{
	struct handover *h = mem_zalloc(sizeof(*h));

	if (!h)
		return NULL;
	h->old = old;
	h->home = old->link->home;
	list_init(&h->newcomers);
	list_init(&h->work.node);
	h->work.step = step;
	h->work.drop = drop;
	timer_init(&h->timer, go_on);
	old->handover = h;
	ask(h);
	return h;
}

bool handover_wait(struct channel *old, struct channel *c, const struct link_head *head,
                   struct str body)
{
	struct newcomer *n;

	if (!handover_knows(old->link))
		return false;
	n = mem_zalloc(sizeof(*n));
	if (!n)
		return false;
	n->handover = old->handover ? old->handover : handover_new(old);
	if (!n->handover || !keep(n, head, body)) {
		buf_free(&n->said);
		mem_free(n);
		return false; /* an empty handover ends by its timer */
	}
	n->channel = c;
	c->newcomer = n;
	list_add_tail(&n->handover->newcomers, &n->node);
	return true;
}

void handover_cancel(struct channel *c)
{
	struct handover *h = c->newcomer ? c->newcomer->handover : NULL;

	if (!h)
		return;
	newcomer_free(c->newcomer);
	if (!h->old && list_empty(&h->newcomers))
		handover_free(h);
}

bool handover_hears(struct channel *c, const struct link_head *head, struct str body)
{
	struct newcomer *n = c->newcomer;
	struct link *l = c->link;
	bool sense;

	if (head->type == LINK_CLOSE) { /* it has gone before it was here */
		handover_cancel(c);
		channel_free(&c);
		return true;
	}
	if (n->count == SAID_MOST) { /* it does not wait as a proxy's client does */
		channel_hold(c);
		(void)let_in(c);
		sense = link_frame_run(l, c, head, body);
		channel_release(c);
		return sense;
	}
	if (!keep(n, head, body))
		link_break(l, "out of memory");
	return true;
}

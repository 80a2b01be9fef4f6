/* uplink_parked.c - frames that wait until it is their customer's turn (work.h). A frame is copied
 * out of its link's buffer and stands in its customer's queue, behind what was said before on any
 * link, so the order of a channel, and of OPEN and CLOSE of a client id, is kept.
 *
 * A parked frame holds its channel and its link: they live on without a number and without a socket
 * until it was served. A parked CLOSE gives the channel's number free at once, a parked OPEN takes
 * it at once. */
#include "base/base.h"
#include "core/uplink_parts.h"

#include "base/mem.h"
#include "core/session.h"
#include "core/work.h"

struct parked {
	struct work work;
	struct link *link;
	struct channel *channel; /* NULL: RIGHTS */
	struct link_head head;
	char body[];
};

static size_t cost(const struct link_head *head)
{
	return sizeof(struct parked) + head->length;
}

/* ---- Too much waits ---- */
static void hold_say(struct link *l, uint64_t customer, bool hold)
{
	if (l->broken || l->minor < LINK_MINOR_HOLD)
		return;
	link_gather_end(l);
	link_hold_write(&l->out, customer, hold);
	l->home->counters.frames_out++;
	link_say(l);
}

/* The customer's clients are not read, or go on: on all links, for they may come on any. */
static void hold(struct uplink *u, struct customer *c, bool held)
{
	struct link *l;

	c->unread = held;
	u->home->counters.held += held;
	list_each(l, &u->links, struct link, node)
		hold_say(l, c->id, held);
}

void link_tell_held(struct link *l)
{
	struct customer *c;

	list_each(c, &l->home->busy, struct customer, busy) {
		if (c->unread)
			hold_say(l, c->id, true);
	}
	list_each(c, &l->home->stopped, struct customer, busy) {
		if (c->unread)
			hold_say(l, c->id, true);
	}
}

static void charge(struct link *l, struct customer *c, size_t bytes)
{
	l->waiting++;
	l->waiting_bytes += bytes;
	c->parked_bytes += bytes;
	l->home->counters.parked++;
	if (!c->unread && c->id && c->parked_bytes > (size_t)l->home->config->customer_input)
		hold(l->uplink, c, true);
	if (!l->stuffed && l->waiting_bytes > LINK_PARKED) {
		l->stuffed = true;
		link_watch(l);
	}
}

static void discharge(struct link *l, struct customer *c, size_t bytes)
{
	l->waiting_bytes -= bytes;
	c->parked_bytes -= bytes;
	if (c->unread && c->parked_bytes <= (size_t)l->home->config->customer_input / 2)
		hold(l->uplink, c, false);
	if (l->stuffed && l->waiting_bytes <= LINK_PARKED / 2) {
		l->stuffed = false;
		if (!l->broken)
			link_watch(l);
	}
}

/* ---- One frame ---- */

/* A channel without a number and without frames is nobody's any more. */
static void channel_served(struct channel *c)
{
	if (--c->waiting)
		return;
	if (c->lost || (!c->listed && c->port.session && c != &c->link->self))
		channel_lose(c);
	else if (!c->listed && c != &c->link->self)
		channel_end(c);
}

void channel_hold(struct channel *c)
{
	c->waiting++;
}

void channel_release(struct channel *c)
{
	channel_served(c);
}

static void drop(struct work *w)
{
	struct parked *p = container_of(w, struct parked, work);

	discharge(p->link, w->customer, cost(&p->head));
	if (p->channel)
		channel_served(p->channel);
	link_served(p->link);
	mem_free(p);
}

static bool run(struct work *w)
{
	struct parked *p = container_of(w, struct parked, work);

	work_spend(w->customer->home, WORK_FRAME + p->head.length / WORK_BYTES);
	if (!link_frame_run(p->link, p->channel, &p->head,
	                    str_make(p->body, p->head.length - LINK_HEAD)))
		link_nonsense(p->link, &p->head);
	return false;
}

bool link_park(struct link *l, struct channel *c, struct customer *of, const struct link_head *head,
               struct str body)
{
	struct parked *p;

	if (head->type == LINK_OPEN) {
		if (channel_find(l, head->channel))
			return false;
		c = channel_new(l, head->channel, head->generation, of->id);
		if (!c) /* says so */
			return link_frame_run(l, NULL, head, body);
	}
	p = mem_alloc(sizeof(*p) + body.n);
	if (!p) {
		link_break(l, "out of memory");
		return true;
	}
	*p = (struct parked){
		.work = { .step = run, .drop = drop }, .link = l, .channel = c, .head = *head
	};
	memcpy(p->body, body.p, body.n);
	charge(l, of, cost(head));
	work_park(of, &p->work);
	if (!c)
		return true;
	c->waiting++;
	c->customer = of;
	if (head->type == LINK_CLOSE)
		channel_unlist(c);
	if (head->type == LINK_PAUSE && c->port.session) /* and again in its place */
		session_pause(&c->port);
	return true;
}

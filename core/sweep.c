/* sweep.c - rights have changed (attack C05): what waits for a client, and what it was sent and did
 * not acknowledge, is judged again by the set of the subscription that it came by. Each
 * subscription gets its own copy of a message, so no other set has a say in it.
 *
 * How many messages wait, and how many filters a set has, is the customer's choice: so a sweep is
 * a job in slices (work.h). While one is under way nothing that waits is sent to that client. */
#include "base/base.h"
#include "core/session.h"

#include "base/mem.h"

struct sweep {
	struct work work;
	struct subscription *sub; /* NULL: done */
	struct list outs;         /* not judged yet */
};

/* A QoS 2 message that was sent is not sent again, but the client may have it: then it waits for
 * PUBREL, and would take the next message under that id for this one. If its PUBREC is still to
 * come, that is the answer; else it is told now, or when it is told everything again. */
static void give_up(struct subscription *sub, struct out *o)
{
	struct session *s = sub->session;
	bool again = o->state == OUT_AGAIN;

	if ((o->flags & LINK_QOS) != 2 || o->state == OUT_QUEUED) {
		if (sub->member) { /* others of the group may have the right */
			group_take_back(sub, o);
			return;
		}
		session_home(s)->counters.dropped_rights++;
		out_drop(s, o);
		return;
	}
	session_home(s)->counters.dropped_rights++;
	out_release(s, o);
	if (again && !s->redeliver && s->port)
		s->port->ops->ack(s->port, MQTT_PUBREL, o->packet_id, RC_SUCCESS);
}

/* By the set that sub has now. A member whose client unsubscribed: what is not sent yet goes to
 * others, what was sent stays with the session [MQTT-3.10.4-3]. */
static void judge(struct subscription *sub, struct out *o)
{
	if (sub->parts) {
		list_del(&o->peer);
		work_spend(session_home(sub->session), 1);
		if (o->state == OUT_QUEUED)
			group_take_back(sub, o);
	} else if (!sub_wants(sub, o->msg)) {
		give_up(sub, o);
	}
}

/* The last one of the session: what waits may go. */
static void ended(struct sweep *w)
{
	struct subscription *sub = w->sub;
	struct session *s = sub->session;

	sub->sweep = NULL;
	w->sub = NULL;
	if (sub->ends)
		sub_drop(sub, false);
	if (--s->sweeps == 0 && s->port)
		out_pump(s);
}

static bool step(struct work *work)
{
	struct sweep *w = container_of(work, struct sweep, work);
	struct home *h = session_home(w->sub->session);
	struct out *o;

	home_changed(h);
	while ((o = list_first(&w->outs, struct out, peer))) {
		list_del(&o->peer);
		list_add_tail(&w->sub->outs, &o->peer);
		judge(w->sub, o);
		if (work_over(h))
			break;
	}
	conditions_forget(h);
	if (!list_empty(&w->outs))
		return true;
	ended(w);
	return false;
}

static void drop(struct work *work)
{
	struct sweep *w = container_of(work, struct sweep, work);

	if (w->sub) {
		list_splice_tail(&w->sub->outs, &w->outs);
		w->sub->sweep = NULL;
		w->sub->session->sweeps--;
	}
	mem_free(w);
}

/* Without memory for it nothing can be kept for later. */
static void give_up_all(struct subscription *sub)
{
	struct list all;
	struct out *o;

	list_init(&all);
	list_splice_tail(&all, &sub->outs);
	while ((o = list_first(&all, struct out, peer))) {
		list_del(&o->peer);
		list_add_tail(&sub->outs, &o->peer);
		judge(sub, o);
	}
}

void sweep_start(struct subscription *sub)
{
	struct session *s = sub->session;
	struct sweep *w = sub->sweep;
	bool fresh = !w;

	if (list_empty(&sub->outs))
		return;
	if (fresh) {
		w = mem_zalloc(sizeof(*w));
		if (!w) {
			give_up_all(sub);
			return;
		}
		w->work.step = step;
		w->work.drop = drop;
		w->sub = sub;
		list_init(&w->work.node);
		list_init(&w->outs);
		sub->sweep = w;
		s->sweeps++;
	}
	/* by an earlier change of rights; by this one once more */
	list_splice_tail(&w->outs, &sub->outs);
	if (!fresh)
		return;
	if (work_over(session_home(s)) || step(&w->work))
		work_add(s->customer, &w->work);
	else
		mem_free(w);
}

void sweep_finish(struct subscription *sub)
{
	struct sweep *w = sub->sweep;

	if (!w)
		return;
	while (step(&w->work))
		;
	work_cancel(&w->work);
}

void sweep_stop(struct subscription *sub)
{
	if (sub->sweep)
		work_cancel(&sub->sweep->work);
}

/* request.c - SUBSCRIBE, UNSUBSCRIBE and REGRANT of a client: item after item, and one answer. A
 * packet may have a thousand filters, and each of them hundreds of inner ones: what is more than a
 * slice goes on as a job, with a copy of the items that are left (work.h keeps later frames of the
 * customer waiting meanwhile). */
#include "base/base.h"
#include "core/session.h"

#include "base/log.h"
#include "base/mem.h"

enum { ITEM_UNITS = 15 };

struct request {
	struct work work; /* a job: in s->request */
	struct session *session;
	struct port *port; /* who waits for the answer; NULL: nobody, or it is gone */
	enum link_type type;
	struct link_subscribe items; /* of UNSUBSCRIBE: its packet id and items */
	uint8_t *codes;
	size_t count;
	char bytes[]; /* of a job: codes, then items */
};

/* The trusted world lives on home 0; on other homes its members publish only. */
static bool may_subscribe(const struct session *s)
{
	return s->customer->id != 0 || home_index(session_home(s)) == 0;
}

/* The next item. False: names outside the customer's space. */
static bool subscribe(struct request *r, const struct link_item *item)
{
	struct session *s = r->session;
	struct home *h = session_home(s);
	uint8_t *code = &r->codes[r->count++];

	*code = item->code;
	if (item->code >= 0x80)
		return true;
	if (!may_subscribe(s))
		*code = RC_USE_ANOTHER_SERVER;
	else if (!sub_subscribe(s, r->items.subscription_id, item, code))
		return false;
	if (*code >= 0x80)
		h->counters.refused_subscriptions++;
	else
		h->counters.subscribed++;
	return true;
}

static bool unsubscribe_next(struct request *r)
{
	struct link_unsubscribe u = { .items = r->items.items };
	struct str filter;

	if (!link_unsubscribe_next(&u, &filter))
		return false;
	r->items.items = u.items;
	r->codes[r->count++] = sub_unsubscribe(r->session, filter);
	return true;
}

/* False: there is none. *sense: as of sub_subscribe(). */
static bool next(struct request *r, bool *sense)
{
	struct link_item item;

	if (r->type == LINK_UNSUBSCRIBE)
		return unsubscribe_next(r);
	if (!link_subscribe_next(&r->items, &item))
		return false;
	*sense = r->type == LINK_SUBSCRIBE ? subscribe(r, &item) : sub_regrant(r->session, &item);
	return true;
}

/* Nothing that waits is sent before all of a REGRANT is judged. */
static void hold(struct request *r, bool on)
{
	if (r->type == LINK_REGRANT)
		r->session->sweeps += on ? 1 : (uint32_t)-1;
}

static void done(struct request *r)
{
	struct session *s = r->session;

	hold(r, false);
	if (r->type != LINK_SUBSCRIBE)
		map_trim(&s->subs);
	if (r->port && r->type != LINK_REGRANT)
		r->port->ops->suback(r->port,
		                     r->type == LINK_SUBSCRIBE ? LINK_SUBACK : LINK_UNSUBACK,
		                     r->items.packet_id, r->codes, r->count);
	if (!s->port)
		return;
	if (r->type == LINK_REGRANT)
		out_pump(s);
	else if (s->replays)
		replay_go_on(s);
}

/* ---- What is left, as a job ---- */
static bool step(struct work *w)
{
	struct request *r = container_of(w, struct request, work);
	struct home *h = session_home(r->session);
	bool sense = true;

	home_changed(h);
	while (next(r, &sense)) {
		work_spend(h, ITEM_UNITS);
		if (!sense && r->type == LINK_SUBSCRIBE) /* too late to end the link */
			r->codes[r->count - 1] = RC_NOT_AUTHORIZED;
		if (!sense)
			LOG_ERROR(home_name(h), "foreign-name", "cid=%" PRIu64 " client=%s",
			          r->session->customer->id, log_esc(session_id(r->session)));
		sense = true;
		if (work_over(h))
			return true;
	}
	done(r);
	r->session->request = NULL;
	r->session = NULL;
	return false;
}

static void drop(struct work *w)
{
	struct request *r = container_of(w, struct request, work);

	if (r->session) { /* not done */
		hold(r, false);
		r->session->request = NULL;
	}
	mem_free(r);
}

/* False: out of memory, and r has to be done now. */
static bool later(const struct request *r)
{
	struct session *s = r->session;
	size_t codes = r->items.count;
	struct request *job = mem_alloc(sizeof(*job) + codes + r->items.items.n);

	if (!job)
		return false;
	*job = *r;
	job->codes = (uint8_t *)job->bytes;
	if (r->count)
		memcpy(job->codes, r->codes, r->count);
	job->items.items = str_make(memcpy(job->bytes + codes, r->items.items.p, r->items.items.n),
	                            r->items.items.n);
	job->work = (struct work){ .step = step, .drop = drop };
	list_init(&job->work.node);
	s->request = job;
	work_add(s->customer, &job->work);
	return true;
}

/* Only where frames do not wait for jobs: the trusted door. */
static void finish(struct session *s)
{
	struct request *r = s->request;

	if (!r)
		return;
	while (step(&r->work))
		;
	work_cancel(&r->work);
}

void request_leave(struct session *s, bool ends)
{
	struct request *r = s->request;

	if (!r)
		return;
	r->port = NULL;
	/* rights that are lost are lost, and what it gave up it gave up, also without it */
	if (ends || r->type == LINK_SUBSCRIBE)
		work_cancel(&r->work);
}

static bool begin(struct port *p, enum link_type type, const struct link_subscribe *items)
{
	struct session *s = p->session;
	struct home *h = session_home(s);
	struct request r = {
		.session = s, .port = p, .type = type, .items = *items, .codes = h->codes
	};
	bool sense = true;

	finish(s);
	hold(&r, true);
	while (next(&r, &sense)) {
		work_spend(h, ITEM_UNITS);
		if (!sense) {
			hold(&r, false);
			return false;
		}
		if (work_over(h) && r.items.items.n && later(&r))
			return true;
	}
	done(&r);
	return true;
}

bool session_subscribe(struct port *p, struct link_subscribe *s)
{
	return begin(p, LINK_SUBSCRIBE, s);
}

bool session_regrant(struct port *p, struct link_subscribe *r)
{
	return begin(p, LINK_REGRANT, r);
}

bool session_unsubscribe(struct port *p, struct link_unsubscribe *u)
{
	return begin(p, LINK_UNSUBSCRIBE,
	             &(struct link_subscribe){
			 .packet_id = u->packet_id, .count = u->count, .items = u->items });
}

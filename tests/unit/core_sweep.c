/* core_sweep.c - which of the messages that wait survive UNSUBSCRIBE, a change of rights and the
 * end of a group's member: held against a model that does it the slow way, with jobs cut into the
 * smallest slices there are. */
#include "tests/unit/core_help.h"

enum { SUBS = 5, COPIES = 4000, ROUNDS = 60, STEPS = 60 };

static struct client a, b, c, p;
static const char *const topics[] = { "a", "a/b", "a/b/c", "b", "b/x", "c" };
static const char *const sets[] = { "#", "a/#", "+/b", "b", "a/b", "b/#", "+", "c" };
static const char *const filters[SUBS] = { "#", "a/#", "+/b", "b", "+" };

/* Every job is cut after its smallest step. */
static void cut(bool on)
{
	home->slice_end = on ? 0 : UINT64_MAX;
}

static struct customer *seven(void)
{
	return customer_find(home, 7);
}

static bool slice(void)
{
	struct customer *customer = seven();
	struct work *w = customer ? list_first(&customer->works, struct work, node) : NULL;

	if (w && !w->step(w))
		work_cancel(w);
	return w;
}

static bool matches(const char *const *set, const char *topic)
{
	for (; *set; set++) {
		if (topic_match((struct filter){ str_c(*set), true }, str_c(topic)))
			return true;
	}
	return false;
}

/* ---- One session ---- */
static struct model {
	bool there;
	const char *set[3];
	unsigned life; /* counts SUBSCRIBEs */
} model[SUBS];
static struct copy {
	unsigned number, sub, life;
	const char *topic;
	bool gone;
} copies[COPIES];
static unsigned count, published;

static void model_set(struct model *m, struct want *w)
{
	*w = (struct want){ .filter = filters[m - model], .opts = 1 };
	for (unsigned i = 0; i < 2; i++)
		w->inner[i] = m->set[i] = sets[any_below(ARRAY_LEN(sets))];
	if (any_below(3) == 0)
		w->inner[1] = m->set[1] = NULL;
}

static void model_judge(unsigned sub)
{
	for (unsigned i = 0; i < count; i++) {
		struct copy *o = &copies[i];

		if (o->sub == sub && o->life == model[sub].life &&
		    !matches(model[sub].set, o->topic))
			o->gone = true;
	}
}

static void do_publish(void)
{
	const char *topic = topics[any_below(ARRAY_LEN(topics))];
	char number[16];

	(void)snprintf(number, sizeof(number), "%u", ++published);
	PUB(&p, topic, number, 1, 1);
	p.n = 0;
	for (unsigned i = 0; i < SUBS; i++) {
		if (model[i].there && matches(model[i].set, topic))
			copies[count++] =
			    (struct copy){ published, i, model[i].life, topic, false };
	}
}

static void do_rights(unsigned i)
{
	struct want w;

	if (!model[i].there) {
		model[i].there = true;
		model[i].life++;
		model_set(&model[i], &w);
		YES(say_subscribe(&a, LINK_SUBSCRIBE, w));
		return;
	}
	if (any_below(3) == 0) {
		model[i].there = false;
		YES(unsub(&a, filters[i]));
		model[i].life++; /* what waits is nobody's now */
		return;
	}
	model_set(&model[i], &w);
	if (any_below(5) == 0) { /* it ends, and nothing that waits outlives it */
		w.code = 0x87;
		model[i].there = false;
		model[i].set[0] = NULL;
	}
	YES(say_subscribe(&a, w.code || any_below(4) ? LINK_REGRANT : LINK_SUBSCRIBE, w));
	model_judge(i);
}

/* What the session has: in the order of coming, and what the model says of each. */
static void compare(void)
{
	unsigned at = 0;
	struct out *o;

	list_each(o, &a.port.session->queue, struct out, node) {
		uint64_t number;

		YES(str_to_u64(o->msg->m.payload, &number));
		while (at < count && copies[at].gone)
			at++;
		YES(at < count);
		IS(copies[at++].number, number);
	}
	while (at < count && copies[at].gone)
		at++;
	IS(at, count);
}

static void what_waits_survives_as_a_slow_model_says(void)
{
	unsigned cut_short = 0;

	for (unsigned round = 0; round < ROUNDS; round++) {
		world_begins();
		config.copies_max = 1000;
		memset(model, 0, sizeof(model));
		count = published = 0;
		a.n = p.n = 0;
		OPEN(&p, .id = "p");
		OPEN(&a, .id = "a", .expiry = 60, .window = 1000, .queue_messages = COPIES);
		session_pause(&a.port);
		for (unsigned i = 0; i < STEPS; i++) {
			bool publishes = any_below(3);

			cut(round % 2 && !publishes);
			if (publishes)
				do_publish();
			else
				do_rights((unsigned)any_below(SUBS));
			a.n = 0;
			while (slice()) { /* nothing goes before all is judged */
				if (!a.port.session->sweeps)
					continue; /* sets that nobody uses any more */
				cut_short++;
				session_resume(&a.port);
				IS(a.n, 0);
				session_pause(&a.port);
			}
			compare();
			for (unsigned s = 0; s < SUBS; s++)
				IS(sub_find(a.port.session, str_c(filters[s])) != NULL,
				   model[s].there);
		}
		cut(false);
		while (slice())
			;
		session_close(&a.port, LINK_CLOSE_EXPIRY, 0);
		session_close(&p.port, LINK_CLOSE_EXPIRY, 0);
		world_ends();
	}
	YES(cut_short > 100);
}

/* ---- A group ---- */
struct peer {
	struct client *client;
	bool there;
	const char *set[3];
};
static struct peer members[] = { { &a, false, { 0 } }, { &b, false, { 0 } }, { &c, false, { 0 } } };
#define SHARED "$share/g/#"

static struct subscription *member_sub(const struct peer *m)
{
	return sub_find(m->client->port.session, STR(SHARED));
}

/* Whom the messages of m can go to, or nobody. */
static bool others_want(const struct peer *m, const struct msg *msg, bool itself)
{
	char topic[16];

	(void)snprintf(topic, sizeof(topic), "%.*s", STR_ARG(msg_name(msg)));
	for (unsigned i = 0; i < ARRAY_LEN(members); i++) {
		if (members[i].there && (itself || &members[i] != m) &&
		    matches(members[i].set, topic))
			return true;
	}
	return false;
}

static void member_change(struct peer *m)
{
	struct want w = { .filter = SHARED, .opts = 1 };
	struct home_counters before = home->counters;
	uint64_t moved = 0, lost = 0;
	enum { LEAVES, LOSES, ENDS, JOINS } what = m->there ? any_below(3) : JOINS;
	struct out *o;

	for (unsigned i = 0; i < 2; i++)
		w.inner[i] = sets[any_below(ARRAY_LEN(sets))];
	if (what == LOSES)
		memcpy(m->set, w.inner, 2 * sizeof(m->set[0]));
	if (what != JOINS) {
		list_each(o, &member_sub(m)->outs, struct out, peer) {
			char topic[16];

			(void)snprintf(topic, sizeof(topic), "%.*s", STR_ARG(msg_name(o->msg)));
			if (what == LOSES && matches(m->set, topic))
				continue;
			if (others_want(m, o->msg, false))
				moved++;
			else
				lost++;
		}
	}
	if (what == LEAVES) {
		m->there = false;
		YES(unsub(m->client, SHARED));
	} else if (what == ENDS) {
		m->there = false;
		w.code = 0x87;
		YES(say_subscribe(m->client, LINK_REGRANT, w));
	} else {
		m->there = true;
		memcpy(m->set, w.inner, 2 * sizeof(m->set[0]));
		YES(say_subscribe(m->client, what == JOINS ? LINK_SUBSCRIBE : LINK_REGRANT, w));
	}
	while (slice())
		;
	IS(home->counters.moved_in_group - before.moved_in_group, moved);
	IS(home->counters.dropped_ended - before.dropped_ended, lost);
	IS(home->counters.dropped_full, 0);
}

static void only_those_who_may_have_it(void)
{
	struct out *o;

	for (unsigned i = 0; i < ARRAY_LEN(members); i++) {
		size_t bytes = 0, waiting = 0, queued = 0;

		if (members[i].there) {
			list_each(o, &member_sub(&members[i])->outs, struct out, peer) {
				char topic[16];

				(void)snprintf(topic, sizeof(topic), "%.*s",
				               STR_ARG(msg_name(o->msg)));
				YES(matches(members[i].set, topic));
				waiting++;
			}
		}
		list_each(o, &members[i].client->port.session->queue, struct out, node) {
			bytes += o->msg->size;
			queued++;
		}
		IS(queued, waiting);
		IS(members[i].client->port.session->queue_bytes, bytes);
	}
}

static void what_a_member_leaves_goes_to_those_who_may_have_it_and_to_nobody_else(void)
{
	uint64_t moved = 0, lost = 0;

	for (unsigned round = 0; round < ROUNDS; round++) {
		world_begins();
		a.n = b.n = c.n = p.n = 0;
		OPEN(&p, .id = "p");
		for (unsigned i = 0; i < ARRAY_LEN(members); i++) {
			char id[2] = { (char)('a' + i), 0 };

			members[i].there = false;
			OPEN(members[i].client, .id = id, .expiry = 60, .window = 1000);
			session_pause(&members[i].client->port);
		}
		for (unsigned i = 0; i < STEPS; i++) {
			bool publishes = any_below(4);

			cut(round % 2 && !publishes);
			if (publishes) {
				PUB(&p, topics[any_below(ARRAY_LEN(topics))], "x", 1, 1);
				p.n = 0;
			} else {
				member_change(&members[any_below(ARRAY_LEN(members))]);
			}
			a.n = b.n = c.n = 0;
			only_those_who_may_have_it();
		}
		moved += home->counters.moved_in_group;
		lost += home->counters.dropped_ended;
		for (unsigned i = 0; i < ARRAY_LEN(members); i++)
			session_close(&members[i].client->port, LINK_CLOSE_EXPIRY, 0);
		session_close(&p.port, LINK_CLOSE_EXPIRY, 0);
		while (slice())
			;
		cut(false);
		YES(!seven() || seven()->groups.count == 0);
		YES(!seven() || seven()->queue_bytes == 0);
		world_ends();
	}
	YES(moved > 100 && lost > 100);
}

/* ---- Answers ---- */
static void a_client_that_acknowledges_in_order_needs_no_table(void)
{
	enum { MANY = 100 };
	unsigned left = 0;

	world_begins();
	a.n = p.n = 0;
	OPEN(&p, .id = "p");
	OPEN(&a, .id = "a", .expiry = 60, .window = MANY, .queue_messages = MANY);
	SUBBED(&a, "#", .opts = 1);
	for (unsigned i = 0; i < 20 * MANY; i++) {
		struct session *s = a.port.session;

		if (left < MANY && (left == 0 || any_below(3))) {
			PUB(&p, "t", "x", 1, 1);
			a.n = p.n = 0;
			left++;
		} else {
			ACK(&a, PUBACK, list_first(&s->flight, struct out, node)->packet_id);
			left--;
		}
		NO(s->index);
		IS(s->live, left);
	}
	session_close(&a.port, LINK_CLOSE_EXPIRY, 0);
	session_close(&p.port, LINK_CLOSE_EXPIRY, 0);
	world_ends();
}

static void answers_find_their_message_in_any_order(void)
{
	enum { MANY = 1000 };
	uint16_t ids[MANY];
	unsigned left = 0;
	bool table = false;

	world_begins();
	a.n = p.n = 0;
	OPEN(&p, .id = "p");
	OPEN(&a, .id = "a", .expiry = 60, .window = MANY, .queue_messages = MANY);
	SUBBED(&a, "#", .opts = 1);
	for (unsigned i = 0; i < 20 * MANY; i++) {
		struct session *s = a.port.session;
		struct out *o;

		if (left < MANY && any_below(3)) {
			PUB(&p, "t", "x", 1, 1);
			a.n = p.n = 0;
			o = list_entry(s->flight.prev, struct out, node);
			ids[left++] = o->packet_id;
		} else if (left) {
			unsigned at = (unsigned)any_below(left);
			uint64_t acked = home->counters.acked;

			ACK(&a, PUBREC, ids[at]); /* not for QoS 1 */
			ACK(&a, PUBACK, ids[at]);
			IS(home->counters.acked, acked + 1);
			ACK(&a, PUBACK, ids[at]); /* it is gone */
			IS(home->counters.acked, acked + 1);
			ids[at] = ids[--left];
		}
		IS(s->live, left);
		table |= s->index != NULL;
	}
	YES(table);
	while (left)
		ACK(&a, PUBACK, ids[--left]);
	YES(!a.port.session->index && list_empty(&a.port.session->flight));
	session_close(&a.port, LINK_CLOSE_EXPIRY, 0);
	session_close(&p.port, LINK_CLOSE_EXPIRY, 0);
	world_ends();
}

static void ids_of_qos_2_are_kept_until_their_release_in_any_order(void)
{
	enum { IDS = 400 };
	bool known[IDS + 1] = { false };
	unsigned kept = 0;

	world_begins();
	p.n = 0;
	OPEN(&p, .id = "p", .expiry = 60);
	for (unsigned i = 0; i < 40 * IDS; i++) {
		uint16_t id = (uint16_t)(1 + any_below(IDS));
		char want[32];

		if (any_below(2)) {
			PUB(&p, "t", "x", 2, id);
			(void)snprintf(want, sizeof(want), "pubrec#%u %02x", id,
			               known[id] ? 0 : RC_NO_MATCHING_SUBSCRIBERS);
			kept += !known[id];
			known[id] = true;
		} else {
			ACK(&p, PUBREL, id);
			(void)snprintf(want, sizeof(want), "pubcomp#%u %02x", id,
			               known[id] ? 0 : RC_PACKET_IDENTIFIER_NOT_FOUND);
			kept -= known[id];
			known[id] = false;
		}
		YES(str_eq(said(&p), str_c(want)));
		IS(inbound_any(p.port.session), kept > 0);
	}
	session_close(&p.port, LINK_CLOSE_EXPIRY, 0);
	world_ends();
}

static void pubrec_of_an_unknown_id_is_answered(void)
{
	world_begins();
	a.n = 0;
	OPEN(&a, .id = "a");
	ACK(&a, PUBREC, 77);
	SAID(&a, "pubrel#77 92");
	YES(session_ack(&a.port, MQTT_PUBREC, 78, RC_QUOTA_EXCEEDED)); /* ends it by itself */
	ACK(&a, PUBACK, 79);
	ACK(&a, PUBCOMP, 80);
	SAID(&a, "");
	IS(home->counters.unknown_acks, 4);
	session_close(&a.port, LINK_CLOSE_EXPIRY, 0);
	world_ends();
}

RUN(what_waits_survives_as_a_slow_model_says,
    what_a_member_leaves_goes_to_those_who_may_have_it_and_to_nobody_else,
    answers_find_their_message_in_any_order, a_client_that_acknowledges_in_order_needs_no_table,
    ids_of_qos_2_are_kept_until_their_release_in_any_order, pubrec_of_an_unknown_id_is_answered)

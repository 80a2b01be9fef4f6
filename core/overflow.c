/* overflow.c - whose messages are dropped hears of it (overflow.h). A session that overflows has an
 * entry for a minute, found by its name, so that it costs nothing beyond: one record, then one a
 * minute with the number of those between. flespi ends such a session; here it goes on. */
#include "base/base.h"
#include "core/overflow.h"

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "core/work.h"

enum {
	TOLD_EVERY_MS = 60000,
	OVERFLOWS_MOST = 1024,
	TOLD_AT_ONCE = 16, /* records in a turn; the others wait for the next one */
	TELL_UNITS = 400,
	ORIGIN_SESSION = 14
};

struct overflow {
	struct map_node node; /* home->overflows */
	struct timer timer;
	struct home *home;
	uint64_t customer, token, dropped; /* not told yet */
	uint16_t id_len;
	char id[];
};

static uint64_t hash_of(uint64_t customer, struct str id)
{
	return hash_mix(hash_bytes(id.p, id.n), customer);
}

static struct overflow *find(const struct home *h, uint64_t customer, struct str id)
{
	for (struct map_node *n = map_first(&h->overflows, hash_of(customer, id)); n;
	     n = map_next(n)) {
		struct overflow *o = container_of(n, struct overflow, node);

		if (o->customer == customer && str_eq(str_make(o->id, o->id_len), id))
			return o;
	}
	return NULL;
}

static void overflow_free(struct overflow *o)
{
	timer_stop(&o->timer);
	map_del(&o->home->overflows, &o->node);
	mem_free(o);
}

static bool record_of(const struct overflow *o, struct str level, struct buf *out)
{
	json_t *record =
	    json_pack("{s:f, s:i, s:o, s:s, s:i, s:o, s:o, s:I, s:I}", "timestamp",
	              (double)home_wall(o->home) / 1000.0, "event_code", 504, "event_origin",
	              json_stringn(level.p, level.n), "event_text", "session queue overflowed",
	              "origin_type", ORIGIN_SESSION, "origin_id", json_stringn(o->id, o->id_len),
	              "client_id", json_stringn(o->id, o->id_len), "token_id", (json_int_t)o->token,
	              "dropped", (json_int_t)o->dropped);
	bool whole = record && json_write(out, record) == 0;

	json_decref(record);
	return whole;
}

static void tell(struct overflow *o)
{
	struct buf topic = { 0 }, payload = { 0 };
	struct link_msg src = { .expiry_s = LINK_NO_EXPIRY };
	struct msg *m = NULL;
	size_t origin;

	buf_printf(&topic, "customer/%" PRIu64 "/flespi/log/", o->customer);
	origin = buf_len(&topic);
	buf_str_add(&topic, STR("mqtt/sessions/"));
	space_level(&topic, str_make(o->id, o->id_len));
	if (buf_ok(&topic) && record_of(o, str_skip(buf_str(&topic), origin), &payload)) {
		buf_str_add(&topic, STR("/overflowed"));
		src.topic = buf_str(&topic);
		src.payload = buf_str(&payload);
		m = buf_ok(&topic) ? msg_new(&src, 1, false, 0, NULL, home_wall(o->home)) : NULL;
	}
	if (m) {
		o->dropped = 0;
		(void)home_publish(o->home, m);
	}
	msg_put(&m);
	buf_free(&topic);
	buf_free(&payload);
}

/* Thousands of sessions may overflow with one message. */
static bool may_tell(struct home *h)
{
	work_turn_is(h);
	if (h->told_turn != h->turn) {
		h->told_turn = h->turn;
		h->told = 0;
	}
	if (h->told == TOLD_AT_ONCE)
		return false;
	h->told++;
	work_spend(h, TELL_UNITS);
	return true;
}

static void fired(struct timer *t)
{
	struct overflow *o = container_of(t, struct overflow, timer);

	if (o->dropped == 0) {
		overflow_free(o);
		return;
	}
	if (!may_tell(o->home)) {
		timer_set(o->home->loop, t, 0);
		return;
	}
	home_changed(o->home);
	timer_set(o->home->loop, t, TOLD_EVERY_MS);
	tell(o);
}

void overflow_note(const struct session *s, const struct msg *m)
{
	struct home *h = session_home(s);
	uint64_t customer = s->customer->id;
	struct str id = session_id(s);
	struct overflow *o;

	if (customer == 0 || m->system)
		return;
	o = find(h, customer, id);
	if (o) {
		o->dropped++;
		return;
	}
	o = h->overflows.count < OVERFLOWS_MOST ? mem_zalloc(sizeof(*o) + id.n) : NULL;
	if (!o)
		return; /* the counters have it */
	o->home = h;
	o->customer = customer;
	o->token = s->token;
	o->dropped = 1;
	o->id_len = (uint16_t)id.n;
	memcpy(o->id, id.p, id.n);
	timer_init(&o->timer, fired);
	if (map_add(&h->overflows, &o->node, hash_of(customer, id))) {
		mem_free(o);
		return;
	}
	timer_set(h->loop, &o->timer, 0); /* not in the middle of a message */
}

void overflows_free(struct home *h)
{
	map_each(n, &h->overflows)
		overflow_free(container_of(n, struct overflow, node));
	map_free(&h->overflows);
}

/* follow.c - handing log records from the bus to those who follow them (follow.h). */
#include "base/base.h"
#include "admin/follow.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "wire/space.h"

enum {
	WAITING_MAX = 20000,
	WAITING_BYTES = 32 << 20,
	SHARE = 4, /* the part of both that one customer may have */
	RECORD_MAX = 1 << 20,
	KEEP_ALIVE_MS = 15000,
	PLACES = 1024, /* customers with records on their way */
	WAYS = 16,
	/* us: of handing on, or asking who still may, at a time; others are served in between */
	TURN = 1000,
	ABOVE = 16, /* a customer and those above it: more than there are levels */
	LOOK_FOR_ROOM = 64,
};

/* What of one customer is on its way. The bus thread gives the place away, when nothing of the one
 * that had it waits or is to be told; the service thread only counts down. */
struct place {
	uint64_t cid; /* bus thread */
	atomic_uint_fast64_t
	    lost_cid; /* whose `lost` is; written before that becomes more than 0 */
	atomic_size_t waiting, bytes;
	atomic_uint_fast64_t lost;
};

/* A record on its way from the bus thread; topic and payload follow the struct. */
struct waiting {
	struct waiting *next;
	struct place *place;
	size_t topic_size, payload_size;
	char bytes[];
};

struct follower {
	struct http_stream stream;
	struct follow *follow;
	struct list node;
	uint64_t token, owner, scope; /* owner: the token's customer */
	struct follow_right right;
	int64_t spoken;  /* monotonic ms of the last bytes sent */
	uint64_t looked; /* follow->ticks when its right was checked */
	/* its place was given to a customer with fewer streams; what waits is still sent */
	bool ended;
};

/* A customer and those above it: a follower of any of these sees its records. */
struct branch {
	uint64_t cid; /* 0: none yet */
	uint64_t above[ABOVE];
	size_t count;
};

struct follow {
	struct rest *rest;
	struct follow_hooks hooks;
	/* Between the threads: the bus thread pushes at the head, the service thread takes all at
	 * once. No lock, and nothing that could be reused while somebody looks at it. */
	_Atomic(struct waiting *) head;
	atomic_size_t waiting, waiting_bytes;
	atomic_uint_fast64_t lost; /* of all customers, for our own log */
	struct place places[PLACES];
	/* service thread */
	struct waiting *pending; /* taken, not yet handed on */
	struct list followers;   /* the one that was looked at last stands last */
	size_t count, ended;
	uint64_t ticks;
	uint64_t lost_told;
};

/* ---- From the bus ---- */
/* NULL: all that it could have are in use. */
static struct place *place_of(struct follow *f, uint64_t cid)
{
	uint64_t hash = hash_mix(cid, 0);
	struct place *empty = NULL;

	for (size_t i = 0; i < WAYS; i++) {
		struct place *p = &f->places[(hash + i) % PLACES];

		if (p->cid == cid)
			return p;
		if (!empty && !atomic_load(&p->waiting) && !atomic_load(&p->lost))
			empty = p;
	}
	if (empty) {
		empty->cid = cid;
		atomic_store(&empty->lost_cid, cid);
	}
	return empty;
}

static bool fits(struct follow *f, struct place *p, size_t n)
{
	return atomic_load(&f->waiting) < WAITING_MAX &&
	       atomic_load(&f->waiting_bytes) + n <= WAITING_BYTES &&
	       atomic_load(&p->waiting) < WAITING_MAX / SHARE &&
	       atomic_load(&p->bytes) + n <= WAITING_BYTES / SHARE;
}

static void count_lost(struct follow *f, struct place *p)
{
	atomic_fetch_add(&f->lost, 1);
	if (p)
		atomic_fetch_add(&p->lost, 1);
}

static void hand_over(struct follow *f, struct waiting *w, size_t n)
{
	atomic_fetch_add(&f->waiting, 1);
	atomic_fetch_add(&f->waiting_bytes, n);
	atomic_fetch_add(&w->place->waiting, 1);
	atomic_fetch_add(&w->place->bytes, n);
	w->next = atomic_load(&f->head);
	while (!atomic_compare_exchange_weak(&f->head, &w->next, w)) {
	}
	f->hooks.wake(f->hooks.arg);
}

void follow_record(struct follow *f, struct str topic, struct str payload)
{
	size_t n = topic.n + payload.n;
	struct waiting *w = NULL;
	struct place *p;
	struct str name;
	uint64_t cid;

	if (!space_of(topic, &cid, &name) || !str_starts(name, STR("flespi/log/")))
		return;
	p = place_of(f, cid);
	if (p && payload.n <= RECORD_MAX && fits(f, p, n))
		w = mem_alloc(sizeof(*w) + n);
	if (!w) {
		count_lost(f, p);
		return;
	}
	w->place = p;
	w->topic_size = topic.n;
	w->payload_size = payload.n;
	memcpy(w->bytes, topic.p, topic.n);
	if (payload.n)
		memcpy(w->bytes + topic.n, payload.p, payload.n);
	hand_over(f, w, n);
}

/* ---- To the followers ---- */
/* Adds what the record has not said itself. */
static int add_new(json_t *o, const char *key, json_t *value) /* takes value */
{
	if (!json_object_get(o, key))
		return json_object_set_new(o, key, value);
	json_decref(value);
	return 0;
}

/* The record with the topic it was published on and its customer, as one event. What the record
 * says itself stays: `topic` of a subscription is its filter. */
static int make_event(struct buf *out, uint64_t cid, struct str name, struct str payload)
{
	char why[80];
	json_t *o;
	int err = json_read(&o, payload, RECORD_MAX, JSON_DEPTH + 4, why, sizeof(why));

	if (err)
		return err;
	if (!json_is_object(o) || add_new(o, "log_topic", json_stringn(name.p, name.n)) ||
	    add_new(o, "cid", json_integer((json_int_t)cid))) {
		json_decref(o);
		return -E_INVALID;
	}
	buf_str_add(out, STR("event: log\ndata: "));
	err = json_write(out, o); /* compact: one line, whatever the strings hold */
	buf_str_add(out, STR("\n\n"));
	json_decref(o);
	return err ? err : buf_ok(out) ? 0 : -E_NOMEM;
}

static void speak(struct follower *to, struct str bytes)
{
	to->spoken = clock_mono_ms();
	(void)http_stream_send(&to->stream, bytes);
}

/* One question to the database for all followers, and for all records in a row of a customer. */
static void branch_of(struct follow *f, uint64_t cid, struct branch *b)
{
	if (b->cid == cid)
		return;
	b->cid = cid;
	b->count = customers_above(f->rest->db, cid, b->above, ABOVE);
}

static bool sees(const struct follower *to, const struct branch *b)
{
	if (to->scope == b->cid)
		return true;
	for (size_t i = 0; i < b->count; i++) {
		if (b->above[i] == to->scope)
			return true;
	}
	return false;
}

static void deliver(struct follow *f, struct waiting *w, struct branch *b)
{
	struct buf event = { 0 };
	struct follower *to;
	struct str name;
	uint64_t cid;
	bool made = false;

	MUST(space_of(str_make(w->bytes, w->topic_size), &cid, &name)); /* follow_record looked */
	branch_of(f, cid, b);
	list_each(to, &f->followers, struct follower, node) {
		if (!str_starts(name, to->right.under) || !sees(to, b))
			continue;
		if (!made && make_event(&event, cid, name,
		                        str_make(w->bytes + w->topic_size, w->payload_size))) {
			count_lost(f, w->place);
			break;
		}
		made = true;
		speak(to, buf_str(&event));
	}
	buf_free(&event);
}

static struct waiting *take_all(struct follow *f)
{
	struct waiting *w = atomic_exchange(&f->head, NULL), *first = NULL;

	while (w) {
		struct waiting *next = w->next;

		w->next = first; /* pushed last, taken first: turned round */
		first = w;
		w = next;
	}
	return first;
}

static void let_go(struct follow *f, struct waiting *w)
{
	size_t n = w->topic_size + w->payload_size;

	atomic_fetch_sub(&f->waiting, 1);
	atomic_fetch_sub(&f->waiting_bytes, n);
	atomic_fetch_sub(&w->place->bytes, n);
	atomic_fetch_sub(&w->place->waiting, 1); /* last: from here on the place may be another's */
	mem_free(w);
}

/* Hands the waiting records to their followers. False: the time is up, and some records are left.
 */
static bool hand_on(struct follow *f, int64_t until)
{
	struct branch b = { 0 };

	for (;;) {
		struct waiting *w;

		if (!f->pending)
			f->pending = take_all(f);
		w = f->pending;
		if (!w)
			return true;
		f->pending = w->next;
		deliver(f, w, &b);
		let_go(f, w);
		if (clock_mono_us() >= until)
			return false;
	}
}

/* ---- The right to follow ---- */
static bool still_may(struct follow *f, const struct follower *w)
{
	struct token_row token;
	const char *why;
	int err = tokens_get(f->rest->tokens, w->owner, w->token, &token);
	bool good;

	if (err == -E_NOTFOUND)
		return false;
	if (err)
		return true; /* the database is busy for a moment: asked again in a second */
	err = rest_judge(f->rest, &token, &why);
	good = err != -E_DENIED && rest_may(f->rest, &token, w->right.uri, "logs", "GET") &&
	       customers_within(f->rest->db, w->owner, w->scope) != -E_NOTFOUND;
	if (good)
		tokens_touch(f->rest->tokens,
		             &token); /* a token that is being used does not run out */
	token_row_free(&token);
	return good;
}

/* Each hears of its own customer and those below, and of nobody else's. */
static void tell_lost(struct follow *f)
{
	uint64_t all = atomic_load(&f->lost);
	struct branch b = { 0 };
	struct follower *to;
	char text[64];

	if (all == f->lost_told)
		return;
	LOG_WARN("", "log-records-lost", "count=%" PRIu64, all - f->lost_told);
	f->lost_told = all;
	for (size_t i = 0; i < PLACES; i++) {
		struct place *p = &f->places[i];
		uint64_t count = atomic_load(&p->lost);

		if (!count)
			continue;
		(void)snprintf(text, sizeof(text), "event: lost\ndata: %" PRIu64 "\n\n", count);
		branch_of(f, atomic_load(&p->lost_cid), &b);
		list_each(to, &f->followers, struct follower, node) {
			if (sees(to, &b))
				speak(to, str_c(text));
		}
		atomic_fetch_sub(&p->lost, count);
	}
}

/* Checks once in a tick whether each follower still has the right to follow. False: the time is up,
 * and some followers are left. */
static bool look(struct follow *f, int64_t until)
{
	int64_t now = clock_mono_ms();
	struct follower *w;

	while ((w = list_first(&f->followers, struct follower, node)) && w->looked != f->ticks) {
		w->looked = f->ticks;
		list_del(&w->node);
		list_add_tail(&f->followers, &w->node);
		if (!still_may(f, w))
			http_stream_end(&w->stream);
		else if (now - w->spoken >= KEEP_ALIVE_MS)
			speak(w, STR(": still here\n\n"));
		if (clock_mono_us() >= until)
			return false;
	}
	return true;
}

/* What is left comes after others had their turn. */
void follow_drain(struct follow *f)
{
	int64_t until = clock_mono_us() + TURN;

	if (!look(f, until) || !hand_on(f, until))
		f->hooks.wake(f->hooks.arg);
}

void follow_tick(struct follow *f)
{
	tell_lost(f);
	f->ticks++;
	if (!look(f, clock_mono_us() + TURN))
		f->hooks.wake(f->hooks.arg);
}

static void on_closed(struct http_stream *s)
{
	struct follower *w = container_of(s, struct follower, stream);
	struct follow *f = w->follow;

	f->ended -= w->ended;
	list_del(&w->node);
	mem_free(w);
	if (--f->count == 0)
		f->hooks.wanted(f->hooks.arg, false);
}

static size_t count_of(const struct follow *f, uint64_t customer)
{
	struct follower *w;
	size_t n = 0;

	list_each(w, &f->followers, struct follower, node)
		n += w->owner == customer && !w->ended;
	return n;
}

/* As many as there may be follow already: a stream of a customer that would still have no less ends
 * for one of a customer with `mine`. */
static bool make_room(struct follow *f, size_t mine)
{
	struct follower *w, *most = NULL;
	size_t looked = 0, had = mine + 1;

	list_each(w, &f->followers, struct follower, node) {
		size_t n = w->ended ? 0 : count_of(f, w->owner);

		if (n > had) {
			most = w;
			had = n;
		}
		if (++looked == LOOK_FOR_ROOM)
			break;
	}
	if (!most)
		return false;
	most->ended = true;
	f->ended++;
	http_stream_end(&most->stream);
	return true;
}

static bool has_room(struct follow *f, uint64_t customer)
{
	const struct admin_config *config = f->rest->config;
	size_t mine = count_of(f, customer), most = (size_t)config->followers_max;

	if (mine >= (size_t)config->followers_per_customer)
		return false;
	return f->count - f->ended < most || (f->ended < most && make_room(f, mine));
}

int follow_add(struct follow *f, const struct token_row *token, uint64_t scope,
               const struct follow_right *right, struct http_stream **out)
{
	struct follower *w;

	if (!has_room(f, token->cid))
		return -E_LIMIT;
	w = mem_zalloc(sizeof(*w));
	if (!w)
		return -E_NOMEM;
	w->stream.closed = on_closed;
	w->follow = f;
	w->token = token->id;
	w->owner = token->cid;
	w->scope = scope;
	w->right = *right;
	w->spoken = clock_mono_ms();
	w->looked = f->ticks;
	list_add_tail(&f->followers, &w->node);
	if (f->count++ == 0)
		f->hooks.wanted(f->hooks.arg, true);
	*out = &w->stream;
	return 0;
}

/* ---- Life ---- */
int follow_open(struct follow **out, struct rest *r, const struct follow_hooks *hooks)
{
	struct follow *f = mem_zalloc(sizeof(*f));

	if (!f)
		return -E_NOMEM;
	f->rest = r;
	f->hooks = *hooks;
	list_init(&f->followers);
	*out = f;
	return 0;
}

static void drop_all(struct waiting *w)
{
	while (w) {
		struct waiting *next = w->next;

		mem_free(w);
		w = next;
	}
}

void follow_close(struct follow **slot)
{
	struct follow *f = *slot;

	*slot = NULL;
	if (!f)
		return;
	MUST(f->count == 0);
	drop_all(f->pending);
	drop_all(take_all(f));
	mem_free(f);
}

/* follow.c - handing log records from the bus to those who follow them (follow.h). */
#include "base/base.h"
#include "admin/follow.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "wire/space.h"

enum { WAITING_MAX = 20000, WAITING_BYTES = 32 << 20, RECORD_MAX = 1 << 20, KEEP_ALIVE_MS = 15000 };

/* A record on its way from the bus thread; topic and payload follow the struct. */
struct waiting {
	struct waiting *next;
	size_t topic_size, payload_size;
	char bytes[];
};

struct follower {
	struct http_stream stream;
	struct follow *follow;
	struct list node;
	uint64_t token, owner, scope; /* owner: the token's customer */
	struct follow_right right;
	int64_t spoken; /* monotonic ms of the last bytes sent */
};

struct follow {
	struct rest *rest;
	struct follow_hooks hooks;
	/* Between the threads: the bus thread pushes at the head, the service thread takes all at
	 * once. No lock, and nothing that could be reused while somebody looks at it. */
	_Atomic(struct waiting *) head;
	atomic_size_t waiting, waiting_bytes;
	atomic_uint_fast64_t lost;
	/* service thread */
	struct list followers;
	size_t count;
	uint64_t lost_told;
};

/* ---- From the bus ---- */
void follow_record(struct follow *f, struct str topic, struct str payload)
{
	size_t n = topic.n + payload.n;
	struct waiting *w = NULL;

	if (payload.n <= RECORD_MAX && atomic_load(&f->waiting) < WAITING_MAX &&
	    atomic_load(&f->waiting_bytes) + n <= WAITING_BYTES)
		w = mem_alloc(sizeof(*w) + n);
	if (!w) {
		atomic_fetch_add(&f->lost, 1);
		return;
	}
	w->topic_size = topic.n;
	w->payload_size = payload.n;
	memcpy(w->bytes, topic.p, topic.n);
	if (payload.n)
		memcpy(w->bytes + topic.n, payload.p, payload.n);
	atomic_fetch_add(&f->waiting, 1);
	atomic_fetch_add(&f->waiting_bytes, n);
	w->next = atomic_load(&f->head);
	while (!atomic_compare_exchange_weak(&f->head, &w->next, w)) {
	}
	f->hooks.wake(f->hooks.arg);
}

/* ---- To the followers ---- */
/* The record with its topic and customer, as one event; empty when it is not an object. */
static int make_event(struct buf *out, uint64_t cid, struct str name, struct str payload)
{
	char why[80];
	json_t *o;
	int err = json_read(&o, payload, RECORD_MAX, JSON_DEPTH + 4, why, sizeof(why));

	if (err)
		return err;
	if (!json_is_object(o) || json_object_set_new(o, "topic", json_stringn(name.p, name.n)) ||
	    json_object_set_new(o, "cid", json_integer((json_int_t)cid))) {
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

static void deliver(struct follow *f, struct str topic, struct str payload)
{
	struct buf event = { 0 };
	struct follower *to;
	struct str name;
	uint64_t cid;

	if (!space_of(topic, &cid, &name) || !str_starts(name, STR("flespi/log/")))
		return;
	if (make_event(&event, cid, name, payload)) {
		buf_free(&event);
		atomic_fetch_add(&f->lost, 1);
		return;
	}
	list_each(to, &f->followers, struct follower, node) {
		if (str_starts(name, to->right.under) &&
		    customers_within(f->rest->db, to->scope, cid) == 0)
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

void follow_drain(struct follow *f)
{
	struct waiting *w = take_all(f);

	while (w) {
		struct waiting *next = w->next;

		deliver(f, str_make(w->bytes, w->topic_size),
		        str_make(w->bytes + w->topic_size, w->payload_size));
		atomic_fetch_sub(&f->waiting, 1);
		atomic_fetch_sub(&f->waiting_bytes, w->topic_size + w->payload_size);
		mem_free(w);
		w = next;
	}
}

/* ---- Who follows ---- */
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
	good = err != -E_DENIED && rest_may(&token, w->right.uri, "logs", "GET") &&
	       customers_within(f->rest->db, w->owner, w->scope) != -E_NOTFOUND;
	if (good)
		tokens_touch(f->rest->tokens,
		             &token); /* a token that is being used does not run out */
	token_row_free(&token);
	return good;
}

static void tell_lost(struct follow *f)
{
	uint64_t lost = atomic_load(&f->lost);
	struct follower *to;
	char text[64];

	if (lost == f->lost_told)
		return;
	(void)snprintf(text, sizeof(text), "event: lost\ndata: %" PRIu64 "\n\n",
	               lost - f->lost_told);
	LOG_WARN("", "log-records-lost", "count=%" PRIu64, lost - f->lost_told);
	f->lost_told = lost;
	list_each(to, &f->followers, struct follower, node)
		speak(to, str_c(text));
}

void follow_tick(struct follow *f)
{
	struct follower *w;
	int64_t now = clock_mono_ms();

	tell_lost(f);
	list_each(w, &f->followers, struct follower, node) {
		if (!still_may(f, w))
			http_stream_end(&w->stream);
		else if (now - w->spoken >= KEEP_ALIVE_MS)
			speak(w, STR(": still here\n\n"));
	}
}

static void on_closed(struct http_stream *s)
{
	struct follower *w = container_of(s, struct follower, stream);
	struct follow *f = w->follow;

	list_del(&w->node);
	mem_free(w);
	if (--f->count == 0)
		f->hooks.wanted(f->hooks.arg, false);
}

static bool has_room(struct follow *f, uint64_t customer)
{
	const struct admin_config *config = f->rest->config;
	struct follower *w;
	int64_t same = 0;

	if (f->count >= (size_t)config->followers_max)
		return false;
	list_each(w, &f->followers, struct follower, node)
		same += w->owner == customer;
	return same < config->followers_per_customer;
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

void follow_close(struct follow **slot)
{
	struct follow *f = *slot;
	struct waiting *w;

	*slot = NULL;
	if (!f)
		return;
	MUST(f->count == 0);
	w = take_all(f);
	while (w) {
		struct waiting *next = w->next;

		mem_free(w);
		w = next;
	}
	mem_free(f);
}

/* events.c - log records and pushes (events.h). */
#include "base/base.h"
#include "admin/events.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"

enum { APP_MAX = 64, ORIGIN_CUSTOMER = 1, ORIGIN_SUBACCOUNTS = 5, ORIGIN_TOKENS = 33 };

static const struct {
	const char *word, *text;
	int code;
} kinds[] = {
	[EVENT_CREATED] = { "created", "created", 1 },
	[EVENT_UPDATED] = { "updated", "updated", 2 },
	[EVENT_DELETED] = { "deleted", "deleted", 3 },
	[EVENT_EXPIRED] = { "deleted", "expired and deleted", 600 },
};

struct origin {
	const char *word;
	int type;
	uint64_t cid, id; /* whose log, which item */
};

/* Packed as le32 length, topic, le32 length, payload. */
static void pack(struct events *e, struct str topic, struct str payload)
{
	size_t before = buf_len(&e->packed);

	buf_le32(&e->packed, (uint32_t)topic.n);
	buf_str_add(&e->packed, topic);
	buf_le32(&e->packed, (uint32_t)payload.n);
	buf_str_add(&e->packed, payload);
	if (buf_ok(&e->packed)) {
		e->count++;
		return;
	}
	buf_cut(&e->packed, before);
	e->lost = true;
}

static bool is_printable(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < 0x20 || s.p[i] > 0x7e)
			return false;
	}
	return s.n > 0 && s.n <= APP_MAX;
}

static json_t *json_text(struct str s)
{
	return json_stringn(s.n ? s.p : "", s.n);
}

/* The few fields by which a person knows the item. */
static json_t *item_data(const json_t *item)
{
	static const char *const names[] = { "id", "cid", "info", "name" };
	json_t *o = json_object();

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		json_t *v = json_object_get(item, names[i]);

		if (v)
			(void)json_object_set(o, names[i], v);
	}
	return o;
}

static json_t *record(const struct origin *at, enum event_kind kind, const json_t *old,
                      const json_t *fresh, const struct event_who *who)
{
	char path[96], text[128];
	json_t *o = json_object();
	int bad = 0;

	(void)snprintf(path, sizeof(path), "platform/%s/%" PRIu64, at->word, at->id);
	(void)snprintf(text, sizeof(text), "%s %s", path, kinds[kind].text);
	bad |= json_object_set_new(o, "timestamp", json_real((double)clock_wall_ms() / 1000));
	bad |= json_object_set_new(o, "event_code", json_integer(kinds[kind].code));
	bad |= json_object_set_new(o, "event_origin", json_string(path));
	bad |= json_object_set_new(o, "event_text", json_string(text));
	bad |= json_object_set_new(o, "origin_type", json_integer(at->type));
	bad |= json_object_set_new(o, "origin_id", json_integer((json_int_t)at->id));
	bad |= json_object_set_new(o, "item_data", item_data(fresh ? fresh : old));
	if (fresh)
		bad |= json_object_set(o, "new", (json_t *)(uintptr_t)fresh);
	if (old)
		bad |= json_object_set(o, "old", (json_t *)(uintptr_t)old);
	if (who->token)
		bad |= json_object_set_new(o, "token_id", json_integer((json_int_t)who->token));
	if (who->host.n)
		bad |= json_object_set_new(o, "host", json_text(who->host));
	if (is_printable(who->app))
		bad |= json_object_set_new(o, "app", json_text(who->app));
	if (!bad)
		return o;
	json_decref(o);
	return NULL;
}

static void add_record(struct events *e, const struct origin *at, enum event_kind kind,
                       const json_t *old, const json_t *fresh, const struct event_who *who)
{
	char topic[160];
	struct buf text = { 0 };
	json_t *o = record(at, kind, old, fresh, who);
	int n = snprintf(topic, sizeof(topic),
	                 "customer/%" PRIu64 "/flespi/log/platform/%s/%" PRIu64 "/%s", at->cid,
	                 at->word, at->id, kinds[kind].word);

	MUST(n > 0 && (size_t)n < sizeof(topic)); /* numbers, and words of ours */
	if (o && !json_write(&text, o))
		pack(e, str_make(topic, (size_t)n), buf_str(&text));
	else
		e->lost = true;
	buf_free(&text);
	json_decref(o);
}

static uint64_t number_of(const json_t *item, const char *name)
{
	return (uint64_t)json_integer_value(json_object_get(item, name));
}

void events_token(struct events *e, enum event_kind kind, const json_t *old, const json_t *fresh,
                  const struct event_who *who)
{
	const json_t *item = fresh ? fresh : old;
	struct origin at = { "tokens", ORIGIN_TOKENS, number_of(item, "cid"),
		             number_of(item, "id") };

	add_record(e, &at, kind, old, fresh, who);
}

void events_subaccount(struct events *e, enum event_kind kind, const json_t *old,
                       const json_t *fresh, const struct event_who *who)
{
	const json_t *item = fresh ? fresh : old;
	struct origin at = { "subaccounts", ORIGIN_SUBACCOUNTS, number_of(item, "cid"),
		             number_of(item, "id") };

	add_record(e, &at, kind, old, fresh, who);
}

void events_customer(struct events *e, const json_t *old, const json_t *fresh,
                     const struct event_who *who)
{
	struct origin at = { "customer", ORIGIN_CUSTOMER, number_of(fresh, "id"),
		             number_of(fresh, "id") };

	add_record(e, &at, EVENT_UPDATED, old, fresh, who);
}

/* ---- Pushes ---- */
void events_push_token(struct events *e, uint64_t cid, uint64_t id, const json_t *object)
{
	char topic[96];
	struct buf text = { 0 };
	int n = snprintf(topic, sizeof(topic), "mbus/token/%" PRIu64 "/%" PRIu64, cid, id);

	if (!object)
		buf_printf(&text, "{\"id\":%" PRIu64 ",\"cid\":%" PRIu64 ",\"deleted\":true}", id,
		           cid);
	if ((object && json_write(&text, object)) || !buf_ok(&text))
		e->lost = true;
	else
		pack(e, str_make(topic, (size_t)n), buf_str(&text));
	buf_free(&text);
}

void events_push_customer(struct events *e, uint64_t cid, enum customer_is is)
{
	static const char *const words[] = {
		[CUSTOMER_OPEN] = "\"blocked\":false",
		[CUSTOMER_BLOCKED] = "\"blocked\":true",
		[CUSTOMER_DELETED] = "\"deleted\":true",
	};
	/* Each change is another text: proxies hear it once per worker, and take the same text
	 * within a moment for the same change. Service thread. */
	static uint64_t changes;
	char topic[64], payload[128];
	int n = snprintf(topic, sizeof(topic), "mbus/customer/%" PRIu64, cid);
	int m = snprintf(payload, sizeof(payload),
	                 "{\"cid\":%" PRIu64 ",\"at\":%" PRId64 ",\"change\":%" PRIu64 ",%s}", cid,
	                 clock_wall_ms(), ++changes, words[is]);

	pack(e, str_make(topic, (size_t)n), str_make(payload, (size_t)m));
}

/* ---- Sending ---- */
size_t events_size(const struct events *e)
{
	return buf_len(&e->packed);
}

static bool next_part(struct take *t, struct str *out)
{
	uint32_t n;

	return take_le32(t, &n) && take_bytes(t, n, out);
}

void events_send(struct events *e, const struct outlet *to)
{
	struct take t = take_from(buf_data(&e->packed), buf_len(&e->packed));
	struct str topic, payload;

	while (to->publish && next_part(&t, &topic) && next_part(&t, &payload))
		to->publish(to->arg, topic, payload);
	if (e->lost && to->publish)
		to->publish(to->arg, STR("mbus/all"), STR("{}"));
	events_free(e);
}

void events_free(struct events *e)
{
	buf_free(&e->packed);
	memset(e, 0, sizeof(*e));
}

/* acl.c - asking a compiled ACL (acl.h). Nothing is written here but the reference counter, so any
 * number of threads may ask.
 *
 * Publishing and receiving are each one set of filters, whatever the type of the token: what a
 * master or standard token may is a set like any other, so there is one rule and no exception to
 * forget. */
#include "base/base.h"
#include "acl/acl.h"

#include <stdatomic.h>
#include <stdio.h>

#include "acl/acl_parts.h"
#include "base/mem.h"
#include "wire/mqtt.h"

struct acl *acl_get(struct acl *a)
{
	unsigned before = atomic_fetch_add_explicit(&a->refs, 1, memory_order_relaxed);

	MUST(before > 0 && before < UINT32_MAX);
	return a;
}

void acl_put(struct acl **slot)
{
	struct acl *a = *slot;

	*slot = NULL;
	if (a && atomic_fetch_sub_explicit(&a->refs, 1, memory_order_acq_rel) == 1)
		acl_free(a);
}

void acl_free(struct acl *a)
{
	if (!a)
		return;
	acl_set_free(&a->publish);
	acl_set_free(&a->receive);
	buf_free(&a->source);
	mem_free(a->texts);
	mem_free(a);
}

enum acl_type acl_type(const struct acl *a)
{
	return a->type;
}

struct str acl_source(const struct acl *a)
{
	return buf_str(&a->source);
}

uint64_t acl_stamp(const struct acl *a)
{
	return a->stamp;
}

bool acl_same(const struct acl *a, const struct acl *b)
{
	return a == b ||
	       (acl_set_same(&a->publish, &b->publish) && acl_set_same(&a->receive, &b->receive));
}

/* ---- May it? ---- */

bool acl_is_reserved(struct str topic)
{
	return topic.n == 0 || topic.p[0] == '$' || topic_is_system(topic);
}

/* A name has no wildcard that the mark could be about; true keeps the platform's tree open to those
 * who were granted it. */
static int grant_for(const struct acl_set *s, struct str topic)
{
	return topic.n ? acl_set_find(s, (struct filter){ topic, true }) : -1;
}

bool acl_may_publish(const struct acl *a, struct str topic)
{
	return !acl_is_reserved(topic) && grant_for(&a->publish, topic) >= 0;
}

bool acl_may_receive(const struct acl *a, struct str topic)
{
	return grant_for(&a->receive, topic) >= 0;
}

/* ---- The permitted part of a filter ---- */

struct meets { /* where the client's filter meets the grants */
	struct filter f;
	struct buf items; /* struct acl_item; their texts are lengths, while `texts` grows */
	struct buf texts;
	int err;
	bool any; /* acl_meets() asks no more */
};

static unsigned met(const struct meets *m)
{
	return (unsigned)(buf_len(&m->items) / sizeof(struct acl_item));
}

static bool meet_grant(void *arg, const struct acl_item *grant)
{
	struct meets *m = arg;
	size_t room = m->f.text.n + grant->f.text.n + 1;
	uint8_t *p = buf_reserve(&m->texts, room);
	struct acl_item item = { .entry = grant->entry };

	m->err = p ? 0 : -E_NOMEM;
	if (m->err || !filter_intersect(m->f, grant->f, (char *)p, room, &item.f))
		return !m->err;
	item.f.text.p = NULL; /* the memory may move; found again by found_texts() */
	buf_commit(&m->texts, item.f.text.n);
	buf_bytes(&m->items, &item, sizeof(item));
	if (!buf_ok(&m->items))
		m->err = -E_NOMEM;
	else if (buf_len(&m->texts) > ACL_RESULT_BYTES || met(m) > ACL_MEETS_MAX)
		m->err = -E_LIMIT;
	return !m->err;
}

static struct acl_item *found_texts(struct meets *m)
{
	struct acl_item *items = (struct acl_item *)(void *)(m->items.p + m->items.head);
	const char *p = (const char *)buf_data(&m->texts);

	for (unsigned i = 0; i < met(m); i++) {
		items[i].f.text.p = p;
		p += items[i].f.text.n;
	}
	return items;
}

static int emit_set(const struct acl_set *s, void (*emit)(void *arg, struct filter f), void *arg)
{
	for (unsigned i = 0; i < s->count; i++)
		emit(arg, s->items[i].f);
	return (int)s->count;
}

int acl_intersect(const struct acl *a, struct str filter, void (*emit)(void *arg, struct filter f),
                  void *arg)
{
	struct filter f = { filter, true }; /* all that a client writes is marked (topic.h) */
	struct acl_set result = { 0 };
	struct meets m = { .f = f };
	size_t looked = 0;
	int n;

	if (filter.n == 0 || a->receive.count == 0)
		return 0;
	if (acl_set_find(&a->receive, f) >= 0) {
		emit(arg, f);
		return 1;
	}
	n = acl_set_meet(&a->receive, filter, meet_grant, &m, &looked) ? 0 : m.err;
	if (n == 0 && met(&m) > 0) {
		n = acl_set_make(&result, found_texts(&m), met(&m));
		if (n == 0)
			n = result.count > ACL_RESULT_MAX ? -E_LIMIT : emit_set(&result, emit, arg);
	}
	acl_set_free(&result);
	buf_free(&m.items);
	buf_free(&m.texts);
	return n;
}

static bool meet_one(void *arg, const struct acl_item *grant)
{
	struct meets *m = arg;
	size_t room = m->f.text.n + grant->f.text.n + 1;
	struct filter both;
	uint8_t *p = buf_reserve(&m->texts, room);

	m->err = p ? 0 : -E_NOMEM;
	if (!m->err && filter_intersect(m->f, grant->f, (char *)p, room, &both))
		m->any = true;
	return !m->err && !m->any;
}

bool acl_meets(const struct acl *a, struct str filter, size_t *looked)
{
	struct meets m = { .f = { filter, true } };

	if (filter.n == 0 || a->receive.count == 0)
		return false;
	(void)acl_set_meet(&a->receive, filter, meet_one, &m, looked);
	buf_free(&m.texts);
	return m.any;
}

int acl_publishable(const struct acl *a, void (*emit)(void *arg, struct filter f), void *arg)
{
	return emit_set(&a->publish, emit, arg);
}

/* ---- For people ---- */

const char *acl_quote(char room[ACL_QUOTE], struct str word)
{
	const size_t most = ACL_QUOTE - 8;
	size_t n = size_min(word.n, most);
	bool utf8 = mqtt_name_ok(word);

	while (n < word.n && n > 0 && ((unsigned char)word.p[n] & 0xc0) == 0x80)
		n--; /* not in the middle of a character */
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)word.p[i];
		bool plain = c < 0x80 ? c >= ' ' && c != '"' && c != '\\' && c != 0x7f : utf8;

		room[i] = plain ? (char)c : '?';
	}
	memcpy(room + n, n < word.n ? "..." : "", n < word.n ? 4 : 1);
	return room;
}

void acl_explain(const struct acl *a, bool publish, struct str topic, char *out, size_t size)
{
	const struct acl_set *s = publish ? &a->publish : &a->receive;
	const char *verb = publish ? "publish" : "receive";
	char name[ACL_QUOTE], grant[ACL_QUOTE];
	int found = grant_for(s, topic);

	acl_quote(name, topic);
	if (publish && acl_is_reserved(topic))
		(void)snprintf(out, size, "%s %s: reserved name", verb, name);
	else if (found < 0)
		(void)snprintf(out, size, "%s %s: no grant", verb, name);
	else if (a->type != ACL_LISTED)
		(void)snprintf(out, size, "%s %s: %s token", verb, name,
		               a->type == ACL_MASTER ? "master" : "standard");
	else
		(void)snprintf(out, size, "%s %s: grant %u (%s)", verb, name, s->items[found].entry,
		               acl_quote(grant, s->items[found].f.text));
}

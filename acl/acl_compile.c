/* acl_compile.c - from a token's `access` object to the sets of acl_parts.h.
 *
 * Strict, because what is misread here is a hole or a locked door later: every key must be known,
 * every value of its type, every combination meaningful. The first thing that is not ends the work
 * with one line that says where (attack C14). */
#include "base/base.h"
#include "acl/acl.h"

#include <stdatomic.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "acl/acl_parts.h"
#include "base/mem.h"

enum action { PUBLISH = 1, SUBSCRIBE = 2 };
enum ids { IDS_ALL, IDS_SOME };

struct entry { /* one element of `acl`, read but not yet judged as a whole */
	int uri;
	bool has_topic;
	struct str topic;
	unsigned actions;
	enum ids ids;
	uint8_t rights[1 + ACL_SUBMODULES]; /* method bits; [0] of the item itself */
};

struct compile {
	struct acl *acl;
	bool rest_only;              /* no grants are kept */
	struct buf publish, receive; /* struct acl_item: grants found so far */
	size_t texts;                /* used of acl->texts */
	unsigned index;              /* of the entry at hand */
	char *why;
	size_t why_size;
};

/* ---- Complaints ---- */

static int complain(const struct compile *c, const char *key, const char *format, ...)
    PRINTF_LIKE(3, 4);

/* key: "" for the entry as a whole, ".topic" for a key of it. */
static int complain(const struct compile *c, const char *key, const char *format, ...)
{
	va_list args;
	int n = snprintf(c->why, c->why_size, "acl[%u]%s: ", c->index, key);

	if (n < 0 || (size_t)n >= c->why_size)
		return -E_INVALID;
	va_start(args, format);
	(void)vsnprintf(c->why + n, c->why_size - (size_t)n, format, args);
	va_end(args);
	return -E_INVALID;
}

static int say(char *why, size_t why_size, const char *text)
{
	(void)snprintf(why, why_size, "%s", text);
	return -E_INVALID;
}

static struct str text_of(const json_t *string)
{
	return str_make(json_string_value(string), json_string_length(string));
}

/* ---- The keys of an entry ---- */

static int read_uri(const struct compile *c, const json_t *value, struct entry *e)
{
	char quoted[ACL_QUOTE];

	if (!json_is_string(value))
		return complain(c, ".uri", "must be a string");
	e->uri = acl_uri_of(text_of(value));
	if (e->uri < 0)
		return complain(c, ".uri", "\"%s\" is not known",
		                acl_quote(quoted, text_of(value)));
	return 0;
}

static int read_method_bits(const struct compile *c, const json_t *value, const char *key,
                            uint8_t *bits)
{
	char quoted[ACL_QUOTE];

	if (!json_is_array(value))
		return complain(c, key, "must be a list of methods");
	for (size_t i = 0; i < json_array_size(value); i++) {
		const json_t *word = json_array_get(value, i);
		int method;

		if (!json_is_string(word))
			return complain(c, key, "must be a list of methods");
		method = acl_method_of(text_of(word));
		if (method < 0)
			return complain(c, key, "\"%s\" is no method",
			                acl_quote(quoted, text_of(word)));
		*bits |= (uint8_t)(1u << method);
	}
	return 0;
}

static int read_methods(const struct compile *c, const json_t *value, struct entry *e)
{
	return read_method_bits(c, value, ".methods", &e->rights[0]);
}

static int read_submodule(const struct compile *c, const json_t *value, struct entry *e)
{
	const json_t *name = json_object_get(value, "name"),
		     *methods = json_object_get(value, "methods");
	char quoted[ACL_QUOTE];
	int submodule;

	if (!json_is_object(value) || json_object_size(value) != 2 || !json_is_string(name) ||
	    !methods)
		return complain(c, ".submodules", "each must be {\"name\":..,\"methods\":[..]}");
	submodule = acl_submodule_of(text_of(name));
	if (submodule < 0)
		return complain(c, ".submodules", "\"%s\" is not known",
		                acl_quote(quoted, text_of(name)));
	return read_method_bits(c, methods, ".submodules", &e->rights[1 + submodule]);
}

static int read_submodules(const struct compile *c, const json_t *value, struct entry *e)
{
	if (!json_is_array(value))
		return complain(c, ".submodules", "must be a list");
	for (size_t i = 0; i < json_array_size(value); i++) {
		int err = read_submodule(c, json_array_get(value, i), e);

		if (err)
			return err;
	}
	return 0;
}

static int read_ids(const struct compile *c, const json_t *value, struct entry *e)
{
	const char *form = "must be \"all\", \"in-groups\" or a list of ids";

	if (json_is_string(value)) {
		if (str_eq(text_of(value), STR("all")))
			return 0;
		if (!str_eq(text_of(value), STR("in-groups")))
			return complain(c, ".ids", "%s", form);
		e->ids = IDS_SOME;
		return 0;
	}
	if (!json_is_array(value))
		return complain(c, ".ids", "%s", form);
	e->ids = IDS_SOME;
	for (size_t i = 0; i < json_array_size(value); i++) {
		const json_t *id = json_array_get(value, i);

		if (!json_is_integer(id) || json_integer_value(id) < 1)
			return complain(c, ".ids", "%s", form);
	}
	return 0;
}

static int read_topic(const struct compile *c, const json_t *value, struct entry *e)
{
	char quoted[ACL_QUOTE];
	struct levels l;
	struct str first;

	if (!json_is_string(value))
		return complain(c, ".topic", "must be a string");
	e->topic = text_of(value);
	e->has_topic = true;
	acl_quote(quoted, e->topic);
	if (!topic_filter_ok(e->topic))
		return complain(c, ".topic", "\"%s\" is not a topic filter", quoted);
	if (topic_is_system(e->topic))
		return complain(c, ".topic", "\"%s\" is reserved, no grant may name it", quoted);
	l = levels_of(e->topic);
	if (levels_next(&l, &first) && str_eq(first, STR("$share")))
		return complain(c, ".topic",
		                "\"%s\": a grant names the filter alone, without $share", quoted);
	return 0;
}

static int read_actions(const struct compile *c, const json_t *value, struct entry *e)
{
	const char *form = "must be a list of \"publish\" and \"subscribe\"";

	if (!json_is_array(value) || json_array_size(value) == 0)
		return complain(c, ".actions", "%s", form);
	for (size_t i = 0; i < json_array_size(value); i++) {
		const json_t *word = json_array_get(value, i);

		if (json_is_string(word) && str_eq(text_of(word), STR("publish")))
			e->actions |= PUBLISH;
		else if (json_is_string(word) && str_eq(text_of(word), STR("subscribe")))
			e->actions |= SUBSCRIBE;
		else
			return complain(c, ".actions", "%s", form);
	}
	return 0;
}

static const struct entry_key {
	const char *name;
	int (*read)(const struct compile *c, const json_t *value, struct entry *e);
} entry_keys[] = {
	{ "uri", read_uri },     { "methods", read_methods },
	{ "ids", read_ids },     { "submodules", read_submodules },
	{ "topic", read_topic }, { "actions", read_actions },
};

static int read_key(const struct compile *c, const char *name, const json_t *value, struct entry *e)
{
	char quoted[ACL_QUOTE];

	for (size_t i = 0; i < ARRAY_LEN(entry_keys); i++) {
		if (strcmp(name, entry_keys[i].name) == 0)
			return entry_keys[i].read(c, value, e);
	}
	return complain(c, "", "\"%s\" is no key of an entry", acl_quote(quoted, str_c(name)));
}

/* ---- An entry as a whole ---- */

static int judge_entry(const struct compile *c, const struct entry *e)
{
	bool mqtt = e->uri == acl_uri_mqtt;

	if (e->uri < 0)
		return complain(c, ".uri", "is missing");
	if (!mqtt && e->has_topic)
		return complain(c, ".topic", "belongs to uri \"mqtt\" only");
	if (!mqtt && e->actions)
		return complain(c, ".actions", "belongs to uri \"mqtt\" only");
	if (e->has_topic && !e->actions)
		return complain(c, ".actions", "is missing: what may be done to the topic?");
	if (!e->has_topic && e->actions)
		return complain(c, ".topic", "is missing: to what do the actions apply?");
	if (mqtt && e->ids != IDS_ALL)
		return complain(c, ".ids", "can only be \"all\" with uri \"mqtt\"");
	return 0;
}

static int read_entry(const struct compile *c, const json_t *object, struct entry *e)
{
	void *i;
	int err;

	*e = (struct entry){ .uri = -1, .ids = IDS_ALL };
	if (!json_is_object(object))
		return complain(c, "", "must be an object");
	/* jansson's iterators want a json_t that may be written to; nothing is. */
	for (i = json_object_iter((json_t *)object); i;
	     i = json_object_iter_next((json_t *)object, i)) {
		err = read_key(c, json_object_iter_key(i), json_object_iter_value(i), e);
		if (err)
			return err;
	}
	return judge_entry(c, e);
}

/* ---- Grants ---- */

static void grant(struct buf *items, struct str text, bool system, unsigned entry)
{
	const struct acl_item item = { { text, system }, entry };

	buf_bytes(items, &item, sizeof(item));
}

static void apply_entry(struct compile *c, const struct entry *e)
{
	struct str topic;

	/* Fewer items than all of them cannot be told here: no right at all. */
	if (e->ids == IDS_ALL) {
		for (size_t i = 0; i < ARRAY_LEN(e->rights); i++)
			c->acl->rest[e->uri][i] |= e->rights[i];
	}
	if (c->rest_only)
		return;
	topic = str_make(c->acl->texts + c->texts, e->topic.n);
	if (e->has_topic) {
		/* A grant of a token opens no system tree; without a wildcard the mark says
		 * nothing. */
		bool system = e->topic.p[0] != '+' && e->topic.p[0] != '#';

		memcpy(c->acl->texts + c->texts, e->topic.p, e->topic.n);
		c->texts += e->topic.n;
		if ((e->actions & PUBLISH) && !acl_is_reserved(topic))
			grant(&c->publish, topic, system, c->index);
		if (e->actions & SUBSCRIBE)
			grant(&c->receive, topic, system, c->index);
	}
	/* What REST may read, MQTT may follow (flespi.md 2.2). */
	if (e->uri == acl_uri_mqtt && (e->rights[0] & ACL_GET))
		grant(&c->receive, STR("flespi/state/mqtt/#"), true, c->index);
	if (e->uri == acl_uri_mqtt && (e->rights[1 + acl_submodule_logs] & ACL_GET))
		grant(&c->receive, STR("flespi/log/mqtt/#"), true, c->index);
}

static size_t texts_size(const json_t *list)
{
	size_t n = 0;

	for (size_t i = 0; i < json_array_size(list); i++)
		n += json_string_length(json_object_get(json_array_get(list, i), "topic"));
	return n;
}

static int make_set(struct acl_set *out, const struct buf *found)
{
	if (!buf_ok(found))
		return -E_NOMEM;
	return acl_set_make(out, (const struct acl_item *)(const void *)buf_data(found),
	                    (unsigned)(buf_len(found) / sizeof(struct acl_item)));
}

static int finish(struct compile *c)
{
	int err = make_set(&c->acl->publish, &c->publish);

	if (!err)
		err = make_set(&c->acl->receive, &c->receive);
	if (err)
		(void)say(c->why, c->why_size, "out of memory");
	return err;
}

static int compile_listed(struct compile *c, const json_t *list)
{
	size_t count = json_array_size(list);
	struct entry e;
	int err;

	if (!c->rest_only) {
		c->acl->texts = mem_alloc(texts_size(list));
		if (!c->acl->texts) {
			(void)say(c->why, c->why_size, "out of memory");
			return -E_NOMEM;
		}
	}
	for (size_t i = 0; i < count; i++) {
		c->index = (unsigned)i;
		err = read_entry(c, json_array_get(list, i), &e);
		if (err)
			return err;
		apply_entry(c, &e);
	}
	return finish(c);
}

/* The customer's own tree, all of it; of the platform's tree what belongs to the kind of token.
 * "Everything but" is no set of filters, so the standard token's part is named: every category that
 * has a module, without the module `platform`, and the categories that have none of it. */
static const struct preset {
	unsigned types; /* bit (1 << enum acl_type) */
	struct str text;
	bool system;
} presets[] = {
	{ 1u << ACL_MASTER, STR_INIT("#"), true },
	{ 1u << ACL_STANDARD, STR_INIT("#"), false },
	{ 1u << ACL_STANDARD, STR_INIT("flespi/message/#"), true },
	{ 1u << ACL_STANDARD, STR_INIT("flespi/interval/#"), true },
	{ 1u << ACL_STANDARD, STR_INIT("flespi/state/mqtt/#"), true },
	{ 1u << ACL_STANDARD, STR_INIT("flespi/state/gw/#"), true },
	{ 1u << ACL_STANDARD, STR_INIT("flespi/state/storage/#"), true },
	{ 1u << ACL_STANDARD, STR_INIT("flespi/state/ai/#"), true },
	{ 1u << ACL_STANDARD, STR_INIT("flespi/log/mqtt/#"), true },
	{ 1u << ACL_STANDARD, STR_INIT("flespi/log/gw/#"), true },
	{ 1u << ACL_STANDARD, STR_INIT("flespi/log/storage/#"), true },
	{ 1u << ACL_STANDARD, STR_INIT("flespi/log/ai/#"), true },
};

static int compile_preset(struct compile *c)
{
	grant(&c->publish, STR("#"), false, 0);
	for (size_t i = 0; i < ARRAY_LEN(presets); i++) {
		if (presets[i].types & 1u << c->acl->type)
			grant(&c->receive, presets[i].text, presets[i].system, 0);
	}
	return finish(c);
}

/* ---- The object ---- */

static int read_access(const json_t *access, int64_t *type, const json_t **list, char *why,
                       size_t why_size)
{
	size_t known;

	if (!json_is_object(access))
		return say(why, why_size, "access must be an object");
	*list = json_object_get(access, "acl");
	known = 1 + (*list != NULL);
	if (!json_get_int(access, "type", type) || *type < ACL_STANDARD || *type > ACL_LISTED)
		return say(why, why_size, "access.type must be 0, 1 or 2");
	if (json_object_size(access) != known)
		return say(why, why_size, "access has a key other than type and acl");
	if (*list && !json_is_array(*list))
		return say(why, why_size, "access.acl must be a list");
	if (*list && *type != ACL_LISTED && json_array_size(*list) > 0)
		return say(why, why_size, "access.acl belongs to type 2 only");
	if (json_array_size(*list) > ACL_ENTRIES_MAX)
		return say(why, why_size, "access.acl is too long");
	return 0;
}

/* No text of this object is shorter. */
static size_t source_least(const json_t *access)
{
	const json_t *list = json_object_get(access, "acl");

	return texts_size(list) + json_array_size(list) * strlen("{\"uri\":\"ai\"},");
}

/* Clients are told their own rights in these words (flespi.md 3.4). */
static int keep_source(struct compile *c, const json_t *access)
{
	struct buf *source = &c->acl->source;

	if (source_least(access) > ACL_SOURCE_MAX)
		return 0;
	if (json_write(source, access)) {
		(void)say(c->why, c->why_size, "out of memory");
		return -E_NOMEM;
	}
	if (buf_len(source) > ACL_SOURCE_MAX)
		buf_free(source);
	return 0;
}

/* Any thread may compile. */
static uint64_t next_stamp(void)
{
	static _Atomic uint64_t stamps;

	return atomic_fetch_add_explicit(&stamps, 1, memory_order_relaxed) + 1;
}

static int compile(struct acl **out, const json_t *access, bool rest_only, char *why,
                   size_t why_size)
{
	struct compile c = { .rest_only = rest_only, .why = why, .why_size = why_size };
	const json_t *list = NULL;
	int64_t type = 0;
	int err = read_access(access, &type, &list, why, why_size);

	if (err)
		return err;
	c.acl = mem_zalloc(sizeof(*c.acl));
	if (!c.acl) {
		(void)say(why, why_size, "out of memory");
		return -E_NOMEM;
	}
	c.acl->refs = 1;
	c.acl->stamp = next_stamp();
	c.acl->type = (enum acl_type)type;
	err = type == ACL_LISTED ? compile_listed(&c, list) : compile_preset(&c);
	if (!err && !rest_only)
		err = keep_source(&c, access);
	buf_free(&c.publish);
	buf_free(&c.receive);
	if (err) {
		acl_free(c.acl);
		return err;
	}
	*out = c.acl;
	return 0;
}

int acl_compile(struct acl **out, const json_t *access, char *why, size_t why_size)
{
	return compile(out, access, false, why, why_size);
}

int acl_compile_rest(struct acl **out, const json_t *access, char *why, size_t why_size)
{
	return compile(out, access, true, why, why_size);
}

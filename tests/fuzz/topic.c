/* topic.c - fuzz target: what is a topic name, a filter, a shared name, and which name a filter
 * matches, against the words of MQTT5 4.7 and 4.8.2 spelled out here and in
 * tests/kit/topic_oracle.h.
 *
 * Input: filter, newline, name. Both are also judged as what they are not: a filter as a name, a
 * name as a filter. */
#include "base/base.h"

#include <stdlib.h>

#include "tests/kit/topic_oracle.h"
#include "wire/mqtt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- The oracles. What is text at all is tests/fuzz/utf8.c's to prove ---- */

static unsigned levels_in(struct str s)
{
	unsigned count = 1;

	for (size_t i = 0; i < s.n; i++)
		count += s.p[i] == '/';
	return count;
}

static bool text_fits(struct str s)
{
	return s.n >= 1 && s.n <= TOPIC_BYTES_MAX && mqtt_name_ok(s) &&
	       levels_in(s) <= TOPIC_LEVELS_MAX;
}

static bool oracle_name_ok(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '#' || s.p[i] == '+')
			return false; /* [MQTT-4.7.1-1] */
	}
	return text_fits(s);
}

static bool oracle_filter_ok(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		bool begins = i == 0 || s.p[i - 1] == '/', ends = i + 1 == s.n;

		if (s.p[i] == '#' && !(begins && ends))
			return false; /* [MQTT-4.7.1-1] */
		if (s.p[i] == '+' && !(begins && (ends || s.p[i + 1] == '/')))
			return false; /* [MQTT-4.7.1-2] */
	}
	return text_fits(s);
}

/* "$share/" group "/" filter; 4.8.2 */
static enum share_kind oracle_share(struct str s, struct str *group, struct str *filter)
{
	static const struct str word = { "$share", 6 };
	struct str first = oracle_head(s), rest;

	if (!str_eq(first, word))
		return SHARE_NONE;
	if (!oracle_tail(s, &rest))
		return SHARE_BAD;
	*group = oracle_head(rest);
	if (!oracle_tail(rest, filter) || group->n == 0 || filter->n == 0 || !mqtt_name_ok(*group))
		return SHARE_BAD;
	for (size_t i = 0; i < group->n; i++) {
		if (group->p[i] == '#' || group->p[i] == '+')
			return SHARE_BAD; /* [MQTT-4.8.2-1] */
	}
	return SHARE_OK;
}

/* ---- Claims ---- */

static void judge(struct str s)
{
	struct str group = STR_NONE, filter = STR_NONE, level;
	struct share share;
	enum share_kind kind = oracle_share(s, &group, &filter);
	unsigned count = 0;
	size_t bytes = 0;

	MUST(topic_name_ok(s) == oracle_name_ok(s));
	MUST(topic_filter_ok(s) == oracle_filter_ok(s));
	MUST(topic_levels(s) == levels_in(s));
	MUST(topic_is_system(s) == str_eq(oracle_head(s), STR("flespi")));
	MUST(share_split(s, &share) == kind);
	if (kind == SHARE_OK)
		MUST(str_eq(share.group, group) && str_eq(share.filter, filter));
	if (kind == SHARE_NONE)
		MUST(share.group.n == 0 && str_eq(share.filter, s));
	for (struct levels l = levels_of(s); levels_next(&l, &level); count++)
		bytes += level.n;
	MUST(count == levels_in(s) && bytes + count - 1 == s.n);
}

static void match(struct str filter, struct str name)
{
	if (!topic_filter_ok(filter) || !topic_name_ok(name))
		return;
	for (int system = 0; system < 2; system++) {
		struct filter f = { filter, system };

		MUST(topic_match(f, name) == oracle_match(f, name));
		/* a name is a filter that covers itself, whatever the mark */
		MUST(filter_covers(f, (struct filter){ name, true }) == oracle_match(f, name));
	}
}

static struct str exact(struct str s)
{
	char *copy = malloc(s.n ? s.n : 1);

	MUST(copy);
	if (s.n)
		memcpy(copy, s.p, s.n);
	return str_make(copy, s.n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *end = size ? memchr(data, '\n', size) : NULL;
	struct str filter, name;

	if (!end)
		return 0;
	filter = exact(str_make(data, (size_t)(end - data)));
	name = exact(str_make(end + 1, size - filter.n - 1));
	judge(filter);
	judge(name);
	match(filter, name);
	match(name, name);
	free((void *)(uintptr_t)filter.p);
	free((void *)(uintptr_t)name.p);
	return 0;
}

/* topic_oracle.h - what MQTT5 4.7 and the root rule of wire/topic.h say, in the dumbest way that
 * can be right: recursion over levels, no shortcut, nothing shared with wire/topic.c. Tests and
 * fuzz targets hold the real thing against it.
 *
 * Also a small world to try everything in: all names and all filters over a few levels that matter
 * ("", $x, flespi, ...). Names have one word ("z") that no filter spells, and one level more than
 * filters, so that what is told apart by any names is told apart by these. */
#pragma once
#include <stdio.h>

#include "base/mem.h"
#include "wire/topic.h"

static inline struct str oracle_head(struct str text)
{
	size_t n = 0;

	while (n < text.n && text.p[n] != '/')
		n++;
	return str_make(text.p, n);
}

/* rest: what follows the first level, or NULL bytes when nothing does */
static inline bool oracle_tail(struct str text, struct str *rest)
{
	struct str head = oracle_head(text);

	if (head.n == text.n)
		return false;
	*rest = str_skip(text, head.n + 1);
	return true;
}

static inline bool oracle_levels_match(struct str filter, struct str name)
{
	struct str f = oracle_head(filter), n = oracle_head(name), f_rest, n_rest;
	bool f_more = oracle_tail(filter, &f_rest), n_more = oracle_tail(name, &n_rest);

	if (str_eq(f, STR("#")))
		return true;
	if (!str_eq(f, STR("+")) && !str_eq(f, n))
		return false;
	if (!f_more && !n_more)
		return true;
	if (f_more && !n_more)
		return str_eq(f_rest, STR("#"));
	return f_more && n_more && oracle_levels_match(f_rest, n_rest);
}

static inline bool oracle_match(struct filter f, struct str name)
{
	struct str first = oracle_head(f.text);

	if (str_eq(first, STR("+")) || str_eq(first, STR("#"))) {
		if (name.n > 0 && name.p[0] == '$')
			return false;
		if (str_eq(oracle_head(name), STR("flespi")) && !f.system)
			return false;
	}
	return oracle_levels_match(f.text, name);
}

/* ---- The small world ---- */

struct oracle_list {
	char (*text)[40];
	unsigned count;
};

static const char *const oracle_name_words[] = { "a", "b", "", "$x", "flespi", "z" };
static const char *const oracle_filter_words[] = { "a", "b", "", "$x", "flespi", "+" };
enum { ORACLE_WORDS = 6 };

/* All texts of 1..depth levels; '>' stands before them while they are made, so that "" can be told
 * from nothing. */
static inline struct oracle_list oracle_texts(unsigned depth, const char *const *words, bool hash)
{
	struct oracle_list l = { NULL, 0 };
	unsigned most = 0, from = 0, kept = 0;

	for (unsigned i = 0, power = 1; i < depth; i++, power *= ORACLE_WORDS)
		most += power * (ORACLE_WORDS + 1);
	l.text = mem_array(most, sizeof(l.text[0]));
	MUST(l.text);
	for (unsigned i = 0; i < ORACLE_WORDS; i++)
		(void)snprintf(l.text[l.count++], sizeof(l.text[0]), ">%s", words[i]);
	if (hash)
		(void)snprintf(l.text[l.count++], sizeof(l.text[0]), ">#");
	for (unsigned level = 2; level <= depth; level++) {
		unsigned to = l.count;

		for (; from < to; from++) {
			char before[40];
			size_t n = strlen(l.text[from]);

			memcpy(before, l.text[from], n + 1);
			if (before[n - 1] == '#')
				continue;
			for (unsigned w = 0; w < ORACLE_WORDS; w++)
				(void)snprintf(l.text[l.count++], sizeof(l.text[0]), "%.30s/%s",
				               before, words[w]);
			if (hash)
				(void)snprintf(l.text[l.count++], sizeof(l.text[0]), "%.30s/#",
				               before);
		}
	}
	for (unsigned i = 0; i < l.count; i++) {
		size_t n = strlen(l.text[i]);

		if (n == 1)
			continue; /* the empty text is neither name nor filter */
		memmove(l.text[kept++], l.text[i] + 1, n);
	}
	l.count = kept;
	return l;
}

static inline struct oracle_list oracle_names(unsigned depth)
{
	return oracle_texts(depth, oracle_name_words, false);
}

static inline struct oracle_list oracle_filters(unsigned depth)
{
	return oracle_texts(depth, oracle_filter_words, true);
}

static inline struct str oracle_at(const struct oracle_list *l, unsigned i)
{
	return str_c(l->text[i]);
}

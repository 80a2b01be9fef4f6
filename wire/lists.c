/* lists.c - lists in the levels of a filter (lists.h). Combinations are counted up like the digits
 * of a number, the last level first; nothing is remembered but which word of each level it is. */
#include "base/base.h"
#include "wire/lists.h"

struct words { /* of one level */
	struct str rest;
	bool more;
};

static struct words words_of(struct str level)
{
	return (struct words){ level, true };
}

static bool words_next(struct words *w, struct str *word)
{
	const char *comma;

	if (!w->more)
		return false;
	comma = w->rest.n ? memchr(w->rest.p, ',', w->rest.n) : NULL;
	if (comma) {
		*word = str_make(w->rest.p, (size_t)(comma - w->rest.p));
		w->rest = str_skip(w->rest, word->n + 1);
	} else {
		*word = w->rest;
		w->more = false;
	}
	return true;
}

static bool is_list(struct str level)
{
	return level.n && memchr(level.p, ',', level.n);
}

/* Did the same word stand earlier in this level? */
static bool said_before(struct str level, struct str word)
{
	struct words w = words_of(level);
	struct str other;

	while (words_next(&w, &other) && other.p != word.p) {
		if (str_eq(other, word))
			return true;
	}
	return false;
}

/* Different words of a level; the first LISTS_MOST + 1 are looked at. */
static int level_count(struct str level)
{
	struct words w = words_of(level);
	struct str word;
	int count = 0, seen = 0;

	while (words_next(&w, &word)) {
		if (word.n == 0)
			return -E_INVALID;
		if (++seen > LISTS_MOST)
			return -E_LIMIT;
		count += !said_before(level, word);
	}
	return count;
}

int lists_count(struct str filter)
{
	struct str level;
	int product = 1, n;
	bool over = false;

	for (struct levels l = levels_of(filter); levels_next(&l, &level);) {
		if (!is_list(level))
			continue;
		n = level_count(level);
		if (n == -E_INVALID)
			return n; /* before any limit: it would be wrong with fewer words too */
		over = over || n < 0 || (product *= n) > LISTS_MOST;
		product = over ? LISTS_MOST : product;
	}
	return over ? -E_LIMIT : product;
}

/* The nth different word; false: there are not so many. */
static bool nth_word(struct str level, unsigned nth, struct str *word)
{
	struct words w = words_of(level);

	if (!is_list(level)) {
		*word = level;
		return nth == 0;
	}
	while (words_next(&w, word)) {
		if (!said_before(level, *word) && nth-- == 0)
			return true;
	}
	return false;
}

void lists_begin(struct lists *l, struct str filter)
{
	memset(l, 0, sizeof(*l));
	l->filter = filter;
}

/* The next number; false: all levels were at their last word. */
static bool count_up(struct lists *l)
{
	struct str level[TOPIC_LEVELS_MAX], word;
	unsigned n = 0;

	for (struct levels v = levels_of(l->filter);
	     n < TOPIC_LEVELS_MAX && levels_next(&v, &level[n]);)
		n++;
	while (n--) {
		if (is_list(level[n]) && nth_word(level[n], l->at[n] + 1, &word)) {
			l->at[n]++;
			return true;
		}
		l->at[n] = 0;
	}
	return false;
}

bool lists_next(struct lists *l, char *room, struct str *plain)
{
	struct str level, word;
	unsigned i = 0;
	size_t n = 0;

	if (l->begun && !count_up(l))
		return false;
	l->begun = true;
	for (struct levels v = levels_of(l->filter); levels_next(&v, &level); i++) {
		/* callers have counted them (lists_count, topic_filter_ok) */
		MUST(i < TOPIC_LEVELS_MAX && nth_word(level, l->at[i], &word));
		if (i)
			room[n++] = '/';
		if (word.n)
			memcpy(room + n, word.p, word.n);
		n += word.n;
	}
	*plain = str_make(room, n);
	return true;
}

/* feed.c - cuts a stream of bytes into frames (feed.h). */
#include "base/base.h"
#include "proxy/feed.h"

enum { MUCH = 4 }; /* a quarter */

static enum feed keep(struct buf *rest, struct str bytes, enum feed answer)
{
	if (bytes.n == 0)
		return answer;
	buf_str_add(rest, bytes);
	return buf_ok(rest) ? answer : FEED_NOMEM;
}

/* A frame that began in an earlier read: only what completes it is copied. */
static enum feed finish_begun(const struct feed_ops *ops, void *owner, struct buf *rest,
                              struct str *bytes)
{
	size_t whole, want;
	struct buf begun;
	enum parse answer;
	bool more;

	for (;;) {
		answer = ops->measure(owner, buf_str(rest), &whole);
		if (answer != PARSE_MORE)
			break;
		if (bytes->n == 0)
			return FEED_OK;
		/* a head has few bytes, and we must not take more than it has */
		buf_str_add(rest, str_make(bytes->p, 1));
		if (!buf_ok(rest))
			return FEED_NOMEM;
		*bytes = str_skip(*bytes, 1);
	}
	if (answer == PARSE_BAD)
		return FEED_BAD;
	/* byte for byte was added until the head was whole; what was held back is fed before */
	MUST(whole >= buf_len(rest));
	want = size_min(whole - buf_len(rest), bytes->n);
	if (keep(rest, str_make(bytes->p, want), FEED_OK) == FEED_NOMEM)
		return FEED_NOMEM;
	*bytes = str_skip(*bytes, want);
	if (buf_len(rest) < whole)
		return FEED_OK;
	begun = *rest;
	*rest = (struct buf){ 0 }; /* the handler may put something there */
	more = ops->frame(owner, buf_str(&begun));
	buf_free(&begun);
	return more ? FEED_OK : FEED_HOLD;
}

enum feed feed(const struct feed_ops *ops, void *owner, struct buf *rest, struct str bytes)
{
	enum feed answer;
	enum parse parse;
	size_t whole;

	while (bytes.n) {
		if (buf_len(rest)) {
			answer = finish_begun(ops, owner, rest, &bytes);
			if (answer == FEED_HOLD)
				return keep(rest, bytes, FEED_HOLD);
			if (answer != FEED_OK)
				return answer;
			continue;
		}
		parse = ops->measure(owner, bytes, &whole);
		if (parse == PARSE_BAD)
			return FEED_BAD;
		if (parse == PARSE_MORE || whole > bytes.n)
			return keep(rest, bytes, FEED_OK);
		MUST(whole > 0);
		if (!ops->frame(owner, str_make(bytes.p, whole)))
			return keep(rest, str_skip(bytes, whole), FEED_HOLD);
		bytes = str_skip(bytes, whole);
	}
	return FEED_OK;
}

/* What is left of `held` is the rest again: where it is, as long as it fills much of its memory; so
 * a turn that does a few frames of many does not copy all the others. */
static enum feed keep_held(struct buf *rest, struct buf *held, enum feed answer)
{
	if (answer == FEED_HOLD && !rest->p && buf_len(held) >= held->cap / MUCH) {
		*rest = *held;
		return answer;
	}
	answer = keep(rest, buf_str(held), answer);
	buf_free(held);
	return answer;
}

enum feed feed_rest(const struct feed_ops *ops, void *owner, struct buf *rest)
{
	struct buf held = *rest;
	enum feed answer = FEED_OK;
	enum parse parse;
	size_t whole;

	*rest = (struct buf){ 0 }; /* the handler may put something there */
	while (answer == FEED_OK && buf_len(&held)) {
		parse = ops->measure(owner, buf_str(&held), &whole);
		if (parse == PARSE_BAD) {
			buf_free(&held);
			return FEED_BAD;
		}
		if (parse == PARSE_MORE || whole > buf_len(&held))
			break;
		if (!ops->frame(owner, str_make(buf_data(&held), whole)))
			answer = FEED_HOLD;
		buf_consume(&held, whole);
	}
	return keep_held(rest, &held, answer);
}

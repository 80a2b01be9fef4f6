/* tokens_used.c - when tokens were last used: kept in memory, because every check of a proxy is a
 * use, and written together every few seconds; and which tokens have ended by it (tokens.h). A
 * crash loses a few seconds of this and nothing else. */
#include "base/base.h"
#include "admin/tokens.h"

#include "acl/verdict.h"
#include "admin/tokens_parts.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

enum { TOUCHED_MAX = 65536 };

struct touched {
	struct map_node node;
	uint64_t id;
	int64_t at;
};

static struct touched *touched_find(const struct tokens *t, uint64_t id)
{
	struct map_node *n = map_first(&t->touched, hash_mix(id, 0));

	while (n && container_of(n, struct touched, node)->id != id)
		n = map_next(n);
	return n ? container_of(n, struct touched, node) : NULL;
}

int64_t tokens_touched(const struct tokens *t, uint64_t id)
{
	const struct touched *touched = touched_find(t, id);

	return touched ? touched->at : 0;
}

void tokens_touch(struct tokens *t, struct token_row *row)
{
	int64_t now = clock_wall_ms() / 1000;
	struct touched *touched;

	if (row->accessed >= now)
		return;
	row->accessed = now;
	row->ends = token_ends(row->expire, row->ttl, now, row->created);
	(void)json_object_set_new(row->object, "accessed", json_integer(now));
	touched = touched_find(t, row->id);
	if (touched) {
		touched->at = now;
		return;
	}
	if (t->touched.count >= TOUCHED_MAX && tokens_flush(t))
		LOG_WARN("", "flush-failed", "waiting=%zu", t->touched.count);
	touched = t->touched.count < TOUCHED_MAX ? mem_zalloc(sizeof(*touched)) : NULL;
	if (touched) {
		touched->id = row->id;
		touched->at = now;
		if (!map_add(&t->touched, &touched->node, hash_mix(row->id, 0)))
			return;
		mem_free(touched);
	}
	t->touches_lost++;
	LOG_WARN("", "last-use-lost", "count=%llu", (unsigned long long)t->touches_lost);
}

static int flush_one(struct tokens *t, const struct touched *touched)
{
	struct db_q q = db_start(t->db, "SELECT expire, ttl, created FROM token WHERE id = ?");
	int64_t ends = 0;
	bool there;
	int err;

	db_int(&q, (int64_t)touched->id);
	there = db_row(&q);
	if (there)
		ends = token_ends(db_get_int(&q, 0), db_get_int(&q, 1), touched->at,
		                  db_get_int(&q, 2));
	err = db_end(&q);
	if (err || !there)
		return err;
	q = db_start(t->db, "UPDATE token SET accessed = ?, ends = ? WHERE id = ?");
	db_int(&q, touched->at);
	db_int(&q, ends);
	db_int(&q, (int64_t)touched->id);
	return db_run(&q);
}

void tokens_forget_touched(struct tokens *t)
{
	map_each(node, &t->touched) {
		map_del(&t->touched, node);
		mem_free(container_of(node, struct touched, node));
	}
	map_trim(&t->touched);
}

int tokens_flush(struct tokens *t)
{
	int err;

	if (t->touched.count == 0)
		return 0;
	err = db_begin(t->db);
	if (err)
		return err;
	map_each(node, &t->touched) {
		if (!err)
			err = flush_one(t, container_of(node, struct touched, node));
	}
	if (err) {
		db_rollback(t->db);
		return err;
	}
	err = db_commit(t->db);
	if (!err)
		tokens_forget_touched(t);
	return err;
}

int tokens_ended(struct tokens *t, int64_t now, uint64_t *ids, size_t most, size_t *count)
{
	struct db_q q = db_start(
	    t->db, "SELECT id FROM token WHERE ends > 0 AND ends <= ? ORDER BY ends LIMIT ?");
	size_t n = 0;
	int err;

	db_int(&q, now);
	db_int(&q, (int64_t)most);
	while (n < most && db_row(&q))
		ids[n++] = (uint64_t)db_get_int(&q, 0);
	err = db_end(&q);
	if (!err)
		*count = n;
	return err;
}

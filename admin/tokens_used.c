/* tokens_used.c - when tokens were last used: kept in memory, because every check of a proxy is a
 * use, and written together every few seconds; and which tokens have ended by it (tokens.h). A
 * crash loses a few seconds of this and nothing else. The service thread and the thread of
 * /auth/info share it: a token that ends by disuse must look the same to both. */
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

/* ---- What both threads share ---- */
static void lock(struct used *u)
{
	MUST(pthread_mutex_lock(&u->lock) == 0);
}

static void unlock(struct used *u)
{
	MUST(pthread_mutex_unlock(&u->lock) == 0);
}

static void forget(struct map *m)
{
	map_each(node, m) {
		map_del(m, node);
		mem_free(container_of(node, struct touched, node));
	}
	map_free(m);
}

int used_open(struct used **out)
{
	struct used *u = mem_zalloc(sizeof(*u));

	if (!u)
		return -E_NOMEM;
	MUST(pthread_mutex_init(&u->lock, NULL) == 0);
	*out = u;
	return 0;
}

void used_close(struct used **slot)
{
	struct used *u = *slot;

	*slot = NULL;
	if (!u)
		return;
	forget(&u->fresh);
	forget(&u->going);
	forget(&u->done);
	MUST(pthread_mutex_destroy(&u->lock) == 0);
	mem_free(u);
}

size_t used_waiting(struct used *u)
{
	size_t n;

	lock(u);
	n = u->fresh.count + u->going.count;
	unlock(u);
	return n;
}

static struct touched *touched_find(const struct map *m, uint64_t id)
{
	struct map_node *n = map_first(m, hash_mix(id, 0));

	while (n && container_of(n, struct touched, node)->id != id)
		n = map_next(n);
	return n ? container_of(n, struct touched, node) : NULL;
}

static int64_t at(const struct map *m, uint64_t id)
{
	const struct touched *touched = touched_find(m, id);

	return touched ? touched->at : 0;
}

int64_t tokens_touched(const struct tokens *t, uint64_t id)
{
	struct used *u = t->used;
	int64_t latest, other;

	lock(u);
	latest = at(&u->fresh, id);
	other = at(&u->going, id);
	latest = other > latest ? other : latest;
	other = at(&u->done, id);
	unlock(u);
	return other > latest ? other : latest;
}

/* Under the lock. False: no room or no memory. */
static bool note(struct used *u, uint64_t id, int64_t now)
{
	struct touched *touched = touched_find(&u->fresh, id);

	if (touched) {
		touched->at = now;
		return true;
	}
	touched = u->fresh.count < TOUCHED_MAX ? mem_zalloc(sizeof(*touched)) : NULL;
	if (!touched)
		return false;
	touched->id = id;
	touched->at = now;
	if (!map_add(&u->fresh, &touched->node, hash_mix(id, 0)))
		return true;
	mem_free(touched);
	return false;
}

void tokens_touch(struct tokens *t, struct token_row *row)
{
	int64_t now = clock_wall_ms() / 1000;
	struct used *u = t->used;
	uint64_t lost;

	if (row->accessed >= now)
		return;
	row->accessed = now;
	row->ends = token_ends(row->expire, row->ttl, now, row->created);
	(void)json_object_set_new(row->object, "accessed", json_integer(now));
	if (!t->reader && used_waiting(u) >= TOUCHED_MAX && tokens_flush(t))
		LOG_WARN("", "flush-failed", "waiting=%zu", used_waiting(u));
	lock(u);
	if (!note(u, row->id, now))
		u->lost++;
	else
		now = 0;
	lost = u->lost;
	unlock(u);
	if (now)
		LOG_WARN("", "last-use-lost", "count=%llu", (unsigned long long)lost);
}

/* ---- Into the database ---- */
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

/* What the last flush could not write goes again, with what came since. */
static void take_fresh(struct used *u)
{
	if (u->going.count == 0) {
		map_free(&u->going);
		u->going = u->fresh;
		u->fresh = (struct map){ 0 };
		return;
	}
	map_each(node, &u->fresh) {
		struct touched *new = container_of(node, struct touched, node),
			       *old = touched_find(&u->going, new->id);

		if (!old && u->going.count >= TOUCHED_MAX)
			continue; /* later */
		map_del(&u->fresh, node);
		if (old)
			old->at = new->at;
		if (old || map_add(&u->going, node, node->hash))
			mem_free(new);
	}
}

int tokens_flush(struct tokens *t)
{
	struct used *u = t->used;
	struct map old;
	int err;

	MUST(!t->reader);
	lock(u);
	take_fresh(u);
	unlock(u);
	if (u->going.count == 0)
		return 0;
	err = db_begin(t->db);
	if (err)
		return err;
	map_each(node, &u->going) {
		if (!err)
			err = flush_one(t, container_of(node, struct touched, node));
	}
	if (err) {
		db_rollback(t->db);
		return err;
	}
	err = db_commit(t->db);
	if (err)
		return err;
	lock(u);
	old = u->done;
	u->done = u->going;
	u->going = (struct map){ 0 };
	unlock(u);
	forget(&old);
	return 0;
}

bool tokens_should_flush(const struct tokens *t)
{
	return used_waiting(t->used) >= TOUCHED_MAX / 4;
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

int tokens_last_use(struct tokens *t, int64_t *out)
{
	struct db_q q = db_start(t->db, "SELECT max(accessed) FROM token");
	int64_t last = db_row(&q) ? db_get_int(&q, 0) : 0;
	int err = db_end(&q);

	if (!err)
		*out = last;
	return err;
}

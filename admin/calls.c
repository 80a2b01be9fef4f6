/* calls.c - buckets of REST calls (calls.h). Who has no limit has no bucket; one that is full again
 * is forgotten, so that there are as many as there are callers of the last minute. */
#include "base/base.h"
#include "admin/calls.h"

#include "base/clock.h"
#include "base/mem.h"

#define MINUTE INT64_C(60000000) /* of microseconds */

struct bucket {
	struct map_node node;
	uint64_t cid, token; /* 0: all of the customer */
	int64_t due;         /* when all of it is free again */
};

static void sweep(struct calls *c, int64_t now)
{
	if (now < c->swept + MINUTE)
		return;
	c->swept = now;
	map_each(n, &c->buckets) {
		struct bucket *b = container_of(n, struct bucket, node);

		if (b->due > now)
			continue;
		map_del(&c->buckets, n);
		mem_free(b);
	}
	map_trim(&c->buckets);
}

static struct bucket *bucket_of(struct calls *c, uint64_t cid, uint64_t token)
{
	uint64_t hash = hash_mix(cid, token);
	struct bucket *b;

	for (struct map_node *n = map_first(&c->buckets, hash); n; n = map_next(n)) {
		b = container_of(n, struct bucket, node);
		if (b->cid == cid && b->token == token)
			return b;
	}
	b = mem_zalloc(sizeof(*b));
	if (!b)
		return NULL;
	b->cid = cid;
	b->token = token;
	if (map_add(&c->buckets, &b->node, hash)) {
		mem_free(b);
		return NULL;
	}
	return b;
}

/* -E_LIMIT if one more does not fit. *out: NULL if there is no limit. */
static int look(struct calls *c, uint64_t cid, uint64_t token, int64_t most, int64_t now,
                struct bucket **out)
{
	struct bucket *b;

	*out = NULL;
	if (most == LIMIT_NONE)
		return 0;
	b = bucket_of(c, cid, token);
	if (!b)
		return -E_NOMEM;
	if (b->due < now)
		b->due = now;
	*out = b;
	return most < 1 || b->due + MINUTE / most > now + MINUTE ? -E_LIMIT : 0;
}

int calls_take(struct calls *c, uint64_t cid, uint64_t token, int64_t per_token,
               int64_t per_customer, int64_t *most)
{
	int64_t now = clock_mono_ms() * 1000;
	struct bucket *own, *all = NULL;
	int err;

	sweep(c, now);
	*most = per_token;
	err = look(c, cid, token, per_token, now, &own);
	if (!err) {
		*most = per_customer;
		err = look(c, cid, 0, per_customer, now, &all);
	}
	if (err) {
		c->refused += err == -E_LIMIT;
		return err;
	}
	if (own)
		own->due += MINUTE / per_token;
	if (all)
		all->due += MINUTE / per_customer;
	return 0;
}

void calls_free(struct calls *c)
{
	map_each(n, &c->buckets)
		mem_free(container_of(n, struct bucket, node));
	map_free(&c->buckets);
}

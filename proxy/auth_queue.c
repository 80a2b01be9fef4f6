/* auth_queue.c - who is asked about next (auth_queue.h). */
#include "base/base.h"
#include "proxy/auth_queue.h"

#include "base/mem.h"
#include "proxy/auth_table.h"

struct asker { /* an address, while something of it waits */
	struct map_node node;
	uint64_t who[2];
	struct list turn;    /* queue->turns */
	struct list size;    /* queue->level[] */
	struct list waiting; /* known.turn, the one that came first at the head */
	size_t count;
};

void auth_queue_init(struct auth_queue *q)
{
	list_init(&q->all);
	list_init(&q->turns);
	for (unsigned i = 0; i < AUTH_QUEUE_LEVELS; i++)
		list_init(&q->level[i]);
}

void auth_queue_free(struct auth_queue *q)
{
	MUST(q->askers.count == 0);
	map_free(&q->askers);
}

static struct asker *find(const struct auth_queue *q, const struct sock_addr *peer, uint64_t who[2],
                          uint64_t *hash)
{
	sock_subscriber(peer, who);
	*hash = hash_mix(who[0], who[1]);
	for (struct map_node *n = map_first(&q->askers, *hash); n; n = map_next(n)) {
		struct asker *x = container_of(n, struct asker, node);

		if (x->who[0] == who[0] && x->who[1] == who[1])
			return x;
	}
	return NULL;
}

static size_t count_of(const struct auth_queue *q, const struct sock_addr *peer)
{
	uint64_t who[2], hash;
	const struct asker *x = find(q, peer, who, &hash);

	return x ? x->count : 0;
}

bool auth_queue_has(const struct auth_queue *q, const struct sock_addr *peer, size_t most)
{
	return count_of(q, peer) >= most;
}

static void resize(struct auth_queue *q, struct asker *x, size_t count)
{
	unsigned level = count ? 63u - (unsigned)__builtin_clzll(count) : 0;

	MUST(level < AUTH_QUEUE_LEVELS); /* as auth_queue may be set */
	x->count = count;
	list_del(&x->size);
	list_add_tail(&q->level[level], &x->size);
}

struct known *auth_queue_give_way(const struct auth_queue *q, const struct sock_addr *peer)
{
	unsigned level = AUTH_QUEUE_LEVELS - 1;
	const struct asker *most;

	while (level && list_empty(&q->level[level]))
		level--;
	most = list_first(&q->level[level], struct asker, size);
	if (!most || most->count <= 2 * count_of(q, peer) + 1)
		return NULL;
	return container_of(most->waiting.prev, struct known, turn);
}

static struct asker *find_or_add(struct auth_queue *q, const struct sock_addr *peer)
{
	uint64_t who[2], hash;
	struct asker *x = find(q, peer, who, &hash);

	if (x)
		return x;
	x = mem_zalloc(sizeof(*x));
	if (!x)
		return NULL;
	if (map_add(&q->askers, &x->node, hash)) {
		mem_free(x);
		return NULL;
	}
	memcpy(x->who, who, sizeof(who));
	list_init(&x->waiting);
	list_init(&x->size);
	list_init(&x->turn);
	list_add_tail(&q->turns, &x->turn);
	return x;
}

int auth_queue_add(struct auth_queue *q, struct known *k, const struct sock_addr *peer, bool first)
{
	struct asker *x = find_or_add(q, peer);

	if (!x)
		return -E_NOMEM;
	k->asker = x;
	if (first) {
		list_add_head(&q->all, &k->queue);
		list_add_head(&x->waiting, &k->turn);
		list_del(&x->turn);
		list_add_head(&q->turns, &x->turn);
	} else {
		list_add_tail(&q->all, &k->queue);
		list_add_tail(&x->waiting, &k->turn);
	}
	q->count++;
	resize(q, x, x->count + 1);
	return 0;
}

void auth_queue_del(struct auth_queue *q, struct known *k)
{
	struct asker *x = k->asker;

	k->asker = NULL;
	list_del(&k->queue);
	list_del(&k->turn);
	q->count--;
	resize(q, x, x->count - 1);
	list_del(&x->turn);
	if (x->count) {
		list_add_tail(&q->turns, &x->turn);
		return;
	}
	list_del(&x->size);
	map_del(&q->askers, &x->node);
	mem_free(x);
}

struct known *auth_queue_next(const struct auth_queue *q)
{
	const struct asker *x = list_first(&q->turns, struct asker, turn);

	return x ? list_first(&x->waiting, struct known, turn) : NULL;
}

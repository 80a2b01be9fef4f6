/* caps.c - how many connections there are (caps.h). One table for all kinds of names; its hash is
 * keyed (attack R21). */
#include "base/base.h"
#include "proxy/caps.h"

#include <pthread.h>

#include "base/hash.h"
#include "base/mem.h"

enum cap_kind { CAP_PEER = 1, CAP_TOKEN, CAP_CUSTOMER };

struct cap_name {
	uint32_t kind, ledger;
	uint64_t a, b;
};

struct cap { /* counts itself by its holders; guarded by caps.lock */
	struct map_node node;
	struct cap_name name;
	int64_t count;
};

struct caps {
	pthread_mutex_t lock;
	struct map map;
	int64_t peers; /* all connections; guarded by lock */
};

int caps_new(struct caps **out)
{
	struct caps *c = mem_zalloc(sizeof(*c));

	if (!c)
		return -E_NOMEM;
	MUST(pthread_mutex_init(&c->lock, NULL) == 0);
	*out = c;
	return 0;
}

void caps_free(struct caps **slot)
{
	struct caps *c = *slot;

	*slot = NULL;
	if (!c)
		return;
	MUST(c->map.count == 0);
	map_free(&c->map);
	pthread_mutex_destroy(&c->lock);
	mem_free(c);
}

static struct cap *find(struct caps *c, const struct cap_name *name, uint64_t hash)
{
	for (struct map_node *n = map_first(&c->map, hash); n; n = map_next(n)) {
		struct cap *cap = container_of(n, struct cap, node);

		if (memcmp(&cap->name, name, sizeof(*name)) == 0)
			return cap;
	}
	return NULL;
}

static int enter(struct caps *c, const struct cap_name *name, int64_t limit, struct cap **out)
{
	uint64_t hash = hash_bytes(name, sizeof(*name));
	struct cap *cap = find(c, name, hash);

	if ((cap ? cap->count : 0) >= limit)
		return -E_LIMIT;
	if (!cap) {
		cap = mem_zalloc(sizeof(*cap));
		if (!cap)
			return -E_NOMEM;
		cap->name = *name;
		if (map_add(&c->map, &cap->node, hash)) {
			mem_free(cap);
			return -E_NOMEM;
		}
	}
	cap->count++;
	*out = cap;
	return 0;
}

int caps_enter_peer(struct caps *c, const struct sock_addr *peer, uint8_t ledger, int64_t all_limit,
                    int64_t limit, struct cap **out)
{
	struct cap_name name = { .kind = CAP_PEER, .ledger = ledger };
	uint64_t who[2];
	int err = -E_LIMIT;

	sock_subscriber(peer, who);
	name.a = who[0];
	name.b = who[1];
	MUST(pthread_mutex_lock(&c->lock) == 0);
	if (c->peers < all_limit)
		err = enter(c, &name, limit ? limit : INT64_MAX, out);
	if (!err)
		c->peers++;
	MUST(pthread_mutex_unlock(&c->lock) == 0);
	return err;
}

static int enter_locked(struct caps *c, const struct cap_name *name, int64_t limit,
                        struct cap **out)
{
	int err;

	MUST(pthread_mutex_lock(&c->lock) == 0);
	err = enter(c, name, limit, out);
	MUST(pthread_mutex_unlock(&c->lock) == 0);
	return err;
}

int caps_enter_token(struct caps *c, uint64_t customer, uint64_t token, int64_t limit,
                     struct cap **out)
{
	return enter_locked(c, &(struct cap_name){ CAP_TOKEN, 0, customer, token }, limit, out);
}

int caps_enter_customer(struct caps *c, uint64_t customer, int64_t limit, struct cap **out)
{
	return enter_locked(c, &(struct cap_name){ CAP_CUSTOMER, 0, customer, 0 }, limit, out);
}

void caps_leave(struct caps *c, struct cap **slot)
{
	struct cap *cap = *slot;

	*slot = NULL;
	if (!cap)
		return;
	MUST(pthread_mutex_lock(&c->lock) == 0);
	if (cap->name.kind == CAP_PEER)
		c->peers--;
	if (--cap->count == 0) {
		map_del(&c->map, &cap->node);
		mem_free(cap);
	}
	MUST(pthread_mutex_unlock(&c->lock) == 0);
}

/* rates.c - how often strangers may begin something (rates.h). A bucket is one number: when it will
 * be full again. One table for all kinds of names; its hash is keyed (attack R21). */
#include "base/base.h"
#include "proxy/rates.h"

#include <pthread.h>

#include "base/hash.h"
#include "base/list.h"
#include "base/mem.h"

enum rate_kind { RATE_PEER = 1, RATE_TOKEN, RATE_CUSTOMER, RATE_CLIENT };
enum { FORGET_AT_ONCE = 2, BURST_US = RATES_BURST_S * 1000000 };

struct rate_name {
	uint32_t kind, ledger;
	uint64_t a, b;
};

struct rate { /* guarded by rates.lock */
	struct map_node node;
	struct list age; /* rates.ages: the longest untouched first */
	struct rate_name name;
	int64_t due; /* microseconds of monotonic time: full again */
};

struct rates {
	pthread_mutex_t lock;
	struct map map;
	struct list ages;
	size_t clients; /* of kind RATE_CLIENT */
};

int rates_new(struct rates **out)
{
	struct rates *r = mem_zalloc(sizeof(*r));

	if (!r)
		return -E_NOMEM;
	MUST(pthread_mutex_init(&r->lock, NULL) == 0);
	list_init(&r->ages);
	*out = r;
	return 0;
}

static void forget(struct rates *r, struct rate *rate)
{
	r->clients -= rate->name.kind == RATE_CLIENT;
	list_del(&rate->age);
	map_del(&r->map, &rate->node);
	mem_free(rate);
}

void rates_free(struct rates **slot)
{
	struct rates *r = *slot;
	struct rate *rate;

	*slot = NULL;
	if (!r)
		return;
	list_each(rate, &r->ages, struct rate, age)
		forget(r, rate);
	map_free(&r->map);
	pthread_mutex_destroy(&r->lock);
	mem_free(r);
}

/* Each take forgets up to two, so that the table shrinks as fast as it can grow. */
static void forget_some(struct rates *r, int64_t now_us)
{
	for (unsigned i = 0; i < FORGET_AT_ONCE; i++) {
		struct rate *oldest = list_first(&r->ages, struct rate, age);

		if (!oldest || oldest->due > now_us)
			return;
		forget(r, oldest);
	}
}

static struct rate *find(struct rates *r, const struct rate_name *name, uint64_t hash)
{
	for (struct map_node *n = map_first(&r->map, hash); n; n = map_next(n)) {
		struct rate *rate = container_of(n, struct rate, node);

		if (memcmp(&rate->name, name, sizeof(*name)) == 0)
			return rate;
	}
	return NULL;
}

static int find_or_add(struct rates *r, const struct rate_name *name, struct rate **out)
{
	uint64_t hash = hash_bytes(name, sizeof(*name));
	struct rate *rate = find(r, name, hash);

	bool client = name->kind == RATE_CLIENT;

	if (!rate && (r->map.count >= RATES_MAX || (client && r->clients >= RATES_MAX / 2)))
		return client ? -E_AGAIN : -E_LIMIT;
	if (!rate) {
		rate = mem_zalloc(sizeof(*rate));
		if (!rate)
			return -E_NOMEM;
		rate->name = *name;
		list_init(&rate->age);
		if (map_add(&r->map, &rate->node, hash)) {
			mem_free(rate);
			return -E_NOMEM;
		}
		r->clients += client;
	}
	list_del(&rate->age);
	list_add_tail(&r->ages, &rate->age);
	*out = rate;
	return 0;
}

static int take(struct rates *r, const struct rate_name *name, int64_t per_second, int64_t now)
{
	int64_t now_us = now * 1000, cost, due;
	struct rate *rate;
	int err;

	if (per_second == 0)
		return -E_LIMIT;
	cost = 1000000 / per_second;
	if (cost == 0)
		return 0;
	MUST(pthread_mutex_lock(&r->lock) == 0);
	forget_some(r, now_us);
	err = find_or_add(r, name, &rate);
	if (!err) {
		due = (rate->due > now_us ? rate->due : now_us) + cost;
		/* one always fits, however slow the rate */
		if (due > now_us + BURST_US && due > now_us + cost)
			err = -E_LIMIT;
		else
			rate->due = due;
	}
	MUST(pthread_mutex_unlock(&r->lock) == 0);
	return err;
}

int rates_take_peer(struct rates *r, const struct sock_addr *peer, uint8_t ledger,
                    int64_t per_second, int64_t now)
{
	struct rate_name name = { .kind = RATE_PEER, .ledger = ledger };
	uint64_t who[2];

	sock_subscriber(peer, who);
	name.a = who[0];
	name.b = who[1];
	return take(r, &name, per_second ? per_second : INT64_MAX, now);
}

int rates_take_token(struct rates *r, uint64_t customer, uint64_t token, int64_t per_second,
                     int64_t now)
{
	return take(r, &(struct rate_name){ RATE_TOKEN, 0, customer, token }, per_second, now);
}

bool rates_take_client(struct rates *r, uint64_t customer, struct str client_id, int64_t per_second,
                       int64_t now)
{
	uint64_t id = hash_bytes(client_id.p, client_id.n);

	return take(r, &(struct rate_name){ RATE_CLIENT, 0, customer, id }, per_second, now) ==
	       -E_LIMIT;
}

int rates_take_customer(struct rates *r, uint64_t customer, int64_t per_second, int64_t now)
{
	return take(r, &(struct rate_name){ RATE_CUSTOMER, 0, customer, 0 }, per_second, now);
}

size_t rates_count(struct rates *r)
{
	size_t count;

	MUST(pthread_mutex_lock(&r->lock) == 0);
	count = r->map.count;
	MUST(pthread_mutex_unlock(&r->lock) == 0);
	return count;
}

bool rates_loopback(const struct sock_addr *peer)
{
	static const uint8_t one[16] = { [15] = 1 };

	return peer->local || memcmp(peer->bytes, one, sizeof(one)) == 0 ||
	       (sock_is_ipv4(peer) && peer->bytes[12] == 127);
}

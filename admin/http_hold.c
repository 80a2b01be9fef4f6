/* http_hold.c - how many connections there are, in all and of each address, and which one ends when
 * one more comes (http.h). Holders lie in lists by the number of their waiting connections, so that
 * the largest is found at once however many there are. */
#include "base/base.h"
#include "admin/http.h"

#include <inttypes.h>

#include "admin/http_parts.h"
#include "base/log.h"
#include "base/mem.h"

int hold_open(struct http *h)
{
	size_t n = (size_t)h->config.connections_max + 1;

	h->by_waiting = mem_array(n, sizeof(struct list));
	if (!h->by_waiting)
		return -E_NOMEM;
	for (size_t i = 0; i < n; i++)
		list_init(&h->by_waiting[i]);
	return 0;
}

void hold_close(struct http *h)
{
	map_free(&h->holders);
	mem_free(h->by_waiting);
}

static struct holder *find(struct http *h, const uint64_t key[2], uint64_t hash)
{
	for (struct map_node *n = map_first(&h->holders, hash); n; n = map_next(n)) {
		struct holder *o = container_of(n, struct holder, node);

		if (o->key[0] == key[0] && o->key[1] == key[1])
			return o;
	}
	return NULL;
}

static struct holder *holder_of(struct http *h, const struct sock_addr *peer)
{
	uint64_t key[2], hash;
	struct holder *o;

	sock_subscriber(peer, key);
	hash = hash_mix(key[0], key[1]);
	o = find(h, key, hash);
	if (o)
		return o;
	o = mem_zalloc(sizeof(*o));
	if (!o)
		return NULL;
	o->key[0] = key[0];
	o->key[1] = key[1];
	list_init(&o->oldest);
	if (map_add(&h->holders, &o->node, hash)) {
		mem_free(o);
		return NULL;
	}
	list_init(&o->same);
	list_add_tail(&h->by_waiting[0], &o->same);
	return o;
}

static void set_waiting(struct http *h, struct holder *o, size_t n)
{
	o->waiting = n;
	list_del(&o->same);
	list_add_tail(&h->by_waiting[n], &o->same);
	h->most_waiting = size_max(h->most_waiting, n);
}

void hold_wait(struct conn *c)
{
	if (!list_empty(&c->wait))
		return;
	list_add_tail(&c->holder->oldest, &c->wait);
	set_waiting(c->h, c->holder, c->holder->waiting + 1);
}

void hold_busy(struct conn *c)
{
	if (list_empty(&c->wait))
		return;
	list_del(&c->wait);
	set_waiting(c->h, c->holder, c->holder->waiting - 1);
}

void hold_give_back(struct http *h, struct holder *o)
{
	h->count--;
	if (--o->count)
		return;
	list_del(&o->same);
	map_del(&h->holders, &o->node);
	map_trim(&h->holders);
	mem_free(o);
}

static struct holder *largest(struct http *h)
{
	while (h->most_waiting && list_empty(&h->by_waiting[h->most_waiting]))
		h->most_waiting--;
	return h->most_waiting ? list_first(&h->by_waiting[h->most_waiting], struct holder, same)
	                       : NULL;
}

static bool evict(struct http *h, struct holder *o, const char *why)
{
	struct conn *c = o ? list_first(&o->oldest, struct conn, wait) : NULL;
	char peer[SOCK_TEXT];

	if (!c)
		return false;
	h->evicted++;
	sock_text(&c->peer, peer);
	LOG_WARN("", "connection-evicted", "why=%s peer=%s count=%" PRIu64, why, peer, h->evicted);
	conn_free(c);
	return true;
}

/* The one that comes is counted already: its holder stays while others of it end. */
static bool has_room(struct http *h, struct holder *o, bool local)
{
	int64_t own = h->config.connections_per_address;

	/* All who come by a Unix socket are one address, and trusted. */
	if (own && !local && o->count > (size_t)own && !evict(h, o, "connections_per_address"))
		return false;
	return h->count <= (size_t)h->config.connections_max ||
	       evict(h, largest(h), "connections_max");
}

struct holder *hold_admit(struct http *h, const struct sock_addr *peer)
{
	struct holder *o = holder_of(h, peer);
	char text[SOCK_TEXT];

	if (!o)
		return NULL;
	o->count++;
	h->count++;
	if (has_room(h, o, peer->local))
		return o;
	h->refused++;
	sock_text(peer, text);
	LOG_WARN("", "connection-refused", "why=connections_max peer=%s count=%" PRIu64, text,
	         h->refused);
	hold_give_back(h, o);
	return NULL;
}

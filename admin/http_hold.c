/* http_hold.c - how many connections there are, in all and of each address, and which one ends when
 * one more comes (http.h). Holders lie in lists by the number of their waiting connections, so that
 * the largest is found at once however many there are. */
#include "base/base.h"
#include "admin/http.h"

#include <inttypes.h>

#include "admin/http_parts.h"
#include "base/clock.h"
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

static void wait_begins(struct place *p)
{
	p->since = clock_mono_ms();
	list_add_tail(&p->holder->oldest, &p->wait);
	set_waiting(p->h, p->holder, p->holder->waiting + 1);
}

void hold_busy(struct place *p)
{
	if (list_empty(&p->wait))
		return;
	list_del(&p->wait);
	set_waiting(p->h, p->holder, p->holder->waiting - 1);
}

void hold_progress(struct place *p)
{
	hold_busy(p);
	wait_begins(p);
}

static void give_back(struct http *h, struct holder *o)
{
	h->count--;
	if (--o->count)
		return;
	list_del(&o->same);
	map_del(&h->holders, &o->node);
	map_trim(&h->holders);
	mem_free(o);
}

void hold_leave(struct place *p)
{
	hold_busy(p);
	give_back(p->h, p->holder);
	mem_free(p);
}

static struct holder *largest(struct http *h)
{
	while (h->most_waiting && list_empty(&h->by_waiting[h->most_waiting]))
		h->most_waiting--;
	return h->most_waiting ? list_first(&h->by_waiting[h->most_waiting], struct holder, same)
	                       : NULL;
}

/* At once: accepting is not the callback of any connection. */
static bool evict(struct http *h, struct holder *o, const char *why)
{
	struct place *p = o ? list_first(&o->oldest, struct place, wait) : NULL;
	char peer[SOCK_TEXT];

	if (!p)
		return false;
	h->evicted++;
	sock_text(&p->peer, peer);
	LOG_WARN("", "connection-evicted", "why=%s peer=%s count=%" PRIu64, why, peer, h->evicted);
	lws_set_timeout(p->wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_SYNC);
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

struct place *hold_admit(struct http *h, const struct sock_addr *peer)
{
	struct place *p = mem_zalloc(sizeof(*p));
	struct holder *o = p ? holder_of(h, peer) : NULL;
	char text[SOCK_TEXT];

	if (!o) {
		mem_free(p);
		return NULL;
	}
	*p = (struct place){ .h = h, .holder = o, .peer = *peer };
	list_init(&p->wait);
	o->count++;
	h->count++;
	if (has_room(h, o, peer->local)) {
		wait_begins(p);
		return p;
	}
	h->refused++;
	sock_text(peer, text);
	LOG_WARN("", "connection-refused", "why=connections_max peer=%s count=%" PRIu64, text,
	         h->refused);
	hold_leave(p);
	return NULL;
}

/* The library's own timeout begins anew with each byte: a head could come for ever. */
static void look_at(struct http *h, struct holder *o, int64_t now)
{
	struct place *p;

	list_each(p, &o->oldest, struct place, wait) {
		if (!p->asked && now - p->since >= h->config.idle_deadline_ms)
			lws_set_timeout(p->wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_ASYNC);
	}
}

void hold_look(struct http *h)
{
	int64_t now = clock_mono_ms();

	map_each(n, &h->holders)
		look_at(h, container_of(n, struct holder, node), now);
}

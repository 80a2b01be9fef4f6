/* http_share.c - whose request is worked on next (http.h).
 *
 * The service thread is one, and a request is worked on in one go. So what is whole waits here,
 * with who pays for it: the customer whose token the request shows, as far as that token was seen
 * before, else the address. Payers are served in turn, QUANTUM of the thread's time each (deficit
 * round robin): what a request took too much is paid back in the rounds that follow. A piece of a
 * long answer waits in the same way, and so does a piece of a change of many items (http_work).
 * After TURN the library is served again: it accepts, reads and writes. Debts end when nobody waits
 * any more. */
#include "base/base.h"
#include "admin/http.h"

#include <time.h>

#include "admin/http_parts.h"
#include "base/mem.h"
#include "base/thread.h"

/* us; LIBRARY: what it does by itself for a request, about */
enum { QUANTUM = 1000, TURN = 2000, LIBRARY = 50 };

struct payer {
	struct map_node node;
	struct payer_key key;
	struct list turn; /* in h->payers_waiting: while jobs has members, or had some */
	struct list jobs; /* of conn.job, oldest first */
	int64_t credit;   /* us; negative: owed */
};

int64_t share_clock(void)
{
	struct timespec t;

	MUST(clock_gettime(CLOCK_MONOTONIC, &t) == 0);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* ---- Who pays ---- */
static uint64_t key_hash(const struct payer_key *k)
{
	return hash_mix(k->a ^ (k->customer ? UINT64_C(0x9e3779b97f4a7c15) : 0), k->b);
}

static struct payer *find(struct http *h, const struct payer_key *k)
{
	for (struct map_node *n = map_first(&h->payers, key_hash(k)); n; n = map_next(n)) {
		struct payer *p = container_of(n, struct payer, node);

		if (p->key.a == k->a && p->key.b == k->b && p->key.customer == k->customer)
			return p;
	}
	return NULL;
}

static struct payer *find_or_make(struct http *h, const struct payer_key *k)
{
	struct payer *p = find(h, k);

	if (p)
		return p;
	p = mem_zalloc(sizeof(*p));
	if (!p)
		return NULL;
	p->key = *k;
	list_init(&p->turn);
	list_init(&p->jobs);
	if (map_add(&h->payers, &p->node, key_hash(k))) {
		mem_free(p);
		return NULL;
	}
	return p;
}

static void forget(struct http *h, struct payer *p)
{
	list_del(&p->turn);
	map_del(&h->payers, &p->node);
	mem_free(p);
}

static void forget_all(struct http *h)
{
	map_each(n, &h->payers)
		forget(h, container_of(n, struct payer, node));
	map_trim(&h->payers);
}

/* Whose a token is, is remembered by the hash of what was said: a hint for the order of work, which
 * decides nothing else. A wrong one, of two that fall together, costs somebody a turn. */
static struct share_hint *hint_of(struct http *h, uint64_t hash)
{
	return &h->hints[hash % SHARE_HINTS];
}

static uint64_t said_hash(const struct conn *c)
{
	return hash_bytes(c->req.authorization.p, c->req.authorization.n);
}

struct payer_key share_address(const struct place *p)
{
	return (struct payer_key){ p->holder->key[0], p->holder->key[1], false };
}

struct payer_key share_payer(struct conn *c)
{
	if (c->req.authorization.n) {
		uint64_t hash = said_hash(c);
		const struct share_hint *hint = hint_of(c->h, hash);

		if (hint->cid && hint->hash == hash)
			return (struct payer_key){ hint->cid, 0, true };
	}
	return share_address(c->place);
}

static void remember(struct conn *c)
{
	if (c->resp.cid && c->req.authorization.n) {
		uint64_t hash = said_hash(c);

		*hint_of(c->h, hash) = (struct share_hint){ hash, c->resp.cid };
	}
}

/* ---- Waiting ---- */

/* It may stand there already: the connection of its last job has ended meanwhile. */
static void wait_for_turn(struct http *h, struct payer *p)
{
	if (list_empty(&p->turn))
		list_add_tail(&h->payers_waiting, &p->turn);
}

int share_wait(struct conn *c)
{
	struct http *h = c->h;
	struct payer *p = find_or_make(h, &c->payer);

	if (!p)
		return -1;
	wait_for_turn(h, p);
	list_add_tail(&p->jobs, &c->job);
	return 0;
}

bool share_waits(const struct http *h)
{
	return !list_empty(&h->payers_waiting) || !list_empty(&h->orphans);
}

void share_charge(struct http *h, const struct payer_key *key, int64_t since)
{
	struct payer *p = share_waits(h) ? find(h, key) : NULL;

	if (p)
		p->credit -= share_clock() - since;
}

/* ---- A turn ---- */
static void run(struct payer *p, struct conn *c)
{
	int64_t begin = share_clock();

	list_del(&c->job);
	if (c->answered)
		conn_make_slice(c);
	else if (c->resp.work)
		(void)conn_work(c);
	else if (conn_run(c) == 0)
		remember(c);
	p->credit -= share_clock() - begin + LIBRARY;
	thread_give_way();
}

/* As much as it may now. */
static void serve(struct http *h, struct payer *p)
{
	struct conn *c;

	list_del(&p->turn);
	p->credit = p->credit + QUANTUM < QUANTUM ? p->credit + QUANTUM : QUANTUM;
	while (p->credit > 0 && (c = list_first(&p->jobs, struct conn, job)))
		run(p, c);
	if (!list_empty(&p->jobs))
		wait_for_turn(h, p);
	else if (p->credit >= 0 || h->payers.count > 2 * (size_t)h->config.connections_max)
		forget(h, p);
}

/* Whoever began it is gone; it goes on, a piece a turn. */
static void serve_orphan(struct http *h)
{
	struct http_work *w = list_first(&h->orphans, struct http_work, orphan);

	if (!w)
		return;
	list_del(&w->orphan);
	if (w->some(w, NULL))
		list_add_tail(&h->orphans, &w->orphan);
	thread_give_way();
}

void share_finish(struct http *h)
{
	map_each(n, &h->payers) {
		struct payer *p = container_of(n, struct payer, node);
		struct conn *c;

		list_each(c, &p->jobs, struct conn, job) {
			if (c->resp.work)
				list_add_tail(&h->orphans, &c->resp.work->orphan);
			c->resp.work = NULL;
		}
	}
	while (!list_empty(&h->orphans))
		serve_orphan(h);
}

void share_turn(struct http *h)
{
	int64_t until;
	struct payer *p;

	serve_orphan(h);
	if (!h->payers.count)
		return;
	until = share_clock() + TURN;
	while ((p = list_first(&h->payers_waiting, struct payer, turn))) {
		serve(h, p);
		if (share_clock() >= until)
			break;
	}
	if (!share_waits(h))
		forget_all(h);
}

void share_close(struct http *h)
{
	forget_all(h);
	map_free(&h->payers);
}

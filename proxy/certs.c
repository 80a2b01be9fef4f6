/* certs.c - reading certificates again while clients are served (certs.h). */
#include "base/base.h"
#include "proxy/certs.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "proxy/listen.h"
#include "proxy/transport_tls.h"
#include "proxy/worker.h"

enum { DAY_MS = 86400000, SOON_MS = 14 * DAY_MS };

/* Of each listener with TLS, by its number: the files, and a context for each worker. */
struct news {
	struct tls_files *files[TLS_SIDE_MAX];
	struct tls_context *context[TLS_SIDE_MAX][LISTEN_WORKERS];
};

static void news_free(struct news **slot)
{
	struct news *n = *slot;

	*slot = NULL;
	for (unsigned i = 0; n && i < TLS_SIDE_MAX; i++) {
		tls_files_put(&n->files[i]);
		for (unsigned k = 0; k < LISTEN_WORKERS; k++)
			tls_context_free(&n->context[i][k]);
	}
	mem_free(n);
}

/* The files of news are those in force from now on. */
static void take_files(struct certs *c, struct news *n)
{
	for (unsigned i = 0; i < c->listen->listeners; i++) {
		const struct listener *l = &c->listen->listener[i];

		if (l->tls >= 0)
			c->name[l->tls] = l->name;
	}
	for (unsigned i = 0; i < c->listen->tls; i++) {
		tls_files_put(&c->files[i]);
		c->files[i] = n->files[i];
		n->files[i] = NULL;
	}
}

static int64_t tell(const struct certs *c, bool all)
{
	int64_t first = INT64_MAX;

	for (unsigned i = 0; i < ARRAY_LEN(c->files) && c->files[i]; i++) {
		int64_t left = tls_files_tell(c->files[i], c->name[i], all);

		first = left < first ? left : first;
	}
	return first;
}

static void in_force(struct certs *c, struct news *n)
{
	int64_t first;

	take_files(c, n);
	first = tell(c, true);
	c->warned_at = clock_wall_ms();
	c->ends_at = c->warned_at + first * 1000;
}

void certs_tell(const struct certs *c)
{
	(void)tell(c, true);
}

int64_t certs_left_s(const struct certs *c)
{
	int64_t left = c->ends_at - clock_wall_ms();

	/* what has ended a moment ago is not "0 seconds left" */
	return !c->files[0] ? INT64_MAX : left >= 0 ? left / 1000 : left / 1000 - 1;
}

void certs_free(struct certs *c)
{
	for (unsigned i = 0; i < ARRAY_LEN(c->files); i++)
		tls_files_put(&c->files[i]);
}

static uint64_t mark_of_all(const struct certs *c)
{
	uint64_t mark = 0;

	for (unsigned i = 0; i < c->listen->listeners; i++) {
		if (c->listen->listener[i].tls >= 0)
			mark = hash_mix(mark, tls_files_mark(c->listen->listener[i].config));
	}
	return mark;
}

static int read_one(struct certs *c, const struct listener *l, struct news *n, bool times,
                    char why[TLS_WHY])
{
	int err = tls_files_read(&n->files[l->tls], l->config, why);

	if (!err && times)
		err = tls_files_check_times(n->files[l->tls], why);
	for (unsigned i = 0; !err && i < c->count; i++)
		err = tls_context_new(&n->context[l->tls][i], n->files[l->tls],
		                      tls_side_ring(c->workers[i]->tls), why);
	return err;
}

/* All of it, or nothing. */
static int read_all(struct certs *c, struct news **out, bool times, char why[TLS_WHY])
{
	struct news *n = mem_zalloc(sizeof(*n));
	int err = n ? 0 : -E_NOMEM;

	/* of before we read: what changes meanwhile is read again */
	c->tried = c->seen = mark_of_all(c);
	for (unsigned i = 0; !err && i < c->listen->listeners; i++) {
		if (c->listen->listener[i].tls >= 0)
			err = read_one(c, &c->listen->listener[i], n, times, why);
	}
	if (err)
		news_free(&n);
	else
		*out = n;
	return err;
}

int certs_start(struct certs *c, const struct listen *listen, struct worker **workers,
                unsigned count, char why[TLS_WHY])
{
	struct news *n;
	int err;

	*c = (struct certs){ .listen = listen, .workers = workers, .count = count };
	err = read_all(c, &n, false, why);
	if (err)
		return err;
	for (unsigned i = 0; i < listen->tls; i++) {
		for (unsigned k = 0; k < count; k++) {
			tls_side_take(workers[k]->tls, i, n->context[i][k]);
			n->context[i][k] = NULL;
		}
	}
	in_force(c, n);
	news_free(&n);
	return 0;
}

/* ---- Again ---- */

struct swap { /* what one worker gets */
	struct inbox_item item;
	struct worker *worker;
	unsigned count;
	struct tls_context *context[TLS_SIDE_MAX];
};

static void swap_run(struct inbox_item *item) /* worker's thread */
{
	struct swap *s = container_of(item, struct swap, item);

	for (unsigned i = 0; i < s->count; i++)
		tls_side_take(s->worker->tls, i, s->context[i]);
	mem_free(s);
}

static int give(struct certs *c, struct news *n)
{
	struct swap *swap[LISTEN_WORKERS] = { 0 };

	for (unsigned k = 0; k < c->count; k++) {
		swap[k] = mem_zalloc(sizeof(*swap[k]));
		if (!swap[k]) {
			while (k > 0)
				mem_free(swap[--k]);
			return -E_NOMEM;
		}
	}
	for (unsigned k = 0; k < c->count; k++) {
		swap[k]->item.run = swap_run;
		swap[k]->worker = c->workers[k];
		swap[k]->count = c->listen->tls;
		for (unsigned i = 0; i < c->listen->tls; i++) {
			swap[k]->context[i] = n->context[i][k];
			n->context[i][k] = NULL;
		}
		inbox_push(c->workers[k]->inbox, &swap[k]->item);
	}
	return 0;
}

void certs_reload(struct certs *c)
{
	struct news *n = NULL;
	char why[TLS_WHY] = "";
	int err = read_all(c, &n, true, why);

	if (!err)
		err = give(c, n);
	if (err) {
		LOG_ERROR("", "certificates-kept", "why=\"%s\" note=\"the old ones stay in force\"",
		          why[0] ? why : err_text(err));
	} else {
		LOG_INFO("", "certificates-reloaded", "workers=%u", c->count);
		in_force(c, n);
	}
	news_free(&n);
}

/* Once a day is enough for a warning that a person has to act on. */
static void warn_of_end(struct certs *c)
{
	int64_t now = clock_wall_ms();

	if (c->ends_at - now >= SOON_MS || now - c->warned_at < DAY_MS)
		return;
	c->warned_at = now;
	(void)tell(c, false);
}

void certs_tick(struct certs *c)
{
	uint64_t mark = mark_of_all(c);

	if (mark != c->tried && mark == c->seen)
		certs_reload(c);
	c->seen = mark;
	warn_of_end(c);
}

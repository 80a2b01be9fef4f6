/* certs.c - reading certificates again while clients are served (certs.h). */
#include "base/base.h"
#include "proxy/certs.h"

#include <inttypes.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "proxy/config.h"
#include "proxy/listen.h"
#include "proxy/transport_tls.h"
#include "proxy/worker.h"

enum { DAY_MS = 86400000, SOON_MS = 14 * DAY_MS };

static void tell(struct certs *c, const struct tls_files *f)
{
	c->told_at = clock_wall_ms();
	c->ends_at = c->told_at + tls_files_tell(f) * 1000;
}

/* All contexts, or none. */
static int make_contexts(struct certs *c, struct tls_files *f, struct tls_context **out,
                         char why[TLS_WHY])
{
	for (unsigned i = 0; i < c->count; i++) {
		int err = tls_context_new(&out[i], f, tls_side_ring(c->workers[i]->tls), why);

		if (!err)
			continue;
		while (i > 0)
			tls_context_free(&out[--i]);
		return err;
	}
	return 0;
}

int certs_start(struct certs *c, const struct proxy_config *config, struct worker **workers,
                unsigned count, char why[TLS_WHY])
{
	struct tls_context *context[LISTEN_WORKERS] = { 0 };
	struct tls_files *f = NULL;
	int err;

	*c = (struct certs){ .config = config, .workers = workers, .count = count };
	c->tried = c->seen = tls_files_mark(config);
	err = tls_files_read(&f, config, why);
	if (err)
		return err;
	err = make_contexts(c, f, context, why);
	for (unsigned i = 0; !err && i < count; i++)
		tls_side_take(workers[i]->tls, context[i]);
	if (!err)
		tell(c, f);
	tls_files_put(&f);
	return err;
}

/* ---- Again ---- */

struct swap {
	struct inbox_item item;
	struct worker *worker;
	struct tls_context *context;
};

static void swap_run(struct inbox_item *item) /* worker's thread */
{
	struct swap *s = container_of(item, struct swap, item);

	tls_side_take(s->worker->tls, s->context);
	mem_free(s);
}

static int give(struct certs *c, struct tls_files *f, char why[TLS_WHY])
{
	struct tls_context *context[LISTEN_WORKERS] = { 0 };
	struct swap *swap[LISTEN_WORKERS] = { 0 };
	int err = make_contexts(c, f, context, why);

	for (unsigned i = 0; !err && i < c->count; i++) {
		swap[i] = mem_zalloc(sizeof(*swap[i]));
		if (!swap[i]) {
			why[0] = 0;
			err = -E_NOMEM;
		}
	}
	for (unsigned i = 0; i < c->count; i++) {
		if (err) {
			mem_free(swap[i]);
			tls_context_free(&context[i]);
			continue;
		}
		*swap[i] = (struct swap){ .item.run = swap_run,
			                  .worker = c->workers[i],
			                  .context = context[i] };
		inbox_push(c->workers[i]->inbox, &swap[i]->item);
	}
	return err;
}

void certs_reload(struct certs *c)
{
	struct tls_files *f = NULL;
	char why[TLS_WHY] = "";
	int err;

	/* of before we read: what changes meanwhile is read again */
	c->tried = c->seen = tls_files_mark(c->config);
	err = tls_files_read(&f, c->config, why);
	if (!err)
		err = tls_files_check_times(f, why);
	if (!err)
		err = give(c, f, why);
	if (err) {
		LOG_ERROR("", "certificates-kept", "why=\"%s\" note=\"the old ones stay in force\"",
		          why[0] ? why : err_text(err));
	} else {
		LOG_INFO("", "certificates-reloaded", "workers=%u", c->count);
		tell(c, f);
	}
	tls_files_put(&f);
}

/* Once a day is enough for a warning that a person has to act on. */
static void warn_of_end(struct certs *c)
{
	int64_t now = clock_wall_ms(), left = c->ends_at - now;

	if (left >= SOON_MS || now - c->told_at < DAY_MS)
		return;
	c->told_at = now;
	LOG_WARN("", "certificate-ends", "days=%" PRId64 " why=\"%s\"", left / DAY_MS,
	         left < 0 ? "it has expired" : "renew it");
}

void certs_tick(struct certs *c)
{
	uint64_t mark = tls_files_mark(c->config);

	if (mark != c->tried && mark == c->seen)
		certs_reload(c);
	c->seen = mark;
	warn_of_end(c);
}

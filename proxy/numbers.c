/* numbers.c - the sum of the workers' counters (numbers.h). Counters have no locks, so the sum goes
 * round: each worker adds what is its own and hands it on. */
#include "base/base.h"
#include "proxy/numbers.h"

#include <inttypes.h>

#include "base/log.h"
#include "base/mem.h"
#include "proxy/worker.h"

struct sum {
	struct inbox_item item;
	struct worker *const *worker;
	unsigned count, at;
	struct worker *now; /* worker[at], also when it is being freed already */
	int64_t certificate_s;
	struct worker_counters counters;
	struct loop_longest longest;
	uint64_t over[LIMIT_COUNT];
};

static void tell_quotas(const struct sum *s)
{
	struct buf text = { 0 };

	for (unsigned i = 0; i < LIMIT_COUNT; i++) {
		if (s->over[i])
			buf_printf(&text, "%s%s=%" PRIu64, buf_len(&text) ? " " : "",
			           limit_rows[i].name, s->over[i]);
	}
	if (buf_len(&text))
		LOG_INFO("", "over-quota", "%.*s", STR_ARG(buf_str(&text)));
	buf_free(&text);
}

static void tell(const struct sum *s, bool end)
{
	struct buf text = { 0 };

	tell_quotas(s);
	if (s->certificate_s != NUMBERS_NO_CERTIFICATE)
		buf_printf(&text, "certificate_seconds=%" PRId64, s->certificate_s);
#define C(name) \
	buf_printf(&text, "%s" #name "=%" PRIu64, buf_len(&text) ? " " : "", s->counters.name);
	WORKER_COUNTERS(C)
#undef C
	loop_longest_text(&s->longest, &text);
	/* two places: lines of a place are counted, and who asked often must not cost the last one
	 */
	if (end)
		LOG_INFO("", "end", "%.*s", STR_ARG(buf_str(&text)));
	else
		LOG_INFO("", "numbers", "%.*s", STR_ARG(buf_str(&text)));
	buf_free(&text);
}

void numbers_end(struct worker *const *worker, unsigned count, int64_t certificate_s)
{
	struct sum s = {
		.certificate_s = certificate_s,
	};
	struct loop_longest longest;

	for (unsigned i = 0; i < count; i++) {
		if (!worker[i])
			continue;
		worker_add_counters(worker[i], &s.counters, s.over);
		longest = loop_longest(worker[i]->loop);
		loop_longest_add(&s.longest, &longest);
	}
	tell(&s, true);
}

static void add_mine(struct inbox_item *item) /* worker's thread */
{
	struct sum *s = container_of(item, struct sum, item);
	struct loop_longest longest;

	if (!s->now->thread) { /* it is over meanwhile: ev=end says all */
		mem_free(s);
		return;
	}
	worker_add_counters(s->now, &s->counters, s->over);
	longest = loop_longest_since(s->now->loop);
	loop_longest_add(&s->longest, &longest);
	if (++s->at < s->count) {
		s->now = s->worker[s->at];
		inbox_push(s->now->inbox, item);
		return;
	}
	tell(s, false);
	mem_free(s);
}

void numbers_now(struct worker *const *worker, unsigned count, int64_t certificate_s)
{
	struct sum *s = mem_zalloc(sizeof(*s));

	if (!s) {
		LOG_ERROR("", "numbers", "why=memory");
		return;
	}
	*s = (struct sum){ .item.run = add_mine,
		           .worker = worker,
		           .count = count,
		           .now = worker[0],
		           .certificate_s = certificate_s };
	inbox_push(s->now->inbox, &s->item);
}

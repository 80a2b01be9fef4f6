/* expiry.c - the end of tokens that have ended (expiry.h). */
#include "base/base.h"
#include "admin/expiry.h"

#include <inttypes.h>

#include "admin/rest.h"
#include "base/clock.h"
#include "base/log.h"

enum { SWEEP_MOST = 200, JUMP_MS = 60 * 1000, KNOWN_S = 3600 };

static int delete_ended(struct rest *r, uint64_t id, int64_t until, struct events *events)
{
	const struct event_who nobody = { 0 };
	struct token_row row;
	uint64_t owner;
	int err = tokens_owner(r->tokens, id, &owner);

	if (!err)
		err = tokens_get(r->tokens, owner, id, &row);
	if (err)
		return err;
	if (row.ends && row.ends <= until) {
		err = tokens_delete(r->tokens, id);
		events_token(events, EVENT_EXPIRED, row.object, NULL, &nobody);
		events_push_token(events, row.cid, row.id, NULL);
	}
	token_row_free(&row);
	return err;
}

static int sweep(struct rest *r, int64_t until)
{
	uint64_t ids[SWEEP_MOST];
	struct events events = { 0 };
	size_t count;
	int err = tokens_ended(r->tokens, until, ids, SWEEP_MOST, &count);

	if (err || count == 0)
		return err;
	err = db_begin(r->db);
	for (size_t i = 0; !err && i < count; i++)
		err = delete_ended(r, ids[i], until, &events);
	if (err)
		db_rollback(r->db);
	else
		err = db_commit(r->db);
	if (!err) {
		events_send(&events, &r->outlet);
		LOG_INFO("", "expired", "tokens=%zu", count);
	}
	events_free(&events);
	return err;
}

/* The latest use of any token tells what the wall clock was. */
int expiry_open(struct expiry *e, struct rest *rest, int64_t grace)
{
	int64_t mono = clock_mono_ms(), wall = clock_wall_ms(), used;
	int err = tokens_last_use(rest->tokens, &used);

	if (err)
		return err;
	*e = (struct expiry){ .grace = grace, .offset = wall - mono, .steady_since = mono };
	if (used <= wall / 1000 + JUMP_MS / 1000 && used + KNOWN_S >= wall / 1000)
		e->steady_since = mono - grace;
	return 0;
}

static void look_at_clock(struct expiry *e, int64_t mono, int64_t wall)
{
	int64_t jump = wall - mono - e->offset;

	e->offset = wall - mono;
	if (jump < JUMP_MS && jump > -JUMP_MS)
		return;
	LOG_WARN("", "clock-set", "by=%" PRId64 "s tokens_kept=%" PRId64 "s", jump / 1000,
	         e->grace / 1000);
	e->steady_since = mono;
}

int expiry_run(struct expiry *e, struct rest *rest)
{
	int64_t mono = clock_mono_ms(), wall = clock_wall_ms();

	look_at_clock(e, mono, wall);
	return mono - e->steady_since < e->grace ? 0 : sweep(rest, (wall - e->grace) / 1000);
}

/* auth_parts.h - between the files of authentication only.
 *
 *   auth.c          life, and the fast path of workers
 *   auth_known.c    what becomes of a credential: yes, no, unavailable, end by time
 *   auth_ask.c      asks of workers: merged, queued, bounded, answered
 *   auth_queue      which credential is asked about next: addresses take turns
 *   auth_push.c     what the platform tells, and telling the workers
 *   auth_table, auth_refused   what is remembered     auth_http, auth_url   the door to libcurl
 * breaker   when to leave it alone */
#pragma once
#include <stdatomic.h>

#include "base/thread.h"
#include "proxy/auth.h"
#include "proxy/auth_http.h"
#include "proxy/auth_queue.h"
#include "proxy/auth_refused.h"
#include "proxy/auth_table.h"
#include "proxy/breaker.h"
#include "proxy/config.h"

enum {
	AUTH_WORKERS_MAX = 64,
	AUTH_PUSHES = 1024,
	AUTH_PAYLOAD_MAX = 64 * 1024,
	AUTH_AGAIN_MAX = 3,
	AUTH_TIDY_MS = 100,
	AUTH_SWEEP_MS = 1000
};

enum push_scope { PUSH_TOKEN, PUSH_CUSTOMER, PUSH_ALL };
/* one that was applied: answers of requests that began before it are too old */
struct push {
	enum push_scope scope;
	uint64_t customer, id;
	/* keyed, of the payload: every worker brings the same push */
	uint64_t hash;
	int64_t at;
};

struct auth {
	/* Written before auth_run, then constant */
	const struct proxy_config *config;
	struct loop *loop;
	struct inbox *inbox;
	struct thread *thread;
	struct {
		struct inbox *inbox;
		void *worker;
		auth_notice_fn notice;
	} workers[AUTH_WORKERS_MAX];
	size_t worker_count;
	/* Workers read under RCU, the authentication thread writes */
	struct auth_table table;
	struct auth_refused refused;
	/* Any thread */
	struct auth_counters counters;
	_Atomic bool stale_asked; /* stale_item is on its way */
	struct inbox_item stale_item;
	/* Authentication thread */
	struct auth_http *http;
	struct breaker breaker;
	/* struct known, queued for a slot: somebody waits, or it is due */
	struct auth_queue asks;
	struct list refreshes;
	size_t waiting_count; /* auth_asks that wait for an answer */
	bool refresh_turn;    /* both queues take turns */
	struct hook pump;
	struct timer housekeeping;
	uint64_t random;
	struct push pushes[AUTH_PUSHES];
	uint64_t push_serial; /* of the last one; pushes[serial % AUTH_PUSHES] */
};

#define COUNT(a, name) \
	((void)atomic_fetch_add_explicit(&(a)->counters.name, 1, memory_order_relaxed))

/* credential.c */
/* may be looked up and put into a header */
bool credential_ok(const struct credential *c, bool any_form);

/* auth.c */
/* as auth_look; any RCU reader */
int auth_known_reason(struct known *k, int64_t now, struct token **out);
void auth_tidy_in(struct auth *a, int64_t ms); /* housekeeping within so long */

/* auth_known.c */
void auth_adopt(struct auth *a, struct known *k); /* just added to the table */
/* takes what is in reply */
void auth_answered(struct auth *a, struct known *k, struct auth_reply *reply);
/* no more rights: verdict and notice; tell: TELL_NOTHING, _HIDDEN, _BLOCKED */
void auth_end(struct auth *a, struct known *k, uint8_t reason, enum auth_tell tell);
/* takes v: another yes for the same customer and id; notice if it differs */
void auth_changed(struct auth *a, struct known *k, struct verdict *v, enum auth_tell tell);
/* asked again now if in use, else forgotten soon; admits nobody meanwhile */
void auth_mark_stale(struct auth *a, struct known *k);
/* the timer for whatever comes next */
void auth_arm(struct auth *a, struct known *k);
/* enabled, not ended */
bool auth_token_valid(const struct auth *a, const struct token_info *info);
/* and its customer not blocked */
bool auth_info_valid(const struct auth *a, const struct token_info *info);
/* listed, not asked now after all: the next refresh when the circuit may be closed */
void auth_later(struct auth *a, struct known *k);
uint32_t auth_random(struct auth *a);
/* ms, less up to percent */
int64_t auth_jitter(struct auth *a, int64_t ms, unsigned percent);

/* auth_ask.c */
/* queues it unless it is already being asked */
void auth_ask_refresh(struct auth *a, struct known *k);
/* answers all who wait for k */
void auth_ask_waiting(struct auth *a, struct known *k, uint8_t reason);
void auth_ask_done(void *auth, void *known, struct auth_reply *reply); /* of auth_http */
/* at the end of the turn: starts what may start */
void auth_ask_pump(struct hook *pump);
/* answers those who have waited for a slot too long */
void auth_ask_expire(struct auth *a);
/* after auth_http_close: frees all that wait, everything is idle then */
void auth_ask_stop(struct auth *a);

/* auth_push.c */
bool auth_pushed_since(const struct auth *a, uint64_t serial, uint64_t customer, uint64_t id);
/* borrows; without a token only worker 0 hears it */
int auth_notify(struct auth *a, struct token *token, uint64_t customer, uint64_t id,
                struct acl *acl, uint8_t reason, enum auth_tell tell) MUST_CHECK;
void auth_stale_run(struct inbox_item *item);

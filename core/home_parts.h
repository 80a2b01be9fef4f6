/* home_parts.h - what the files of the core share behind home.h: the home's own struct, and the
 * customers on it. Home's thread. */
#pragma once
#include <inttypes.h>

#include "base/hash.h"
#include "base/memo.h"
#include "core/home.h"
#include "core/retained.h"
#include "core/tree.h"
#include "wire/condition.h"
#include "wire/space.h"

enum { SUBACK_CODES = UINT16_MAX + 1, SPARE_OUTS = 4096, MAIL_LANES = 256 };

struct work {             /* work.h */
	struct list node; /* in customer->works */
	struct customer *customer;
	/* A slice of it; true: there is more to do. Returns soon after work_over(), but does at
	 * least a little. MUST NOT end its own job with work_cancel(). */
	bool (*step)(struct work *w);
	/* Frees it: when step() said false, by work_cancel(), or when its customer ends. */
	void (*drop)(struct work *w);
};

/* there while it has sessions, groups or retained messages */
struct customer {
	struct map_node node; /* in home->customers, by id */
	struct home *home;
	uint64_t id;        /* 0: the trusted world */
	struct space space; /* not for 0 */
	/* names without the prefix; the trusted world: inner names */
	struct tree *tree;
	struct retained *retained;
	struct map sessions; /* struct session, by client id */
	struct map groups;   /* struct group, by group name and filter */
	struct map accounts; /* struct account, by token; not for 0 */
	/* struct session, by place: away and owed nothing, the longest first; here, and held by
	 * egress.c */
	struct list idle, held;
	/* session.c: struct session, by due: its Will's moment, or its end, has come; the job */
	struct list due;
	struct work due_work;
	/* quota.c; LIMIT_NONE: any number */
	int64_t most_sessions, most_queue_bytes, egress, will_rate;
	/* egress.c: microseconds of loop time when the bucket is full again; nothing more goes out
	 * until the timer */
	int64_t egress_due;
	bool egress_over;
	struct timer egress_timer;
	struct work egress_work; /* who waits for it goes on */
	size_t subscriptions, queue_bytes, will_bytes;
	struct map sets; /* struct shared_set, by content; set.c */
	/* of all sets, subscriptions and groups */
	size_t filter_bytes;
	uint64_t queue_dropped;
	/* work.c: jobs that go on, and frames that wait behind them; in home->busy while there are
	 * any; what it may spend in this turn, or owes; the turn for which that was given, and in
	 * which what waited was served last */
	struct list works, parked, busy;
	int64_t credit;
	uint64_t renewed, served;
	size_t parked_bytes;
	struct list replays, replaying; /* struct replay under way; in home->replays */
	bool stopped; /* slow_links have too much for it: in home->stopped while something waits */
	uint32_t slow_links;
	struct timer slow_timer;
	bool unread; /* its clients are not read (LINK_HOLD) until half of that is served */
	/* whose operation goes on as a job, and waits for its acknowledgement; NULL: nobody's, or
	 * it is gone */
	struct port *awaited;
	/* rights.c: the filters that its tokens were told; nothing of it is shown; it was deleted,
	 * and is in home->doomed while something is retained */
	size_t rights_bytes;
	bool blocked, doomed_asked;
	struct list doomed;
	/* microseconds of loop time: the bucket of Wills is full again; it is kept until then */
	int64_t wills_due;
	struct timer settle_again;
};

struct home {
	const struct core_config *config;
	unsigned index, count;
	struct home *const *all; /* read-only, made before threads */
	struct loop *loop;
	struct inbox *inbox;
	struct thread *thread;
	struct map customers;
	/* struct overflow, of overflow.c; how many told in the turn `told_turn` */
	struct map overflows;
	uint64_t told_turn;
	unsigned told;
	/* on home 0 the trusted world itself; elsewhere only its filters (leaf->sub NULL) and
	 * publishers */
	struct customer *trusted;
	/* on other homes: struct mirror_leaf by filter; trusted.c */
	struct map mirror;
	struct memo routes; /* struct routed by topic; route.c */
	/* what conditions were last asked about (conditions.c), a reference; NULL: nothing */
	struct msg *asked;
	struct expr_facts facts;
	/* one per message matched: "this subscription has it already" */
	uint64_t stamp;
	/* counts choices of shared groups: who had its turn when */
	uint64_t chosen;
	/* work.h: units spent since the start; at which counts the slice under way, what may be
	 * done at once in this turn, and all of it, are over; when the slice began */
	uint64_t spent, slice_end, direct_end, all_end, served_from;
	uint64_t turn, work_turn; /* of the loop; of who waits */
	struct work_most {        /* units; WORK_SLICE and so on */
		uint32_t slice, alone, turn, direct, all;
	} most;
	uint32_t slice;            /* of each that waits: `most.slice`, or less if many do */
	struct list busy, stopped; /* customers that wait; that wait, and are stopped */
	/* whose slice it is: it stays; the same, while what waited is served */
	struct customer *serving, *serving_ring;
	struct hook work_hook;
	/* work.c: the customer that spoke last; when one spoke after, or beside, another */
	uint64_t spoke;
	int64_t mixed;
	struct list replays; /* customers with a replay under way; replay.c */
	struct list fars;    /* struct far that wait; far.c */
	/* rights.c: accounts and customers whose retained messages are being removed */
	struct list graves, doomed;
	struct inbox_item grave_item;
	bool grave_asked;
	struct inbox_item replay_item;
	bool replay_asked;
	uint64_t replay_run;    /* counts its turns */
	struct list spare_outs; /* struct out, kept for reuse */
	size_t spare_count;
	struct store *store;
	struct store_commit commit;
	bool committing;
	/* struct home_out: waiting for the next commit, for the one under way */
	struct list dirty, sealed;
	/* any thread: on their way to this home, or not read yet; trusted.c */
	_Atomic size_t letters;
	/* those that came and were not read; lanes that have some, in turns; at which count of
	 * `spent` no more are read in the turn `mail_turn` */
	struct mail_lane {
		struct list node, letters;
		size_t count;
	} mail[MAIL_LANES];
	struct list mail_ring;
	struct hook mail_hook;
	uint64_t mail_end, mail_turn, far_turn;
	struct hook turn_end;
	struct inbox_item end_item, numbers_item;
	atomic_bool numbers_asked; /* numbers_item is on its way */
	struct timer end_timer;
	bool ending;
	bool end_asked; /* main thread */
	char name[16];
	struct home_counters counters;
	uint8_t codes[SUBACK_CODES]; /* of the SUBACK in the making */
};

/* ---- home.c ---- */
/* the store heard something: commit at the end of this turn */
static inline void home_changed(struct home *h)
{
	loop_at_end(h->loop, &h->turn_end);
}

/* ---- customer.c ---- */
struct customer *customer_find(const struct home *h, uint64_t id);
/* made if need be; NULL: out of memory */
struct customer *customer_get(struct home *h, uint64_t id);
/* frees it if nothing is left of it; the trusted world stays */
void customer_settle(struct customer *c);
/* at the end: all, with sessions and retained messages */
void customers_free(struct home *h);
/* the part behind the prefix; false: not the customer's */
bool customer_name(const struct customer *c, struct str inner, struct str *name);

/* ---- route.c ---- */
void route_init(struct home *h);
/* home_publish for who knows whose the message is: c MUST be customer_find(h, m->customer) */
uint8_t route_publish(struct home *h, struct customer *c, struct msg *m);
/* Said by it: too long for this slice, it goes on as a job. */
enum { ROUTE_LATER = 0xff };
/* Right after that: p, a client of c, is told when it is done. */
void route_answer(struct customer *c, struct port *p, enum mqtt_type type, uint16_t packet_id);
/* home 0: to the trusted world's subscriptions only */
unsigned route_trusted(struct home *h, struct msg *m);

/* ---- trusted.c: between homes ---- */
void trusted_init(struct home *h);
void trusted_hand(struct home *h, struct msg *m, unsigned to); /* publish m there */
/* on other homes: home 0 shows m to the trusted world's subscriptions */
void trusted_show(struct home *h, struct msg *m);
/* home 0: on all other homes; 0 or -E_NOMEM */
int trusted_mirror(struct home *h, struct str filter, bool system, bool add) MUST_CHECK;
/* on other homes: home 0 gives m to that subscription */
void trusted_retained(struct home *h, struct msg *m, struct str name, size_t id_len);
/* at the end, thread gone */
void trusted_free(struct home *h);

/* worker.h - one thread with one loop, its door, its connections and its links to the core.
 * Everything here is for the worker's own thread, but the functions marked "main": before
 * worker_run, or after worker_end. */
#pragma once
#include <stdatomic.h>

#include "acl/limits.h"
#include "base/hash.h"
#include "base/inbox.h"
#include "base/memo.h"
#include "proxy/auth.h"
#include "proxy/config.h"
#include "proxy/door.h"
#include "proxy/drain.h"
#include "proxy/events.h"
#include "proxy/gather.h"
#include "proxy/partial.h"
#include "proxy/share.h"
#include "wire/link.h"

struct caps;
struct rates;
struct thread;
struct tls_seed;
struct tls_side;
struct uplink;

enum {
	WORKER_ROOM = 256 << 10,
	WORKER_SPARES = 32,
	WORKER_SPARE_MAX = 16 << 10,
	/* LISTEN_MAX addresses, and of each LISTEN_WORKERS sockets if a predecessor had so many */
	WORKER_DOORS = 512,
};

/* What the workers of a program have in common; main's memory, outlives them. */
struct crew {
	const struct proxy_config *config;
	struct auth *auth;
	struct caps *caps;
	struct rates *rates;
	const struct tls_seed *tls_seed; /* until the workers are made; NULL: no TLS */
	unsigned workers;
	/* workers whose links are all up, at first; the last one says so */
	_Atomic unsigned ready;
	_Atomic unsigned ended; /* workers that have let all clients go, and run no more */
	void (*on_ready)(struct crew *crew); /* any worker's thread, once */
};

/* clang-format off */
#define WORKER_COUNTERS(C) \
	C(handshakes) C(handshakes_resumed) C(handshakes_failed) C(handshakes_postponed) \
	C(upgrades) C(upgrades_refused) \
	C(accepted) C(refused_full) C(refused_rate) C(rate_pauses) C(accept_pauses) C(connects) C(connacks) C(refusals) C(closed) C(errors) \
	C(packets_in) C(publishes_in) C(publishes_refused) \
	C(deliveries) C(deliveries_denied) C(deliveries_dropped) C(layouts) C(aliases_set) C(aliases_refused) \
	C(bytes_in) C(bytes_out) C(sends) C(recvs) \
	C(link_writes) C(link_reads) C(link_frames_in) C(stale_frames) C(pauses) \
	C(wills_dropped) C(said_nothing) C(window_pauses) C(finishes) \
	C(holds) \
	C(link_stalls) C(frames_later) C(customers_paused) C(links_deaf) \
	C(partials_closed) C(control_pauses) \
	C(events) C(events_dropped) C(revoked) C(regrants) C(reauths) C(subscribes_cut)
/* clang-format on */
struct worker_counters {
#define C(name) uint64_t name;
	WORKER_COUNTERS(C)
#undef C
};

struct worker {
	unsigned index;
	struct crew *crew;
	const struct proxy_config *config; /* crew's */
	struct auth *auth;                 /* crew's */
	struct thread *thread;
	struct loop *loop;
	struct inbox *inbox;
	struct door door[WORKER_DOORS];
	unsigned doors;
	struct tls_side *tls; /* NULL: no TLS */
	/* [0] always; the others when home 0 has told how many there are */
	struct uplink *link[LINK_HOMES_MAX];
	unsigned homes; /* 0 = not known */
	/* doors_wait: for the links, because somebody else accepts on the sockets meanwhile, or
	 * nobody has to */
	bool told_ready, doors_wait;
	/* letting its clients go: drain.c. stopping: all are told, and it ends with them */
	bool draining, stopping;
	struct drain_order order;
	int64_t drain_since;
	uint64_t drained;
	struct timer drain_timer, stop_timer;
	struct inbox_item drain_item, stop_item;
	/* all of them */
	struct list conns;
	size_t conn_count;
	uint64_t conn_serial;
	struct map badges; /* struct badge by token */
	struct map shares; /* struct customer_share by customer; those of no customer: */
	struct customer_share strangers;
	/* small packets of the read that is worked on, which were done beyond their slice: gate.c
	 */
	unsigned burst;
	struct slices slices; /* the clock of turns */
	/* shares with work left: conns to read, conns to flush, frames of the core,
	 * conns whose subscriptions are to be judged again */
	struct list unread, dirty, later, regrants, endings, dues;
	size_t later_bytes;
	struct hook end_of_turn;
	struct hook more; /* shares have work left: the next turn comes at once */
	bool dirty_links;
	struct gather gather;
	/* counters when the last turn was over */
	uint64_t work_before, asked_before;
	/* WORKER_ROOM bytes: whatever is being read lies here, never past the callback */
	uint8_t *room;
	struct mqtt_head head; /* of the packet that comes now, between measuring and working */
	/* memory of emptied out buffers, for the next one that needs some */
	struct buf spare[WORKER_SPARES];
	unsigned spares;
	struct buf scratch; /* for building; nobody keeps it over a call */
	struct buf encoded; /* deliver.c: the layouts of one message */
	/* half-received packets of customers, and of connections without a token */
	struct partial_pool partial, partial_strangers;
	size_t waiting; /* bytes waiting for clients */
	/* what is written for somebody who is gone; never read */
	struct buf sink;
	uint64_t deliver_serial;
	struct memo rights;                   /* gate.c: what ACLs said, by name */
	struct event_past past[EVENT_PLACES]; /* events.c, rights.c: rates without a badge */
	struct worker_counters n;
	uint64_t over[LIMIT_COUNT]; /* quotas.c: how often each was exceeded */
};

/* ---- Main ---- */
/* The loop and the inbox exist from here on. */
int worker_new(struct worker **out, struct crew *crew, unsigned index) MUST_CHECK;
/* makes a copy of the listening socket; at most WORKER_DOORS. 0 or -E_LIMIT */
int worker_add_door(struct worker *w, const struct door_kind *kind, const struct listener *listener,
                    int fd) MUST_CHECK;
int worker_run(struct worker *w) MUST_CHECK; /* starts the thread */
/* waits for it; harmless if it never ran */
void worker_end(struct worker *w);
/* after auth_stop: nobody pushes to the inbox any more */
void worker_free(struct worker **w);
void worker_add_counters(const struct worker *w, struct worker_counters *sum,
                         uint64_t over[LIMIT_COUNT]);

/* ---- Own thread ---- */
/* something is to be done at the end of this turn */
void worker_touch(struct worker *w);
/* a link came up or told how many homes there are */
void worker_link_changed(struct worker *w);
struct uplink *worker_link_of(struct worker *w, uint64_t customer); /* NULL: not up */
/* an empty buf to write into for nobody */
struct buf *worker_sink(struct worker *w);
/* gives an empty buf spare memory, if there is any */
void worker_buf_take(struct worker *w, struct buf *b);
/* takes the memory of an emptied buf */
void worker_buf_give(struct worker *w, struct buf *b);

/* home.h - one thread of the core with everything of the customers that live on it: customers,
 * their sessions, trees, retained messages. All functions are for the home's own thread, but those
 * marked "main": before home_run, or after home_end.
 *
 * A turn: doors read, sessions change, what is to be said is appended to the doors' buffers ->
 * store_commit -> only then the buffers are written. A door gives its buffer to home_flush_later()
 * whenever it appended to it; `flush` comes when the commit is done. */
#pragma once
#include "base/inbox.h"
#include "core/config.h"
#include "core/port.h"
#include "core/store.h"

struct home;

/* ---- Output that waits for the turn's commit; embedded in a link or a connection of the door ----
 */
struct home_out {
	struct list node;
	const struct buf *bytes; /* what will be written */
	size_t sealed;           /* the first so many bytes may be written now */
	/* so many more when the commit under way is done; home.c's */
	size_t sealing;
	bool dirty;
	/* the commit begins: put what is under construction into bytes; may be NULL */
	void (*seal)(struct home_out *o);
	/* write up to `sealed` bytes and subtract what was written; may free the owner */
	void (*flush)(struct home_out *o);
};
void home_out_init(struct home_out *o, const struct buf *bytes, void (*seal)(struct home_out *),
                   void (*flush)(struct home_out *));
void home_flush_later(struct home *h, struct home_out *o); /* cheap when asked for already */
void home_out_cancel(struct home_out *o);                  /* before the owner is freed */

/* ---- What doors and sessions ask ---- */
struct loop *home_loop(const struct home *h);
int64_t home_now(const struct home *h);  /* monotonic ms of this turn */
int64_t home_wall(const struct home *h); /* wall clock ms of this turn */
const struct core_config *home_config(const struct home *h);
struct store *home_store(const struct home *h);
unsigned home_index(const struct home *h);
bool home_ending(const struct home *h);      /* SIGTERM came: take nobody new */
const char *home_name(const struct home *h); /* "home=0", for logs */

/* ---- Counters: home's thread; read by others only after home_end ---- */
/* clang-format off */
#define HOME_COUNTERS(C) \
	C(opened) C(resumed) C(refused) C(taken_over) C(lost) C(closed) C(expired) \
	C(published) C(published_qos0) C(published_qos1) C(published_qos2) C(repeated_qos2) \
	C(unmatched) C(delivered) C(redelivered) C(acked) C(unknown_acks) C(dropped_paused) \
	C(dropped_full) C(dropped_expired) C(dropped_rights) C(dropped_memory) \
	C(dropped_ended) C(dropped_egress) C(dropped_handed) C(dropped_copies) \
	C(subscribed) C(unsubscribed) C(filtered) C(conditions_exhausted) \
	C(refused_subscriptions) C(refused_subscription_bytes) C(refused_will_bytes) C(regranted) C(moved_in_group) C(retained_set) \
	C(retained_cleared) C(retained_refused) C(retained_sent) C(retained_purged) \
	C(rights_over) \
	C(wills_fired) C(wills_cancelled) C(wills_dropped) C(wills_over_rate) C(inbound_expired) \
	C(handovers) C(takeovers_refused) C(evicted) C(egress_pauses) C(links) C(links_refused) \
	C(links_broken) C(links_dead) C(frames_in) C(frames_out) C(parked) C(routes_cut) C(held) C(slowed) C(stale_frames) \
	C(bytes_in) C(bytes_out) C(link_full) C(letters) C(doors) C(doors_refused)
/* clang-format on */
struct home_counters {
#define C(name) uint64_t name;
	HOME_COUNTERS(C)
#undef C
};
struct home_counters *home_counters(struct home *h);

/* ---- Publishing inside the core. borrows m. Keeps it if it is retained, gives it to every
 * matching subscription, here and (for the trusted world) on other homes. RC_SUCCESS,
 * RC_NO_MATCHING_SUBSCRIBERS, or RC_QUOTA_EXCEEDED: forwarded, but there was no room to retain it.
 *      A message for another home's customer is handed over: RC_SUCCESS, whatever becomes of it
 * there. */
uint8_t home_publish(struct home *h, struct msg *m);

/* ---- Life; main thread ---- */
int home_new(struct home **out, const struct core_config *config, unsigned index,
             const char **why) MUST_CHECK;
/* all homes, itself included; before any runs */
void home_know(struct home *h, struct home *const *all, unsigned count);
int home_run(struct home *h) MUST_CHECK; /* starts the thread */
/* attached clients get 0x8B, the thread ends soon. Harmless if it never ran */
void home_end_begin(struct home *h);
/* a line with the counters, and the longest turn since the last one (ev=numbers), soon */
void home_numbers(struct home *h);
void home_end(struct home *h);   /* and waits for that */
void home_free(struct home **h); /* doors and uplinks MUST be closed, all threads ended; home 0 goes
                                  * first: its sessions still tell the others. NULL is fine */

/* retained.h - the retained messages of one customer (or of the trusted world), found by name or by
 * filter. One thread. A walk over many is cut into slices by the caller (attack R14): retained_walk
 * visits at most `most` messages and can be continued. */
#pragma once
#include "core/account.h"
#include "core/msg.h"
#include "wire/topic.h"

struct retained;

/* accounts: of the tokens of its messages (account.h); NULL: tokens have no limits of their own */
int retained_new(struct retained **out, struct map *accounts) MUST_CHECK;
void retained_free(struct retained **r);
/* Takes its own reference to m. name is m's name in this store: the end of its topic (MUST), not
 * copied. Replaces. 0, -E_NOMEM, or -E_LIMIT when limits of the store, or of the account of the
 * message's token, would be passed. */
int retained_set(struct retained *r, struct str name, struct msg *m) MUST_CHECK;
bool retained_clear(struct retained *r, struct str name); /* was there one? */
/* LIMIT_NONE = any number */
void retained_limit(struct retained *r, int64_t count, int64_t bytes);
size_t retained_count(const struct retained *r);
size_t retained_bytes(const struct retained *r);

/* survives changes of the store between slices: continues at the next name after `last` */
struct retained_walk {
	struct buf last; /* free with retained_walk_end */
	bool started, done;
	size_t cost; /* units of work.h: what the last slice took, but for judging */
};
/* Calls visit (which MUST NOT change the store) for messages whose names match f, in the order of
 * their bytes, expired ones skipped and removed, those that are hidden skipped; returns when done
 * or `most` names (fewer when they are long, or judging them is dear) were looked at.
 */
int retained_walk(struct retained *r, struct filter f, struct retained_walk *w, size_t most,
                  int64_t wall_ms,
                  /* 0 or -E_NOMEM */
                  void (*visit)(void *arg, struct msg *m), void *arg) MUST_CHECK;
void retained_walk_end(struct retained_walk *w);
bool retained_expires(const struct retained *r); /* is there one that will? */
/* Looks at `most` further entries, round and round, and removes expired ones; how many. Costs
 * nothing when none can expire. */
size_t retained_sweep(struct retained *r, int64_t wall_ms, size_t most);
/* Removes at most so many messages of the account (NULL: of anybody); gone is told of each before.
 * How many. a may be freed with its last one. */
size_t retained_drop(struct retained *r, struct account *a, size_t most,
                     void (*gone)(void *arg, struct msg *m), void *arg);
/* Walks visit nothing while hidden; judge: and otherwise only what its token may still publish
 * (rights.h, attack C03), which is how a store begins. */
void retained_hide(struct retained *r, bool hide);
void retained_judge(struct retained *r, bool judge);

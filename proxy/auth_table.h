/* auth_table.h - the credentials that are known, being asked about, or failed a moment ago.
 *
 * One object per credential (key and, with auth_certificate, name of a certificate). It is `listed`
 * once it has a verdict: from then on workers find it under RCU (auth_table_look). Its name is
 * SHA-256(random of this process | form | short id | name | key), compared whole: nobody can make
 * two credentials share an entry (attack A11), and a memory dump of the index shows no key. The key
 * itself is kept in the object for refreshing, and wiped with it. All functions are for the
 * authentication thread unless they say otherwise. */
#pragma once
#include "base/crypt.h"
#include "base/hash.h"
#include "proxy/auth.h"

#include <urcu/rculfhash.h> /* after base/rcu.h: it takes the flavour from there */

enum known_state {
	KNOWN_IDLE,           /* nothing is being asked */
	KNOWN_QUEUED_ASK,     /* somebody waits, no slot yet */
	KNOWN_QUEUED_REFRESH, /* due for a refresh, no slot yet */
	KNOWN_RUNNING,        /* at the endpoint */
};

struct asker;
struct group;
struct place { /* of a credential in a group */
	struct list node;
	struct group *group; /* NULL: in none */
	struct known *known;
};

struct known {
	/* what workers hold. First, so that both share an address */
	struct token token;
	/* Written before it is listed, then constant */
	struct cds_lfht_node rcu_node;
	uint8_t digest[CRYPT_HASH];
	struct auth *auth;
	/* Any thread */
	_Atomic uint32_t refs; /* the table's own is one of them */
	/* written by the authentication thread: the verdict admits nobody new */
	_Atomic bool stale;
	/* it has ended, and nobody was refused since: the first one is told of (auth_untold) */
	_Atomic bool untold;
	/* Authentication thread */
	bool listed;
	enum known_state state;
	struct list queue; /* of asks or refreshes, while queued */
	/* auth_queue.c: the address that asked, and the credential's place among those of it */
	struct asker *asker;
	struct list turn;
	int64_t queued_at;
	struct list waiting; /* struct auth_ask */
	/* listed: of the table's ages; else of its resting */
	struct list age;
	/* whatever comes next: refresh, end, stale bound, lapse */
	struct timer timer;
	int64_t refresh_at, rest_until;
	/* unavailable in a row; asked again in a row because a push overtook the answer */
	unsigned failures, again;
	uint64_t asked_serial; /* of pushes, when the running request started */
	uint32_t breaker_round;
	/* reason: its end could not be published for want of memory; tried again */
	uint8_t owes_end;
	/* a change could not be told for want of memory; tried again */
	bool owes_notice;
	/* enum auth_tell: of the end or change that is owed */
	uint8_t owes_tell;
	uint64_t customer, id; /* valid while grouped; constant once listed */
	struct place by_token, by_customer;
	struct map_node by_digest;
	uint64_t short_id;
	size_t key_size, cert_size;
	char key[]; /* and the name of the certificate behind it */
};

struct auth_table {
	/* Constant while open; workers read */
	struct cds_lfht *listed;
	uint8_t salt[CRYPT_HASH];
	/* Authentication thread */
	struct map all, groups;
	/* listed, the longest without an answer first (in-use ones move to the end when met) */
	struct list ages;
	struct list resting; /* not listed and idle: failed a moment ago */
	size_t count, most;  /* listed */
	size_t resting_count;
};

int auth_table_open(struct auth_table *t, size_t most) MUST_CHECK;
void auth_table_close(struct auth_table *t); /* forgets all; zeroed is fine */
/* any thread */
void auth_table_digest(const struct auth_table *t, const struct credential *c,
                       uint8_t out[CRYPT_HASH]);
/* any RCU reader; listed ones only */
struct known *auth_table_look(const struct auth_table *t, const uint8_t digest[CRYPT_HASH]);

struct known *auth_table_find(const struct auth_table *t, const uint8_t digest[CRYPT_HASH]);
/* not listed; NULL: no memory */
struct known *auth_table_add(struct auth_table *t, const struct credential *c,
                             const uint8_t digest[CRYPT_HASH]);
/* for one more listed; forgets the oldest that nobody uses. False: all are in use */
bool auth_table_room(struct auth_table *t);
/* MUST have a verdict, and there MUST be room */
void auth_table_list(struct auth_table *t, struct known *k);
/* answered just now: youngest of the ages */
void auth_table_renew(struct auth_table *t, struct known *k);
/* not listed, idle; the oldest beyond `most` are forgotten */
void auth_table_rest(struct auth_table *t, struct known *k, size_t most);
/* no longer resting; harmless when it is not */
void auth_table_awake(struct auth_table *t, struct known *k);
/* idle, nobody waits; gives up the table's reference */
void auth_table_forget(struct auth_table *t, struct known *k);

/* Which customer and token id a credential belongs to; several credentials may be one token (whole
 * key and short form). -E_NOMEM: it is in none then. */
int auth_table_group(struct auth_table *t, struct known *k, uint64_t customer,
                     uint64_t id) MUST_CHECK;
/* of struct place, or NULL; valid until the next change */
struct list *auth_table_of_token(const struct auth_table *t, uint64_t customer, uint64_t id);
struct list *auth_table_of_customer(const struct auth_table *t, uint64_t customer);

struct verdict *verdict_new(uint8_t reason); /* zeroed otherwise; NULL: no memory */
void verdict_free(struct verdict *v);
/* takes v; readers see it from now on */
void known_publish(struct known *k, struct verdict *v);
bool known_try_get(struct known *k);      /* any RCU reader; false: it is being freed */
bool known_in_use(const struct known *k); /* somebody holds a reference besides the table */

static inline struct known *known_of(struct token *t)
{
	return container_of(t, struct known, token);
}

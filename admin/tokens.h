/* tokens.h - the token authority: makes keys, tells whose a presented key is, keeps the rows.
 *
 * A key is known only by two HMACs under the pepper (a file of this installation, not in the
 * database): of the whole key, and of token id + first 16 characters (flespi's short credential).
 * The last four characters are kept for people; they belong to the checksum. `accessed` is kept in
 * memory and written now and then: every row read here shows the latest. Service thread (main at
 * the start); another thread has a reader of its own, over a database of its own. Changes run
 * inside the caller's transaction (db_begin). */
#pragma once
#include "admin/db.h"
#include "admin/fields.h"
#include "base/bytes.h"
#include "wire/token.h"

struct tokens;

struct token_row {
	uint64_t id, cid;
	bool enabled;
	int64_t created, accessed, expire, ttl;
	int64_t ends; /* 0 = never; by expire and ttl together */
	/* as the REST API shows it, without key and hashes; owned. access and metadata are
	 * json_raw. */
	json_t *object;
};
void token_row_free(struct token_row *t); /* empties; an empty one is fine */

extern const struct field_table token_fields;

/* Reads dir/pepper, or makes it when the database is new; a pepper that is missing or not this
 * database's ends the start. */
int tokens_open(struct tokens **out, struct db *db, const char *dir, char *why,
                size_t why_size) MUST_CHECK;
/* For another thread: looks up and notes uses, changes nothing. db: that thread's. To be closed
 * before `of`. */
int tokens_open_reader(struct tokens **out, const struct tokens *of, struct db *db) MUST_CHECK;
void tokens_close(struct tokens **slot); /* writes the times of last use */

/* credential: `KEY`, `FlespiToken KEY`, `FlespiToken ID:FIRST16`. -E_NOTFOUND: nobody's. Says
 * nothing about enabled or ended. */
int tokens_find(struct tokens *t, struct str credential, struct token_row *out) MUST_CHECK;
/* Visible from the customer `scope`: own, or of a descendant; else -E_NOTFOUND. */
int tokens_get(struct tokens *t, uint64_t scope, uint64_t id, struct token_row *out) MUST_CHECK;
/* Appends it as JSON, of the wanted fields only (select_show). Service thread. */
int tokens_show(struct tokens *t, uint64_t scope, uint64_t id, uint64_t wanted,
                struct buf *out) MUST_CHECK;
int tokens_owner(struct tokens *t, uint64_t id,
                 uint64_t *cid) MUST_CHECK; /* whoever it is; for what admin does by itself */
/* fields: checked by token_fields. -E_INVALID with why: it would have ended already. */
int tokens_create(struct tokens *t, uint64_t cid, const json_t *fields, char key[TOKEN_KEY],
                  struct token_row *out, char *why, size_t why_size) MUST_CHECK;
int tokens_update(struct tokens *t, const struct token_row *old, const json_t *fields,
                  struct token_row *out, char *why, size_t why_size) MUST_CHECK;
int tokens_delete(struct tokens *t, uint64_t id) MUST_CHECK;
int tokens_count(struct tokens *t, uint64_t cid, uint64_t *out) MUST_CHECK; /* own ones */

void tokens_touch(struct tokens *t, struct token_row *row); /* used now */
int tokens_flush(struct tokens *t)
    MUST_CHECK; /* its own transaction; on error nothing is forgotten */
bool tokens_should_flush(const struct tokens *t);               /* much is waiting */
int tokens_last_use(struct tokens *t, int64_t *out) MUST_CHECK; /* of any token; 0: none was */
/* Ids of tokens that have ended by `now` (unix seconds); after tokens_flush. */
int tokens_ended(struct tokens *t, int64_t now, uint64_t *ids, size_t most,
                 size_t *count) MUST_CHECK;

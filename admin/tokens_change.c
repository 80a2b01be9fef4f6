/* tokens_change.c - making, changing and deleting tokens (tokens.h). Runs inside the caller's
 * transaction. */
#include "base/base.h"
#include "admin/tokens.h"

#include <stdio.h>

#include "acl/verdict.h"
#include "admin/ids.h"
#include "admin/tokens_parts.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/mem.h"

struct change {
	struct buf client_ids, access, limits, metadata;
	struct str info, ips, certs;
	bool enabled;
	int64_t expire, ttl, ends;
};

static void change_free(struct change *c)
{
	buf_free(&c->client_ids);
	buf_free(&c->access);
	buf_free(&c->limits);
	buf_free(&c->metadata);
}

static const json_t *pick(const json_t *fields, const json_t *old, const char *name)
{
	const json_t *v = json_object_get(fields, name);

	return v ? v : json_object_get(old, name);
}

static int write_part(struct buf *out, const json_t *value, const char *preset)
{
	if (value)
		return json_write(out, value);
	buf_str_add(out, str_c(preset));
	return buf_ok(out) ? 0 : -E_NOMEM;
}

/* What the row will hold: the fields given, else those of the old row, else the defaults. */
static int change_make(struct change *c, const json_t *fields, const json_t *old)
{
	const json_t *v = pick(fields, old, "enabled");
	int err;

	memset(c, 0, sizeof(*c));
	c->enabled = !v || json_is_true(v);
	c->expire = (int64_t)json_integer_value(pick(fields, old, "expire"));
	c->ttl = (int64_t)json_integer_value(pick(fields, old, "ttl"));
	c->info = STR("");
	c->ips = STR("");
	c->certs = STR("");
	if (!json_get_str(fields, "info", &c->info))
		(void)json_get_str(old, "info", &c->info);
	if (!json_get_str(fields, "ips", &c->ips))
		(void)json_get_str(old, "ips", &c->ips);
	if (!json_get_str(fields, "certs", &c->certs))
		(void)json_get_str(old, "certs", &c->certs);
	err = write_part(&c->client_ids, pick(fields, old, "client_ids"), "[]");
	if (!err)
		err = write_part(&c->access, pick(fields, old, "access"), "{\"type\":0}");
	if (!err)
		err = write_part(&c->limits, pick(fields, old, "limits"), "{}");
	if (!err)
		err = write_part(&c->metadata, pick(fields, old, "metadata"), "{}");
	return err;
}

static void change_bind(struct db_q *q, const struct change *c)
{
	db_text(q, c->info);
	db_bool(q, c->enabled);
	db_int(q, c->expire);
	db_int(q, c->ttl);
	db_int(q, c->ends);
	db_text(q, c->ips);
	db_text(q, c->certs);
	db_text(q, buf_str(&c->client_ids));
	db_text(q, buf_str(&c->access));
	db_text(q, buf_str(&c->limits));
	db_text(q, buf_str(&c->metadata));
}

static int ends_in_past(int64_t ends, int64_t now, char *why, size_t why_size)
{
	if (ends == 0 || ends > now)
		return 0;
	(void)snprintf(
	    why, why_size,
	    "the token would have ended already by its expire and ttl: delete it instead");
	return -E_INVALID;
}

static int insert(struct tokens *t, uint64_t cid, const struct change *c, struct str key,
                  int64_t now, uint64_t *id)
{
	uint8_t hash[CRYPT_HASH], short_hash[CRYPT_HASH];
	struct db_q q;
	int err = ids_next(t->db, "token", id);

	if (!err)
		err = tokens_hash_key(t, key, hash);
	if (!err)
		err = tokens_hash_short(t, *id, str_make(key.p, TOKEN_SHORT), short_hash);
	if (err)
		return err;
	q = db_start(t->db, "INSERT INTO token (info, enabled, expire, ttl, ends, ips, certs, "
	                    "client_ids, access, limits, metadata, id, cid, lookup, hash, "
	                    "short_hash, key_hint, created, accessed) VALUES (?, ?, ?, ?, ?, ?, ?, "
	                    "?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)");
	change_bind(&q, c);
	db_int(&q, (int64_t)*id);
	db_int(&q, (int64_t)cid);
	db_text(&q, token_lookup(key));
	db_bytes(&q, hash, sizeof(hash));
	db_bytes(&q, short_hash, sizeof(short_hash));
	db_text(&q, str_skip(key, TOKEN_KEY - 4));
	db_int(&q, now);
	return db_run(&q);
}

static int new_key(char key[TOKEN_KEY])
{
	uint8_t random[TOKEN_RANDOM];
	int err = crypt_random(random, sizeof(random));

	if (!err)
		token_make(key, random);
	mem_wipe(random, sizeof(random));
	return err;
}

int tokens_create(struct tokens *t, uint64_t cid, const json_t *fields, char key[TOKEN_KEY],
                  struct token_row *out, char *why, size_t why_size)
{
	int64_t now = clock_wall_ms() / 1000;
	char fresh[TOKEN_KEY];
	struct change c;
	uint64_t id;
	int err = change_make(&c, fields, NULL);

	if (!err) {
		c.ends = token_ends(c.expire, c.ttl, 0, now);
		err = ends_in_past(c.ends, now, why, why_size);
	}
	if (!err)
		err = new_key(fresh);
	if (!err)
		err = insert(t, cid, &c, str_make(fresh, TOKEN_KEY), now, &id);
	if (!err)
		err = tokens_get(t, cid, id, out);
	if (!err)
		memcpy(key, fresh, TOKEN_KEY);
	mem_wipe(fresh, sizeof(fresh));
	change_free(&c);
	return err;
}

int tokens_update(struct tokens *t, const struct token_row *old, const json_t *fields,
                  struct token_row *out, char *why, size_t why_size)
{
	struct change c;
	struct db_q q;
	int err = change_make(&c, fields, old->object);

	if (!err) {
		c.ends = token_ends(c.expire, c.ttl, old->accessed, old->created);
		err = ends_in_past(c.ends, clock_wall_ms() / 1000, why, why_size);
	}
	if (!err) {
		q = db_start(t->db, "UPDATE token SET info = ?, enabled = ?, expire = ?, ttl = ?, "
		                    "ends = ?, ips = ?, certs = ?, client_ids = ?, access = ?, "
		                    "limits = ?, metadata = ? WHERE id = ?");
		change_bind(&q, &c);
		db_int(&q, (int64_t)old->id);
		err = db_run(&q);
	}
	if (!err)
		err = tokens_get(t, old->cid, old->id, out);
	change_free(&c);
	return err;
}

int tokens_delete(struct tokens *t, uint64_t id)
{
	struct db_q q = db_start(t->db, "DELETE FROM token WHERE id = ?");

	db_int(&q, (int64_t)id);
	return db_run(&q);
}

int tokens_count(struct tokens *t, uint64_t cid, uint64_t *out)
{
	struct db_q q = db_start(t->db, "SELECT count(*) FROM token WHERE cid = ?");
	uint64_t n = 0;
	int err;

	db_int(&q, (int64_t)cid);
	if (db_row(&q))
		n = (uint64_t)db_get_int(&q, 0);
	err = db_end(&q);
	if (!err)
		*out = n;
	return err;
}

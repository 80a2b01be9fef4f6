/* tokens.c - rows of tokens, and the credentials that stand for them (tokens.h). */
#include "base/base.h"
#include "admin/tokens.h"

#include "acl/limits.h"
#include <stdio.h>

#include "acl/verdict.h"
#include "admin/select.h"
#include "admin/tokens_parts.h"
#include "base/crypt.h"
#include "base/log.h"
#include "base/mem.h"

#define COLUMNS \
	"t.id, t.cid, t.key_hint, t.info, t.enabled, t.created, t.accessed, t.expire, t.ttl, " \
	"t.ips, t.certs, t.client_ids, t.access, " \
	"t.limits, t.metadata"
enum {
	C_ID,
	C_CID,
	C_HINT,
	C_INFO,
	C_ENABLED,
	C_CREATED,
	C_ACCESSED,
	C_EXPIRE,
	C_TTL,
	C_IPS,
	C_CERTS,
	C_CLIENT_IDS,
	C_ACCESS,
	C_LIMITS,
	C_METADATA,
	C_MORE
};
#define SCOPED "FROM customer_branch b JOIN token t ON t.cid = b.descendant WHERE b.ancestor = ?1"

/* ---- Fields ---- */
static int check_access(const json_t *value, char *why, size_t why_size)
{
	struct acl *acl;
	char cause[200];
	int err = acl_compile_rest(&acl, value, cause, sizeof(cause));

	if (!err)
		acl_put(&acl);
	else
		(void)snprintf(why, why_size, "access: %s",
		               err == -E_NOMEM ? "out of memory" : cause);
	return err;
}

static int check_ips(const json_t *value, char *why, size_t why_size)
{
	struct str ips = str_make(json_string_value(value), json_string_length(value));

	if (ips.n == 0 || token_ips_ok(ips))
		return 0;
	(void)snprintf(why, why_size,
	               "ips must be comma-separated addresses with * and ?, at most %d",
	               VERDICT_IPS_MAX);
	return -E_INVALID;
}

static int check_certs(const json_t *value, char *why, size_t why_size)
{
	struct str certs = str_make(json_string_value(value), json_string_length(value));

	if (certs.n == 0 || token_certs_ok(certs))
		return 0;
	(void)snprintf(why, why_size,
	               "certs must be comma-separated names of certificates with * and ?, at most "
	               "%d of at most %d bytes, without spaces around them",
	               VERDICT_CERTS_MAX, VERDICT_CERT_NAME_MAX);
	return -E_INVALID;
}

static int check_client_ids(const json_t *value, char *why, size_t why_size)
{
	char *masks = NULL;
	int err = client_ids_read(&masks, value, why, why_size);

	mem_free(masks);
	return err;
}

enum { BOTH = FIELD_CREATE | FIELD_UPDATE };
#define FAR INT64_C(253402300799) /* the end of the year 9999, as acl/verdict.c reads it */

static const struct field list[] = {
	{ "id", FIELD_INT, 0, 0, 0, "t.id", NULL },
	{ "cid", FIELD_INT, 0, 0, 0, "t.cid", NULL },
	{ "key", FIELD_TEXT, 0, 0, 0, NULL, NULL },
	{ "key_hint", FIELD_TEXT, 0, 0, 0, "t.key_hint", NULL },
	{ "info", FIELD_TEXT, BOTH, 0, 512, "t.info", NULL },
	{ "enabled", FIELD_BOOL, BOTH, 0, 0, "t.enabled", NULL },
	{ "created", FIELD_INT, 0, 0, 0, "t.created", NULL },
	{ "accessed", FIELD_INT, 0, 0, 0, NULL, NULL },
	{ "expire", FIELD_INT, BOTH, 0, FAR, "t.expire", NULL },
	{ "ttl", FIELD_INT, BOTH, 0, 1000000000, "t.ttl", NULL },
	{ "ips", FIELD_TEXT, BOTH, 0, 4096, "t.ips", check_ips },
	{ "certs", FIELD_TEXT, BOTH, 0, 4096, "t.certs", check_certs },
	{ "client_ids", FIELD_LIST, BOTH, 0, 0,
	  /* the text is asked first, because it is quick */
	  "CASE WHEN instr(t.client_ids, json_quote(?2)) THEN "
	  "(SELECT value FROM json_each(t.client_ids) WHERE value = ?2) END",
	  check_client_ids },
	{ "access", FIELD_OBJECT, BOTH, 0, 0, NULL, check_access },
	{ "limits", FIELD_OBJECT, BOTH, 0, 0, NULL, limits_check_token },
	{ "metadata", FIELD_OBJECT, BOTH, 0, 0, NULL, fields_check_metadata },
};

static const char *const columns[] = {
	"t.id",         "t.cid",      NULL,       "t.key_hint", "t.info", "t.enabled",
	"t.created",    "t.accessed", "t.expire", "t.ttl",      "t.ips",  "t.certs",
	"t.client_ids", "t.access",   "t.limits", "t.metadata",
};
_Static_assert(ARRAY_LEN(columns) == ARRAY_LEN(list), "one per field");

const struct field_table token_fields = {
	.item = "token",
	.list = list,
	.count = ARRAY_LEN(list),
	.from = SCOPED,
	.id = "t.id",
	.stored = columns,
};

/* ---- Rows ---- */
void token_row_free(struct token_row *t)
{
	json_decref(t->object);
	memset(t, 0, sizeof(*t));
}

static json_t *text_json(struct str s)
{
	return json_stringn(s.p ? s.p : "", s.n);
}

static json_t *row_object(struct db_q *q, const struct token_row *r)
{
	json_t *o = json_object();
	int bad = 0;

	bad |= json_object_set_new(o, "id", json_integer((json_int_t)r->id));
	bad |= json_object_set_new(o, "cid", json_integer((json_int_t)r->cid));
	bad |= json_object_set_new(o, "key_hint", text_json(db_get_text(q, C_HINT)));
	bad |= json_object_set_new(o, "info", text_json(db_get_text(q, C_INFO)));
	bad |= json_object_set_new(o, "enabled", json_boolean(r->enabled));
	bad |= json_object_set_new(o, "created", json_integer(r->created));
	bad |= json_object_set_new(o, "accessed", json_integer(r->accessed));
	bad |= json_object_set_new(o, "expire", json_integer(r->expire));
	bad |= json_object_set_new(o, "ttl", json_integer(r->ttl));
	bad |= json_object_set_new(o, "ips", text_json(db_get_text(q, C_IPS)));
	bad |= json_object_set_new(o, "certs", text_json(db_get_text(q, C_CERTS)));
	bad |= json_object_set_new(o, "client_ids", fields_stored(db_get_text(q, C_CLIENT_IDS)));
	bad |= json_object_set_new(o, "access", json_raw(db_get_text(q, C_ACCESS)));
	bad |= json_object_set_new(o, "limits", fields_stored(db_get_text(q, C_LIMITS)));
	bad |= json_object_set_new(o, "metadata", json_raw(db_get_text(q, C_METADATA)));
	if (!bad)
		return o;
	json_decref(o);
	return NULL;
}

static int row_read(struct tokens *t, struct db_q *q, struct token_row *out)
{
	struct token_row r = {
		.id = (uint64_t)db_get_int(q, C_ID),
		.cid = (uint64_t)db_get_int(q, C_CID),
		.enabled = db_get_int(q, C_ENABLED) != 0,
		.created = db_get_int(q, C_CREATED),
		.accessed = db_get_int(q, C_ACCESSED),
		.expire = db_get_int(q, C_EXPIRE),
		.ttl = db_get_int(q, C_TTL),
	};
	int64_t touched = tokens_touched(t, r.id);

	if (touched > r.accessed)
		r.accessed = touched;
	r.ends = token_ends(r.expire, r.ttl, r.accessed, r.created);
	r.object = row_object(q, &r);
	if (!r.object)
		return -E_NOMEM;
	*out = r;
	return 0;
}

/* Ends q. */
static int row_one(struct tokens *t, struct db_q *q, struct token_row *out)
{
	int found = -E_NOTFOUND, err;

	if (db_row(q))
		found = row_read(t, q, out);
	err = db_end(q);
	if (!err)
		return found;
	if (!found)
		token_row_free(out);
	return err;
}

int tokens_get(struct tokens *t, uint64_t scope, uint64_t id, struct token_row *out)
{
	struct db_q q = db_start(t->db, "SELECT " COLUMNS " " SCOPED " AND t.id = ?2");

	db_int(&q, (int64_t)scope);
	db_int(&q, (int64_t)id);
	return row_one(t, &q, out);
}

static int64_t accessed(void *arg, uint64_t id)
{
	return tokens_touched(arg, id);
}

int tokens_show(struct tokens *t, uint64_t scope, uint64_t id, uint64_t wanted, struct buf *out)
{
	struct select_newer newer = { "accessed", accessed, t };

	return select_show(t->db, &token_fields, scope, id, wanted, &newer, out);
}

int tokens_owner(struct tokens *t, uint64_t id, uint64_t *cid)
{
	struct db_q q = db_start(t->db, "SELECT cid FROM token WHERE id = ?");
	uint64_t owner = 0;
	int err;

	db_int(&q, (int64_t)id);
	if (db_row(&q))
		owner = (uint64_t)db_get_int(&q, 0);
	err = db_end(&q);
	if (err)
		return err;
	if (!owner)
		return -E_NOTFOUND;
	*cid = owner;
	return 0;
}

/* ---- Credentials ---- */
/* The words keep the two kinds of hash apart: one can never be presented as the other. */
int tokens_hash_key(const struct tokens *t, struct str key, uint8_t out[CRYPT_HASH])
{
	char text[8 + TOKEN_KEY];
	int err;

	MUST(key.n == TOKEN_KEY); /* callers have asked token_key_ok() */
	memcpy(text, "mbuskey:", 8);
	memcpy(text + 8, key.p, TOKEN_KEY);
	err = crypt_hmac(out, str_make(t->pepper, PEPPER), str_make(text, sizeof(text)));
	mem_wipe(text, sizeof(text));
	return err;
}

int tokens_hash_short(const struct tokens *t, uint64_t id, struct str first16,
                      uint8_t out[CRYPT_HASH])
{
	char text[64];
	int n = snprintf(text, sizeof(text), "mbusshort:%llu:%.*s", (unsigned long long)id,
	                 STR_ARG(first16));
	int err;

	MUST(n > 0 && (size_t)n < sizeof(text)); /* TOKEN_SHORT bytes, and a number */
	err = crypt_hmac(out, str_make(t->pepper, PEPPER), str_make(text, (size_t)n));
	mem_wipe(text, sizeof(text));
	return err;
}

/* A credential that nobody has costs the same comparison as one whose secret is wrong. Ends q. */
static int judge(struct tokens *t, struct db_q *q, const uint8_t expected[CRYPT_HASH],
                 struct token_row *out)
{
	static const uint8_t nobody[CRYPT_HASH] = { 0 };
	bool there = db_row(q), equal;
	struct str stored = there ? db_get_bytes(q, C_MORE) : str_make(nobody, CRYPT_HASH);
	int found = -E_NOTFOUND, err;

	equal = stored.n == CRYPT_HASH && crypt_equal(stored.p, expected, CRYPT_HASH);
	if (there && equal)
		found = row_read(t, q, out);
	err = db_end(q);
	if (!err)
		return found;
	if (!found)
		token_row_free(out);
	return err;
}

static int find_key(struct tokens *t, struct str key, struct token_row *out)
{
	uint8_t hash[CRYPT_HASH];
	struct db_q q;
	int err = tokens_hash_key(t, key, hash);

	if (err)
		return err;
	q = db_start(t->db, "SELECT " COLUMNS ", t.hash FROM token t WHERE t.lookup = ?1");
	db_text(&q, token_lookup(key));
	return judge(t, &q, hash, out);
}

static int find_short(struct tokens *t, uint64_t id, struct str first16, struct token_row *out)
{
	uint8_t hash[CRYPT_HASH];
	struct db_q q;
	int err = tokens_hash_short(t, id, first16, hash);

	if (err)
		return err;
	q = db_start(t->db, "SELECT " COLUMNS ", t.short_hash FROM token t WHERE t.id = ?1");
	db_int(&q, (int64_t)id);
	return judge(t, &q, hash, out);
}

int tokens_find(struct tokens *t, struct str credential, struct token_row *out)
{
	struct str key = token_strip(credential);
	const char *colon = key.n ? memchr(key.p, ':', key.n) : NULL;
	uint64_t id;

	if (token_key_ok(key))
		return find_key(t, key, out);
	if (colon) {
		struct str number = str_make(key.p, (size_t)(colon - key.p));
		struct str first16 = str_skip(key, number.n + 1);

		if (token_short_ok(number, first16, &id) && id <= INT64_MAX)
			return find_short(t, id, first16, out);
	}
	return -E_NOTFOUND;
}

/* ---- Life ---- */
int tokens_open(struct tokens **out, struct db *db, const char *dir, char *why, size_t why_size)
{
	struct tokens *t = mem_zalloc(sizeof(*t));
	int err = t ? used_open(&t->used) : -E_NOMEM;

	if (err) {
		(void)snprintf(why, why_size, "out of memory");
		mem_free(t);
		return err;
	}
	t->db = db;
	err = pepper_open(t->pepper, db, dir, why, why_size);
	if (err) {
		used_close(&t->used);
		mem_free(t);
	} else {
		*out = t;
	}
	return err;
}

int tokens_open_reader(struct tokens **out, const struct tokens *of, struct db *db)
{
	struct tokens *t = mem_zalloc(sizeof(*t));

	if (!t)
		return -E_NOMEM;
	t->db = db;
	memcpy(t->pepper, of->pepper, PEPPER);
	t->used = of->used;
	t->reader = true;
	*out = t;
	return 0;
}

void tokens_close(struct tokens **slot)
{
	struct tokens *t = *slot;

	*slot = NULL;
	if (!t)
		return;
	if (!t->reader) {
		if (tokens_flush(t))
			LOG_WARN("", "last-use-lost", "count=%zu", used_waiting(t->used));
		used_close(&t->used);
	}
	mem_wipe(t, sizeof(*t));
	mem_free(t);
}

/* verdict.c - reading a token object (verdict.h). One reader for what an endpoint answers, what the
 * bus pushes and what admin stores.
 *
 * Strict where a mistake would let somebody in: a number that is negative, too large or not an
 * integer, or a word of another type, makes the whole object invalid, and an invalid object is
 * nobody's verdict (promise 2: a strange answer never lets anyone in). */
#include "base/base.h"
#include "acl/verdict.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"
#include "wire/mqtt.h"

/* 9999-12-31. Times and durations up to here can be added without a thought. */
#define TIME_MAX INT64_C(253402300799)

struct reading {
	const json_t *object;
	char *why;
	size_t why_size;
};

static int complain(const struct reading *r, const char *format, ...) PRINTF_LIKE(2, 3);

static int complain(const struct reading *r, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(r->why, r->why_size, format, args);
	va_end(args);
	return -E_INVALID;
}

/* ---- Numbers ---- */

/* An integer least..most; *out is what it was before if the key is missing. */
static int read_number(const struct reading *r, const json_t *in, const char *key, int64_t least,
                       int64_t most, int64_t *out)
{
	const json_t *value = json_object_get(in, key);

	if (!value)
		return 0;
	if (!json_is_integer(value))
		return complain(r, "%s must be an integer", key);
	if (json_integer_value(value) < least || json_integer_value(value) > most)
		return complain(r, "%s is out of range", key);
	*out = json_integer_value(value);
	return 0;
}

int64_t token_ends(int64_t expire, int64_t ttl, int64_t accessed, int64_t created)
{
	int64_t idle = ttl ? (accessed ? accessed : created) + ttl : 0;

	return expire > idle ? expire : idle; /* valid while either is; 0 if there is neither */
}

static int read_times(const struct reading *r, struct token_info *t)
{
	int64_t expire = 0, ttl = 0, accessed = 0, created = 0;
	int err;

	if ((err = read_number(r, r->object, "expire", 0, TIME_MAX, &expire)) ||
	    (err = read_number(r, r->object, "ttl", 0, TIME_MAX, &ttl)) ||
	    (err = read_number(r, r->object, "accessed", 0, TIME_MAX, &accessed)) ||
	    (err = read_number(r, r->object, "created", 0, TIME_MAX, &created)))
		return err;
	if (ttl && !accessed && !created)
		return complain(r, "ttl needs accessed or created to count from");
	t->expire = token_ends(expire, ttl, accessed, created);
	return 0;
}

/* ---- Masks ---- */

static bool next_mask(struct str *list, struct str *mask)
{
	const char *comma;

	if (!list->p)
		return false;
	comma = list->n ? memchr(list->p, ',', list->n) : NULL;
	if (comma) {
		*mask = str_make(list->p, (size_t)(comma - list->p));
		*list = str_skip(*list, mask->n + 1);
	} else {
		*mask = *list;
		*list = STR_NONE;
	}
	return true;
}

/* The end of a character of UTF-8 that begins at `at`. */
static size_t next_char(struct str s, size_t at)
{
	do {
		at++;
	} while (at < s.n && ((uint8_t)s.p[at] & 0xc0) == 0x80);
	return at;
}

static bool begins_char(struct str s, size_t at)
{
	return ((uint8_t)s.p[at] & 0xc0) != 0x80;
}

/* Both whole UTF-8. Only the last '*' is ever widened again, so the work is at most mask times
 * text. */
static bool mask_fits(struct str mask, struct str text, char (*same)(char))
{
	size_t m = 0, a = 0, star = SIZE_MAX, resume = 0;

	while (a < text.n) {
		if (m < mask.n && mask.p[m] == '*') {
			star = m++;
			resume = a;
		} else if (m < mask.n && mask.p[m] == '?' && begins_char(text, a)) {
			m++;
			a = next_char(text, a);
		} else if (m < mask.n && mask.p[m] != '?' && same(mask.p[m]) == same(text.p[a])) {
			m++;
			a++;
		} else if (star != SIZE_MAX) {
			m = star + 1;
			a = ++resume;
		} else {
			return false;
		}
	}
	while (m < mask.n && mask.p[m] == '*')
		m++;
	return m == mask.n;
}

static bool masks_ok(struct str masks, unsigned most, bool (*ok)(struct str mask))
{
	struct str mask;
	unsigned count = 0;

	if (!masks.p)
		return false;
	while (next_mask(&masks, &mask)) {
		if (++count > most || !ok(mask))
			return false;
	}
	return true;
}

static bool masks_fit(struct str masks, struct str text, char (*same)(char))
{
	struct str mask;

	while (text.n && next_mask(&masks, &mask)) {
		if (mask_fits(mask, text, same))
			return true;
	}
	return false;
}

/* ---- Addresses ---- */

enum { MASK_MAX = 64 }; /* longer than any address; bounds the work of mask_fits */

static bool ip_mask_ok(struct str mask)
{
	if (mask.n == 0 || mask.n > MASK_MAX)
		return false;
	for (size_t i = 0; i < mask.n; i++) {
		if (!mask.p[i] || !strchr("0123456789abcdefABCDEF.:*?", mask.p[i]))
			return false;
	}
	return true;
}

bool token_ips_ok(struct str ips)
{
	return masks_ok(ips, VERDICT_IPS_MAX, ip_mask_ok);
}

static char lower(char c)
{
	return c >= 'A' && c <= 'F' ? (char)(c - 'A' + 'a') : c;
}

bool token_ips_allow(const char *ips, struct str address)
{
	const struct str mapped = STR("::ffff:");

	if (!ips)
		return true;
	/* An IPv4 client of a socket that takes both families: masks are written for what people
	 * know as its address. */
	if (str_starts(address, mapped) && memchr(address.p, '.', address.n))
		address = str_skip(address, mapped.n);
	return masks_fit(str_c(ips), address, lower);
}

/* ---- Certificates ---- */

/* An identity has no invisible character: U+FEFF, which a topic may have. */
bool token_cert_name_ok(struct str name)
{
	return name.n > 0 && name.n <= VERDICT_CERT_NAME_MAX && mqtt_name_ok(name) &&
	       !memmem(name.p, name.n, "\xef\xbb\xbf", 3);
}

static bool cert_mask_ok(struct str mask)
{
	return token_cert_name_ok(mask) && mask.p[0] != ' ' && mask.p[mask.n - 1] != ' ';
}

bool token_certs_ok(struct str certs)
{
	return masks_ok(certs, VERDICT_CERTS_MAX, cert_mask_ok);
}

static char itself(char c)
{
	return c;
}

bool token_certs_allow(const char *certs, struct str name)
{
	return !certs || masks_fit(str_c(certs), name, itself);
}

/* ---- Both, in a token ---- */

/* NULL for "from anywhere", which an absent and an empty one are. */
static int read_masks(const struct reading *r, const char *key, bool (*ok)(struct str masks),
                      const char *form, char **out)
{
	struct str masks;

	if (!json_object_get(r->object, key))
		return 0;
	if (!json_get_str(r->object, key, &masks))
		return complain(r, "%s must be a string", key);
	if (masks.n == 0)
		return 0;
	if (!ok(masks))
		return complain(r, "%s must be at most %s", key, form);
	*out = str_dup_z(masks);
	return *out ? 0 : -E_NOMEM;
}

static int read_client_ids(const struct reading *r, char **out)
{
	const json_t *list = json_object_get(r->object, "client_ids");

	return list ? client_ids_read(out, list, r->why, r->why_size) : 0;
}

/* ---- The object ---- */

static int read_identity(const struct reading *r, struct token_info *t)
{
	int64_t id = 0, cid = 0;
	int err;

	if ((err = read_number(r, r->object, "id", 1, INT64_MAX, &id)) ||
	    (err = read_number(r, r->object, "cid", 1, INT64_MAX, &cid)))
		return err;
	if (cid == 0)
		return complain(r, "cid is missing");
	if (!json_get_bool(r->object, "enabled", &t->enabled))
		return complain(r, "enabled must be true or false");
	if (json_object_get(r->object, "blocked") &&
	    !json_get_bool(r->object, "blocked", &t->customer_blocked))
		return complain(r, "blocked must be true or false");
	if (json_object_get(r->object, "flespi_extensions") &&
	    !json_get_bool(r->object, "flespi_extensions", &t->flespi_extensions))
		return complain(r, "flespi_extensions must be true or false");
	t->id = (uint64_t)id;
	t->customer = (uint64_t)cid;
	return 0;
}

int token_info_read(struct token_info *out, const json_t *object, char *why, size_t why_size)
{
	struct reading r = { object, why, why_size };
	struct token_info t = { 0 };
	int err;

	if (!json_is_object(object))
		return complain(&r, "a token must be an object");
	if (!json_object_get(object, "access"))
		return complain(&r, "access is missing");
	if ((err = read_identity(&r, &t)) || (err = read_times(&r, &t)) ||
	    (err = limits_read(&t.limits, object, why, why_size)) ||
	    (err = read_masks(&r, "ips", token_ips_ok, "64 masks such as 10.0.*,192.168.1.?",
	                      &t.ips)) ||
	    (err = read_masks(&r, "certs", token_certs_ok, "64 masks such as lamp-*,gateway 7",
	                      &t.certs)) ||
	    (err = read_client_ids(&r, &t.client_ids)) ||
	    (err = acl_compile(&t.acl, json_object_get(object, "access"), why, why_size))) {
		if (err == -E_NOMEM)
			(void)complain(&r, "out of memory");
		token_info_free(&t);
		return err;
	}
	*out = t;
	return 0;
}

int token_info_read_reply(struct token_info *out, struct str body, char *why, size_t why_size)
{
	struct reading r = { NULL, why, why_size };
	const json_t *result, *errors;
	json_t *reply;
	int err = json_read(&reply, body, VERDICT_BODY_MAX, JSON_DEPTH, why, why_size);

	if (err)
		return err;
	result = json_object_get(reply, "result");
	errors = json_object_get(reply, "errors");
	if (errors && (!json_is_array(errors) || json_array_size(errors) > 0))
		err = complain(&r, "the answer has errors");
	else if (!json_is_array(result) || json_array_size(result) != 1)
		err = complain(&r, "the answer must be {\"result\":[..]} with one element");
	else
		err = token_info_read(out, json_array_get(result, 0), why, why_size);
	json_decref(reply);
	return err;
}

void token_info_free(struct token_info *t)
{
	if (!t)
		return;
	acl_put(&t->acl);
	limits_free(&t->limits);
	mem_free(t->ips);
	mem_free(t->certs);
	mem_free(t->client_ids);
	*t = (struct token_info){ 0 };
}

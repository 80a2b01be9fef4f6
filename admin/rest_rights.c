/* rest_rights.c - what a token's access list allows over REST (rest.h). Each call asks; a list of a
 * thousand entries takes a millisecond to read, so those of the last callers are kept. The text is
 * the key, so nothing has to be forgotten when a token changes. */
#include "base/base.h"
#include "admin/rest.h"

#include "acl/acl.h"
#include "base/hash.h"
#include "base/mem.h"

enum { LONG = 1024, STORED = 4 << 20 };

static int read_text(struct acl **out, struct str text)
{
	char why[100];
	json_t *access;
	int err = json_read(&access, text, STORED, JSON_DEPTH, why, sizeof(why));

	if (err)
		return err;
	err = acl_compile_rest(out, access, why, sizeof(why));
	json_decref(access);
	return err;
}

static struct acl *find(const struct rights *r, struct str text, uint64_t hash)
{
	for (unsigned i = 0; i < RIGHTS_KEPT; i++) {
		if (r->kept[i].hash == hash && r->kept[i].text.p && str_eq(r->kept[i].text, text))
			return acl_get(r->kept[i].acl);
	}
	return NULL;
}

/* A full set evicts round-robin. Without memory nothing is kept. */
static void keep(struct rights *r, struct str text, uint64_t hash, struct acl *acl)
{
	char *copy = mem_dup(text.p, text.n);
	unsigned i = r->next;

	if (!copy)
		return;
	mem_free((char *)(uintptr_t)r->kept[i].text.p);
	acl_put(&r->kept[i].acl);
	r->kept[i].hash = hash;
	r->kept[i].text = str_make(copy, text.n);
	r->kept[i].acl = acl_get(acl);
	r->next = (i + 1) % RIGHTS_KEPT;
}

static int rights_of(struct rights *r, struct str text, struct acl **out)
{
	uint64_t hash;
	int err;

	if (text.n < LONG)
		return read_text(out, text);
	hash = hash_bytes(text.p, text.n);
	*out = find(r, text, hash);
	if (*out)
		return 0;
	err = read_text(out, text);
	if (!err)
		keep(r, text, hash, *out);
	return err;
}

bool rest_may(struct rest *r, const struct token_row *t, const char *uri, const char *submodule,
              const char *method)
{
	struct str text;
	struct acl *acl;
	bool may;

	if (!json_raw_text(json_object_get(t->object, "access"), &text) ||
	    rights_of(&r->rights, text, &acl))
		return false;
	may = acl_may_rest(acl, str_c(uri), str_c(submodule), str_c(method));
	acl_put(&acl);
	return may;
}

void rights_free(struct rights *r)
{
	for (unsigned i = 0; i < RIGHTS_KEPT; i++) {
		mem_free((char *)(uintptr_t)r->kept[i].text.p);
		acl_put(&r->kept[i].acl);
	}
	memset(r, 0, sizeof(*r));
}

/* acl_help.h - access lists in a short form for tables:  "ps a/#, s +/temp, p x"  is three entries
 * with topic and actions (p publish, s subscribe). "master", "standard" and "" (a list without
 * entries) are words of their own; "state" and "logs" are the REST rights that open a part of
 * flespi/. */
#pragma once
#include <stdio.h>

#include "acl/acl.h"
#include "base/bytes.h"
#include "tests/kit/kit.h"

static inline json_t *json_of(const char *text)
{
	char why[128];
	json_t *value = NULL;

	if (json_read(&value, str_c(text), 1 << 22, JSON_DEPTH, why, sizeof(why)))
		fail_msg("%s: %s", why, text);
	return value;
}

static inline void entry_json(struct buf *b, struct str words)
{
	const char *space = memchr(words.p, ' ', words.n);
	struct str verbs = str_make(words.p, space ? (size_t)(space - words.p) : words.n);

	if (str_eq(words, STR("state"))) {
		buf_printf(b, "{\"uri\":\"mqtt\",\"methods\":[\"GET\"]}");
	} else if (str_eq(words, STR("logs"))) {
		buf_printf(b, "{\"uri\":\"mqtt\",\"submodules\":[{\"name\":\"logs\",\"methods\":["
		              "\"GET\"]}]}");
	} else {
		struct str topic = str_skip(words, verbs.n + 1);

		buf_printf(b, "{\"uri\":\"mqtt\",\"topic\":\"%.*s\",\"actions\":[%s]}",
		           STR_ARG(topic),
		           verbs.n == 2        ? "\"publish\",\"subscribe\""
		           : verbs.p[0] == 'p' ? "\"publish\""
		                               : "\"subscribe\"");
	}
}

static inline json_t *access_of(const char *grants)
{
	struct buf b = { 0 };
	json_t *value;

	if (strcmp(grants, "master") == 0)
		return json_of("{\"type\":1}");
	if (strcmp(grants, "standard") == 0)
		return json_of("{\"type\":0}");
	buf_printf(&b, "{\"type\":2,\"acl\":[");
	for (const char *p = grants; *p;) {
		size_t n = strcspn(p, ",");

		entry_json(&b, str_make(p, n));
		p += n;
		if (*p) {
			buf_u8(&b, ',');
			p += strspn(p, ", ");
		}
	}
	buf_printf(&b, "]}%c", 0);
	value = json_of((const char *)buf_data(&b));
	buf_free(&b);
	return value;
}

static inline struct acl *acl_of(const char *grants)
{
	json_t *access = access_of(grants);
	struct acl *acl = NULL;
	char why[128] = "";

	if (acl_compile(&acl, access, why, sizeof(why)))
		fail_msg("%s: %s", grants, why);
	json_decref(access);
	return acl;
}

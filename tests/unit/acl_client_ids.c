/* Which client ids a token is for: masks held against a slow matcher that tries everything, what a
 * list may be, and that no mask takes long. */
#include "base/base.h"
#include "acl/client_ids.h"
#include "acl/verdict.h"
#include "tests/kit/kit.h"
#include "tests/unit/acl_help.h"

/* The text of a list, or NULL and why not. */
static char *masks_of(const char *json, char *why, size_t why_size)
{
	json_t *list = json_of(json);
	char *masks = NULL;
	int err = client_ids_read(&masks, list, why, why_size);

	json_decref(list);
	IS(err, why[0] ? -E_INVALID : 0);
	return masks;
}

static bool allows(const char *json, const char *id)
{
	char why[200] = "", *masks = masks_of(json, why, sizeof(why));
	bool yes = client_ids_allow(masks, guard_str(str_c(id)));

	guard_reset();
	IS_STR(str_c(why), "");
	mem_free(masks);
	return yes;
}

static const struct {
	const char *list, *id;
	bool allowed;
} rows[] = {
	{ "[]", "anything", true },
	{ "[]", "", true },
	{ "[\"lamp-7\"]", "lamp-7", true },
	{ "[\"lamp-7\"]", "lamp-70", false },
	{ "[\"lamp-7\"]", "lamp-", false },
	{ "[\"lamp-7\"]", "Lamp-7", false },
	{ "[\"lamp-7\"]", "", false },
	{ "[\"lamp-*\"]", "lamp-", true },
	{ "[\"lamp-*\"]", "lamp-7", true },
	{ "[\"lamp-*\"]", "lamp", false },
	{ "[\"lamp-*\"]", "xlamp-7", false },
	{ "[\"*-lamp\"]", "7-lamp", true },
	{ "[\"*-lamp\"]", "7-lamps", false },
	{ "[\"a*a\"]", "aa", true },
	{ "[\"a*a\"]", "a", false }, /* its one letter is not two */
	{ "[\"ab*ba\"]", "aba", false },
	{ "[\"a*b*c\"]", "a-b-c", true },
	{ "[\"a*b*c\"]", "a-c-b", false },
	{ "[\"a*bc*bc\"]", "abcbc", true },
	{ "[\"a*bc*bc\"]", "abc", false },
	{ "[\"*\"]", "anything", true },
	{ "[\"*\"]", "", true },
	{ "[\"**\"]", "x", true },
	{ "[\"*aab*\"]", "aaab", true },
	{ "[\"*abab*\"]", "abaabab", true },
	{ "[\"x\",\"lamp-*\",\"gateway 7\"]", "gateway 7", true },
	{ "[\"x\",\"lamp-*\",\"gateway 7\"]", "gateway 8", false },
	/* everything but the star stands for itself */
	{ "[\"a,b\"]", "a,b", true },
	{ "[\"a,b\"]", "a", false },
	{ "[\"a?\"]", "a?", true },
	{ "[\"a?\"]", "ab", false },
	{ "[\"+/#\"]", "+/#", true },
	{ "[\"[a-z]\"]", "b", false },
	{ "[\"a\\\\\"]", "a\\", true },
	{ "[\"a*\"]", "a*", true },
	{ "[\"l\xc3\xa4mp*\"]", "l\xc3\xa4mp \xf0\x9f\x92\xa1", true },
	{ "[\"l*mp\"]", "l\xc3\xa4mp", true },
};

static void the_table_of_client_ids_holds(void)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (allows(rows[i].list, rows[i].id) != rows[i].allowed)
			fail_msg("%s %s", rows[i].list, rows[i].id);
	}
}

/* ---- Against a matcher that tries everything ---- */

static bool slow(const char *mask, const char *id)
{
	if (*mask == '*')
		return slow(mask + 1, id) || (*id && slow(mask, id + 1));
	return *mask ? *mask == *id && slow(mask + 1, id + 1) : !*id;
}

static size_t any_text(char *out, size_t most, const char *letters)
{
	size_t n = (size_t)any_below(most + 1);

	for (size_t i = 0; i < n; i++)
		out[i] = letters[any_below(strlen(letters))];
	out[n] = '\0';
	return n;
}

static void every_mask_fits_what_it_should_and_nothing_else(void)
{
	unsigned fit[2] = { 0, 0 };

	for (unsigned i = 0; i < 200000; i++) {
		char mask[12], id[16];
		bool should;

		if (!any_text(mask, sizeof(mask) - 1, i % 2 ? "ab*" : "aab**c"))
			continue;
		(void)any_text(id, sizeof(id) - 1, i % 3 ? "ab" : "aabc");
		should = slow(mask, id);
		if (client_ids_allow(mask, guard_str(str_c(id))) != should)
			fail_msg("mask %s id %s", mask, id);
		guard_reset();
		fit[should]++;
	}
	YES(fit[0] > 10000 && fit[1] > 10000);
}

static void one_of_several_masks_is_enough(void)
{
	for (unsigned i = 0; i < 20000; i++) {
		char masks[64] = "", one[4][8], id[8];
		bool should = false;
		size_t at = 0;

		(void)any_text(id, sizeof(id) - 1, "ab");
		for (size_t m = 0; m < ARRAY_LEN(one); m++) {
			if (!any_text(one[m], sizeof(one[m]) - 1, "ab*"))
				(void)strcpy(one[m], "b");
			should = should || slow(one[m], id);
			at += (size_t)snprintf(masks + at, sizeof(masks) - at, "%s%s",
			                       m ? "\n" : "", one[m]);
		}
		IS(client_ids_allow(masks, str_c(id)), should);
	}
}

/* A matcher that goes back to every star would not come to an end here. */
static void no_mask_takes_long(void)
{
	enum { ID = 16384 };
	static char id[ID + 1], masks[CLIENT_IDS_BYTES];
	size_t at = 0;

	memset(id, 'a', ID);
	while (at + 256 < sizeof(masks)) {
		for (size_t i = 0; i < 254; i++)
			masks[at++] = "*a"[i % 2];
		masks[at++] = 'b';
		masks[at++] = '\n';
	}
	masks[at - 1] = '\0';
	NO(client_ids_allow(masks, str_make(id, ID)));
	memset(masks, 'a', 250);
	masks[0] = '*';
	(void)strcpy(masks + 250, "b*");
	NO(client_ids_allow(masks, str_make(id, ID)));
	id[ID - 1] = 'b';
	YES(client_ids_allow(masks, str_make(id, ID)));
}

/* ---- What a list may be ---- */

static void list_of(struct buf *out, unsigned count, size_t bytes)
{
	buf_reset(out);
	buf_u8(out, '[');
	for (unsigned i = 0; i < count; i++) {
		buf_str_add(out, i ? STR(",\"") : STR("\""));
		for (size_t n = 0; n < bytes; n++)
			buf_u8(out, 'a');
		buf_u8(out, '"');
	}
	buf_str_add(out, STR("]"));
	buf_u8(out, 0);
}

static void a_list_has_so_many_masks_of_so_many_bytes(void)
{
	static const struct {
		unsigned count;
		size_t bytes;
		bool fine;
	} sizes[] = {
		{ 1, 1, true },   { 1, 0, false },   { 1, 255, true },   { 1, 256, false },
		{ 64, 63, true }, { 64, 64, false }, /* 64 * 64 = 4096 with what parts them */
		{ 65, 1, false }, { 16, 255, true }, { 17, 255, false }, { 0, 0, true },
	};
	struct buf json = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		char why[200] = "", *masks;

		list_of(&json, sizes[i].count, sizes[i].bytes);
		masks = masks_of((const char *)buf_data(&json), why, sizeof(why));
		IS(why[0] == 0, sizes[i].fine);
		IS(masks != NULL, sizes[i].fine && sizes[i].count > 0);
		mem_free(masks);
	}
	buf_free(&json);
}

static void what_is_no_list_of_client_ids_is_refused(void)
{
	static const char *const bad[] = {
		"\"lamp\"",
		"{}",
		"null",
		"7",
		"[7]",
		"[null]",
		"[[\"a\"]]",
		"[\"a\",\"\"]",
		"[\"a\\nb\"]",
		"[\"a\\u007f\"]",
		"[\"a\\u0085\"]",
		"[\"a\\ud800\"]",
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		char why[200] = "", cause[200], *masks = NULL;
		json_t *list = NULL;
		int err = json_read(&list, str_c(bad[i]), 1000, JSON_DEPTH, cause, sizeof(cause));

		if (!err)
			err = client_ids_read(&masks, list, why, sizeof(why));
		json_decref(list);
		if (err != -E_INVALID || masks)
			fail_msg("taken: %s", bad[i]);
	}
}

static void a_token_without_memory_for_its_masks_is_none(void)
{
	each_alloc_failure(n)
	{
		struct token_info t = { 0 };
		char why[200] = "";
		int err = token_info_read_reply(
		    &t,
		    STR("{\"result\":[{\"cid\":7,\"enabled\":true,\"access\":{\"type\":1},"
		        "\"client_ids\":[\"lamp-*\",\"x\"]}]}"),
		    why, sizeof(why));

		YES(err == 0 || err == -E_NOMEM);
		if (!err)
			IS_STR(str_c(t.client_ids), "lamp-*\nx");
		token_info_free(&t);
	}
}

RUN(the_table_of_client_ids_holds, every_mask_fits_what_it_should_and_nothing_else,
    one_of_several_masks_is_enough, no_mask_takes_long, a_list_has_so_many_masks_of_so_many_bytes,
    what_is_no_list_of_client_ids_is_refused, a_token_without_memory_for_its_masks_is_none)

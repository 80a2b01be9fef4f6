/* The door to jansson. */
#include "base/base.h"
#include "tests/kit/kit.h"

#include "base/bytes.h"
#include "base/json.h"

static char why[200];

static int try_depth(struct str text, unsigned depth)
{
	json_t *value = NULL;
	int err;

	strcpy(why, "");
	err = json_read(&value, guard_str(text), 4096, depth, why, sizeof(why));
	YES((value != NULL) == (err == 0));
	YES((why[0] != '\0') == (err != 0));
	json_decref(value);
	return err;
}

static int try(const char *text)
{
	return try_depth(str_c(text), JSON_DEPTH);
}

static void good_text_becomes_a_value(void)
{
	json_t *value;
	struct str s;
	int64_t i;
	bool b;

	IS(json_read(
	       &value,
	       guard_str(STR(" {\"s\":\"\xc3\xa4\\\\u0000\",\"i\":-5,\"b\":true,\"n\":null} \n")),
	       4096, 1, why, sizeof(why)),
	   0);
	YES(json_get_str(value, "s", &s));
	IS_STR(s, "\xc3\xa4\\u0000"); /* an escaped backslash, not an escaped NUL */
	YES(json_get_int(value, "i", &i));
	IS(i, -5);
	YES(json_get_bool(value, "b", &b));
	IS(b, true);
	json_decref(value);
}

static void another_type_or_no_key_is_no_answer(void)
{
	json_t *value;
	struct str s = STR("kept");
	int64_t i = 7;
	bool b = true;

	IS(json_read(&value, STR("{\"s\":1,\"i\":1.5,\"b\":0,\"n\":null}"), 4096, 1, why,
	             sizeof(why)),
	   0);
	NO(json_get_str(value, "s", &s) || json_get_str(value, "n", &s) ||
	   json_get_str(value, "none", &s));
	NO(json_get_int(value, "i", &i) || json_get_int(value, "b2", &i) ||
	   json_get_int(NULL, "i", &i));
	NO(json_get_bool(value, "b", &b) || json_get_bool(value, "n", &b));
	IS_STR(s, "kept");
	IS(i, 7);
	IS(b, true);
	json_decref(value);
	value = json_array();
	NO(json_get_int(value, "i", &i));
	json_decref(value);
}

static void what_is_not_strict_json_is_refused(void)
{
	static const char *const bad[] = { "",
		                           " ",
		                           "{",
		                           "[1,]",
		                           "{\"a\":1,}",
		                           "{a:1}",
		                           "'a'",
		                           "[01]",
		                           "[1] x",
		                           "[1][2]",
		                           "{}}",
		                           "1",
		                           "\"a\"",
		                           "null",
		                           "[NaN]",
		                           "[\"\\x\"]",
		                           "[\"\x01\"]",
		                           "[\"\xff\"]",
		                           "[\"\xc0\xaf\"]",
		                           "[\"\\ud800\"]",
		                           "[99999999999999999999]",
		                           "// c\n[1]",
		                           "[\"a",
		                           "[\"\\" };

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		IS(try(bad[i]), -E_INVALID);
	IS(try("[1]"), 0);
}

static void doubled_keys_are_refused(void)
{
	IS(try("{\"a\":1,\"b\":2,\"a\":3}"), -E_INVALID);
	CONTAINS(why, "a key occurs twice");
	IS(try("{\"a\":1,\"\\u0061\":3}"), -E_INVALID);
	IS(try("{\"a\":{\"a\":1}}"), 0);
}

static void nul_in_any_form_is_refused(void)
{
	IS(try("{\"a\\u0000b\":1}"), -E_INVALID);
	CONTAINS(why, "NUL");
	IS(try("[\"\\\\\\u0000\"]"), -E_INVALID);
	IS(try_depth(STR("[\"a\0b\"]"), 4), -E_INVALID);
	IS(try_depth(STR("[1]\0"), 4), -E_INVALID);
	IS(try_depth(STR("[1\0]"), 4), -E_INVALID);
}

static void nesting_is_counted_before_it_is_parsed(void)
{
	IS(try_depth(STR("[[1]]"), 2), 0);
	IS(try_depth(STR("[[1]]"), 1), -E_LIMIT);
	IS(try_depth(STR("{\"a\":{\"b\":[1]}}"), 2), -E_LIMIT);
	/* brackets in strings do not count */
	IS(try_depth(STR("[\"[[[[[[\",[2],\"\\\"[[[\"]"), 2), 0);
	CONTAINS((try_depth(STR("[[[["), 2), why), "nested too deeply");
	IS(try_depth(STR("]]]][1]"), 1), -E_INVALID);
}

static void length_is_checked_first(void)
{
	json_t *value = NULL;

	IS(json_read(&value, STR("[1,2]"), 5, 4, why, sizeof(why)), 0);
	json_decref(value);
	IS(json_read(&value, STR("[1,2]"), 4, 4, why, sizeof(why)), -E_LIMIT);
	IS_STR(str_c(why), "longer than 4 bytes");
}

static void a_refusal_never_quotes_the_input(void)
{
	IS(try("{\"token\":\"s3cret\" \"s3cret\"}"), -E_INVALID);
	NO(strstr(why, "s3cret"));
	CONTAINS(why, "line 1, column ");
	IS(try("{\"s3cret\":1,\"s3cret\":1}"), -E_INVALID);
	NO(strstr(why, "s3cret"));
	IS(try("[s3cret]"), -E_INVALID);
	NO(strstr(why, "s3cret"));
}

static void every_truncation_is_refused(void)
{
	each_prefix(
	    p,
	    STR("{\"acl\":[{\"uri\":\"mqtt\\u00e4\",\"topic\":\"a/#\",\"n\":[-1.5e3,true,null]}]}"))
	    IS(try_depth(p.first, JSON_DEPTH), -E_INVALID);
	/* nobody wants to know why */
	IS(json_read(&(json_t *){ NULL }, STR("["), 10, 4, NULL, 0), -E_INVALID);
}

static void writing_and_reading_give_the_same(void)
{
	static const char text[] = "{\"b\":[1,2.5,\"\xc3\xa4\\n\"],\"a\":{\"x\":null,\"y\":false}}";
	struct buf out = { 0 };
	json_t *value;

	IS(json_read(&value, str_c(text), 4096, 4, why, sizeof(why)), 0);
	buf_str_add(&out, STR("before "));
	IS(json_write(&out, value), 0);
	/* compact, and in the order it came */
	YES(str_eq(str_skip(buf_str(&out), 7), str_c(text)));
	json_decref(value);
	buf_free(&out);
	IS(json_write(&out, NULL), -E_INVALID);
	buf_free(&out);
}

static void strings_are_escaped_as_jansson_does(void)
{
	char all[0x7f + 4];
	struct buf ours = { 0 };
	json_t *value;
	char *theirs;

	for (char c = 1; c < 0x7f; c++)
		all[c - 1] = c;
	memcpy(all + 0x7e, "\x7f\xc3\xa4", 4);
	value = json_pack("{s:[s,i,b,n,f]}", all, all, -7, 1, 1795377536.789);
	MUST(value);
	theirs = json_dumps(value, JSON_COMPACT | JSON_REAL_PRECISION(15));
	IS(json_write(&ours, value), 0);
	YES(str_eq(buf_str(&ours), str_c(theirs)));
	free(theirs);
	json_decref(value);
	buf_free(&ours);
}

static void a_loop_ends_and_what_is_64_deep_is_written(void)
{
	json_t *outer = json_array(), *deep = json_array(), *ring = json_array();
	struct buf out = { 0 };

	for (int i = 0; i < 62; i++)
		deep = json_pack("[o]", deep);
	MUST(json_array_append_new(outer, deep) == 0);
	IS(json_write(&out, outer), 0);
	IS(buf_len(&out), 128);
	outer = json_pack("[o]", outer);
	IS(json_write(&out, outer), -E_INVALID);
	IS(buf_len(&out), 128);
	MUST(json_array_append(ring, outer) == 0 && json_array_append(outer, ring) == 0);
	IS(json_write(&out, ring), -E_INVALID);
	(void)json_array_clear(ring);
	json_decref(ring);
	json_decref(outer);
	buf_free(&out);
}

/* More than the room holds, several at once, ended in any order, changed meanwhile. */
static void long_texts_are_read_and_end_in_any_order(void)
{
	struct buf text = { 0 }, out = { 0 };
	json_t *values[3];

	buf_str_add(&text, STR("["));
	for (int i = 0; i < 3000; i++)
		buf_printf(&text, "%s{\"a\":\"%d\",\"b\":[%d,\"c\"]}", i ? "," : "", i, i);
	buf_str_add(&text, STR("]"));
	for (int round = 0; round < 6; round++) {
		for (int i = 0; i < 3; i++) {
			IS(json_read(&values[i], buf_str(&text), 1 << 20, 4, why, sizeof(why)), 0);
			MUST(json_array_append_new(values[i], json_integer(i)) == 0);
			MUST(json_object_set_new(json_array_get(values[i], 7), "more",
			                         json_string("x")) == 0);
		}
		for (int i = 0; i < 3; i++) {
			json_t *one = values[(i + round) % 3];

			buf_reset(&out);
			IS(json_write(&out, one), 0);
			IS(json_array_size(one), 3001);
			IS(buf_len(&out), buf_len(&text) + 2 + 11);
			json_decref(one);
		}
		IS(json_read(&values[0], str_make(buf_data(&text), buf_len(&text) - 1), 1 << 20, 4,
		             why, sizeof(why)),
		   -E_INVALID);
	}
	buf_free(&text);
	buf_free(&out);
}

static void a_text_that_is_json_is_copied_and_not_looked_into(void)
{
	json_t *object = json_object();
	struct buf out = { 0 };
	struct str text;

	MUST(json_object_set_new(object, "a", json_raw(STR("{\"b\": 1}"))) == 0);
	IS(json_write(&out, object), 0);
	YES(str_eq(buf_str(&out), STR("{\"a\":{\"b\": 1}}")));
	NO(json_get_str(object, "a", &text));
	YES(json_raw_text(json_object_get(object, "a"), &text) && text.n == 8);
	MUST(json_object_set_new(object, "a", json_string("\xc3\xbf")) == 0);
	NO(json_raw_text(json_object_get(object, "a"), &text));
	NO(json_raw_text(json_null(), &text));
	NO(json_raw_text(NULL, &text));
	json_decref(object);
	buf_free(&out);
}

static void reading_and_writing_survive_every_lack_of_memory(void)
{
	each_alloc_failure(n)
	{
		json_t *value = NULL;
		struct buf out = { 0 };
		int err = json_read(&value, STR("{\"a\":[1,\"two\",{\"b\":true}],\"c\":\"d\"}"),
		                    4096, 4, why, sizeof(why));

		YES(err == 0 || err == -E_NOMEM);
		if (!err) {
			err = json_write(&out, value);
			YES(err == 0 || err == -E_NOMEM);
			YES(err == 0 || buf_len(&out) == 0);
		}
		json_decref(value);
		buf_free(&out);
	}
}

static void what_others_call_json_is_any_value(void)
{
	static const char *const good[] = {
		"1", " -2.5", "true", "null", "\"x\"", "[]", "{\"a\":1,\"a\":2}"
	};
	static const char *const bad[] = { "",  " ",    "x",           "truth", "+1",  "1 2",
		                           "{", "[1,]", "\"\\u0000\"", "1e999", "\xff" };
	json_t *v = NULL;

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		IS(json_read_any(&v, guard_str(str_c(good[i])), 2), 0);
		json_decref(v);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		IS(json_read_any(&v, guard_str(str_c(bad[i])), 2), -E_INVALID);
	IS(json_read_any(&v, STR("[[[1]]]"), 2), -E_INVALID);
	IS(json_read_any(&v, STR("[18446744073709551615,1]"), 2), 0);
	YES(json_is_real(json_array_get(v, 0)) && json_is_real(json_array_get(v, 1)));
	json_decref(v);
}

RUN(what_others_call_json_is_any_value, good_text_becomes_a_value,
    another_type_or_no_key_is_no_answer, what_is_not_strict_json_is_refused,
    doubled_keys_are_refused, nul_in_any_form_is_refused, nesting_is_counted_before_it_is_parsed,
    length_is_checked_first, a_refusal_never_quotes_the_input, every_truncation_is_refused,
    writing_and_reading_give_the_same, strings_are_escaped_as_jansson_does,
    a_loop_ends_and_what_is_64_deep_is_written, long_texts_are_read_and_end_in_any_order,
    a_text_that_is_json_is_copied_and_not_looked_into,
    reading_and_writing_survive_every_lack_of_memory)

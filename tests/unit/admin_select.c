/* admin_select.c - selectors, `fields`, and the pages of long lists. */
#include "base/base.h"
#include "tests/unit/admin_help.h"

static struct world w;
static struct selector s;
static char why[300];

static int reads(const char *text)
{
	return select_read(&s, &token_fields, str_c(text), why, sizeof(why));
}

static void ids_all_and_fields_are_read(void)
{
	IS(reads("123"), 0);
	IS(s.kind, SELECT_IDS);
	IS(s.ids[0], 123);
	IS(reads("1,2,3"), 0);
	IS(s.count, 3);
	IS(reads("all"), 0);
	IS(s.kind, SELECT_ALL);
	IS(reads("info=a=b,c"), 0);
	IS_STR(s.value, "a=b,c");
	IS(reads("info="), 0);
	IS(reads("enabled=true"), 0);
	IS(s.number, 1);
	IS(reads("ttl=-5"), 0);
	IS(s.number, -5);
}

static void what_is_no_selector_is_refused_with_a_reason(void)
{
	static const char *const bad[] = { "",
		                           ",",
		                           "1,",
		                           ",1",
		                           "1,,2",
		                           "0",
		                           "-1",
		                           "1 ",
		                           "abc",
		                           "1,all",
		                           "ALL",
		                           "18446744073709551615",
		                           "99999999999999999999",
		                           "{id==1}",
		                           "nope=1",
		                           "=1",
		                           "key=x",
		                           "hash=x",
		                           "accessed=1",
		                           "id=x",
		                           "enabled=maybe",
		                           "access=1",
		                           "id=",
		                           "1;DROP TABLE token" };

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		why[0] = '\0';
		IS(reads(bad[i]), -E_INVALID);
		CONTAINS(why, "selector");
	}
}

static void a_thousand_ids_are_taken_and_no_more(void)
{
	char text[5000];
	size_t n = 0;

	for (int i = 0; i < 1000; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%d", i ? "," : "", i % 9 + 1);
	IS(reads(text), 0);
	(void)snprintf(text + n, sizeof(text) - n, ",1");
	IS(reads(text), -E_INVALID);
}

static void quotes_in_a_value_are_a_value(void)
{
	world_open(&w);
	IS(ASK(&w, HTTP_POST, "/platform/tokens", w.key[ALPHA],
	       .body = "[{\"info\":\"' OR 1=1 --\"},{\"info\":\"other\"}]"),
	   200);
	IS(ASK(&w, HTTP_GET, "/platform/tokens/info=' OR 1=1 --", w.key[ALPHA]), 200);
	IS(world_items(&w), 1);
	IS(ASK(&w, HTTP_GET, "/platform/tokens/info=' OR '1'='1", w.key[ALPHA]), 404);
	world_close(&w);
}

static void nothing_matched_is_404_but_all_of_nothing_is_an_empty_list(void)
{
	world_open(&w);
	IS(ASK(&w, HTTP_GET, "/platform/subaccounts/all", w.key[GAMMA]), 200);
	IS(world_items(&w), 0);
	IS(ASK(&w, HTTP_GET, "/platform/subaccounts/name=x", w.key[GAMMA]), 404);
	IS(ASK(&w, HTTP_GET, "/platform/tokens/9999", w.key[GAMMA]), 404);
	world_close(&w);
}

static void fields_keeps_what_is_named_and_refuses_what_is_not_known(void)
{
	world_open(&w);
	IS(ASK(&w, HTTP_GET, "/platform/tokens/all?fields=id,info", w.key[GAMMA]), 200);
	IS(json_object_size(world_item(&w, 0)), 2);
	IS(ASK(&w, HTTP_GET, "/platform/tokens/all?fields=id,hash", w.key[GAMMA]), 400);
	YES(json_is_array(json_object_get(w.body, "schema_hint")));
	IS(ASK(&w, HTTP_GET, "/platform/customer?fields=name", w.key[GAMMA]), 200);
	IS(json_object_size(world_item(&w, 0)), 1);
	world_close(&w);
}

static void a_long_list_comes_in_pages(void)
{
	int64_t second;

	world_open(&w);
	IS(ASK(&w, HTTP_POST, "/platform/tokens", w.key[GAMMA], .body = "[{},{},{},{},{}]"), 200);
	second = world_number(&w, 0, "id"); /* the master's is the first */
	IS(ASK(&w, HTTP_GET, "/platform/tokens/all?limit=2&offset=1", w.key[GAMMA]), 200);
	IS(world_items(&w), 2);
	IS(world_number(&w, 0, "id"), second);
	IS(json_integer_value(json_object_get(json_object_get(w.body, "pagination"), "count")), 6);
	IS(ASK(&w, HTTP_GET, "/platform/tokens/all?limit=1001", w.key[GAMMA]), 400);
	IS(ASK(&w, HTTP_GET, "/platform/tokens/all?limit=x", w.key[GAMMA]), 400);
	IS(ASK(&w, HTTP_GET, "/platform/tokens/all?offset=99999999999999999999", w.key[GAMMA]),
	   400);
	world_close(&w);
}

static void a_change_of_more_than_a_thousand_is_refused_whole(void)
{
	struct selection *chosen;

	world_open(&w);
	w.config.tokens_per_customer = 5000;
	for (int i = 0; i < 11; i++) {
		char body[400] = "[";

		for (int j = 0; j < 100; j++)
			(void)snprintf(body + strlen(body), sizeof(body) - strlen(body), "%s{}",
			               j ? "," : "");
		(void)snprintf(body + strlen(body), sizeof(body) - strlen(body), "]");
		IS(ASK(&w, HTTP_POST, "/platform/tokens?fields=id", w.key[GAMMA], .body = body),
		   200);
	}
	IS(ASK(&w, HTTP_DELETE, "/platform/tokens/all", w.key[GAMMA]), 400);
	CONTAINS(w.text, "1101");
	IS(ASK(&w, HTTP_DELETE, "/platform/tokens/enabled=true", w.key[GAMMA]), 400);
	chosen = mem_zalloc(sizeof(*chosen));
	IS(reads("all"), 0);
	IS(select_run(w.rest.db, &token_fields, &s, GAMMA, SELECT_MAX, 0, chosen), 0);
	IS(chosen->total, 1101);
	IS(chosen->count, 1000);
	mem_free(chosen);
	world_close(&w);
}

RUN(ids_all_and_fields_are_read, what_is_no_selector_is_refused_with_a_reason,
    a_thousand_ids_are_taken_and_no_more, quotes_in_a_value_are_a_value,
    nothing_matched_is_404_but_all_of_nothing_is_an_empty_list,
    fields_keeps_what_is_named_and_refuses_what_is_not_known, a_long_list_comes_in_pages,
    a_change_of_more_than_a_thousand_is_refused_whole)

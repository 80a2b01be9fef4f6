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
	int64_t second = INT64_MAX;

	world_open(&w);
	IS(ASK(&w, HTTP_POST, "/platform/tokens", w.key[GAMMA], .body = "[{},{},{},{},{}]"), 200);
	for (size_t i = 0; i < 5; i++) { /* by id; the master's is the first */
		int64_t id = world_number(&w, i, "id");

		second = id < second ? id : second;
	}
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

/* ---- Lists ---- */
/* The object as text is the first item of the answer. */
static bool is_first(json_t *object)
{
	struct buf text = { 0 };
	json_t *read = NULL;
	bool same;

	IS(json_write(&text, object), 0);
	IS(json_read(&read, buf_str(&text), 1 << 20, JSON_DEPTH, why, sizeof(why)), 0);
	same = json_equal(world_item(&w, 0), read);
	json_decref(read);
	buf_free(&text);
	return same;
}

static void an_item_of_a_list_reads_as_it_is(void)
{
	struct token_row row;
	struct customer_row below;

	world_open(&w);
	IS(ASK(&w, HTTP_POST, "/platform/tokens", w.key[GAMMA],
	       .body = "[{\"info\":\"a \\\"b\\\" \\u00e4\",\"ttl\":600,\"ips\":\"127.*\","
	               "\"enabled\":false,\"metadata\":{\"x\":\"y\"},\"limits\":"
	               "{\"mqtt_sessions\":3},\"access\":{\"type\":2,\"acl\":[{\"uri\":"
	               "\"mqtt\",\"topic\":\"a/#\",\"actions\":[\"publish\"]}]}}]"),
	   200);
	IS(ASK(&w, HTTP_GET, "/platform/tokens/enabled=false", w.key[GAMMA]), 200);
	IS(tokens_get(w.rest.tokens, GAMMA, (uint64_t)world_number(&w, 0, "id"), &row), 0);
	YES(is_first(row.object));
	token_row_free(&row);
	IS(ASK(&w, HTTP_GET, "/platform/tokens/all", w.key[GAMMA]), 200);
	IS(tokens_get(w.rest.tokens, GAMMA, w.id[GAMMA], &row), 0); /* it has been used just now */
	YES(row.accessed > 0);
	IS(world_number(&w, 0, "accessed"), row.accessed);
	token_row_free(&row);
	IS(ASK(&w, HTTP_GET, "/platform/subaccounts/all", w.key[BETA]), 200);
	IS(customers_get(w.rest.db, BETA, GAMMA, &below), 0);
	YES(is_first(below.object));
	customer_row_free(&below);
	world_close(&w);
}

static void make_large_tokens(unsigned tens)
{
	struct buf body = { 0 };

	for (unsigned i = 0; i < 10; i++) {
		buf_printf(&body, "%s{\"access\":{\"type\":2,\"acl\":[", i ? "," : "[");
		for (unsigned j = 0; j < 60; j++)
			buf_printf(&body,
			           "%s{\"uri\":\"mqtt\",\"topic\":\"%04u\",\"actions\":"
			           "[\"publish\"]}",
			           j ? "," : "", j);
		buf_str_add(&body, STR("]}}"));
	}
	buf_str_add(&body, STR("]"));
	buf_u8(&body, 0);
	w.config.tokens_per_customer = 5000;
	for (unsigned i = 0; i < tens; i++)
		IS(ASK(&w, HTTP_POST, "/platform/tokens?fields=id", w.key[GAMMA],
		       .body = (const char *)buf_data(&body)),
		   200);
	buf_free(&body);
}

static void a_long_list_is_made_in_slices_while_it_is_written(void)
{
	world_open(&w);
	make_large_tokens(30);
	w.largest = 0;
	IS(ASK(&w, HTTP_GET, "/platform/tokens/all?limit=1000", w.key[GAMMA]), 200);
	IS(world_items(&w), 301);
	YES(w.slices > 20);
	YES(w.largest < 40000);
	IS(json_integer_value(json_object_get(json_object_get(w.body, "pagination"), "count")),
	   301);
	IS(json_array_size(json_object_get(json_object_get(world_item(&w, 300), "access"), "acl")),
	   60);
	/* Of few small fields it is whole at once, but for the number of items in a slice. */
	IS(ASK(&w, HTTP_GET, "/platform/tokens/all?fields=id", w.key[GAMMA]), 200);
	IS(world_items(&w), 301);
	YES(w.slices <= 5);
	world_close(&w);
}

static void a_change_of_many_items_is_made_in_pieces(void)
{
	world_open(&w);
	make_large_tokens(5);
	IS(ASK(&w, HTTP_PUT, "/platform/tokens/all?fields=id", w.key[GAMMA],
	       .body = "{\"info\":\"y\"}"),
	   200);
	IS(world_items(&w), 51);
	IS(w.pieces, 4); /* of 16 */
	IS(ASK(&w, HTTP_GET, "/platform/tokens/info=y?fields=id", w.key[GAMMA]), 200);
	IS(world_items(&w), 51);
	world_close(&w);
}

static void make_huge_tokens(unsigned count)
{
	struct buf body = { 0 };

	buf_str_add(&body, STR("[{\"access\":{\"type\":2,\"acl\":["));
	for (unsigned j = 0; j < 1000; j++)
		buf_printf(&body,
		           "%s{\"uri\":\"mqtt\",\"topic\":\"%0400u\",\"actions\":[\"publish\"]}",
		           j ? "," : "", j);
	buf_str_add(&body, STR("]}}]"));
	buf_u8(&body, 0);
	for (unsigned i = 0; i < count; i++)
		IS(ASK(&w, HTTP_POST, "/platform/tokens?fields=id", w.key[GAMMA],
		       .body = (const char *)buf_data(&body)),
		   200);
	buf_free(&body);
}

/* A piece is one transaction: what it may tell bounds its work. */
static void a_piece_of_a_change_that_tells_too_much_is_undone_and_refused(void)
{
	world_open(&w);
	w.config.access_bytes = 1 << 20;
	make_huge_tokens(14);
	IS(ASK(&w, HTTP_PUT, "/platform/tokens/all?fields=id", w.key[GAMMA],
	       .body = "{\"info\":\"y\"}"),
	   400);
	CONTAINS(w.text, "narrow the selector");
	IS(ASK(&w, HTTP_GET, "/platform/tokens/info=y", w.key[GAMMA]), 404);
	world_close(&w);
}

static void what_is_deleted_while_a_list_is_written_is_told_in_its_errors(void)
{
	struct http_req req = { .method = HTTP_GET, .path = STR("/platform/tokens/all") };
	struct http_resp resp = { 0 };
	enum http_next next = HTTP_MORE;
	char cause[100];
	json_t *body;

	world_open(&w);
	make_large_tokens(3);
	req.authorization = str_c(w.key[GAMMA]);
	req.has_authorization = true;
	router_handle(&w.rest, &req, &resp);
	IS(resp.status, 200);
	YES(resp.slices);
	IS(ASK(&w, HTTP_GET, "/platform/tokens/all?fields=id&offset=29", w.key[GAMMA]), 200);
	IS(db_begin(w.rest.db), 0);
	IS(tokens_delete(w.rest.tokens, (uint64_t)world_number(&w, 1, "id")), 0);
	IS(db_commit(w.rest.db), 0);
	while (next == HTTP_MORE)
		next = resp.slices->next(resp.slices, &resp.body);
	IS(next, HTTP_LAST);
	resp.slices->done(resp.slices);
	IS(json_read(&body, buf_str(&resp.body), 1 << 24, 32, cause, sizeof(cause)), 0);
	IS(json_array_size(json_object_get(body, "result")), 30);
	IS(json_array_size(json_object_get(body, "errors")), 1);
	json_decref(body);
	buf_free(&resp.body);
	world_close(&w);
}

static void a_column_that_is_not_asked_for_is_not_read(void)
{
	struct db_q q;

	world_open(&w);
	IS(ASK(&w, HTTP_POST, "/platform/tokens", w.key[GAMMA], .body = "[{\"info\":\"x\"}]"), 200);
	q = db_start_text(w.rest.db, "UPDATE token SET access = 'damaged' WHERE info = 'x'");
	IS(db_run(&q), 0);
	IS(ASK(&w, HTTP_GET, "/platform/tokens/info=x?fields=id,info,enabled", w.key[GAMMA]), 200);
	IS(json_object_size(world_item(&w, 0)), 3);
	IS(ASK(&w, HTTP_GET, "/platform/tokens/info=x?fields=key", w.key[GAMMA]), 200);
	IS(json_object_size(world_item(&w, 0)), 0);
	world_close(&w);
}

RUN(ids_all_and_fields_are_read, what_is_no_selector_is_refused_with_a_reason,
    a_thousand_ids_are_taken_and_no_more, quotes_in_a_value_are_a_value,
    nothing_matched_is_404_but_all_of_nothing_is_an_empty_list,
    fields_keeps_what_is_named_and_refuses_what_is_not_known, a_long_list_comes_in_pages,
    a_change_of_more_than_a_thousand_is_refused_whole, an_item_of_a_list_reads_as_it_is,
    a_long_list_is_made_in_slices_while_it_is_written, a_change_of_many_items_is_made_in_pieces,
    a_piece_of_a_change_that_tells_too_much_is_undone_and_refused,
    what_is_deleted_while_a_list_is_written_is_told_in_its_errors,
    a_column_that_is_not_asked_for_is_not_read)

/* admin_tokens.c - the token authority: whose a key is, how it ends, what is kept of it. */
#include "base/base.h"
#include "tests/unit/admin_help.h"

#include "admin/expiry.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "admin/ids.h"

static struct world w;

static int find(const char *credential, struct token_row *out)
{
	return tokens_find(w.rest.tokens, str_c(credential), out);
}

static const char *create(const char *body)
{
	IS(ASK(&w, HTTP_POST, "/platform/tokens", w.key[ALPHA], .body = body), 200);
	return world_string(&w, 0, "key");
}

static void a_key_is_found_in_all_its_forms(void)
{
	struct token_row row;
	char text[200];

	world_open(&w);
	IS(find(w.key[BETA], &row), 0);
	IS(row.cid, BETA);
	token_row_free(&row);
	(void)snprintf(text, sizeof(text), "FlespiToken %s", w.key[BETA]);
	IS(find(text, &row), 0);
	token_row_free(&row);
	(void)snprintf(text, sizeof(text), "FlespiToken %llu:%.16s", (unsigned long long)w.id[BETA],
	               w.key[BETA]);
	IS(find(text, &row), 0);
	IS(row.id, w.id[BETA]);
	token_row_free(&row);
	world_close(&w);
}

static void a_key_with_one_character_changed_is_nobodys(void)
{
	struct token_row row;

	world_open(&w);
	for (size_t i = 0; i < TOKEN_KEY; i++) {
		char key[TOKEN_KEY + 1];

		memcpy(key, w.key[BETA], sizeof(key));
		key[i] = key[i] == 'x' ? 'y' : 'x';
		IS(find(key, &row), -E_NOTFOUND);
	}
	world_close(&w);
}

/* The checksum is right and the lookup id is known: only the hash tells. */
static void a_key_with_a_known_lookup_id_and_another_secret_is_nobodys(void)
{
	uint8_t random[TOKEN_RANDOM];
	struct token_row row;
	char key[TOKEN_KEY];
	struct db_q q;

	world_open(&w);
	any_bytes(random, sizeof(random));
	token_make(key, random);
	q = db_start(w.rest.db, "UPDATE token SET lookup = ? WHERE id = ?");
	db_text(&q, token_lookup(str_make(key, TOKEN_KEY)));
	db_int(&q, (int64_t)w.id[BETA]);
	IS(db_run(&q), 0);
	IS(tokens_find(w.rest.tokens, str_make(key, TOKEN_KEY), &row), -E_NOTFOUND);
	world_close(&w);
}

static void a_short_credential_of_another_token_or_in_another_form_is_nobodys(void)
{
	const char *const forms[] = { "%llu:%.15s", "0%llu:%.16s", "%llu::%.16s",
		                      "%llu %.16s", "+%llu:%.16s", "%llu:%.17s" };
	struct token_row row;
	char text[200];

	world_open(&w);
	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		const char *form = forms[i];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		(void)snprintf(text, sizeof(text), form, (unsigned long long)w.id[BETA],
		               w.key[BETA]);
#pragma GCC diagnostic pop
		IS(find(text, &row), -E_NOTFOUND);
	}
	(void)snprintf(text, sizeof(text), "%llu:%.16s", (unsigned long long)w.id[BETA],
	               w.key[ALPHA]);
	IS(find(text, &row), -E_NOTFOUND);
	world_close(&w);
}

static void a_created_token_shows_its_key_once(void)
{
	char key[TOKEN_KEY + 1];

	world_open(&w);
	(void)snprintf(key, sizeof(key), "%s", create("[{\"info\":\"x\"}]"));
	YES(token_key_ok(str_c(key)));
	IS(ASK(&w, HTTP_GET, "/platform/tokens/info=x", w.key[ALPHA]), 200);
	NO(json_object_get(world_item(&w, 0), "key"));
	YES(strcmp(world_string(&w, 0, "key_hint"), key + TOKEN_KEY - 4) == 0);
	world_close(&w);
}

static bool file_holds(const char *path, const char *what)
{
	char chunk[1 << 16];
	bool found = false;
	int fd = open(path, O_RDONLY);
	size_t have = 0;
	ssize_t n;

	MUST(fd >= 0);
	while ((n = read(fd, chunk + have, sizeof(chunk) - have)) > 0) {
		have += (size_t)n;
		found = found || memmem(chunk, have, what, strlen(what));
		if (have > 64) {
			memmove(chunk, chunk + have - 64, 64);
			have = 64;
		}
	}
	(void)close(fd);
	return found;
}

static void no_file_holds_a_key_or_a_part_of_it(void)
{
	static const char *const files[] = { "admin.db", "admin.db-wal" };
	char key[TOKEN_KEY + 1], path[400];

	world_open(&w);
	(void)snprintf(key, sizeof(key), "%s", create("[{\"info\":\"this is in the file\"}]"));
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", w.dir, files[i]);
		NO(file_holds(path, key));
		key[TOKEN_SHORT] = '\0';
		NO(file_holds(path, key));
	}
	YES(file_holds(path, "this is in the file"));
	world_close(&w);
}

static void no_event_and_no_push_holds_a_key(void)
{
	char key[TOKEN_KEY + 1];

	world_open(&w);
	(void)snprintf(key, sizeof(key), "%s", create("[{\"info\":\"x\"}]"));
	IS(w.sent_count, 2);
	NO(strstr(world_sent(&w), key));
	key[TOKEN_SHORT] = '\0';
	NO(strstr(world_sent(&w), key));
	NO(strstr(world_sent(&w), "\"key\""));
	NO(strstr(world_sent(&w), "hash"));
	world_close(&w);
}

static void a_ttl_counts_from_creation_and_then_from_the_last_use(void)
{
	char key[TOKEN_KEY + 1];

	world_open(&w);
	(void)snprintf(key, sizeof(key), "%s", create("[{\"ttl\":10}]"));
	clock_shift(0, 8000);
	IS(ASK(&w, HTTP_GET, "/auth/info", key), 200);
	clock_shift(0, 16000);
	IS(ASK(&w, HTTP_GET, "/auth/info", key), 200);
	clock_shift(0, 27000);
	IS(ASK(&w, HTTP_GET, "/auth/info", key), 403);
	CONTAINS(w.text, "expired");
	clock_shift(0, 0);
	world_close(&w);
}

static void a_token_lives_while_either_expire_or_ttl_does(void)
{
	char key[TOKEN_KEY + 1], body[100];

	world_open(&w);
	(void)snprintf(body, sizeof(body), "[{\"ttl\":10,\"expire\":%lld}]",
	               (long long)(clock_wall_ms() / 1000 + 100));
	(void)snprintf(key, sizeof(key), "%s", create(body));
	clock_shift(0, 50000);
	IS(ASK(&w, HTTP_GET, "/auth/info", key),
	   200); /* ttl is over, expire is not; the use starts ttl anew */
	clock_shift(0, 95000);
	IS(ASK(&w, HTTP_GET, "/auth/info", key), 200);
	clock_shift(0, 104000);
	IS(ASK(&w, HTTP_GET, "/auth/info", key), 200); /* now expire is over, ttl is not */
	clock_shift(0, 115000);
	IS(ASK(&w, HTTP_GET, "/auth/info", key), 403);
	clock_shift(0, 0);
	world_close(&w);
}

static void a_token_that_would_have_ended_is_not_made_nor_changed_into(void)
{
	world_open(&w);
	IS(ASK(&w, HTTP_POST, "/platform/tokens", w.key[ALPHA], .body = "[{\"expire\":1000}]"),
	   400);
	(void)create("[{\"info\":\"x\"}]");
	IS(ASK(&w, HTTP_PUT, "/platform/tokens/info=x", w.key[ALPHA], .body = "{\"expire\":1000}"),
	   400);
	IS(ASK(&w, HTTP_GET, "/platform/tokens/info=x", w.key[ALPHA]), 200);
	IS(world_number(&w, 0, "expire"), 0);
	world_close(&w);
}

static void the_last_use_is_shown_before_it_is_written_and_survives_a_restart(void)
{
	int64_t now = clock_wall_ms() / 1000;
	char why[WHY_ROOM], path[64];

	world_open(&w);
	(void)snprintf(path, sizeof(path), "/platform/tokens/%llu", (unsigned long long)w.id[BETA]);
	IS(ASK(&w, HTTP_GET, path, w.key[ALPHA]), 200);
	IS(world_number(&w, 0, "accessed"), 0);
	IS(ASK(&w, HTTP_GET, "/auth/info", w.key[BETA]), 200);
	IS(ASK(&w, HTTP_GET, path, w.key[ALPHA]), 200);
	YES(world_number(&w, 0, "accessed") >= now);
	tokens_close(&w.rest.tokens);
	IS(tokens_open(&w.rest.tokens, w.rest.db, w.dir, why, sizeof(why)), 0);
	IS(ASK(&w, HTTP_GET, path, w.key[ALPHA]), 200);
	YES(world_number(&w, 0, "accessed") >= now);
	world_close(&w);
}

static void the_ended_are_those_whose_time_is_over_by_their_last_use(void)
{
	uint64_t ids[8];
	size_t count;
	char idle[TOKEN_KEY + 1], used[TOKEN_KEY + 1];
	uint64_t idle_id;

	world_open(&w);
	(void)snprintf(idle, sizeof(idle), "%s", create("[{\"ttl\":10}]"));
	idle_id = (uint64_t)world_number(&w, 0, "id");
	(void)snprintf(used, sizeof(used), "%s", create("[{\"ttl\":10}]"));
	clock_shift(0, 8000);
	IS(ASK(&w, HTTP_GET, "/auth/info", used), 200);
	clock_shift(0, 13000);
	IS(tokens_flush(w.rest.tokens), 0);
	IS(tokens_ended(w.rest.tokens, clock_wall_ms() / 1000, ids, ARRAY_LEN(ids), &count), 0);
	IS(count, 1);
	IS(ids[0], idle_id);
	clock_shift(0, 0);
	world_close(&w);
}

/* ---- O6: deleted long after the end, and not by a clock that is wrong ---- */
enum { HOUR = 3600 * 1000, EVERY = 24 * HOUR };

/* One hour after the other, each clock by its own; what expiry_run would do every few seconds. */
static void hours_pass(struct expiry *e, int64_t *mono, int64_t *wall, unsigned hours)
{
	for (unsigned i = 0; i <= hours; i++) {
		clock_shift(*mono, *wall);
		IS(expiry_run(e, &w.rest), 0);
		if (i < hours) {
			*mono += HOUR;
			*wall += HOUR;
		}
	}
}

static unsigned there(const char *path)
{
	return ASK(&w, HTTP_GET, path, w.key[ALPHA]);
}

/* A world with one token of a ttl of ten seconds, used just now. */
static const char *world_with_short_token(struct expiry *e)
{
	static char path[64];
	char key[TOKEN_KEY + 1];

	world_open(&w);
	(void)snprintf(key, sizeof(key), "%s", create("[{\"ttl\":10}]"));
	(void)snprintf(path, sizeof(path), "/platform/tokens/%llu",
	               (unsigned long long)world_number(&w, 0, "id"));
	IS(ASK(&w, HTTP_GET, "/auth/info", key), 200);
	IS(tokens_flush(w.rest.tokens), 0);
	IS(expiry_open(e, &w.rest, EVERY), 0);
	return path;
}

static void an_ended_token_is_deleted_a_day_later_and_not_before(void)
{
	struct expiry e;
	const char *path = world_with_short_token(&e);
	int64_t mono = 0, wall = 0;

	hours_pass(&e, &mono, &wall, 23);
	IS(there(path), 200);
	hours_pass(&e, &mono, &wall, 2);
	IS(there(path), 404);
	clock_shift(0, 0);
	world_close(&w);
}

static void a_clock_that_jumps_ahead_and_comes_back_deletes_nothing(void)
{
	struct expiry e;
	const char *path = world_with_short_token(&e);
	int64_t mono = 0, wall = 48 * (int64_t)HOUR;

	hours_pass(&e, &mono, &wall, 5);
	wall -= 48 * (int64_t)HOUR;
	clock_shift(mono, wall);
	IS(there(path), 200);
	hours_pass(&e, &mono, &wall, 23);
	IS(there(path), 200); /* ended 28 hours ago, but the clock is trusted for 23 only */
	hours_pass(&e, &mono, &wall, 2);
	IS(there(path), 404);
	clock_shift(0, 0);
	world_close(&w);
}

static void after_a_start_with_an_unknown_clock_nothing_is_deleted_for_a_day(void)
{
	struct expiry e;
	const char *path = world_with_short_token(&e);
	int64_t mono = 0, wall = 48 * (int64_t)HOUR;

	clock_shift(mono, wall);
	IS(expiry_open(&e, &w.rest, EVERY), 0);
	hours_pass(&e, &mono, &wall, 23);
	IS(there(path), 200);
	hours_pass(&e, &mono, &wall, 2);
	IS(there(path), 404);
	clock_shift(0, 0);
	world_close(&w);
}

static void a_disabled_token_is_403_and_says_so(void)
{
	char key[TOKEN_KEY + 1];

	world_open(&w);
	(void)snprintf(key, sizeof(key), "%s", create("[{\"info\":\"x\",\"enabled\":false}]"));
	IS(ASK(&w, HTTP_GET, "/auth/info", key), 403);
	CONTAINS(w.text, "disabled");
	world_close(&w);
}

static void a_blocked_ancestor_blocks_all_below(void)
{
	world_open(&w);
	IS(ASK(&w, HTTP_PUT, "/platform/subaccounts/2", w.key[ALPHA], .body = "{\"blocked\":1}"),
	   200);
	IS(ASK(&w, HTTP_GET, "/auth/info", w.key[GAMMA]), 403);
	CONTAINS(w.text, "blocked");
	IS(ASK(&w, HTTP_GET, "/auth/info", w.key[ALPHA]), 200);
	IS(ASK(&w, HTTP_PUT, "/platform/subaccounts/2", w.key[ALPHA],
	       .body = "{\"blocked\":0,\"enabled\":false}"),
	   200);
	IS(ASK(&w, HTTP_GET, "/auth/info", w.key[GAMMA]), 403);
	IS(ASK(&w, HTTP_PUT, "/platform/subaccounts/2", w.key[ALPHA], .body = "{\"enabled\":true}"),
	   200);
	IS(ASK(&w, HTTP_GET, "/auth/info", w.key[GAMMA]), 200);
	world_close(&w);
}

static void the_limits_of_auth_info_are_the_lowest_of_token_and_all_above(void)
{
	struct token_info info;
	char why[200], key[TOKEN_KEY + 1];

	world_open(&w);
	IS(ASK(&w, HTTP_PUT, "/platform/customer", w.key[ALPHA],
	       .body = "{\"limits\":{\"mqtt_sessions\":7,\"mqtt_messages\":9}}"),
	   200);
	IS(ASK(&w, HTTP_PUT, "/platform/subaccounts/2", w.key[ALPHA],
	       .body = "{\"limits\":{\"mqtt_sessions\":5}}"),
	   200);
	IS(ASK(&w, HTTP_POST, "/platform/tokens", w.key[ALPHA], .cid = "2",
	       .body = "[{\"limits\":{\"mqtt_sessions\":6,\"mqtt_subscriptions\":3,\"mqtt_"
	               "messages\":-1}}]"),
	   200);
	(void)snprintf(key, sizeof(key), "%s", world_string(&w, 0, "key"));
	IS(ASK(&w, HTTP_GET, "/auth/info", key), 200);
	IS(token_info_read_reply(&info, str_c(w.text), why, sizeof(why)), 0);
	IS(limits_value(info.limits, LIMIT_SESSIONS, LIMIT_BY_TOKEN, 100), 5);
	IS(limits_value(info.limits, LIMIT_SUBSCRIPTIONS, LIMIT_BY_TOKEN, 100), 3);
	IS(limits_value(info.limits, LIMIT_MESSAGES, LIMIT_BY_TOKEN, 100), 9);
	token_info_free(&info);
	world_close(&w);
}

static void the_ips_of_a_token_count_everywhere_but_in_auth_info(void)
{
	char key[TOKEN_KEY + 1];

	world_open(&w);
	(void)snprintf(key, sizeof(key), "%s",
	               create("[{\"ips\":\"10.0.0.*\",\"access\":{\"type\":1}}]"));
	IS(ASK(&w, HTTP_GET, "/platform/customer", key, .peer = "127.0.0.1"), 403);
	IS(ASK(&w, HTTP_GET, "/platform/customer", key, .peer = "10.0.0.9"), 200);
	IS(ASK(&w, HTTP_GET, "/auth/info", key, .peer = "127.0.0.1"), 200);
	world_close(&w);
}

static void a_token_for_certificates_is_good_for_auth_info_only(void)
{
	struct token_info info;
	char key[TOKEN_KEY + 1], why[200];

	world_open(&w);
	(void)snprintf(key, sizeof(key), "%s",
	               create("[{\"certs\":\"lamp-*,l\xc3\xa4mp\",\"access\":{\"type\":1}}]"));
	IS(ASK(&w, HTTP_GET, "/platform/customer", key), 403);
	IS(ASK(&w, HTTP_GET, "/auth/info", key), 200);
	IS(token_info_read_reply(&info, str_c(w.text), why, sizeof(why)), 0);
	IS_BYTES(str_c(info.certs), STR("lamp-*,l\xc3\xa4mp"));
	token_info_free(&info);
	world_close(&w);
}

static void client_ids_are_kept_told_and_selected_by(void)
{
	struct token_info info;
	char key[TOKEN_KEY + 1], why[200];

	world_open(&w);
	(void)snprintf(key, sizeof(key), "%s",
	               create("[{\"info\":\"one\",\"client_ids\":[\"lamp-*\",\"a,\\\"b\"],"
	                      "\"access\":{\"type\":1}}]"));
	IS(ASK(&w, HTTP_GET, "/platform/customer", key), 200); /* of MQTT only */
	IS(ASK(&w, HTTP_GET, "/auth/info", key), 200);
	CONTAINS(w.text, "\"client_ids\":[\"lamp-*\",\"a,\\\"b\"]");
	IS(token_info_read_reply(&info, str_c(w.text), why, sizeof(why)), 0);
	IS_STR(str_c(info.client_ids), "lamp-*\na,\"b");
	token_info_free(&info);
	IS(ASK(&w, HTTP_GET, "/platform/tokens/client_ids=lamp-*?fields=info,client_ids",
	       w.key[ALPHA]),
	   200);
	IS_STR(str_c(w.text), "{\"result\":[{\"info\":\"one\",\"client_ids\":[\"lamp-*\",\"a,"
	                      "\\\"b\"]}]}");
	IS(ASK(&w, HTTP_GET, "/platform/tokens/client_ids=a,\"b?fields=info", w.key[ALPHA]), 200);
	IS(ASK(&w, HTTP_GET, "/platform/tokens/client_ids=lamp-?fields=info", w.key[ALPHA]), 404);
	IS(ASK(&w, HTTP_GET, "/platform/tokens/client_ids=,?fields=info", w.key[ALPHA]), 404);
	IS(ASK(&w, HTTP_GET, "/platform/tokens/client_ids=?fields=info", w.key[ALPHA]), 404);
	/* others stay as they are, and of those the proxy knows nothing */
	IS(ASK(&w, HTTP_PUT, "/platform/tokens/info=one?fields=client_ids", w.key[ALPHA],
	       .body = "{\"enabled\":true}"),
	   200);
	CONTAINS(w.text, "lamp-*");
	IS(ASK(&w, HTTP_PUT, "/platform/tokens/info=one?fields=client_ids", w.key[ALPHA],
	       .body = "{\"client_ids\":[]}"),
	   200);
	IS_STR(str_c(w.text), "{\"result\":[{\"client_ids\":[]}]}");
	IS(ASK(&w, HTTP_GET, "/auth/info", key), 200);
	IS(token_info_read_reply(&info, str_c(w.text), why, sizeof(why)), 0);
	YES(info.client_ids == NULL);
	token_info_free(&info);
	world_close(&w);
}

static void what_auth_info_tells_is_what_the_proxy_reads(void)
{
	struct token_info info;
	char why[200];

	world_open(&w);
	IS(ASK(&w, HTTP_GET, "/auth/info", w.key[GAMMA]), 200);
	IS(token_info_read_reply(&info, str_c(w.text), why, sizeof(why)), 0);
	IS(info.customer, GAMMA);
	IS(info.id, w.id[GAMMA]);
	YES(info.enabled);
	NO(info.customer_blocked);
	token_info_free(&info);
	world_close(&w);
}

static int by_number(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void ids_are_never_used_twice(void)
{
	int64_t ids[300];

	world_open(&w);
	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		(void)create("[{\"info\":\"x\"}]");
		ids[i] = world_number(&w, 0, "id");
		IS(ASK(&w, HTTP_DELETE, "/platform/tokens/info=x", w.key[ALPHA]), 200);
	}
	qsort(ids, ARRAY_LEN(ids), sizeof(ids[0]), by_number);
	for (size_t i = 1; i < ARRAY_LEN(ids); i++)
		YES(ids[i] > ids[i - 1]);
	world_close(&w);
}

/* Neighbours in time are not neighbours. (The seed is fixed: what holds once holds always.) */
static void ids_do_not_tell_how_many_there_are(void)
{
	uint8_t secret[IDS_SECRET], other[IDS_SECRET];
	int64_t ids[40];
	unsigned rising = 0;

	any_bytes(secret, sizeof(secret));
	memcpy(other, secret, sizeof(other));
	other[IDS_SECRET - 1] ^= 1;
	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		ids[i] = (int64_t)ids_encipher(secret, i);
		YES(ids[i] >> 40 == 1);
		rising += i && ids[i] > ids[i - 1];
		NO(ids_encipher(other, i) == (uint64_t)ids[i]);
	}
	YES(rising > 8 && rising < 31);
	qsort(ids, ARRAY_LEN(ids), sizeof(ids[0]), by_number);
	for (size_t i = 1; i < ARRAY_LEN(ids); i++)
		YES(ids[i] - ids[i - 1] > 1000000);
	YES(ids_encipher(secret, (UINT64_C(1) << 40) - 1) < UINT64_C(1) << 41);
}

static void a_change_that_is_undone_gives_its_ids_back(void)
{
	uint64_t first, second;

	world_open(&w);
	IS(db_begin(w.rest.db), 0);
	IS(ids_next(w.rest.db, "token", &first), 0);
	db_rollback(w.rest.db);
	IS(db_begin(w.rest.db), 0);
	IS(ids_next(w.rest.db, "token", &second), 0);
	IS(first, second);
	IS(ids_next(w.rest.db, "customer", &second), 0);
	NO(first == second); /* tokens say nothing of customers either */
	IS(ids_next(w.rest.db, "nothing", &second), -E_CORRUPT);
	IS(db_commit(w.rest.db), 0);
	world_close(&w);
}

static void any_allocation_may_fail_while_a_token_is_made_and_all_or_nothing_is_kept(void)
{
	world_open(&w);
	each_alloc_failure(n)
	{
		struct http_req req = { .method = HTTP_POST,
			                .path = STR("/platform/tokens"),
			                .has_authorization = true,
			                .authorization = str_c(w.key[ALPHA]),
			                .content_type = STR("application/json"),
			                .body =
			                    STR("[{\"info\":\"x\",\"metadata\":{\"a\":\"b\"}}]") };
		struct http_resp resp = { 0 };

		router_handle(&w.rest, &req, &resp);
		buf_free(&resp.body);
	}
	mem_fail_at(0, false);
	IS(ASK(&w, HTTP_GET, "/platform/tokens/info=x?fields=id,metadata", w.key[ALPHA]), 200);
	for (size_t i = 0; i < world_items(&w); i++)
		YES(json_object_get(json_object_get(world_item(&w, i), "metadata"), "a"));
	world_close(&w);
}

RUN(a_key_is_found_in_all_its_forms, a_key_with_one_character_changed_is_nobodys,
    a_key_with_a_known_lookup_id_and_another_secret_is_nobodys,
    a_short_credential_of_another_token_or_in_another_form_is_nobodys,
    a_created_token_shows_its_key_once, no_file_holds_a_key_or_a_part_of_it,
    no_event_and_no_push_holds_a_key, a_ttl_counts_from_creation_and_then_from_the_last_use,
    a_token_lives_while_either_expire_or_ttl_does,
    a_token_that_would_have_ended_is_not_made_nor_changed_into,
    the_last_use_is_shown_before_it_is_written_and_survives_a_restart,
    the_ended_are_those_whose_time_is_over_by_their_last_use,
    an_ended_token_is_deleted_a_day_later_and_not_before,
    a_clock_that_jumps_ahead_and_comes_back_deletes_nothing,
    after_a_start_with_an_unknown_clock_nothing_is_deleted_for_a_day,
    a_disabled_token_is_403_and_says_so, a_blocked_ancestor_blocks_all_below,
    the_limits_of_auth_info_are_the_lowest_of_token_and_all_above,
    the_ips_of_a_token_count_everywhere_but_in_auth_info,
    a_token_for_certificates_is_good_for_auth_info_only, client_ids_are_kept_told_and_selected_by,
    what_auth_info_tells_is_what_the_proxy_reads, ids_are_never_used_twice,
    ids_do_not_tell_how_many_there_are, a_change_that_is_undone_gives_its_ids_back,
    any_allocation_may_fail_while_a_token_is_made_and_all_or_nothing_is_kept)

/* proxy_auth.c - asking an endpoint over a real socket: what lets in, what refuses, what does neither (A08 to A11, A13, A20, F04 to F06). */
#include "tests/unit/proxy_auth.h"

static void a_good_answer_lets_in(void)
{
	struct token *t;

	defaults();
	begin();
	t = use("k1");
	IS(auth_verdict(t)->info.customer, 7);
	IS(auth_verdict(t)->info.id, 1);
	YES(may(t, "a/x"));
	NO(may(t, "b/x"));
	auth_token_put(&t);
	IS(look("k1"), RC_SUCCESS);
	IS(requests(), 1);
	end();
}

static void the_request_carries_the_key_and_nothing_to_be_unpacked(void)
{
	char seen[REQUEST_MAX];

	defaults();
	begin();
	IS(ask("k1"), RC_SUCCESS);
	pthread_mutex_lock(&ep->lock);
	memcpy(seen, ep->last, sizeof(seen));
	pthread_mutex_unlock(&ep->lock);
	CONTAINS(seen, "GET /auth/info HTTP/1.1\r\n");
	CONTAINS(seen, "\r\nAuthorization: FlespiToken k1\r\n");
	NO(strstr(seen, "Accept-Encoding"));
	end();
}

static void the_short_form_is_asked_as_id_and_characters(void)
{
	const struct credential c = { .key = STR("0123456789abcdef"), .short_id = 12 };
	struct token *t;

	defaults();
	begin();
	IS(ask_as(c, &home, &t), RC_SUCCESS);
	IS(auth_verdict(t)->info.id, 12);
	pthread_mutex_lock(&ep->lock);
	CONTAINS(ep->last, "\r\nAuthorization: FlespiToken 12:0123456789abcdef\r\n");
	pthread_mutex_unlock(&ep->lock);
	auth_token_put(&t);
	end();
}

static void token_99(struct endpoint *e, int fd, const char *key)
{
	(void)key;
	good(e, fd, "k99");
}

static void the_short_form_of_one_token_never_opens_another(void)
{
	const struct credential c = { .key = STR("0123456789abcdef"), .short_id = 12 };
	struct token *t;

	defaults();
	begin();
	atomic_store(&ep->reply, token_99);
	IS(ask_as(c, &home, &t), RC_SERVER_UNAVAILABLE);
	end();
}

static void credentials_that_read_alike_are_not_the_same(void)         /* A11 */
{
	const struct credential a = { .key = STR("0123456789abcdef"), .short_id = 1 };
	const struct credential b = { .key = STR("0123456789abcdef"), .short_id = 0x3130 };
	struct credential forms[4] = { a, b, whole("1:0123456789abcdef"), whole("0123456789abcdef") };
	uint8_t digest[4][CRYPT_HASH];

	defaults();
	begin();
	for (int i = 0; i < 4; i++) {
		auth_table_digest(&au->table, &forms[i], digest[i]);
		for (int k = 0; k < i; k++)
			NO(memcmp(digest[i], digest[k], CRYPT_HASH) == 0);
	}
	end();
}

static void an_unauthorized_key_is_refused_and_remembered(void)
{
	defaults();
	begin();
	atomic_store(&ep->reply, says_401);
	IS(ask("k1"), RC_BAD_USER_NAME_OR_PASSWORD);
	IS(look("k1"), RC_BAD_USER_NAME_OR_PASSWORD);
	IS(ask("k1"), RC_BAD_USER_NAME_OR_PASSWORD);
	IS(requests(), 1);
	end();
}

static void a_forbidden_key_is_not_authorized(void)
{
	defaults();
	begin();
	atomic_store(&ep->reply, says_403);
	IS(ask("k1"), RC_NOT_AUTHORIZED);
	end();
}

static void a_refusal_is_forgotten_in_time(void)
{
	defaults();
	config.auth_no = 200;
	begin();
	atomic_store(&ep->reply, says_401);
	IS(ask("k1"), RC_BAD_USER_NAME_OR_PASSWORD);
	atomic_store(&ep->reply, good);
	UNTIL(look("k1") == -1, 1000);
	IS(ask("k1"), RC_SUCCESS);
	IS(look("k1"), RC_SUCCESS);
	end();
}

static void refuses(const char *extra, int64_t expire)
{
	defaults();
	begin();
	atomic_store(&ep->extra, extra);
	atomic_store(&ep->expire, expire);
	IS(ask("k1"), RC_NOT_AUTHORIZED);
	IS(look("k1"), RC_NOT_AUTHORIZED);
	end();
}

static void says_disabled(struct endpoint *e, int fd, const char *key)
{
	(void)key;
	endpoint_say(e, fd, OK_JSON, "{\"result\":[{\"id\":1,\"cid\":7,\"enabled\":false," ACCESS("#") "}]}");
}

static void a_disabled_token_an_ended_one_and_a_blocked_customer_are_refused(void)
{
	defaults();
	begin();
	atomic_store(&ep->reply, says_disabled);
	IS(ask("k1"), RC_NOT_AUTHORIZED);
	end();
	refuses("", 1000000000);
	refuses(",\"blocked\":true", 0);
}

static void a_string_that_is_no_key_costs_no_request(void)     /* A20 */
{
	char key[TOKEN_KEY + 1] = "";
	uint8_t random[TOKEN_RANDOM] = { 1 };

	defaults();
	config.auth_key_form = 0;
	begin();
	token_make(key, random);
	IS(look("k1"), RC_BAD_USER_NAME_OR_PASSWORD);
	IS(ask("k1"), RC_BAD_USER_NAME_OR_PASSWORD);
	IS(look(key), -1);
	key[20] ^= 1;
	IS(look(key), RC_BAD_USER_NAME_OR_PASSWORD);
	IS(ask(key), RC_BAD_USER_NAME_OR_PASSWORD);
	IS(requests(), 0);
	IS(counted(&auth_counters(au)->refused_form), 4);
	end();
}

/* ---- A08: whatever else the endpoint says is no answer ---- */
static _Atomic(const char *) strange_head, strange_body;

static void says_strange(struct endpoint *e, int fd, const char *key)
{
	(void)key;
	endpoint_say(e, fd, atomic_load(&strange_head), atomic_load(&strange_body));
}

static void is_unavailable_with(reply_fn reply)
{
	begin();
	atomic_store(&ep->reply, reply);
	IS(ask("k1"), RC_SERVER_UNAVAILABLE);
	IS(look("k1"), -1);                     /* never remembered as a refusal */
	IS(counted(&auth_counters(au)->no), 0);
	YES(requests() > 0);
	end();
}

static void an_unavailable_key_may_come_in_after_its_rest(void)
{
	defaults();
	begin();
	atomic_store(&ep->reply, says_500);
	IS(ask("k1"), RC_SERVER_UNAVAILABLE);
	atomic_store(&ep->reply, good);
	IS(ask("k1"), RC_SERVER_UNAVAILABLE);   /* it rests: no request */
	IS(requests(), 1);
	IS(ask("k2"), RC_SUCCESS);              /* only itself */
	turn_for(300);
	IS(ask("k1"), RC_SUCCESS);
	end();
}

#define TOKEN_OK "{\"id\":1,\"cid\":7,\"enabled\":true," ACCESS("#") "}"
static void A08_a_strange_answer_neither_admits_nor_refuses(void)
{
	static const struct {
		const char *head, *body;
	} rows[] = {
		{ "200 OK\r\nContent-Type: text/html", "<html>welcome</html>" },
		{ "200 OK\r\nContent-Type: text/html", "{\"result\":[" TOKEN_OK "]}" },
		{ "200 OK\r\nContent-Type: application/jsonp", "{\"result\":[" TOKEN_OK "]}" },
		{ "200 OK", "{\"result\":[" TOKEN_OK "]}" },
		{ OK_JSON, "" },
		{ OK_JSON, "null" },
		{ OK_JSON, "true" },
		{ OK_JSON, "{\"result\":[]}" },
		{ OK_JSON, "{\"result\":[" TOKEN_OK "," TOKEN_OK "]}" },
		{ OK_JSON, "{\"result\":" TOKEN_OK "}" },
		{ OK_JSON, "{\"result\":[" TOKEN_OK "]" },
		{ OK_JSON, "{\"result\":[" TOKEN_OK "]} {}" },
		{ OK_JSON, "{\"result\":[{\"id\":1,\"cid\":\"7\",\"enabled\":true," ACCESS("#") "}]}" },
		{ OK_JSON, "{\"result\":[{\"id\":1,\"cid\":7,\"enabled\":1," ACCESS("#") "}]}" },
		{ OK_JSON, "{\"result\":[{\"id\":1,\"enabled\":true," ACCESS("#") "}]}" },
		{ OK_JSON, "{\"result\":[{\"id\":1,\"cid\":7,\"enabled\":true}]}" },
		{ "201 Created\r\nContent-Type: application/json", "{\"result\":[" TOKEN_OK "]}" },
		{ "204 No Content", "" },
		{ "302 Found\r\nContent-Type: application/json", "{\"result\":[" TOKEN_OK "]}" },
		{ "404 Not Found", "" },
		{ "429 Too Many", "" },
		{ "500 Oops", "" },
		{ "502 Bad Gateway", "<html>" },
	};

	defaults();
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		atomic_store(&strange_head, rows[i].head);
		atomic_store(&strange_body, rows[i].body);
		is_unavailable_with(says_strange);
	}
}

static void hangs_up(struct endpoint *e, int fd, const char *key)
{
	(void)e;
	(void)key;
	(void)shutdown(fd, SHUT_RDWR);
}

static void stops_halfway(struct endpoint *e, int fd, const char *key)
{
	const char *text = "HTTP/1.1 " OK_JSON "\r\nContent-Length: 500\r\n\r\n{\"result\":[" TOKEN_OK "]}";

	(void)key;
	(void)endpoint_write(e, fd, text, strlen(text));
	(void)shutdown(fd, SHUT_RDWR);
}

static void says_no_http(struct endpoint *e, int fd, const char *key)
{
	(void)key;
	(void)endpoint_write(e, fd, "{\"result\":[" TOKEN_OK "]}\r\n\r\n", strlen("{\"result\":[" TOKEN_OK "]}\r\n\r\n"));
	(void)shutdown(fd, SHUT_RDWR);
}

static void A08_a_broken_answer_neither_admits_nor_refuses(void)
{
	defaults();
	is_unavailable_with(hangs_up);
	is_unavailable_with(stops_halfway);
	is_unavailable_with(says_no_http);
}

/* ---- A09: too much of anything ---- */
static void pour(struct endpoint *e, int fd, const char *head, const char *piece, size_t bytes)
{
	size_t n = strlen(piece);

	if (!endpoint_write(e, fd, head, strlen(head)))
		return;
	for (size_t done = 0; done < bytes && endpoint_write(e, fd, piece, n); done += n)
		;
}

enum { MIB = 1024 * 1024 };
static void says_100_mb(struct endpoint *e, int fd, const char *key)
{
	static char piece[65537];

	(void)key;
	memset(piece, ' ', sizeof(piece) - 1);
	pour(e, fd, "HTTP/1.1 " OK_JSON "\r\nContent-Length: 104857600\r\n\r\n", piece, 100 * MIB);
}

static void says_chunks_for_ever(struct endpoint *e, int fd, const char *key)
{
	(void)key;
	pour(e, fd, "HTTP/1.1 " OK_JSON "\r\nTransfer-Encoding: chunked\r\n\r\n", "10\r\n                \r\n", 100 * MIB);
}

static void says_headers_for_ever(struct endpoint *e, int fd, const char *key)
{
	(void)key;
	pour(e, fd, "HTTP/1.1 " OK_JSON "\r\n", "X-More: and more and more and more and more\r\n", 100 * MIB);
}

static void says_one_header_for_ever(struct endpoint *e, int fd, const char *key)
{
	(void)key;
	pour(e, fd, "HTTP/1.1 " OK_JSON "\r\nX-More: ", "and more and more and more and more and more ", 100 * MIB);
}

static void says_100_continue_for_ever(struct endpoint *e, int fd, const char *key)
{
	(void)key;
	pour(e, fd, "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\n", 100 * MIB);
}

static void A09_reading_stops_at_the_cap(void)
{
	static const reply_fn rows[] = { says_100_mb, says_chunks_for_ever, says_headers_for_ever, says_one_header_for_ever,
		                         says_100_continue_for_ever };

	defaults();
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		begin();
		atomic_store(&ep->reply, rows[i]);
		IS(ask("k1"), RC_SERVER_UNAVAILABLE);
		IS(look("k1"), -1);
		UNTIL(atomic_load(&ep->busy) == 0, 2000);               /* we hung up */
		YES(atomic_load(&ep->written) < 16 * MIB);              /* what fits into socket buffers */
		end();
	}
}

static char big_head[40000];

static void says_big_head(struct endpoint *e, int fd, const char *key)
{
	(void)key;
	(void)endpoint_write(e, fd, big_head, strlen(big_head));
	endpoint_say(e, fd, OK_JSON, "{\"result\":[" TOKEN_OK "]}");
}

/* An interim answer with many headers, and the real one after it. */
static void fill_head(size_t bytes)
{
	size_t n = (size_t)snprintf(big_head, sizeof(big_head), "HTTP/1.1 103 Early\r\n");

	while (n < bytes)
		n += (size_t)snprintf(big_head + n, sizeof(big_head) - n, "X-More: and more and more and more and more\r\n");
	(void)snprintf(big_head + n, sizeof(big_head) - n, "\r\n");
}

static void A09_headers_are_read_up_to_16_kib(void)
{
	defaults();
	fill_head(15000);
	begin();
	atomic_store(&ep->reply, says_big_head);
	IS(ask("k1"), RC_SUCCESS);
	end();
	fill_head(17000);
	is_unavailable_with(says_big_head);
}

static char big_body[70000];

static void says_big(struct endpoint *e, int fd, const char *key)
{
	(void)key;
	endpoint_say(e, fd, OK_JSON, big_body);
}

static void fill_deep(size_t depth)
{
	size_t n = 0;

	n += (size_t)snprintf(big_body, sizeof(big_body), "{\"x\":");
	memset(big_body + n, '[', depth);
	memset(big_body + n + depth, ']', depth);
	(void)snprintf(big_body + n + 2 * depth, sizeof(big_body) - n - 2 * depth, ",\"result\":[" TOKEN_OK "]}");
}

static void A09_deep_json_and_doubled_keys_are_no_answer(void)
{
	defaults();
	fill_deep(2000);
	is_unavailable_with(says_big);
	(void)snprintf(big_body, sizeof(big_body), "{\"result\":[{\"id\":1,\"cid\":7,\"cid\":8,\"enabled\":true," ACCESS("#") "}]}");
	is_unavailable_with(says_big);
	(void)snprintf(big_body, sizeof(big_body), "{\"result\":[],\"result\":[" TOKEN_OK "]}");
	is_unavailable_with(says_big);
}

static void A09_a_body_of_the_cap_is_read_and_one_byte_more_is_not(void)
{
	size_t n;

	defaults();
	config.auth_body_max = 4096;
	memset(big_body, ' ', sizeof(big_body));
	n = (size_t)snprintf(big_body, sizeof(big_body), "{\"result\":[" TOKEN_OK "]}");
	big_body[n] = ' ';
	big_body[4096] = '\0';
	begin();
	atomic_store(&ep->reply, says_big);
	IS(ask("k1"), RC_SUCCESS);
	end();
	big_body[4096] = ' ';
	big_body[4097] = '\0';
	is_unavailable_with(says_big);
}

static void says_gzip(struct endpoint *e, int fd, const char *key)
{
	(void)key;
	endpoint_say(e, fd, OK_JSON "\r\nContent-Encoding: gzip", "\x1f\x8b\x08 bomb");
}

static void A09_compressed_bodies_are_not_unpacked(void)
{
	defaults();
	is_unavailable_with(says_gzip);
}

/* ---- A10 ---- */
static struct endpoint *elsewhere;

static void redirects(struct endpoint *e, int fd, const char *key)
{
	char head[200];

	(void)key;
	(void)snprintf(head, sizeof(head), "301 Moved\r\nLocation: http://127.0.0.1:%u/auth/info", elsewhere->port);
	endpoint_say(e, fd, head, "");
}

static void A10_a_redirect_is_not_followed(void)
{
	defaults();
	elsewhere = endpoint_start(0, NULL);
	begin();
	atomic_store(&ep->reply, redirects);
	IS(ask("k1"), RC_SERVER_UNAVAILABLE);
	turn_for(100);
	IS(atomic_load(&elsewhere->busy_most), 0);      /* not even connected */
	end();
	endpoint_stop(&elsewhere);
}

static void a_proxy_in_the_environment_does_not_count(void)
{
	char proxy[64];

	defaults();
	elsewhere = endpoint_start(0, NULL);
	(void)snprintf(proxy, sizeof(proxy), "http://127.0.0.1:%u", elsewhere->port);
	setenv("http_proxy", proxy, 1);
	setenv("all_proxy", proxy, 1);
	begin();
	IS(ask("k1"), RC_SUCCESS);
	IS(atomic_load(&elsewhere->busy_most), 0);
	end();
	unsetenv("http_proxy");
	unsetenv("all_proxy");
	endpoint_stop(&elsewhere);
}

/* ---- Many at once ---- */
static void a_hundred_asks_for_one_token_are_one_request(void) /* F05 */
{
	static struct asked x[100];

	defaults();
	begin();
	atomic_store(&ep->delay_ms, 200);
	for (size_t i = 0; i < ARRAY_LEN(x); i++)
		send_ask(&x[i], "k1");
	for (size_t i = 0; i < ARRAY_LEN(x); i++) {
		UNTIL(x[i].back, 5000);
		IS(x[i].reason, RC_SUCCESS);
		YES(x[i].token == x[0].token || i == 0);
	}
	for (size_t i = 0; i < ARRAY_LEN(x); i++)
		auth_token_put(&x[i].token);
	IS(requests(), 1);
	IS(counted(&auth_counters(au)->merged), 99);
	end();
}

static char name[32];
static const char *key_no(unsigned i)
{
	(void)snprintf(name, sizeof(name), "k%u", i);
	return name;
}

static void no_more_requests_run_at_once_than_allowed(void)
{
	static struct asked x[40];

	defaults();
	config.auth_parallel = 4;
	begin();
	atomic_store(&ep->delay_ms, 30);
	for (unsigned i = 0; i < ARRAY_LEN(x); i++)
		send_ask(&x[i], key_no(i + 1));
	for (size_t i = 0; i < ARRAY_LEN(x); i++) {
		UNTIL(x[i].back, 10000);
		IS(x[i].reason, RC_SUCCESS);
		auth_token_put(&x[i].token);
	}
	IS(requests(), 40);
	YES(atomic_load(&ep->busy_most) <= 4);
	end();
}

static void who_does_not_fit_into_the_queue_is_told_at_once(void)
{
	static struct asked x[20];
	unsigned told_busy = 0;

	defaults();
	config.auth_parallel = 1;
	config.auth_queue = 4;
	begin();
	atomic_store(&ep->delay_ms, 400);
	for (unsigned i = 0; i < ARRAY_LEN(x); i++)
		send_ask(&x[i], key_no(i + 1));
	turn_for(150);
	for (size_t i = 0; i < ARRAY_LEN(x); i++)
		told_busy += x[i].back && x[i].reason == RC_SERVER_BUSY;
	YES(told_busy >= ARRAY_LEN(x) - 6 && told_busy <= ARRAY_LEN(x) - 4);
	IS(counted(&auth_counters(au)->overflow), told_busy);
	for (size_t i = 0; i < ARRAY_LEN(x); i++) {
		UNTIL(x[i].back, 5000);
		auth_token_put(&x[i].token);
	}
	end();
}

static void a_slow_endpoint_is_given_up_in_time(void)
{
	int64_t start;

	defaults();
	config.auth_timeout = 500;
	begin();
	atomic_store(&ep->delay_ms, 5000);
	start = clock_mono_ms();
	IS(ask("k1"), RC_SERVER_UNAVAILABLE);
	YES(clock_mono_ms() - start >= 450 && clock_mono_ms() - start < 1500);
	end();
}

static void nobody_waits_for_a_slot_longer_than_the_deadline(void)
{
	static struct asked x[8];
	int64_t start;

	defaults();
	config.auth_parallel = 1;
	config.auth_timeout = 300;
	begin();
	atomic_store(&ep->delay_ms, 5000);
	start = clock_mono_ms();
	for (unsigned i = 0; i < ARRAY_LEN(x); i++)
		send_ask(&x[i], key_no(i + 1));
	for (size_t i = 0; i < ARRAY_LEN(x); i++) {
		UNTIL(x[i].back, 5000);
		YES(x[i].reason == RC_SERVER_UNAVAILABLE || x[i].reason == RC_SERVER_BUSY);
	}
	YES(clock_mono_ms() - start < 1500);
	end();
}

static void unanswered_asks_are_freed_when_all_ends(void)
{
	static struct asked x[8];

	defaults();
	config.auth_parallel = 2;
	begin();
	atomic_store(&ep->delay_ms, 5000);
	for (unsigned i = 0; i < ARRAY_LEN(x); i++)
		send_ask(&x[i], key_no(i / 2 + 1));
	turn_for(50);
	end();
	for (size_t i = 0; i < ARRAY_LEN(x); i++)
		NO(x[i].back);
}

/* ---- What is remembered ---- */
static void a_hit_does_not_prolong_a_yes(void)         /* A13 */
{
	int64_t start;

	defaults();
	config.auth_cache = 500;
	begin();
	IS(ask("k1"), RC_SUCCESS);
	start = clock_mono_ms();
	UNTIL(look("k1") == -1, 2000);
	YES(clock_mono_ms() - start <= 800);
	IS(requests(), 1);
	end();
}

static void what_nobody_uses_is_forgotten(void)
{
	defaults();
	config.auth_cache = 200;
	begin();
	for (unsigned i = 1; i <= 20; i++)
		IS(ask(key_no(i)), RC_SUCCESS);
	turn_for(2600);
	IS(requests(), 20);                     /* not refreshed either */
	loop_stop(au->loop);
	thread_join(&au->thread);               /* so that this thread may look into the table */
	IS(au->table.count, 0);
	IS(au->table.all.count, 0);
	end();
}

static void a_full_table_gives_up_the_oldest_that_is_not_in_use(void)
{
	struct token *used;

	defaults();
	config.auth_known_max = 4;
	begin();
	used = use("k1");
	for (unsigned i = 2; i <= 5; i++)
		IS(ask(key_no(i)), RC_SUCCESS);
	IS(look("k1"), RC_SUCCESS);             /* the oldest, but in use */
	IS(look("k2"), -1);
	IS(look("k3"), RC_SUCCESS);
	IS(look("k5"), RC_SUCCESS);
	auth_token_put(&used);
	end();
}

static void a_table_full_of_tokens_in_use_takes_nobody_new(void)
{
	struct token *t[4];

	defaults();
	config.auth_known_max = 4;
	begin();
	for (unsigned i = 0; i < 4; i++)
		t[i] = use(key_no(i + 1));
	IS(ask("k9"), RC_SERVER_BUSY);
	auth_token_put(&t[2]);
	IS(ask("k9"), RC_SUCCESS);
	auth_token_put(&t[0]);
	auth_token_put(&t[1]);
	auth_token_put(&t[3]);
	end();
}

static void a_flood_of_wrong_keys_pushes_out_only_its_own(void)        /* A20 */
{
	struct sock_addr flooder = home;
	struct token *none;
	unsigned remembered = 0;

	defaults();
	config.auth_no_max = 160;               /* ten for each source */
	config.auth_no = 60000;
	begin();
	IS(ask("k1"), RC_SUCCESS);
	atomic_store(&ep->reply, says_401);
	IS(ask("k2"), RC_BAD_USER_NAME_OR_PASSWORD);
	flooder.bytes[15] = 2;
	for (unsigned i = 100; i < 400; i++) {
		struct credential c = whole(key_no(i));

		IS(ask_as(c, &flooder, &none), RC_BAD_USER_NAME_OR_PASSWORD);
	}
	IS(look("k1"), RC_SUCCESS);
	IS(look("k2"), RC_BAD_USER_NAME_OR_PASSWORD);
	for (unsigned i = 100; i < 400; i++)
		remembered += look(key_no(i)) != -1;
	IS(remembered, 10);
	end();
}

/* ---- Where the endpoint may be ---- */
static int starts_with(const char *where, const char **why)
{
	struct auth *a = NULL;
	int err;

	(void)snprintf(url, sizeof(url), "%s", where);
	err = auth_start(&a, &config, why);
	auth_stop(&a);
	return err;
}

static void plain_http_goes_to_this_machine_only(void)
{
	const char *why = "";

	defaults();
	IS(starts_with("http://127.0.0.1:1/auth/info", &why), 0);
	IS(starts_with("http://localhost:1/auth/info", &why), 0);
	IS(starts_with("http://[::1]:1/auth/info", &why), 0);
	IS(starts_with("https://example.com/auth/info", &why), 0);
	IS(starts_with("http://192.0.2.1/auth/info", &why), -E_INVALID);
	CONTAINS(why, "auth_insecure_http");
	IS(starts_with("http://127.example.com/auth/info", &why), -E_INVALID);
	IS(starts_with("http://127.0.0.1.example.com/auth/info", &why), -E_INVALID);
	IS(starts_with("http://localhost.example.com/", &why), -E_INVALID);
	config.auth_insecure_http = true;
	IS(starts_with("http://192.0.2.1/auth/info", &why), 0);
}

static void an_endpoint_that_cannot_be_is_told_at_the_start(void)
{
	const char *why = "";

	defaults();
	IS(starts_with("", &why), -E_INVALID);
	IS(starts_with("127.0.0.1", &why), -E_INVALID);
	IS(starts_with("ftp://127.0.0.1/", &why), -E_INVALID);
	IS(starts_with("file:///etc/passwd", &why), -E_INVALID);
	IS(starts_with("http://user:word@127.0.0.1/", &why), -E_INVALID);
	CONTAINS(why, "user name");
	IS(starts_with("unix:relative", &why), -E_INVALID);
	config.auth_ca = (char *)(uintptr_t) "/nonexistent/ca.pem";
	IS(starts_with("https://127.0.0.1/", &why), -E_INVALID);
	CONTAINS(why, "auth_ca");
}

static void a_unix_socket_is_an_endpoint_too(void)
{
	char path[100];

	defaults();
	(void)snprintf(path, sizeof(path), "%s/auth.sock", temp_dir());
	ep = endpoint_start(0, path);
	(void)snprintf(url, sizeof(url), "unix:%s", path);
	start_auth(true);
	IS(ask("k1"), RC_SUCCESS);
	end();
}

RUN(a_good_answer_lets_in, the_request_carries_the_key_and_nothing_to_be_unpacked, the_short_form_is_asked_as_id_and_characters,
    the_short_form_of_one_token_never_opens_another, credentials_that_read_alike_are_not_the_same,
    an_unauthorized_key_is_refused_and_remembered, a_forbidden_key_is_not_authorized, a_refusal_is_forgotten_in_time,
    a_disabled_token_an_ended_one_and_a_blocked_customer_are_refused, a_string_that_is_no_key_costs_no_request,
    an_unavailable_key_may_come_in_after_its_rest, A08_a_strange_answer_neither_admits_nor_refuses, A08_a_broken_answer_neither_admits_nor_refuses, A09_reading_stops_at_the_cap, A09_headers_are_read_up_to_16_kib,
    A09_deep_json_and_doubled_keys_are_no_answer, A09_a_body_of_the_cap_is_read_and_one_byte_more_is_not,
    A09_compressed_bodies_are_not_unpacked, A10_a_redirect_is_not_followed, a_proxy_in_the_environment_does_not_count,
    a_hundred_asks_for_one_token_are_one_request, no_more_requests_run_at_once_than_allowed,
    who_does_not_fit_into_the_queue_is_told_at_once, a_slow_endpoint_is_given_up_in_time,
    nobody_waits_for_a_slot_longer_than_the_deadline, unanswered_asks_are_freed_when_all_ends, a_hit_does_not_prolong_a_yes,
    what_nobody_uses_is_forgotten, a_full_table_gives_up_the_oldest_that_is_not_in_use,
    a_table_full_of_tokens_in_use_takes_nobody_new, a_flood_of_wrong_keys_pushes_out_only_its_own,
    plain_http_goes_to_this_machine_only, an_endpoint_that_cannot_be_is_told_at_the_start, a_unix_socket_is_an_endpoint_too)

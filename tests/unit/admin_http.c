/* admin_http.c - the HTTP server on a real socket: what a request may look like, limits. */
#include "base/base.h"
#include "tests/unit/admin_server.h"

/* ---- Requests ---- */
static void requests_on_one_connection_are_answered_in_order(void)
{
	char text[4096];

	start();
	(void)snprintf(text, sizeof(text), "%s", make("GET /auth/info", "\r\n"));
	(void)strncat(text, make("GET /nothing", "\r\n"), 1000);
	(void)strncat(text, make("GET /platform/customer", "\r\n"), 1000);
	IS(say(text), 3);
	YES(strstr(heard, "HTTP/1.1 200") < strstr(heard, "HTTP/1.1 404"));
	CONTAINS(strstr(heard, "HTTP/1.1 404"), "HTTP/1.1 200");
	stop();
}

static void a_body_with_get_or_delete_ends_the_connection_unanswered_but_once(void)
{
	char text[4096], inner[1000];

	start();
	(void)snprintf(inner, sizeof(inner), "%s", make("GET /platform/customer", "\r\n"));
	for (int i = 0; i < 2; i++) {
		(void)snprintf(text, sizeof(text),
		               "%s /auth/info HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n%s",
		               i ? "GET" : "DELETE", strlen(inner), inner);
		IS(say(text), 1);
		CONTAINS(heard, "HTTP/1.1 400");
		CONTAINS(heard, "connection: close");
	}
	stop();
}

static void a_transfer_encoding_is_411_with_or_without_a_length(void)
{
	static const char *const more[] = {
		"Content-Type: application/json\r\nTransfer-Encoding: "
		"chunked\r\n\r\n2\r\n[]\r\n0\r\n\r\n",
		"Content-Type: application/json\r\nContent-Length: 4\r\nTransfer-Encoding: "
		"chunked\r\n\r\n2\r\n[]\r\n0\r\n\r\n",
		"Content-Type: application/json\r\nTransfer-Encoding: identity\r\nContent-Length: "
		"2\r\n\r\n[]",
	};

	start();
	for (size_t i = 0; i < ARRAY_LEN(more); i++) {
		IS(say(make("POST /platform/tokens", more[i])), 1);
		CONTAINS(heard, "HTTP/1.1 411");
	}
	stop();
}

static void a_strange_length_is_refused(void)
{
	static const struct {
		const char *length, *status;
	} cases[] = {
		{ "Content-Length: -1\r\n", "HTTP/1.1 400" },
		{ "Content-Length: 2\r\nContent-Length: 2\r\n", "HTTP/1.1 400" },
		{ "Content-Length: 0x2\r\n", "HTTP/1.1 400" },
		{ "Content-Length: 99999999999999999999\r\n", "HTTP/1.1 400" },
		{ "Content-Length: 4097\r\n", "HTTP/1.1 413" },
		{ "", "HTTP/1.1 411" },
	};
	char more[200];

	start();
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		(void)snprintf(more, sizeof(more), "Content-Type: application/json\r\n%s\r\n[]",
		               cases[i].length);
		IS(say(make("POST /platform/tokens", more)), 1);
		CONTAINS(heard, cases[i].status);
	}
	stop();
}

static void a_body_is_taken_whole_however_it_comes(void)
{
	const char *body = "[{\"info\":\"slowly\"}]";
	char more[100];
	int fd;

	start();
	(void)snprintf(more, sizeof(more),
	               "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
	               strlen(body));
	fd = dial();
	(void)make("POST /platform/tokens", more);
	MUST(send(fd, request, strlen(request), 0) > 0);
	for (size_t i = 0; i < strlen(body); i++) {
		MUST(send(fd, body + i, 1, 0) == 1);
		(void)usleep(2000);
	}
	heard[0] = '\0';
	YES(hear(fd, heard, sizeof(heard), "]}", 1000));
	CONTAINS(heard, "slowly");
	(void)close(fd);
	stop();
}

static void a_body_without_a_token_is_refused_before_it_comes(void)
{
	start();
	IS(say("POST /platform/tokens HTTP/1.1\r\nHost: x\r\nContent-Type: "
	       "application/json\r\nContent-Length: 4000\r\n\r\n"),
	   1);
	CONTAINS(heard, "HTTP/1.1 401");
	CONTAINS(heard, "connection: close");
	stop();
}

static void a_request_that_takes_too_long_is_closed(void)
{
	int64_t begin = clock_mono_ms();
	int fd;

	start();
	fd = dial();
	(void)make("POST /platform/tokens",
	           "Content-Type: application/json\r\nContent-Length: 20\r\n\r\n[");
	MUST(send(fd, request, strlen(request), 0) > 0);
	heard[0] = '\0';
	YES(hear(fd, heard, sizeof(heard), NULL, 3000));
	YES(clock_mono_ms() - begin < 2500);
	YES(heard[0] == '\0');
	(void)close(fd);
	stop();
}

static void upgrades_and_nonsense_get_no_answer_from_us(void)
{
	static const char *const texts[] = {
		"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: "
		"Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
		"Sec-WebSocket-Version: 13\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: Upgrade, "
		"HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"TRACE /auth/info HTTP/1.1\r\nHost: x\r\n\r\n",
		"\x16\x03\x01\x02",
	};

	start();
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		(void)say(texts[i]);
		NO(strstr(heard, "101"));
		NO(strstr(heard, "HTTP/1.1 200"));
	}
	IS(say(make("GET /auth/info", "\r\n")), 1); /* and it lives on */
	stop();
}

/* The answer is on its way when the body begins: the library hands it over without an end. */
static void a_body_behind_a_refused_head_blocks_nobody(void)
{
	static const char *const texts[] = {
		"GET / HTTP/1.1\r\nHost: x\r\n\r\nPOST / HTTP/1.1\r\nHost: x\r\n"
		"Content-Length: 20\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\n0123456789",
	};

	start();
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		int fd = dial();

		MUST(send(fd, texts[i], strlen(texts[i]), MSG_NOSIGNAL) > 0);
		(void)usleep(100000);
		IS(say(make("GET /auth/info", "\r\n")), 1);
		CONTAINS(heard, "HTTP/1.1 200");
		(void)close(fd);
	}
	stop();
}

static void a_head_over_the_limit_is_closed(void)
{
	static char text[20000];

	start();
	memset(text, 'a', sizeof(text) - 1);
	memcpy(text, "GET / HTTP/1.1\r\nX-Long: ", 24);
	(void)say(text);
	NO(strstr(heard, "HTTP/1.1 200"));
	IS(say(make("GET /auth/info", "\r\n")), 1);
	stop();
}

static void every_answer_has_the_headers_of_security(void)
{
	static const char *const headers[] = { "cache-control: no-store",
		                               "x-content-type-options: nosniff",
		                               "x-frame-options: DENY",
		                               "content-security-policy: default-src 'none'" };

	start();
	for (int i = 0; i < 2; i++) {
		IS(say(i ? make("GET /auth/info", "\r\n") : "GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
		   1);
		for (size_t h = 0; h < ARRAY_LEN(headers); h++)
			CONTAINS(heard, headers[h]);
		NO(strstr(heard, "access-control-allow-origin"));
	}
	stop();
}

static bool is_open(int fd)
{
	char c;

	return recv(fd, &c, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

static void connections_have_a_most_and_the_place_of_one_that_left_is_free(void)
{
	int fds[40], open = 0;

	start();
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		fds[i] = dial();
	(void)usleep(300000);
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		open += is_open(fds[i]);
		if (i < 20)
			NO(is_open(fds[i])); /* the oldest go */
	}
	IS(open, 20);
	IS(say(make("GET /auth/info", "\r\n")), 1); /* and who comes is served all the same */
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		(void)close(fds[i]);
	(void)usleep(300000);
	IS(say(make("GET /auth/info", "\r\n")), 1);
	stop();
}

static void an_address_has_its_share_and_ends_its_own_connections_only(void)
{
	int mine, theirs[12], open = 0;

	per_address = 8;
	start();
	per_address = 0;
	mine = dial_from("127.0.0.2");
	for (size_t i = 0; i < ARRAY_LEN(theirs); i++)
		theirs[i] = dial_from("127.0.0.3");
	(void)usleep(200000);
	for (size_t i = 0; i < ARRAY_LEN(theirs); i++)
		open += is_open(theirs[i]);
	IS(open, 8);
	NO(is_open(theirs[0]));
	YES(is_open(mine));
	IS(say(make("GET /auth/info", "\r\n")), 1);
	for (size_t i = 0; i < ARRAY_LEN(theirs); i++)
		(void)close(theirs[i]);
	(void)close(mine);
	stop();
}

static void when_all_places_are_taken_the_address_with_most_of_them_gives_one(void)
{
	int mine, theirs[40], open = 0;

	start();
	mine = dial_from("127.0.0.2"); /* the oldest of all */
	for (size_t i = 0; i < ARRAY_LEN(theirs); i++)
		theirs[i] = dial_from(i % 4 ? "127.0.0.3" : "127.0.0.4");
	(void)usleep(300000);
	YES(is_open(mine));
	for (size_t i = 0; i < ARRAY_LEN(theirs); i++)
		open += is_open(theirs[i]);
	IS(open, 19);
	for (size_t i = 0; i < ARRAY_LEN(theirs); i++)
		(void)close(theirs[i]);
	(void)close(mine);
	stop();
}

/* Half a head, byte by byte: it does not become young by that. */
static void a_slow_head_is_the_first_to_go_and_its_time_is_limited(void)
{
	int64_t begin = clock_mono_ms();
	int fd;

	start();
	fd = dial();
	MUST(send(fd, "GET / HTTP/1.1\r\n", 16, MSG_NOSIGNAL) == 16);
	while (is_open(fd) && clock_mono_ms() - begin < 8000) {
		(void)send(fd, "X: a\r\n", 6, MSG_NOSIGNAL);
		(void)usleep(100000);
	}
	YES(clock_mono_ms() - begin < 4500); /* idle_deadline is 3 s */
	(void)close(fd);
	stop();
}

static void a_side_that_is_closed_after_the_request_still_gets_the_answer(void)
{
	int fd;

	start();
	fd = dial();
	(void)make("GET /auth/info", "\r\n");
	MUST(send(fd, request, strlen(request), 0) > 0);
	MUST(shutdown(fd, SHUT_WR) == 0);
	heard[0] = '\0';
	YES(hear(fd, heard, sizeof(heard), NULL, 1000));
	CONTAINS(heard, "HTTP/1.1 200");
	(void)close(fd);
	stop();
}

static void a_body_that_is_announced_with_expect_is_asked_for(void)
{
	int fd;

	start();
	fd = dial();
	(void)make("POST /platform/tokens", "Content-Type: application/json\r\nContent-Length: "
	                                    "20\r\nExpect: 100-continue\r\n\r\n");
	MUST(send(fd, request, strlen(request), 0) > 0);
	heard[0] = '\0';
	YES(hear(fd, heard, sizeof(heard), "HTTP/1.1 100 Continue\r\n\r\n", 1000));
	MUST(send(fd, "[{\"info\":\"awaited\"}]", 20, 0) == 20);
	YES(hear(fd, heard, sizeof(heard), "awaited", 1000));
	(void)close(fd);
	stop();
}

/* Closing at once would make the kernel throw it away. */
static void the_answer_to_a_large_refused_body_arrives(void)
{
	static char body[4096];
	int fd;
	bool sent = true;

	start();
	fd = dial();
	(void)make("POST /platform/tokens",
	           "Content-Type: application/json\r\nContent-Length: 900000\r\n\r\n");
	MUST(send(fd, request, strlen(request), 0) > 0);
	memset(body, 'x', sizeof(body));
	for (int i = 0; i < 100 && sent; i++)
		sent = send(fd, body, sizeof(body), MSG_NOSIGNAL) > 0;
	YES(sent);
	heard[0] = '\0';
	YES(hear(fd, heard, sizeof(heard), NULL, 2000));
	CONTAINS(heard, "HTTP/1.1 413");
	(void)close(fd);
	stop();
}

/* The chunks of an answer in `heard`, put together in place; the number of them, -1: not whole. */
static int unchunk(char **body)
{
	char *from = strstr(heard, "\r\n\r\n"), *to;
	int chunks = 0;

	if (!from)
		return -1;
	from += 4;
	*body = to = from;
	for (;;) {
		unsigned long n = strtoul(from, &from, 16);

		from += 2;
		if (n == 0)
			break;
		if (strlen(from) < n + 2)
			return -1;
		memmove(to, from, n);
		to += n;
		from += n + 2;
		chunks++;
	}
	*to = '\0';
	return chunks;
}

static void make_tokens(void)
{
	json_t *fields = json_pack("{s:s}", "info", "one of many");

	IS(db_begin(w.rest.db), 0);
	for (int i = 0; i < 300; i++) {
		char key[TOKEN_KEY], why[200];
		struct token_row row;

		IS(tokens_create(w.rest.tokens, ALPHA, fields, key, &row, why, sizeof(why)), 0);
		token_row_free(&row);
	}
	IS(db_commit(w.rest.db), 0);
	json_decref(fields);
}

static void a_long_list_comes_in_chunks_and_the_next_answer_after_it(void)
{
	char two[2200], *body, why[200];
	json_t *list;
	int fd, chunks;

	start();
	make_tokens(); /* nobody is connected yet: the service thread touches nothing */
	(void)snprintf(two, sizeof(two), "%s", make("GET /platform/tokens/all", "\r\n"));
	(void)strncat(two, make("GET /platform/customer", "Connection: close\r\n\r\n"), 1000);
	fd = dial();
	MUST(send(fd, two, strlen(two), 0) > 0);
	heard[0] = '\0';
	YES(hear(fd, heard, sizeof(heard), NULL, 3000));
	CONTAINS(heard, "transfer-encoding: chunked");
	CONTAINS(heard, "\r\n0\r\n\r\nHTTP/1.1 200 OK");
	chunks = unchunk(&body);
	YES(chunks > 2);
	IS(json_read(&list, str_c(body), 1 << 20, 32, why, sizeof(why)), 0);
	YES(json_array_size(json_object_get(list, "result")) > 300);
	json_decref(list);
	(void)close(fd);
	stop();
}

static void a_long_list_ends_with_the_connection_where_there_are_no_chunks(void)
{
	int fd;

	start();
	make_tokens();
	fd = dial();
	(void)snprintf(request, sizeof(request),
	               "GET /platform/tokens/all HTTP/1.0\r\nAuthorization: %s\r\n\r\n",
	               w.key[ALPHA]);
	MUST(send(fd, request, strlen(request), 0) > 0);
	heard[0] = '\0';
	YES(hear(fd, heard, sizeof(heard), NULL, 3000));
	NO(strstr(heard, "chunked"));
	CONTAINS(heard, "connection: close");
	YES(heard[strlen(heard) - 1] == '}');
	(void)close(fd);
	stop();
}

/* ---- Parts without a socket ---- */
static void a_path_in_the_log_never_shows_a_key(void)
{
	char out[200], path[200];

	world_open(&w);
	(void)snprintf(path, sizeof(path), "/platform/tokens/key=%s/x", w.key[ALPHA]);
	http_mask(str_c(path), out, sizeof(out));
	IS_STR(str_c(out), "/platform/tokens/key=.../x");
	http_mask(STR("/platform/subaccounts/123"), out, sizeof(out));
	IS_STR(str_c(out), "/platform/subaccounts/123");
	http_mask(STR("/aaaaaaaaaaaaaaa"), out, 8);
	IS_STR(str_c(out), "/aaa");
	world_close(&w);
}

RUN(requests_on_one_connection_are_answered_in_order,
    a_body_with_get_or_delete_ends_the_connection_unanswered_but_once,
    a_transfer_encoding_is_411_with_or_without_a_length, a_strange_length_is_refused,
    a_body_is_taken_whole_however_it_comes, a_body_without_a_token_is_refused_before_it_comes,
    a_request_that_takes_too_long_is_closed, upgrades_and_nonsense_get_no_answer_from_us,
    a_body_behind_a_refused_head_blocks_nobody, a_head_over_the_limit_is_closed,
    every_answer_has_the_headers_of_security,
    connections_have_a_most_and_the_place_of_one_that_left_is_free,
    an_address_has_its_share_and_ends_its_own_connections_only,
    when_all_places_are_taken_the_address_with_most_of_them_gives_one,
    a_slow_head_is_the_first_to_go_and_its_time_is_limited,
    a_side_that_is_closed_after_the_request_still_gets_the_answer,
    a_body_that_is_announced_with_expect_is_asked_for, the_answer_to_a_large_refused_body_arrives,
    a_long_list_comes_in_chunks_and_the_next_answer_after_it,
    a_long_list_ends_with_the_connection_where_there_are_no_chunks,
    a_path_in_the_log_never_shows_a_key)

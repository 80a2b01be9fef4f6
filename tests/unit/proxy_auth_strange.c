/* proxy_auth_strange.c - whatever else an endpoint may say, too much or somewhere else, is no
 * answer: nobody comes in, nobody is remembered as refused (A08, A09, A10, F06). */
#include "tests/unit/proxy_auth.h"

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
	IS(look("k1"), -1); /* never remembered as a refusal */
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
	IS(ask("k1"), RC_SERVER_UNAVAILABLE); /* it rests: no request */
	IS(requests(), 1);
	IS(ask("k2"), RC_SUCCESS); /* only itself */
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
		{ OK_JSON,
		  "{\"result\":[{\"id\":1,\"cid\":\"7\",\"enabled\":true," ACCESS("#") "}]}" },
		{ OK_JSON, "{\"result\":[{\"id\":1,\"cid\":7,\"enabled\":1," ACCESS("#") "}]}" },
		{ OK_JSON, "{\"result\":[{\"id\":1,\"enabled\":true," ACCESS("#") "}]}" },
		{ OK_JSON, "{\"result\":[{\"id\":1,\"cid\":7,\"enabled\":true}]}" },
		{ "201 Created\r\nContent-Type: application/json", "{\"result\":[" TOKEN_OK "]}" },
		{ "204 No Content", "" },
		{ "302 Found\r\nContent-Type: application/json", "{\"result\":[" TOKEN_OK "]}" },
		{ "408 Request Timeout", "" },
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

static void a_client_error_is_a_no_and_remembered_as_one(void)
{
	static const char *const rows[] = { "400 Bad Request", "402 Payment Required",
		                            "404 Not Found", "410 Gone", "422 Unprocessable" };

	defaults();
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		atomic_store(&strange_head, rows[i]);
		atomic_store(&strange_body, "<html>");
		begin();
		atomic_store(&ep->reply, says_strange);
		IS(ask("k1"), RC_BAD_USER_NAME_OR_PASSWORD);
		IS(look("k1"), RC_BAD_USER_NAME_OR_PASSWORD);
		end();
	}
}

/* ---- O4: what strangers can cause never keeps the others out ---- */
static void says_strange_unless_good(struct endpoint *e, int fd, const char *key)
{
	if (id_of(key) >= 100)
		good(e, fd, key);
	else
		says_strange(e, fd, key);
}

/* Many keys that get this answer, then one that is good: is it let in? */
static bool good_key_enters_among(const char *head, const char *body)
{
	char key[8];
	bool entered;

	atomic_store(&strange_head, head);
	atomic_store(&strange_body, body);
	begin();
	atomic_store(&ep->reply, says_strange_unless_good);
	for (unsigned i = 1; i <= 2 * BREAKER_WINDOW; i++) {
		(void)snprintf(key, sizeof(key), "k%u", i);
		NO(ask(key) == RC_SUCCESS);
	}
	entered = ask("k100") == RC_SUCCESS;
	end();
	return entered;
}

static void only_an_outage_opens_the_circuit(void)
{
	defaults();
	YES(good_key_enters_among("400 Bad Request", ""));
	YES(good_key_enters_among("404 Not Found", ""));
	YES(good_key_enters_among("429 Too Many", ""));
	YES(good_key_enters_among("302 Found\r\nLocation: /login", ""));
	YES(good_key_enters_among(OK_JSON, "{\"result\":[]}"));
	YES(good_key_enters_among("200 OK\r\nContent-Type: text/html", "<html>"));
	NO(good_key_enters_among("408 Request Timeout", ""));
	NO(good_key_enters_among("500 Oops", ""));
	NO(good_key_enters_among("503 Busy", ""));
}

/* ---- O5: a kept connection that is closed just when the next request comes ---- */
static void answers_once(struct endpoint *e, int fd, const char *key)
{
	static _Thread_local bool answered;

	if (answered) {
		(void)shutdown(fd, SHUT_RDWR);
		return;
	}
	answered = true;
	good(e, fd, key);
}

static void a_request_that_met_a_closed_connection_is_sent_again(void)
{
	char key[8];

	defaults();
	begin();
	atomic_store(&ep->reply, answers_once);
	for (unsigned i = 1; i <= 40; i++) {
		(void)snprintf(key, sizeof(key), "k%u", i);
		IS(ask(key), RC_SUCCESS);
	}
	end();
}

static void hangs_up(struct endpoint *e, int fd, const char *key)
{
	(void)e;
	(void)key;
	(void)shutdown(fd, SHUT_RDWR);
}

static void stops_halfway(struct endpoint *e, int fd, const char *key)
{
	const char *text =
	    "HTTP/1.1 " OK_JSON "\r\nContent-Length: 500\r\n\r\n{\"result\":[" TOKEN_OK "]}";

	(void)key;
	(void)endpoint_write(e, fd, text, strlen(text));
	(void)shutdown(fd, SHUT_RDWR);
}

static void says_no_http(struct endpoint *e, int fd, const char *key)
{
	(void)key;
	(void)endpoint_write(e, fd, "{\"result\":[" TOKEN_OK "]}\r\n\r\n",
	                     strlen("{\"result\":[" TOKEN_OK "]}\r\n\r\n"));
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
	pour(e, fd, "HTTP/1.1 " OK_JSON "\r\nTransfer-Encoding: chunked\r\n\r\n",
	     "10\r\n                \r\n", 100 * MIB);
}

static void says_headers_for_ever(struct endpoint *e, int fd, const char *key)
{
	(void)key;
	pour(e, fd, "HTTP/1.1 " OK_JSON "\r\n", "X-More: and more and more and more and more\r\n",
	     100 * MIB);
}

static void says_one_header_for_ever(struct endpoint *e, int fd, const char *key)
{
	(void)key;
	pour(e, fd,
	     "HTTP/1.1 " OK_JSON "\r\nX-More: ", "and more and more and more and more and more ",
	     100 * MIB);
}

static void says_100_continue_for_ever(struct endpoint *e, int fd, const char *key)
{
	(void)key;
	pour(e, fd, "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\n", 100 * MIB);
}

static void A09_reading_stops_at_the_cap(void)
{
	static const reply_fn rows[] = { says_100_mb, says_chunks_for_ever, says_headers_for_ever,
		                         says_one_header_for_ever, says_100_continue_for_ever };

	defaults();
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		begin();
		atomic_store(&ep->reply, rows[i]);
		IS(ask("k1"), RC_SERVER_UNAVAILABLE);
		IS(look("k1"), -1);
		UNTIL(atomic_load(&ep->busy) == 0, 2000); /* we hung up */
		/* what fits into socket buffers */
		YES(atomic_load(&ep->written) < 16 * MIB);
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
		n += (size_t)snprintf(big_head + n, sizeof(big_head) - n,
		                      "X-More: and more and more and more and more\r\n");
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
	(void)snprintf(big_body + n + 2 * depth, sizeof(big_body) - n - 2 * depth,
	               ",\"result\":[" TOKEN_OK "]}");
}

static void A09_deep_json_and_doubled_keys_are_no_answer(void)
{
	defaults();
	fill_deep(2000);
	is_unavailable_with(says_big);
	(void)snprintf(
	    big_body, sizeof(big_body),
	    "{\"result\":[{\"id\":1,\"cid\":7,\"cid\":8,\"enabled\":true," ACCESS("#") "}]}");
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
	(void)snprintf(head, sizeof(head), "301 Moved\r\nLocation: http://127.0.0.1:%u/auth/info",
	               elsewhere->port);
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
	IS(atomic_load(&elsewhere->busy_most), 0); /* not even connected */
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

RUN(an_unavailable_key_may_come_in_after_its_rest, A08_a_strange_answer_neither_admits_nor_refuses,
    a_client_error_is_a_no_and_remembered_as_one, only_an_outage_opens_the_circuit,
    a_request_that_met_a_closed_connection_is_sent_again,
    A08_a_broken_answer_neither_admits_nor_refuses, A09_reading_stops_at_the_cap,
    A09_headers_are_read_up_to_16_kib, A09_deep_json_and_doubled_keys_are_no_answer,
    A09_a_body_of_the_cap_is_read_and_one_byte_more_is_not, A09_compressed_bodies_are_not_unpacked,
    A10_a_redirect_is_not_followed, a_proxy_in_the_environment_does_not_count)

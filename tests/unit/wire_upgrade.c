/* wire_upgrade.c - the HTTP request before a WebSocket: read at every split, and judged. W11, W12,
 * W13 and W19 are rows of the attack table. */
#include "base/base.h"
#include "tests/unit/wire_upgrade.h"

#include "base/bytes.h"

static const struct upgrade_rules open_rules = { .any_origin = true };

/* ---- Reading: in two pieces cut anywhere; the answer must be that of the whole ---- */
static enum parse read_split(struct str bytes, struct upgrade *u, unsigned *status)
{
	struct str last = guard_str(bytes);
	enum parse answer = upgrade_read(last, 0, u, status);

	each_split(s, bytes)
	{
		struct upgrade v;
		unsigned why = 0;
		enum parse first = upgrade_read(s.first, 0, &v, &why);

		if (first == PARSE_MORE)
			first = upgrade_read(last, s.first.n, &v, &why);
		else
			YES(s.cut > 0);
		IS(first, answer);
		if (first == PARSE_BAD)
			IS(why, *status);
		else if (first == PARSE_OK)
			IS(v.size, u->size);
	}
	return answer;
}

/* The status a request gets, whole way: from reading or from judging. */
static unsigned answer_to(struct str bytes, const struct upgrade_rules *rules)
{
	struct upgrade u;
	unsigned status = 0;
	const char *why;
	enum parse p = read_split(bytes, &u, &status);

	YES(p != PARSE_MORE);
	if (p == PARSE_OK)
		status = upgrade_judge(&u, rules, bytes.n - u.size, &why);
	return status;
}

#define ANSWER(literal) answer_to(STR(literal), &open_rules)

static void the_example_of_rfc_6455_is_upgraded(void)
{
	static const char request[] = "GET /chat HTTP/1.1\r\n"
				      "Host: server.example.com\r\n"
				      "Upgrade: websocket\r\n"
				      "Connection: Upgrade\r\n"
				      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
				      "Origin: http://example.com\r\n"
				      "Sec-WebSocket-Protocol: chat, mqtt\r\n"
				      "Sec-WebSocket-Version: 13\r\n"
				      "\r\n";
	struct upgrade u = facts_of(request);
	struct buf b = { 0 };

	IS(answer_to(str_c(request), &open_rules), 101);
	IS_STR(u.path, "/chat");
	YES(!u.query.p);
	IS_STR(u.host, "server.example.com");
	IS_STR(u.origin, "http://example.com");
	IS(u.size, sizeof(request) - 1);
	IS(u.headers, 7);
	IS(upgrade_accept_write(&b, &u), 0);
	IS_STR(buf_str(&b), "HTTP/1.1 101 Switching Protocols\r\n"
	                    "Upgrade: websocket\r\n"
	                    "Connection: Upgrade\r\n"
	                    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
	                    "Sec-WebSocket-Protocol: mqtt\r\n"
	                    "\r\n");
	buf_free(&b);
}

/* As Firefox writes it: lists, other headers, upper and lower case. */
static void what_browsers_send_is_upgraded(void)
{
	IS(ANSWER("GET /mqtt?a=b HTTP/1.1\r\n"
	          "Host: localhost:8080\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nAccept: "
	          "*/*\r\n"
	          "Accept-Language: de,en;q=0.5\r\nsec-websocket-version: 13\r\norigin: null\r\n"
	          "Sec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Extensions: permessage-deflate\r\n"
	          "Sec-WebSocket-Key: 7X4gf8V+HqLFrF5Jl5eIRg==\r\nDNT: 1\r\nConnection: "
	          "keep-alive, UPGRADE\r\n"
	          "Cookie: n\xc3\xa4me=1\r\nPragma:no-cache\r\nUpgrade:\tWebSocket \r\n\r\n"),
	   101);
}

static void a_head_cut_anywhere_asks_for_more(void)
{
	struct upgrade u;
	unsigned status;

	each_prefix(p, STR(GOOD END)) IS(upgrade_read(p.first, 0, &u, &status), PARSE_MORE);
}

static void bytes_after_the_head_are_not_looked_at(void)
{
	struct upgrade u;
	unsigned status = 0;

	IS(read_split(STR(GOOD END "\x82\x00\x00 \r \n"), &u, &status), PARSE_OK);
	IS(u.size, sizeof(GOOD END) - 1);
}

static void path_and_query_are_as_written(void)
{
	struct upgrade u = facts_of("GET /a%20b/c?token=x&y=/?z HTTP/1.1\r\n" HOST END);

	IS_STR(u.path, "/a%20b/c");
	IS_STR(u.query, "token=x&y=/?z");
	u = facts_of("GET /? HTTP/1.1\r\n" HOST END);
	IS_STR(u.path, "/");
	YES(u.query.p && u.query.n == 0);
}

static void a_target_with_a_host_takes_its_place(void)
{
	struct upgrade u = facts_of("GET http://other.example:80/x?y HTTP/1.1\r\n" HOST END);

	IS_STR(u.host, "other.example:80");
	IS_STR(u.path, "/x");
	IS_STR(u.query, "y");
	u = facts_of("GET WSS://other.example HTTP/1.1\r\n" HOST END);
	IS_STR(u.host, "other.example");
	IS_STR(u.path, "/");
	IS(ANSWER("GET http:// HTTP/1.1\r\n" HOST END), 400);
	IS(ANSWER("GET http:///x HTTP/1.1\r\n" HOST END), 400);
	IS(ANSWER("GET http://user@host/x HTTP/1.1\r\n" HOST END), 400);
	IS(ANSWER("GET ftp://host/x HTTP/1.1\r\n" HOST END), 400);
	IS(ANSWER("GET x HTTP/1.1\r\n" HOST END), 400);
	IS(ANSWER("GET * HTTP/1.1\r\n" HOST END), 400);
}

static void what_the_caller_needs_is_found(void)
{
	struct upgrade u = facts_of(GET HOST "Authorization: FlespiToken abc\r\n"
	                                     "X-Forwarded-For: 192.0.2.1, 192.0.2.2\r\n"
	                                     "X-Forwarded-For: 192.0.2.3\r\n"
	                                     "x-real-ip:\t192.0.2.4\r\n" END);

	IS_STR(u.authorization, "FlespiToken abc");
	IS(u.forwarded_count, 2);
	IS_STR(u.forwarded[0], "192.0.2.1, 192.0.2.2");
	IS_STR(u.forwarded[1], "192.0.2.3");
	IS_STR(u.real_ip, "192.0.2.4");
	YES(!u.origin.p);
}

static void a_plain_get_asks_for_a_page(void)
{
	IS(ANSWER("GET / HTTP/1.1\r\n" HOST END), 200);
	IS(ANSWER("GET / HTTP/1.0\r\n" END), 200);
	IS(ANSWER("HEAD / HTTP/1.1\r\n" HOST "Connection: keep-alive\r\n" END), 200);
	IS(ANSWER(GET HOST "Content-Length: 0\r\n" END), 200);
}

static void other_methods_are_405(void)
{
	IS(ANSWER("POST /mqtt HTTP/1.1\r\n" HOST "Content-Length: 5\r\n" END "hello"), 405);
	IS(ANSWER("OPTIONS * HTTP/1.0\r\n" END), 405);
	IS(ANSWER("CONNECT host:1883 HTTP/1.1\r\n" HOST END), 405);
	IS(ANSWER("get / HTTP/1.1\r\n" HOST END), 405);
	IS(ANSWER("HEAD /mqtt HTTP/1.1\r\n" HOST WS KEY VERSION MQTT END), 405);
}

static void a_request_line_has_three_words_and_single_spaces(void)
{
	IS(ANSWER("GET  / HTTP/1.1\r\n" HOST END), 400);
	IS(ANSWER("GET / HTTP/1.1 \r\n" HOST END), 400);
	IS(ANSWER("GET / x HTTP/1.1\r\n" HOST END), 400);
	IS(ANSWER("GET /\r\n" END), 400);
	IS(ANSWER("GET\r\n" END), 400);
	IS(ANSWER("GET /a\tb HTTP/1.1\r\n" HOST END), 400);
	IS(ANSWER("GET /#x HTTP/1.1\r\n" HOST END), 400);
	IS(ANSWER("GET /\xc3\xa4 HTTP/1.1\r\n" HOST END), 400);
	IS(ANSWER("G(T / HTTP/1.1\r\n" HOST END), 400);
	IS(ANSWER("GET / http/1.1\r\n" HOST END), 400);
	IS(ANSWER("GET / HTTP/1.1x\r\n" HOST END), 400);
	IS(ANSWER("GET / HTTP/1.2\r\n" HOST END), 505);
	IS(ANSWER("\r\nGET / HTTP/1.1\r\n" HOST END), 400);
	IS(ANSWER(" GET / HTTP/1.1\r\n" HOST END), 400);
}

static void a_request_has_one_host(void)
{
	IS(ANSWER("GET / HTTP/1.1\r\n" END), 400);
	IS(ANSWER("GET / HTTP/1.1\r\n" HOST HOST END), 400);
	IS(ANSWER("GET / HTTP/1.1\r\nHost:\r\n" END), 200);
	IS(ANSWER("GET / HTTP/1.1\r\nHost: [2001:db8::1]:80\r\n" END), 200);
	IS(ANSWER("GET / HTTP/1.1\r\nHost: a b\r\n" END), 400);
	IS(ANSWER("GET / HTTP/1.1\r\nHost: a/b\r\n" END), 400);
	IS(ANSWER("GET / HTTP/1.1\r\nHost: a\"\r\n" END), 400);
}

static void W11_without_the_subprotocol_of_mqtt_it_is_400(void)
{
	IS(ANSWER(GET HOST WS KEY VERSION END), 400);
	IS(ANSWER(GET HOST WS KEY VERSION "Sec-WebSocket-Protocol: chat, MQTT\r\n" END), 400);
	IS(ANSWER(GET HOST WS KEY VERSION "Sec-WebSocket-Protocol: \r\n" END), 400);
	IS(ANSWER(GET HOST WS KEY VERSION "Sec-WebSocket-Protocol: mqtt, \"x\"\r\n" END), 400);
	IS(ANSWER(GET HOST WS KEY VERSION "Sec-WebSocket-Protocol: m qtt\r\n" END), 400);
}

static void the_first_subprotocol_we_speak_is_taken(void)
{
	IS(facts_of(GOOD END).protocol, UPGRADE_MQTT);
	IS(facts_of(GET HOST "Sec-WebSocket-Protocol: x,mqttv3.1, mqtt\r\n" END).protocol,
	   UPGRADE_MQTTV31);
	IS(facts_of(GET HOST "Sec-WebSocket-Protocol: x\r\nSec-WebSocket-Protocol: ,, mqtt\r\n" END)
	       .protocol,
	   UPGRADE_MQTT);
	IS_STR(str_c(upgrade_protocol_name(UPGRADE_MQTTV31)), "mqttv3.1");
	IS_STR(str_c(upgrade_protocol_name(UPGRADE_NO_PROTOCOL)), "");
}

static void W11_without_a_key_of_16_bytes_it_is_400(void)
{
	IS(ANSWER(GET HOST WS VERSION MQTT END), 400);
	IS(ANSWER(GET HOST WS VERSION MQTT "Sec-WebSocket-Key:\r\n" END), 400);
	IS(ANSWER(GET HOST WS VERSION MQTT "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ\r\n" END),
	   400);
	IS(ANSWER(GET HOST WS VERSION MQTT "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZS4=\r\n" END),
	   400);
	IS(ANSWER(GET HOST WS VERSION MQTT "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZR==\r\n" END),
	   400);
	IS(ANSWER(GET HOST WS VERSION MQTT "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j ZQ==\r\n" END),
	   400);
	IS(ANSWER(GOOD KEY END), 400); /* two keys */
}

static void W11_a_key_of_16_kibibytes_is_431_and_one_of_4_is_400(void)
{
	struct buf b = { 0 };
	struct upgrade u;
	unsigned status = 0;
	const char *why;

	buf_str_add(&b, STR(GET HOST WS VERSION MQTT "Sec-WebSocket-Key: "));
	for (unsigned i = 0; i < 4096; i++)
		buf_u8(&b, 'A');
	buf_str_add(&b, STR("\r\n\r\n"));
	IS(upgrade_read(guard_str(buf_str(&b)), 0, &u, &status), PARSE_OK);
	IS(upgrade_judge(&u, &open_rules, 0, &why), 400);
	buf_cut(&b, buf_len(&b) - 4);
	for (unsigned i = 0; i < 12288; i++)
		buf_u8(&b, 'A');
	IS(upgrade_read(guard_str(buf_str(&b)), 0, &u, &status), PARSE_BAD);
	IS(status, 431);
	buf_free(&b);
}

static void W11_another_version_is_426_and_none_is_400(void)
{
	IS(ANSWER(GET HOST WS KEY MQTT "Sec-WebSocket-Version: 8\r\n" END), 426);
	IS(ANSWER(GET HOST WS KEY MQTT "Sec-WebSocket-Version: 013\r\n" END), 426);
	IS(ANSWER(GET HOST WS KEY MQTT "Sec-WebSocket-Version: 13, 8\r\n" END), 426);
	IS(ANSWER(GET HOST WS KEY MQTT END), 400);
	IS(ANSWER(GOOD VERSION END), 400); /* two versions */
}

static void an_upgrade_that_is_not_whole_is_refused(void)
{
	IS(ANSWER(GET HOST "Connection: Upgrade\r\n" KEY VERSION MQTT END), 426);
	IS(ANSWER(GET HOST KEY END), 426);
	IS(ANSWER(GET HOST VERSION END), 426);
	IS(ANSWER(GET HOST MQTT END), 426);
	IS(ANSWER(GET HOST "Upgrade: websocket\r\n" KEY VERSION MQTT END), 400);
	IS(ANSWER(GET HOST "Upgrade: websocket\r\nConnection: close\r\n" KEY VERSION MQTT END),
	   400);
	IS(ANSWER(GET HOST "Upgrade: websocket2\r\nConnection: Upgrade\r\n" KEY VERSION MQTT END),
	   400);
	IS(ANSWER("GET / HTTP/1.0\r\n" HOST WS KEY VERSION MQTT END), 400);
}

static void W12_a_foreign_origin_is_403(void)
{
	static const struct str origins[] = { STR_INIT("https://console.example.com"),
		                              STR_INIT("null") };
	struct upgrade_rules rules = { .origins = origins, .origin_count = 1 };

#define FROM(origin) answer_to(STR(GOOD "Origin: " origin "\r\n" END), &rules)
	IS(FROM("https://console.example.com"), 101);
	IS(FROM("HTTPS://Console.Example.com"), 101);
	IS(FROM("https://evil.example"), 403);
	IS(FROM("https://console.example.com.evil.example"), 403);
	IS(FROM("https://console.example.com:8443"), 403);
	IS(FROM("http://console.example.com"), 403);
	IS(FROM("null"), 403);
	IS(FROM(""), 403);
	IS(FROM("https://console.example.com\r\nOrigin: https://console.example.com"), 400);
	rules.origin_count = 2;
	IS(FROM("null"), 101);
	rules.origin_count = 0;
	IS(FROM("https://console.example.com"), 403);
	IS(answer_to(STR(GOOD END), &rules), 101); /* no browser */
#undef FROM
}

static void another_path_than_the_configured_one_is_404(void)
{
	struct upgrade_rules rules = { .any_origin = true, .path = STR("/mqtt") };

	IS(answer_to(STR(GOOD END), &rules), 101);
	IS(answer_to(STR("GET /mqtt?x HTTP/1.1\r\n" HOST WS KEY VERSION MQTT END), &rules), 101);
	IS(answer_to(STR("GET /mqtt/ HTTP/1.1\r\n" HOST WS KEY VERSION MQTT END), &rules), 404);
	IS(answer_to(STR("GET / HTTP/1.1\r\n" HOST END), &rules), 200);
}

static void W13_a_head_of_8_kibibytes_is_read_and_a_longer_one_is_431(void)
{
	struct buf b = { 0 };
	struct upgrade u;
	unsigned status = 0;

	buf_str_add(&b, STR(GOOD "Cookie: "));
	while (buf_len(&b) < UPGRADE_HEAD_MAX - 4)
		buf_u8(&b, 'x');
	IS(upgrade_read(guard_str(buf_str(&b)), 0, &u, &status), PARSE_MORE);
	buf_str_add(&b, STR("\r\n\r\n"));
	IS(upgrade_read(guard_str(buf_str(&b)), 0, &u, &status), PARSE_OK);
	IS(u.size, UPGRADE_HEAD_MAX);
	buf_cut(&b, buf_len(&b) - 4);
	buf_str_add(&b, STR("x\r\n\r\n"));
	IS(upgrade_read(guard_str(buf_str(&b)), 0, &u, &status), PARSE_BAD);
	IS(status, 431);
	status = 0;
	IS(upgrade_read(guard_str(str_make(buf_str(&b).p, UPGRADE_HEAD_MAX)), 0, &u, &status),
	   PARSE_BAD);
	IS(status, 431);
	buf_free(&b);
}

static void W13_more_than_64_headers_are_431(void)
{
	struct buf b = { 0 };
	struct upgrade u;
	unsigned status = 0;

	buf_str_add(&b, STR(GET HOST));
	for (unsigned i = 1; i < UPGRADE_HEADERS_MAX; i++)
		buf_str_add(&b, STR("a:b\r\n"));
	buf_str_add(&b, STR("\r\n"));
	IS(upgrade_read(guard_str(buf_str(&b)), 0, &u, &status), PARSE_OK);
	IS(u.headers, UPGRADE_HEADERS_MAX);
	buf_cut(&b, buf_len(&b) - 2);
	buf_str_add(&b, STR("a:b\r\n\r\n"));
	IS(upgrade_read(guard_str(buf_str(&b)), 0, &u, &status), PARSE_BAD);
	IS(status, 431);
	buf_free(&b);
}

static void W13_folded_lines_are_400(void)
{
	IS(ANSWER(GOOD "X: a\r\n b\r\n" END), 400);
	IS(ANSWER(GOOD "X: a\r\n\tb: c\r\n" END), 400);
	IS(ANSWER(GET " X: a\r\n" HOST END), 400);
}

static void W13_lines_end_with_crlf_and_nothing_else(void)
{
	IS(ANSWER("GET / HTTP/1.1\n" HOST END), 400);
	IS(ANSWER(GOOD "X: a\nY: b\r\n" END), 400);
	IS(ANSWER(GOOD "X: a\rY: b\r\n" END), 400);
	IS(ANSWER(GOOD "X: a\r\r\n" END), 400);
	IS(ANSWER(GOOD "X: a\r\n\n"), 400);
	IS(ANSWER(GOOD "X: a\n\n"), 400);
	IS(ANSWER(GOOD "X: a\0b\r\n" END), 400);
	IS(ANSWER(GOOD "X: a\x01\r\n" END), 400);
	IS(ANSWER(GOOD "X: a\x7f\r\n" END), 400);
}

static void W13_names_are_tokens_right_before_the_colon(void)
{
	IS(ANSWER(GOOD "X : a\r\n" END), 400);
	IS(ANSWER(GOOD ": a\r\n" END), 400);
	IS(ANSWER(GOOD "novalue\r\n" END), 400);
	IS(ANSWER(GOOD "X(): a\r\n" END), 400);
	IS(ANSWER(GOOD "X\xc3\xa4: a\r\n" END), 400);
	IS(ANSWER(GOOD "X!#$%&'*+-.^_`|~9: a:b : c\r\n" END), 101);
	IS(ANSWER(GOOD "X:\r\n" END), 101);
}

static void W13_transfer_encoding_and_bodies_are_400(void)
{
	IS(ANSWER(GOOD "Transfer-Encoding: chunked\r\n" END), 400);
	IS(ANSWER(GET HOST "Transfer-Encoding: identity\r\n" END), 400);
	IS(ANSWER(GET HOST "transfer-encoding:\r\n" END), 400);
	IS(ANSWER(GOOD "Content-Length: 0\r\n" END), 101); /* no body: Shelly devices say so */
	IS(ANSWER(GOOD "Content-Length: 00\r\n" END), 400);
	IS(ANSWER(GOOD "Content-Length: 5\r\n" END), 400);
	IS(ANSWER(GET HOST "Content-Length: 5\r\n" END "hello"), 400);
	IS(ANSWER(GET HOST "Content-Length: 0, 5\r\n" END), 400);
	IS(ANSWER(GET HOST "Content-Length: 0\r\nContent-Length: 0\r\n" END), 400);
}

static void W13_a_second_request_behind_an_upgrade_is_400(void)
{
	IS(ANSWER(GOOD END GOOD END), 400);
	IS(ANSWER(GOOD END "\x82"), 400);
}

static void W19_http_2_is_refused(void)
{
	IS(ANSWER("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 505);
	IS(ANSWER("GET / HTTP/1.1\r\n" HOST
	          "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n"
	          "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n" END),
	   400);
}

static void tls_and_mqtt_end_at_their_first_byte(void)
{
	struct upgrade u;
	unsigned status = 0;

	IS(upgrade_read(guard_str(STR("\x16")), 0, &u, &status), PARSE_BAD);
	IS(status, 400);
	IS(upgrade_read(guard_str(STR("\x10")), 0, &u, &status), PARSE_BAD);
	IS(upgrade_read(guard_str(STR("")), 0, &u, &status), PARSE_MORE);
}

/* Any byte of a good request changed: an answer comes, and never a crash. */
static void any_changed_byte_ends_in_an_answer(void)
{
	static const char good[] = GOOD "Origin: http://x\r\nX-Forwarded-For: 192.0.2.1\r\n" END;
	uint8_t bytes[sizeof(good) - 1];
	struct upgrade u;
	unsigned status;
	const char *why;

	for (size_t i = 0; i < sizeof(bytes); i++) {
		for (unsigned v = 0; v < 256; v++) {
			memcpy(bytes, good, sizeof(bytes));
			bytes[i] = (uint8_t)v;
			status = 0;
			if (upgrade_read(guard_str(str_make(bytes, sizeof(bytes))), 0, &u,
			                 &status) == PARSE_OK)
				status = upgrade_judge(&u, &open_rules, 0, &why);
			YES(status == 0 || status == 101 || status == 200 ||
			    (status >= 400 && status <= 505));
			guard_reset();
		}
	}
}

static void more_forwarded_lines_than_fit_are_400(void)
{
#define LINE "X-Forwarded-For: 192.0.2.1\r\n"
	IS(ANSWER(GET HOST LINE LINE LINE LINE END), 200);
	IS(ANSWER(GET HOST LINE LINE LINE LINE LINE END), 400);
#undef LINE
	IS(ANSWER(GET HOST "X-Real-IP: 192.0.2.1\r\nX-Real-IP: 192.0.2.1\r\n" END), 400);
}

RUN(the_example_of_rfc_6455_is_upgraded, what_browsers_send_is_upgraded,
    a_head_cut_anywhere_asks_for_more, bytes_after_the_head_are_not_looked_at,
    path_and_query_are_as_written, a_target_with_a_host_takes_its_place,
    what_the_caller_needs_is_found, a_plain_get_asks_for_a_page, other_methods_are_405,
    a_request_line_has_three_words_and_single_spaces, a_request_has_one_host,
    W11_without_the_subprotocol_of_mqtt_it_is_400, the_first_subprotocol_we_speak_is_taken,
    W11_without_a_key_of_16_bytes_it_is_400, W11_a_key_of_16_kibibytes_is_431_and_one_of_4_is_400,
    W11_another_version_is_426_and_none_is_400, an_upgrade_that_is_not_whole_is_refused,
    W12_a_foreign_origin_is_403, another_path_than_the_configured_one_is_404,
    W13_a_head_of_8_kibibytes_is_read_and_a_longer_one_is_431, W13_more_than_64_headers_are_431,
    W13_folded_lines_are_400, W13_lines_end_with_crlf_and_nothing_else,
    W13_names_are_tokens_right_before_the_colon, W13_transfer_encoding_and_bodies_are_400,
    W13_a_second_request_behind_an_upgrade_is_400, W19_http_2_is_refused,
    tls_and_mqtt_end_at_their_first_byte, any_changed_byte_ends_in_an_answer,
    more_forwarded_lines_than_fit_are_400)

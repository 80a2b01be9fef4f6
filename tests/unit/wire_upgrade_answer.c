/* wire_upgrade_answer.c - who is behind a trusted peer, addresses as text, and what is answered to
 * a request. W18 and A23 are rows of the attack table. */
#include "base/base.h"
#include "tests/unit/wire_upgrade.h"

#include "base/bytes.h"
#include "wire/address.h"

/* ---- Who it is ---- */
static bool trust_ten(const struct sock_addr *a, void *arg)
{
	unsigned *asked = arg;

	++*asked;
	return a->bytes[10] == 0xff && a->bytes[12] == 10;
}

static const char *client(const char *headers, enum upgrade_source source, const char *peer)
{
	static char text[SOCK_TEXT];
	struct sock_addr from, out;
	struct buf b = { 0 };
	struct upgrade u;
	unsigned status, asked = 0;
	bool ok;

	YES(address_read(str_c(peer), &from));
	buf_printf(&b, GET HOST "%s" END, headers);
	IS(upgrade_read(buf_str(&b), 0, &u, &status), PARSE_OK);
	ok = upgrade_client(&u, source, &from, trust_ten, &asked, &out);
	buf_free(&b);
	if (!ok)
		return "refused";
	sock_text(&out, text);
	return text;
}

#define FORWARDED(headers, peer) str_c(client(headers, UPGRADE_FORWARDED_FOR, peer))
#define REAL_IP(headers, peer)   str_c(client(headers, UPGRADE_REAL_IP, peer))

static void A23_what_an_untrusted_peer_says_about_itself_is_ignored(void)
{
	IS_STR(FORWARDED("X-Forwarded-For: 192.0.2.1\r\n", "198.51.100.9"), "198.51.100.9");
	IS_STR(FORWARDED("X-Forwarded-For: nonsense\r\n", "198.51.100.9"), "198.51.100.9");
	IS_STR(REAL_IP("X-Real-IP: 192.0.2.1\r\n", "198.51.100.9"), "198.51.100.9");
}

static void A23_the_last_address_that_is_not_trusted_is_the_client(void)
{
	IS_STR(FORWARDED("X-Forwarded-For: 192.0.2.1\r\n", "10.0.0.1"), "192.0.2.1");
	IS_STR(FORWARDED("X-Forwarded-For: 203.0.113.66, 192.0.2.1, 10.0.0.2\r\n", "10.0.0.1"),
	       "192.0.2.1");
	IS_STR(FORWARDED("X-Forwarded-For: junk, 192.0.2.1\r\n", "10.0.0.1"), "192.0.2.1");
	IS_STR(FORWARDED("X-Forwarded-For: 203.0.113.66\r\nX-Forwarded-For: 192.0.2.1,, ,\r\n",
	                 "10.0.0.1"),
	       "192.0.2.1");
	IS_STR(FORWARDED("X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-For: 10.9.9.9\r\n", "10.0.0.1"),
	       "192.0.2.1");
	IS_STR(FORWARDED("X-Forwarded-For: [2001:db8::7]:4711\r\n", "10.0.0.1"), "2001:db8::7");
	IS_STR(FORWARDED("X-Forwarded-For: 10.0.0.3, 10.0.0.2\r\n", "10.0.0.1"), "10.0.0.3");
}

static void A23_only_the_configured_header_counts(void)
{
	IS_STR(FORWARDED("X-Real-IP: 192.0.2.1\r\n", "10.0.0.1"), "10.0.0.1");
	IS_STR(REAL_IP("X-Forwarded-For: 192.0.2.1\r\nX-Real-IP: 192.0.2.2\r\n", "10.0.0.1"),
	       "192.0.2.2");
	IS_STR(REAL_IP("X-Forwarded-For: 192.0.2.1\r\n", "10.0.0.1"), "10.0.0.1");
	IS_STR(FORWARDED("", "10.0.0.1"), "10.0.0.1");
}

static void nonsense_of_a_trusted_peer_is_refused(void)
{
	IS_STR(FORWARDED("X-Forwarded-For: unknown\r\n", "10.0.0.1"), "refused");
	IS_STR(FORWARDED("X-Forwarded-For: 192.0.2.1, _hidden\r\n", "10.0.0.1"), "refused");
	IS_STR(REAL_IP("X-Real-IP: 192.0.2.1, 192.0.2.2\r\n", "10.0.0.1"), "refused");
	IS_STR(REAL_IP("X-Real-IP:\r\n", "10.0.0.1"), "refused");
}

static void addresses_have_one_form(void)
{
	static const char *const good[] = { "192.0.2.7",   "0.0.0.0",        "255.255.255.255",
		                            "::",          "2001:db8::1",    "::ffff:192.0.2.7",
		                            "2001:DB8::A", "1:2:3:4:5:6:7:8" };
	static const char *const bad[] = { "",
		                           "192.0.2",
		                           "192.0.2.256",
		                           "192.0.2.07",
		                           "0x7f.0.0.1",
		                           "127.1",
		                           " 192.0.2.7",
		                           "192.0.2.7 ",
		                           "::1%lo",
		                           "2001:db8::1::2",
		                           "[::1]",
		                           "localhost",
		                           "192.0.2.7:1",
		                           "1:2:3:4:5:6:7:8:9",
		                           "12345::",
		                           "1.2.3.4.5",
		                           "2001:0db8:0000:0000:0000:0000:192.168.100.100.1" };
	struct sock_addr a;

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		if (!address_read(guard_str(str_c(good[i])), &a))
			kit_failed("is refused", good[i], __FILE__, __LINE__);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		if (address_read(guard_str(str_c(bad[i])), &a))
			kit_failed("is taken", bad[i], __FILE__, __LINE__);
	}
	NO(address_read(STR("192.0.2.7\0x"), &a));
	YES(address_read(STR("192.0.2.7"), &a));
	IS_STR(str_make(a.bytes, 16), "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\x00\x02\x07");
	NO(a.local);
}

static void addresses_with_ports_are_read(void)
{
	static const char *const bad[] = { "192.0.2.7:",
		                           "192.0.2.7:65536",
		                           "192.0.2.7:01",
		                           "192.0.2.7:x",
		                           "[192.0.2.7]",
		                           "[192.0.2.7]:1",
		                           "[::1",
		                           "[::1]x",
		                           "[::1]:",
		                           "[]",
		                           "[]:1",
		                           "::1]:1",
		                           "[[::1]]",
		                           "[::1]:1:1",
		                           "1:192.0.2.7:1",
		                           "[::1]1",
		                           "::ffff:1.2.3.4:5" };
	struct sock_addr a;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		if (address_port_read(guard_str(str_c(bad[i])), &a))
			kit_failed("is taken", bad[i], __FILE__, __LINE__);
	}
	YES(address_port_read(guard_str(STR("192.0.2.7:65535")), &a));
	IS(a.port, 65535);
	YES(address_port_read(guard_str(STR("192.0.2.7:0")), &a));
	IS(a.port, 0);
	YES(address_port_read(guard_str(STR("[2001:db8::1]:80")), &a));
	IS(a.port, 80);
	IS(a.bytes[15], 1);
	YES(address_port_read(guard_str(STR("[::1]")), &a));
	YES(address_port_read(guard_str(STR("2001:db8::1")), &a));
	IS(a.port, 0);
	YES(address_port_read(guard_str(STR("::ffff:192.0.2.7")), &a));
	IS(a.bytes[12], 192);
}

static void a_value_of_the_query_is_found_once(void)
{
	struct str v = STR_NONE;

#define FIND(query, name) upgrade_query_find(guard_str(STR(query)), STR(name), &v)
	YES(FIND("token=abc", "token"));
	IS_STR(v, "abc");
	YES(FIND("a=b&token=a=b%20c&x", "token"));
	IS_STR(v, "a=b%20c");
	YES(FIND("token=", "token"));
	IS(v.n, 0);
	YES(FIND("&&token=x&", "token"));
	IS_STR(v, "x");
	NO(FIND("token=a&token=b", "token"));
	NO(FIND("token", "token"));
	NO(FIND("tokens=x", "token"));
	NO(FIND("xtoken=x", "token"));
	NO(FIND("Token=x", "token"));
	NO(FIND("", "token"));
	NO(upgrade_query_find(STR_NONE, STR("token"), &v));
#undef FIND
}

/* ---- Answers ---- */
static void a_token_stands_behind_its_scheme_in_any_case(void)
{
#define TOKEN(authorization) upgrade_credential(guard_str(STR(authorization)))
	IS_STR(TOKEN("Bearer k"), "k");
	IS_STR(TOKEN("bEARER k"), "k");
	IS_STR(TOKEN("flespitoken   k"), "k");
	IS_STR(TOKEN("k"), "k");
	IS_STR(TOKEN("Bearerk"), "Bearerk");
	IS_STR(TOKEN("Bearer"), "Bearer");
	IS_STR(TOKEN("Basic k"), "Basic k");
	IS_STR(TOKEN(""), "");
#undef TOKEN
}

static void W18_extensions_are_not_agreed_to(void)
{
	struct upgrade u = facts_of(
	    GOOD "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=99\r\n" END);
	struct buf b = { 0 };

	IS(upgrade_accept_write(&b, &u), 0);
	buf_u8(&b, 0);
	YES(!strcasestr((const char *)buf_data(&b), "extensions"));
	buf_free(&b);
}

static void a_refusal_says_why_and_closes(void)
{
	struct buf b = { 0 };

	upgrade_refuse_write(&b, 400, "no key");
	IS_STR(buf_str(&b), "HTTP/1.1 400 Bad Request\r\n"
	                    "Connection: close\r\n"
	                    "Cache-Control: no-store\r\n"
	                    "X-Content-Type-Options: nosniff\r\n"
	                    "Content-Type: text/plain; charset=utf-8\r\n"
	                    "Content-Length: 24\r\n"
	                    "\r\n"
	                    "400 Bad Request: no key\n");
	buf_free(&b);
	DIES(upgrade_refuse_write(&b, 418, NULL));
	DIES(upgrade_refuse_write(&b, 200, NULL));
}

static void refusals_say_what_would_be_right(void)
{
	static const unsigned all[] = { 400, 403, 404, 405, 408, 426, 429, 431, 500, 503, 505 };
	struct buf b = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		upgrade_refuse_write(&b, all[i], NULL);
	buf_u8(&b, 0);
	CONTAINS((const char *)buf_data(&b), "Allow: GET, HEAD\r\n");
	CONTAINS((const char *)buf_data(&b), "Connection: Upgrade, close\r\n");
	CONTAINS((const char *)buf_data(&b), "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n");
	CONTAINS((const char *)buf_data(&b), "HTTP/1.1 408 Request Timeout\r\n");
	buf_free(&b);
}

static void a_page_has_its_length_and_for_head_no_body(void)
{
	static const char head[] = "HTTP/1.1 200 OK\r\n"
				   "Connection: close\r\n"
				   "Cache-Control: no-store\r\n"
				   "X-Content-Type-Options: nosniff\r\n"
				   "Content-Security-Policy: default-src 'none'; "
				   "frame-ancestors 'none'\r\n"
				   "Referrer-Policy: no-referrer\r\n"
				   "Content-Type: text/html\r\n"
				   "Content-Length: 5\r\n"
				   "\r\n";
	struct buf b = { 0 };

	upgrade_page_write(&b, true, STR("text/html"), STR("<p>hi"));
	IS_BYTES(buf_str(&b), str_c(head));
	upgrade_page_write(&b, false, STR("text/html"), STR("<p>hi"));
	IS_BYTES(str_skip(buf_str(&b), sizeof(head) - 1 + sizeof(head) - 1), STR("<p>hi"));
	buf_free(&b);
}

static void a_redirect_names_a_location_without_line_ends(void)
{
	struct buf b = { 0 };

	upgrade_redirect_write(&b, STR("https://console.example.com/"));
	buf_u8(&b, 0);
	CONTAINS((const char *)buf_data(&b), "HTTP/1.1 302 Found\r\n");
	CONTAINS((const char *)buf_data(&b), "\r\nLocation: https://console.example.com/\r\n");
	buf_free(&b);
	DIES(upgrade_redirect_write(&b, STR("/x\r\nSet-Cookie: a=b")));
	DIES(upgrade_redirect_write(&b, STR("")));
}

static void an_answer_that_finds_no_memory_leaves_the_buf_broken(void)
{
	struct upgrade u = facts_of(GOOD END);

	each_alloc_failure(n)
	{
		struct buf b = { 0 };
		int err = upgrade_accept_write(&b, &u);

		IS(err, buf_ok(&b) ? 0 : -E_NOMEM);
		buf_free(&b);
	}
	each_alloc_failure(n)
	{
		struct buf b = { 0 };

		upgrade_refuse_write(&b, 400, "no key");
		YES(!buf_ok(&b) || buf_len(&b) > 100);
		buf_free(&b);
	}
}

RUN(A23_what_an_untrusted_peer_says_about_itself_is_ignored,
    A23_the_last_address_that_is_not_trusted_is_the_client, A23_only_the_configured_header_counts,
    nonsense_of_a_trusted_peer_is_refused, addresses_have_one_form, addresses_with_ports_are_read,
    a_value_of_the_query_is_found_once, a_token_stands_behind_its_scheme_in_any_case,
    W18_extensions_are_not_agreed_to, a_refusal_says_why_and_closes,
    refusals_say_what_would_be_right, a_page_has_its_length_and_for_head_no_body,
    a_redirect_names_a_location_without_line_ends,
    an_answer_that_finds_no_memory_leaves_the_buf_broken)

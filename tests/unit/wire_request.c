/* wire_request.c - the head of a request to the REST API: read at every split, and what is refused.
 * The characters and lines are those of upgrade_read.c (wire_upgrade.c). */
#include "base/base.h"
#include "tests/kit/kit.h"

#include "wire/request.h"

enum { MOST = 4096 };

/* In two pieces cut anywhere: the answer must be that of the whole. */
static enum parse read_split(struct str bytes, struct request *r, unsigned *status)
{
	struct str last = guard_str(bytes);
	const char *why;
	enum parse answer = request_read(last, 0, MOST, r, status, &why);

	each_split(s, bytes)
	{
		struct request v;
		unsigned other = 0;
		enum parse first = request_read(s.first, 0, MOST, &v, &other, &why);

		if (first == PARSE_MORE)
			first = request_read(last, s.first.n, MOST, &v, &other, &why);
		IS(first, answer);
		if (first == PARSE_BAD)
			IS(other, *status);
		else if (first == PARSE_OK)
			IS(v.size, r->size);
	}
	return answer;
}

#define LINE "POST /platform/tokens?fields=id,info&limit=5 HTTP/1.1\r\n"
#define HOST "Host: mbus.example.com:9005\r\n"

static unsigned refused(const char *text)
{
	struct request r;
	unsigned status = 0;

	IS(read_split(str_c(text), &r, &status), PARSE_BAD);
	return status;
}

static void what_the_server_needs_is_found(void)
{
	struct request r;
	unsigned status;

	IS(read_split(STR(LINE HOST "AUTHORIZATION:  FlespiToken abc \r\nOrigin: null\r\n"
	                            "x-flespi-cid: 7\r\nX-Flespi-App: panel\r\n"
	                            "Content-Type: application/json\r\nContent-Length: 12\r\n"
	                            "Connection: keep-alive, Close\r\nExpect: 100-continue\r\n"
	                            "\r\n0123456789"),
	              &r, &status),
	   PARSE_OK);
	IS_STR(r.method, "POST");
	IS_STR(r.path, "/platform/tokens");
	IS_STR(r.query, "fields=id,info&limit=5");
	IS_STR(r.authorization, "FlespiToken abc");
	IS_STR(r.origin, "null");
	IS_STR(r.cid, "7");
	IS_STR(r.app, "panel");
	IS_STR(r.content_type, "application/json");
	YES(r.has_length && r.length == 12);
	YES(r.close && r.expect && !r.upgrade && !r.coding && !r.http10 && !r.preflight);
}

static void what_could_be_read_in_two_ways_is_400(void)
{
	static const char *const texts[] = {
		LINE HOST "Content-Length: 1\r\nContent-Length: 1\r\n\r\n",
		LINE HOST "Content-Length: 1, 1\r\n\r\n",
		LINE HOST "Content-Length: +1\r\n\r\n",
		LINE HOST "Content-Length: 0x1\r\n\r\n",
		LINE HOST "Content-Length:\r\n\r\n",
		LINE HOST "Content-Length: 99999999999999999999\r\n\r\n",
		LINE HOST "Content-Length : 1\r\n\r\n",
		LINE HOST "Authorization: a\r\nAuthorization: a\r\n\r\n",
		LINE HOST "X: a\r\n b\r\n\r\n",
		LINE HOST "X: a\nY: b\r\n\r\n",
		LINE HOST "X: a\rY: b\r\n\r\n",
		LINE HOST HOST "\r\n",
		LINE "\r\n",
		"GET  / HTTP/1.1\r\n" HOST "\r\n",
		"GET / HTTP/1.1 \r\n" HOST "\r\n",
		"GET /a b HTTP/1.1\r\n" HOST "\r\n",
		"GET /a#b HTTP/1.1\r\n" HOST "\r\n",
		"GET a HTTP/1.1\r\n" HOST "\r\n",
		"GET * HTTP/1.1\r\n" HOST "\r\n",
		"GET http:///x HTTP/1.1\r\n" HOST "\r\n",
		"\r\nGET / HTTP/1.1\r\n" HOST "\r\n",
		"\x16\x03\x01",
		"\x10\x0c",
	};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		IS(refused(texts[i]), 400);
	IS(refused("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 505);
}

static void codings_and_upgrades_are_facts(void)
{
	struct request r;
	unsigned status;

	IS(read_split(STR(LINE HOST "Transfer-Encoding: identity\r\nUpgrade: h2c\r\n"
	                            "Access-Control-Request-Method: PUT\r\n\r\n"),
	              &r, &status),
	   PARSE_OK);
	YES(r.coding && r.upgrade && r.preflight && !r.has_length && !r.close);
	IS(read_split(STR("GET http://a.example/x?y HTTP/1.0\r\n\r\n"), &r, &status), PARSE_OK);
	YES(r.http10);
	IS_STR(r.path, "/x");
	IS_STR(r.query, "y");
}

static void a_head_has_a_most_of_bytes_and_of_lines(void)
{
	static char text[MOST + 10];
	size_t n = sizeof(LINE HOST "X: ") - 1;
	struct request r;
	unsigned status = 0;
	const char *why;
	struct buf b = { 0 };

	memset(text, 'a', sizeof(text));
	memcpy(text, LINE HOST "X: ", n);
	IS(request_read(str_make(text, MOST - 1), 0, MOST, &r, &status, &why), PARSE_MORE);
	IS(request_read(str_make(text, MOST), 0, MOST, &r, &status, &why), PARSE_BAD);
	IS(status, 431);
	buf_str_add(&b, STR(LINE HOST));
	for (int i = 0; i < REQUEST_HEADERS_MAX; i++)
		buf_str_add(&b, STR("X: a\r\n"));
	buf_str_add(&b, STR("\r\n"));
	IS(request_read(buf_str(&b), 0, MOST, &r, &status, &why), PARSE_BAD);
	IS(status, 431);
	buf_free(&b);
}

static bool decodes(const char *text, bool form, const char *to)
{
	struct buf b = { 0 };
	bool good =
	    request_decode(&b, guard_str(str_c(text)), form) && str_eq(buf_str(&b), str_c(to));

	buf_free(&b);
	return good;
}

static void escapes_are_decoded_once_and_never_to_controls(void)
{
	static const char *const bad[] = { "%", "a%2", "%zz", "%00", "%0a", "%7F", "%2", "a%" };

	YES(decodes("/a%2Fb+c%252F", false, "/a/b+c%2F"));
	YES(decodes("info=a+b%2b", true, "info=a b+"));
	YES(decodes("%41", true, "A"));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		NO(decodes(bad[i], false, ""));
}

static void any_changed_byte_ends_in_an_answer(void)
{
	static const char good[] = LINE HOST "Content-Length: 2\r\nOrigin: a\r\n\r\n";
	char text[sizeof(good)];
	struct request r;
	unsigned status;
	const char *why;

	for (size_t i = 0; i + 1 < sizeof(good); i++) {
		for (unsigned c = 0; c < 256; c++) {
			enum parse p;

			memcpy(text, good, sizeof(good));
			text[i] = (char)c;
			p = request_read(guard_str(str_make(text, sizeof(good) - 1)), 0, MOST, &r,
			                 &status, &why);
			YES(p == PARSE_BAD || p == PARSE_OK || p == PARSE_MORE);
			if (p == PARSE_OK)
				YES(r.size <= sizeof(good) - 1 && r.path.p[0] == '/');
		}
	}
}

RUN(what_the_server_needs_is_found, what_could_be_read_in_two_ways_is_400,
    codings_and_upgrades_are_facts, a_head_has_a_most_of_bytes_and_of_lines,
    escapes_are_decoded_once_and_never_to_controls, any_changed_byte_ends_in_an_answer)

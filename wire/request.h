/* request.h - the head of an HTTP/1.1 request to the REST API. Pure; strict where two readers could
 * differ (http_lex.h). What a server has to decide (methods, bodies, codings) are facts here. */
#pragma once
#include "base/bytes.h"
#include "wire/mqtt.h"

enum { REQUEST_HEADERS_MAX = 64 };

/* Slices borrow the bytes. Absent: p is NULL; there, but empty: n is 0. */
struct request {
	size_t size;                    /* of the head, with the empty line */
	struct str method, path, query; /* as written, query without '?'; not decoded */
	struct str host, authorization, content_type, origin, cid, app; /* x-flespi-cid, -app */
	uint64_t length; /* Content-Length, if has_length */
	unsigned headers;
	bool has_length, coding, upgrade, expect, preflight; /* coding: Transfer-Encoding */
	bool http10, close;
};

/* seen: how many of these bytes the last call answered MORE to, 0 at first. BAD as soon as a byte
 * is wrong: *status is 400, 431 or 505 and *why a static sentence. Lines end with CRLF and nothing
 * else; folded lines, spaces before a colon, controls, no or a second Host, a second Authorization,
 * Content-Length and so on: 400. Bytes after the head are not looked at. */
enum parse request_read(struct str bytes, size_t seen, size_t most, struct request *out,
                        unsigned *status, const char **why);

/* Appends the percent-decoded text; in a form, '+' is a space. False: a bad escape, or one of a
 * control character. */
bool request_decode(struct buf *out, struct str text, bool form);

/* upgrade.h - what comes first on ports 80 and 443: an HTTP/1.1 request that wants to become a
 * WebSocket (RFC 6455 section 4), or a person's browser asking for a page. One request per
 * connection; everything but 101 ends it. No body, no chunks, no HTTP/2, no cookies (attacks W11,
 * W12, W13, W19). Pure: the caller owns bytes, deadline (408) and the list of trusted peers.
 *
 *   upgrade_read       head -> facts       OK, MORE, or BAD with a status to answer with
 *   upgrade_judge      facts -> status     101, 200 (a page was asked for), or a refusal
 *   upgrade_*_write    status -> bytes
 *
 * `authorization`, `query` and `key` may hold a token: they are never to be logged. */
#pragma once
#include "base/bytes.h"
#include "base/sock.h"
#include "wire/mqtt.h"

enum { UPGRADE_HEAD_MAX = 8192, UPGRADE_HEADERS_MAX = 64, UPGRADE_FORWARDED_MAX = 4 };

enum upgrade_method { UPGRADE_GET, UPGRADE_HEAD, UPGRADE_OTHER };

/* What MQTT is called in Sec-WebSocket-Protocol: "mqtt" (3.1.1 and 5), "mqttv3.1" (before). */
enum upgrade_protocol { UPGRADE_NO_PROTOCOL, UPGRADE_MQTT, UPGRADE_MQTTV31 };

/* Slices borrow the bytes. Absent: p is NULL; there, but empty: n is 0. */
struct upgrade {
	size_t size; /* of the head, with the empty line */
	enum upgrade_method method;
	enum upgrade_protocol protocol; /* the first one offered that we speak */
	struct str path, query;         /* as written, without '?'; not decoded */
	struct str host, origin, authorization, key, version, real_ip;
	struct str forwarded[UPGRADE_FORWARDED_MAX]; /* X-Forwarded-For, in order of appearance */
	uint8_t forwarded_count;
	uint8_t headers;
	bool http10;
	bool upgrade, websocket; /* an Upgrade header; one that names websocket */
	bool connection;         /* Connection: Upgrade */
	bool length, body;       /* Content-Length; one that is not 0 */
	bool protocols;          /* Sec-WebSocket-Protocol, whatever is in it */
};

/* seen: how many of these bytes the last call answered MORE to (0 at first), so that a head that
 * comes byte by byte is looked at once. BAD as soon as a byte is wrong; *status is then 400, 431
 * (too long, too many headers) or 505. Lines end with CRLF and nothing else; folded lines, spaces
 * before a colon, controls in values, Transfer-Encoding, a second Host, key, version, Origin,
 * Authorization ..., no Host: 400. Bytes after the head are not looked at. */
enum parse upgrade_read(struct str bytes, size_t seen, struct upgrade *out, unsigned *status);

struct upgrade_rules {
	struct str path; /* the only one that upgrades; empty: any */
	bool any_origin;
	const struct str *origins; /* "https://console.example.com", compared without case */
	size_t origin_count;
};

/* 101: send upgrade_accept_write. 200: a plain GET or HEAD, send what you have for browsers. Else
 * the status to refuse with. early: bytes that came behind the head; a WebSocket client waits for
 * the answer, so there are none (W13). *why: static text for people, NULL with 101 and 200. A
 * client without Origin is no browser, and needs none. */
unsigned upgrade_judge(const struct upgrade *u, const struct upgrade_rules *rules, size_t early,
                       const char **why);

/* ---- Who it is, behind trusted peers (attack A23) ---- */
/* Which header the peers in front are known to set: the other one is the client's own word. */
enum upgrade_source { UPGRADE_FORWARDED_FOR, UPGRADE_REAL_IP };

/* peer when trusted(peer) is false or it did not set the header. X-Forwarded-For is read from its
 * end: the first address that is not a trusted peer's is the client; what stands before it, the
 * client itself may have written. False: a trusted peer wrote what is no address; refuse: 400. */
bool upgrade_client(const struct upgrade *u, enum upgrade_source source,
                    const struct sock_addr *peer,
                    bool (*trusted)(const struct sock_addr *a, void *arg), void *arg,
                    struct sock_addr *out);

/* The raw value of name=value in a query, not percent-decoded (token keys need none). False when it
 * is not there, or there twice. */
bool upgrade_query_find(struct str query, struct str name, struct str *value);

/* The token in the value of Authorization: what stands behind Bearer or FlespiToken (a scheme has
 * no case, RFC 9110 11.1), or all of it. */
struct str upgrade_credential(struct str authorization);

/* ---- Answers ---- */
const char *upgrade_protocol_name(enum upgrade_protocol p); /* "" for none */
enum { UPGRADE_ACCEPT = 28 };
/* Sec-WebSocket-Accept of a key. 0 or -E_NOMEM (OpenSSL). */
int upgrade_accept(char out[UPGRADE_ACCEPT], struct str key) MUST_CHECK;
/* 101, when it was judged so. 0 or -E_NOMEM. */
int upgrade_accept_write(struct buf *b, const struct upgrade *u) MUST_CHECK;
/* The others say that the connection ends. head: of a HEAD request, no body is sent.
 * status: 400, 403, 404, 405, 408, 426, 429, 431, 500, 503, 505. location: no space, no control. */
void upgrade_refuse_write(struct buf *b, unsigned status, const char *why);
void upgrade_page_write(struct buf *b, bool head, struct str type, struct str body);
void upgrade_redirect_write(struct buf *b, struct str location);

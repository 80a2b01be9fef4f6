/* upgrade.c - what a request on a WebSocket port gets (upgrade.h): the judgement, who the client is
 * behind other proxies, and the answers. Sections are RFC 6455's where nothing else is said. */
#include "base/base.h"
#include "wire/upgrade.h"
#include "base/crypt.h"
#include "wire/address.h"
#include "wire/upgrade_parts.h"

enum { KEY_BYTES = 16, KEY_TEXT = CRYPT_BASE64(KEY_BYTES) };
_Static_assert(CRYPT_BASE64(CRYPT_SHA1) == UPGRADE_ACCEPT, "base64 of a SHA-1");

/* ---- Judgement ---- */

/* Section 4.1, number 7: 16 bytes in base64. Its length is known before it is copied anywhere
 * (attack W11). */
static bool key_ok(struct str key)
{
	uint8_t bytes[KEY_TEXT / 4 * 3];
	size_t n;

	return key.n == KEY_TEXT && crypt_unbase64(bytes, &n, key) && n == KEY_BYTES;
}

/* "null" is an origin like others: sandboxed frames and files have it. */
static bool origin_ok(const struct upgrade *u, const struct upgrade_rules *rules)
{
	if (rules->any_origin || !u->origin.p)
		return true;
	for (size_t i = 0; i < rules->origin_count; i++) {
		/* Scheme and host have no case, a port is digits. */
		if (upgrade_same(u->origin, rules->origins[i]))
			return true;
	}
	return false;
}

struct verdict {
	unsigned status;
	const char *why;
};

/* The rules of section 4.2.1, in the order in which they help somebody who reads the answer. */
static struct verdict judge_upgrade(const struct upgrade *u, const struct upgrade_rules *rules,
                                    size_t early)
{
	if (u->method != UPGRADE_GET)
		return (struct verdict){ 405, "a WebSocket begins with GET" };
	if (u->http10)
		return (struct verdict){ 400, "a WebSocket begins with HTTP/1.1" };
	if (!u->upgrade)
		return (struct verdict){
			426,
			"the header Upgrade is missing; a proxy in front may have taken it away"
		};
	if (!u->websocket)
		return (struct verdict){ 400, "the only Upgrade here is websocket" };
	if (!u->connection)
		return (struct verdict){ 400, "Connection: Upgrade is missing" };
	if (u->body || early)
		return (struct verdict){ 400, "a request for a WebSocket has no body, and nothing "
			                      "follows it before the answer" };
	if (!u->version.p)
		return (struct verdict){ 400, "Sec-WebSocket-Version is missing" };
	if (!str_eq(u->version, STR("13")))
		return (struct verdict){ 426, "the only Sec-WebSocket-Version here is 13" };
	if (!key_ok(u->key))
		return (struct verdict){
			400, "Sec-WebSocket-Key is missing, or not 16 bytes in base64"
		};
	if (rules->path.n && !str_eq(u->path, rules->path))
		return (struct verdict){ 404, "MQTT is at another path" };
	if (!origin_ok(u, rules))
		return (struct verdict){ 403, "pages of this Origin may not connect" };
	if (u->protocol == UPGRADE_NO_PROTOCOL) /* [MQTT-6.0.0-3] */
		return (struct verdict){ 400,
			                 "Sec-WebSocket-Protocol must offer mqtt or mqttv3.1" };
	return (struct verdict){ 101, NULL };
}

unsigned upgrade_judge(const struct upgrade *u, const struct upgrade_rules *rules, size_t early,
                       const char **why)
{
	struct verdict v = { 200, NULL };

	if (u->upgrade || u->websocket || u->key.p || u->version.p || u->protocols)
		v = judge_upgrade(u, rules, early);
	else if (u->method == UPGRADE_OTHER)
		v = (struct verdict){ 405, "only GET and HEAD are understood here" };
	else if (u->body)
		v = (struct verdict){ 400, "GET and HEAD have no body here" };
	*why = v.why;
	return v.status;
}

/* ---- Who it is ---- */

/* The last element of a list, cut off its end. False: nothing but commas and spaces is left. */
static bool list_last(struct str *list, struct str *item)
{
	while (list->n) {
		const char *comma = memrchr(list->p, ',', list->n);
		size_t from = comma ? (size_t)(comma - list->p) + 1 : 0;

		*item = str_skip(*list, from);
		list->n = comma ? from - 1 : 0;
		*item = upgrade_trim(*item);
		if (item->n)
			return true;
	}
	return false;
}

bool upgrade_client(const struct upgrade *u, enum upgrade_source source,
                    const struct sock_addr *peer,
                    bool (*trusted)(const struct sock_addr *a, void *arg), void *arg,
                    struct sock_addr *out)
{
	struct sock_addr a = *peer;

	if (source == UPGRADE_REAL_IP && u->real_ip.p && trusted(&a, arg)) {
		if (!address_port_read(u->real_ip, &a))
			return false;
	}
	for (size_t i = source == UPGRADE_FORWARDED_FOR ? u->forwarded_count : 0; i > 0; i--) {
		struct str list = u->forwarded[i - 1], item;

		while (trusted(&a, arg) && list_last(&list, &item)) {
			if (!address_port_read(item, &a))
				return false;
		}
	}
	*out = a;
	return true;
}

bool upgrade_query_find(struct str query, struct str name, struct str *value)
{
	struct str found = STR_NONE;

	while (query.n) {
		const char *end = memchr(query.p, '&', query.n);
		struct str pair = str_make(query.p, end ? (size_t)(end - query.p) : query.n);

		query = str_skip(query, size_min(pair.n + 1, query.n));
		if (!str_starts(pair, name) || pair.n == name.n || pair.p[name.n] != '=')
			continue;
		if (found.p)
			return false;
		found = str_skip(pair, name.n + 1);
	}
	if (!found.p)
		return false;
	*value = found;
	return true;
}

struct str upgrade_credential(struct str authorization)
{
	static const struct str schemes[] = { STR_INIT("Bearer"), STR_INIT("FlespiToken") };

	for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
		size_t n = schemes[i].n;

		if (authorization.n > n && authorization.p[n] == ' ' &&
		    upgrade_same(str_make(authorization.p, n), schemes[i]))
			return upgrade_trim(str_skip(authorization, n));
	}
	return authorization;
}

/* ---- Answers ---- */
const char *upgrade_protocol_name(enum upgrade_protocol p)
{
	return p == UPGRADE_MQTT ? "mqtt" : p == UPGRADE_MQTTV31 ? "mqttv3.1" : "";
}

int upgrade_accept(char out[UPGRADE_ACCEPT], struct str key)
{
	static const struct str guid =
	    STR_INIT("258EAFA5-E914-47DA-95CA-C5AB0DC85B11"); /* section 1.3 */
	char text[KEY_TEXT + 36];
	uint8_t hash[CRYPT_SHA1];
	int err;

	/* a request with another key was refused when it was read */
	MUST(key.n == KEY_TEXT && guid.n == sizeof(text) - KEY_TEXT);
	memcpy(text, key.p, KEY_TEXT);
	memcpy(text + KEY_TEXT, guid.p, guid.n);
	err = crypt_sha1(hash, str_make(text, sizeof(text)));
	if (!err)
		(void)crypt_base64(out, str_make(hash, sizeof(hash)));
	return err;
}

/* No Sec-WebSocket-Extensions: none is agreed to, whatever was offered (attack W18). */
int upgrade_accept_write(struct buf *b, const struct upgrade *u)
{
	char accept[UPGRADE_ACCEPT];
	int err = upgrade_accept(accept, u->key);

	MUST(u->protocol != UPGRADE_NO_PROTOCOL); /* else it was refused */
	if (err)
		return err;
	buf_printf(b,
	           "HTTP/1.1 101 Switching Protocols\r\n"
	           "Upgrade: websocket\r\n"
	           "Connection: Upgrade\r\n"
	           "Sec-WebSocket-Accept: %.*s\r\n"
	           "Sec-WebSocket-Protocol: %s\r\n"
	           "\r\n",
	           UPGRADE_ACCEPT, accept, upgrade_protocol_name(u->protocol));
	return buf_ok(b) ? 0 : -E_NOMEM;
}

static const struct status {
	unsigned status;
	const char *phrase, *headers;
} statuses[] = {
	/* a page of ours needs nothing but itself, and stands in nobody's frame */
	{ 200, "OK",
	  "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n"
	  "Referrer-Policy: no-referrer\r\n" },
	{ 302, "Found", "" },
	{ 400, "Bad Request", "" },
	{ 403, "Forbidden", "" },
	{ 404, "Not Found", "" },
	{ 405, "Method Not Allowed", "Allow: GET, HEAD\r\n" },
	{ 408, "Request Timeout", "" },
	{ 426, "Upgrade Required", "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" },
	{ 429, "Too Many Requests", "" },
	{ 431, "Request Header Fields Too Large", "" },
	{ 500, "Internal Server Error", "" },
	{ 503, "Service Unavailable", "" },
	{ 505, "HTTP Version Not Supported", "" },
};

static const struct status *status_row(unsigned status)
{
	for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
		if (statuses[i].status == status)
			return &statuses[i];
	}
	return NULL;
}

/* Everything but what tells of the body. RFC 9110 7.8: who sends Upgrade, names it in Connection.
 */
static void head_write(struct buf *b, unsigned status)
{
	const struct status *s = status_row(status);

	MUST(s);
	buf_printf(b,
	           "HTTP/1.1 %u %s\r\n"
	           "Connection: %sclose\r\n"
	           "Cache-Control: no-store\r\n"
	           "X-Content-Type-Options: nosniff\r\n"
	           "%s",
	           status, s->phrase, status == 426 ? "Upgrade, " : "", s->headers);
}

static void body_write(struct buf *b, bool head, struct str type, struct str body)
{
	buf_printf(b, "Content-Type: %.*s\r\nContent-Length: %zu\r\n\r\n", STR_ARG(type), body.n);
	if (!head)
		buf_str_add(b, body);
}

void upgrade_refuse_write(struct buf *b, unsigned status, const char *why)
{
	const struct status *s = status_row(status);
	struct buf body = { 0 };

	MUST(s && status >= 400);
	buf_printf(&body, "%u %s%s%s\n", status, s->phrase, why ? ": " : "", why ? why : "");
	head_write(b, status);
	body_write(b, false, STR("text/plain; charset=utf-8"), buf_str(&body));
	buf_free(&body);
}

void upgrade_page_write(struct buf *b, bool head, struct str type, struct str body)
{
	head_write(b, 200);
	body_write(b, head, type, body);
}

void upgrade_redirect_write(struct buf *b, struct str location)
{
	MUST(location.n);
	for (size_t i = 0; i < location.n; i++)
		MUST((uint8_t)location.p[i] > 0x20 && (uint8_t)location.p[i] < 0x7f);
	head_write(b, 302);
	buf_printf(b, "Location: %.*s\r\n", STR_ARG(location));
	body_write(b, false, STR("text/plain; charset=utf-8"), STR_NONE);
}

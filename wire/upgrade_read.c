/* upgrade_read.c - the head of an HTTP/1.1 request (upgrade.h), strictly: requests are smuggled
 * through two programs that read one head differently (attack W13), so what could be read in two
 * ways is refused. Section numbers are RFC 9112's (HTTP/1.1) where nothing else is said.
 *
 * First the end of the head is looked for, byte by byte and each byte once; lines are CRLF-clean
 * after that, and the whole head is taken apart in one go. */
#include "base/base.h"
#include "wire/upgrade.h"
#include "wire/http_lex.h"
#include "wire/upgrade_parts.h"

/* ---- Header fields ---- */
/* May come back in a Location. Empty is allowed (RFC 9110 7.2). */
static unsigned take_host(struct upgrade *u, struct str value)
{
	(void)u;
	return value.n && !http_all(value, http_is_host) ? HTTP_BAD_REQUEST : 0;
}

static unsigned take_upgrade(struct upgrade *u, struct str value)
{
	struct str item;

	u->upgrade = true;
	while (http_list_next(&value, &item))
		u->websocket |= upgrade_same(item, STR("websocket"));
	return 0;
}

static unsigned take_connection(struct upgrade *u, struct str value)
{
	struct str item;

	while (http_list_next(&value, &item))
		u->connection |= upgrade_same(item, STR("upgrade"));
	return 0;
}

/* Names of subprotocols are compared with case. */
static unsigned take_protocol(struct upgrade *u, struct str value)
{
	struct str item;

	u->protocols = true;
	while (http_list_next(&value, &item)) {
		if (!http_all(item, http_is_token))
			return HTTP_BAD_REQUEST;
		if (u->protocol != UPGRADE_NO_PROTOCOL)
			continue;
		if (str_eq(item, STR("mqtt")))
			u->protocol = UPGRADE_MQTT;
		else if (str_eq(item, STR("mqttv3.1")))
			u->protocol = UPGRADE_MQTTV31;
	}
	return 0;
}

static unsigned take_forwarded(struct upgrade *u, struct str value)
{
	if (u->forwarded_count == UPGRADE_FORWARDED_MAX)
		return HTTP_BAD_REQUEST;
	u->forwarded[u->forwarded_count++] = value;
	return 0;
}

static unsigned take_length(struct upgrade *u, struct str value)
{
	if (u->length)
		return HTTP_BAD_REQUEST;
	u->length = true;
	u->body = !str_eq(value, STR("0"));
	return 0;
}

static unsigned take_coding(struct upgrade *u, struct str value)
{
	(void)u;
	(void)value;
	return HTTP_BAD_REQUEST;
}

/* at: the slice that is set, once only; 0 for headers that may come several times. */
static const struct field {
	struct str name;
	size_t at;
	unsigned (*take)(struct upgrade *u, struct str value); /* 0 or the status to refuse with */
} fields[] = {
	{ STR_INIT("Host"), offsetof(struct upgrade, host), take_host },
	{ STR_INIT("Connection"), 0, take_connection },
	{ STR_INIT("Upgrade"), 0, take_upgrade },
	{ STR_INIT("Sec-WebSocket-Key"), offsetof(struct upgrade, key), NULL },
	{ STR_INIT("Sec-WebSocket-Version"), offsetof(struct upgrade, version), NULL },
	{ STR_INIT("Sec-WebSocket-Protocol"), 0, take_protocol },
	{ STR_INIT("Origin"), offsetof(struct upgrade, origin), NULL },
	{ STR_INIT("Authorization"), offsetof(struct upgrade, authorization), NULL },
	{ STR_INIT("X-Forwarded-For"), 0, take_forwarded },
	{ STR_INIT("X-Real-IP"), offsetof(struct upgrade, real_ip), NULL },
	{ STR_INIT("Content-Length"), 0, take_length },
	{ STR_INIT("Transfer-Encoding"), 0, take_coding },
};
_Static_assert(offsetof(struct upgrade, size) == 0, "0 is no slice");

static unsigned field_take(struct upgrade *u, struct str name, struct str value)
{
	for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
		const struct field *f = &fields[i];
		struct str *slot = (struct str *)(void *)((char *)u + f->at);

		if (!upgrade_same(name, f->name))
			continue;
		if (f->at && slot->p)
			return HTTP_BAD_REQUEST;
		if (f->at)
			*slot = value;
		return f->take ? f->take(u, value) : 0;
	}
	return 0;
}

static unsigned field_line(struct upgrade *u, struct str line)
{
	struct str name, value;

	if (u->headers == UPGRADE_HEADERS_MAX)
		return HTTP_HEAD_TOO_LARGE;
	u->headers++;
	if (!http_field(line, &name, &value))
		return HTTP_BAD_REQUEST;
	return field_take(u, name, value);
}

/* ---- Request line, section 3 ---- */
/* origin-form, or absolute-form, which servers must understand too (3.2.2); its authority takes the
 * place of Host. */
static unsigned target_take(struct upgrade *u, struct str target, struct str *authority)
{
	static const struct str schemes[] = { STR_INIT("http://"), STR_INIT("https://"),
		                              STR_INIT("ws://"), STR_INIT("wss://") };
	struct str rest;

	if (!http_all(target, http_is_target))
		return HTTP_BAD_REQUEST;
	for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
		struct str scheme = schemes[i];
		size_t n = 0;

		if (target.n <= scheme.n || !upgrade_same(str_make(target.p, scheme.n), scheme))
			continue;
		rest = str_skip(target, scheme.n);
		while (n < rest.n && http_is_host((uint8_t)rest.p[n]))
			n++;
		if (n == 0)
			return HTTP_BAD_REQUEST;
		*authority = str_make(rest.p, n);
		target = n < rest.n ? str_skip(rest, n) : STR("/");
		break;
	}
	if (target.p[0] != '/')
		return HTTP_BAD_REQUEST;
	if (!http_cut(target, '?', &u->path, &u->query))
		u->path = target;
	return 0;
}

static unsigned request_line(struct upgrade *u, struct str line, struct str *authority)
{
	struct str method, target, version, rest;

	if (!http_cut(line, ' ', &method, &rest) || !http_cut(rest, ' ', &target, &version))
		return HTTP_BAD_REQUEST;
	if (!http_all(method, http_is_token) || version.n != 8 ||
	    !str_starts(version, STR("HTTP/")))
		return HTTP_BAD_REQUEST;
	if (!str_eq(version, STR("HTTP/1.1")) && !str_eq(version, STR("HTTP/1.0")))
		return HTTP_BAD_VERSION; /* the preface of HTTP/2 ends here: attack W19 */
	u->http10 = version.p[version.n - 1] == '0';
	u->method = str_eq(method, STR("GET"))    ? UPGRADE_GET
	            : str_eq(method, STR("HEAD")) ? UPGRADE_HEAD
	                                          : UPGRADE_OTHER;
	/* OPTIONS * and CONNECT host:port have targets of their own; they end at their method. */
	if (u->method == UPGRADE_OTHER)
		return http_all(target, http_is_target) ? 0 : HTTP_BAD_REQUEST;
	return target_take(u, target, authority);
}

/* ---- All of it ---- */
static unsigned head_take(struct upgrade *u, struct str head)
{
	struct str line, authority = STR_NONE;
	unsigned status = 0;
	bool first = true;

	/* Every CR is followed by LF, and the other way round: the scan has seen to it. */
	while (!status && http_cut(head, '\r', &line, &head) && (line.n || first)) {
		head = str_skip(head, 1);
		status = first ? request_line(u, line, &authority) : field_line(u, line);
		first = false;
	}
	if (status)
		return status;
	if (!u->host.p && !u->http10)
		return HTTP_BAD_REQUEST; /* section 3.2 */
	if (authority.p)
		u->host = authority;
	return 0;
}

enum parse upgrade_read(struct str bytes, size_t seen, struct upgrade *out, unsigned *status)
{
	struct upgrade u = { 0 };
	unsigned why = 0;
	enum parse answer = http_head_end(bytes, seen, UPGRADE_HEAD_MAX, &u.size, &why);

	if (answer == PARSE_OK) {
		why = head_take(&u, str_make(bytes.p, u.size));
		if (why)
			answer = PARSE_BAD;
	}
	if (answer == PARSE_BAD)
		*status = why;
	if (answer == PARSE_OK)
		*out = u;
	return answer;
}

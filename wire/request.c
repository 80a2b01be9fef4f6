/* request.c - reading the head of a request to the REST API (request.h). First the end of the head
 * is looked for, byte by byte and each byte once; then the whole head is taken apart in one go. */
#include "base/base.h"
#include "wire/request.h"
#include "wire/http_lex.h"
#include "wire/upgrade_parts.h"

struct fault { /* status 0: none */
	unsigned status;
	const char *why;
};
#define FINE      ((struct fault){ 0, NULL })
#define BAD(text) ((struct fault){ HTTP_BAD_REQUEST, text })

/* ---- Header fields ---- */
static struct fault take_host(struct request *r, struct str value)
{
	(void)r;
	return value.n && !http_all(value, http_is_host) ? BAD("Host is not a name") : FINE;
}

static struct fault take_length(struct request *r, struct str value)
{
	if (r->has_length)
		return BAD("Content-Length is there twice");
	r->has_length = true;
	return str_to_u64(value, &r->length) ? FINE : BAD("Content-Length is not a number");
}

static struct fault take_connection(struct request *r, struct str value)
{
	struct str item;

	while (http_list_next(&value, &item))
		r->close |= upgrade_same(item, STR("close"));
	return FINE;
}

static struct fault take_expect(struct request *r, struct str value)
{
	r->expect |= upgrade_same(value, STR("100-continue"));
	return FINE;
}

static struct fault take_coding(struct request *r, struct str value)
{
	(void)value;
	r->coding = true;
	return FINE;
}

static struct fault take_upgrade(struct request *r, struct str value)
{
	(void)value;
	r->upgrade = true;
	return FINE;
}

static struct fault take_preflight(struct request *r, struct str value)
{
	(void)value;
	r->preflight = true;
	return FINE;
}

/* at: the slice that is set, once only; 0 for headers that may come several times. */
static const struct field {
	struct str name;
	size_t at;
	struct fault (*take)(struct request *r, struct str value);
} fields[] = {
	{ STR_INIT("Host"), offsetof(struct request, host), take_host },
	{ STR_INIT("Authorization"), offsetof(struct request, authorization), NULL },
	{ STR_INIT("Content-Type"), offsetof(struct request, content_type), NULL },
	{ STR_INIT("Origin"), offsetof(struct request, origin), NULL },
	{ STR_INIT("x-flespi-cid"), offsetof(struct request, cid), NULL },
	{ STR_INIT("x-flespi-app"), offsetof(struct request, app), NULL },
	{ STR_INIT("Content-Length"), 0, take_length },
	{ STR_INIT("Connection"), 0, take_connection },
	{ STR_INIT("Expect"), 0, take_expect },
	{ STR_INIT("Transfer-Encoding"), 0, take_coding },
	{ STR_INIT("Upgrade"), 0, take_upgrade },
	{ STR_INIT("Access-Control-Request-Method"), 0, take_preflight },
};
_Static_assert(offsetof(struct request, size) == 0, "0 is no slice");

static struct fault field_take(struct request *r, struct str name, struct str value)
{
	for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
		const struct field *f = &fields[i];
		struct str *slot = (struct str *)(void *)((char *)r + f->at);

		if (!upgrade_same(name, f->name))
			continue;
		if (f->at && slot->p)
			return BAD("a header is there twice");
		if (f->at)
			*slot = value;
		return f->take ? f->take(r, value) : FINE;
	}
	return FINE;
}

static struct fault field_line(struct request *r, struct str line)
{
	struct str name, value;

	if (r->headers++ == REQUEST_HEADERS_MAX)
		return (struct fault){ HTTP_HEAD_TOO_LARGE, "too many headers" };
	if (!http_field(line, &name, &value))
		return BAD("a line is no header");
	return field_take(r, name, value);
}

/* ---- Request line, section 3 ---- */
/* origin-form, or absolute-form, which servers must understand too (3.2.2). */
static struct fault target_take(struct request *r, struct str target)
{
	static const struct str schemes[] = { STR_INIT("http://"), STR_INIT("https://") };

	if (!http_all(target, http_is_target))
		return BAD("the path is not one");
	for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
		struct str rest;
		size_t n = 0;

		if (target.n <= schemes[i].n ||
		    !upgrade_same(str_make(target.p, schemes[i].n), schemes[i]))
			continue;
		rest = str_skip(target, schemes[i].n);
		while (n < rest.n && http_is_host((uint8_t)rest.p[n]))
			n++;
		if (n == 0)
			return BAD("the path is not one");
		target = n < rest.n ? str_skip(rest, n) : STR("/");
		break;
	}
	if (target.p[0] != '/')
		return BAD("the path is not one");
	if (!http_cut(target, '?', &r->path, &r->query))
		r->path = target;
	return FINE;
}

static struct fault request_line(struct request *r, struct str line)
{
	struct str target, version, rest;

	if (!http_cut(line, ' ', &r->method, &rest) || !http_cut(rest, ' ', &target, &version) ||
	    !http_all(r->method, http_is_token) || version.n != 8 ||
	    !str_starts(version, STR("HTTP/")))
		return BAD("this is not HTTP");
	if (!str_eq(version, STR("HTTP/1.1")) && !str_eq(version, STR("HTTP/1.0")))
		return (struct fault){ HTTP_BAD_VERSION, "the version here is HTTP/1.1" };
	r->http10 = version.p[version.n - 1] == '0';
	return target_take(r, target);
}

/* ---- All of it ---- */
static struct fault head_take(struct request *r, struct str head)
{
	struct str line;
	struct fault f = FINE;
	bool first = true;

	/* Every CR is followed by LF, and the other way round: the scan has seen to it. */
	while (!f.status && http_cut(head, '\r', &line, &head) && (line.n || first)) {
		head = str_skip(head, 1);
		f = first ? request_line(r, line) : field_line(r, line);
		first = false;
	}
	if (!f.status && !r->host.p && !r->http10)
		return BAD("Host is missing");
	return f;
}

enum parse request_read(struct str bytes, size_t seen, size_t most, struct request *out,
                        unsigned *status, const char **why)
{
	struct request r = { 0 };
	struct fault f = { 0, "the head is too long or has characters that may not stand there" };
	enum parse answer = http_head_end(bytes, seen, most, &r.size, &f.status);

	if (answer == PARSE_OK) {
		f = head_take(&r, str_make(bytes.p, r.size));
		if (f.status)
			answer = PARSE_BAD;
	}
	if (answer == PARSE_BAD) {
		*status = f.status;
		*why = f.why;
	}
	if (answer == PARSE_OK)
		*out = r;
	return answer;
}

static int hex_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)upgrade_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool request_decode(struct buf *out, struct str text, bool form)
{
	for (size_t i = 0; i < text.n; i++) {
		int c = (uint8_t)text.p[i];

		if (c == '+' && form) {
			c = ' ';
		} else if (c == '%') {
			int high = text.n - i > 2 ? hex_of(text.p[i + 1]) : -1;
			int low = text.n - i > 2 ? hex_of(text.p[i + 2]) : -1;

			c = high < 0 || low < 0 ? 0 : high * 16 + low;
			i += 2;
		}
		if (c < 0x20 || c == 0x7f)
			return false;
		buf_u8(out, (uint8_t)c);
	}
	return true;
}

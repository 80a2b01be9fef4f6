/* auth_request.c - reading a proxy's request (auth_request.h). */
#include "base/base.h"
#include "admin/auth_request.h"

#include <strings.h>

static bool is_token(struct str s) /* RFC 9110 5.6.2 */
{
	static const char others[] = "!#$%&'*+-.^_`|~";

	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
		      (c && strchr(others, c))))
			return false;
	}
	return s.n > 0;
}

static bool is_text(struct str s) /* visible bytes, spaces and tabs; no CR, LF, NUL */
{
	for (size_t i = 0; i < s.n; i++) {
		uint8_t c = (uint8_t)s.p[i];

		if (c != '\t' && (c < 0x20 || c == 0x7f))
			return false;
	}
	return true;
}

static struct str trim(struct str s)
{
	while (s.n && (s.p[0] == ' ' || s.p[0] == '\t'))
		s = str_skip(s, 1);
	while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
		s.n--;
	return s;
}

static bool is_named(struct str name, const char *word)
{
	return name.n == strlen(word) && strncasecmp(name.p, word, name.n) == 0;
}

/* The next line of a head whose end was found; without its CRLF. */
static struct str next_line(struct str *head)
{
	const char *end = memmem(head->p, head->n, "\r\n", 2);
	struct str line = str_make(head->p, (size_t)(end - head->p));

	*head = str_skip(*head, line.n + 2);
	return line;
}

static bool read_request_line(struct str line, struct auth_request *out)
{
	const struct str version = STR(" HTTP/1.1");
	const char *space = memchr(line.p, ' ', line.n);

	if (!space || line.n < version.n || !str_eq(str_skip(line, line.n - version.n), version))
		return false;
	out->method = str_make(line.p, (size_t)(space - line.p));
	line.n -= version.n;
	if (line.n <= out->method.n)
		return false;
	out->target = str_skip(line, out->method.n + 1);
	return is_token(out->method) && out->target.n && is_text(out->target) &&
	       !memchr(out->target.p, ' ', out->target.n);
}

static bool read_header(struct str line, struct auth_request *out)
{
	const char *colon = memchr(line.p, ':', line.n);
	struct str name, value;

	if (!colon)
		return false;
	name = str_make(line.p, (size_t)(colon - line.p));
	value = trim(str_skip(line, name.n + 1));
	if (!is_token(name) || !is_text(value))
		return false;
	if (is_named(name, "authorization")) {
		if (out->authorization.p)
			return false;
		out->authorization = value;
	} else if (is_named(name, "content-length")) {
		return str_eq(value, STR("0"));
	} else if (is_named(name, "transfer-encoding") || is_named(name, "upgrade") ||
	           is_named(name, "expect")) {
		return false;
	} else if (is_named(name, "connection")) {
		out->close |= is_named(value, "close");
	}
	return true;
}

enum parse auth_request_read(struct str bytes, struct auth_request *out)
{
	struct auth_request r = { 0 };
	const char *end = bytes.n ? memmem(bytes.p, bytes.n, "\r\n\r\n", 4) : NULL;
	struct str head;

	if (!end)
		return PARSE_MORE;
	r.size = (size_t)(end - bytes.p) + 4;
	head = str_make(bytes.p, r.size - 2);
	if (!read_request_line(next_line(&head), &r))
		return PARSE_BAD;
	while (head.n) {
		if (!read_header(next_line(&head), &r))
			return PARSE_BAD;
	}
	*out = r;
	return PARSE_OK;
}

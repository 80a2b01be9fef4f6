/* auth_request.c - reading a proxy's request (auth_request.h). */
#include "base/base.h"
#include "admin/auth_request.h"

#include <strings.h>

static bool is_named(struct str name, const char *word)
{
	return name.n == strlen(word) && strncasecmp(name.p, word, name.n) == 0;
}

/* The next line of a head whose lines end with CRLF, without it. */
static struct str next_line(struct str *head)
{
	const char *end = memchr(head->p, '\n', head->n);
	struct str line = str_make(head->p, (size_t)(end - head->p) - 1);

	*head = str_skip(*head, line.n + 2);
	return line;
}

static bool read_request_line(struct str line, struct auth_request *out)
{
	struct str rest, version;

	return http_cut(line, ' ', &out->method, &rest) &&
	       http_cut(rest, ' ', &out->target, &version) &&
	       http_all(out->method, http_is_token) && http_all(out->target, http_is_target) &&
	       str_eq(version, STR("HTTP/1.1"));
}

static bool read_header(struct str line, struct auth_request *out)
{
	struct str name, value;

	if (!http_field(line, &name, &value))
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

enum parse auth_request_read(struct str bytes, size_t seen, size_t most, struct auth_request *out)
{
	struct auth_request r = { 0 };
	unsigned status;
	enum parse parsed = http_head_end(bytes, seen, most, &r.size, &status);
	struct str head;

	if (parsed != PARSE_OK)
		return parsed;
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

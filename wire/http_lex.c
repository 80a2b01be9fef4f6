/* http_lex.c - characters, lists and the end of a request's head (http_lex.h). */
#include "base/base.h"
#include "wire/http_lex.h"
#include "wire/upgrade_parts.h"

static bool is_alnum(uint8_t c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

bool http_is_token(uint8_t c)
{
	return is_alnum(c) || (c && memchr("!#$%&'*+-.^_`|~", c, 15));
}

bool http_is_host(uint8_t c)
{
	return is_alnum(c) || (c && memchr("-._~%:[]", c, 8));
}

bool http_is_target(uint8_t c)
{
	return c > 0x20 && c < 0x7f && c != '#';
}

bool http_all(struct str s, bool (*is)(uint8_t))
{
	for (size_t i = 0; i < s.n; i++) {
		if (!is((uint8_t)s.p[i]))
			return false;
	}
	return s.n > 0;
}

bool http_cut(struct str s, char c, struct str *before, struct str *rest)
{
	const char *at = s.n ? memchr(s.p, c, s.n) : NULL;

	if (!at)
		return false;
	*before = str_make(s.p, (size_t)(at - s.p));
	*rest = str_skip(s, before->n + 1);
	return true;
}

bool http_list_next(struct str *list, struct str *item)
{
	while (list->n) {
		struct str rest = STR_NONE;

		if (!http_cut(*list, ',', item, &rest))
			*item = *list;
		*list = rest;
		*item = upgrade_trim(*item);
		if (item->n)
			return true;
	}
	return false;
}

static bool byte_ok(struct str s, size_t i)
{
	uint8_t c = (uint8_t)s.p[i];

	if (i == 0)
		return http_is_token(c); /* TLS and MQTT end here */
	if ((c == '\n') != (s.p[i - 1] == '\r'))
		return false; /* section 2.2: a bare CR or LF */
	return c == '\n' || c == '\r' || c == '\t' || (c >= 0x20 && c != 0x7f);
}

enum parse http_head_end(struct str s, size_t seen, size_t most, size_t *size, unsigned *status)
{
	size_t n = size_min(s.n, most);

	MUST(seen <= s.n);
	for (size_t i = seen; i < n; i++) {
		if (!byte_ok(s, i)) {
			*status = HTTP_BAD_REQUEST;
			return PARSE_BAD;
		}
		if (s.p[i] == '\n' && i >= 3 && memcmp(s.p + i - 3, "\r\n\r\n", 4) == 0) {
			*size = i + 1;
			return PARSE_OK;
		}
	}
	*status = HTTP_HEAD_TOO_LARGE;
	return s.n >= most ? PARSE_BAD : PARSE_MORE;
}

bool http_field(struct str line, struct str *name, struct str *value)
{
	if (!http_cut(line, ':', name, value) || !http_all(*name, http_is_token))
		return false;
	*value = upgrade_trim(*value);
	return true;
}

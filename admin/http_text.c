/* http_text.c - the parts of the HTTP server that need no connection (http.h). */
#include "base/base.h"
#include "admin/http.h"

#include <stdio.h>

enum { MASK_RUN = 24 }; /* no word of a path is so long; the shortest secret we hand out is 64 */

const char *http_method_name(enum http_method m)
{
	static const char *const names[HTTP_METHODS] = { "GET", "HEAD",  "OPTIONS", "POST",
		                                         "PUT", "PATCH", "DELETE" };

	return m < HTTP_METHODS ? names[m] : "?";
}

void http_header(struct http_resp *resp, const char *name, struct str value)
{
	MUST(resp->header_count < HTTP_HEADERS); /* none is made of what the client said */
	resp->headers[resp->header_count].name = name;
	resp->headers[resp->header_count].value = value;
	resp->header_count++;
}

static bool is_alphanumeric(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

void http_mask(struct str path, char *out, size_t size)
{
	size_t i = 0, n = 0;

	MUST(size > 4);
	while (i < path.n && n + 4 < size) {
		size_t run = i;

		while (run < path.n && is_alphanumeric(path.p[run]))
			run++;
		if (run - i >= MASK_RUN) {
			memcpy(out + n, "...", 3);
			n += 3;
			i = run;
		} else {
			out[n++] = path.p[i++];
		}
	}
	out[n] = '\0';
}

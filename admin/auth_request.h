/* auth_request.h - one HTTP/1.1 request of a proxy, as far as GET /auth/info needs it: the request
 * line, the credential, and whether the connection goes on. Pure.
 *
 * Strict (wire/http_lex.h); besides, no body, no transfer coding, no upgrade, one Authorization. */
#pragma once
#include "wire/http_lex.h"

struct auth_request {
	size_t size;               /* bytes of the whole request */
	struct str method, target; /* slices of the bytes, like the next */
	struct str authorization;  /* p NULL: none */
	bool close;                /* the client wants the connection to end */
};

/* seen: how many of these bytes the last call answered MORE to, 0 at first; most: bytes of a head.
 * PARSE_BAD: not such a request; nothing behind it can be trusted to begin one. */
enum parse auth_request_read(struct str bytes, size_t seen, size_t most, struct auth_request *out);

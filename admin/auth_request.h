/* auth_request.h - one HTTP/1.1 request of a proxy, as far as GET /auth/info needs it: the request
 * line, the credential, and whether the connection goes on. Pure.
 *
 * Strict (RFC 9112): lines end with CRLF, no folded header, no body, no transfer coding, one
 * Authorization. */
#pragma once
#include "base/base.h"
#include "wire/mqtt.h"

struct auth_request {
	size_t size;               /* bytes of the whole request */
	struct str method, target; /* slices of the bytes, like the next */
	struct str authorization;  /* p NULL: none */
	bool close;                /* the client wants the connection to end */
};

/* PARSE_MORE: the head is not all here. PARSE_BAD: not such a request; nothing behind it can be
 * trusted to begin one. */
enum parse auth_request_read(struct str bytes, struct auth_request *out);

/* http_lex.h - the words of HTTP/1.1 that both readers of request heads share
 * (wire/upgrade_read.c, admin/auth_request.c), strictly: what two programs could read in two ways
 * is refused (attack W13). Section numbers are RFC 9112's where nothing else is said. */
#pragma once
#include "base/bytes.h"
#include "wire/mqtt.h"

enum { HTTP_BAD_REQUEST = 400, HTTP_HEAD_TOO_LARGE = 431, HTTP_BAD_VERSION = 505 };

bool http_is_token(uint8_t c);                    /* RFC 9110 5.6.2 */
bool http_is_host(uint8_t c);                     /* of Host and of an authority */
bool http_is_target(uint8_t c);                   /* of a request target, section 3.2 */
bool http_all(struct str s, bool (*is)(uint8_t)); /* and it is not empty */

/* What stands before the first c; *rest is what stands behind it. False: there is no c. */
bool http_cut(struct str s, char c, struct str *before, struct str *rest);
/* The next element of a comma-separated list that is not empty (RFC 9110 5.6.1). */
bool http_list_next(struct str *list, struct str *item);

/* Where the head ends, with its empty line; each byte is looked at once (seen: how many the last
 * call answered MORE to). BAD: *status is 400 or 431. After OK all lines end with CRLF, and no
 * other control than the tab is in them. */
enum parse http_head_end(struct str s, size_t seen, size_t most, size_t *size, unsigned *status);
/* name ":" OWS value OWS, section 5. False: neither a name nor a folded line (5.1, 5.2) may look
 * so.
 */
bool http_field(struct str line, struct str *name, struct str *value);

/* space.h - the one mapping between a client's names and the core's: customer/<id>/<name> (design
 * section 3). Injective and byte-exact. Used by the proxy only, and checked by the core with
 * space_owns(). Pure. */
#pragma once
#include "base/bytes.h"

enum { SPACE_PREFIX_MAX = 9 + 20 + 1 }; /* "customer/" + 64-bit decimal + "/" */

struct space { /* made once per connection */
	char prefix[SPACE_PREFIX_MAX];
	uint8_t prefix_len;
	uint64_t customer;
};

/* customer MUST not be 0: 0 is the trusted world, which has no prefix */
void space_make(struct space *s, uint64_t customer);
/* appends the inner name or filter */
void space_map(const struct space *s, struct str name, struct buf *out);
/* borrowed; false if it is not inside */
bool space_unmap(const struct space *s, struct str inner, struct str *name);
/* one compare; the rest must not be empty */
bool space_owns(const struct space *s, struct str inner);
/* canonical decimal only ("customer/07/x" is nobody's) */
bool space_of(struct str inner, uint64_t *customer, struct str *name);
/* a client id as one level of a topic: what could act there is written %XX, an empty one is %
 * (docs/architecture.md); injective */
void space_level(struct buf *out, struct str client_id);

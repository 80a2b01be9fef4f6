/* auth_request.c - fuzz target: what a proxy says on mbus-admin's socket, whole and cut at every
 * byte. What was read lies inside the bytes, has no control character, and does not change when
 * more follows; a request that is whole is never asked to go on.
 *
 * Input: bytes of the connection. */
#include "base/base.h"

#include "admin/auth_request.h"

enum { MOST = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void inside(struct str part, struct str whole)
{
	if (part.p)
		MUST(part.p >= whole.p && part.p + part.n <= whole.p + whole.n);
	for (size_t i = 0; i < part.n; i++)
		MUST((uint8_t)part.p[i] >= 0x20 || part.p[i] == '\t');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct str bytes = str_make(data, size);
	struct auth_request r, again;
	enum parse whole = auth_request_read(bytes, 0, MOST, &r);

	if (whole == PARSE_OK) {
		const struct str head = str_make(data, r.size);

		MUST(r.size >= 4 && r.size <= size);
		inside(r.method, head);
		inside(r.target, head);
		inside(r.authorization, head);
		MUST(r.method.n && r.target.n);
		MUST(auth_request_read(head, 0, MOST, &again) == PARSE_OK && again.size == r.size);
	}
	for (size_t n = 0, seen = 0; n < size && n < 512; n++) {
		enum parse cut = auth_request_read(str_make(data, n), seen, MOST, &again);

		MUST(whole != PARSE_MORE || cut == PARSE_MORE);
		MUST(cut != PARSE_OK || (whole == PARSE_OK && again.size == r.size));
		MUST(cut != PARSE_BAD || whole == PARSE_BAD);
		if (cut != PARSE_MORE)
			break; /* a connection would be at the next request, or at its end */
		seen = n;
	}
	return 0;
}

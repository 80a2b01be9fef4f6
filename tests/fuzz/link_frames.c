/* Bytes from the other end of the link. Whatever parses must be written again as the same bytes
 * (tests/kit/link_copy.h). */
#include "base/base.h"
#include "tests/kit/link_copy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str rest = str_make(data, size);
	struct buf out = { 0 };
	struct link_head h;

	while (size <= UINT16_MAX && link_head_read(rest, &h) == PARSE_OK) {
		struct str frame = str_make(rest.p, h.length);

		MUST(h.length >= LINK_HEAD && h.length <= rest.n);
		buf_reset(&out);
		if (link_copy(h, frame, &out))
			MUST(buf_ok(&out) && str_eq(buf_str(&out), frame));
		rest = str_skip(rest, h.length);
	}
	buf_free(&out);
	return 0;
}

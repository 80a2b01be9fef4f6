/* What a client says is its token. A key is one only with its checksum; what we make is one, and
 * with a change it is none. */
#include "base/base.h"
#include "wire/token.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void credential(struct str text)
{
	struct str key = token_strip(text);
	const char *colon = text.n ? memchr(text.p, ':', text.n) : NULL;
	uint64_t id = 0;

	MUST(key.n <= text.n && key.p + key.n == text.p + text.n);
	if (token_key_ok(key)) {
		MUST(key.n == TOKEN_KEY && str_starts(key, STR("mbus")));
		MUST(token_lookup(key).n == TOKEN_LOOKUP);
	}
	if (!colon)
		return;
	if (token_short_ok(str_make(text.p, (size_t)(colon - text.p)),
	                   str_skip(text, (size_t)(colon - text.p) + 1), &id))
		MUST(id > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char key[TOKEN_KEY];
	size_t at;

	credential(str_make(data, size));
	if (size < TOKEN_RANDOM + 2)
		return 0;
	token_make(key, data);
	MUST(token_key_ok(str_make(key, TOKEN_KEY)));
	credential(str_make(key, TOKEN_KEY));
	at = data[TOKEN_RANDOM] % TOKEN_KEY;
	if (data[TOKEN_RANDOM + 1]) {
		key[at] = (char)(key[at] ^ data[TOKEN_RANDOM + 1]);
		MUST(!token_key_ok(str_make(key, TOKEN_KEY)));
	}
	return 0;
}

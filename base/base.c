/* base.c - the little that base.h does not do inline: error texts, numbers from text, and the end
 * of a broken promise. */
#include "base/base.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"

static const char *const error_texts[] = { [0] = "ok",
#define E(name, number, text) [number] = (text),
	                                   BASE_ERRORS(E)
#undef E
};

const char *err_text(int err)
{
	unsigned number = err < 0 ? 0u - (unsigned)err : (unsigned)err;

	if (number < ARRAY_LEN(error_texts) && error_texts[number])
		return error_texts[number];
	return "unknown error";
}

bool str_to_u64(struct str s, uint64_t *out)
{
	uint64_t value = 0;

	if (s.n == 0)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		unsigned digit = (unsigned char)s.p[i] - (unsigned)'0';

		if (digit > 9)
			return false;
		if (__builtin_mul_overflow(value, (uint64_t)10, &value) ||
		    __builtin_add_overflow(value, (uint64_t)digit, &value))
			return false;
	}
	*out = value;
	return true;
}

char *str_dup_z(struct str s)
{
	char *z;

	if (s.n == SIZE_MAX)
		return NULL;
	z = mem_alloc(s.n + 1);
	if (!z)
		return NULL;
	if (s.n)
		memcpy(z, s.p, s.n);
	z[s.n] = '\0';
	return z;
}

/* Says where, and leaves a core for the debugger. Uses neither the log nor the heap: either may be
 * what is broken. */
_Noreturn void base_must_failed(const char *file, int line, const char *func, const char *what)
{
	char text[512];
	int n = snprintf(text, sizeof(text), "%s:%d: %s: MUST(%s) does not hold\n", file, line,
	                 func, what);

	if (n > 0 && write(STDERR_FILENO, text, size_min((size_t)n, sizeof(text) - 1)) < 0)
		abort();
	abort();
}

/* base.h - what every file of the house may count on: slices, errors, MUST. Included first,
 * everywhere. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* ---- Errors: int, 0 or one of these; outputs are written on success only ---- */
#define BASE_ERRORS(E) \
	E(NOMEM, 1, "out of memory") \
	E(IO, 2, "input/output error") \
	E(CLOSED, 3, "the other side closed the connection") \
	E(AGAIN, 4, "not ready, try again later") \
	E(INVALID, 5, "not valid") \
	E(LIMIT, 6, "over a configured limit") \
	E(NOTFOUND, 7, "not found") \
	E(EXISTS, 8, "exists already") \
	E(DENIED, 9, "not allowed") \
	E(BUSY, 10, "busy or in use by somebody else") \
	E(TIMEOUT, 11, "took too long") \
	E(VERSION, 12, "speaks another version") \
	E(CORRUPT, 13, "damaged data")

enum base_error {
#define E(name, number, text) E_##name = number,
	BASE_ERRORS(E)
#undef E
};

const char *err_text(int err); /* err: 0 or -E_*; static text, never NULL */

/* ---- Slices: length-counted bytes, never NUL-terminated by promise; borrowed unless a header says
 * otherwise ---- */
struct str {
	const char *p;
	size_t n;
};

#define STR(literal) ((struct str){ "" literal, sizeof(literal) - 1 })
/* clang-format off */
#define STR_INIT(literal) { "" literal, sizeof(literal) - 1 }    /* for static tables */
/* clang-format on */
#define STR_NONE ((struct str){ NULL, 0 })
/* For "%.*s"; only for text we made ourselves or have validated. */
#define STR_ARG(s) (int)(s).n, (s).n ? (s).p : ""

static inline struct str str_make(const void *p, size_t n)
{
	return (struct str){ (const char *)p, n };
}

static inline struct str str_c(const char *z) /* z may be NULL */
{
	return (struct str){ z, z ? strlen(z) : 0 };
}

static inline bool str_eq(struct str a, struct str b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool str_starts(struct str s, struct str prefix)
{
	return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

static inline struct str str_skip(struct str s, size_t n) /* n must not exceed s.n */
{
	return (struct str){ n ? s.p + n : s.p, s.n - n };
}

/* decimal digits only, no sign, no space, whole slice, no overflow */
bool str_to_u64(struct str s, uint64_t *out);
char *str_dup_z(struct str s); /* NUL-terminated copy for C interfaces, or NULL; mem_free it */

/* ---- MUST: for what our own code guarantees. Stays on in production; never judges bytes from a
 * stranger ---- */
#define MUST(condition) \
	do { \
		if (__builtin_expect(!(condition), 0)) \
			base_must_failed(__FILE__, __LINE__, __func__, #condition); \
	} while (0)

_Noreturn void base_must_failed(const char *file, int line, const char *func, const char *what);

/* ---- Small things ---- */
#define ARRAY_LEN(a)                    (sizeof(a) / sizeof((a)[0]))
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))
#define likely(x)                       __builtin_expect(!!(x), 1)
#define unlikely(x)                     __builtin_expect(!!(x), 0)
#define PRINTF_LIKE(fmt, first)         __attribute__((format(printf, fmt, first)))
#define MUST_CHECK                      __attribute__((warn_unused_result))

static inline size_t size_min(size_t a, size_t b)
{
	return a < b ? a : b;
}

static inline size_t size_max(size_t a, size_t b)
{
	return a > b ? a : b;
}

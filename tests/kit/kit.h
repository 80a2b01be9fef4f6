/* kit.h - what every unit test is written with: one claim per test, named as a sentence, over
 * cmocka.
 *
 *   static void digits_become_a_number(void)
 *   {
 *           uint64_t v;
 *
 *           YES(str_to_u64(STR("42"), &v));
 *           IS(v, 42);
 *   }
 *   RUN(digits_become_a_number, ...)                 the last line of the file; makes main()
 *
 * The program prints "N passed, N failed, N skipped" as its last line on stdout and exits with 1 on
 * failure. `program WORD` runs only the tests whose name contains WORD. A test that takes longer
 * than KIT_SECONDS ends the program. hash_start_with() has been called with a fixed key; injected
 * allocation failures and clock shifts end with their test. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/base.h"
#include "base/mem.h"

enum { KIT_SECONDS = 120 };

/* ---- Claims; all usable from the test's own thread only (cmocka jumps out of the test) ---- */
#define IS(value, expected) \
	kit_is((int64_t)(value), (int64_t)(expected), #value, __FILE__, __LINE__)
#define IS_STR(value, literal) kit_is_str((value), STR(literal), #value, __FILE__, __LINE__)
#define IS_BYTES(value, expected) \
	kit_is_str((value), (expected), #value, __FILE__, __LINE__) /* both struct str */
#define YES(condition) \
	((condition) ? (void)0 : kit_failed("is false", #condition, __FILE__, __LINE__))
#define NO(condition) \
	((condition) ? kit_failed("is true", #condition, __FILE__, __LINE__) : (void)0)
#define CONTAINS(text, part) \
	kit_contains((text), (part), #text, __FILE__, __LINE__) /* both char * */
#define SKIP() skip()

/* The statement must end the process by abort(), as MUST does. It runs in a child, whose stderr is
 * thrown away. */
#define DIES(statement) \
	do { \
		int kit_child_ = kit_fork(); \
		if (kit_child_ == 0) { \
			statement; \
			kit_child_survived(); \
		} \
		if (!kit_child_aborted(kit_child_)) \
			kit_failed("did not abort", #statement, __FILE__, __LINE__); \
	} while (0)

/* ---- Bytes that end right before an unmapped page: reading or writing one too far is a crash,
 * without a sanitizer too ---- Freed after the test; guard_reset() frees all of them earlier. */
/* a writable copy of n bytes; n = 0 gives the page's edge */
void *guard_put(const void *p, size_t n);
struct str guard_str(struct str s);
void guard_reset(void);

/* Every way of cutting `whole` in two, 0 and all included; both parts lie at the edge of a guard
 * page. each_split(s, STR("abc")) feed(s.first), feed(s.rest); The parts live until the next round.
 */
struct split {
	struct str whole, first, rest;
	size_t cut;
};
#define each_split(s, bytes) \
	for (struct split s = { .whole = (bytes), .cut = SIZE_MAX }; kit_next_split(&s);)

/* Every proper prefix, shortest (empty) first, at the edge of a guard page: each_prefix(p, whole)
 * use(p.first); */
#define each_prefix(p, bytes) \
	for (struct split p = { .whole = (bytes), .cut = SIZE_MAX }; kit_next_prefix(&p);)

/* Runs the body with the 1st, then the 2nd, ... allocation of this thread failing, until the body
 * asks for no more than that many; so the last round is without failure. `n` is the number of the
 * failing one. The body may be left by a failed claim, not by break. */
#define each_alloc_failure(n) for (unsigned long n = 1; kit_next_failure(n); n++)

/* ---- Randomness: the same every run, unless MBUS_SEED is set; the seed in use is printed once
 * ---- */
uint64_t any(void);
uint64_t any_below(uint64_t limit); /* 0 .. limit - 1 */
void any_bytes(void *p, size_t n);

/* ---- A fresh folder, removed after the test with what is in it ---- */
const char *temp_dir(void);
/* in temp_dir(); content may be NULL: only the path. Valid for the test */
const char *temp_file(const char *name, const char *content);

/* ---- The table of tests: RUN(a, b, c) ---- */
struct kit_test {
	const char *name;
	void (*run)(void);
};

int kit_main(const struct kit_test *tests, size_t count, const char *file, int argc, char **argv);

/* A macro may not call itself; it may be found again in the rescans that KIT_X* force: 340 tests
 * are possible. */
#define KIT_ROW(test)        { #test, test },
#define KIT_PARENS           ()
#define KIT_X1(...)          KIT_X2(KIT_X2(KIT_X2(KIT_X2(__VA_ARGS__))))
#define KIT_X2(...)          KIT_X3(KIT_X3(KIT_X3(KIT_X3(__VA_ARGS__))))
#define KIT_X3(...)          KIT_X4(KIT_X4(KIT_X4(KIT_X4(__VA_ARGS__))))
#define KIT_X4(...)          KIT_X5(KIT_X5(KIT_X5(KIT_X5(__VA_ARGS__))))
#define KIT_X5(...)          __VA_ARGS__
#define KIT_ROWS(first, ...) KIT_ROW(first) __VA_OPT__(KIT_AGAIN KIT_PARENS(__VA_ARGS__))
#define KIT_AGAIN()          KIT_ROWS
#define RUN(...) \
	int main(int argc, char **argv) \
	{ \
		static const struct kit_test tests[] = { KIT_X1(KIT_ROWS(__VA_ARGS__)) }; \
		return kit_main(tests, ARRAY_LEN(tests), __FILE__, argc, argv); \
	}

/* ---- Behind the macros ---- */
void kit_is(int64_t value, int64_t expected, const char *what, const char *file, int line);
void kit_is_str(struct str value, struct str expected, const char *what, const char *file,
                int line);
_Noreturn void kit_failed(const char *how, const char *what, const char *file, int line);
void kit_contains(const char *text, const char *part, const char *what, const char *file, int line);
bool kit_next_split(struct split *s);
bool kit_next_prefix(struct split *s);
bool kit_next_failure(unsigned long n);
int kit_fork(void);
_Noreturn void kit_child_survived(void);
bool kit_child_aborted(int child);

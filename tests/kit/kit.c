/* kit.c - runs the tests of one program under cmocka, and counts them so that a script needs no
 * parser. */
#include "base/base.h"
#include "tests/kit/kit.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "tests/kit/kit_parts.h"

/* ---- Claims ---- */
static void print_escaped(struct str s)
{
	fputc('"', stderr);
	for (size_t i = 0; i < s.n && i < 400; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c == '"' || c == '\\')
			fprintf(stderr, "\\%c", c);
		else if (c >= 0x20 && c < 0x7f)
			fputc(c, stderr);
		else
			fprintf(stderr, "\\x%02x", c);
	}
	fprintf(stderr, "\"%s (%zu bytes)", s.n > 400 ? "..." : "", s.n);
}

void kit_is(int64_t value, int64_t expected, const char *what, const char *file, int line)
{
	if (value == expected)
		return;
	print_error("%s is %lld, not %lld\n", what, (long long)value, (long long)expected);
	_fail(file, line);
}

void kit_is_str(struct str value, struct str expected, const char *what, const char *file, int line)
{
	if (str_eq(value, expected))
		return;
	print_error("%s is wrong:\n", what);
	fputs("     is ", stderr);
	print_escaped(value);
	fputs("\n    not ", stderr);
	print_escaped(expected);
	fputc('\n', stderr);
	_fail(file, line);
}

_Noreturn void kit_failed(const char *how, const char *what, const char *file, int line)
{
	print_error("%s %s\n", what, how);
	_fail(file, line);
	abort(); /* cmocka jumps out of _fail(), but does not tell the compiler */
}

void kit_contains(const char *text, const char *part, const char *what, const char *file, int line)
{
	if (text && strstr(text, part))
		return;
	print_error("%s is \"%s\", without \"%s\"\n", what, text ? text : "(NULL)", part);
	_fail(file, line);
}

bool kit_next_failure(unsigned long n)
{
	bool struck = n == 1 || mem_count() >= n - 1;

	MUST(n < 100000);
	mem_fail_at(struck ? n : 0, false);
	return struck;
}

/* ---- Children that should die ---- */
int kit_fork(void)
{
	int child;

	fflush(stdout);
	fflush(stderr);
	child = fork();
	MUST(child >= 0);
	if (child == 0) {
		MUST(freopen("/dev/null", "w", stderr));
		(void)setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
		signal(SIGABRT, SIG_DFL);
	}
	return child;
}

_Noreturn void kit_child_survived(void)
{
	_exit(0);
}

bool kit_child_aborted(int child)
{
	int status = 0;

	return waitpid(child, &status, 0) == child && WIFSIGNALED(status) &&
	       WTERMSIG(status) == SIGABRT;
}

/* ---- Running ---- */
static struct {
	const char *name; /* the test that runs */
	bool body_done;
	size_t passed;
} now;

static void too_long(int number)
{
	(void)number;
	(void)!write(STDERR_FILENO, now.name, strlen(now.name));
	(void)!write(STDERR_FILENO, ": takes too long\n", 17);
	_exit(1);
}

static int before(void **state)
{
	const struct kit_test *test = *state;

	now.name = test->name;
	now.body_done = false;
	alarm(KIT_SECONDS);
	return 0;
}

/* cmocka makes a crash a failed test; where a sanitizer waits for the crash, its report with the
 * stack is worth more. */
static const int crashes[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL };
static struct sigaction sanitizers[ARRAY_LEN(crashes)];

static void remember_sanitizers(void)
{
	for (size_t i = 0; i < ARRAY_LEN(crashes); i++)
		(void)sigaction(crashes[i], NULL, &sanitizers[i]);
}

static void let_sanitizers_tell(void)
{
	for (size_t i = 0; i < ARRAY_LEN(crashes); i++) {
		if (sanitizers[i].sa_handler != SIG_DFL)
			(void)sigaction(crashes[i], &sanitizers[i], NULL);
	}
}

static void body(void **state)
{
	const struct kit_test *test = *state;

	let_sanitizers_tell();
	test->run();
	now.body_done = true;
}

/* What a test may have left behind, whichever way it ended. */
static int after(void **state)
{
	(void)state;
	alarm(0);
	mem_fail_at(0, false);
	clock_shift(0, 0);
	guard_reset();
	temp_clean();
	now.passed += now.body_done;
	return 0;
}

int kit_main(const struct kit_test *tests, size_t count, const char *file, int argc, char **argv)
{
	struct CMUnitTest *rows = calloc(count, sizeof(*rows));
	size_t used = 0;
	int failed;

	MUST(rows);
	for (size_t i = 0; i < count; i++) {
		if (argc > 1 && !strstr(tests[i].name, argv[1]))
			continue;
		rows[used].name = tests[i].name;
		rows[used].test_func = body;
		rows[used].setup_func = before;
		rows[used].teardown_func = after;
		rows[used++].initial_state = (void *)(uintptr_t)&tests[i];
	}
	remember_sanitizers();
	signal(SIGALRM, too_long);
	signal(SIGPIPE, SIG_IGN);
	setvbuf(stdout, NULL, _IOLBF, 0);
	hash_start_with(0x0706050403020100, 0x0f0e0d0c0b0a0908);
	failed = _cmocka_run_group_tests(file, rows, used, NULL, NULL);
	fflush(stderr);
	printf("%zu passed, %d failed, %zu skipped\n", now.passed, failed,
	       used - now.passed - (size_t)failed);
	free(rows);
	return failed || used == 0;
}

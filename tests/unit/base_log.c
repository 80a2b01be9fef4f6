/* Log lines. stderr is a pipe here while a test writes. */
#include "base/base.h"
#include "tests/kit/kit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"

static int pipe_ends[2], real_stderr;
static char said[65536];

static void catch (void)
{
	IS(pipe2(pipe_ends, O_CLOEXEC), 0);
	(void)fcntl(pipe_ends[0], F_SETFL, O_NONBLOCK);
	fflush(stderr);
	real_stderr = dup(2);
	(void)dup2(pipe_ends[1], 2);
	log_start("mbus-test", LOG_INFO);
}

static void release(void)
{
	ssize_t n;
	size_t have = 0;

	(void)dup2(real_stderr, 2);
	close(real_stderr);
	while ((n = read(pipe_ends[0], said + have, sizeof(said) - 1 - have)) > 0)
		have += (size_t)n;
	said[have] = '\0';
	close(pipe_ends[0]);
	close(pipe_ends[1]);
}

/* The wall clock at a moment of our choice. */
static void set_wall(int64_t ms)
{
	clock_shift(0, 0);
	clock_shift(0, ms - clock_wall_ms());
}

static void a_line_has_time_level_subject_event_and_facts(void)
{
	catch ();
	set_wall(1772360102113);
	LOG_INFO("conn=w2.1f3a cid=7", "close", "why=%s age=%ds", "keepalive", 93);
	release();
	/* The test may have been a few milliseconds late. */
	YES(str_starts(str_c(said), STR("2026-03-01T10:15:02.")));
	IS_STR(str_skip(str_c(said), 23),
	       "Z INFO conn=w2.1f3a cid=7 ev=close why=keepalive age=93s\n");
}

static void dates_are_right_at_the_edges(void)
{
	static const struct {
		int64_t ms;
		const char *date;
	} dates[] = {
		{ 0, "1970-01-01T00:00:00" },
		{ 951782400000, "2000-02-29T00:00:00" },
		{ 951868799000, "2000-02-29T23:59:59" },
		{ 951868800000, "2000-03-01T00:00:00" },
		{ 1735689599000, "2024-12-31T23:59:59" },
		{ 4107542400000, "2100-03-01T00:00:00" },
		{ 4107456000000, "2100-02-28T00:00:00" },
		{ 253402300799000, "9999-12-31T23:59:59" },
	};

	for (size_t i = 0; i < ARRAY_LEN(dates); i++) {
		catch ();
		set_wall(dates[i].ms);
		LOG_WARN("x=1", "date", "%s", "");
		release();
		YES(str_starts(str_c(said), str_c(dates[i].date)));
	}
}

static void a_line_about_nobody_names_program_and_thread(void)
{
	catch ();
	LOG_ERROR("", "start", "port=%d", 1883);
	LOG_ERROR("", "bare", "%s", "");
	release();
	CONTAINS(said, " ERROR prog=mbus-test thread=");
	CONTAINS(said, " ev=start port=1883\n");
	CONTAINS(said, " ev=bare ");
}

static void lines_below_the_level_are_not_written(void)
{
	catch ();
	LOG_DEBUG("x=1", "quiet", "%s", "");
	log_start("mbus-test", LOG_ERROR);
	LOG_WARN("x=1", "quiet", "%s", "");
	YES(log_wants(LOG_ERROR));
	NO(log_wants(LOG_WARN));
	release();
	IS_STR(str_c(said), "");
	log_start("mbus-test", LOG_INFO);
}

static void storm(unsigned lines)
{
	for (unsigned i = 0; i < lines; i++)
		LOG_INFO("x=1", "storm", "i=%u", i);
}

static size_t count(const char *word)
{
	size_t n = 0;

	for (const char *p = said; (p = strstr(p, word)); p++)
		n++;
	return n;
}

static void one_site_writes_so_many_lines_a_second_and_then_says_how_many_it_kept(void)
{
	catch ();
	clock_shift(1000 - clock_mono_ms() % 1000, 0); /* at the start of a second */
	storm(LOG_RATE + 100);
	clock_shift(3000, 0);
	storm(1);
	LOG_INFO("x=1", "other", "%s", ""); /* another site is not touched */
	release();
	IS(count("ev=storm"), LOG_RATE + 1);
	IS(count("suppressed=100 i=0"), 1);
	IS(count("ev=other"), 1);
	IS(count("suppressed"), 1);
}

static void a_full_stderr_costs_the_line_not_the_loop(void)
{
	static const char filling[4096];
	uint64_t before = log_dropped();

	catch ();
	(void)fcntl(pipe_ends[1], F_SETFL, O_NONBLOCK);
	while (write(pipe_ends[1], filling, sizeof(filling)) > 0)
		;
	(void)fcntl(pipe_ends[1], F_SETFL, 0); /* a blocking one, as a program inherits it */
	errno = 77;
	LOG_INFO("x=1", "lost", "%s", "");
	IS(errno, 77);
	release();
	IS(log_dropped(), before + 1);
	clock_shift(0, 0);
	catch ();
	LOG_INFO("x=1", "back", "%s", "");
	release();
	CONTAINS(said, "ev=back");
}

static void a_long_line_is_cut_and_no_fact_starts_a_line_of_its_own(void)
{
	static char many[5000];

	memset(many, 'm', sizeof(many) - 1);
	catch ();
	LOG_INFO("x=1", "long", "v=%s", many);
	LOG_INFO("x=1", "split", "v=%s", "a\nb\x1b[31m\x7f");
	release();
	YES(strchr(said, '\n') - said < 2048);
	CONTAINS(said, "mmm...\n");
	CONTAINS(said, "ev=split v=a?b?[31m?\n");
	IS(count("\n"), 2);
}

static void write_lines(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < 15; i++)
		LOG_INFO("", "many", "i=%u end=yes", i);
}

static void lines_of_several_threads_stay_whole(void)
{
	struct thread *t[4];

	catch ();
	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		IS(thread_start(&t[i], "writer", write_lines, NULL), 0);
	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		thread_join(&t[i]);
	release();
	YES(count(" INFO prog=mbus-test thread=writer ev=many ") >= LOG_RATE);
	IS(count("end=yes\n"), count("\n"));
	IS(count("\n20"), count("\n") - 1);
}

/* ---- Bytes of strangers ---- */
#define ESC(literal) str_c(log_esc(guard_str(STR(literal))))

static void plain_names_are_shown_as_they_are(void)
{
	IS_STR(ESC("lamp-1/a+b#$%&()*,:;<=>?@[]^_{|}~"), "lamp-1/a+b#$%&()*,:;<=>?@[]^_{|}~");
	IS_STR(ESC("\xc3\xa4\xe6\xbc\xa2\xf0\x9f\x98\x80"), "\xc3\xa4\xe6\xbc\xa2\xf0\x9f\x98\x80");
	IS_STR(str_c(log_esc(STR_NONE)), "-");
}

static void what_would_mislead_a_reader_is_escaped(void)
{
	IS_STR(ESC("a b"), "a\\x20b");
	IS_STR(ESC("\n\x1b\0\x7f\"'\\`"), "\\x0a\\x1b\\x00\\x7f\\x22\\x27\\x5c\\x60");
	IS_STR(ESC("\xe2\x80\xae"), "\\xe2\\x80\\xae"); /* right-to-left override */
	IS_STR(ESC("\xe2\x81\xa6"), "\\xe2\\x81\\xa6"); /* isolate */
	IS_STR(ESC("\xd8\x9c"), "\\xd8\\x9c");          /* Arabic letter mark */
	IS_STR(ESC("\xe2\x80\xa8"), "\\xe2\\x80\\xa8"); /* line separator */
	IS_STR(ESC("\xc2\x85"), "\\xc2\\x85");          /* NEL, a C1 control */
	IS_STR(ESC("\xef\xbb\xbf"), "\\xef\\xbb\\xbf");
	IS_STR(ESC("\xf3\xa0\x81\x81"), "\\xf3\\xa0\\x81\\x81"); /* a tag, invisible */
}

static void bytes_that_are_no_utf8_are_escaped_one_by_one(void)
{
	IS_STR(ESC("\xff"), "\\xff");
	IS_STR(ESC("\xc3"), "\\xc3");
	IS_STR(ESC("\xc0\xaf"), "\\xc0\\xaf");
	IS_STR(ESC("\xe0\x80\xaf"), "\\xe0\\x80\\xaf");
	IS_STR(ESC("\xed\xa0\x80"), "\\xed\\xa0\\x80");
	IS_STR(ESC("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");
	IS_STR(ESC("\xf8\x88\x80\x80"), "\\xf8\\x88\\x80\\x80");
	IS_STR(ESC("\xc3\xc3\xa4"), "\\xc3\xc3\xa4");
}

static void long_names_are_cut(void)
{
	static char name[1000];
	const char *shown;

	memset(name, 'n', sizeof(name));
	IS(strlen(log_esc(str_make(name, 256))), 256);
	shown = log_esc(guard_str(str_make(name, 257)));
	IS(strlen(shown), 259);
	YES(strcmp(shown + 256, "...") == 0);
	memset(name, 1, sizeof(name));
	shown = log_esc(str_make(name, sizeof(name)));
	IS(strlen(shown), 259);
	any_bytes(name, sizeof(name));
	YES(strlen(log_esc(guard_str(str_make(name, sizeof(name))))) <= 259);
}

static void four_escaped_names_may_stand_in_one_line(void)
{
	const char *a = log_esc(STR("a")), *b = log_esc(STR("b")), *c = log_esc(STR("c")),
		   *d = log_esc(STR("d"));

	IS(a[0] * 1000000 + b[0] * 10000 + c[0] * 100 + d[0],
	   'a' * 1000000 + 'b' * 10000 + 'c' * 100 + 'd');
}

RUN(a_line_has_time_level_subject_event_and_facts, dates_are_right_at_the_edges,
    a_line_about_nobody_names_program_and_thread, lines_below_the_level_are_not_written,
    one_site_writes_so_many_lines_a_second_and_then_says_how_many_it_kept,
    a_full_stderr_costs_the_line_not_the_loop,
    a_long_line_is_cut_and_no_fact_starts_a_line_of_its_own, lines_of_several_threads_stay_whole,
    plain_names_are_shown_as_they_are, what_would_mislead_a_reader_is_escaped,
    bytes_that_are_no_utf8_are_escaped_one_by_one, long_names_are_cut,
    four_escaped_names_may_stand_in_one_line)

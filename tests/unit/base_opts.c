/* Configuration: values, files, includes, the command line. */
#include "base/base.h"
#include "tests/kit/kit.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/opts.h"

struct conf {
	bool tls;
	int64_t workers, timeout, queue, any;
	char *mqtt, *key;
	int mode;
};

static struct conf conf;

static const char *const modes[] = { "durable", "quick", NULL };
#define AT(member) offsetof(struct conf, member)
static const struct opt table[] = {
	{ "tls", OPT_BOOL, AT(tls), "off", 0, 0, NULL, "Whether to speak TLS.", false },
	{ "workers", OPT_INT, AT(workers), "2", 1, 64, NULL, "How many threads.", false },
	{ "auth_timeout", OPT_MSEC, AT(timeout), "3s", 100, 60000, NULL, "How long to wait.",
	  false },
	{ "queue", OPT_SIZE, AT(queue), "64k", 1024, 1 << 30, NULL, "Bytes waiting.", false },
	{ "any", OPT_INT, AT(any), "0", 0, 0, NULL, "Anything.", false },
	{ "mqtt", OPT_TEXT, AT(mqtt), "0.0.0.0:1883", 0, 0, NULL, "Where to listen.", false },
	{ "key", OPT_TEXT, AT(key), NULL, 0, 0, NULL, "A secret.", true },
	{ "mode", OPT_ENUM, AT(mode), "durable", 0, 0, modes, "How to keep.", false },
};
static const struct opt_set set = { "mbus-proxy", "proxy",          "the public door",
	                            table,        ARRAY_LEN(table), &conf,
	                            NULL };

static char why[600];

static int read_conf(struct str text)
{
	opts_free(&set);
	memset(&conf, 0, sizeof(conf));
	why[0] = '\0';
	return opts_read_text(&set, "m.conf", guard_str(text), why, sizeof(why));
}

#define GOOD(text) IS(read_conf(STR("[proxy]\n" text)), 0)
#define BAD(text, reason) \
	do { \
		IS(read_conf(STR(text)), -E_INVALID); \
		IS_STR(str_c(why), "m.conf:" reason); \
		opts_free(&set); \
	} while (0)

/* ---- Values ---- */
static void every_type_has_its_words(void)
{
	GOOD("tls = yes\nworkers=64\n\tauth_timeout =\t500ms\nqueue = 2m\nmqtt = "
	     "[::]:1883\nkey=k\nmode = quick");
	IS(conf.tls, true);
	IS(conf.workers, 64);
	IS(conf.timeout, 500);
	IS(conf.queue, 2 << 20);
	IS_STR(str_c(conf.mqtt), "[::]:1883");
	IS_STR(str_c(conf.key), "k");
	IS(conf.mode, 1);
	opts_free(&set);
	YES(conf.mqtt == NULL && conf.key == NULL);
}

static void units_multiply(void)
{
	GOOD("auth_timeout = 1m");
	IS(conf.timeout, 60000);
	GOOD("auth_timeout = 60s");
	IS(conf.timeout, 60000);
	GOOD("queue = 4096");
	IS(conf.queue, 4096);
	GOOD("queue = 1g");
	IS(conf.queue, 1 << 30);
	GOOD("any = 9223372036854775807");
	IS(conf.any, INT64_MAX);
	for (size_t i = 0; i < 3; i++) {
		static const char *const off[] = { "[proxy]\ntls=off", "[proxy]\ntls=no",
			                           "[proxy]\ntls=false" };

		IS(read_conf(str_c(off[i])), 0);
		IS(conf.tls, false);
	}
}

static void wrong_values_are_refused_by_place_key_and_reason(void)
{
	BAD("[proxy]\nauth_timeout = 5x",
	    "2: auth_timeout: 5x is not a duration (use ms, s, m, h or d)");
	BAD("[proxy]\nauth_timeout = 5",
	    "2: auth_timeout: 5 is not a duration (use ms, s, m, h or d)");
	BAD("[proxy]\nauth_timeout = 2m", "2: auth_timeout: 2m is not between 100ms and 1m");
	BAD("[proxy]\nauth_timeout = 999999999999d",
	    "2: auth_timeout: 999999999999d is not a duration (use ms, s, m, h or d)");
	BAD("[proxy]\n\nworkers = 0", "3: workers: 0 is not between 1 and 64");
	BAD("[proxy]\nworkers = 2k", "2: workers: 2k is not a number");
	BAD("[proxy]\nworkers = 0x2", "2: workers: 0x2 is not a number");
	BAD("[proxy]\nworkers = -", "2: workers: - is not a number");
	BAD("[proxy]\nworkers =", "2: workers: - is not a number");
	BAD("[proxy]\nany = -1", "2: any: -1 is less than 0");
	BAD("[proxy]\nany = 9223372036854775808", "2: any: 9223372036854775808 is not a number");
	BAD("[proxy]\nqueue = 1t", "2: queue: 1t is not a size (use bytes, k, m or g)");
	BAD("[proxy]\ntls = On", "2: tls: On is neither on, yes, true nor off, no, false");
	BAD("[proxy]\nmode = fast", "2: mode: fast is none of durable, quick");
}

static void an_empty_text_is_unset(void)
{
	GOOD("mqtt =\nkey = \"\"");
	YES(conf.mqtt == NULL && conf.key == NULL);
}

static void quotes_keep_what_would_be_lost(void)
{
	GOOD("mqtt = \" a # b \"");
	IS_STR(str_c(conf.mqtt), " a # b ");
	GOOD("mqtt = a/#");
	IS_STR(str_c(conf.mqtt), "a/#");
	opts_free(&set);
	BAD("[proxy]\nmqtt = a # b", "2: mqtt: a comment needs a line of its own (or put the value "
	                             "in \"quotes\" to keep the #)");
	BAD("[proxy]\nmqtt = \"a", "2: mqtt: the closing quote is missing");
}

static void a_secret_may_lie_in_a_file_of_its_own(void)
{
	const char *main_file = temp_file("m.conf", NULL);

	(void)temp_file("key", "s3cret\n");
	memset(&conf, 0, sizeof(conf));
	IS(opts_read_text(&set, main_file, STR("[proxy]\nkey = file:key"), why, sizeof(why)), 0);
	IS_STR(str_c(conf.key), "s3cret");
	opts_free(&set);
	IS(opts_read_text(&set, main_file, STR("[proxy]\nkey = file:none"), why, sizeof(why)),
	   -E_NOTFOUND);
	CONTAINS(why, "m.conf:2: key: cannot open ");
	CONTAINS(why, "/none: No such file");
	(void)temp_file("key", "two\nlines\n");
	IS(opts_read_text(&set, main_file, STR("[proxy]\nkey = file:key"), why, sizeof(why)),
	   -E_INVALID);
	CONTAINS(why, "must hold one line of text");
	NO(strstr(why, "two"));
	GOOD("mqtt = file:key"); /* only secrets are read from files */
	IS_STR(str_c(conf.mqtt), "file:key");
	opts_free(&set);
}

/* ---- Files ---- */
static void sections_of_other_programs_are_checked_only_for_shape(void)
{
	IS(read_conf(STR(
	       "[core]\nhomes = 4\n[ proxy ]\r\nworkers = 3\r\n[admin]\nworkers = lots\n[ctl]\n")),
	   0);
	IS(conf.workers, 3);
	BAD("[core]\nhomes\n", "2: neither \"key = value\" nor [section] nor include");
	BAD("[core]\nHomes = 1\n", "2: Homes: a key is made of a-z, 0-9 and _");
}

static void what_nobody_knows_is_refused(void)
{
	BAD("[proxi]\n", "1: [proxi] is no section; there are [core], [proxy], [admin], [ctl] and "
	                 "[listener NAME]");
	BAD("[proxy\n", "1: a section ends with ]");
	BAD("[", "1: a section ends with ]");
	BAD("# c\n[proxy]\nworker = 2",
	    "3: worker: [proxy] has no such key; mbus-proxy --help lists them");
	BAD("workers = 2", "1: workers: comes before the first section; write [proxy] above it");
	BAD("[proxy]\n = 2", "2: -: a key is made of a-z, 0-9 and _");
	BAD("[proxy]\nkey s3cret", "2: neither \"key = value\" nor [section] nor include");
	BAD("[proxy]\nmqtt = a\0b", "2: a NUL byte; is this a text file?");
}

static void a_doubled_key_is_refused(void)
{
	BAD("[proxy]\nworkers = 2\n[core]\nworkers = 1\n[proxy]\nworkers = 2",
	    "6: workers: has a value already");
}

static void a_bad_secret_is_not_shown(void)
{
	static struct conf other;
	static const struct opt secret[] = { { "pin", OPT_INT, AT(any), NULL, 1, 9, NULL,
		                               "A secret number.", true } };
	static const struct opt_set pins = { "mbus-proxy", "proxy", "", secret, 1, &other, NULL };

	IS(opts_read_text(&pins, "m.conf", STR("[proxy]\npin = 12345"), why, sizeof(why)),
	   -E_INVALID);
	IS_STR(str_c(why), "m.conf:2: pin: the value is not between 1 and 9");
}

static void an_included_file_is_found_beside_the_one_that_names_it(void)
{
	const char *main_file = temp_file("m.conf", NULL);
	char folder[256];

	(void)snprintf(folder, sizeof(folder), "%s/sub", temp_dir());
	IS(mkdir(folder, 0700), 0);
	(void)temp_file("sub/a.conf", "workers = 5\ninclude b.conf\n[core]\nhomes = 1\n");
	(void)temp_file("sub/b.conf", "queue = 8k\n");
	memset(&conf, 0, sizeof(conf));
	IS(opts_read_text(&set, main_file, STR("[proxy]\ninclude sub/a.conf\nmode = quick\n"), why,
	                  sizeof(why)),
	   0);
	IS(conf.workers, 5);
	IS(conf.queue, 8192);
	IS(conf.mode, 1); /* the section of the including file goes on */
}

static void what_is_wrong_in_an_included_file_names_that_file(void)
{
	const char *main_file = temp_file("m.conf", NULL);

	(void)temp_file("bad.conf", "\nworkers = x\n");
	IS(opts_read_text(&set, main_file, STR("[proxy]\ninclude bad.conf"), why, sizeof(why)),
	   -E_INVALID);
	CONTAINS(why, "/bad.conf:2: workers: x is not a number");
	IS(opts_read_text(&set, main_file, STR("include none.conf"), why, sizeof(why)),
	   -E_NOTFOUND);
	CONTAINS(why, "m.conf:1: include: cannot open ");
	IS(opts_read_text(&set, main_file, STR("include ."), why, sizeof(why)), -E_INVALID);
	CONTAINS(why, "is not a regular file");
}

static void a_file_that_includes_itself_is_refused(void)
{
	const char *file = temp_file("self.conf", "include self.conf\n");

	IS(opts_read_text(&set, file, STR("include self.conf\n"), why, sizeof(why)), -E_LIMIT);
	CONTAINS(why, "does a file include itself?");
	file = temp_file("wide.conf", "include empty.conf\n");
	(void)temp_file("empty.conf", "");
	{
		static char many[101 * 20];

		for (size_t i = 0; i < 101; i++)
			strcat(many, "include empty.conf\n");
		IS(opts_read_text(&set, file, str_c(many), why, sizeof(why)), -E_LIMIT);
		CONTAINS(why, "wide.conf:101: include: more than 100 files");
	}
}

static void a_fifo_in_place_of_a_file_does_not_hold_the_start(void)
{
	const char *fifo = temp_file("fifo", NULL);

	IS(mkfifo(fifo, 0600), 0);
	IS(opts_read_text(&set, temp_file("m.conf", NULL), STR("include fifo"), why, sizeof(why)),
	   -E_INVALID);
	CONTAINS(why, "is not a regular file");
}

static void every_prefix_of_a_file_is_read_without_running_over_its_end(void)
{
	each_prefix(p, STR("\xef\xbb\xbf[proxy]\r\n# x\ntls = on\nmqtt = \"a\"\nauth_timeout = "
	                   "10s\n[core]\ninclude x\n"))
	{
		memset(&conf, 0, sizeof(conf));
		(void)opts_read_text(&set, "m.conf", p.first, why, sizeof(why));
		opts_free(&set);
	}
	GOOD("tls = on");
	IS(conf.tls, true);
}

static void reading_survives_every_lack_of_memory(void)
{
	each_alloc_failure(n)
	{
		int err = read_conf(STR("[proxy]\nmqtt = a\nkey = b\nworkers = 2"));

		YES(err == 0 || err == -E_NOMEM);
		opts_free(&set);
	}
}

/* ---- The command line ---- */
static FILE *kept[2];
static char said[8192];

static void swap_streams(bool away)
{
	static int was[2];

	fflush(stdout);
	fflush(stderr);
	for (int i = 0; i < 2; i++) {
		if (away) {
			was[i] = dup(i + 1);
			kept[i] = kept[i] ? kept[i] : tmpfile();
			YES(kept[i]);
			rewind(kept[i]);
			(void)!ftruncate(fileno(kept[i]), 0);
			(void)dup2(fileno(kept[i]), i + 1);
		} else {
			(void)dup2(was[i], i + 1);
			close(was[i]);
		}
	}
}

static enum opt_outcome run_args(int argc, const char *const *args)
{
	enum opt_outcome outcome;
	size_t n = 0;

	opts_free(&set);
	memset(&conf, 0, sizeof(conf));
	swap_streams(true);
	outcome = opts_read(&set, argc, (char **)(uintptr_t)args);
	swap_streams(false);
	for (int i = 0; i < 2; i++) {
		rewind(kept[i]);
		n += fread(said + n, 1, sizeof(said) - 1 - n, kept[i]);
	}
	said[n] = '\0';
	return outcome;
}
#define ARGS(...) \
	run_args((int)ARRAY_LEN(((const char *[]){ "x", ##__VA_ARGS__ })), \
	         (const char *[]){ "x", ##__VA_ARGS__, NULL })

static void without_arguments_the_presets_hold(void)
{
	IS(ARGS(), OPT_RUN);
	IS(conf.workers, 2);
	IS(conf.timeout, 3000);
	IS(conf.queue, 65536);
	IS_STR(str_c(conf.mqtt), "0.0.0.0:1883");
	YES(conf.key == NULL);
	IS_STR(str_c(said), "");
	opts_free(&set);
}

static void the_command_line_wins_over_the_file_and_that_over_the_presets(void)
{
	const char *file = temp_file("p.conf", "[proxy]\nworkers = 3\nauth_timeout = 10s\n");

	IS(ARGS("--workers", "4", "--config", file, "--tls", "--mqtt=h:1"), OPT_RUN);
	IS(conf.workers, 4);
	IS(conf.timeout, 10000);
	IS(conf.tls, true);
	IS_STR(str_c(conf.mqtt), "h:1");
	IS(ARGS("--tls", "off", "--auth-timeout", "1s", "--workers=5", "--workers=6"), OPT_RUN);
	IS(conf.tls, false);
	IS(conf.timeout, 1000);
	IS(conf.workers, 6);
	opts_free(&set);
}

static void wrong_arguments_end_the_start_with_one_line(void)
{
	IS(ARGS("--worker", "4"), OPT_EXIT_BAD);
	IS_STR(str_c(said), "mbus-proxy: --worker: there is no such option; --help lists them\n");
	IS(ARGS("--workers"), OPT_EXIT_BAD);
	IS_STR(str_c(said), "mbus-proxy: --workers: needs a value\n");
	IS(ARGS("--workers", "--tls"), OPT_EXIT_BAD);
	IS_STR(str_c(said), "mbus-proxy: --workers: needs a value\n");
	IS(ARGS("--workers", "x"), OPT_EXIT_BAD);
	IS_STR(str_c(said), "mbus-proxy: --workers: x is not a number\n");
	IS(ARGS("start"), OPT_EXIT_BAD);
	IS_STR(str_c(said), "mbus-proxy: start is not an option; --help lists them\n");
	IS(ARGS("--config"), OPT_EXIT_BAD);
	IS_STR(str_c(said), "mbus-proxy: --config: needs a file\n");
	IS(ARGS("--config", "/none/at/all"), OPT_EXIT_BAD);
	IS_STR(str_c(said), "cannot open /none/at/all: No such file or directory\n");
	YES(conf.mqtt == NULL); /* nothing is left to free */
}

static void check_config_says_ok_or_what_is_wrong(void)
{
	const char *good = temp_file("good.conf", "[proxy]\nworkers = 3\n"),
		   *bad = temp_file("bad.conf", "[proxy]\nworkers = z\n");
	char wanted[300];

	IS(ARGS("--check-config", "--config", good), OPT_EXIT_OK);
	(void)snprintf(wanted, sizeof(wanted), "%s: ok\n", good);
	YES(strcmp(said, wanted) == 0);
	IS(ARGS("--config", bad, "--check-config"), OPT_EXIT_BAD);
	(void)snprintf(wanted, sizeof(wanted), "%s:2: workers: z is not a number\n", bad);
	YES(strcmp(said, wanted) == 0);
	YES(conf.mqtt == NULL);
}

static void help_lists_every_option_with_default_and_meaning(void)
{
	IS(ARGS("--help"), OPT_EXIT_OK);
	CONTAINS(said, "mbus-proxy " MBUS_VERSION ": the public door\n");
	CONTAINS(said, "\n  --auth-timeout  duration       3s            How long to wait.\n");
	CONTAINS(said, "\n  --mode          durable|quick  durable       How to keep.\n");
	CONTAINS(said, "\n  --key           secret         -             A secret.\n");
	IS(ARGS("--version"), OPT_EXIT_OK);
	IS_STR(str_c(said), "mbus-proxy " MBUS_VERSION "\n");
}

RUN(every_type_has_its_words, units_multiply, wrong_values_are_refused_by_place_key_and_reason,
    an_empty_text_is_unset, quotes_keep_what_would_be_lost, a_secret_may_lie_in_a_file_of_its_own,
    sections_of_other_programs_are_checked_only_for_shape, what_nobody_knows_is_refused,
    a_doubled_key_is_refused, a_bad_secret_is_not_shown,
    an_included_file_is_found_beside_the_one_that_names_it,
    what_is_wrong_in_an_included_file_names_that_file, a_file_that_includes_itself_is_refused,
    a_fifo_in_place_of_a_file_does_not_hold_the_start,
    every_prefix_of_a_file_is_read_without_running_over_its_end,
    reading_survives_every_lack_of_memory, without_arguments_the_presets_hold,
    the_command_line_wins_over_the_file_and_that_over_the_presets,
    wrong_arguments_end_the_start_with_one_line, check_config_says_ok_or_what_is_wrong,
    help_lists_every_option_with_default_and_meaning)

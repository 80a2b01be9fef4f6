/* Lines of text: the client's filter, then the filters of its grants. The intersection must permit
 * exactly the names that the oracle permits, no part of it may cover another, and the compiled list
 * must agree with the grants one by one. */
#include "base/base.h"
#include "acl/acl.h"
#include "tests/kit/topic_oracle.h"

enum { LINES = 12, WORDS = 6 };

struct input {
	struct str line[LINES]; /* [0] the client's */
	unsigned lines;
	struct str word[WORDS + 2]; /* levels to make names of */
	unsigned words;
};

struct parts {
	struct {
		char text[600];
		size_t n;
		bool system;
	} part[LINES];
	unsigned count;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_wild(struct str level)
{
	return str_eq(level, STR("+")) || str_eq(level, STR("#"));
}

static void learn_words(struct input *in, struct str filter)
{
	struct str level;

	for (struct levels l = levels_of(filter); levels_next(&l, &level) && in->words < WORDS;) {
		bool known = is_wild(level);

		for (unsigned i = 0; i < in->words && !known; i++)
			known = str_eq(in->word[i], level);
		if (!known)
			in->word[in->words++] = level;
	}
}

static void read_lines(struct input *in, const uint8_t *data, size_t size)
{
	struct str rest = str_make(data, size);

	while (rest.n && in->lines < LINES) {
		const char *end = memchr(rest.p, '\n', rest.n);
		struct str line = end ? str_make(rest.p, (size_t)(end - rest.p)) : rest;

		rest = str_skip(rest, line.n + (end != NULL));
		if (line.n > 250 || !topic_filter_ok(line))
			continue;
		if (in->lines &&
		    (topic_is_system(line) || str_eq(oracle_head(line), STR("$share"))))
			continue; /* the compiler refuses those: acl_compile.c of the unit tests */
		in->line[in->lines++] = line;
		learn_words(in, line);
	}
	in->word[in->words++] = STR("z");
	in->word[in->words++] = STR("flespi");
}

static struct acl *compile(const struct input *in)
{
	json_t *list = json_array(), *access = json_pack("{s:i, s:o}", "type", 2, "acl", list);
	struct acl *acl = NULL;
	char why[200];

	for (unsigned i = 1; i < in->lines; i++)
		MUST(json_array_append_new(list, json_pack("{s:s, s:s%, s:[s,s]}", "uri", "mqtt",
		                                           "topic", in->line[i].p, in->line[i].n,
		                                           "actions", "publish", "subscribe")) ==
		     0);
	MUST(acl_compile(&acl, access, why, sizeof(why)) == 0);
	json_decref(access);
	return acl;
}

static void collect(void *arg, struct filter f)
{
	struct parts *p = arg;

	MUST(p->count < LINES && f.text.n <= sizeof(p->part[0].text));
	memcpy(p->part[p->count].text, f.text.p, f.text.n);
	p->part[p->count].n = f.text.n;
	p->part[p->count++].system = f.system;
}

static struct filter part_at(const struct parts *p, unsigned i)
{
	return (struct filter){ str_make(p->part[i].text, p->part[i].n), p->part[i].system };
}

static void judge(const struct input *in, const struct acl *acl, const struct parts *p,
                  struct str name)
{
	bool asked = oracle_match((struct filter){ in->line[0], true }, name), granted = false,
	     told = false;

	if (!topic_name_ok(name))
		return;
	for (unsigned i = 1; i < in->lines; i++)
		granted = granted || oracle_match((struct filter){ in->line[i], false }, name);
	for (unsigned i = 0; i < p->count; i++)
		told = told || oracle_match(part_at(p, i), name);
	MUST(acl_may_receive(acl, name) == granted);
	MUST(acl_may_publish(acl, name) == (granted && !acl_is_reserved(name)));
	MUST(told == (asked && granted));
}

/* All names of up to three of the words. */
static void judge_words(const struct input *in, const struct acl *acl, const struct parts *p)
{
	unsigned n = in->words;
	char name[800];

	for (unsigned i = 0; i < n * (n + 1) * (n + 1); i++) {
		struct str a = in->word[i % n];
		unsigned b = i / n % (n + 1), c = i / n / (n + 1);
		int length =
		    snprintf(name, sizeof(name), "%.*s%s%.*s%s%.*s", STR_ARG(a), b ? "/" : "",
		             STR_ARG(b ? in->word[b - 1] : STR("")), b && c ? "/" : "",
		             STR_ARG(b && c ? in->word[c - 1] : STR("")));

		judge(in, acl, p, str_make(name, (size_t)length));
	}
}

/* Names that a line just matches: each '+' becomes one of the words, the end of "/#" a few things.
 */
static void judge_line(const struct input *in, const struct acl *acl, const struct parts *p,
                       struct str line, unsigned pick)
{
	static const char *tails[] = { "", "/", "/z", "/z/z" };
	char name[4096];
	struct str level;
	size_t n = 0;

	for (struct levels l = levels_of(line); levels_next(&l, &level);) {
		bool first = level.p == line.p;
		struct str word = str_eq(level, STR("+")) ? in->word[pick++ % in->words] : level;

		if (str_eq(level, STR("#")))
			word = first ? STR("z") : str_c(tails[pick % 4]);
		else if (!first)
			name[n++] = '/';
		if (n + word.n + 8 > sizeof(name))
			return;
		if (word.n)
			memcpy(name + n, word.p, word.n);
		n += word.n;
	}
	judge(in, acl, p, str_make(name, n));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { .lines = 0 };
	static struct parts parts;
	struct acl *acl;

	read_lines(&in, data, size);
	if (in.lines == 0)
		return 0;
	acl = compile(&in);
	parts.count = 0;
	MUST(acl_intersect(acl, in.line[0], collect, &parts) == (int)parts.count);
	for (unsigned i = 0; i < parts.count; i++) {
		for (unsigned j = 0; j < parts.count; j++)
			MUST(filter_covers(part_at(&parts, i), part_at(&parts, j)) == (i == j));
	}
	judge_words(&in, acl, &parts);
	for (unsigned i = 0; i < in.lines; i++) {
		for (unsigned pick = 0; pick < 8; pick++)
			judge_line(&in, acl, &parts, in.line[i], pick);
	}
	acl_put(&acl);
	return 0;
}

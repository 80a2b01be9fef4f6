/* opts_file.c - the configuration file: lines, sections, includes. Every complaint names file and
 * line. */
#include "base/base.h"
#include "base/opts_parts.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"

enum { INCLUDE_DEPTH = 8, INCLUDE_FILES = 100, PATH_MOST = 4096 };

static const struct str programs[] = { STR_INIT("core"), STR_INIT("proxy"), STR_INIT("admin"),
	                               STR_INIT("ctl") };

/* of some program, with a name behind them */
static const struct str named_words[] = { STR_INIT("listener") };

/* before the first section; in this program's; in a named one of it; in another's */
enum place { NOWHERE, MINE, NAMED, OTHERS };

struct reader {
	const struct opt_set *set;
	bool *seen; /* per row of the table: it has a value already */
	unsigned depth, files;
	enum place place;
	struct opt_place named; /* of the section, while NAMED */
	char *why;
	size_t why_size;
};

struct spot { /* where in which file */
	const char *file;
	unsigned line;
};

__attribute__((format(printf, 4, 5))) static int
complain(const struct reader *r, const struct spot *at, int err, const char *format, ...)
{
	char text[OPT_WHY];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	(void)snprintf(r->why, r->why_size, "%s:%u: %s", at->file, at->line, text);
	return err;
}

static struct str trim(struct str s)
{
	while (s.n && (s.p[0] == ' ' || s.p[0] == '\t'))
		s = str_skip(s, 1);
	while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t' || s.p[s.n - 1] == '\r'))
		s.n--;
	return s;
}

/* ---- [section] ---- */
static struct str first_word(struct str s)
{
	size_t n = 0;

	while (n < s.n && s.p[n] != ' ' && s.p[n] != '\t')
		n++;
	return str_make(s.p, n);
}

static bool name_ok(struct str name)
{
	for (size_t i = 0; i < name.n; i++) {
		char c = name.p[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		      c == '_' || c == '-' || c == '.'))
			return false;
	}
	return name.n > 0;
}

/* [listener NAME] */
static int named_line(struct reader *r, const struct spot *at, struct str section)
{
	const struct opt_named *named = r->set->named;
	struct str word = first_word(section), name = trim(str_skip(section, word.n));
	const char *why = NULL;
	int err;

	if (!name_ok(name))
		return complain(r, at, -E_INVALID,
		                "[%s] needs a name of letters, digits, _ - and .", log_esc(word));
	if (!named || !str_eq(word, str_c(named->word))) {
		r->place = OTHERS;
		return 0;
	}
	r->place = NAMED;
	err = named->begin(r->set->config, name, &r->named, &why);
	return err ? complain(r, at, err, "[%s %s]: %s", named->word, log_esc(name), why) : 0;
}

static int section_line(struct reader *r, const struct spot *at, struct str line)
{
	struct str name;

	if (line.p[line.n - 1] != ']')
		return complain(r, at, -E_INVALID, "a section ends with ]");
	name = trim(str_make(line.p + 1, line.n - 2));
	for (size_t i = 0; i < ARRAY_LEN(named_words); i++) {
		if (str_eq(first_word(name), named_words[i]))
			return named_line(r, at, name);
	}
	if (str_eq(name, str_c(r->set->section))) {
		r->place = MINE;
		return 0;
	}
	for (size_t i = 0; i < ARRAY_LEN(programs); i++) {
		if (str_eq(name, programs[i])) {
			r->place = OTHERS;
			return 0;
		}
	}
	return complain(r, at, -E_INVALID,
	                "[%s] is no section; there are [core], [proxy], [admin], [ctl] and "
	                "[listener NAME]",
	                log_esc(name));
}

/* ---- key = value ---- */
static bool key_ok(struct str key)
{
	for (size_t i = 0; i < key.n; i++) {
		char c = key.p[i];

		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'))
			return false;
	}
	return key.n > 0;
}

/* Quotes keep spaces and # in a value; without them " #" is a comment in the wrong place more often
 * than text. */
static const char *unquote(struct str *value)
{
	if (value->n >= 2 && value->p[0] == '"' && value->p[value->n - 1] == '"') {
		*value = str_make(value->p + 1, value->n - 2);
		return memchr(value->p, '"', value->n) ? "a quote inside quotes" : NULL;
	}
	if (value->n && value->p[0] == '"')
		return "the closing quote is missing";
	for (size_t i = 1; i < value->n; i++) {
		if (value->p[i] == '#' && (value->p[i - 1] == ' ' || value->p[i - 1] == '\t'))
			return "a comment needs a line of its own (or put the value in \"quotes\" "
			       "to keep the #)";
	}
	return NULL;
}

/* The folder of a file, with its slash, or "". */
static void folder_of(const char *file, char *out, size_t size)
{
	const char *slash = strrchr(file, '/');

	(void)snprintf(out, size, "%.*s", slash ? (int)(slash + 1 - file) : 0, file);
}

/* The row of a key in a named section, and its place in seen[]. */
static const struct opt *named_row(const struct opt_set *set, struct str key, size_t *at)
{
	const struct opt_named *named = set->named;
	const struct opt_set own = { .table = named->own, .count = named->own_count };
	const struct opt *o = opt_find(&own, key);

	if (o) {
		*at = (size_t)(o - named->own);
		return o;
	}
	for (const char *const *name = named->shared; *name; name++) {
		if (!str_eq(key, str_c(*name)))
			continue;
		o = opt_find(set, key);
		MUST(o);
		*at = named->own_count + (size_t)(o - set->table);
		return o;
	}
	return NULL;
}

static int set_key(struct reader *r, const struct spot *at, struct str key, struct str value)
{
	struct opt_set to = *r->set;
	bool *seen = r->seen, named = r->place == NAMED;
	char why[OPT_WHY], folder[PATH_MOST];
	const struct opt *o;
	size_t row = 0;
	int err;

	if (named) {
		to.config = r->named.config;
		seen = r->named.seen;
		o = named_row(r->set, key, &row);
	} else {
		o = opt_find(r->set, key);
		row = o ? (size_t)(o - r->set->table) : 0;
	}
	if (!o)
		return complain(r, at, -E_INVALID, "%s: [%s] has no such key; %s --help lists them",
		                log_esc(key), named ? r->set->named->word : r->set->section,
		                r->set->program);
	if (seen[row])
		return complain(r, at, -E_INVALID, "%s: has a value already", o->name);
	seen[row] = true;
	folder_of(at->file, folder, sizeof(folder));
	err = opt_set_value(&to, o, value, folder, why, sizeof(why));
	return err ? complain(r, at, err, "%s: %s", o->name, why) : 0;
}

static int key_line(struct reader *r, const struct spot *at, struct str line)
{
	const char *equals = memchr(line.p, '=', line.n), *wrong;
	struct str key, value;

	if (!equals)
		/* may be a secret: not shown */
		return complain(r, at, -E_INVALID,
		                "neither \"key = value\" nor [section] nor include");
	key = trim(str_make(line.p, (size_t)(equals - line.p)));
	value = trim(str_make(equals + 1, line.n - 1 - (size_t)(equals - line.p)));
	if (!key_ok(key))
		return complain(r, at, -E_INVALID, "%s: a key is made of a-z, 0-9 and _",
		                log_esc(key));
	if (r->place == NOWHERE)
		return complain(r, at, -E_INVALID,
		                "%s: comes before the first section; write [%s] above it",
		                log_esc(key), r->set->section);
	wrong = unquote(&value);
	if (wrong)
		return complain(r, at, -E_INVALID, "%s: %s", log_esc(key), wrong);
	if (r->place == OTHERS)
		return 0;
	return set_key(r, at, key, value);
}

/* ---- include ---- */
static int read_text(struct reader *r, const char *file, struct str text);

static int include_line(struct reader *r, const struct spot *at, struct str path)
{
	enum place place = r->place;
	struct opt_place named = r->named;
	char full[PATH_MOST], folder[PATH_MOST], why[OPT_WHY], *text = NULL;
	size_t n = 0;
	int err;

	if (path.n == 0)
		return complain(r, at, -E_INVALID, "include needs a path");
	if (r->depth >= INCLUDE_DEPTH)
		return complain(r, at, -E_LIMIT,
		                "include: more than %d files deep; does a file include itself?",
		                INCLUDE_DEPTH);
	if (++r->files > INCLUDE_FILES)
		return complain(r, at, -E_LIMIT, "include: more than %d files", INCLUDE_FILES);
	folder_of(at->file, folder, sizeof(folder));
	if ((size_t)snprintf(full, sizeof(full), "%s%.*s", path.p[0] == '/' ? "" : folder,
	                     STR_ARG(path)) >= sizeof(full))
		return complain(r, at, -E_LIMIT, "include: the path is too long");
	err = opt_slurp(full, OPT_FILE_MOST, &text, &n, why, sizeof(why));
	if (err)
		return complain(r, at, err, "include: %s", why);
	r->depth++;
	err = read_text(r, full, str_make(text, n));
	r->depth--;
	r->place = place; /* a section of the included file ends with it */
	r->named = named;
	mem_wipe(text, n); /* may hold secrets */
	mem_free(text);
	return err;
}

/* ---- Lines ---- */
static int one_line(struct reader *r, const struct spot *at, struct str line)
{
	static const struct str include = STR_INIT("include");

	line = trim(line);
	if (line.n == 0 || line.p[0] == '#')
		return 0;
	if (memchr(line.p, '\0', line.n))
		return complain(r, at, -E_INVALID, "a NUL byte; is this a text file?");
	if (line.p[0] == '[')
		return section_line(r, at, line);
	if (str_starts(line, include) && line.n > include.n &&
	    (line.p[include.n] == ' ' || line.p[include.n] == '\t') &&
	    trim(str_skip(line, include.n)).p[0] != '=')
		return include_line(r, at, trim(str_skip(line, include.n)));
	return key_line(r, at, line);
}

static int read_text(struct reader *r, const char *file, struct str text)
{
	struct spot at = { file, 0 };
	int err = 0;

	if (str_starts(text, STR("\xef\xbb\xbf")))
		text = str_skip(text, 3); /* an editor's byte order mark */
	while (text.n && !err) {
		const char *end = memchr(text.p, '\n', text.n);
		size_t n = end ? (size_t)(end - text.p) : text.n;

		at.line++;
		err = one_line(r, &at, str_make(text.p, n));
		text = str_skip(text, n + (end != NULL));
	}
	return err;
}

int opts_read_text(const struct opt_set *set, const char *file, struct str text, char *why,
                   size_t why_size)
{
	struct reader r = { .set = set, .why = why, .why_size = why_size };
	int err;

	r.seen = mem_array(set->count, sizeof(bool));
	if (!r.seen) {
		(void)snprintf(why, why_size, "%s: out of memory", file);
		return -E_NOMEM;
	}
	err = read_text(&r, file, text);
	mem_free(r.seen);
	return err;
}

int opt_read_file(const struct opt_set *set, const char *path, char *why, size_t why_size)
{
	char *text;
	size_t n;
	int err = opt_slurp(path, OPT_FILE_MOST, &text, &n, why, why_size);

	if (err)
		return err;
	err = opts_read_text(set, path, str_make(text, n), why, why_size);
	mem_wipe(text, n);
	mem_free(text);
	return err;
}

/* opts_value.c - one word of configuration becomes one field of the program's struct. A table row
 * per type. */
#include "base/base.h"
#include "base/opts_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"

enum { SECRET_MOST = 4096 };

struct unit {
	struct str name;
	int64_t factor;
};

static const struct unit times[] = { { STR_INIT("ms"), 1 },
	                             { STR_INIT("s"), 1000 },
	                             { STR_INIT("m"), 60000 },
	                             { STR_INIT("h"), 3600000 },
	                             { STR_INIT("d"), 86400000 } };
static const struct unit sizes[] = { { STR_INIT(""), 1 },
	                             { STR_INIT("k"), 1 << 10 },
	                             { STR_INIT("m"), 1 << 20 },
	                             { STR_INIT("g"), 1 << 30 } };
static const struct unit plain[] = { { STR_INIT(""), 1 } };

static const struct {
	struct str word;
	bool value;
} bool_words[] = { { STR_INIT("on"), true },   { STR_INIT("yes"), true },
	           { STR_INIT("true"), true }, { STR_INIT("off"), false },
	           { STR_INIT("no"), false },  { STR_INIT("false"), false } };

/* What is wrong with a value is said with the value, but never with a secret one. */
static const char *shown(const struct opt *o, struct str value)
{
	return o->secret ? "the value" : log_esc(value);
}

static void *field(const struct opt_set *set, const struct opt *o)
{
	return (char *)set->config + o->offset;
}

/* ---- Numbers ---- */
static bool number_from(struct str s, const struct unit *units, size_t count, int64_t *out)
{
	bool minus = s.n && s.p[0] == '-';
	size_t digits = 0;
	uint64_t n;
	int64_t value;

	if (minus)
		s = str_skip(s, 1);
	while (digits < s.n && s.p[digits] >= '0' && s.p[digits] <= '9')
		digits++;
	if (!str_to_u64(str_make(s.p, digits), &n) || n > INT64_MAX)
		return false;
	value = minus ? -(int64_t)n : (int64_t)n;
	for (size_t i = 0; i < count; i++) {
		if (str_eq(units[i].name, str_skip(s, digits)))
			return !__builtin_mul_overflow(value, units[i].factor, out);
	}
	if (n == 0 && digits == s.n) { /* nothing needs no unit */
		*out = 0;
		return true;
	}
	return false;
}

/* Back into the largest unit that says it exactly. */
static void number_text(int64_t value, const struct unit *units, size_t count, char *out,
                        size_t size)
{
	size_t i = count - 1;

	while (i > 0 && (value == 0 || value % units[i].factor))
		i--;
	(void)snprintf(out, size, "%" PRId64 "%.*s", value / units[i].factor,
	               STR_ARG(units[i].name));
}

static int set_number(const struct opt *o, struct str value, const struct unit *units, size_t count,
                      const char *what, int64_t *out, char *why, size_t why_size)
{
	bool unbounded = o->min == 0 && o->max == 0;
	int64_t n, max = unbounded ? INT64_MAX : o->max;
	char least[32], most[32];

	if (!number_from(value, units, count, &n)) {
		(void)snprintf(why, why_size, "%s is not %s", shown(o, value), what);
		return -E_INVALID;
	}
	if (n < o->min || n > max) {
		number_text(o->min, units, count, least, sizeof(least));
		number_text(o->max, units, count, most, sizeof(most));
		if (unbounded)
			(void)snprintf(why, why_size, "%s is less than 0", shown(o, value));
		else
			(void)snprintf(why, why_size, "%s is not between %s and %s",
			               shown(o, value), least, most);
		return -E_INVALID;
	}
	*out = n;
	return 0;
}

/* ---- Words ---- */
bool opt_is_bool_word(struct str s)
{
	for (size_t i = 0; i < ARRAY_LEN(bool_words); i++) {
		if (str_eq(s, bool_words[i].word))
			return true;
	}
	return false;
}

static int set_bool(const struct opt *o, struct str value, bool *out, char *why, size_t why_size)
{
	for (size_t i = 0; i < ARRAY_LEN(bool_words); i++) {
		if (str_eq(value, bool_words[i].word)) {
			*out = bool_words[i].value;
			return 0;
		}
	}
	(void)snprintf(why, why_size, "%s is neither on, yes, true nor off, no, false",
	               shown(o, value));
	return -E_INVALID;
}

static int set_enum(const struct opt *o, struct str value, int *out, char *why, size_t why_size)
{
	int n;

	for (int i = 0; o->words[i]; i++) {
		if (str_eq(value, str_c(o->words[i]))) {
			*out = i;
			return 0;
		}
	}
	n = snprintf(why, why_size, "%s is none of", shown(o, value));
	for (int i = 0; o->words[i] && n >= 0 && (size_t)n < why_size; i++)
		n += snprintf(why + n, why_size - (size_t)n, "%s %s", i ? "," : "", o->words[i]);
	return -E_INVALID;
}

/* ---- Text, and secrets in files of their own ---- */
int opt_slurp(const char *path, size_t most, char **text, size_t *n, char *why, size_t why_size)
{
	/* O_NONBLOCK: opening a FIFO would wait for a writer. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), err = -E_INVALID;
	char *p = NULL;
	struct stat st;
	ssize_t got = 1;
	size_t have = 0;

	if (fd < 0) {
		(void)snprintf(why, why_size, "cannot open %s: %s", path, strerror(errno));
		return errno == ENOENT ? -E_NOTFOUND : -E_IO;
	}
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		(void)snprintf(why, why_size, "%s is not a regular file", path);
		goto fail;
	}
	err = -E_NOMEM;
	(void)snprintf(why, why_size, "out of memory");
	p = mem_alloc(most + 1);
	if (!p)
		goto fail;
	while (got > 0 && have <= most) {
		got = read(fd, p + have, most + 1 - have);
		have += got > 0 ? (size_t)got : 0;
	}
	err = got < 0 ? -E_IO : -E_LIMIT;
	if (got < 0)
		(void)snprintf(why, why_size, "cannot read %s: %s", path, strerror(errno));
	else
		(void)snprintf(why, why_size, "%s is longer than %zu bytes", path, most);
	if (got < 0 || have > most)
		goto fail;
	close(fd);
	*text = p;
	*n = have;
	return 0;
fail:
	if (p)
		mem_wipe(p, have);
	mem_free(p);
	close(fd);
	return err;
}

static int secret_from_file(struct str path, const char *folder, char **out, char *why,
                            size_t why_size)
{
	char full[4096], *text;
	size_t n;
	int err;

	if ((size_t)snprintf(full, sizeof(full), "%s%.*s", path.n && path.p[0] == '/' ? "" : folder,
	                     STR_ARG(path)) >= sizeof(full)) {
		(void)snprintf(why, why_size, "the path is too long");
		return -E_LIMIT;
	}
	err = opt_slurp(full, SECRET_MOST, &text, &n, why, why_size);
	if (err)
		return err;
	while (n && (text[n - 1] == '\n' || text[n - 1] == '\r'))
		n--;
	if (n == 0 || memchr(text, '\n', n) || memchr(text, '\0', n)) {
		(void)snprintf(why, why_size, "%s must hold one line of text", full);
		err = -E_INVALID;
	} else {
		*out = str_dup_z(str_make(text, n));
		err = *out ? 0 : -E_NOMEM;
		if (err)
			(void)snprintf(why, why_size, "out of memory");
	}
	mem_wipe(text, n);
	mem_free(text);
	return err;
}

/* Empty means unset: programs see NULL, never "". */
static int set_text(const struct opt *o, struct str value, const char *folder, char **out,
                    char *why, size_t why_size)
{
	static const struct str in_file = STR_INIT("file:");
	char *text = NULL;
	int err = 0;

	if (o->secret && str_starts(value, in_file)) {
		err = secret_from_file(str_skip(value, in_file.n), folder, &text, why, why_size);
	} else if (value.n) {
		text = str_dup_z(value);
		err = text ? 0 : -E_NOMEM;
		if (err)
			(void)snprintf(why, why_size, "out of memory");
	}
	if (err)
		return err;
	if (*out && o->secret)
		mem_wipe(*out, strlen(*out));
	mem_free(*out);
	*out = text;
	return 0;
}

/* ---- All of them ---- */
int opt_set_value(const struct opt_set *set, const struct opt *o, struct str value,
                  const char *folder, char *why, size_t why_size)
{
	void *at = field(set, o);

	switch (o->type) {
	case OPT_BOOL:
		return set_bool(o, value, at, why, why_size);
	case OPT_INT:
		return set_number(o, value, plain, ARRAY_LEN(plain), "a number", at, why, why_size);
	case OPT_MSEC:
		return set_number(o, value, times, ARRAY_LEN(times),
		                  "a duration (use ms, s, m, h or d)", at, why, why_size);
	case OPT_SIZE:
		return set_number(o, value, sizes, ARRAY_LEN(sizes),
		                  "a size (use bytes, k, m or g)", at, why, why_size);
	case OPT_TEXT:
		return set_text(o, value, folder, at, why, why_size);
	case OPT_ENUM:
		return set_enum(o, value, at, why, why_size);
	}
	MUST(!"an option type without a reader");
	return -E_INVALID;
}

int opt_presets(const struct opt_set *set, char *why, size_t why_size)
{
	for (size_t i = 0; i < set->count; i++) {
		const struct opt *o = &set->table[i];
		int err =
		    o->preset ? opt_set_value(set, o, str_c(o->preset), "", why, why_size) : 0;

		/* a preset that is not valid is our own mistake */
		MUST(err == 0 || err == -E_NOMEM);
		if (err)
			return err;
	}
	return 0;
}

void opts_free(const struct opt_set *set)
{
	for (size_t i = 0; i < set->count; i++) {
		const struct opt *o = &set->table[i];
		char **text = field(set, o);

		if (o->type != OPT_TEXT || !*text)
			continue;
		if (o->secret)
			mem_wipe(*text, strlen(*text));
		mem_free(*text);
		*text = NULL;
	}
	if (set->named)
		set->named->end(set->config);
}

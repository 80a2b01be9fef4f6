/* log.c - one write(2) per line. Nothing here waits: no lock, and a stderr that is not ready costs
 * the line, not the loop. */
#include "base/base.h"
#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/clock.h"

enum {
	LOG_LINE = 2048, /* below PIPE_BUF: lines of several threads do not mix in a pipe */
	LOG_HEAD = 64,
	ESC_PLACES = 4,
	ESC_SIZE = 300,
	ESC_SHOWN = 256,
};

static const char *const level_names[] = {
	[LOG_DEBUG] = "DEBUG", [LOG_INFO] = "INFO", [LOG_WARN] = "WARN", [LOG_ERROR] = "ERROR"
};

static enum log_level least_level = LOG_INFO; /* these two: before threads, then only read */
static const char *program_name = "mbus";
static uint64_t dropped; /* atomic */

void log_start(const char *program, enum log_level least)
{
	program_name = program;
	least_level = least;
}

bool log_wants(enum log_level level)
{
	return level >= least_level;
}

uint64_t log_dropped(void)
{
	return __atomic_load_n(&dropped, __ATOMIC_RELAXED);
}

/* ---- At most LOG_RATE lines a second and site. Two threads that race for a new second may let a
 * line more through ---- */
static bool site_allows(struct log_site *site, uint32_t *suppressed)
{
	int64_t second = clock_mono_ms() / 1000,
		seen = __atomic_load_n(&site->second, __ATOMIC_RELAXED);

	if (seen != second && __atomic_compare_exchange_n(&site->second, &seen, second, false,
	                                                  __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		__atomic_store_n(&site->lines, 0, __ATOMIC_RELAXED);
	if (__atomic_fetch_add(&site->lines, 1, __ATOMIC_RELAXED) >= LOG_RATE) {
		__atomic_fetch_add(&site->suppressed, 1, __ATOMIC_RELAXED);
		return false;
	}
	*suppressed = __atomic_exchange_n(&site->suppressed, 0, __ATOMIC_RELAXED);
	return true;
}

/* ---- The line ---- */
struct line {
	size_t n;
	char text[LOG_LINE];
};

PRINTF_LIKE(2, 0) static void add_v(struct line *l, const char *format, va_list args)
{
	size_t room = sizeof(l->text) - 1 - l->n; /* 1 for the newline */
	int n = vsnprintf(l->text + l->n, room, format, args);

	if (n < 0)
		return;
	if ((size_t)n < room) {
		l->n += (size_t)n;
		return;
	}
	l->n += room - 1;
	memcpy(l->text + l->n - 3, "...", 3);
}

PRINTF_LIKE(2, 3) static void add(struct line *l, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	add_v(l, format, args);
	va_end(args);
}

/* 2026-03-01T10:15:02.113Z. Not gmtime_r: glibc takes the lock of its time zone data there.
 * Days to dates by eras of 400 years that begin in March, so that the leap day is the last of its
 * year. */
static void add_time(struct line *l, int64_t wall_ms)
{
	int64_t day = wall_ms / 86400000, ms = wall_ms % 86400000, era, of_era, year, of_year,
		month;

	if (ms < 0) {
		ms += 86400000;
		day--;
	}
	day += 719468; /* from 0000-03-01 */
	era = (day >= 0 ? day : day - 146096) / 146097;
	of_era = day - era * 146097;
	year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	of_year = of_era - (365 * year + year / 4 - year / 100);
	month = (5 * of_year + 2) / 153;
	add(l,
	    "%04" PRId64 "-%02" PRId64 "-%02" PRId64 "T%02" PRId64 ":%02" PRId64 ":%02" PRId64
	    ".%03" PRId64 "Z",
	    year + era * 400 + (month >= 10), month < 10 ? month + 3 : month - 9,
	    of_year - (153 * month + 2) / 5 + 1, ms / 3600000, ms / 60000 % 60, ms / 1000 % 60,
	    ms % 1000);
}

/* For lines about nobody in particular: which program, and which of its threads. */
static void add_place(struct line *l)
{
	static _Thread_local char name[16];

	if (!name[0] && prctl(PR_GET_NAME, name) < 0)
		name[0] = '?';
	if (strncmp(name, program_name, sizeof(name) - 1) == 0)
		add(l, " prog=%s", program_name);
	else
		add(l, " prog=%s thread=%s", program_name, name);
}

/* poll() first: stderr is shared with other programs, so it cannot be made non-blocking here, and a
 * pipe or terminal that polls as writable takes a line this short without waiting. */
static void emit(const struct line *l)
{
	struct pollfd p = { .fd = STDERR_FILENO, .events = POLLOUT };
	ssize_t n = -1;

	if (poll(&p, 1, 0) == 1 && (p.revents & POLLOUT)) {
		do
			n = write(STDERR_FILENO, l->text, l->n);
		while (n < 0 && errno == EINTR);
	}
	if (n != (ssize_t)l->n)
		__atomic_fetch_add(&dropped, 1, __ATOMIC_RELAXED);
}

void log_line(struct log_site *site, enum log_level level, const char *subject, const char *event,
              const char *format, ...)
{
	int saved = errno;
	uint32_t suppressed = 0;
	struct line l = { .n = 0 };
	va_list args;

	if (!site_allows(site, &suppressed))
		return;
	add_time(&l, clock_wall_ms());
	add(&l, " %s", level_names[level]);
	if (subject && subject[0])
		add(&l, " %s", subject);
	else
		add_place(&l);
	add(&l, " ev=%s", event);
	if (suppressed)
		add(&l, " suppressed=%" PRIu32, suppressed);
	if (format && format[0]) {
		add(&l, " ");
		va_start(args, format);
		add_v(&l, format, args);
		va_end(args);
	}
	/* The second lock on the door: whatever was passed without log_esc() cannot begin a line of
	 * its own. */
	for (size_t i = 0; i < l.n; i++) {
		if ((unsigned char)l.text[i] < 0x20 || l.text[i] == 0x7f)
			l.text[i] = '?';
	}
	l.text[l.n++] = '\n';
	emit(&l);
	errno = saved;
}

/* ---- Bytes of strangers ---- */

/* One well-formed UTF-8 sequence of two to four bytes: its length and code point, or 0. */
static size_t utf8_at(struct str s, uint32_t *code)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	const unsigned char *p = (const unsigned char *)s.p;
	size_t n = p[0] >= 0xf0 && p[0] < 0xf8   ? 4
	           : p[0] >= 0xe0 && p[0] < 0xf0 ? 3
	           : p[0] >= 0xc0 && p[0] < 0xe0 ? 2
	                                         : 0;

	if (n == 0 || n > s.n)
		return 0;
	*code = p[0] & (0xffu >> (n + 1));
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		*code = *code << 6 | (p[i] & 0x3f);
	}
	return *code < least[n] || *code > 0x10ffff || (*code >= 0xd800 && *code <= 0xdfff) ? 0 : n;
}

/* What a terminal would obey, or a person would not see: controls, spaces, direction marks,
 * invisible and private ones. */
static bool code_hides(uint32_t code)
{
	static const struct {
		uint32_t from, to;
	} hidden[] = {
		{ 0x80, 0xa0 },     { 0xad, 0xad },     { 0x34f, 0x34f },      { 0x61c, 0x61c },
		{ 0x115f, 0x1160 }, { 0x1680, 0x1680 }, { 0x17b4, 0x17b5 },    { 0x180b, 0x180f },
		{ 0x2000, 0x200f }, { 0x2028, 0x202f }, { 0x205f, 0x206f },    { 0x3000, 0x3000 },
		{ 0x3164, 0x3164 }, { 0xe000, 0xf8ff }, { 0xfe00, 0xfe0f },    { 0xfeff, 0xfeff },
		{ 0xffa0, 0xffa0 }, { 0xfff0, 0xffff }, { 0xe0000, 0x10ffff },
	};

	for (size_t i = 0; i < ARRAY_LEN(hidden); i++) {
		if (code >= hidden[i].from && code <= hidden[i].to)
			return true;
	}
	return false;
}

static bool ascii_shows(unsigned char c)
{
	return c > 0x20 && c < 0x7f && c != '"' && c != '\'' && c != '\\' && c != '`';
}

const char *log_esc(struct str bytes)
{
	static _Thread_local char places[ESC_PLACES][ESC_SIZE];
	static _Thread_local unsigned turn;
	char *out = places[turn++ % ESC_PLACES];
	size_t n = 0, used = 0;

	if (bytes.n == 0)
		return "-";
	while (used < bytes.n) {
		struct str rest = str_skip(bytes, used);
		unsigned char c = (unsigned char)rest.p[0];
		uint32_t code = 0;
		size_t take = c < 0x80 ? 0 : utf8_at(rest, &code);
		bool shows = take ? !code_hides(code) : ascii_shows(c);
		size_t cost = !shows ? 4 : take ? take : 1;

		if (n + cost > ESC_SHOWN)
			break;
		if (shows) {
			memcpy(out + n, rest.p, cost);
			used += cost;
		} else {
			(void)snprintf(out + n, 5, "\\x%02x", c);
			used++;
		}
		n += cost;
	}
	(void)snprintf(out + n, ESC_SIZE - n, "%s", used < bytes.n ? "..." : "");
	return out;
}

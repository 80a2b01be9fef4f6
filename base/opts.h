/* opts.h - configuration: one table per program makes the parser, --check-config, --help and the
 * docs.
 *
 *   # a comment has a line of its own
 *   [proxy]                       the section of a program; every key stands in one
 *   workers = 2
 *   mqtt = 0.0.0.0:1883
 *   auth_timeout = 3s             units: ms s m h d; k m g (1024); on/off/yes/no/true/false
 *   greeting = "a # b"            quotes keep # and outer spaces; an empty value unsets a text
 *   include conf.d/proxy.conf     relative to this file; begins in the current section, which goes
 * on after it
 *
 * One file may hold the sections of all MBUS programs (core, proxy, admin, ctl): those of others
 * are checked only for their shape. Unknown sections, unknown keys, wrong values and doubled keys
 * end the start with "file:line: key: reason". Main thread, before threads. */
#pragma once
#include "base/base.h"

enum opt_type { OPT_BOOL, OPT_INT, OPT_MSEC, OPT_SIZE, OPT_TEXT, OPT_ENUM };

struct opt {
	const char *name; /* "auth_timeout" in the file, --auth-timeout on the command line */
	enum opt_type type;
	/* Of the field in the program's config struct: bool, int64_t (INT, MSEC, SIZE), char *
	 * (TEXT) or int (ENUM). */
	size_t offset;
	const char *preset;       /* default, written as in the file; NULL for TEXT = unset */
	int64_t min, max;         /* for numbers, in ms or bytes; both 0: anything from 0 on */
	const char *const *words; /* for ENUM: NULL-terminated, value = index */
	const char *help;         /* one sentence, with the unit */
	bool secret;              /* never printed; value may be file:PATH */
};

/* Sections that a person names, as often as he likes: [listener NAME]. Their keys are rows of their
 * own, and some of the program's table. */
struct opt_place { /* where the values of one of them go */
	void *config;
	/* by row, the own ones first: it has a value. Room for all rows of both tables */
	bool *seen;
};
struct opt_named {
	const char *word; /* "listener" */
	const struct opt *own;
	size_t own_count;
	const char *const *shared; /* names in the program's table, NULL-terminated */
	const char *help;          /* a sentence, for --help */
	/* A new one. 0, or -E_* and *why. config is the set's. */
	int (*begin)(void *config, struct str name, struct opt_place *out, const char **why);
	void (*end)(void *config); /* frees all of them */
};

struct opt_set {
	const char *program; /* "mbus-proxy" */
	const char *section; /* "proxy" */
	const char *summary; /* for --help */
	const struct opt *table;
	size_t count;
	void *config;                  /* the program's struct, zeroed before */
	const struct opt_named *named; /* or NULL */
};

enum opt_outcome { OPT_RUN, OPT_EXIT_OK, OPT_EXIT_BAD };

/* Presets, then --config FILE, then --name value / --name=value. Handles --help, --version,
 * --check-config (prints "FILE: ok"). Prints what is wrong to stderr. */
enum opt_outcome opts_read(const struct opt_set *set, int argc, char **argv);
/* pure part; fuzzed */
int opts_read_text(const struct opt_set *set, const char *file, struct str text, char *why,
                   size_t why_size);
void opts_free(const struct opt_set *set); /* TEXT fields */
const char *mbus_version(void);

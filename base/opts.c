/* opts.c - the command line, and the help that is made of the same table. */
#include "base/base.h"
#include "base/opts.h"

#include <stdio.h>

#include "base/log.h"
#include "base/opts_parts.h"

const char *mbus_version(void)
{
	return MBUS_VERSION;
}

static bool same_name(struct str a, const char *b)
{
	size_t i = 0;

	for (; i < a.n && b[i]; i++) {
		if (a.p[i] != b[i] && !(a.p[i] == '-' && b[i] == '_'))
			return false;
	}
	return i == a.n && !b[i];
}

const struct opt *opt_find(const struct opt_set *set, struct str name)
{
	for (size_t i = 0; i < set->count; i++) {
		if (same_name(name, set->table[i].name))
			return &set->table[i];
	}
	return NULL;
}

/* ---- One argument after the other ---- */
enum own { OWN_NONE, OWN_CONFIG, OWN_CHECK, OWN_HELP, OWN_VERSION };

struct line {
	const struct opt_set *set;
	char **argv;
	int argc, at;
	const char *config;
	bool check, help, version;
	bool values; /* second pass: set the options; the first looks for our own */
};

static enum own own_option(struct str name)
{
	static const struct {
		struct str name;
		enum own own;
	} names[] = { { STR_INIT("config"), OWN_CONFIG },
		      { STR_INIT("check-config"), OWN_CHECK },
		      { STR_INIT("help"), OWN_HELP },
		      { STR_INIT("version"), OWN_VERSION } };

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (str_eq(name, names[i].name))
			return names[i].own;
	}
	return OWN_NONE;
}

static int complain(const struct line *l, struct str name, const char *why)
{
	fprintf(stderr, "%s: --%s: %s\n", l->set->program, log_esc(name), why);
	return -E_INVALID;
}

/* The value of an option: after =, or the next argument. A switch needs none. */
static bool value_of(struct line *l, bool is_switch, struct str *name, struct str *value)
{
	const char *equals = memchr(name->p, '=', name->n);

	if (equals) {
		*value = str_c(equals + 1);
		name->n = (size_t)(equals - name->p);
		return true;
	}
	if (l->at < l->argc) {
		struct str next = str_c(l->argv[l->at]);

		if (is_switch ? opt_is_bool_word(next) : !str_starts(next, STR("--"))) {
			*value = next;
			l->at++;
			return true;
		}
	}
	*value = STR("on");
	return is_switch;
}

static int own_argument(struct line *l, enum own own, struct str name)
{
	struct str value;

	switch (own) {
	case OWN_CONFIG:
		if (!value_of(l, false, &name, &value) || value.n == 0)
			return complain(l, name, "needs a file");
		l->config = value.p; /* argv's, terminated */
		return 0;
	case OWN_CHECK:
		l->check = true;
		return 0;
	case OWN_HELP:
		l->help = true;
		return 0;
	default:
		l->version = true;
		return 0;
	}
}

static int argument(struct line *l)
{
	struct str whole = str_c(l->argv[l->at++]), name, plain, value;
	const char *equals;
	const struct opt *o;
	char why[OPT_WHY];
	enum own own;

	if (!str_starts(whole, STR("--")) || whole.n == 2) {
		if (str_eq(whole, STR("-h"))) {
			l->help = true;
			return 0;
		}
		fprintf(stderr, "%s: %s is not an option; --help lists them\n", l->set->program,
		        log_esc(whole));
		return -E_INVALID;
	}
	name = plain = str_skip(whole, 2);
	equals = memchr(name.p, '=', name.n);
	if (equals)
		plain.n = (size_t)(equals - name.p);
	own = own_option(plain);
	if (own != OWN_NONE)
		return own_argument(l, own, name);
	o = opt_find(l->set, plain);
	if (!o)
		return complain(l, plain, "there is no such option; --help lists them");
	if (!value_of(l, o->type == OPT_BOOL, &name, &value))
		return complain(l, name, "needs a value");
	if (l->values && opt_set_value(l->set, o, value, "", why, sizeof(why)))
		return complain(l, name, why);
	return 0;
}

static int arguments(struct line *l, bool values)
{
	int err = 0;

	l->values = values;
	for (l->at = 1; l->at < l->argc && !err;)
		err = argument(l);
	return err;
}

enum opt_outcome opts_read(const struct opt_set *set, int argc, char **argv)
{
	struct line l = { .set = set, .argv = argv, .argc = argc };
	char why[OPT_WHY + 4096];

	if (arguments(&l, false))
		return OPT_EXIT_BAD;
	if (l.help) {
		opt_print_help(set);
		return OPT_EXIT_OK;
	}
	if (l.version) {
		printf("%s %s\n", set->program, mbus_version());
		return OPT_EXIT_OK;
	}
	if (opt_presets(set, why, sizeof(why)) ||
	    (l.config && opt_read_file(set, l.config, why, sizeof(why)))) {
		fprintf(stderr, "%s\n", why);
		goto bad;
	}
	if (arguments(&l, true))
		goto bad;
	if (!l.check)
		return OPT_RUN;
	printf("%s: ok\n", l.config ? l.config : "defaults");
	opts_free(set);
	return OPT_EXIT_OK;
bad:
	opts_free(set);
	return OPT_EXIT_BAD;
}

/* opts_help.c - --help: the table of options as a person reads it. */
#include "base/base.h"
#include "base/opts_parts.h"

#include <stdio.h>

struct row {
	char name[64], kind[96], preset[64];
};

static void kind_text(const struct opt *o, char *out, size_t size)
{
	static const char *const kinds[] = {
		[OPT_BOOL] = "on|off", [OPT_INT] = "number", [OPT_MSEC] = "duration",
		[OPT_SIZE] = "size",   [OPT_TEXT] = "text",  [OPT_ENUM] = ""
	};
	int n = snprintf(out, size, "%s", o->secret ? "secret" : kinds[o->type]);

	for (size_t i = 0; o->type == OPT_ENUM && o->words[i] && n >= 0 && (size_t)n < size; i++)
		n += snprintf(out + n, size - (size_t)n, "%s%s", i ? "|" : "", o->words[i]);
}

static void row_from(const struct opt *o, struct row *r)
{
	(void)snprintf(r->name, sizeof(r->name), "--%s", o->name);
	for (char *c = r->name; *c; c++) {
		if (*c == '_')
			*c = '-';
	}
	kind_text(o, r->kind, sizeof(r->kind));
	(void)snprintf(r->preset, sizeof(r->preset), "%s",
	               o->preset && o->preset[0] && !o->secret ? o->preset : "-");
}

static void print_named(const struct opt_named *named)
{
	printf("\nSections [%s NAME] of a file: %s\n", named->word, named->help);
	for (size_t i = 0; i < named->own_count; i++) {
		char kind[96];

		kind_text(&named->own[i], kind, sizeof(kind));
		printf("  %s = %s: %s\n", named->own[i].name, kind, named->own[i].help);
	}
	printf("  of the options above:");
	for (const char *const *name = named->shared; *name; name++)
		printf(" %s", *name);
	printf("\n");
}

void opt_print_help(const struct opt_set *set)
{
	static const struct row own[] = {
		{ "--config", "file", "-" },
		{ "--check-config", "", "" },
		{ "--help", "", "" },
		{ "--version", "", "" },
	};
	static const char *const own_help[] = {
		"Read this file first; what follows on the command line wins over it.",
		"Read everything, say what is wrong or \"ok\", and end.",
		"Print this and end.",
		"Print the version and end.",
	};
	struct row r = { "option", "value", "default" };
	int name = 14, kind = 5, preset = 7;

	for (size_t i = 0; i < set->count; i++) {
		struct row row;

		row_from(&set->table[i], &row);
		name = (int)size_max((size_t)name, strlen(row.name));
		kind = (int)size_max((size_t)kind, strlen(row.kind));
		preset = (int)size_max((size_t)preset, strlen(row.preset));
	}
	printf("%s %s: %s\n\n", set->program, mbus_version(), set->summary);
	printf(
	    "In a file the options are lines \"name = value\" in the section [%s], with _ for -.\n",
	    set->section);
	printf(
	    "Durations: 500ms 3s 5m 1h 2d. Sizes: 512 64k 16m 1g. A secret may be file:PATH.\n\n");
	printf("  %-*s  %-*s  %-*s  meaning\n", name, r.name, kind, r.kind, preset, r.preset);
	for (size_t i = 0; i < ARRAY_LEN(own); i++)
		printf("  %-*s  %-*s  %-*s  %s\n", name, own[i].name, kind, own[i].kind, preset,
		       own[i].preset, own_help[i]);
	for (size_t i = 0; i < set->count; i++) {
		row_from(&set->table[i], &r);
		printf("  %-*s  %-*s  %-*s  %s\n", name, r.name, kind, r.kind, preset, r.preset,
		       set->table[i].help);
	}
	if (set->named)
		print_named(set->named);
}

/* ctl_table.c - answers for people: aligned columns, times as dates, one line per log record. What
 * comes from the server may hold names that a customer chose: control characters never reach the
 * terminal. */
#include "admin/ctl/ctl.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

enum { CELL = 64 };

static void clean(char *cell)
{
	for (; *cell; cell++) {
		if ((unsigned char)*cell < 0x20 || *cell == 0x7F)
			*cell = '?';
	}
}

static const json_t *find(const json_t *row, const char *key)
{
	char head[32];
	const char *dot = strchr(key, '.');

	if (!dot)
		return json_object_get(row, key);
	snprintf(head, sizeof(head), "%.*s", (int)(dot - key), key);
	return find(json_object_get(row, head), dot + 1);
}

static void time_text(char *out, size_t size, double at)
{
	time_t t = (time_t)at;
	struct tm tm;

	if (t == 0 || !gmtime_r(&t, &tm))
		snprintf(out, size, "-");
	else
		strftime(out, size, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

static void access_text(char *out, size_t size, const json_t *access)
{
	static const char *const names[] = { "standard", "master", "acl" };
	int64_t type = json_integer_value(json_object_get(access, "type"));
	size_t grants = json_array_size(json_object_get(access, "acl"));

	if (type == 2)
		snprintf(out, size, "acl (%zu)", grants);
	else
		snprintf(out, size, "%s", type >= 0 && type < 2 ? names[type] : "?");
}

static void list_text(char *out, size_t size, const json_t *list)
{
	size_t index, at = 0;
	json_t *value;

	snprintf(out, size, "-");
	json_array_foreach(list, index, value)
	{
		if (at < size)
			at += (size_t)snprintf(out + at, size - at, "%s%s", index ? "," : "",
			                       json_string_value(value));
	}
}

static void cell_text(char *out, size_t size, const json_t *value, int form)
{
	if (form == CTL_ACCESS) {
		access_text(out, size, value);
	} else if (form == CTL_TIME) {
		time_text(out, size, json_number_value(value));
	} else if (form == CTL_SECONDS) {
		int64_t s = json_integer_value(value);

		if (s == 0)
			snprintf(out, size, "-");
		else if (s % 86400 == 0)
			snprintf(out, size, "%" PRId64 "d", s / 86400);
		else
			snprintf(out, size, "%" PRId64 "s", s);
	} else if (json_is_array(value)) {
		list_text(out, size, value);
	} else if (json_is_string(value)) {
		snprintf(out, size, "%s", json_string_value(value));
	} else if (json_is_integer(value)) {
		snprintf(out, size, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
	} else if (json_is_real(value)) {
		snprintf(out, size, "%.15g", json_real_value(value));
	} else if (json_is_boolean(value)) {
		snprintf(out, size, "%s", json_is_true(value) ? "yes" : "no");
	} else {
		snprintf(out, size, "-");
	}
	clean(out);
}

void ctl_table(const json_t *rows, const struct ctl_column *columns, size_t count)
{
	char cell[CELL];
	size_t index;
	json_t *row;

	MUST(count <= 16);
	int width[16];
	for (size_t i = 0; i < count; i++) {
		width[i] = (int)strlen(columns[i].title);
		json_array_foreach(rows, index, row)
		{
			cell_text(cell, sizeof(cell), find(row, columns[i].key), columns[i].form);
			if ((int)strlen(cell) > width[i])
				width[i] = (int)strlen(cell);
		}
	}
	for (size_t i = 0; i < count; i++)
		printf("%-*s%s", i + 1 < count ? width[i] : 0, columns[i].title,
		       i + 1 < count ? "  " : "\n");
	json_array_foreach(rows, index, row)
	{
		for (size_t i = 0; i < count; i++) {
			cell_text(cell, sizeof(cell), find(row, columns[i].key), columns[i].form);
			printf("%-*s%s", i + 1 < count ? width[i] : 0, cell,
			       i + 1 < count ? "  " : "\n");
		}
	}
}

void ctl_log_record(const json_t *record)
{
	static const char *const first[] = { "timestamp",  "event_code",  "event_origin",
		                             "event_text", "origin_type", "origin_id",
		                             NULL };
	char when[CELL], cell[256];
	const char *key;
	json_t *value;

	time_text(when, sizeof(when), json_number_value(json_object_get(record, "timestamp")));
	cell_text(cell, sizeof(cell), json_object_get(record, "event_origin"), CTL_PLAIN);
	printf("%s %4" JSON_INTEGER_FORMAT " %s", when,
	       json_integer_value(json_object_get(record, "event_code")), cell);
	cell_text(cell, sizeof(cell), json_object_get(record, "event_text"), CTL_PLAIN);
	if (strcmp(cell, "-") != 0)
		printf(" \"%s\"", cell);
	json_object_foreach((json_t *)(uintptr_t)record, key, value)
	{
		bool shown = false;

		for (int i = 0; first[i]; i++)
			shown = shown || strcmp(key, first[i]) == 0;
		if (shown || json_is_object(value) || json_is_array(value))
			continue;
		cell_text(cell, sizeof(cell), value, CTL_PLAIN);
		printf(" %s=%s", key, cell);
	}
	printf("\n");
	fflush(stdout);
}

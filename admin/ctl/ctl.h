/* ctl.h - mbusctl: the REST API from the shell. One process, one thread; every command is one or
 * two HTTP calls. Exit codes: 0 done, 1 the server refused or could not be reached, 2 the command
 * line is wrong. */
#pragma once
#include "base/bytes.h"
#include "base/json.h"

enum { CTL_OK = 0, CTL_REFUSED = 1, CTL_USAGE = 2 };
enum { CTL_GRANTS_MAX = 64, CTL_CLIENT_IDS_MAX = 64, CTL_WORDS_MAX = 8, CTL_ANSWER_MAX = 64 << 20 };

/* What the command line said. All strings borrow argv or the environment. */
struct ctl_args {
	const char *word[CTL_WORDS_MAX]; /* "token" "create" "name" ... */
	int words;
	const char *api, *token_file, *state, *cid, *info, *type, *ttl, *expire, *ips, *certs,
	    *extensions;
	const char *grant[CTL_GRANTS_MAX];
	int grants;
	const char *client_id[CTL_CLIENT_IDS_MAX];
	int client_ids;
	bool json, help, enable, disable, version;
};

/* ---- The door to libcurl (ctl_http.c) ---- */
struct ctl_server {
	/* "http://127.0.0.1:9005", no slash at the end; owned */
	char *url;
	char *key;       /* the token; owned, wiped */
	const char *cid; /* x-flespi-cid, or NULL */
};

/* options, environment, ready.json; says what is missing on stderr */
int ctl_server_find(struct ctl_server *out, const struct ctl_args *a);
void ctl_server_free(struct ctl_server *s);
/* body may be NULL. The answer's JSON (a new reference) whatever its status; says what went wrong
 * on stderr otherwise. */
int ctl_call(const struct ctl_server *s, const char *method, const char *path, const json_t *body,
             long *status, json_t **answer);
/* Calls line(arg, text) for each `data:` line of an event stream, until the stream or the process
 * ends. */
int ctl_follow(const struct ctl_server *s, const char *path,
               void (*line)(void *arg, struct str text), void *arg);

/* ---- Output (ctl_table.c) ---- */
struct ctl_column {
	const char *title, *key; /* key: "id", or "access.type" */
	enum { CTL_PLAIN, CTL_TIME, CTL_SECONDS, CTL_ACCESS } form;
};
/* aligned; control characters shown as '?' */
void ctl_table(const json_t *rows, const struct ctl_column *columns, size_t count);
void ctl_log_record(const json_t *record); /* one line: time, what, details */

/* ---- Commands (ctl_commands.c) ---- */
struct ctl_command {
	const char *noun, *verb, *arguments, *help;
	int most; /* words after the verb, at most */
	int least;
	int (*run)(const struct ctl_args *a);
};
extern const struct ctl_command ctl_commands[];
extern const size_t ctl_command_count;

/* "30d", "12h", "90m", "45s", "3600" -> seconds. */
bool ctl_seconds(const char *text, int64_t *out);

/* ctl_commands.c - what mbusctl can do: one function and one row of the table each. */
#include "admin/ctl/ctl.h"

#include <inttypes.h>
#include <stdio.h>

static const struct ctl_column token_columns[] = {
	{ "ID", "id", CTL_PLAIN },
	{ "CID", "cid", CTL_PLAIN },
	{ "INFO", "info", CTL_PLAIN },
	{ "ACCESS", "access", CTL_ACCESS },
	{ "ENABLED", "enabled", CTL_PLAIN },
	{ "TTL", "ttl", CTL_SECONDS },
	{ "EXPIRE", "expire", CTL_TIME },
	{ "ACCESSED", "accessed", CTL_TIME },
	{ "IPS", "ips", CTL_PLAIN },
	{ "CERTS", "certs", CTL_PLAIN },
	{ "CLIENT_IDS", "client_ids", CTL_PLAIN },
};
static const struct ctl_column customer_columns[] = {
	{ "ID", "id", CTL_PLAIN },
	{ "PARENT", "cid", CTL_PLAIN },
	{ "NAME", "name", CTL_PLAIN },
	{ "BLOCKED", "blocked", CTL_PLAIN },
	{ "EXTENSIONS", "flespi_extensions", CTL_PLAIN },
	{ "CREATED", "created", CTL_TIME },
};

bool ctl_seconds(const char *text, int64_t *out)
{
	static const struct {
		char unit;
		int64_t seconds;
	} units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 } };
	struct str digits = str_c(text);
	int64_t factor = 1;
	uint64_t n;

	for (size_t i = 0; digits.n && i < ARRAY_LEN(units); i++) {
		if (digits.p[digits.n - 1] == units[i].unit) {
			factor = units[i].seconds;
			digits.n--;
			break;
		}
	}
	if (!str_to_u64(digits, &n) || n > (uint64_t)(INT64_MAX / 86400))
		return false;
	*out = (int64_t)n * factor;
	return true;
}

/* Prints what came: JSON as it is, or the errors of it, or the rows as a table. */
static int show(const struct ctl_args *a, long status, const json_t *answer,
                const struct ctl_column *columns, size_t count)
{
	const json_t *rows = json_object_get(answer, "result"),
		     *errors = json_object_get(answer, "errors");
	size_t index;
	json_t *e;

	if (a->json) {
		json_dumpf(answer, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
		printf("\n");
	} else {
		json_array_foreach(errors, index, e) fprintf(
		    stderr, "mbusctl: %s\n", json_string_value(json_object_get(e, "reason")));
		if (json_array_size(rows) && columns)
			ctl_table(rows, columns, count);
	}
	if (status >= 400 && !json_array_size(errors) && !a->json)
		fprintf(stderr, "mbusctl: the server answered %ld\n", status);
	return status < 400 && !json_array_size(errors) ? CTL_OK : CTL_REFUSED;
}

/* One call from start to end. Takes body. after: what to print beside the table, may be NULL. */
static int call(const struct ctl_args *a, const char *method, const char *path, json_t *body,
                const struct ctl_column *columns, size_t count, void (*after)(const json_t *answer))
{
	struct ctl_server server;
	json_t *answer = NULL;
	long status = 0;
	int code = CTL_REFUSED;

	if (ctl_server_find(&server, a) == 0) {
		if (ctl_call(&server, method, path, body, &status, &answer) == 0) {
			code = show(a, status, answer, columns, count);
			if (code == CTL_OK && after && !a->json)
				after(answer);
		}
		ctl_server_free(&server);
	}
	json_decref(answer);
	json_decref(body);
	return code;
}

static int usage(const char *what, const char *value)
{
	fprintf(stderr, "mbusctl: %s: %s (see mbusctl --help)\n", what, value);
	return CTL_USAGE;
}

/* A selector goes into the path: everything but the plain characters is percent-encoded, so that it
 * can be nothing else. */
static bool path_of(char *out, size_t size, const char *base, const char *selector)
{
	size_t at = strlen(base);

	if (at + 1 >= size)
		return false;
	memcpy(out, base, at);
	out[at++] = '/';
	for (; *selector; selector++) {
		unsigned char c = (unsigned char)*selector;
		bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
		             (c >= 'A' && c <= 'Z') || strchr("-_.,=", c);

		if (at + 4 >= size)
			return false;
		at += (size_t)snprintf(out + at, size - at, plain ? "%c" : "%%%02X", c);
	}
	out[at] = '\0';
	return true;
}

/* ---- Tokens ---- */

/* "pub:cmd/+", "sub:#", "pubsub:a/#", "REST:logs", "REST:sessions" -> an entry of access.acl, or
 * NULL. */
static json_t *grant_entry(const char *grant)
{
	static const struct {
		const char *word;
		bool publish, subscribe;
	} actions[] = {
		{ "pub:", true, false },       { "sub:", false, true },
		{ "pubsub:", true, true },     { "publish:", true, false },
		{ "subscribe:", false, true }, { "publish,subscribe:", true, true },
	};

	if (strcmp(grant, "REST:logs") == 0)
		return json_pack("{s:s, s:[{s:s, s:[s]}]}", "uri", "mqtt", "submodules", "name",
		                 "logs", "methods", "GET");
	if (strcmp(grant, "REST:sessions") == 0)
		return json_pack("{s:s, s:[s]}", "uri", "mqtt", "methods", "GET");
	for (size_t i = 0; i < ARRAY_LEN(actions); i++) {
		size_t n = strlen(actions[i].word);

		if (strncmp(grant, actions[i].word, n) == 0) {
			json_t *list = json_array();

			if (actions[i].publish)
				json_array_append_new(list, json_string("publish"));
			if (actions[i].subscribe)
				json_array_append_new(list, json_string("subscribe"));
			return json_pack("{s:s, s:s, s:o}", "uri", "mqtt", "topic", grant + n,
			                 "actions", list);
		}
	}
	return NULL;
}

static int token_access(const struct ctl_args *a, json_t *token)
{
	static const char *const types[] = { "standard", "master", "acl" };
	int type = a->grants ? 2 : 0;
	json_t *list;

	if (!a->type && !a->grants)
		return CTL_OK;
	if (a->type) {
		for (type = 0; type < 3 && strcmp(a->type, types[type]) != 0; type++)
			;
		if (type == 3)
			return usage("--type is standard, master or acl, not", a->type);
		if (type != 2 && a->grants)
			return usage("--acl goes with --type acl, not with", a->type);
	}
	if (type != 2) {
		json_object_set_new(token, "access", json_pack("{s:i}", "type", type));
		return CTL_OK;
	}
	list = json_array();
	for (int i = 0; i < a->grants; i++) {
		json_t *entry = grant_entry(a->grant[i]);

		if (!entry) {
			json_decref(list);
			return usage("--acl is pub:FILTER, sub:FILTER, pubsub:FILTER, REST:logs or "
			             "REST:sessions, not",
			             a->grant[i]);
		}
		json_array_append_new(list, entry);
	}
	json_object_set_new(token, "access", json_pack("{s:i, s:o}", "type", 2, "acl", list));
	return CTL_OK;
}

/* One that is empty stands alone: any client id. */
static int token_client_ids(const struct ctl_args *a, json_t *token)
{
	json_t *list = json_array();

	for (int i = 0; i < a->client_ids; i++) {
		if (a->client_id[i][0])
			json_array_append_new(list, json_string(a->client_id[i]));
	}
	if (json_array_size(list) != (size_t)a->client_ids &&
	    (a->client_ids > 1 || a->client_id[0][0])) {
		json_decref(list);
		return usage("--client-id", "each is UTF-8, and an empty one stands alone");
	}
	json_object_set_new(token, "client_ids", list);
	return CTL_OK;
}

static int token_fields(const struct ctl_args *a, json_t *token)
{
	int64_t n;

	if (a->enable && a->disable)
		return usage("--enable and --disable", "only one of them");
	if (a->enable || a->disable)
		json_object_set_new(token, "enabled", json_boolean(a->enable));
	if (a->info)
		json_object_set_new(token, "info", json_string(a->info));
	if (a->ips)
		json_object_set_new(token, "ips", json_string(a->ips));
	if (a->certs)
		json_object_set_new(token, "certs", json_string(a->certs));
	if (a->client_ids && token_client_ids(a, token))
		return CTL_USAGE;
	if (a->ttl) {
		if (!ctl_seconds(a->ttl, &n))
			return usage("--ttl is a time such as 30d, 12h, 45m, not", a->ttl);
		json_object_set_new(token, "ttl", json_integer(n));
	}
	if (a->expire) {
		if (!ctl_seconds(a->expire, &n))
			return usage("--expire is a unix time, not", a->expire);
		json_object_set_new(token, "expire", json_integer(n));
	}
	return token_access(a, token);
}

static void show_key(const json_t *answer)
{
	const json_t *first = json_array_get(json_object_get(answer, "result"), 0);

	printf("\nThe key is shown this once:\n%s\n",
	       json_string_value(json_object_get(first, "key")));
}

static int token_create(const struct ctl_args *a)
{
	json_t *token = json_object();
	int code = token_fields(a, token);

	if (code != CTL_OK) {
		json_decref(token);
		return code;
	}
	if (!a->ttl && !a->expire)
		json_object_set_new(token, "ttl", json_integer(365 * 86400));
	return call(a, "POST", "/platform/tokens", json_pack("[o]", token), token_columns,
	            ARRAY_LEN(token_columns), show_key);
}

static int token_update(const struct ctl_args *a)
{
	json_t *token = json_object();
	int code = token_fields(a, token);
	char path[1024];

	if (code == CTL_OK && json_object_size(token) == 0)
		code = usage("nothing to change: give --acl, --type, --ttl, --expire, --ips, "
		             "--certs, --client-id, --info, --enable or",
		             "--disable");
	if (code == CTL_OK && !path_of(path, sizeof(path), "/platform/tokens", a->word[2]))
		code = usage("the selector is too long", a->word[2]);
	if (code != CTL_OK) {
		json_decref(token);
		return code;
	}
	return call(a, "PUT", path, token, token_columns, ARRAY_LEN(token_columns), NULL);
}

/* GET or DELETE of base/selector; without a word it is `all`. */
static int select_call(const struct ctl_args *a, const char *method, const char *base,
                       const struct ctl_column *columns, size_t count)
{
	char path[1024];

	if (!path_of(path, sizeof(path), base, a->words > 2 ? a->word[2] : "all"))
		return usage("the selector is too long", a->word[2]);
	return call(a, method, path, NULL, columns, count, NULL);
}

static int token_list(const struct ctl_args *a)
{
	return select_call(a, "GET", "/platform/tokens", token_columns, ARRAY_LEN(token_columns));
}

static int token_delete(const struct ctl_args *a)
{
	return select_call(a, "DELETE", "/platform/tokens", NULL, 0);
}

/* ---- Customers ---- */

static int customer_create(const struct ctl_args *a)
{
	json_t *body = json_pack("[{s:s}]", "name", a->word[2]);

	if (!body)
		return usage("the name is not UTF-8", "choose another");
	return call(a, "POST", "/platform/subaccounts", body, customer_columns,
	            ARRAY_LEN(customer_columns), NULL);
}

static int customer_list(const struct ctl_args *a)
{
	return select_call(a, "GET", "/platform/subaccounts", customer_columns,
	                   ARRAY_LEN(customer_columns));
}

static int customer_delete(const struct ctl_args *a)
{
	return select_call(a, "DELETE", "/platform/subaccounts", NULL, 0);
}

/* Without a selector it is the own account. */
static int customer_update(const struct ctl_args *a)
{
	json_t *customer = json_object();
	char path[1024] = "/platform/customer";
	int code = CTL_OK;

	if (a->extensions && strcmp(a->extensions, "on") != 0 && strcmp(a->extensions, "off") != 0)
		code = usage("--flespi-extensions is on or off, not", a->extensions);
	else if (a->extensions)
		json_object_set_new(customer, "flespi_extensions",
		                    json_boolean(strcmp(a->extensions, "on") == 0));
	if (a->enable || a->disable)
		json_object_set_new(customer, "enabled", json_boolean(a->enable));
	if (code == CTL_OK && json_object_size(customer) == 0)
		code =
		    usage("nothing to change: give --flespi-extensions, --enable or", "--disable");
	if (code == CTL_OK && a->words > 2 &&
	    !path_of(path, sizeof(path), "/platform/subaccounts", a->word[2]))
		code = usage("the selector is too long", a->word[2]);
	if (code != CTL_OK) {
		json_decref(customer);
		return code;
	}
	return call(a, "PUT", path, customer, customer_columns, ARRAY_LEN(customer_columns), NULL);
}

static int customer_show(const struct ctl_args *a)
{
	return call(a, "GET", "/platform/customer", NULL, customer_columns,
	            ARRAY_LEN(customer_columns), NULL);
}

/* ---- Log, and who am I ---- */

static void follow_line(void *arg, struct str text)
{
	const struct ctl_args *a = arg;
	json_t *record = NULL;
	char why[128];

	if (a->json) {
		printf("%.*s\n", STR_ARG(text));
		fflush(stdout);
	} else if (json_read(&record, text, 1 << 20, JSON_DEPTH, why, sizeof(why)) == 0) {
		ctl_log_record(record);
	}
	json_decref(record);
}

static int log_follow(const struct ctl_args *a)
{
	struct ctl_server server;
	int err = ctl_server_find(&server, a);

	if (err == 0) {
		err = ctl_follow(&server, "/platform/customer/logs?follow=1", follow_line,
		                 (void *)(uintptr_t)a);
		ctl_server_free(&server);
	}
	return err ? CTL_REFUSED : CTL_OK;
}

static int token_self(const struct ctl_args *a)
{
	return call(a, "GET", "/auth/info", NULL, token_columns, ARRAY_LEN(token_columns), NULL);
}

const struct ctl_command ctl_commands[] = {
	{ "token", "create", "", "make a token; its key is shown once", 0, 0, token_create },
	{ "token", "list", "[SELECTOR]", "tokens, without their keys", 1, 0, token_list },
	{ "token", "update", "SELECTOR",
	  "change what the options name; live sessions follow within 5 s", 1, 1, token_update },
	{ "token", "delete", "SELECTOR", "revoke for good; live sessions end within 5 s", 1, 1,
	  token_delete },
	{ "token", "self", "", "the token this command uses", 0, 0, token_self },
	{ "customer", "create", "NAME", "make a customer (a subaccount of yours)", 1, 1,
	  customer_create },
	{ "customer", "list", "[SELECTOR]", "your subaccounts", 1, 0, customer_list },
	{ "customer", "show", "", "your own account", 0, 0, customer_show },
	{ "customer", "update", "[SELECTOR]",
	  "change what the options name; without SELECTOR your own", 1, 0, customer_update },
	{ "customer", "delete", "SELECTOR", "delete subaccounts with all that is theirs", 1, 1,
	  customer_delete },
	{ "log", "follow", "", "what happens in your account, live, until Ctrl-C", 0, 0,
	  log_follow },
};
const size_t ctl_command_count = ARRAY_LEN(ctl_commands);

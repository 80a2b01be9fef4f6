/* first.c - the first customer (first.h). There are no default credentials (attack M04): somebody
 * who can write our folder starts us once with a file for the key. */
#include "base/base.h"
#include "admin/first.h"

#include <stdio.h>

#include "admin/files.h"
#include "base/log.h"
#include "base/mem.h"

static int say(char *why, size_t why_size, int err)
{
	(void)snprintf(why, why_size, "cannot make the first customer: %s", db_trouble(err));
	return err;
}

static int write_key(const char *path, const char key[TOKEN_KEY])
{
	const char *slash = strrchr(path, '/');
	char dir[4096], line[TOKEN_KEY + 1];
	int err;

	(void)snprintf(dir, sizeof(dir), "%.*s",
	               slash == path ? 1
	               : slash       ? (int)(slash - path)
	                             : 1,
	               slash ? path : ".");
	memcpy(line, key, TOKEN_KEY);
	line[TOKEN_KEY] = '\n';
	err = file_write_private(dir, path, str_make(line, sizeof(line)));
	mem_wipe(line, sizeof(line));
	return err;
}

/* The key is on disk before the commit: a crash in between leaves an empty database and a file that
 * the next start replaces, never a customer whose key nobody has. */
static int make(struct rest *r, char *why, size_t why_size)
{
	json_t *customer = json_pack("{s:s}", "name", r->config->first_customer);
	json_t *token =
	    json_pack("{s:s,s:{s:i}}", "info", "first master token", "access", "type", 1);
	struct customer_row made = { 0 };
	struct token_row row = { 0 };
	char key[TOKEN_KEY];
	bool unknown;
	int err = customer && token ? fields_check(&subaccount_fields, FIELD_CREATE, customer,
	                                           &unknown, why, why_size)
	                            : -E_INVALID;

	if (!err)
		err = customers_create(r->db, 0, customer, &made);
	if (!err)
		err = tokens_create(r->tokens, made.id, token, key, &row, why, why_size);
	if (!err && write_key(r->config->token_out, key)) {
		err = -E_IO;
		(void)snprintf(why, why_size, "cannot write the key to %s", r->config->token_out);
	} else if (err && err != -E_INVALID) {
		(void)say(why, why_size, err);
	}
	if (!err)
		LOG_INFO("", "first-customer", "cid=%llu token=%llu", (unsigned long long)made.id,
		         (unsigned long long)row.id);
	mem_wipe(key, sizeof(key));
	customer_row_free(&made);
	token_row_free(&row);
	json_decref(customer);
	json_decref(token);
	return err;
}

int first_customer(struct rest *r, char *why, size_t why_size)
{
	bool any;
	int err = customers_any(r->db, &any);

	if (err)
		return say(why, why_size, err);
	if (any || !r->config->first_customer) {
		if (!any)
			LOG_WARN("", "no-customer", "hint=%s",
			         "start-once-with-first_customer-and-token_out");
		return 0;
	}
	if (!r->config->token_out) {
		(void)snprintf(why, why_size,
		               "first_customer needs token_out: the file for its master token");
		return -E_INVALID;
	}
	err = db_begin(r->db);
	if (err)
		return say(why, why_size, err);
	(void)snprintf(why, why_size, "first_customer is not a name that can be used");
	err = make(r, why, why_size);
	if (err) {
		db_rollback(r->db);
		return err;
	}
	err = db_commit(r->db);
	return err ? say(why, why_size, err) : 0;
}

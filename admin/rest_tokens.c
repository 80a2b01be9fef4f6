/* rest_tokens.c - /platform/tokens: making, showing, changing and deleting tokens of the acting
 * customer and those below. */
#include "base/base.h"
#include "admin/rest.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/mem.h"

static int create(struct call *c, const json_t *fields, json_t **shown, char *why, size_t why_size)
{
	struct event_who who = call_who(c);
	struct token_row row = { 0 };
	char key[TOKEN_KEY];
	uint64_t count;
	int64_t most;
	json_t *pushed = NULL;
	int err = tokens_count(c->rest->tokens, c->scope, &count);

	if (!err)
		err = rest_limit(c->rest, c->scope, LIMIT_TOKENS,
		                 c->rest->config->tokens_per_customer, &most);
	if (err)
		return err;
	if ((int64_t)count >= most) {
		(void)snprintf(why, why_size, "the customer may have %" PRId64 " tokens", most);
		return -E_DENIED;
	}
	err = tokens_create(c->rest->tokens, c->scope, fields, key, &row, why, why_size);
	if (err)
		return err;
	err = rest_auth_object(c->rest, &row, &pushed);
	if (!err) {
		events_token(&c->events, EVENT_CREATED, NULL, row.object, &who);
		events_push_token(&c->events, row.cid, row.id, pushed);
		/* From here on row.object is the answer; the key is in nothing else. */
		if (json_object_set_new(row.object, "key", json_stringn(key, TOKEN_KEY)))
			err = -E_NOMEM;
	}
	if (!err)
		*shown = json_incref(row.object);
	mem_wipe(key, sizeof(key));
	json_decref(pushed);
	token_row_free(&row);
	return err;
}

static int update(struct call *c, uint64_t id, const json_t *fields, json_t **shown, char *why,
                  size_t why_size)
{
	struct event_who who = call_who(c);
	struct token_row old, row = { 0 };
	json_t *pushed = NULL;
	int err = tokens_get(c->rest->tokens, c->scope, id, &old);

	if (err)
		return err;
	err = tokens_update(c->rest->tokens, &old, fields, &row, why, why_size);
	if (!err)
		err = rest_auth_object(c->rest, &row, &pushed);
	if (!err) {
		events_token(&c->events, EVENT_UPDATED, old.object, row.object, &who);
		events_push_token(&c->events, row.cid, row.id, pushed);
		*shown = json_incref(row.object);
	}
	json_decref(pushed);
	token_row_free(&old);
	token_row_free(&row);
	return err;
}

static int remove_one(struct call *c, uint64_t id)
{
	struct event_who who = call_who(c);
	struct token_row old;
	int err = tokens_get(c->rest->tokens, c->scope, id, &old);

	if (err)
		return err;
	err = tokens_delete(c->rest->tokens, id);
	if (!err) {
		events_token(&c->events, EVENT_DELETED, old.object, NULL, &who);
		events_push_token(&c->events, old.cid, old.id, NULL);
	}
	token_row_free(&old);
	return err;
}

static int show(struct rest *r, uint64_t scope, uint64_t id, uint64_t wanted, struct buf *out)
{
	return tokens_show(r->tokens, scope, id, wanted, out);
}

static const struct item_kind kind = { &token_fields, create, NULL, show, update, remove_one };

void rest_tokens_post(struct call *c)
{
	items_post(c, &kind);
}

void rest_tokens_get(struct call *c)
{
	items_get(c, &kind);
}

void rest_tokens_put(struct call *c)
{
	items_put(c, &kind);
}

void rest_tokens_delete(struct call *c)
{
	items_delete(c, &kind);
}

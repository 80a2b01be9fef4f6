/* admin_help.h - a small world for the tests of admin: a database in a fresh folder with three
 * customers, and calls to the router without a socket. For tests/unit/admin_*.c only.
 *
 *   alpha (1) -- beta (2) -- gamma (3)          beta is below alpha, gamma below beta
 *   omega (4)                                   nobody's relative */
#pragma once
#include <stdio.h>

#include "acl/verdict.h"
#include "admin/first.h"
#include "admin/follow.h"
#include "admin/router.h"
#include "admin/tokens_parts.h"
#include "base/clock.h"
#include "base/crypt.h"
#include "tests/kit/kit.h"

#define UNUSED_FN __attribute__((unused))
#define WHY_ROOM  4600

enum { ALPHA = 1, BETA, GAMMA, OMEGA, CUSTOMERS };

struct world {
	struct admin_config config;
	struct rest rest;
	char dir[300];
	char key[CUSTOMERS][TOKEN_KEY + 1]; /* of a master token each */
	uint64_t id[CUSTOMERS];
	/* the last answer */
	unsigned status;
	char text[65536];
	json_t *body;
	unsigned slices; /* of it, after the first */
	unsigned pieces; /* of a change of many items */
	size_t largest;  /* bytes of one, ever */
	/* what was published: "topic payload\n" */
	struct buf sent;
	unsigned sent_count;
};

static void world_publish(void *arg, struct str topic, struct str payload)
{
	struct world *w = arg;

	buf_str_add(&w->sent, topic);
	buf_str_add(&w->sent, STR(" "));
	buf_str_add(&w->sent, payload);
	buf_str_add(&w->sent, STR("\n"));
	w->sent_count++;
}

static struct admin_config world_config(void)
{
	return (struct admin_config){
		.tokens_per_customer = 50,
		.subaccounts_per_customer = 5,
		.access_bytes = 4096,
		.metadata_bytes = 1024,
		.body_max = 1 << 20,
		.followers_max = 4,
		.followers_per_customer = 2,
		.busy_timeout = 50,
	};
}

static void world_run(struct world *w, const char *sql, int64_t a, int64_t b)
{
	struct db_q q = db_start_text(w->rest.db, sql);

	db_int(&q, a);
	db_int(&q, b);
	IS(db_run(&q), 0);
}

/* The world is as an older version made it: its ids are 1, 2, 3 ... What is made in a test gets ids
 * of today. */
static void world_renumber_customer(struct world *w, uint64_t from, unsigned to)
{
	world_run(w, "UPDATE customer SET id = ?2 WHERE id = ?1", (int64_t)from, to);
	world_run(w, "UPDATE customer_branch SET ancestor = ?2 WHERE ancestor = ?1", (int64_t)from,
	          to);
	world_run(w, "UPDATE customer_branch SET descendant = ?2 WHERE descendant = ?1",
	          (int64_t)from, to);
}

static void world_renumber_token(struct world *w, uint64_t from, unsigned to, const char *key)
{
	uint8_t hash[CRYPT_HASH];
	struct db_q q =
	    db_start(w->rest.db, "UPDATE token SET id = ?, short_hash = ? WHERE id = ?");

	IS(tokens_hash_short(w->rest.tokens, to, str_make(key, TOKEN_SHORT), hash), 0);
	db_int(&q, to);
	db_bytes(&q, hash, sizeof(hash));
	db_int(&q, (int64_t)from);
	IS(db_run(&q), 0);
}

static void world_master(struct world *w, unsigned customer, const json_t *fields)
{
	struct token_row row;
	char why[200];

	IS(tokens_create(w->rest.tokens, customer, fields, w->key[customer], &row, why,
	                 sizeof(why)),
	   0);
	w->key[customer][TOKEN_KEY] = '\0';
	world_renumber_token(w, row.id, customer, w->key[customer]);
	w->id[customer] = customer;
	token_row_free(&row);
}

static UNUSED_FN void world_open(struct world *w)
{
	static const unsigned parent[CUSTOMERS] = { 0, 0, ALPHA, BETA, 0 };
	json_t *name = json_pack("{s:s}", "name", "somebody"),
	       *master = json_pack("{s:{s:i}}", "access", "type", 1);
	char why[WHY_ROOM];

	memset(w, 0, sizeof(*w));
	w->config = world_config();
	w->rest.config = &w->config;
	w->rest.outlet = (struct outlet){ world_publish, w };
	(void)snprintf(w->dir, sizeof(w->dir), "%s/state", temp_dir());
	IS(db_open(&w->rest.db, w->dir, 50, why, sizeof(why)), 0);
	IS(tokens_open(&w->rest.tokens, w->rest.db, w->dir, why, sizeof(why)), 0);
	IS(db_begin(w->rest.db), 0);
	{
		struct db_q q = db_start(w->rest.db, "PRAGMA defer_foreign_keys = ON");

		IS(db_run(&q), 0);
	}
	for (unsigned i = ALPHA; i < CUSTOMERS; i++) {
		struct customer_row row;

		IS(customers_create(w->rest.db, parent[i], name, &row), 0);
		world_renumber_customer(w, row.id, i);
		customer_row_free(&row);
		world_master(w, i, master);
	}
	IS(db_commit(w->rest.db), 0);
	json_decref(name);
	json_decref(master);
}

static UNUSED_FN void world_close(struct world *w)
{
	json_decref(w->body);
	w->body = NULL;
	buf_free(&w->sent);
	tokens_close(&w->rest.tokens);
	db_close(&w->rest.db);
	calls_free(&w->rest.calls);
	rights_free(&w->rest.rights);
}

static UNUSED_FN const char *world_sent(struct world *w) /* as text */
{
	buf_u8(&w->sent, 0);
	w->sent.tail--;
	return (const char *)buf_data(&w->sent);
}

struct ask {
	enum http_method method;
	const char *path; /* may end with ?a=b&c=d */
	const char *key, *cid, *body, *type, *origin;
	const char *peer;
};

static void ask_args(struct http_req *req, const char *path)
{
	const char *mark = strchr(path, '?');

	req->path = mark ? str_make(path, (size_t)(mark - path)) : str_c(path);
	while (mark && *++mark) {
		const char *end = strchr(mark, '&');

		req->args[req->arg_count++] =
		    end ? str_make(mark, (size_t)(end - mark)) : str_c(mark);
		mark = end;
	}
}

/* A change of many items, in the turns that http.c would give it. */
static void world_do_pieces(struct world *w, struct http_resp *resp)
{
	struct http_work *work = resp->work;

	resp->work = NULL; /* as http.c does */
	w->pieces = work != NULL;
	while (work && work->some(work, resp))
		w->pieces++;
}

/* What comes after the first bytes of an answer. */
static void world_take_slices(struct world *w, struct http_resp *resp)
{
	enum http_next next = HTTP_MORE;

	w->slices = 0;
	if (!resp->slices)
		return;
	while (next == HTTP_MORE) {
		size_t before = buf_len(&resp->body);

		next = resp->slices->next(resp->slices, &resp->body);
		w->slices++;
		w->largest = size_max(w->largest, buf_len(&resp->body) - before);
	}
	IS(next, HTTP_LAST);
	resp->slices->done(resp->slices);
}

/* One call, as http.c would make it; the answer is in w->status, w->text, w->body. */
static UNUSED_FN unsigned world_ask(struct world *w, struct ask a)
{
	struct http_req req = { .method = a.method, .peer = str_c(a.peer ? a.peer : "127.0.0.1") };
	struct http_resp resp = { 0 };
	char why[100];

	ask_args(&req, a.path);
	req.authorization = str_c(a.key);
	req.has_authorization = a.key != NULL;
	req.cid = str_c(a.cid);
	req.has_cid = a.cid != NULL;
	req.origin = str_c(a.origin);
	req.preflight = a.method == HTTP_OPTIONS && a.origin;
	req.body = str_c(a.body);
	req.content_type = str_c(a.type ? a.type : "application/json");
	router_handle(&w->rest, &req, &resp);
	world_do_pieces(w, &resp);
	world_take_slices(w, &resp);
	json_decref(w->body);
	w->body = NULL;
	w->status = resp.status;
	(void)snprintf(w->text, sizeof(w->text), "%.*s", STR_ARG(buf_str(&resp.body)));
	if (buf_len(&resp.body) && !resp.stream)
		IS(json_read(&w->body, buf_str(&resp.body), 1 << 24, 32, why, sizeof(why)), 0);
	buf_free(&resp.body);
	if (resp.stream)
		resp.stream->closed(resp.stream);
	return w->status;
}

/* ASK(&w, HTTP_PUT, "/platform/customer", key, .body = "{}") */
#define ASK(w, m, p, k, ...) \
	world_ask(w, (struct ask){ .method = m, .path = p, .key = k __VA_OPT__(, ) __VA_ARGS__ })

static UNUSED_FN const json_t *world_item(const struct world *w, size_t i)
{
	return json_array_get(json_object_get(w->body, "result"), i);
}

static UNUSED_FN size_t world_items(const struct world *w)
{
	return json_array_size(json_object_get(w->body, "result"));
}

static UNUSED_FN int64_t world_number(const struct world *w, size_t i, const char *name)
{
	return (int64_t)json_integer_value(json_object_get(world_item(w, i), name));
}

static UNUSED_FN const char *world_string(const struct world *w, size_t i, const char *name)
{
	const char *s = json_string_value(json_object_get(world_item(w, i), name));

	return s ? s : "";
}

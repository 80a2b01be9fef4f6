/* rest_list.c - the answer to GET of many items (rest.h). Which items they are is decided at once;
 * they are read while the answer is written, a slice whenever the reader has taken the last one. So
 * a list takes little memory however long it is, and other callers are served in between. An answer
 * that is whole with its first slice is like any other. */
#include "base/base.h"
#include "admin/rest.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"

enum { SLICE_BYTES = 32768, SLICE_ITEMS = 64 };

struct listing {
	struct http_slices slices;
	struct call call; /* of it: rest, scope, results, errors, pages */
	const struct item_kind *kind;
	uint64_t wanted;
	size_t count, at;
	uint64_t ids[];
};

static int show_one(struct listing *l, uint64_t id, struct buf *out)
{
	struct call *c = &l->call;
	size_t before = buf_len(out);
	int err;

	if (c->results)
		buf_str_add(out, STR(","));
	err = l->kind->show(c->rest, c->scope, id, l->wanted, out);
	if (!err) {
		c->results++;
		return 0;
	}
	buf_cut(out, before);
	if (err != -E_NOTFOUND)
		return err;
	call_fail(c, REST_NOT_FOUND, id, "no such %s", l->kind->fields->item);
	return 0;
}

static int show_slice(struct listing *l, struct buf *out)
{
	size_t until = buf_len(out) + SLICE_BYTES;
	int err = 0;

	for (unsigned n = 0; !err && n < SLICE_ITEMS && l->at < l->count && buf_len(out) < until;
	     n++) {
		err = show_one(l, l->ids[l->at++], out);
		thread_give_way();
	}
	return err;
}

static enum http_next next(struct http_slices *s, struct buf *body)
{
	struct listing *l = container_of(s, struct listing, slices);
	int err = show_slice(l, body);

	if (err) {
		LOG_WARN("", "answer-cut", "why=%s", log_esc(str_c(db_trouble(err))));
		return HTTP_BROKEN;
	}
	if (l->at < l->count)
		return HTTP_MORE;
	call_end(&l->call, body);
	return HTTP_LAST;
}

static void done(struct http_slices *s)
{
	struct listing *l = container_of(s, struct listing, slices);

	call_drop(&l->call);
	mem_free(l);
}

static struct listing *listing_new(const struct call *c, const struct item_kind *kind,
                                   const struct selection *chosen, struct str fields)
{
	struct listing *l = mem_zalloc(sizeof(*l) + chosen->count * sizeof(l->ids[0]));

	if (!l)
		return NULL;
	l->slices = (struct http_slices){ next, done };
	l->call = (struct call){ .rest = c->rest,
		                 .scope = c->scope,
		                 .paged = c->paged,
		                 .limit = c->limit,
		                 .offset = c->offset,
		                 .total = c->total };
	l->kind = kind;
	l->wanted = fields_wanted(kind->fields, fields);
	l->count = chosen->count;
	memcpy(l->ids, chosen->ids, chosen->count * sizeof(l->ids[0]));
	return l;
}

/* Whole already: the answer of the call itself. */
static void give_back(struct call *c, struct listing *l, struct buf *shown)
{
	c->results = l->call.results;
	c->result = *shown;
	c->errors = l->call.errors;
	c->error_count = l->call.error_count;
	c->status = l->call.status;
	l->call.errors = *shown = (struct buf){ 0 };
}

void items_list(struct call *c, const struct item_kind *kind, const struct selection *chosen,
                struct str fields)
{
	struct listing *l = listing_new(c, kind, chosen, fields);
	struct buf shown = { 0 };
	int err = l ? 0 : -E_NOMEM;

	/* The status needs a first result, or the end: what is not there is found missing quickly.
	 */
	do {
		if (!err)
			err = show_slice(l, &shown);
	} while (!err && l->at < l->count && l->call.results == 0);
	if (err) {
		c->paged = false;
		call_fail_store(c, err);
	} else if (l->at == l->count) {
		give_back(c, l, &shown);
	} else {
		c->resp->status = 200;
		buf_str_add(&c->resp->body, STR("{\"result\":["));
		buf_str_add(&c->resp->body, buf_str(&shown));
		c->resp->slices = &l->slices;
		l = NULL;
	}
	if (l)
		done(&l->slices);
	buf_free(&shown);
}

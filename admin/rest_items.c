/* rest_items.c - the four verbs over any kind of item (rest.h). A change of few items is one
 * transaction: what cannot be changed by itself (not there, bad for this one) is told in `errors`,
 * what the database refuses undoes all. A change of many is one after the other of such, so that
 * other callers are served in between; what the database refuses ends it, and the answer tells how
 * many were changed before. */
#include "base/base.h"
#include "admin/rest.h"

#include <stdio.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "base/thread.h"

/* CHANGE_TOGETHER: items that are changed in one transaction, and one turn. CHANGES_MOST: changes
 * of more, of one customer, that are under way */
enum { WHY = 300, CHANGE_TOGETHER = 16, CHANGES_MOST = 4 };

/* ---- Reading what was asked ---- */
static bool read_number(struct call *c, struct str name, uint64_t most, uint64_t *out)
{
	struct str text;

	if (!call_arg(c, name, &text))
		return true;
	if (str_to_u64(text, out) && *out <= most)
		return true;
	call_fail(c, REST_BAD_REQUEST, 0, "%.*s must be a whole number up to %llu", STR_ARG(name),
	          (unsigned long long)most);
	return false;
}

static bool read_fields_arg(struct call *c, const struct item_kind *kind)
{
	char why[WHY];
	struct str list;

	if (!call_arg(c, STR("fields"), &list) ||
	    !fields_list_check(kind->fields, list, why, sizeof(why)))
		return true;
	call_fail(c, REST_BAD_REQUEST, 0, "%s", why);
	call_hint(c, fields_hint(kind->fields, 0));
	return false;
}

/* The items meant; NULL: the answer says why not. mem_free it. */
static struct selection *choose(struct call *c, const struct item_kind *kind, uint64_t limit,
                                uint64_t offset)
{
	struct selector *s = mem_zalloc(sizeof(*s));
	struct selection *chosen = mem_zalloc(sizeof(*chosen));
	char why[WHY];
	int err = -E_NOMEM;

	if (!s || !chosen)
		goto fail;
	err = select_read(s, kind->fields, c->selector, why, sizeof(why));
	if (!err)
		err = select_run(c->rest->db, kind->fields, s, c->scope, limit, offset, chosen);
	if (err)
		goto fail;
	if (chosen->total == 0 && s->kind != SELECT_ALL) {
		call_fail(c, REST_NOT_FOUND, 0, "no %s matches", kind->fields->item);
		mem_free(chosen);
		chosen = NULL;
	}
	mem_free(s);
	return chosen;
fail:
	if (err == -E_INVALID)
		call_fail(c, REST_BAD_REQUEST, 0, "%s", why);
	else
		call_fail_store(c, err);
	mem_free(s);
	mem_free(chosen);
	return NULL;
}

/* Changes reach at most SELECT_MAX items: half of them changed in silence would be worse than none.
 */
static struct selection *choose_all(struct call *c, const struct item_kind *kind)
{
	struct selection *chosen = choose(c, kind, SELECT_MAX, 0);

	if (chosen && chosen->total > SELECT_MAX) {
		call_fail(c, REST_BAD_REQUEST, 0,
		          "the selector matches %llu, one call changes at most %d: narrow it",
		          (unsigned long long)chosen->total, SELECT_MAX);
		mem_free(chosen);
		chosen = NULL;
	}
	return chosen;
}

int items_settle(const struct call *c, json_t *fields, char *why, size_t why_size)
{
	const struct {
		const char *name;
		int64_t most;
	} rules[] = { { "access", c->rest->config->access_bytes },
		      { "metadata", c->rest->config->metadata_bytes } };
	int err = 0;

	for (size_t i = 0; !err && i < ARRAY_LEN(rules); i++) {
		const json_t *v = json_object_get(fields, rules[i].name);
		struct buf text = { 0 };

		if (!v)
			continue;
		err = json_write(&text, v);
		if (!err && buf_len(&text) > (size_t)rules[i].most) {
			(void)snprintf(why, why_size, "%s is larger than %lld bytes", rules[i].name,
			               (long long)rules[i].most);
			err = -E_INVALID;
		}
		if (!err && json_object_set_new(fields, rules[i].name, json_raw(buf_str(&text))))
			err = -E_NOMEM;
		buf_free(&text);
	}
	return err;
}

static bool check_object(struct call *c, const struct item_kind *kind, unsigned writing,
                         json_t *object, long at)
{
	char why[WHY], where[32] = "";
	bool unknown = false;
	int err = fields_check(kind->fields, writing, object, &unknown, why, sizeof(why));

	thread_give_way();
	if (!err)
		err = items_settle(c, object, why, sizeof(why));
	thread_give_way();
	if (!err)
		return true;
	if (at >= 0)
		(void)snprintf(where, sizeof(where), "item %ld: ", at + 1);
	if (err == -E_INVALID)
		call_fail(c, REST_BAD_REQUEST, 0, "%s%s", where, why);
	else
		call_fail_store(c, err);
	if (unknown)
		call_hint(c, fields_hint(kind->fields, writing));
	return false;
}

/* ---- The end of a change ---- */
/* What one item's change said; false: the whole call ends, undone. */
static bool settle(struct call *c, const struct item_kind *kind, uint64_t id, int err,
                   json_t *shown, const char *why)
{
	thread_give_way();
	if (err)
		json_decref(shown);
	switch (err) {
	case 0:
		if (c->events.lost) { /* what cannot be told is not done */
			json_decref(shown);
			call_drop(c);
			call_fail_store(c, -E_NOMEM);
			return false;
		}
		if (events_size(&c->events) <= REST_EVENTS_MAX)
			return call_add(c, shown);
		json_decref(shown);
		call_drop(c);
		call_fail(c, REST_BAD_REQUEST, 0,
		          "this changes too much in one call: narrow the selector");
		return false;
	case -E_NOTFOUND:
		call_fail(c, REST_NOT_FOUND, id, "no such %s", kind->fields->item);
		return true;
	case -E_INVALID:
		call_fail(c, REST_BAD_REQUEST, id, "%s", why);
		return true;
	case -E_DENIED:
		call_fail(c, REST_OVER_LIMIT, id, "%s", why);
		return true;
	default:
		call_drop(c);
		call_fail_store(c, err);
		return false;
	}
}

static bool begin(struct call *c)
{
	int err = db_begin(c->rest->db);

	if (err)
		call_fail_store(c, err);
	return !err;
}

/* Committed first, told afterwards: nobody hears of what did not happen. */
static bool finish(struct call *c, bool good)
{
	int err;

	if (!good) {
		db_rollback(c->rest->db);
		return false;
	}
	err = db_commit(c->rest->db);
	if (!err) {
		events_send(&c->events, &c->rest->outlet);
		return true;
	}
	call_drop(c);
	call_fail_store(c, err);
	return false;
}

/* ---- The verbs ---- */
void items_post(struct call *c, const struct item_kind *kind)
{
	size_t count = json_array_size(c->body);
	bool good = true;

	if (!json_is_array(c->body) || count == 0 || count > REST_POST_MAX) {
		call_fail(c, REST_BAD_REQUEST, 0, "the body must be an array of 1 to %d objects",
		          REST_POST_MAX);
		return;
	}
	if (!read_fields_arg(c, kind))
		return;
	for (size_t i = 0; i < count; i++) {
		if (!check_object(c, kind, FIELD_CREATE, json_array_get(c->body, i), (long)i))
			return;
	}
	if (!begin(c))
		return;
	for (size_t i = 0; good && i < count; i++) {
		char why[WHY] = "";
		json_t *shown = NULL;
		int err = kind->create(c, json_array_get(c->body, i), &shown, why, sizeof(why));

		good = settle(c, kind, 0, err, shown, why);
	}
	if (good &&
	    c->error_count) { /* all that were sent, or none: a half-made batch is hard to repair */
		call_drop_results(c);
		good = false;
	}
	(void)finish(c, good);
}

void items_get(struct call *c, const struct item_kind *kind)
{
	uint64_t limit = SELECT_MAX, offset = 0;
	struct selection *chosen;
	struct str fields = STR("");

	if (!read_fields_arg(c, kind) || !read_number(c, STR("limit"), SELECT_MAX, &limit) ||
	    !read_number(c, STR("offset"), UINT32_MAX, &offset))
		return;
	chosen = choose(c, kind, limit, offset);
	if (!chosen)
		return;
	if (chosen->total > chosen->count || call_arg(c, STR("limit"), &(struct str){ 0 })) {
		c->paged = true;
		c->limit = limit;
		c->offset = offset;
		c->total = chosen->total;
	}
	(void)call_arg(c, STR("fields"), &fields);
	items_list(c, kind, chosen, fields);
	mem_free(chosen);
}

/* body NULL: it is removed. */
static bool change_one(struct call *c, const struct item_kind *kind, uint64_t id,
                       const json_t *body)
{
	char why[WHY] = "";
	json_t *shown = NULL;
	int err = body ? kind->update(c, id, body, &shown, why, sizeof(why)) : kind->remove(c, id);

	if (!err && !body) {
		shown = json_pack("{s:I}", "id", (json_int_t)id);
		err = shown ? 0 : -E_NOMEM;
	}
	return settle(c, kind, id, err, shown, why);
}

/* One transaction. False: it was undone, the answer says why. */
static bool change_some(struct call *c, const struct item_kind *kind, const uint64_t *ids,
                        size_t count, const json_t *body)
{
	bool good = begin(c);

	if (!good)
		return false;
	for (size_t i = 0; good && i < count; i++)
		good = change_one(c, kind, ids[i], body);
	return finish(c, good);
}

/* ---- A change of many ---- */
struct changing {
	struct http_work work;
	struct list node; /* rest->changing */
	struct call call;
	struct http_req req; /* what the call needs of it; its strings lie in `strings` */
	struct buf strings;
	const struct item_kind *kind;
	size_t count, at;
	uint64_t ids[];
};

static void changing_free(struct changing *x)
{
	list_del(&x->node);
	call_drop(&x->call);
	json_decref(x->call.body);
	buf_free(&x->strings);
	mem_free(x);
}

/* As much as fits into a turn; the last one answers. */
static bool go_on(struct http_work *w, struct http_resp *resp)
{
	struct changing *x = container_of(w, struct changing, work);
	size_t n = size_min(CHANGE_TOGETHER, x->count - x->at);
	bool good = change_some(&x->call, x->kind, x->ids + x->at, n, x->call.body);

	if (!good && x->at)
		call_fail(&x->call, REST_STORE, 0, "%zu of %zu were changed before that", x->at,
		          x->count);
	x->at += n;
	if (!resp)
		call_drop(&x->call); /* nobody hears of it */
	if (good && x->at < x->count)
		return true;
	if (resp) {
		x->call.resp = resp;
		call_finish(&x->call);
		x->call.body = NULL;
	}
	changing_free(x);
	return false;
}

static struct str keep(struct buf *strings, struct str s)
{
	size_t at = buf_len(strings);

	buf_str_add(strings, s); /* room was reserved: it does not move */
	return str_make(buf_data(strings) + at, s.n);
}

static struct changing *changing_new(const struct call *c, const struct item_kind *kind,
                                     const struct selection *chosen)
{
	struct changing *x = mem_zalloc(sizeof(*x) + chosen->count * sizeof(x->ids[0]));
	struct str fields = STR("");
	bool some = call_arg(c, STR("fields"), &fields);

	if (!x)
		return NULL;
	if (!buf_reserve(&x->strings, c->req->peer.n + c->req->app.n + fields.n + 16)) {
		mem_free(x);
		return NULL;
	}
	x->work.some = go_on;
	list_init(&x->work.orphan);
	x->req.peer = keep(&x->strings, c->req->peer);
	x->req.app = keep(&x->strings, c->req->app);
	if (some) {
		size_t at = buf_len(&x->strings);

		buf_str_add(&x->strings, STR("fields="));
		buf_str_add(&x->strings, fields);
		x->req.args[x->req.arg_count++] = str_skip(buf_str(&x->strings), at);
	}
	x->call = (struct call){ .rest = c->rest, .req = &x->req, .scope = c->scope };
	x->call.caller.id = c->caller.id;
	x->call.caller.cid = c->caller.cid;
	x->call.body = json_incref(c->body);
	list_add_tail(&c->rest->changing, &x->node);
	x->kind = kind;
	x->count = chosen->count;
	memcpy(x->ids, chosen->ids, chosen->count * sizeof(x->ids[0]));
	return x;
}

/* They go on when their connections go, so there must be an end to them. */
static bool too_many(const struct call *c)
{
	struct changing *x;
	unsigned n = 0;

	if (!c->rest->changing.next) /* the first one ever */
		list_init(&c->rest->changing);
	list_each(x, &c->rest->changing, struct changing, node)
		n += x->call.caller.cid == c->caller.cid;
	return n >= CHANGES_MOST;
}

/* c->body NULL: they are removed. */
static void change_chosen(struct call *c, const struct item_kind *kind,
                          const struct selection *chosen)
{
	struct changing *x;

	if (chosen->count <= CHANGE_TOGETHER) {
		(void)change_some(c, kind, chosen->ids, chosen->count, c->body);
		return;
	}
	if (too_many(c)) {
		call_fail(c, REST_TOO_MANY, 0,
		          "%d changes of many items of this account are under way", CHANGES_MOST);
		return;
	}
	x = changing_new(c, kind, chosen);
	if (x)
		c->resp->work = &x->work;
	else
		call_fail_store(c, -E_NOMEM);
}

void items_put(struct call *c, const struct item_kind *kind)
{
	struct selection *chosen;

	if (!read_fields_arg(c, kind) || !check_object(c, kind, FIELD_UPDATE, c->body, -1))
		return;
	chosen = choose_all(c, kind);
	if (chosen)
		change_chosen(c, kind, chosen);
	mem_free(chosen);
}

void items_put_one(struct call *c, const struct item_kind *kind, uint64_t id)
{
	if (read_fields_arg(c, kind) && check_object(c, kind, FIELD_UPDATE, c->body, -1))
		(void)change_some(c, kind, &id, 1, c->body);
}

void items_get_one(struct call *c, const struct item_kind *kind, uint64_t id)
{
	json_t *shown = NULL;

	if (read_fields_arg(c, kind)) {
		int err = kind->read(c, id, &shown);

		(void)settle(c, kind, id, err, shown, "");
	}
}

void items_delete(struct call *c, const struct item_kind *kind)
{
	struct selection *chosen = choose_all(c, kind);

	if (chosen)
		change_chosen(c, kind, chosen);
	mem_free(chosen);
}

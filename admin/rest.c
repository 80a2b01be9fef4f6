/* rest.c - the answer of a call, put together piece by piece (rest.h). Items become text at once: a
 * thousand of them as trees would take many times the memory. */
#include "base/base.h"
#include "admin/rest.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"

static unsigned status_of(enum rest_error error)
{
	switch (error) {
#define E(name, number, status) \
	case REST_##name: \
		return status;
		REST_ERRORS(E)
#undef E
	}
	return 500;
}

static void add_error(struct call *c, enum rest_error error, uint64_t id, uint64_t cid,
                      const char *reason, bool blocked)
{
	json_t *text = json_string(reason); /* escapes; NULL for what is not UTF-8 */
	size_t before = buf_len(&c->errors);

	buf_printf(&c->errors, "%s{\"code\":%d,\"reason\":", c->error_count ? "," : "", (int)error);
	if (!text || json_write(&c->errors, text))
		buf_str_add(&c->errors, STR("\"\""));
	if (id)
		buf_printf(&c->errors, ",\"id\":%" PRIu64, id);
	if (cid)
		buf_printf(&c->errors, ",\"cid\":%" PRIu64, cid);
	buf_str_add(&c->errors, blocked ? STR(",\"blocked\":true}") : STR("}"));
	json_decref(text);
	if (!c->status)
		c->status = status_of(error);
	if (buf_ok(&c->errors))
		c->error_count++;
	else
		buf_cut(&c->errors, before);
}

void call_fail(struct call *c, enum rest_error error, uint64_t id, const char *format, ...)
{
	char reason[400];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(reason, sizeof(reason), format, args);
	va_end(args);
	add_error(c, error, id, 0, reason, false);
}

void call_fail_caller(struct call *c, enum rest_error error, const char *reason, bool blocked)
{
	add_error(c, error, c->caller.id, c->caller.cid, reason, blocked);
}

void call_fail_store(struct call *c, int err)
{
	call_fail(c, err == -E_NOMEM ? REST_INTERNAL : REST_STORE, 0, "%s", db_trouble(err));
}

void call_hint(struct call *c, json_t *names)
{
	json_decref(c->hint);
	c->hint = names;
}

bool call_arg(const struct call *c, struct str name, struct str *value)
{
	for (size_t i = 0; i < c->req->arg_count; i++) {
		struct str arg = c->req->args[i];

		if (!str_starts(arg, name) || arg.n == name.n || arg.p[name.n] != '=')
			continue;
		*value = str_skip(arg, name.n + 1);
		return true;
	}
	return false;
}

bool call_add(struct call *c, json_t *item)
{
	struct str list;
	int err;

	if (call_arg(c, STR("fields"), &list))
		fields_keep(item, list);
	if (c->results)
		buf_str_add(&c->result, STR(","));
	err = json_write(&c->result, item);
	json_decref(item);
	if (err || buf_len(&c->result) > REST_ANSWER_MAX) {
		call_drop(c);
		call_fail(c, err ? REST_INTERNAL : REST_BAD_REQUEST, 0, "%s",
		          err ? "out of memory"
		              : "the answer would be too large: ask for fewer fields or items");
		return false;
	}
	c->results++;
	return true;
}

void call_drop_results(struct call *c)
{
	if (c->result.p)
		mem_wipe(c->result.p, c->result.cap); /* may hold new keys */
	buf_free(&c->result);
	events_free(&c->events);
	c->results = 0;
	c->paged = false;
}

void call_drop(struct call *c)
{
	call_drop_results(c);
	buf_free(&c->errors);
	c->error_count = c->status = 0;
}

struct event_who call_who(const struct call *c)
{
	return (
	    struct event_who){ .token = c->caller.id, .host = c->req->peer, .app = c->req->app };
}

static void write_tail(struct call *c, struct buf *out)
{
	if (c->paged)
		buf_printf(out,
		           ",\"pagination\":{\"limit\":%" PRIu64 ",\"offset\":%" PRIu64
		           ",\"count\":%" PRIu64 "}",
		           c->limit, c->offset, c->total);
	if (c->hint) {
		buf_str_add(out, STR(",\"schema_hint\":"));
		if (json_write(out, c->hint))
			buf_str_add(out, STR("null"));
	}
	buf_str_add(out, STR("}"));
}

static void write_errors(struct call *c, struct buf *out)
{
	if (!c->error_count)
		return;
	buf_str_add(out, STR("\"errors\":["));
	buf_str_add(out, buf_str(&c->errors));
	buf_str_add(out, STR("]"));
}

void call_end(struct call *c, struct buf *out)
{
	buf_str_add(out, c->error_count ? STR("],") : STR("]"));
	write_errors(c, out);
	write_tail(c, out);
}

static void write_answer(struct call *c, struct buf *out)
{
	if (c->results || !c->error_count) {
		c->resp->status = 200;
		buf_str_add(out, STR("{\"result\":["));
		buf_str_add(out, buf_str(&c->result));
		call_end(c, out);
	} else {
		c->resp->status = c->status;
		buf_str_add(out, STR("{"));
		write_errors(c, out);
		write_tail(c, out);
	}
}

void call_finish(struct call *c)
{
	if (!c->resp->stream && !c->resp->work && c->resp->status == 0)
		write_answer(c, &c->resp->body);
	c->resp->cid = c->caller.cid;
	c->resp->token = c->caller.id;
	call_drop(c);
	json_decref(c->hint);
	json_decref(c->body);
	token_row_free(&c->caller);
}

/* rights.c - the tokens of this worker (badge.h) and what happens when one changes: the promise
 * that within 5 s the last forbidden delivery has happened begins to be kept here. From the turn of
 * the notice on both gates judge under the new rights; the core learns the new sets of filters
 * (REGRANT), drops a Will that may not be said any more, and (worker 0, for all) what waits of the
 * token elsewhere (RIGHTS). */
#include "base/base.h"
#include "proxy/badge.h"

#include <inttypes.h>

#include "base/log.h"
#include "base/mem.h"
#include "proxy/admit.h"
#include "proxy/conn.h"
#include "proxy/gate.h"
#include "proxy/greet.h"
#include "proxy/uplink.h"
#include "proxy/worker.h"

enum { TOLD_MS = 1000 };

static uint64_t hash_of(const struct token *token)
{
	return hash_mix((uint64_t)(uintptr_t)token, 0);
}

static struct badge *find(const struct worker *w, const struct token *token)
{
	for (struct map_node *n = map_first(&w->badges, hash_of(token)); n; n = map_next(n)) {
		struct badge *b = container_of(n, struct badge, node);

		if (b->token == token)
			return b;
	}
	return NULL;
}

/* ---- Change ---- */

void rights_changed(struct conn *c)
{
	struct str will = str_make(c->will_topic, c->will_topic_size);

	if (!c->channel || !uplink_up(c->link))
		return;
	if (will.n && gate_publish(c->worker, c->badge, will)) { /* attack C02 */
		LOG_INFO(conn_name(c), "will-dropped", "topic=%s", log_esc(will));
		link_bare_write(uplink_say(c), LINK_WILL_DROP, c->channel, c->generation);
		mem_free(c->will_topic);
		c->will_topic = NULL;
		c->will_topic_size = 0;
	}
	if (c->state == CONN_OPEN && filters_count(&c->filters))
		/* in OPENING it is done when OPENED comes */
		share_regrant(c);
}

static bool extended(const struct worker *w, const struct token_info *info)
{
	return w->config->flespi_extensions == EXTENSIONS_ON ||
	       (w->config->flespi_extensions == EXTENSIONS_CUSTOMER && info->flespi_extensions);
}

/* The rights, and how filters are read, as they are from now on. */
static void change(struct badge *b, struct acl *acl, bool extends)
{
	struct acl *old = b->acl;
	bool same = b->extended == extends && (acl == old || acl_same(acl, old));
	struct conn *c;

	b->extended = extends;
	b->acl = acl_get(acl);
	acl_put(&old);
	b->memo_serial = 0;
	if (same)
		return;
	list_each(c, &b->conns, struct conn, badge_node)
		rights_changed(c);
}

/* ---- Quotas ---- */

static int quotas_change(struct worker *w, struct badge *b, const struct limits *told)
{
	struct limits *copy;

	if (limits_copy(&copy, told))
		return -E_NOMEM;
	limits_free(&b->told);
	b->told = copy;
	quotas_work_out(&b->quotas, w->config, copy);
	return 0;
}

/* What counts for a live connection; what CONNACK announced stays as it is. */
static void quotas_tell_all(struct badge *b)
{
	struct conn *c;

	list_each(c, &b->conns, struct conn, badge_node) {
		opened_rates(c);
		if (c->channel && uplink_up(c->link))
			opened_tell_token(c);
	}
}

static void quotas_changed(struct worker *w, struct badge *b, const struct limits *told)
{
	if (quotas_change(w, b, told))
		LOG_ERROR("", "quotas-kept", "cid=%" PRIu64 " token=%" PRIu64 " why=memory",
		          b->customer, b->id); /* they are no rights: the old ones hold */
	else
		quotas_tell_all(b);
}

static void end_one(struct conn *c, enum conn_end end, unsigned reason, const char *say)
{
	c->worker->n.revoked++;
	if (c->state == CONN_OPEN)
		conn_close_with(c, end, conn_end_row(end)->reason, say);
	else
		greet_refuse(c, reason, say);
}

/* An endpoint that was silent for too long is no proof against the token, but fails closed too; the
 * client may try again later. */
static void end_revoked(struct conn *c)
{
	unsigned reason = c->badge->ended;

	end_one(c, reason == RC_SERVER_UNAVAILABLE ? END_UNSURE : END_REVOKED, reason, NULL);
}

bool badge_end(struct conn *c)
{
	if (!c->badge || !c->badge->ended)
		return false;
	end_revoked(c);
	return true;
}

/* From now on both gates let nothing pass; the connections end in slices, for they may be many. A
 * client that comes with this token later, when it is worth something again, gets another badge. */
static void end_all(struct badge *b, struct worker *w, unsigned reason)
{
	struct conn *c;

	b->ended = (uint8_t)(reason ? reason : RC_NOT_AUTHORIZED);
	map_del(&w->badges, &b->node);
	list_each(c, &b->conns, struct conn, badge_node)
		share_end(c);
}

/* ---- A client that could not come in any more from where it is, or under its id, is not left in.
 * That is judged in its customer's turns: there may be many, and each mask costs time. ---- */

static uint64_t place_of(const struct token_info *info)
{
	const struct str words[] = { str_c(info->ips), str_c(info->certs),
		                     str_c(info->client_ids) };
	uint64_t hash = 0;

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		hash = hash_mix(hash, hash_bytes(words[i].n ? words[i].p : "", words[i].n));
	return hash;
}

static void place_changed(struct badge *b, const struct token_info *info)
{
	uint64_t place = place_of(info);
	struct conn *c;

	if (b->place == place)
		return;
	b->place = place;
	list_each(c, &b->conns, struct conn, badge_node)
		share_judge(c);
}

void rights_judge(struct conn *c)
{
	const struct verdict *v = c->badge ? auth_verdict(c->badge->token) : NULL;
	const char *say;

	if (!v || v->reason || c->state == CONN_CLOSING)
		return; /* all of them end then */
	say = admit_still(c, &v->info);
	if (say)
		end_one(c, END_REVOKED, RC_NOT_AUTHORIZED, say);
}

/* ---- Badges ---- */

static struct badge *make(struct worker *w, struct token *token, const struct verdict *v)
{
	struct badge *b = mem_zalloc(sizeof(*b));

	if (!b)
		return NULL;
	if (quotas_change(w, b, v->info.limits) || map_add(&w->badges, &b->node, hash_of(token))) {
		limits_free(&b->told);
		mem_free(b);
		return NULL;
	}
	b->token = token;
	b->place = place_of(&v->info);
	b->acl = acl_get(v->info.acl);
	b->customer = v->info.customer;
	b->id = v->info.id;
	b->extended = extended(w, &v->info);
	space_make(&b->space, b->customer);
	list_init(&b->conns);
	return b;
}

/* The records of this second are remembered over a badge's end. */
static void events_keep(struct worker *w, const struct badge *b)
{
	struct event_past *p = event_past(w->past, b->customer, b->id, loop_now(w->loop) / 1000);

	if (p)
		p->rate = b->events;
}

static void events_recall(struct worker *w, struct badge *b)
{
	const struct event_past *p = event_past(w->past, b->customer, b->id, 0);

	if (p)
		b->events = p->rate;
}

int badge_take(struct worker *w, struct conn *c, struct token *token, const struct verdict *v)
{
	struct badge *b = find(w, token);

	if (share_enter(c, v->info.customer)) {
		auth_token_put(&token);
		return -E_NOMEM;
	}
	if (b) {
		auth_token_put(&token);
		if (b->acl != v->info.acl || b->extended != extended(w, &v->info))
			/* its notice is still on the way */
			change(b, v->info.acl, extended(w, &v->info));
		place_changed(b, &v->info);
	} else {
		b = make(w, token, v);
		if (!b) {
			auth_token_put(&token);
			return -E_NOMEM;
		}
		events_recall(w, b);
	}
	b->expire = v->info.expire;
	if (!limits_same(b->told, v->info.limits)) {
		if (quotas_change(w, b, v->info.limits))
			return -E_NOMEM;
		quotas_tell_all(b);
	}
	c->badge = b;
	list_add_tail(&b->conns, &c->badge_node);
	return 0;
}

void badge_drop(struct conn *c)
{
	struct badge *b = c->badge;

	c->badge = NULL;
	list_del(&c->badge_node);
	if (!b || !list_empty(&b->conns))
		return;
	events_keep(c->worker, b);
	if (!b->ended)
		map_del(&c->worker->badges, &b->node);
	acl_put(&b->acl);
	limits_free(&b->told);
	auth_token_put(&b->token);
	mem_free(b);
}

/* ---- Telling the core what may still be said by whom is not connected any more ---- */

struct telling {
	struct buf *out, *name;
	const struct space *space;
	size_t frame;
};

static void tell_filter(void *arg, struct filter f)
{
	struct telling *t = arg;

	buf_reset(t->name);
	space_map(t->space, f.text, t->name);
	if (buf_ok(t->name))
		link_rights_add(t->out, t->frame, buf_str(t->name), f.system);
}

/* acl: what it may publish. No word is said about tokens without an id (the endpoint need not tell
 * one): 0 is the platform in the core (attack I05). */
static void tell_rights(struct worker *w, struct uplink *link, uint64_t customer, uint64_t token,
                        const struct acl *acl)
{
	struct space space;
	struct telling t = { .name = &w->scratch, .space = &space };

	if (!token)
		return;
	space_make(&space, customer);
	t.out = uplink_say_of(link, customer); /* behind what it has published */
	t.frame = link_rights_begin(t.out, customer, token);
	(void)acl_publishable(acl, tell_filter, &t);
	/* A list of one ACL (ACL_ENTRIES_MAX, VERDICT_BODY_MAX) fits: it is for want of memory. */
	if (!link_end(t.out, t.frame))
		LOG_ERROR("", "rights-untold", "cid=%" PRIu64 " token=%" PRIu64 " why=memory",
		          customer, token);
}

static void tell_core(struct worker *w, const struct auth_notice *n, const struct acl *acl)
{
	static const uint8_t flags[] = {
		[TELL_HIDDEN] = LINK_RIGHTS_HIDDEN,
		[TELL_DELETED] = LINK_RIGHTS_DELETED,
		[TELL_BLOCKED] = LINK_RIGHTS_CUSTOMER | LINK_RIGHTS_HIDDEN,
		[TELL_FREE] = LINK_RIGHTS_CUSTOMER,
		[TELL_CUSTOMER_DELETED] = LINK_RIGHTS_CUSTOMER | LINK_RIGHTS_DELETED,
	};
	struct uplink *link = worker_link_of(w, n->customer);
	uint8_t how = flags[n->tell];
	bool whole = how & LINK_RIGHTS_CUSTOMER;

	if (!link || n->customer == 0 || n->tell == TELL_NOTHING)
		return;
	if (n->tell == TELL_RIGHTS && acl)
		tell_rights(w, link, n->customer, n->id, acl);
	else if (n->tell != TELL_RIGHTS && (whole ? link->minor >= LINK_MINOR_RIGHTS : n->id != 0))
		link_rights_say(uplink_say_of(link, n->customer),
		                link_rights_known(how, link->minor), n->customer,
		                whole ? 0 : n->id);
}

/* Many clients of a token may come at once, and what the core asks of each is the same: once a
 * second and set of rights is enough. */
void rights_tell_again(struct conn *c)
{
	struct badge *b = c->badge;
	int64_t now = loop_now(c->worker->loop);

	if (b->rights_told == acl_stamp(b->acl) && now - b->rights_told_at < TOLD_MS)
		return;
	b->rights_told = acl_stamp(b->acl);
	b->rights_told_at = now;
	tell_rights(c->worker, c->link, b->customer, b->id, b->acl);
}

/* ---- Notices ---- */

void rights_notice(struct auth_notice *n)
{
	struct worker *w = n->worker;
	struct badge *b = n->token ? find(w, n->token) : NULL;
	const struct verdict *now = n->token ? auth_verdict(n->token) : NULL;
	struct acl *acl = n->acl;
	bool newest;

	/* Several notices may be on their way: the newest rights count, and a revocation always. */
	newest = acl && now && now->reason == RC_SUCCESS && now->info.acl;
	if (newest)
		acl = now->info.acl;
	if (b && acl)
		change(b, acl, newest ? extended(w, &now->info) : b->extended);
	else if (b)
		end_all(b, w, n->reason);
	if (b && acl && now->reason == RC_SUCCESS) {
		b->expire = now->info.expire;
		if (!limits_same(b->told, now->info.limits))
			quotas_changed(w, b, now->info.limits);
		place_changed(b, &now->info);
	}
	if (w->index == 0)
		tell_core(w, n, acl);
	auth_notice_free(&n);
}

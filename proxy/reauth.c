/* reauth.c - AUTH of a client: another token for a live connection (reauth.h).
 *
 * The token must be of the same customer: everything that the session has lies in that customer's
 * space. Until the verdict is there, all goes on under the old one (MQTT5 4.12.1). Then, in one
 * turn: both gates judge under the new rights, the core is told whose the session is now (TOKEN), a
 * Will that may not be said any more is dropped, and every subscription is granted anew. An
 * exchange that fails ends the connection [MQTT-4.12.1-2]. */
#include "base/base.h"
#include "proxy/reauth.h"

#include <inttypes.h>

#include "base/log.h"
#include "base/mem.h"
#include "proxy/admit.h"
#include "proxy/badge.h"
#include "proxy/caps.h"
#include "proxy/gate.h"
#include "proxy/greet.h"
#include "proxy/rates.h"
#include "proxy/uplink.h"
#include "proxy/worker.h"
#include "wire/mqtt_write.h"

void reauth_forget(struct conn *c)
{
	if (c->reauth)
		c->reauth->owner = NULL;
	c->reauth = NULL;
}

/* ---- The new token ---- */

static const char *judge(const struct conn *c, const struct verdict *v)
{
	if (v->reason || !v->info.enabled || v->info.customer_blocked)
		return "token is not valid";
	if (v->info.customer != c->badge->customer)
		return "token of another account";
	return admit_still(c, &v->info);
}

/* Its place among the connections with that token; that of the old one is given back. */
static bool move_cap(struct conn *c, const struct token_info *info)
{
	struct caps *caps = c->worker->crew->caps;
	struct cap *cap = NULL;
	struct quotas q;

	if (info->id == c->badge->id)
		return true;
	quotas_work_out(&q, c->worker->config, info->limits);
	if (admit_cap(c, info, q.token[LIMIT_SESSIONS], &cap))
		return false;
	caps_leave(caps, &c->token_cap);
	c->token_cap = cap;
	return true;
}

static void say_yes(struct conn *c)
{
	struct mqtt_props props = { .has = UINT64_C(1) << PROP_AUTH_METHOD,
		                    .auth_method = REAUTH_METHOD };

	mqtt_auth_write(conn_out(c), RC_SUCCESS, &props);
	c->worker->n.reauths++;
	LOG_INFO(conn_name(c), "reauth", "token=%" PRIu64, c->badge->id);
}

/* takes token */
static void adopt(struct conn *c, struct token *token)
{
	const struct verdict *v = auth_verdict(token);
	const char *why = judge(c, v);
	struct acl *before;
	bool extended, same;

	if (!why && !move_cap(c, &v->info))
		why = "too many connections with this token";
	if (why) {
		auth_token_put(&token);
		conn_close_with(c, END_REAUTH, RC_NOT_AUTHORIZED, why);
		return;
	}
	before = acl_get(c->badge->acl);
	extended = c->badge->extended;
	badge_drop(c);
	if (badge_take(c->worker, c, token, v)) {
		acl_put(&before);
		conn_close(c, END_MEMORY);
		return;
	}
	same = extended == c->badge->extended && acl_same(before, c->badge->acl);
	acl_put(&before);
	opened_rates(c);
	opened_tell_token(c);
	if (!same)
		rights_changed(c);
	say_yes(c);
}

/* ---- Asking what it is worth ---- */

/* An endpoint that is silent is no proof against the token, but nothing is changed without one. */
static void verdict(struct conn *c, unsigned reason, struct token *token)
{
	if (reason == RC_SUCCESS)
		adopt(c, token);
	else if (reason == RC_SERVER_UNAVAILABLE || reason == RC_SERVER_BUSY)
		conn_close(c, END_UNSURE);
	else
		conn_close(c, END_REAUTH);
}

static void answered(struct auth_ask *ask)
{
	struct conn *c = ask->owner;
	struct token *token = ask->token;
	unsigned reason = ask->reason;

	if (c) {
		c->reauth = NULL;
		ask->token = NULL;
	}
	auth_ask_free(&ask);
	if (c)
		verdict(c, reason, token);
}

static void ask_for(struct conn *c, struct str key)
{
	struct worker *w = c->worker;
	struct credential credential;
	struct token *token = NULL;
	int known;

	if (!credential_find(STR_NONE, false, key, true, credential_form(w->config), &credential)) {
		auth_refused_form(w->auth);
		conn_close(c, END_REAUTH);
		return;
	}
	credential.cert = conn_cert_told(c);
	known = auth_look(w->auth, &credential, &c->peer, &token);
	if (known >= 0) {
		verdict(c, (unsigned)known, token);
		return;
	}
	c->reauth = auth_ask_new(&credential, &c->peer, w->inbox, answered, c);
	if (c->reauth)
		auth_ask(w->auth, c->reauth);
	else
		conn_close(c, END_MEMORY);
}

/* ---- AUTH ---- */

static unsigned read_auth(struct conn *c, struct str body, struct mqtt_disconnect *a)
{
	unsigned reason;

	if (!c->auth_method) /* [MQTT-4.12.0-7] */
		return RC_PROTOCOL_ERROR;
	reason = mqtt_auth_read(body, a);
	if (!reason)
		reason = gate_props(c, &a->props);
	if (reason)
		return reason;
	if (a->code != RC_REAUTHENTICATE || c->reauth)
		return RC_PROTOCOL_ERROR;
	return str_eq(a->props.auth_method, REAUTH_METHOD) /* [MQTT-4.12.1-1] */
	           ? RC_SUCCESS
	           : RC_BAD_AUTHENTICATION_METHOD;
}

/* It is as much work for others as a CONNECT, and counts as one: a customer with a thousand
 * connections may not ask a thousand times as often. */
static bool too_often(struct conn *c)
{
	int err = rates_take_customer(c->worker->crew->rates, c->badge->customer,
	                              c->badge->quotas.customer[LIMIT_CONNECTS],
	                              loop_now(c->worker->loop));

	if (!err)
		return false;
	c->worker->n.refused_rate++;
	conn_close_with(c, END_REAUTH,
	                err == -E_LIMIT ? quota_over(c->worker, LIMIT_CONNECTS)
	                                : (unsigned)RC_SERVER_BUSY,
	                "clients of this account authenticate too often");
	return true;
}

void in_auth(struct conn *c, const struct mqtt_head *h, struct str body)
{
	struct mqtt_disconnect a;
	unsigned reason = read_auth(c, body, &a);

	(void)h;
	if (reason)
		conn_break(c, reason);
	else if (!too_often(c))
		ask_for(c, a.props.auth_data);
	mem_wipe((void *)(uintptr_t)body.p, body.n); /* in our own memory, read as const */
}

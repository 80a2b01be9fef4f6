/* greet.c - CONNECT, until the verdict on its credential (greet.h). Nothing of the client's has any
 * effect here: there is no session, no Will, no customer yet (attacks A04 to A07). The credential
 * is copied once, into memory that is wiped, and handed to the authentication thread. */
#include "base/base.h"
#include "proxy/greet.h"

#include "acl/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "proxy/drain.h"
#include "proxy/events.h"
#include "proxy/gate.h"
#include "proxy/reauth.h"
#include "proxy/worker.h"
#include "wire/mqtt_write.h"
#include "wire/token.h"

static void wipe(struct str secret) /* bytes in our own memory, read as const */
{
	if (secret.n)
		mem_wipe((void *)(uintptr_t)secret.p, secret.n);
}

void greet_free(struct conn *c)
{
	struct greet *g = c->greet;

	c->greet = NULL;
	if (!g)
		return;
	if (g->ask)
		/* it still comes back, and then finds nobody (attack A07) */
		g->ask->owner = NULL;
	mem_wipe(g->body, g->size);
	mem_free(g);
}

/* ---- Refusing ---- */

/* MQTT 3.1.1 3.2.2.3 has five words for "no"; where none of them fits, the standard wants the
 * connection closed without CONNACK. */
static bool v3_has_word(unsigned reason)
{
	switch (reason) {
	case RC_UNSUPPORTED_PROTOCOL_VERSION:
	case RC_CLIENT_IDENTIFIER_NOT_VALID:
	case RC_BAD_USER_NAME_OR_PASSWORD:
	case RC_NOT_AUTHORIZED:
	case RC_SERVER_UNAVAILABLE:
	case RC_SERVER_BUSY:
	case RC_BANNED:
	case RC_QUOTA_EXCEEDED:
	case RC_CONNECTION_RATE_EXCEEDED:
	case RC_IMPLEMENTATION_SPECIFIC_ERROR:
		return true;
	default:
		return false;
	}
}

void greet_refuse(struct conn *c, unsigned reason, const char *say)
{
	struct mqtt_props props = { 0 };
	uint32_t most = c->packet_most;
	size_t before = buf_len(&c->out);

	if (c->state == CONN_CLOSING)
		return;
	drain_reference(c->worker, reason, &props);
	if (say && c->problem_info) {
		props.has |= UINT64_C(1) << PROP_REASON_STRING;
		props.reason_string = str_c(say);
	}
	if (c->version >= MQTT_V5 || v3_has_word(reason)) {
		mqtt_connack_write(&c->out, c->version, false, reason, &props);
		if (most && buf_len(&c->out) - before > most) { /* [MQTT-3.2.2-19] */
			buf_cut(&c->out, before);
			mqtt_connack_write(&c->out, c->version, false, reason, NULL);
			if (buf_len(&c->out) - before > most) /* [MQTT-3.1.2-24] */
				buf_cut(&c->out, before);
		}
		c->said_end = true;
	}
	c->worker->n.refusals++;
	LOG_INFO(conn_name(c), "refused", "reason=0x%02x why=\"%s\"", reason,
	         say ? say : mqtt_reason_text(reason));
	if (c->badge)
		event_refused(c,
		              reason == RC_NOT_AUTHORIZED || reason == RC_QUOTA_EXCEEDED ||
		                      reason == RC_CONNECTION_RATE_EXCEEDED ||
		                      reason == RC_CLIENT_IDENTIFIER_NOT_VALID
		                  ? EVENT_BLOCKED
		                  : EVENT_REJECTED,
		              reason, say, c->greet ? c->greet->blamed : STR_NONE);
	conn_close_with(c, END_REFUSED, reason, say);
}

/* ---- Judging CONNECT ---- */

/* Attack A03: a user name is a key or a customer's name, never a pattern. A client id may be any
 * text: nothing behind us takes it for a topic as it is (event_client_level, response_prefix). */
static bool has_wildcard(struct str s)
{
	return s.n && (memchr(s.p, '#', s.n) || memchr(s.p, '+', s.n));
}

/* What needs no verdict. Quotas are the token's: admit.c. */
static unsigned judge(const struct mqtt_connect *m, const char **say)
{
	if (mqtt_has(&m->props, PROP_AUTH_METHOD) &&
	    !str_eq(m->props.auth_method, REAUTH_METHOD)) /* [MQTT-4.12.0-1], attack A21 */
		return RC_BAD_AUTHENTICATION_METHOD;
	if ((int64_t)m->client_id.n > limit_rows[LIMIT_CLIENT_ID_SIZE].most) {
		/* nobody's may be so long: as one level, escaped, it must fit into the topics of
		 * the customer's log (events.c) */
		*say = "client id too long";
		return RC_CLIENT_IDENTIFIER_NOT_VALID;
	}
	if (token_key_ok(token_strip(
		m->client_id))) { /* attack A19: everybody of the account sees client ids */
		*say = "client id must not be a key";
		return RC_CLIENT_IDENTIFIER_NOT_VALID;
	}
	return has_wildcard(m->username) ? RC_BAD_USER_NAME_OR_PASSWORD : RC_SUCCESS;
}

/* Only what concerns the connection itself; what concerns the session waits for the verdict. */
static void remember(struct conn *c, const struct mqtt_connect *m)
{
	const struct mqtt_props *p = &m->props;

	c->packet_most = mqtt_has(p, PROP_MAXIMUM_PACKET_SIZE) ? p->maximum_packet_size : 0;
	c->alias_out_most = p->topic_alias_maximum;
	if (c->alias_out_most > c->worker->config->topic_alias_out_max)
		c->alias_out_most = (uint16_t)c->worker->config->topic_alias_out_max;
	c->auth_method = mqtt_has(p, PROP_AUTH_METHOD);
	c->bridge = m->bridge;
	c->problem_info = !mqtt_has(p, PROP_REQUEST_PROBLEM_INFO) || p->request_problem_info;
}

/* ---- Asking what the credential is worth ---- */

static void verdict(struct conn *c, unsigned reason, struct token *token)
{
	if (reason == RC_SUCCESS)
		opened_verdict(c, token);
	else
		greet_refuse(c, reason, NULL);
}

static void answered(struct auth_ask *ask)
{
	struct greet *g = ask->owner;
	struct token *token = ask->token;
	unsigned reason = ask->reason;
	struct conn *c = g ? g->conn : NULL;

	if (g) {
		g->ask = NULL;
		ask->token = NULL;
		if (reason && ask->customer)
			event_blocked(c, ask->customer, ask->id, reason);
	}
	auth_ask_free(&ask);
	if (c)
		verdict(c, reason, token);
}

static void ask_for(struct conn *c, const struct credential *credential)
{
	struct worker *w = c->worker;
	struct token *token = NULL;
	uint64_t customer, id;
	int known = auth_look(w->auth, credential, &c->peer, &token);

	if (known > 0 && auth_untold(w->auth, credential, &customer, &id))
		event_blocked(c, customer, id, (unsigned)known);
	if (known >= 0) {
		verdict(c, (unsigned)known, token);
		return;
	}
	c->greet->ask = auth_ask_new(credential, &c->peer, w->inbox, answered, c->greet);
	if (c->greet->ask)
		auth_ask(w->auth, c->greet->ask);
	else
		greet_refuse(c, RC_SERVER_UNAVAILABLE, NULL);
}

/* With the method "token" the data is the credential, and nothing else is. */
static void present_data(struct mqtt_connect *m)
{
	wipe(m->username);
	wipe(m->password);
	m->username = STR_NONE;
	m->has_username = false;
	m->password = m->props.auth_data;
	m->has_password = true;
}

static bool keep_client_id(struct conn *c, struct str id)
{
	if (id.n == 0)
		return true; /* one will be assigned (opened.c) */
	c->client_id = mem_dup(id.p, id.n);
	c->client_id_size = c->client_id ? (uint16_t)id.n : 0;
	return c->client_id;
}

static void ask(struct conn *c)
{
	struct greet *g = c->greet;
	struct mqtt_connect *m = &g->connect;
	struct credential credential;
	struct str username = m->username;
	bool has_username = m->has_username;

	if (c->brought && !has_username && !m->has_password) {
		username = str_c(c->brought);
		has_username = true;
	}
	if (!credential_find(username, has_username, m->password, m->has_password,
	                     credential_form(c->worker->config), &credential)) {
		auth_refused_form(c->worker->auth);
		greet_refuse(c, RC_BAD_USER_NAME_OR_PASSWORD, NULL);
		return;
	}
	credential.cert = conn_cert_told(c);
	conn_enter(c, CONN_AUTH);
	conn_hold(c, HOLD_AUTH);
	conn_timer_arm(c);
	ask_for(c, &credential);
	conn_forget_brought(c);
	if (c->greet != g)
		return; /* answered, and over, already */
	wipe(m->username);
	wipe(m->password);
}

void greet_connect(struct conn *c, const struct mqtt_head *h, struct str body)
{
	struct greet *g = mem_zalloc(sizeof(*g) + body.n);
	const char *say = NULL;
	bool known = false;
	unsigned reason;

	(void)h;
	c->worker->n.connects++;
	if (!g) {
		wipe(body);
		conn_close(c, END_MEMORY);
		return;
	}
	c->greet = g;
	g->conn = c;
	g->size = body.n;
	memcpy(g->body, body.p, body.n);
	wipe(body);
	reason = mqtt_connect_read(str_make(g->body, body.n), &g->connect, &known);
	if (!known) {
		conn_break(c, reason);
		return;
	}
	c->version = g->connect.version;
	if (!reason) {
		remember(c, &g->connect);
		reason = judge(&g->connect, &say);
		if (c->auth_method)
			present_data(&g->connect);
	}
	if (reason)
		greet_refuse(c, reason, say);
	else if (!keep_client_id(c, g->connect.client_id))
		conn_close(c, END_MEMORY);
	else
		ask(c);
}

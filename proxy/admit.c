/* admit.c - is a client let in (admit.h)? From here on its customer is known, so that what is
 * counted is the customer's: whoever is noisy slows down itself (attacks R05, R06). */
#include "base/base.h"
#include "proxy/admit.h"

#include "base/log.h"
#include "proxy/badge.h"
#include "proxy/caps.h"
#include "proxy/gate.h"
#include "proxy/greet.h"
#include "proxy/rates.h"
#include "proxy/worker.h"

/* Bytes of a client id that cost a unit (slice.h) to hold against as many masks as there can be. */
enum { ID_BYTES = 16 };

static const char *wrong_place(const struct conn *c, const struct token_info *info)
{
	char peer[SOCK_TEXT];

	sock_text(&c->peer, peer);
	if (!token_ips_allow(info->ips, str_c(peer)))
		return "address not allowed for this token";
	if (!token_certs_allow(info->certs, str_c(c->cert)))
		return c->cert ? "certificate not allowed for this token"
		               : "this token needs a client certificate";
	return NULL;
}

static const char *wrong_id(const struct conn *c, const struct token_info *info)
{
	return client_ids_allow(info->client_ids, conn_client_id(c))
	           ? NULL
	           : "client id not allowed for this token";
}

const char *admit_still(const struct conn *c, const struct token_info *info)
{
	const char *say = wrong_place(c, info);

	return say ? say : wrong_id(c, info);
}

int admit_cap(struct conn *c, const struct token_info *info, int64_t most, struct cap **out)
{
	return caps_enter_token(c->worker->crew->caps, info->customer, info->id, most, out);
}

/* ---- The steps: RC_SUCCESS, or why not. A client whose address is not allowed takes nothing
 * of the customer's rate; one that is refused for what it asks does (attack R06). ---- */

/* Also the second look at what only a strange verdict would say: a "yes" of somebody disabled. */
static unsigned by_token(struct conn *c, const struct token_info *info, const char **say)
{
	(void)c;
	if (info->enabled && !info->customer_blocked)
		return RC_SUCCESS;
	*say = "token or account is not active";
	return RC_NOT_AUTHORIZED;
}

static unsigned by_place(struct conn *c, const struct token_info *info, const char **say)
{
	*say = wrong_place(c, info);
	return *say ? RC_NOT_AUTHORIZED : RC_SUCCESS;
}

/* Before the rate of the client id is asked: a token that may not use an id takes nothing of what
 * others may do under it. A client without one gets an id that is judged like any other, and has
 * none again if that is refused. */
static unsigned by_client_id(struct conn *c, const struct token_info *info, const char **say)
{
	bool named = c->client_id_size;

	if (c->client_id_size > c->badge->quotas.token[LIMIT_CLIENT_ID_SIZE]) {
		*say = "client id too long";
		return quota_over(c->worker, LIMIT_CLIENT_ID_SIZE);
	}
	if (!info->client_ids)
		return RC_SUCCESS;
	if (!greet_name(c))
		return RC_SERVER_UNAVAILABLE;
	share_charge(c, c->client_id_size / ID_BYTES);
	*say = wrong_id(c, info);
	if (!*say)
		return RC_SUCCESS;
	if (!named) {
		greet_unname(c);
		*say = "this token needs a client id";
	}
	return RC_CLIENT_IDENTIFIER_NOT_VALID;
}

static unsigned by_sizes(struct conn *c, const struct token_info *info, const char **say)
{
	const struct mqtt_connect *m = &c->greet->connect;
	const struct mqtt_will *will = &m->will;
	unsigned reason;

	(void)info;
	(void)say;
	reason = gate_props(c, &m->props);
	if (reason || !will->present)
		return reason;
	if (!gate_topic_fits(c, will->topic) || (mqtt_has(&will->props, PROP_RESPONSE_TOPIC) &&
	                                         !gate_topic_fits(c, will->props.response_topic)))
		return RC_TOPIC_NAME_INVALID;
	return gate_props(c, &will->props);
}

static unsigned rated(struct conn *c, int err, const char **say)
{
	if (!err)
		return RC_SUCCESS;
	c->worker->n.refused_rate++;
	*say = "clients of this account connect too often";
	return err == -E_LIMIT ? quota_over(c->worker, LIMIT_CONNECTS) : RC_SERVER_UNAVAILABLE;
}

static unsigned by_rate(struct conn *c, const struct token_info *info, const char **say)
{
	struct rates *rates = c->worker->crew->rates;
	const struct quotas *q = &c->badge->quotas;
	int64_t now = loop_now(c->worker->loop);
	unsigned reason = rated(
	    c, rates_take_customer(rates, info->customer, q->customer[LIMIT_CONNECTS], now), say);

	return reason ? reason
	              : rated(c,
	                      rates_take_token(rates, info->customer, info->id,
	                                       q->token[LIMIT_CONNECTS], now),
	                      say);
}

static unsigned by_client_rate(struct conn *c, const struct token_info *info, const char **say)
{
	struct str id = conn_client_id(c);

	if (!id.n || c->greet->assigned ||
	    !rates_take_client(c->worker->crew->rates, info->customer, id,
	                       c->badge->quotas.token[LIMIT_CLIENT_CONNECTS],
	                       loop_now(c->worker->loop)))
		return RC_SUCCESS;
	c->worker->n.refused_rate++;
	*say = "this client connects too often";
	return quota_over(c->worker, LIMIT_CLIENT_CONNECTS);
}

static unsigned by_count(struct conn *c, const struct token_info *info, const char **say)
{
	const struct quotas *q = &c->badge->quotas;
	int err = caps_enter_customer(c->worker->crew->caps, info->customer,
	                              q->customer[LIMIT_SESSIONS], &c->customer_cap);

	*say = "too many connections of this account";
	if (!err) {
		*say = "too many connections with this token";
		err = admit_cap(c, info, q->token[LIMIT_SESSIONS], &c->token_cap);
	}
	if (!err)
		return RC_SUCCESS;
	return err == -E_LIMIT ? quota_over(c->worker, LIMIT_SESSIONS) : RC_SERVER_UNAVAILABLE;
}

/* Mosquitto's bridges leave word of their end, by default, where nobody may publish: that is no
 * reason to keep them out. The Will is dropped. */
static bool is_bridge_state(struct conn *c, struct str topic)
{
	static const struct str state = STR_INIT("$SYS/broker/connection/");

	if (!str_starts(topic, state))
		return false;
	LOG_INFO(conn_name(c), "will-dropped", "why=bridge-state topic=%s", log_esc(topic));
	c->worker->n.wills_dropped++;
	c->greet->connect.will.present = false;
	return true;
}

static unsigned by_will(struct conn *c, const struct token_info *info, const char **say)
{
	const struct mqtt_will *will = &c->greet->connect.will;
	const int64_t *most = c->badge->quotas.token;

	(void)info;
	if (!will->present)
		return RC_SUCCESS;
	*say = "Will not allowed: this token may publish nothing";
	if (most[LIMIT_MESSAGES] == 0 || most[LIMIT_TRAFFIC] == 0) {
		(void)quota_over(c->worker, most[LIMIT_MESSAGES] ? LIMIT_TRAFFIC : LIMIT_MESSAGES);
		return RC_QUOTA_EXCEEDED;
	}
	if (is_bridge_state(c, will->topic))
		return RC_SUCCESS;
	*say = "Will topic not allowed";
	c->greet->blamed = will->topic;
	return gate_publish(c->worker, c->badge, will->topic); /* attack C01 */
}

unsigned admit(struct conn *c, const struct token_info *info, const char **say)
{
	static unsigned (*const steps[])(struct conn * c, const struct token_info *info,
	                                 const char **say) = {
		by_token,       by_place, by_rate, by_client_id,
		by_client_rate, by_sizes, by_will, by_count,
	};
	unsigned reason = RC_SUCCESS;

	for (size_t i = 0; !reason && i < ARRAY_LEN(steps); i++) {
		*say = NULL;
		reason = steps[i](c, info, say);
	}
	return reason;
}

/* opened.c - from the verdict "yes" to CONNACK (greet.h): is it let in (admit.c), what is agreed;
 * then the core opens the session, and the subscriptions of a resumed one are judged again under
 * the rights of today (attack C07). */
#include "base/base.h"
#include "proxy/greet.h"

#include <inttypes.h>

#include "base/crypt.h"
#include "base/log.h"
#include "base/mem.h"
#include "proxy/admit.h"
#include "proxy/badge.h"
#include "proxy/events.h"
#include "proxy/filters.h"
#include "proxy/gate.h"
#include "proxy/grants.h"
#include "proxy/share.h"
#include "proxy/uplink.h"
#include "proxy/worker.h"

/* ---- What was agreed ---- */

enum { SILENT_S = 600 }; /* of a v3 client without keep alive, until its system is asked */

static uint32_t rate_of(int64_t quota) /* a struct pace knows no quota of 0: see `mute` */
{
	return quota < UINT32_MAX ? (uint32_t)quota : 0;
}

void opened_rates(struct conn *c)
{
	const int64_t *most = c->badge->quotas.token;

	c->mute = most[LIMIT_MESSAGES] == 0 || most[LIMIT_TRAFFIC] == 0;
	c->pace[PACE_MESSAGES].per_second = rate_of(most[LIMIT_MESSAGES]);
	c->pace[PACE_BYTES].per_second = rate_of(most[LIMIT_TRAFFIC]);
	c->pace[PACE_FILTERS].per_second = (uint32_t)c->worker->config->subscribe_rate;
	c->pace[PACE_CONTROL].per_second = (uint32_t)c->worker->config->control_rate;
}

/* [MQTT-3.1.2-22]. Only a v5 client can be told that its keep alive is a shorter one (attack R04);
 * a v3 client that honours its own must not be closed, and devices send once an hour. */
static uint32_t keep_alive_of(const struct mqtt_connect *m, uint32_t most)
{
	if (m->version < MQTT_V5 || (m->keep_alive && m->keep_alive <= most))
		return m->keep_alive;
	return most;
}

static void agree(struct conn *c)
{
	const int64_t *most = c->badge->quotas.token;
	struct greet *g = c->greet;
	const struct mqtt_connect *m = &g->connect;
	uint32_t expiry_most = (uint32_t)most[LIMIT_SESSION_EXPIRY];
	uint32_t asked = m->version >= MQTT_V5 ? m->props.session_expiry
	                 : m->clean_start      ? 0
	                                       : UINT32_MAX;

	g->session_expiry = asked < expiry_most ? asked : expiry_most; /* attack R20 */
	c->expiry_zero = m->version >= MQTT_V5 && asked == 0;
	c->keep_alive_ms = keep_alive_of(m, (uint32_t)most[LIMIT_KEEP_ALIVE]) * 1500;
	if (c->keep_alive_ms == 0) /* only the system notices that it is gone */
		sock_keep_alive(c->watch.fd, SILENT_S);
	c->packet_limit = (uint32_t)most[LIMIT_PACKET_SIZE];
	c->receive_maximum = (uint16_t)most[LIMIT_RECEIVE_MAXIMUM];
	c->alias_most = (uint16_t)most[LIMIT_TOPIC_ALIAS_MAXIMUM];
	opened_rates(c);
}

/* MQTT5 3.1.3.1: we name who does not name himself. */
bool greet_name(struct conn *c)
{
	static const char hex[] = "0123456789abcdef";
	uint8_t random[10];
	char id[5 + 2 * sizeof(random)] = "auto-";

	if (c->client_id_size)
		return true;
	if (crypt_random(random, sizeof(random)))
		return false;
	for (size_t i = 0; i < sizeof(random); i++) {
		id[5 + 2 * i] = hex[random[i] >> 4];
		id[6 + 2 * i] = hex[random[i] & 15];
	}
	c->client_id = mem_dup(id, sizeof(id));
	c->client_id_size = c->client_id ? sizeof(id) : 0;
	c->greet->assigned = true;
	return c->client_id;
}

void greet_unname(struct conn *c)
{
	mem_free(c->client_id);
	c->client_id = NULL;
	c->client_id_size = 0;
	c->greet->assigned = false;
}

/* ---- OPEN ---- */

static bool keep_will_topic(struct conn *c, struct str topic)
{
	c->will_topic = mem_dup(topic.p, topic.n);
	c->will_topic_size = c->will_topic ? (uint16_t)topic.n : 0;
	return c->will_topic;
}

static bool will_of(struct conn *c, struct link_open *o)
{
	const struct mqtt_will *will = &c->greet->connect.will;

	if (!will->present)
		return true;
	o->will_qos = will->qos;
	o->will_retain = will->retain;
	o->will_delay_s = will->props.will_delay < o->session_expiry_s ? will->props.will_delay
	                                                               : o->session_expiry_s;
	return keep_will_topic(c, will->topic) &&
	       in_publish_msg(c->worker, &c->badge->space, will->topic, &will->props, will->payload,
	                      &o->will);
}

static uint16_t window(const struct conn *c, const struct mqtt_connect *m)
{
	int64_t most = c->badge->quotas.token[LIMIT_SESSION_MESSAGES];

	if (m->version < MQTT_V5)
		/* v3 cannot say; what we take of others is a fair measure */
		return c->receive_maximum;
	if (most < 1)
		most = 1;
	if (most > UINT16_MAX)
		most = UINT16_MAX;
	if (mqtt_has(&m->props, PROP_RECEIVE_MAXIMUM) && m->props.receive_maximum < most)
		most = m->props.receive_maximum;
	return (uint16_t)most;
}

static struct link_token terms_of(const struct conn *c, struct buf *limits)
{
	const struct badge *b = c->badge;

	quotas_tell(&b->quotas, b->told, limits);
	return (struct link_token){
		.token = b->id,
		.rights_until = b->expire,
		.limits = buf_str(limits),
	};
}

/* Without memory nothing is told, and what the core knew holds. */
void opened_tell_token(struct conn *c)
{
	struct buf limits = { 0 };
	struct link_token terms = terms_of(c, &limits);

	if (buf_ok(&limits))
		link_token_write(uplink_say(c), c->channel, c->generation, &terms);
	buf_free(&limits);
}

static bool send_open(struct conn *c)
{
	const struct mqtt_connect *m = &c->greet->connect;
	struct buf limits = { 0 };
	struct link_token terms = terms_of(c, &limits);
	char peer[SOCK_TEXT];
	struct link_open o = {
		.version = m->version,
		.receive_maximum = window(c, m),
		.customer = c->badge->customer,
		.token = terms.token,
		.session_expiry_s = c->greet->session_expiry,
		.rights_until = terms.rights_until,
		.limits = terms.limits,
		.client_id = conn_client_id(c),
	};

	bool whole;

	sock_text(&c->peer, peer);
	o.peer = str_c(peer);
	whole = buf_ok(&limits) && will_of(c, &o);
	if (whole)
		link_open_write(uplink_say(c), c->channel, c->generation,
		                (uint8_t)((m->clean_start ? LINK_OPEN_CLEAN : 0) |
		                          (m->will.present ? LINK_OPEN_WILL : 0)),
		                &o);
	buf_free(&limits);
	return whole;
}

void opened_verdict(struct conn *c, struct token *token)
{
	const struct verdict *v = auth_verdict(token);
	struct worker *w = c->worker;
	const char *say = NULL;
	struct uplink *link;
	unsigned reason = v->reason;

	if (reason) { /* it has changed on the way here */
		auth_token_put(&token);
		greet_refuse(c, reason, NULL);
		return;
	}
	if (badge_take(w, c, token, v)) {
		greet_refuse(c, RC_SERVER_UNAVAILABLE, NULL);
		return;
	}
	link = worker_link_of(w, c->badge->customer);
	if (link) /* who is let in counts; who finds no broker does not */
		reason = admit(c, &v->info, &say);
	if (reason) {
		greet_refuse(c, reason, say);
		return;
	}
	agree(c);
	if (!link || !greet_name(c) || uplink_attach(link, c)) {
		greet_refuse(c, RC_SERVER_UNAVAILABLE, link ? NULL : "broker not available");
		return;
	}
	if (!send_open(c)) {
		uplink_detach(c); /* the core has not heard of it */
		greet_refuse(c, RC_SERVER_UNAVAILABLE, NULL);
		return;
	}
	conn_enter(c, CONN_OPENING);
}

/* ---- OPENED ---- */

static bool resume_filters(struct conn *c, struct link_opened o)
{
	struct link_sub sub;

	while (link_opened_next(&o, &sub)) {
		if (!filters_add(&c->filters, sub.filter, 0))
			return false;
	}
	return true;
}

void opened_answer(struct conn *c, uint8_t flags, const struct link_opened *o)
{
	struct worker *w = c->worker;
	bool present = flags & LINK_OPENED_PRESENT;

	if (o->reason >= RC_UNSPECIFIED_ERROR) {
		/* the number is free again, says the core */
		uplink_detach(c);
		greet_refuse(c, o->reason, NULL);
		return;
	}
	if (c->badge->ended && badge_end(c)) /* meanwhile */
		return;
	if (!resume_filters(c, *o)) {
		greet_refuse(c, RC_SERVER_UNAVAILABLE, NULL);
		return;
	}
	if (!connack_write(c, present, o)) {
		conn_close(c, END_TOO_LARGE);
		return;
	}
	conn_enter(c, CONN_OPEN);
	w->n.connacks++;
	event_connected(c, present);
	c->core_paused = PAUSED_OUT; /* it is born paused */
	if (c->share->later_paused)
		conn_core_pause(c, PAUSED_LATER);
	if (flags & LINK_OPENED_OTHER)
		filters_make_foreign(&c->filters);
	filters_make_stale(&c->filters);
	if (!grants_renew(c)) { /* much to judge: it is sent nothing before that is done */
		conn_core_pause(c, PAUSED_RIGHTS);
		share_regrant_rest(c);
	}
	conn_core_resume(c, PAUSED_OUT);
	LOG_INFO(conn_name(c), "open",
	         "token=%" PRIu64 " version=%u present=%d keepalive=%us expiry=%us", c->badge->id,
	         c->version, present, c->keep_alive_ms / 1500, c->greet->session_expiry);
	greet_free(c);
	conn_go_on(c, HOLD_AUTH);
	conn_timer_arm(c);
	conn_resume_rest(c);
}

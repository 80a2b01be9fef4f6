/* conn.c - the life of a connection: states, and the one way it ends (conn.h). What it says and
 * hears is elsewhere. */
#include "base/base.h"
#include "proxy/conn.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "proxy/badge.h"
#include "proxy/caps.h"
#include "proxy/drain.h"
#include "proxy/events.h"
#include "proxy/gate.h"
#include "proxy/grants.h"
#include "proxy/greet.h"
#include "proxy/inflight.h"
#include "proxy/reauth.h"
#include "proxy/share.h"
#include "proxy/uplink.h"
#include "proxy/worker.h"
#include "wire/mqtt_write.h"

/* ---- States ---- */

#define TO(state) (1u << CONN_##state)
static const struct {
	const char *name;
	unsigned next;
} states[CONN_STATE_COUNT] = {
#define S(name, next) [CONN_##name] = { #name, next },
	CONN_STATES(S)
#undef S
};

const char *conn_state_name(enum conn_state state)
{
	return states[state].name;
}

bool conn_may_become(enum conn_state from, enum conn_state to)
{
	return states[from].next >> to & 1;
}

void conn_enter(struct conn *c, enum conn_state to) /* the only writer of c->state */
{
	MUST(conn_may_become(c->state, to)); /* the gate has judged what a packet may do */
	LOG_DEBUG(conn_name(c), "state", "from=%s to=%s", states[c->state].name, states[to].name);
	c->state = to;
}

/* ---- Ends ---- */

static const struct conn_end_row ends[END_COUNT] = {
#define E(name, word, reason, code, flags) [END_##name] = { word, reason, code, flags },
	CONN_ENDS(E)
#undef E
};

const struct conn_end_row *conn_end_row(enum conn_end end)
{
	MUST(end < END_COUNT);
	return &ends[end];
}

/* 0x83, 0x87 and 0x8B have several rows with other meanings than a broken rule; MALFORMED and what
 * follows from a packet come first. */
enum conn_end conn_end_of(unsigned reason)
{
	for (unsigned i = 0; i < END_COUNT; i++) {
		if (reason && ends[i].reason == reason && (ends[i].flags & END_ERROR) &&
		    i != END_SLOW_READER && i != END_SLOW_SENDER)
			return (enum conn_end)i;
	}
	return END_OTHER;
}

/* ---- Beginning ---- */

void conn_new(struct door *d, int fd, const struct sock_addr *peer, struct cap *cap)
{
	struct worker *w = d->worker;
	struct conn *c = mem_zalloc(sizeof(*c));

	if (!c) {
		caps_leave(w->crew->caps, &cap);
		sock_close(&fd);
		return;
	}
	c->worker = w;
	c->door = d;
	c->peer_cap = cap;
	c->peer = *peer;
	c->serial = ++w->conn_serial;
	c->since = c->heard = loop_now(w->loop);
	c->state = CONN_GREETING;
	c->watch.fd = fd;
	c->transport.ops = d->kind->transport == &transport_tcp ? door_base(c) : d->kind->transport;
	c->packet_limit = (uint32_t)w->config->packet_max;
	c->problem_info = true;
	list_init(&c->todo);
	list_init(&c->unread);
	list_init(&c->regrant);
	list_init(&c->due);
	list_init(&c->partial_node);
	list_init(&c->badge_node);
	list_init(&c->share_node);
	share_begin(c);
	list_add_tail(&w->conns, &c->node);
	w->conn_count++;
	w->n.accepted++;
	conn_io_start(c);
}

int conn_bring(struct conn *c, struct str token)
{
	conn_forget_brought(c);
	c->brought = str_dup_z(token);
	return c->brought ? 0 : -E_NOMEM;
}

void conn_forget_brought(struct conn *c)
{
	if (c->brought)
		mem_wipe(c->brought, strlen(c->brought));
	mem_free(c->brought);
	c->brought = NULL;
}

void conn_forget_cert(struct conn *c)
{
	mem_free(c->cert);
	c->cert = NULL;
}

struct str conn_cert_told(const struct conn *c)
{
	return c->worker->config->auth_certificate ? str_c(c->cert) : STR_NONE;
}

int conn_certify(struct conn *c, struct str name)
{
	conn_forget_cert(c);
	if (name.n == 0)
		return 0;
	if (!token_cert_name_ok(name)) {
		LOG_INFO(conn_name(c), "certificate-unnamed",
		         "why=\"its name is too long, or holds what is no text\" name=%s",
		         log_esc(name));
		return 0;
	}
	c->cert = str_dup_z(name);
	return c->cert ? 0 : -E_NOMEM;
}

void conn_free(struct conn *c)
{
	struct worker *w = c->worker;

	MUST(c->state == CONN_CLOSING && !c->channel && !c->badge && !c->greet);
	conn_io_end(c);
	list_del(&c->todo);
	list_del(&c->node);
	share_forget_aliases(c);
	share_leave(c);
	w->conn_count--;
	caps_leave(w->crew->caps, &c->token_cap);
	caps_leave(w->crew->caps, &c->customer_cap);
	caps_leave(w->crew->caps, &c->peer_cap);
	inflight_free(&c->inflight);
	inflight_free(&c->released);
	filters_free(&c->filters);
	in_subscribe_forget(c);
	grants_forget(&c->granting);
	grants_forget(&c->regranting);
	conn_forget_brought(c);
	conn_forget_cert(c);
	mem_free(c->client_id);
	mem_free(c->will_topic);
	mem_free(c);
}

/* ---- The end ---- */

const char *conn_name(const struct conn *c)
{
	static _Thread_local char room[420];
	int n = snprintf(room, sizeof(room), "conn=w%u.%" PRIx64, c->worker->index, c->serial);

	if (c->badge)
		n += snprintf(room + n, sizeof(room) - (size_t)n, " cid=%" PRIu64,
		              c->badge->customer);
	if (c->client_id_size)
		(void)snprintf(room + n, sizeof(room) - (size_t)n, " client=%s",
		               log_esc(conn_client_id(c)));
	return room;
}

static void tell_core(struct conn *c, enum conn_state was, unsigned flags)
{
	unsigned how = 0;

	if (!c->channel)
		return;
	if (!(flags & END_SILENT) && uplink_up(c->link)) {
		if ((flags & END_WILL) && !badge_revoked(c->badge) &&
		    was == CONN_OPEN) /* before CONNACK nothing of the client's has an effect */
			how |= LINK_CLOSE_WILL;
		if (flags & END_GRACE)
			how |= LINK_CLOSE_GRACE;
		if (c->expiry_told)
			how |= LINK_CLOSE_EXPIRY;
		link_close_write(uplink_say(c), c->channel, c->generation,
		                 link_close_known((uint8_t)how, c->link->minor), c->expiry_s);
	}
	uplink_detach(c);
}

static bool said_whole(struct conn *c, unsigned reason, const struct mqtt_props *props)
{
	size_t before = buf_len(&c->out);

	mqtt_disconnect_write(&c->out, c->version, reason, props);
	if (buf_ok(&c->out) && (!c->packet_most || buf_len(&c->out) - before <= c->packet_most))
		return true;
	buf_cut(&c->out, before);
	return false;
}

/* MQTT5 4.13: only after CONNACK, and only v5 has words for it. What does not fit into the client's
 * packets is left out, the reason string first [MQTT-3.14.2-3]. */
static void tell_client(struct conn *c, unsigned reason, const char *say)
{
	struct mqtt_props props = { 0 };

	if (c->version < MQTT_V5 || reason < RC_UNSPECIFIED_ERROR)
		return;
	drain_reference(c->worker, reason, &props);
	if (say && c->problem_info) {
		props.has |= UINT64_C(1) << PROP_REASON_STRING;
		props.reason_string = str_c(say);
	}
	c->said_end = true;
	if (said_whole(c, reason, &props))
		return;
	props.has &= ~(UINT64_C(1) << PROP_REASON_STRING);
	if (!said_whole(c, reason, &props))
		(void)said_whole(c, reason, NULL);
}

/* Balancers connect and close all day to see whether we are here. */
static bool said_nothing(const struct conn *c)
{
	return c->bytes_in == 0 && (c->end == END_GONE || c->end == END_SOCKET);
}

static void log_end(const struct conn *c, const char *word)
{
	char peer[SOCK_TEXT];

	if (said_nothing(c)) {
		c->worker->n.said_nothing++;
		LOG_DEBUG(conn_name(c), "close", "why=%s in=0/0", word);
		return;
	}
	sock_text(&c->peer, peer);
	LOG_INFO(conn_name(c), "close",
	         "why=%s reason=0x%02x peer=%s%s%s transport=%s version=%u token=%" PRIu64
	         " age=%" PRId64 "ms in=%" PRIu64 "/%" PRIu64 " out=%" PRIu64 "/%" PRIu64
	         " rejected=%u undelivered=%u",
	         word, c->end_reason, peer, c->cert ? " cert=" : "",
	         c->cert ? log_esc(str_c(c->cert)) : "", c->door->kind->name, c->version,
	         c->badge ? c->badge->id : 0, loop_now(c->worker->loop) - c->since, c->msgs_in,
	         c->bytes_in, c->msgs_out, c->bytes_out, c->rejected, c->undelivered);
}

void conn_close_with(struct conn *c, enum conn_end end, unsigned reason, const char *say)
{
	const struct conn_end_row *row = conn_end_row(end);
	enum conn_state was = c->state;
	struct worker *w = c->worker;

	if (was == CONN_CLOSING)
		return;
	c->end = end;
	c->end_reason = (uint8_t)reason;
	if (was == CONN_OPEN)
		tell_client(c, reason, say ? say : row->word);
	conn_enter(c, CONN_CLOSING);
	share_ended(c);
	log_end(c, row->word);
	if (was == CONN_OPEN)
		event_disconnected(c,
		                   row->close_code == 0 || !reason || row->reason == reason
		                       ? row->close_code
		                       : (int)reason,
		                   row->word);
	tell_core(c, was, row->flags);
	badge_drop(c);
	reauth_forget(c);
	greet_free(c);
	w->n.closed++;
	if (row->flags & END_ERROR)
		w->n.errors++;
	conn_io_closing(c);
}

void conn_close(struct conn *c, enum conn_end end)
{
	conn_close_with(c, end, conn_end_row(end)->reason, NULL);
}

void conn_break(struct conn *c, unsigned reason)
{
	MUST(reason >= RC_UNSPECIFIED_ERROR); /* what readers and judges answer, if not 0 */
	conn_close_with(c, conn_end_of(reason), reason, NULL);
}

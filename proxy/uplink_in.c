/* uplink_in.c - what the core says, frame by frame. It is of the family, but read like a stranger
 * (attack B09): what makes no sense ends the link, not the process. What is for an earlier life of
 * a channel is only late. */
#include "base/base.h"
#include "proxy/badge.h"
#include "proxy/uplink.h"

#include <inttypes.h>

#include "base/log.h"
#include "proxy/auth.h"
#include "proxy/conn.h"
#include "proxy/deliver.h"
#include "proxy/finish.h"
#include "proxy/gate.h"
#include "proxy/greet.h"
#include "proxy/later.h"
#include "proxy/share.h"
#include "proxy/worker.h"
#include "wire/mqtt_write.h"

/* ---- The link itself ---- */

static bool on_ping(struct uplink *u, struct conn *c, const struct link_head *h, struct str body)
{
	(void)c;
	(void)body;
	if (h->type == LINK_PING)
		link_bare_write(uplink_out(u), LINK_PONG, 0, 0);
	return true;
}

/* True, also without memory: that is no nonsense, but this link cannot go on. */
static bool kept(struct uplink *u, struct customer_share *s, const struct link_head *h,
                 struct str body, uint32_t done)
{
	if (!later_keep(u, s, h, body, done))
		uplink_fail(u, "out of memory");
	return true;
}

static bool on_deliver(struct uplink *u, struct conn *c, const struct link_head *h, struct str body)
{
	/* written before it is read: not cleared for each message */
	struct link_deliver d __attribute__((uninitialized));
	struct customer_share *s;

	(void)c;
	if (!link_deliver_read(body, &d))
		return false;
	s = deliver_share(u, &d);
	if (s && later_due(u, s))
		return kept(u, s, h, body, 0);
	if (!deliver(u, &d, &u->entry))
		return false;
	return u->late || !u->entry || kept(u, s, h, body, u->entry);
}

static bool on_hold(struct uplink *u, struct conn *c, const struct link_head *h, struct str body)
{
	uint64_t customer;
	bool hold;

	(void)c;
	(void)h;
	if (!link_hold_read(body, &customer, &hold))
		return false;
	share_hold(u->worker, customer, hold);
	return true;
}

/* ---- A channel ---- */

static bool on_opened(struct uplink *u, struct conn *c, const struct link_head *h, struct str body)
{
	struct link_opened o;

	(void)u;
	if (!link_opened_read(body, &o) || c->state != CONN_OPENING)
		return false;
	opened_answer(c, h->flags, &o);
	if (c->state == CONN_OPEN && (h->flags & LINK_OPENED_RIGHTS))
		rights_tell_again(c);
	return true;
}

static bool on_closed(struct uplink *u, struct conn *c, const struct link_head *h, struct str body)
{
	uint8_t reason;

	(void)u;
	(void)h;
	if (!link_closed_read(body, &reason))
		return false;
	if (c->state == CONN_OPENING) {
		uplink_detach(c);
		greet_refuse(c, reason >= RC_UNSPECIFIED_ERROR ? reason : RC_SERVER_UNAVAILABLE,
		             NULL);
	} else if (reason == RC_SESSION_TAKEN_OVER) {
		conn_close(c, END_TAKEN_OVER);
	} else {
		conn_close_with(c, END_BY_CORE, reason, mqtt_reason_text(reason));
	}
	return true;
}

static bool on_finish(struct uplink *u, struct conn *c, const struct link_head *h, struct str body)
{
	(void)u;
	(void)h;
	(void)body;
	if (c->state != CONN_OPEN)
		return false;
	finish_begin(c);
	return true;
}

/* Will it answer this? What answers its own packet of nothing is no debt: else a PUBREC of nothing
 * would pay for the next one. MQTT 3 has no refusal in a PUBREC. */
static bool owes(const struct conn *c, enum mqtt_type type, uint8_t reason)
{
	if (type == MQTT_PUBREC)
		return reason < RC_UNSPECIFIED_ERROR || c->version < MQTT_V5;
	return type == MQTT_PUBREL && reason < RC_UNSPECIFIED_ERROR;
}

static bool on_ack(struct uplink *u, struct conn *c, const struct link_head *h, struct str body)
{
	uint16_t packet_id;
	uint8_t reason;

	(void)u;
	if (!link_ack_read(body, h->flags, &packet_id, &reason) || c->state != CONN_OPEN)
		return false;
	if (in_publish_acked(c, (enum mqtt_type)h->flags, packet_id, reason)) {
		c->owed += owes(c, (enum mqtt_type)h->flags, reason);
		mqtt_ack_write(conn_out(c), (enum mqtt_type)h->flags, c->version, packet_id, reason,
		               NULL);
	}
	in_publish_go_on(c);
	return true;
}

static bool on_suback(struct uplink *u, struct conn *c, const struct link_head *h, struct str body)
{
	struct buf *out;
	uint16_t packet_id;
	struct str codes;
	size_t before;

	(void)u;
	if (!link_suback_read(body, (enum link_type)h->type, &packet_id, &codes) ||
	    c->state != CONN_OPEN || packet_id == 0 || codes.n == 0)
		return false;
	if (h->type == LINK_SUBACK && !in_subscribe_answered(c, &codes))
		return true;
	out = conn_out(c);
	before = buf_len(out);
	if (h->type == LINK_SUBACK) {
		mqtt_suback_write(out, c->version, packet_id, (const uint8_t *)codes.p, codes.n,
		                  NULL);
	} else {
		mqtt_unsuback_write(out, c->version, packet_id, (const uint8_t *)codes.p, codes.n,
		                    NULL);
	}
	if (c->packet_most && buf_len(out) - before > c->packet_most) { /* [MQTT-3.1.2-24] */
		buf_cut(out, before);
		conn_close(c, END_TOO_LARGE);
	}
	in_subscribe_done(c);
	return true;
}

/* ---- The worker's own session ---- */

static bool own_suback(struct uplink *u, struct str body)
{
	uint16_t packet_id;
	struct str codes;

	if (!link_suback_read(body, LINK_SUBACK, &packet_id, &codes) || codes.n != 1)
		return false;
	if ((uint8_t)codes.p[0] >= RC_UNSPECIFIED_ERROR) {
		LOG_ERROR("", "no-pushes", "code=0x%02x", (uint8_t)codes.p[0]);
		return false;
	}
	u->subscribed = true;
	if (u->lost_once) /* what was told meanwhile, nobody here has heard */
		auth_stale_all(u->worker->auth);
	worker_link_changed(u->worker);
	return true;
}

/* ---- Which frame goes where. A row that is not here comes from the proxy only. ---- */
static const struct rule {
	bool (*run)(struct uplink *u, struct conn *c, const struct link_head *h, struct str body);
	/* c is the connection of the frame's channel and generation */
	bool channel;
} rules[] = {
	[LINK_PING] = { on_ping, false },       [LINK_PONG] = { on_ping, false },
	[LINK_DELIVER] = { on_deliver, false }, [LINK_OPENED] = { on_opened, true },
	[LINK_CLOSED] = { on_closed, true },    [LINK_ACK] = { on_ack, true },
	[LINK_SUBACK] = { on_suback, true },    [LINK_UNSUBACK] = { on_suback, true },
	[LINK_FINISH] = { on_finish, true },    [LINK_HOLD] = { on_hold, false },
};

bool uplink_frame(struct uplink *u, const struct link_head *h, struct str body)
{
	const struct rule *rule = h->type < ARRAY_LEN(rules) ? &rules[h->type] : NULL;
	struct conn *c = NULL;

	if (!rule || !rule->run)
		return false;
	if (!rule->channel)
		return rule->run(u, NULL, h, body);
	if (h->channel ==
	    0) /* ours: the answer to mbus/#; acknowledgements of events tell us nothing */
		return h->type == LINK_SUBACK ? own_suback(u, body) : h->type == LINK_ACK;
	c = uplink_find(u, h->channel, h->generation);
	if (c) {
		if (later_due(u, c->share))
			return kept(u, c->share, h, body, 0);
		slice_charge(&u->worker->slices, &c->share->deliver, SLICE_PACKET);
		return rule->run(u, c, h, body);
	}
	u->worker->n.stale_frames++;
	return true;
}

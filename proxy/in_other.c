/* in_other.c - acknowledgements, PINGREQ and DISCONNECT of a client. */
#include "base/base.h"
#include "proxy/gate.h"

#include "proxy/badge.h"
#include "proxy/uplink.h"
#include "proxy/worker.h"
#include "wire/mqtt_write.h"

/* What answers a message of ours is free; what answers nothing is paced, because nobody is charged
 * for it otherwise. Which id is on its way in which step is the session's business: the core
 * ignores and counts what does not fit (attack P28). */
void in_ack(struct conn *c, const struct mqtt_head *h, struct str body)
{
	struct mqtt_ack ack __attribute__((uninitialized)); /* as in in_publish() */
	unsigned reason = mqtt_ack_read(body, (enum mqtt_type)h->type, c->version, &ack);

	if (!reason)
		reason = gate_props(c, &ack.props);
	if (reason) {
		conn_break(c, reason);
		return;
	}
	if (c->owed)
		c->owed--;
	else if (!conn_pace(c, PACE_CONTROL, 1))
		return;
	link_ack_write(uplink_say(c), c->channel, c->generation, (enum mqtt_type)h->type,
	               ack.packet_id, ack.code);
}

void in_pingreq(struct conn *c, const struct mqtt_head *h, struct str body)
{
	(void)h;
	/* empty: mqtt_head_read looked (attack P33) */
	(void)body;
	mqtt_pingresp_write(conn_out(c));
}

/* MQTT5 3.14. A session that was to end with the connection cannot be prolonged now
 * [MQTT-3.1.2-23, 3.14.2.2.2]. */
void in_disconnect(struct conn *c, const struct mqtt_head *h, struct str body)
{
	struct mqtt_disconnect d;
	unsigned reason = mqtt_disconnect_read(body, c->version, true, &d);
	uint32_t most = (uint32_t)c->badge->quotas.token[LIMIT_SESSION_EXPIRY];

	(void)h;
	if (!reason)
		reason = gate_props(c, &d.props);
	if (!reason && mqtt_has(&d.props, PROP_SESSION_EXPIRY) && d.props.session_expiry &&
	    c->expiry_zero)
		reason = RC_PROTOCOL_ERROR;
	if (reason) {
		conn_break(c, reason);
		return;
	}
	if (mqtt_has(&d.props, PROP_SESSION_EXPIRY)) {
		c->expiry_told = true;
		c->expiry_s = d.props.session_expiry < most ? d.props.session_expiry : most;
	}
	/* Only 0x00 takes the Will back [MQTT-3.14.4-3]. Nothing is said: 0 as reason. */
	conn_close_with(c, d.code == RC_SUCCESS ? END_DISCONNECT : END_DISCONNECT_WILL, 0, NULL);
}

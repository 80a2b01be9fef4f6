/* gate.h - the decision table: which packet may have which effect, in which state, for whom. Every
 * effect that a client can cause goes through a row here; what has no row is refused (attack C20).
 * The checks on names and sizes that all handlers share are here too. */
#pragma once
#include "proxy/conn.h"
#include "proxy/feed.h"
#include "wire/link.h"
#include "wire/space.h"

struct badge;
struct worker;

struct gate_row {
	const char *name;
	uint8_t states;   /* 1 << enum conn_state: where it is legal */
	uint8_t versions; /* 1 << enum mqtt_version */
	uint8_t control;  /* what it counts as in PACE_CONTROL; 0: it is paced in another way */
	/* NULL: never legal from a client */
	void (*handle)(struct conn *c, const struct mqtt_head *h, struct str body);
};
const struct gate_row *gate_row(unsigned type);
/* RC_SUCCESS, or what to end the connection with. Pure. */
unsigned gate_judge(unsigned type, enum conn_state state, uint8_t version);

/* For feed(): owner is the connection. The reason why measuring said BAD is in c->end_reason. */
extern const struct feed_ops gate_ops;

/* ---- Checks in the client's terms ---- */
/* Both by the quotas of its token, and counted; c has a badge. */
/* bytes and levels */
bool gate_topic_fits(struct conn *c, struct str topic);
/* RC_SUCCESS, 0x95, 0x97 (attack R08) */
unsigned gate_user_props(struct conn *c, const struct mqtt_props *p);
static inline unsigned gate_props(struct conn *c, const struct mqtt_props *p)
{
	return likely(p->user_count == 0) ? RC_SUCCESS : gate_user_props(c, p);
}
/* Both ask the ACL, and remember its answer for the name (w->rights). */
/* RC_SUCCESS or 0x87 */
unsigned gate_publish(struct worker *w, const struct badge *b, struct str topic);
/* remembered for worker->deliver_serial too */
bool gate_deliver(struct worker *w, struct badge *b, struct str name);

/* ---- Handlers ---- */
/* greet.c */
void greet_connect(struct conn *c, const struct mqtt_head *h, struct str body);
/* in_publish.c */
void in_publish(struct conn *c, const struct mqtt_head *h, struct str body);
/* in_subscribe.c */
void in_subscribe(struct conn *c, const struct mqtt_head *h, struct str body);
void in_unsubscribe(struct conn *c, const struct mqtt_head *h, struct str body);
/* reauth.c */
void in_auth(struct conn *c, const struct mqtt_head *h, struct str body);
/* in_other.c */
void in_ack(struct conn *c, const struct mqtt_head *h, struct str body);
void in_pingreq(struct conn *c, const struct mqtt_head *h, struct str body);
void in_disconnect(struct conn *c, const struct mqtt_head *h, struct str body);

/* ---- What else these files offer ---- */
/* A SUBSCRIBE that was too much for one turn goes on in its customer's next one. */
void in_subscribe_go_on(struct conn *c);
/* The codes of the core's SUBACK: what it refused does not count any more. True: the client is told
 * now, *codes is the whole answer; then in_subscribe_done(). */
bool in_subscribe_answered(struct conn *c, struct str *codes) MUST_CHECK;
void in_subscribe_done(struct conn *c);
void in_subscribe_forget(struct conn *c); /* conn_free */
/* the core answered; false: not for the client */
bool in_publish_acked(struct conn *c, enum mqtt_type type, uint16_t packet_id, uint8_t reason);
/* then, after the client was told: reads on if it was held for its Receive Maximum */
void in_publish_go_on(struct conn *c);
/* A message of a client as it crosses the link: names mapped into the customer's space, properties
 * in the link's form. It borrows space, topic, p, payload, and w->scratch, which is the caller's
 * until the next such call. False: no memory. */
bool in_publish_msg(struct worker *w, const struct space *space, struct str topic,
                    const struct mqtt_props *p, struct str payload,
                    struct link_msg *out) MUST_CHECK;

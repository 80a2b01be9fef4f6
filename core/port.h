/* port.h - the seam between a session and the way its client comes in: a channel of a link
 * (core/uplink.c) or a connection of the trusted MQTT door (core/door.c). Doors turn what they read
 * into the structs of wire/link.h and call session_*; sessions answer through the port's table.
 * Home's thread only. */
#pragma once
#include "core/msg.h"

struct home;
struct session;
struct port;

struct port_send {          /* one delivery */
	uint8_t flags;      /* LINK_QOS | LINK_RETAIN | LINK_DUP */
	uint16_t packet_id; /* 0 with QoS 0 */
	uint32_t subscription_id;
};

/* None of these may call session_* from inside, nor end the port: a door that must close does so at
 * the end of the turn. */
struct port_ops {
	/* reason >= 0x80: refused, s is NULL, the port is free */
	void (*opened)(struct port *p, bool present, uint8_t reason, struct session *s);
	/* borrows m until the end of the call */
	void (*deliver)(struct port *p, struct msg *m, const struct port_send *how);
	void (*ack)(struct port *p, enum mqtt_type type, uint16_t packet_id, uint8_t reason);
	void (*suback)(struct port *p, enum link_type type, uint16_t packet_id,
	               const uint8_t *codes, size_t count);
	/* session let go of the port; do not call session_* again */
	void (*closed)(struct port *p, uint8_t reason);
};

/* embedded in the door's object, which outlives the session's use of it */
struct port {
	const struct port_ops *ops;
	struct session *session; /* NULL before opened and after closed */
	/* the door's: its output is over the mark, which counts as paused; NULL = never */
	const bool *full;
	bool paused; /* set by session_pause/resume; born true */
	/* with opened: what the token may publish is to be told again (rights.h) */
	bool tell_rights;
	bool other_token; /* with opened: the session was another token's before */
};

/* ---- What doors call (core/session.c). All check that names stay inside the session's customer: a
 * violation returns false, and the door closes the whole link: the family does not talk nonsense
 * (design section 3). ---- */
bool session_open(struct home *h, struct port *p, uint8_t flags, const struct link_open *o);
/* of the connection that has the session of this client now; NULL: none */
struct port *session_port(struct home *h, uint64_t customer, struct str client_id);
bool session_publish(struct port *p, uint8_t flags, const struct link_publish *pub);
bool session_ack(struct port *p, enum mqtt_type type, uint16_t packet_id, uint8_t reason);
bool session_subscribe(struct port *p, struct link_subscribe *s);
bool session_regrant(struct port *p, struct link_subscribe *s);
bool session_unsubscribe(struct port *p, struct link_unsubscribe *u);
void session_pause(struct port *p);
void session_resume(struct port *p);
void session_drained(struct port *p); /* *full went false */
void session_will_drop(struct port *p);
/* what it says from now on, its Will too, is said by this token */
void session_token(struct port *p, const struct link_token *t);
/* flags: LINK_CLOSE_*; the port is free afterwards, no closed() call */
void session_close(struct port *p, uint8_t flags, uint32_t session_expiry_s);
/* its link broke: as an abnormal end, but the Will waits so long for the client to come back */
void session_lost(struct port *p, int64_t grace_ms);
void session_each_sub(struct session *s, void (*visit)(void *arg, const struct link_sub *sub),
                      void *arg);
size_t session_sub_count(const struct session *s);

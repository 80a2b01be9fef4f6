/* greet.h - from CONNECT to CONNACK (greet.c: until the verdict; opened.c: from it). Worker's
 * thread only. */
#pragma once
#include "proxy/auth.h"
#include "proxy/conn.h"
#include "wire/link.h"

/* What is known of a client before it is let in. One block of memory, freed with CONNACK. */
struct greet {
	struct conn *conn;
	/* auth's; tells us, unless ask->owner was emptied */
	struct auth_ask *ask;
	/* borrows body; user name and password are wiped once they were looked at */
	struct mqtt_connect connect;
	uint32_t session_expiry; /* as agreed */
	bool assigned;           /* client id by us */
	struct str blamed;       /* the topic it is refused for (admit.c); borrows body */
	size_t size;
	uint8_t body[];
};

/* harmless without one; an ask on its way is let go */
void greet_free(struct conn *c);
/* Writes CONNACK (v3: only if it has a word for it), tells log and, if the customer is known,
 * event; closes. say: reason string or NULL. */
void greet_refuse(struct conn *c, unsigned reason, const char *say);

/* opened.c */
/* yes: takes over the reference; everything from here to OPEN */
void opened_verdict(struct conn *c, struct token *token);
/* parts of it that admit.c needs as well */
bool greet_name(struct conn *c); /* gives a client id to who has none; false: no memory */
void greet_unname(struct conn *c);
/* parts of it that another token, or another word about it, needs as well */
void opened_rates(struct conn *c);      /* as its token says */
void opened_tell_token(struct conn *c); /* the core */
/* OPENED came; flags: of its head */
void opened_answer(struct conn *c, uint8_t flags, const struct link_opened *o);

/* connack.c */
/* Tells the client that it is in. False: it takes no packet as large as the smallest CONNACK
 * [MQTT-3.1.2-24]; nothing was written. */
bool connack_write(struct conn *c, bool present, const struct link_opened *o);

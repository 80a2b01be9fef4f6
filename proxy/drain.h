/* drain.h - how a worker lets go of its clients: all at once, or some in each second, so that those
 * who come back do not all come in the same moment. Sessions stay in the core, and Wills wait as if
 * this proxy had been lost (LINK_CLOSE_GRACE).
 *
 * A client of MQTT 5 hears 0x9C or 0x9D with a Server Reference where one is configured, else 0x8B;
 * others are closed. */
#pragma once
#include "wire/mqtt.h"

struct worker;

struct drain_order {
	/* somebody else goes on accepting on our sockets: what waits in them is not ours */
	bool shared;
	int64_t deadline_ms; /* then all the others go at once; 0 = never */
};

/* ---- Any thread; each once in the life of a worker, in this order ---- */
/* Accepts no more and lets clients go at drain_rate; ends when there are none. */
void worker_drain(struct worker *w, const struct drain_order *order);
/* All go at once; it ends within 3 s. */
void worker_stop(struct worker *w);

/* ---- Own thread ---- */
void drain_init(struct worker *w);
void drain_look(struct worker *w); /* at the end of a turn: are there any clients left? */
/* Adds the Server Reference that belongs to 0x9C and 0x9D. */
void drain_reference(const struct worker *w, unsigned reason, struct mqtt_props *props);

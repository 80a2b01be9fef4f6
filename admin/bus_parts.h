/* bus_parts.h - between bus.c (life, queue) and bus_mqtt.c (packets) only. */
#pragma once
#include <stdatomic.h>

#include "admin/bus.h"
#include "base/inbox.h"
#include "base/thread.h"
#include "wire/mqtt_write.h"

enum bus_state { BUS_DOWN, BUS_OPENING, BUS_OPEN };

struct bus_item { /* one message to be published; topic and payload follow */
	struct inbox_item item;
	struct bus *bus;
	struct list node;
	uint16_t packet_id;
	size_t topic_size, payload_size;
	char bytes[];
};

struct bus {
	/* any thread */
	struct inbox *inbox;
	atomic_size_t queued, queued_bytes; /* given and not acknowledged */
	atomic_uint_fast64_t published, dropped, connects;
	atomic_bool overflowed, up, waking;
	struct inbox_item wake;         /* in the inbox while `waking` */
	size_t queue_most, queue_bytes; /* read-only */
	/* main thread */
	struct thread *thread;
	/* bus thread */
	struct loop *loop;
	char *path;
	void (*record)(void *arg, struct str topic, struct str payload);
	void *arg;
	enum bus_state state;
	struct watch watch;
	struct timer retry, greeting, ping, end_of_patience;
	struct hook end;
	struct buf in, out;
	struct list queue, in_flight; /* struct bus_item.node */
	unsigned in_flight_count, window;
	size_t packet_most; /* what the core takes */
	uint16_t last_id;
	int64_t retry_ms;
	bool following, pinged, missed, told_down, stopping;
};

void bus_drop(struct bus *b, const char *why);
void bus_soon(struct bus *b); /* bus_pump and writing at the end of this turn */
void bus_is_up(struct bus *b);
void bus_item_free(struct bus *b, struct bus_item *item);

void bus_greet(struct bus *b);
void bus_say_follow(struct bus *b); /* SUBSCRIBE or UNSUBSCRIBE, as b->following says */
void bus_pump(struct bus *b);       /* publishes as far as the window goes */
void bus_read(struct bus *b);       /* the whole packets of b->in; may drop */

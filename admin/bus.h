/* bus.h - admin's connection to the core: an MQTT 5 client on the trusted Unix socket, in a thread
 * of its own.
 *
 * Publishes go out in order with QoS 1 and are kept until they are acknowledged, across reconnects,
 * up to a bound. Whenever something may have been missed (a reconnect, an overflow, a refusal)
 * `mbus/all` tells the proxies to ask for everything. Log records are received only while somebody
 * follows. */
#pragma once
#include "base/base.h"

struct bus;

struct bus_config {
	const char *path; /* the core's mqtt.sock */
	size_t queue_most, queue_bytes;
	/* bus thread: a log record, inner topic */
	void (*record)(void *arg, struct str topic, struct str payload);
	void *arg;
};

int bus_start(struct bus **out, const struct bus_config *config)
    MUST_CHECK; /* main thread; connecting goes on in the background */
void bus_publish(struct bus *b, struct str topic,
                 struct str payload);    /* any thread; copies; never waits */
void bus_follow(struct bus *b, bool on); /* any thread */
void bus_stop(struct bus **slot); /* main thread, after the last publish: sends what it can within a
                                     second, joins */

struct bus_counters {
	uint64_t published, dropped, connects;
	bool up;
};
void bus_count(const struct bus *b, struct bus_counters *out); /* any thread */

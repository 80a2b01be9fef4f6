/* follow.h - the live log: records come from the bus thread, go to those who follow, in the service
 * thread.
 *
 * A follower sees the records of the customer acted for and of all below it, as server-sent events:
 *     event: log
 *     data: {...the record..., "log_topic":"flespi/log/...","cid":7}
 * with a comment line every 15 s. It is cut when it reads too slowly, and ends within a second or
 * two when its token does. Records that find no room between the threads are dropped and counted
 * by customer, and a customer has a share of that room; followers are told by `event: lost` what
 * was lost of their own. */
#pragma once
#include "admin/rest.h"

struct follow;

struct follow_hooks {
	void (*wanted)(void *arg,
	               bool on); /* service thread: the first follower came, the last one left */
	void (*wake)(void *arg); /* bus thread: follow_drain should run soon */
	void *arg;
};

int follow_open(struct follow **out, struct rest *r, const struct follow_hooks *hooks) MUST_CHECK;
void follow_close(struct follow **slot); /* after the bus thread and all connections have ended */

void follow_record(struct follow *f, struct str topic,
                   struct str payload); /* bus thread; inner topic customer/<cid>/... */

/* Service thread from here on. */
void follow_drain(struct follow *f); /* some of what waits; asks to be woken again for the rest */
void follow_tick(struct follow *f);  /* about every second */

struct follow_right {
	const char *uri;  /* acl_may_rest(uri, "logs", "GET"), asked again every second */
	struct str under; /* only records whose topic begins so; static */
};
/* -E_LIMIT: as many as there may be, in all or of this customer. The stream goes into the answer of
 * a call. */
int follow_add(struct follow *f, const struct token_row *token, uint64_t scope,
               const struct follow_right *right, struct http_stream **out) MUST_CHECK;

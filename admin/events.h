/* events.h - what a change tells the world: the record for the customer's log (flespi.md 5.3, 5.4)
 * and the push by which the proxies learn of it (architecture.md, "Revocation"). Collected while
 * the transaction runs, sent after its commit, so that nobody ever hears of something that did not
 * happen. Service thread. */
#pragma once
#include "admin/outlet.h"
#include "base/bytes.h"
#include "base/json.h"

enum event_kind { EVENT_CREATED, EVENT_UPDATED, EVENT_DELETED, EVENT_EXPIRED };

struct event_who { /* who did it; all zero for what admin does by itself */
	uint64_t token;
	struct str host, app; /* x-flespi-app as sent: kept only when printable */
};

struct events {
	struct buf packed;
	unsigned count;
	bool lost; /* there was no memory for one: undo the change, or tell the proxies to ask for
	              everything */
};

/* old: NULL when created; fresh: NULL when deleted; both as the API shows them, without keys. */
void events_token(struct events *e, enum event_kind kind, const json_t *old, const json_t *fresh,
                  const struct event_who *who);
void events_subaccount(struct events *e, enum event_kind kind, const json_t *old,
                       const json_t *fresh, const struct event_who *who);
void events_customer(struct events *e, const json_t *old, const json_t *fresh,
                     const struct event_who *who);

void events_push_token(struct events *e, uint64_t cid, uint64_t id,
                       const json_t *object); /* object NULL: it is gone */
/* Its tokens are to be asked for again; and, for what they left: is it blocked, or gone for good?
 */
enum customer_is { CUSTOMER_OPEN, CUSTOMER_BLOCKED, CUSTOMER_DELETED };
void events_push_customer(struct events *e, uint64_t cid, enum customer_is is);

size_t events_size(const struct events *e);
void events_send(struct events *e, const struct outlet *to); /* and empties */
void events_free(struct events *e);

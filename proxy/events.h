/* events.h - the records of a customer's log that the proxy writes:
 * flespi/log/mqtt/sessions/<client id>/<word>, with the fields and codes of flespi's records.
 * Bounded per token and second, or per customer where the token was refused, and per connection and
 * minute; what is left out is counted in the next record of the same. */
#pragma once
#include "base/bytes.h"

struct conn;

struct event_rate { /* one second's records of one cause */
	int64_t second;
	uint32_t count, dropped;
};

/* The rates of what has no badge to keep them: tokens whose last connection of a worker ended a
 * moment ago (a client that comes and goes all the time does not begin a new second each time), and
 * customers whose tokens are refused (token 0). A rate belongs to one of them: nobody spends, or is
 * told, what another one has suppressed. */
enum { EVENT_PLACES = 512, EVENT_WAYS = 8 };
struct event_past {
	uint64_t customer, token;
	struct event_rate rate;
};
/* Its place, where its rate is found again; a new one takes that of the longest silence, never one
 * of this second. NULL: all that it could have are in use in this second. second 0: it is only
 * looked for. */
struct event_past *event_past(struct event_past places[EVENT_PLACES], uint64_t customer,
                              uint64_t token, int64_t second);

enum event {
	EVENT_CONNECTED = 500,
	EVENT_BLOCKED = 501,
	EVENT_REJECTED = 502,
	EVENT_DISCONNECTED = 503,
	EVENT_SUBSCRIBED = 520,
	EVENT_UNSUBSCRIBED = 521,
	/* ours: flespi has no record of these */
	EVENT_FILTER_REFUSED = 522,
	EVENT_PUBLISH_REFUSED = 523,
};

void event_connected(struct conn *c, bool present);
/* BLOCKED, REJECTED; of its badge. topic: what was refused is a Will there; else empty */
void event_refused(struct conn *c, enum event event, unsigned reason, const char *say,
                   struct str topic);
/* BLOCKED, before there was a badge: the endpoint said no, and whose token it is */
void event_blocked(struct conn *c, uint64_t customer, uint64_t token, unsigned reason);
void event_disconnected(struct conn *c, int close_code, const char *why);
/* FILTER_REFUSED, PUBLISH_REFUSED, of a connection that goes on: the first refusal, then one in ten
 * seconds, with the number of those between. due: is one to be told? False: it is counted. say:
 * which grant is missing, or NULL */
bool event_refusal_due(struct conn *c);
void event_refusal(struct conn *c, enum event event, struct str topic, unsigned reason,
                   const char *say);
void event_subscription(struct conn *c, enum event event, struct str filter, unsigned qos);

/* Pure parts */
/* inner name */
void event_topic(struct buf *out, uint64_t customer, struct str client_id, enum event event);
/* escaped to one level (docs/architecture.md) */
void event_client_level(struct buf *out, struct str client_id);
const char *event_word(enum event event);

/* events.c - the records of a customer's log (events.h). A record is published on channel 0 of the
 * link to the customer's home, as the platform and with QoS 1, so that a subscriber who asked for
 * QoS 1 gets it so; nobody waits for the acknowledgement. What a client can cause is bounded; when
 * the link is full, records are the first to be left out. */
#include "base/base.h"
#include "proxy/events.h"

#include <inttypes.h>

#include "base/hash.h"
#include "base/json.h"
#include "proxy/badge.h"
#include "proxy/conn.h"
#include "proxy/uplink.h"
#include "proxy/worker.h"

enum {
	PER_SECOND = 50,     /* per token and worker; per customer when refused */
	PER_CONN = 60,       /* subscriptions a minute, per connection */
	REFUSAL_MS = 10000,  /* one record of a connection's refusals in so long */
	ORIGIN_SESSION = 14, /* flespi's number for MQTT sessions */
};

static const struct event_row {
	enum event event;
	const char *word, *text;
} rows[] = {
	{ EVENT_CONNECTED, "connected", "connection accepted" },
	{ EVENT_BLOCKED, "blocked", "connection blocked" },
	{ EVENT_REJECTED, "rejected", "connection rejected" },
	{ EVENT_DISCONNECTED, "disconnected", "connection closed" },
	{ EVENT_SUBSCRIBED, "subscribed", "session subscribed" },
	{ EVENT_UNSUBSCRIBED, "unsubscribed", "session unsubscribed" },
	{ EVENT_FILTER_REFUSED, "refused", "subscription refused" },
	{ EVENT_PUBLISH_REFUSED, "refused", "publish refused" },
};

static const struct event_row *row_of(enum event event)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (rows[i].event == event)
			return &rows[i];
	}
	MUST(!"an event has a row");
	return NULL;
}

const char *event_word(enum event event)
{
	return row_of(event)->word;
}

/* ---- Names ---- */

void event_client_level(struct buf *out, struct str client_id)
{
	space_level(out, client_id);
}

void event_topic(struct buf *out, uint64_t customer, struct str client_id, enum event event)
{
	buf_printf(out, "customer/%" PRIu64 "/flespi/log/mqtt/sessions/", customer);
	event_client_level(out, client_id);
	buf_printf(out, "/%s", row_of(event)->word);
}

/* ---- Bounds ---- */

struct whose {
	uint64_t customer, token; /* customer 0: nobody's, nothing is told */
	struct event_rate *rate;  /* NULL: no room for one in this second */
};

static struct whose whose(struct conn *c)
{
	struct badge *b = c->badge;

	return b ? (struct whose){ b->customer, b->id, &b->events } : (struct whose){ 0 };
}

struct event_past *event_past(struct event_past places[EVENT_PLACES], uint64_t customer,
                              uint64_t token, int64_t second)
{
	uint64_t hash = hash_mix(customer, token);
	struct event_past *oldest = NULL;

	for (size_t i = 0; i < EVENT_WAYS; i++) {
		struct event_past *p = &places[(hash + i) % EVENT_PLACES];

		if (p->customer == customer && p->token == token)
			return p;
		if (!oldest || p->rate.second < oldest->rate.second)
			oldest = p;
	}
	if (oldest->rate.second >= second)
		return NULL;
	*oldest = (struct event_past){ .customer = customer, .token = token };
	return oldest;
}

static bool room_for(struct event_rate *r, int64_t second)
{
	if (r->second != second) {
		r->second = second;
		r->count = 0;
	}
	if (r->count < PER_SECOND) {
		r->count++;
		return true;
	}
	r->dropped++;
	return false;
}

static bool room_for_conn(struct conn *c)
{
	uint32_t minute = (uint32_t)(loop_now(c->worker->loop) / 60000);

	if (c->events_minute != minute) {
		c->events_minute = minute;
		c->events = 0;
	}
	if (c->events < PER_CONN) {
		c->events++;
		return true;
	}
	c->events_dropped++;
	return false;
}

static struct uplink *way(struct conn *c,
                          const struct whose *who) /* NULL: nobody to tell, or no room */
{
	struct worker *w = c->worker;
	struct uplink *link;

	if (!w->config->events || !who->customer)
		return NULL;
	link = worker_link_of(w, who->customer);
	if (link && who->rate && !uplink_full(link, who->customer) &&
	    room_for(who->rate, loop_now(w->loop) / 1000))
		return link;
	w->n.events_dropped++;
	return NULL;
}

/* ---- Records ---- */

static void put(json_t *record, const char *key, json_t *value) /* takes value */
{
	if (json_object_set_new(record, key, value))
		json_object_clear(record); /* no memory: send sees an empty one and drops it */
}

static void put_count(json_t *record, const char *key, uint64_t value)
{
	put(record, key, json_integer((json_int_t)value));
}

static json_t *begin(const struct conn *c, const struct whose *who, const struct event_row *row)
{
	json_t *record = json_object();
	struct str id = conn_client_id(c);
	struct buf origin = { 0 };
	char peer[SOCK_TEXT];

	if (!record)
		return NULL;
	sock_text(&c->peer, peer);
	buf_str_add(&origin, STR("mqtt/sessions/"));
	event_client_level(&origin, id);
	put(record, "timestamp", json_real((double)loop_wall(c->worker->loop) / 1000.0));
	put_count(record, "event_code", row->event);
	put(record, "event_origin",
	    json_stringn((const char *)buf_data(&origin), buf_len(&origin)));
	put(record, "event_text", json_string(row->text));
	put_count(record, "origin_type", ORIGIN_SESSION);
	put(record, "origin_id", json_stringn(id.n ? id.p : "", id.n));
	put(record, "client_id", json_stringn(id.n ? id.p : "", id.n));
	put(record, "source", json_string(peer));
	if (c->cert)
		put(record, "cert", json_string(c->cert));
	put(record, "transport", json_string(c->door->kind->name));
	put_count(record, "token_id", who->token);
	buf_free(&origin);
	return record;
}

static void send(struct conn *c, const struct whose *who, struct uplink *link,
                 const struct event_row *row, json_t *record) /* takes record */
{
	struct link_publish p = { .msg.expiry_s = LINK_NO_EXPIRY };
	struct buf topic = { 0 }, payload = { 0 };

	if (who->rate->dropped) {
		put_count(record, "suppressed", who->rate->dropped);
		who->rate->dropped = 0;
	}
	event_topic(&topic, who->customer, conn_client_id(c), row->event);
	if (json_object_size(record) && json_write(&payload, record) == 0 && buf_ok(&topic)) {
		link->event_id = link->event_id == UINT16_MAX ? 1 : (uint16_t)(link->event_id + 1);
		p.packet_id = link->event_id;
		p.msg.topic = buf_str(&topic);
		p.msg.payload = buf_str(&payload);
		link_publish_write(uplink_say_of(link, who->customer), 0, 0, 1, &p);
		c->worker->n.events++;
	}
	json_decref(record);
	buf_free(&topic);
	buf_free(&payload);
}

void event_connected(struct conn *c, bool present)
{
	struct whose who = whose(c);
	struct uplink *link = way(c, &who);
	const struct event_row *row = row_of(EVENT_CONNECTED);
	json_t *record = link ? begin(c, &who, row) : NULL;

	if (!record)
		return;
	put_count(record, "version", c->version);
	put(record, "session_present", json_boolean(present));
	send(c, &who, link, row, record);
}

static void refused(struct conn *c, const struct whose *who, enum event event, unsigned reason,
                    const char *say, struct str topic)
{
	struct uplink *link = way(c, who);
	const struct event_row *row = row_of(event);
	json_t *record = link ? begin(c, who, row) : NULL;

	if (!record)
		return;
	put_count(record, "close_code", reason);
	put(record, "error_text", json_string(say ? say : mqtt_reason_text(reason)));
	if (topic.n)
		put(record, "topic", json_stringn(topic.p, topic.n));
	send(c, who, link, row, record);
}

void event_refused(struct conn *c, enum event event, unsigned reason, const char *say,
                   struct str topic)
{
	struct whose who = whose(c);

	refused(c, &who, event, reason, say, topic);
}

bool event_refusal_due(struct conn *c)
{
	if (!c->refusal_told || loop_now(c->worker->loop) - c->refusal_told >= REFUSAL_MS)
		return true;
	c->refusals_untold++;
	return false;
}

void event_refusal(struct conn *c, enum event event, struct str topic, unsigned reason,
                   const char *say)
{
	const struct event_row *row = row_of(event);
	struct whose who = whose(c);
	struct uplink *link = way(c, &who);
	json_t *record = link ? begin(c, &who, row) : NULL;

	if (!record) {
		c->refusals_untold++;
		return;
	}
	put(record, "topic", json_stringn(topic.p, topic.n));
	put_count(record, "reason_code", reason);
	put(record, "error_text", json_string(say ? say : mqtt_reason_text(reason)));
	who.rate->dropped += c->refusals_untold; /* `suppressed` */
	c->refusals_untold = 0;
	c->refusal_told = loop_now(c->worker->loop);
	send(c, &who, link, row, record);
}

void event_blocked(struct conn *c, uint64_t customer, uint64_t token, unsigned reason)
{
	struct worker *w = c->worker;
	struct event_past *past = event_past(w->past, customer, 0, loop_now(w->loop) / 1000);
	struct whose who = { customer, token, past ? &past->rate : NULL };

	refused(c, &who, EVENT_BLOCKED, reason, "token or account is not active", STR_NONE);
}

void event_disconnected(struct conn *c, int close_code, const char *why)
{
	struct whose who = whose(c);
	struct uplink *link = way(c, &who);
	const struct event_row *row = row_of(EVENT_DISCONNECTED);
	json_t *record = link ? begin(c, &who, row) : NULL;

	if (!record)
		return;
	put(record, "close_code", json_integer(close_code));
	put(record, "error_text", json_string(why));
	put(record, "duration", json_real((double)(loop_now(c->worker->loop) - c->since) / 1000.0));
	put_count(record, "msgs", c->msgs_in + c->msgs_out);
	put_count(record, "published", c->msgs_in);
	put_count(record, "received", c->msgs_out);
	put_count(record, "recv", c->bytes_in);
	put_count(record, "send", c->bytes_out);
	put_count(record, "rejected", c->rejected);
	put_count(record, "refused", c->refused);
	put_count(record, "undelivered", c->undelivered);
	if (c->events_dropped)
		put_count(record, "subscriptions_not_logged", c->events_dropped);
	send(c, &who, link, row, record);
}

void event_subscription(struct conn *c, enum event event, struct str filter, unsigned qos)
{
	struct whose who = whose(c);
	struct uplink *link = c->worker->config->events && room_for_conn(c) ? way(c, &who) : NULL;
	const struct event_row *row = row_of(event);
	json_t *record = link ? begin(c, &who, row) : NULL;

	if (!record)
		return;
	put(record, "topic", json_stringn(filter.p, filter.n));
	if (event == EVENT_SUBSCRIBED)
		put_count(record, "qos", qos);
	send(c, &who, link, row, record);
}

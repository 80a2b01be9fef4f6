/* uplink_frames.c - what a proxy says, frame by frame. Every frame is read to its last byte; what
 * does not parse, comes at the wrong time or names something outside its client's space is nonsense
 * from the family and ends the link (attacks B07, B08). A frame for an earlier life of a channel's
 * number is only late, and dropped. */
#include "base/base.h"
#include "core/uplink_parts.h"

#include <stdio.h>

#include "base/log.h"
#include "core/rights.h"
#include "core/session.h"
#include "core/work.h"
#include "wire/space.h"

/* ---- For the link itself ---- */
static bool on_hello(struct link *l, struct channel *c, const struct link_head *head,
                     struct str body)
{
	struct link_hello hello;

	(void)c;
	(void)head;
	if (l->greeted || !link_hello_read(body, &hello))
		return false;
	if (hello.major != LINK_MAJOR) {
		LOG_ERROR(l->name, "link-version", "theirs=%u.%u ours=%u.%u", hello.major,
		          hello.minor, LINK_MAJOR, LINK_MINOR);
		return false;
	}
	l->greeted = true;
	l->minor = hello.minor;
	link_tell_held(l);
	l->may = hello.minor >= LINK_MINOR_MAY ? hello.features : LINK_MAY_ALL;
	(void)snprintf(l->name, sizeof(l->name), "link=%u.%" PRIu64 " peer=%.32s", l->home->index,
	               l->uplink->serial, log_esc(hello.name));
	LOG_INFO(l->name, "link-open", "version=%u.%u", hello.major, hello.minor);
	return true;
}

static bool on_ping(struct link *l, struct channel *c, const struct link_head *head,
                    struct str body)
{
	(void)c;
	(void)body;
	if (head->type == LINK_PING) {
		link_gather_end(l);
		link_bare_write(&l->out, LINK_PONG, 0, 0);
		link_say(l);
	}
	return true;
}

static bool on_rights(struct link *l, struct channel *c, const struct link_head *head,
                      struct str body)
{
	struct link_rights rights;

	(void)c;
	return (l->may & LINK_MAY_RIGHTS) && link_rights_read(body, &rights) &&
	       rights_apply(l->home, head->flags, &rights);
}

/* ---- Life of a channel ---- */
bool link_open_run(struct channel *c, const struct link_head *head, struct str body)
{
	struct link_open o;

	if (link_open_read(body, head->flags, &o) &&
	    session_open(c->link->home, &c->port, head->flags, &o))
		return true;
	channel_free(&c);
	return false;
}

/* The channel that has the session of this client now, if another one may have to be finished. */
static struct channel *living(struct link *l, const struct link_open *o)
{
	struct port *p = session_port(l->home, o->customer, o->client_id);

	return p && p->ops == &channel_ops ? container_of(p, struct channel, port) : NULL;
}

static bool on_open(struct link *l, struct channel *c, const struct link_head *head,
                    struct str body)
{
	struct channel *old;
	struct link_open o;

	if (!(l->may & LINK_MAY_CLIENTS) || !link_open_read(body, head->flags, &o))
		return false;
	if (!c) { /* it was not parked */
		if (channel_find(l, head->channel))
			return false;
		c = channel_new(l, head->channel, head->generation, o.customer);
	}
	if (!c) {
		link_gather_end(l);
		if (!link_end(&l->out, link_opened_begin(&l->out, head->channel, head->generation,
		                                         false, RC_SERVER_BUSY, 0)))
			link_break(l, "out of memory");
		link_say(l);
		return true;
	}
	old = l->broken ? NULL : living(l, &o);
	return (old && handover_wait(old, c, head, body)) || link_open_run(c, head, body);
}

static bool on_finished(struct link *l, struct channel *c, const struct link_head *head,
                        struct str body)
{
	(void)l;
	(void)head;
	(void)body;
	handover_finished(c);
	return true;
}

static bool on_close(struct link *l, struct channel *c, const struct link_head *head,
                     struct str body)
{
	uint32_t expiry_s;

	if (!link_close_read(body, head->flags, &expiry_s))
		return false;
	if (head->flags & LINK_CLOSE_GRACE)
		session_lost(&c->port, l->home->config->will_grace);
	else
		session_close(&c->port, head->flags, expiry_s);
	channel_free(&c);
	return true;
}

static bool on_flow(struct link *l, struct channel *c, const struct link_head *head,
                    struct str body)
{
	(void)l;
	(void)body;
	if (head->type == LINK_PAUSE)
		session_pause(&c->port);
	else if (head->type == LINK_RESUME)
		session_resume(&c->port);
	else
		session_will_drop(&c->port);
	return true;
}

static bool on_token(struct link *l, struct channel *c, const struct link_head *head,
                     struct str body)
{
	struct link_token t;

	(void)l;
	(void)head;
	if (!link_token_read(body, &t))
		return false;
	session_token(&c->port, &t);
	return true;
}

/* ---- Messages ---- */

/* What a worker says by itself are records of customers' logs. What changed about tokens and
 * customers it hears like all others; it is mbus-admin that says it (attack I41). */
static bool is_record(const struct link *l, uint8_t flags, const struct link_msg *m)
{
	uint64_t customer;
	struct str name;

	return (l->may & LINK_MAY_LOG) && (flags & LINK_QOS) <= 1 && !(flags & LINK_RETAIN) &&
	       m->response_topic.n == 0 && space_of(m->topic, &customer, &name) &&
	       str_starts(name, STR("flespi/log/"));
}

/* And what it hears is this, and no customer's messages. */
static bool is_change(struct link_subscribe sub)
{
	struct link_item item;
	struct str inner;
	bool system;

	while (link_subscribe_next(&sub, &item)) {
		while (link_item_next(&item, &inner, &system)) {
			if (!str_starts(inner, STR("mbus/")))
				return false;
		}
	}
	return true;
}

static bool on_publish(struct link *l, struct channel *c, const struct link_head *head,
                       struct str body)
{
	/* written before it is read: not cleared for each message */
	struct link_publish pub __attribute__((uninitialized));

	if (!link_publish_read(body, head->flags, &pub) ||
	    (!head->channel && !is_record(l, head->flags, &pub.msg)))
		return false;
	return session_publish(&c->port, head->flags, &pub);
}

static bool on_ack(struct link *l, struct channel *c, const struct link_head *head, struct str body)
{
	uint16_t packet_id;
	uint8_t reason;

	(void)l;
	return head->channel && link_ack_read(body, head->flags, &packet_id, &reason) &&
	       session_ack(&c->port, (enum mqtt_type)head->flags, packet_id, reason);
}

static bool on_subscribe(struct link *l, struct channel *c, const struct link_head *head,
                         struct str body)
{
	struct link_subscribe sub;

	(void)l;
	if (!link_subscribe_read(body, &sub) || (!head->channel && !is_change(sub)))
		return false;
	return head->type == LINK_REGRANT ? session_regrant(&c->port, &sub)
	                                  : session_subscribe(&c->port, &sub);
}

static bool on_unsubscribe(struct link *l, struct channel *c, const struct link_head *head,
                           struct str body)
{
	struct link_unsubscribe u;

	(void)l;
	(void)head;
	return link_unsubscribe_read(body, &u) && session_unsubscribe(&c->port, &u);
}

/* ---- Whose turn a frame takes that is of no client's channel: the link's own are nobody's, but
 * messages and rights of a customer. ---- */
static struct customer *of_publish(struct link *l, struct str body, uint8_t flags)
{
	struct link_publish pub;
	struct str name;
	uint64_t id;

	if (!link_publish_read(body, flags, &pub) || !space_of(pub.msg.topic, &id, &name))
		return NULL;
	return customer_find(l->home, id);
}

static struct customer *of_open(struct link *l, struct str body, uint8_t flags)
{
	(void)flags;
	return customer_find(l->home, link_open_customer(body));
}

static struct customer *of_rights(struct link *l, struct str body, uint8_t flags)
{
	struct link_rights rights;

	(void)flags;
	return link_rights_read(body, &rights) && rights.customer
	           ? customer_find(l->home, rights.customer)
	           : NULL;
}

/* ---- Which frame goes where. A row that is not here comes from the core only. ---- */
static const struct rule {
	bool (*run)(struct link *l, struct channel *c, const struct link_head *head,
	            struct str body);
	bool live; /* c is the channel, and has a session */
	/* on channel 0: whose turn it takes; NULL: nobody's, it is done at once */
	struct customer *(*whose)(struct link *l, struct str body, uint8_t flags);
} rules[] = {
	[LINK_HELLO] = { on_hello, false },
	[LINK_PING] = { on_ping, false },
	[LINK_PONG] = { on_ping, false },
	[LINK_RIGHTS] = { on_rights, false, of_rights },
	[LINK_OPEN] = { on_open, false, of_open },
	[LINK_CLOSE] = { on_close, true, NULL },
	[LINK_FINISHED] = { on_finished, true, NULL },
	[LINK_WILL_DROP] = { on_flow, true, NULL },
	[LINK_PAUSE] = { on_flow, true, NULL },
	[LINK_TOKEN] = { on_token, true, NULL },
	[LINK_RESUME] = { on_flow, true, NULL },
	[LINK_PUBLISH] = { on_publish, true, of_publish },
	[LINK_ACK] = { on_ack, true, NULL },
	[LINK_SUBSCRIBE] = { on_subscribe, true, NULL },
	[LINK_REGRANT] = { on_subscribe, true, NULL },
	[LINK_UNSUBSCRIBE] = { on_unsubscribe, true, NULL },
};

/* A number without a channel, or of another generation: the core closed it while the frame was on
 * its way. What was said before is parked, perhaps its OPEN too. */
static struct channel *alive(struct link *l, const struct link_head *head)
{
	struct channel *c = head->channel ? channel_find(l, head->channel) : &l->self;

	if (c && (c->port.session || c->waiting || c->newcomer) &&
	    (!head->channel || c->generation == head->generation))
		return c;
	l->home->counters.stale_frames++;
	return NULL;
}

bool link_frame_run(struct link *l, struct channel *c, const struct link_head *head,
                    struct str body)
{
	if (rules[head->type].live && c->newcomer)
		return handover_hears(c, head, body);
	if (rules[head->type].live && !c->port.session) { /* taken over meanwhile */
		l->home->counters.stale_frames++;
		return true;
	}
	return rules[head->type].run(l, c, head, body);
}

bool link_frame(struct link *l, const struct link_head *head, struct str body)
{
	const struct rule *rule = head->type < ARRAY_LEN(rules) ? &rules[head->type] : NULL;
	struct home *h = l->home;
	struct channel *c = NULL;
	struct customer *whose;
	bool sense;

	if (!rule || !rule->run || (!l->greeted && head->type != LINK_HELLO))
		return false;
	if (rule->live) {
		c = alive(l, head);
		if (!c)
			return true;
		if (unlikely(c->newcomer && !c->waiting))
			return handover_hears(c, head, body);
	}
	if (likely(c && c != &l->self))
		whose = c->waiting ? c->customer : c->port.session->customer;
	else
		whose = rule->whose ? rule->whose(l, body, head->flags) : NULL;
	if (!whose)
		return rule->run(l, c, head, body);
	if (unlikely(!work_now(h, whose)))
		return link_park(l, c, whose, head, body);
	work_begin(h, whose, head->length);
	sense = rule->run(l, c, head, body);
	work_end(h, whose);
	return sense;
}

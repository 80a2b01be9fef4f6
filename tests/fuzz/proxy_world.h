/* proxy_world.h - the worker of tests/fuzz/proxy_packets.c, the core and the clients that are
 * played around it, and what is held against all that it says to either. */
#pragma once
#include "tests/fuzz/proxy_stage.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/log.h"
#include "proxy/caps.h"
#include "proxy/conn.h"
#include "proxy/listen.h"
#include "proxy/rates.h"
#include "proxy/uplink.h"
#include "proxy/worker.h"
#include "tests/kit/link_copy.h"
#include "wire/mqtt_read.h"

enum { CLIENTS = 4, CHANNELS = 64, STEPS = 400, BYTES = 256 << 10 };

/* ---- The stage ---- */

struct client {
	int fd; /* -1: not connected */
	bool deaf, greeted, let_in, over;
	uint64_t serial;
	uint8_t version;   /* 0: the proxy did not get so far */
	uint64_t customer; /* 0: not let in yet */
	uint32_t most;     /* packet size it can take, 0: any */
	struct buf in;
};

struct life { /* of a channel, as the core must see it */
	bool open, opened;
	bool left; /* the core has said so; what the worker says until it has heard it is only late
	            */
	uint16_t generation;
	uint64_t customer, token;
	uint16_t next_id;
};

static struct proxy_config config;
static struct crew crew;
static struct listener doors;
static struct worker *worker;
static struct door door;
static struct client client[CLIENTS];
static struct life life[CHANNELS];
static char folder[] = "/tmp/mbus-fuzz-XXXXXX";
static int listener = -1, core = -1;
static bool greeted;    /* the worker said HELLO on this link */
static bool raved_ever; /* in this input */
static bool raved;      /* the core: whom it closed, and what it opened, nobody knows any more */
static struct buf heard, say, asked; /* from the worker, to it, what it wants answered */
static struct buf copy;

static void remove_folder(void)
{
	char path[100];

	(void)snprintf(path, sizeof(path), "%s/link-0.sock", folder);
	(void)unlink(path);
	(void)rmdir(folder);
}

static void ready(struct crew *c)
{
	(void)c;
}

static void once(void)
{
	struct opt_set set = proxy_opts;
	static char program[] = "mbus-proxy";
	char *argv[] = { program, NULL }, path[100];
	const char *why = NULL, *what = NULL;

	if (listener >= 0)
		return;
	log_start("fuzz", LOG_ERROR + 1); /* nothing */
	rcu_thread_enter();
	set.config = &config;
	MUST(opts_read(&set, 1, argv) == OPT_RUN);
	MUST(mkdtemp(folder));
	mem_free(config.core_dir);
	config.core_dir = folder;
	config.auth_key_form = 1;
	config.packet_max = 4096;
	config.out_high = 16 << 10;
	config.out_low = 4 << 10;
	config.link_high = 64 << 10;
	config.topic_alias_max = 3;
	config.receive_maximum = 3;
	config.subscriptions_max = 5;
	config.user_properties = true;
	doors.config = &config;
	MUST(front_read(&doors.front, &config, &what, &why) == 0);
	(void)snprintf(path, sizeof(path), "%s/link-0.sock", folder);
	MUST(sock_listen_unix(&listener, path, 0600, &why) == 0);
	(void)atexit(remove_folder);
}

static void set_up(void)
{
	once();
	hash_start_with(1, 2);
	stage_now = 1000000;
	stage_told = 0;
	stage_tokens_reset();
	memset(life, 0, sizeof(life));
	raved_ever = false;
	crew = (struct crew){ .config = &config, .workers = 1, .on_ready = ready };
	MUST(caps_new(&crew.caps) == 0 && rates_new(&crew.rates) == 0);
	MUST(worker_new(&worker, &crew, 0) == 0);
	door_init(&door, worker, &door_kinds[0], &doors, -1);
	for (unsigned i = 0; i < CLIENTS; i++)
		client[i] = (struct client){ .fd = -1 };
	uplink_start(worker->link[0]);
}

/* ---- What the worker says to the core ---- */

static void core_lost(void)
{
	sock_close(&core);
	greeted = raved = false;
	buf_free(&heard);
	buf_free(&say);
	buf_free(&asked);
	for (unsigned i = 0; i < CHANNELS; i++)
		life[i].open = life[i].opened = life[i].left = false;
}

static const struct acl *rights_of(const struct life *l)
{
	const struct stage_token *t = stage_token_of(l->customer, l->token);

	MUST(t);
	return stage_acl(t->rights);
}

static struct str own_name(const struct life *l, struct str inner)
{
	struct space space;
	struct str name;

	space_make(&space, l->customer);
	MUST(space_unmap(&space, inner, &name));
	return name;
}

static void check_message(const struct life *l, const struct link_msg *m)
{
	struct str topic = own_name(l, m->topic);

	MUST(topic_name_ok(topic) && acl_may_publish(rights_of(l), topic));
	if (m->response_topic.n)
		MUST(topic_name_ok(own_name(l, m->response_topic)));
}

struct part {
	struct str text;
	unsigned count, same;
};

static void compare(void *arg, struct filter f)
{
	struct part *p = arg;

	p->count++;
	p->same += str_eq(f.text, p->text);
}

/* An inner filter is one of the parts that the rights leave of something: nothing of it is outside.
 */
static void check_items(const struct life *l, struct str body)
{
	struct link_subscribe s;
	struct link_item item;
	struct str inner;
	bool system;

	MUST(link_subscribe_read(body, &s));
	while (link_subscribe_next(&s, &item)) {
		MUST(item.code < RC_UNSPECIFIED_ERROR || item.count == 0);
		while (link_item_next(&item, &inner, &system)) {
			struct part p = { .text = own_name(l, inner) };

			MUST(topic_filter_ok(p.text));
			MUST(acl_intersect(rights_of(l), p.text, compare, &p) == 1);
			MUST(p.same == 1);
		}
	}
}

static void check_open(struct life *l, const struct link_head *h, struct str body)
{
	const struct stage_token *t;
	struct link_open o;

	MUST((!l->open || raved) && link_open_read(body, h->flags, &o));
	t = stage_token_of(o.customer, o.token);
	MUST(t && t->given && t->rights != NOTHING);
	*l = (struct life){
		.open = true, .generation = h->generation, .customer = o.customer, .token = o.token
	};
	if (h->flags & LINK_OPEN_WILL)
		check_message(l, &o.will);
}

static void check_channel(struct life *l, const struct link_head *h, struct str body)
{
	struct link_publish p;
	struct link_token t;

	if (h->type == LINK_OPEN) {
		check_open(l, h, body);
		return;
	}
	MUST((l->open || l->left || raved) && l->generation == h->generation);
	MUST(l->opened || l->left || raved || h->type == LINK_CLOSE || h->type == LINK_WILL_DROP);
	if (h->type == LINK_PUBLISH) {
		MUST(link_publish_read(body, h->flags, &p));
		check_message(l, &p.msg);
	} else if (h->type == LINK_SUBSCRIBE || h->type == LINK_REGRANT) {
		check_items(l, body);
	} else if (h->type == LINK_TOKEN) {
		MUST(link_token_read(body, &t) && stage_token_of(l->customer, t.token));
		l->token = t.token;
	} else if (h->type == LINK_CLOSE) {
		l->open = l->opened = l->left = false;
	} else {
		MUST(h->type == LINK_ACK || h->type == LINK_UNSUBSCRIBE || h->type == LINK_PAUSE ||
		     h->type == LINK_RESUME || h->type == LINK_WILL_DROP);
	}
}

/* Of the worker itself: its greeting, and the log of its customers. */
static void check_self(const struct link_head *h, struct str body)
{
	struct link_publish p;
	struct link_rights r;
	struct link_hello hello = { .major = LINK_MAJOR, .homes = 1, .name = STR("played") };
	const uint8_t granted = 0;

	switch (h->type) {
	case LINK_HELLO:
		MUST(!greeted);
		greeted = true;
		link_hello_write(&say, &hello);
		break;
	case LINK_SUBSCRIBE:
		link_suback_write(&say, LINK_SUBACK, 0, 0, 1, &granted, 1);
		break;
	case LINK_PUBLISH:
		MUST(link_publish_read(body, h->flags, &p));
		MUST(str_starts(p.msg.topic, STR("customer/7/flespi/log/mqtt/")) ||
		     str_starts(p.msg.topic, STR("customer/8/flespi/log/mqtt/")));
		MUST(topic_name_ok(p.msg.topic));
		break;
	case LINK_RIGHTS:
		MUST(link_rights_read(body, &r) && stage_token_of(r.customer, r.token));
		break;
	default:
		MUST(h->type == LINK_PING || h->type == LINK_PONG);
	}
}

static void hear_frames(void)
{
	struct link_head h;
	struct str frame;

	while (link_head_read(buf_str(&heard), &h) == PARSE_OK) {
		frame = str_make(buf_data(&heard), h.length);
		buf_reset(&copy);
		MUST(link_copy(h, frame, &copy) && str_eq(buf_str(&copy), frame));
		MUST(h.channel < CHANNELS);
		MUST(greeted || h.type == LINK_HELLO);
		if (h.channel == 0)
			check_self(&h, str_skip(frame, LINK_HEAD));
		else
			check_channel(&life[h.channel], &h, str_skip(frame, LINK_HEAD));
		if (h.channel && buf_len(&asked) < BYTES)
			buf_str_add(&asked, frame);
		buf_consume(&heard, h.length);
	}
	MUST(link_head_read(buf_str(&heard), &h) != PARSE_BAD);
}

static void core_moves(void)
{
	struct sock_addr peer;
	uint8_t room[16 << 10];
	ssize_t n;

	if (core < 0 && sock_accept(listener, &core, &peer))
		return;
	while ((n = recv(core, room, sizeof(room), MSG_DONTWAIT)) > 0)
		buf_bytes(&heard, room, (size_t)n);
	hear_frames();
	n = buf_len(&say) ? send(core, buf_data(&say), buf_len(&say), MSG_NOSIGNAL | MSG_DONTWAIT)
	                  : 0;
	if (n > 0)
		buf_consume(&say, (size_t)n);
	/* its end of the link may be gone: nonsense was said */
	if (worker->link[0] && worker->link[0]->state == UPLINK_DOWN)
		core_lost();
}

/* ---- What the worker says to clients ---- */

/* What step_core_delivers() wrote into the payload: whose name the message has. */
static bool is_own(const struct client *c, struct str payload)
{
	return raved_ever || (payload.n && (uint8_t)payload.p[0] == c->customer);
}

static unsigned judge_packet(const struct client *c, const struct mqtt_head *h, struct str body,
                             uint8_t version)
{
	union {
		struct mqtt_connack connack;
		struct mqtt_publish publish;
		struct mqtt_ack ack;
		struct mqtt_suback suback;
		struct mqtt_disconnect disconnect;
	} u;

	switch ((enum mqtt_type)h->type) {
	case MQTT_CONNACK:
		return mqtt_connack_read(body, version, &u.connack);
	case MQTT_PUBLISH:
		if (mqtt_publish_read(body, h->flags, version, false, &u.publish))
			return RC_MALFORMED_PACKET;
		/* the widest that any of them ever had, and the platform's part is in none */
		MUST(acl_may_receive(stage_acl(0), u.publish.topic));
		MUST(is_own(c, u.publish.payload));
		return RC_SUCCESS;
	case MQTT_PUBACK:
	case MQTT_PUBREC:
	case MQTT_PUBREL:
	case MQTT_PUBCOMP:
		return mqtt_ack_read(body, h->type, version, &u.ack);
	case MQTT_SUBACK:
	case MQTT_UNSUBACK:
		return mqtt_suback_read(body, h->type, version, &u.suback);
	case MQTT_PINGRESP:
		return RC_SUCCESS;
	case MQTT_DISCONNECT:
		return mqtt_disconnect_read(body, version, false, &u.disconnect);
	case MQTT_AUTH:
		return version == MQTT_V5 ? mqtt_auth_read(body, &u.disconnect) : RC_PROTOCOL_ERROR;
	default:
		return RC_PROTOCOL_ERROR;
	}
}

static void check_packet(struct client *c, const struct mqtt_head *h, struct str body)
{
	struct mqtt_connack connack;

	MUST(!c->over && (h->type == MQTT_CONNACK) == !c->greeted);
	if (c->version)
		MUST(judge_packet(c, h, body, c->version) == RC_SUCCESS);
	else
		MUST(judge_packet(c, h, body, MQTT_V5) == RC_SUCCESS ||
		     judge_packet(c, h, body, MQTT_V311) == RC_SUCCESS);
	if (c->most && c->let_in)
		MUST(h->size + (size_t)h->remaining <= c->most);
	if (h->type == MQTT_CONNACK) {
		MUST(body.n >= 2);
		connack.code = (uint8_t)body.p[1];
		c->greeted = true;
		c->let_in = connack.code == RC_SUCCESS;
		c->over = !c->let_in;
	} else {
		MUST(c->let_in);
		c->over = h->type == MQTT_DISCONNECT;
	}
}

static void client_reads(struct client *c)
{
	uint8_t room[16 << 10];
	struct mqtt_head h;
	ssize_t n;

	if (c->fd < 0 || c->deaf)
		return;
	while ((n = recv(c->fd, room, sizeof(room), MSG_DONTWAIT)) > 0)
		buf_bytes(&c->in, room, (size_t)n);
	while (mqtt_head_read(buf_str(&c->in), &h) == PARSE_OK &&
	       h.size + (size_t)h.remaining <= buf_len(&c->in)) {
		check_packet(c, &h, str_make(buf_data(&c->in) + h.size, h.remaining));
		buf_consume(&c->in, h.size + (size_t)h.remaining);
	}
	MUST(mqtt_head_read(buf_str(&c->in), &h) != PARSE_BAD);
}

/* What the proxy knows of its client, while it does. */
static void learn(void)
{
	struct conn *c;

	list_each(c, &worker->conns, struct conn, node) {
		for (unsigned i = 0; i < CLIENTS; i++) {
			if (client[i].fd < 0 || client[i].serial != c->serial)
				continue;
			client[i].version = c->version;
			client[i].most = c->packet_most;
			if (c->badge)
				client[i].customer = c->badge->customer;
		}
	}
}

static void turn(void)
{
	loop_turn(worker->loop, 0);
	learn();
	core_moves();
	for (unsigned i = 0; i < CLIENTS; i++)
		client_reads(&client[i]);
}

/* proxy_packets.c - fuzz target: a whole worker of the proxy between clients and a core that are
 * played here. What clients send, when they come and go, what the authentication says and when,
 * what the core answers or makes up, and how time passes is the input's; the worker's loop is
 * turned by hand. Held against what happens:
 *
 *   - towards the core: only frames that parse and are canonical; nothing for a channel before OPEN
 *     and after CLOSE; OPEN only with a token that was let in; every name inside the customer's
 *     prefix and within the rights of that very moment (attacks P01 to P34, T05 to T10, C01 to
 * C09);
 *   - towards a client: only packets that parse; CONNACK first and once; nothing but that before it
 * is let in, and nothing after a refusal or DISCONNECT; nothing it may never receive;
 *   - afterwards: no connection, token, badge, channel or byte is left.
 *
 * Input: a list of steps, see steps[]. */
#include "tests/fuzz/proxy_stage.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/log.h"
#include "proxy/caps.h"
#include "proxy/conn.h"
#include "proxy/front.h"
#include "proxy/rates.h"
#include "proxy/uplink.h"
#include "proxy/worker.h"
#include "tests/kit/link_copy.h"
#include "wire/mqtt_read.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CLIENTS = 4, CHANNELS = 64, STEPS = 400, BYTES = 256 << 10 };

/* ---- The stage ---- */

struct client {
	int fd; /* -1: not connected */
	bool deaf, greeted, let_in, over;
	uint64_t serial;
	uint8_t version; /* 0: the proxy did not get so far */
	uint32_t most;   /* packet size it can take, 0: any */
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
static struct front front;
static struct worker *worker;
static struct door door;
static struct client client[CLIENTS];
static struct life life[CHANNELS];
static char folder[] = "/tmp/mbus-fuzz-XXXXXX";
static int listener = -1, core = -1;
static bool greeted; /* the worker said HELLO on this link */
static bool raved;   /* the core: whom it closed, and what it opened, nobody knows any more */
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
	MUST(front_read(&front, &config, &what, &why) == 0);
	(void)snprintf(path, sizeof(path), "%s/link-0.sock", folder);
	MUST(sock_listen_unix(&listener, path, 0600, &why) == 0);
	(void)atexit(remove_folder);
}

static void set_up(void)
{
	once();
	hash_start_with(1, 2);
	stage_now = 1000000;
	stage_tokens_reset();
	memset(life, 0, sizeof(life));
	crew = (struct crew){ .config = &config, .front = &front, .workers = 1, .on_ready = ready };
	MUST(caps_new(&crew.caps) == 0 && rates_new(&crew.rates) == 0);
	MUST(worker_new(&worker, &crew, 0) == 0);
	door_init(&door, worker, &door_kinds[0], -1);
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

	(void)c;
	switch ((enum mqtt_type)h->type) {
	case MQTT_CONNACK:
		return mqtt_connack_read(body, version, &u.connack);
	case MQTT_PUBLISH:
		if (mqtt_publish_read(body, h->flags, version, false, &u.publish))
			return RC_MALFORMED_PACKET;
		/* the widest that any of them ever had, and the platform's part is in none */
		MUST(acl_may_receive(stage_acl(0), u.publish.topic));
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

/* ---- Steps ---- */

static void leave(struct client *c)
{
	sock_close(&c->fd);
	buf_free(&c->in);
	*c = (struct client){ .fd = -1 };
}

static void come(struct client *c)
{
	struct sock_addr peer = { .bytes = {
				      [10] = 255, [11] = 255, [12] = 192, [14] = 2, [15] = 9 } };
	struct cap *cap = NULL;
	int pair[2];

	MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
	MUST(caps_enter_peer(crew.caps, &peer, config.connections_max, config.connections_per_ip,
	                     &cap) == 0);
	*c = (struct client){ .fd = pair[0], .serial = worker->conn_serial + 1 };
	conn_new(&door, pair[1], &peer, cap);
}

/* u8 client, u16 length, bytes */
static void step_send(struct take *t)
{
	uint8_t who;
	uint16_t n;
	struct str bytes = STR_NONE;
	struct client *c;

	if (!take_u8(t, &who) || !take_u16(t, &n))
		return;
	(void)take_bytes(t, size_min(n, take_left(t)), &bytes);
	c = &client[who % CLIENTS];
	if (c->fd < 0)
		come(c);
	if (bytes.n)
		(void)!send(c->fd, bytes.p, bytes.n, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (who & 128) /* else it lies in the socket beside what comes next */
		turn();
}

static void step_leave(struct take *t)
{
	uint8_t who;

	if (take_u8(t, &who) && client[who % CLIENTS].fd >= 0)
		leave(&client[who % CLIENTS]);
	turn();
}

static void step_deaf(struct take *t)
{
	uint8_t who;

	if (take_u8(t, &who))
		client[who % CLIENTS].deaf = !client[who % CLIENTS].deaf;
}

static void step_turn(struct take *t)
{
	(void)t;
	turn();
}

static void step_answer(struct take *t)
{
	(void)t;
	stage_answer();
	turn();
}

/* u8 which, u8 rights */
static void step_change(struct take *t)
{
	uint8_t which, rights;

	if (take_u8(t, &which) && take_u8(t, &rights))
		stage_change(worker, which, rights);
	turn();
}

/* u8: so many tenths of a second, squared */
static void step_time(struct take *t)
{
	uint8_t n;

	if (take_u8(t, &n))
		stage_now += (int64_t)n * n * 10;
	turn();
}

static void say_opened(const struct link_head *h, uint8_t mode)
{
	struct life *l = &life[h->channel];
	const struct link_sub subs[] = { { STR("a/#"), 1, 5 }, { STR("$share/g/b/#"), 2, 0 } };
	bool present = mode & 2, refused = mode & 1;
	size_t frame = link_opened_begin(&say, h->channel, h->generation, present && !refused,
	                                 refused ? RC_QUOTA_EXCEEDED : RC_SUCCESS,
	                                 present && !refused ? 2 : 0);

	for (size_t i = 0; present && !refused && i < ARRAY_LEN(subs); i++)
		link_opened_add(&say, &subs[i]);
	link_end(&say, frame);
	if (l->open && l->generation == h->generation) {
		l->open = l->opened = !refused;
		l->left = refused;
	}
}

static void say_codes(const struct link_head *h, struct str body, uint8_t mode)
{
	struct link_subscribe s;
	struct link_item item;
	uint8_t codes[256];
	size_t n = 0;

	if (!link_subscribe_read(body, &s))
		return;
	while (n < sizeof(codes) && link_subscribe_next(&s, &item))
		codes[n++] = item.code ? item.code : mode & 4 ? RC_QUOTA_EXCEEDED : item.opts & 3;
	link_suback_write(&say, LINK_SUBACK, h->channel, h->generation, s.packet_id, codes, n);
}

static void say_ack(const struct link_head *h, struct str body, uint8_t mode)
{
	struct link_publish p;
	uint16_t id;
	uint8_t code, reason = mode & 4 ? RC_QUOTA_EXCEEDED : RC_SUCCESS;

	if (h->type == LINK_PUBLISH) {
		if (link_publish_read(body, h->flags, &p) && p.packet_id)
			link_ack_write(&say, h->channel, h->generation,
			               (h->flags & LINK_QOS) == 1 ? MQTT_PUBACK : MQTT_PUBREC,
			               p.packet_id, reason);
	} else if (link_ack_read(body, h->flags, &id, &code) &&
	           (h->flags == MQTT_PUBREL || h->flags == MQTT_PUBREC)) {
		link_ack_write(&say, h->channel, h->generation,
		               h->flags == MQTT_PUBREL ? MQTT_PUBCOMP : MQTT_PUBREL, id,
		               RC_SUCCESS);
	}
}

static void say_unsuback(const struct link_head *h, struct str body)
{
	struct link_unsubscribe u;
	static const uint8_t codes[256];

	if (link_unsubscribe_read(body, &u))
		link_suback_write(&say, LINK_UNSUBACK, h->channel, h->generation, u.packet_id,
		                  codes, size_min(u.count, sizeof(codes)));
}

/* u8 mode: bit 0 no, bit 1 a session was there, bit 2 quota. Everything that waits is answered. */
static void step_core_answers(struct take *t)
{
	struct link_head h;
	struct str body;
	uint8_t mode;

	if (core < 0 || !take_u8(t, &mode))
		return;
	while (link_head_read(buf_str(&asked), &h) == PARSE_OK) {
		body = str_make(buf_data(&asked) + LINK_HEAD, h.length - LINK_HEAD);
		if (h.type == LINK_OPEN)
			say_opened(&h, mode);
		else if (h.type == LINK_SUBSCRIBE)
			say_codes(&h, body, mode);
		else if (h.type == LINK_UNSUBSCRIBE)
			say_unsuback(&h, body);
		else if (h.type == LINK_PUBLISH || h.type == LINK_ACK)
			say_ack(&h, body, mode);
		buf_consume(&asked, h.length);
	}
	turn();
	turn();
}

/* u8 mask of channels, u8 flags (bits 0-3 as the link's, bit 4 another customer's name, bit 5 big),
 * u8 length, topic */
static void step_core_delivers(struct take *t)
{
	static const char big[24 << 10];
	struct link_entry entries[8];
	struct link_deliver d = { .timestamp_ms = 5, .customer = 7, .token = 70 };
	uint8_t mask, flags, n, qos;
	struct str topic;

	if (!take_u8(t, &mask) || !take_u8(t, &flags) || !take_u8(t, &n) ||
	    !take_bytes(t, size_min(n, take_left(t)), &topic) || core < 0)
		return;
	qos = (flags & LINK_QOS) == 3 ? 0 : flags & LINK_QOS;
	if (qos == 0)
		flags &= (uint8_t)~LINK_QOS;
	for (unsigned i = 0; i < 8; i++) {
		struct life *l = &life[i + 1];

		if (!(mask >> i & 1) || !l->opened)
			continue;
		entries[d.count++] = (struct link_entry){
			.channel = i + 1,
			.generation = l->generation,
			.flags = qos ? flags & 15 : flags & LINK_RETAIN,
			.packet_id = qos ? ++l->next_id : 0,
			.subscription_id = flags >> 6,
		};
		d.customer = l->customer;
	}
	if (d.count == 0 || !topic_name_ok(topic))
		return;
	d.msg.prefix = (d.customer == 7) == !(flags & 16) ? STR("customer/7/") : STR("customer/8/");
	d.msg.topic = topic;
	d.msg.payload = flags & 32 ? str_make(big, sizeof(big)) : STR("payload");
	d.msg.expiry_s = LINK_NO_EXPIRY;
	link_deliver_write(&say, &d, entries, d.count);
	turn();
	turn();
}

/* u8 channel, u8 reason */
static void step_core_closes(struct take *t)
{
	uint8_t which, reason;
	struct life *l;

	if (!take_u8(t, &which) || !take_u8(t, &reason) || core < 0)
		return;
	l = &life[1 + which % 8];
	if (!l->open)
		return;
	link_closed_write(&say, 1 + which % 8, l->generation, reason);
	l->open = l->opened = false;
	l->left = true;
	turn();
	turn();
}

/* u16 length, bytes: anything. The link may not survive it. */
static void step_core_raves(struct take *t)
{
	struct str bytes;
	uint16_t n;

	if (!take_u16(t, &n))
		return;
	(void)take_bytes(t, size_min(n, take_left(t)), &bytes);
	if (core >= 0) {
		buf_str_add(&say, bytes);
		raved = true;
	}
	turn();
	turn();
}

static void step_core_dies(struct take *t)
{
	(void)t;
	if (core >= 0)
		core_lost();
	turn();
}

static void (*const steps[])(struct take *t) = {
	step_send, step_turn,  step_core_answers, step_core_delivers, step_answer,    step_change,
	step_time, step_leave, step_core_closes,  step_core_raves,    step_core_dies, step_deaf,
};

/* ---- The end: everything goes, and nothing is left ---- */

static void tear_down(void)
{
	for (unsigned i = 0; i < CLIENTS; i++)
		leave(&client[i]);
	while (stage_waiting)
		stage_answer();
	for (unsigned i = 0; i < 40 && worker->conn_count; i++) {
		stage_now += 1000;
		turn();
	}
	MUST(worker->conn_count == 0 && list_empty(&worker->conns) && list_empty(&worker->dirty));
	MUST(worker->partial == 0 && worker->waiting == 0 && worker->badges.count == 0);
	for (uint32_t i = 1; i < worker->link[0]->channels; i++)
		MUST(!worker->link[0]->channel[i].conn);
	for (unsigned i = 1; i < CHANNELS && core >= 0; i++)
		MUST(!life[i].open || raved);
	worker->stopping = true;
	turn();
	for (unsigned i = 0; i < LINK_HOMES_MAX; i++)
		uplink_free(&worker->link[i]);
	core_lost();
	worker_free(&worker);
	caps_free(&crew.caps); /* every place was given back, or it says so */
	rates_free(&crew.rates);
	for (int fd; sock_accept(listener, &fd, &(struct sock_addr){ .port = 0 }) == 0;)
		sock_close(&fd);
	for (unsigned i = 0; i < TOKENS; i++)
		MUST(stage_tokens[i].refs == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct take t = take_from(data, size);
	uint8_t step;

	set_up();
	for (unsigned i = 0; i < 6; i++) { /* until the link is up */
		stage_now += 8;
		turn();
	}
	for (unsigned i = 0; i < STEPS && take_u8(&t, &step); i++)
		steps[step % ARRAY_LEN(steps)](&t);
	tear_down();
	return 0;
}

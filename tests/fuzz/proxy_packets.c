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
#include "tests/fuzz/proxy_world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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
	MUST(caps_enter_peer(crew.caps, &peer, 0, config.connections_max, config.connections_per_ip,
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
	static char payload[24 << 10];
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
	/* the payload tells whose name it is: is_own() */
	payload[0] = (d.customer == 7) == !(flags & 16) ? 7 : 8;
	d.msg.prefix = payload[0] == 7 ? STR("customer/7/") : STR("customer/8/");
	d.msg.topic = topic;
	d.msg.payload = str_make(payload, flags & 32 ? sizeof(payload) : 8);
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
		raved = raved_ever = true;
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
	MUST(worker->partial.bytes == 0 && worker->partial_strangers.bytes == 0);
	MUST(worker->waiting == 0 && worker->badges.count == 0);
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

/* core_link.c - fuzz target: a home of the core that two proxies speak to over the link. What they
 * say is the input's: frames that make sense, frames with any body, any bytes, silence, a link that
 * is cut, time. Held against what happens:
 *
 *   - the core says only frames that parse and are canonical, HELLO first, and what is for a
 * channel only to the life of the channel that was opened (attacks B07, B08, T17);
 *   - a message reaches a client only if its name is in the customer's space and one of the filters
 * that this customer's clients ever had matches it (T01, T05, T12);
 *   - what is nonsense ends that link, not the process, and no other link;
 *   - when all links are gone and every session's time has come, nothing is left of any customer
 * but what it retained.
 *
 * Input: a list of steps, see steps[]. */
#include "base/base.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "core/uplink_parts.h"
#include "core/work.h"
#include "tests/kit/link_copy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LINKS = 2, CHANNELS = 8, STEPS = 400, FILTERS = 128, CUSTOMERS = 2 };

/* ---- Clocks that only move when told ---- */
static int64_t now;

int64_t clock_mono_ms(void)
{
	return now;
}

int64_t clock_mono_us(void)
{
	return now * 1000;
}

int64_t clock_thread_us(void)
{
	return clock_mono_us();
}

int64_t clock_wall_ms(void)
{
	return INT64_C(1700000000000) + now;
}

void clock_shift(int64_t mono_ms, int64_t wall_ms)
{
	(void)wall_ms;
	now += mono_ms;
}

/* ---- The stage ---- */
struct life {              /* of a channel, as the proxy made it */
	uint64_t customer; /* 0: never opened */
	uint16_t generation;
	bool opened; /* OPENED was there */
};

struct proxy {
	int fd; /* -1: no link */
	bool greeted;
	struct life life[CHANNELS];
	struct buf out, in, owes; /* owes: acknowledgements of what was delivered */
};

static struct core_config config;
static struct home *home;
static struct uplink *uplink;
static struct proxy proxy[LINKS];
/* inner filters that clients of a customer ever had */
static struct {
	struct str text;
	uint64_t customer;
} filters[FILTERS];
static unsigned filter_count;
static bool anything; /* filters came in frames that we did not write */
static struct buf copy;
static char path[64];

static void remove_path(void)
{
	(void)unlink(path);
}

static void once(void)
{
	static char program[] = "mbus-core";
	char *argv[] = { program, NULL };
	struct opt_set set = core_opts;
	const char *why;

	if (path[0])
		return;
	log_start("fuzz", LOG_ERROR + 1); /* nothing */
	set.config = &config;
	MUST(opts_read(&set, 1, argv) == OPT_RUN && core_config_finish(&config, &why) == 0);
	config.queue_messages = 20;
	config.inbound_max = 10;
	config.customer_sessions = 12;
	config.subscriptions = 8;
	config.retained_messages = 10;
	config.will_rate = 2;
	(void)snprintf(path, sizeof(path), "/tmp/mbus-fuzz-%d.sock", (int)getpid());
	(void)atexit(remove_path);
}

static void plug_in(struct proxy *p)
{
	struct link_hello hello = { .major = LINK_MAJOR,
		                    .minor = LINK_MINOR,
		                    .features = LINK_MAY_ALL,
		                    .name = STR("fuzz") };
	int pair[2];

	MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
	*p = (struct proxy){ .fd = pair[0] };
	MUST(uplink_take(uplink, pair[1]) == 0);
	link_hello_write(&p->out, &hello);
}

static void pull_out(struct proxy *p)
{
	if (p->fd >= 0)
		close(p->fd);
	buf_free(&p->out);
	buf_free(&p->in);
	buf_free(&p->owes);
	*p = (struct proxy){ .fd = -1 };
}

static void set_up(void)
{
	const char *why;

	once();
	hash_start_with(1, 2);
	now = 1000000;
	config.link_high = 8 << 20;
	config.customer_input = 1 << 20;
	filter_count = 0;
	anything = false;
	MUST(home_new(&home, &config, 0, &why) == 0);
	MUST(uplink_open(&uplink, home, path, &why) == 0);
	for (unsigned i = 0; i < LINKS; i++)
		plug_in(&proxy[i]);
}

/* ---- What the core says ---- */
/* NULL: of an earlier life, or one that bytes of the input began. Nobody was told something before
 * he came. */
static const struct life *life_of(const struct proxy *p, uint32_t channel, uint16_t generation)
{
	const struct life *l = &p->life[channel % CHANNELS];

	MUST(anything || (channel < CHANNELS && l->customer && generation <= l->generation));
	return l->customer && l->generation == generation ? l : NULL;
}

static void open_life(struct proxy *p, const struct link_head *h)
{
	if (life_of(p, h->channel, h->generation))
		p->life[h->channel % CHANNELS].opened = true;
}

/* To a proxy it is nonsense that comes before OPENED. */
static bool is_open(const struct life *l)
{
	return anything || !l || l->opened;
}

static void check_name(const struct life *l, struct str inner)
{
	struct space space;
	struct str name;
	bool wanted = anything;

	if (!l)
		return;
	space_make(&space, l->customer);
	MUST(anything || space_unmap(&space, inner, &name));
	for (unsigned i = 0; i < filter_count && !wanted; i++)
		wanted = filters[i].customer == l->customer &&
		         topic_match((struct filter){ filters[i].text, true }, name);
	MUST(wanted);
}

static void check_deliver(struct proxy *p, struct str body)
{
	struct link_deliver d;

	MUST(link_deliver_read(body, &d));
	for (uint32_t i = 0; i < d.count; i++) {
		struct link_entry e = link_deliver_entry(&d, i);

		if (e.channel == 0) {
			MUST((e.flags & LINK_QOS) == 0);
			continue;
		}
		MUST(is_open(life_of(p, e.channel, e.generation)));
		check_name(life_of(p, e.channel, e.generation), d.msg.topic);
		MUST(!(e.flags & LINK_QOS) == !e.packet_id);
		if (e.packet_id && buf_len(&p->owes) < 4096)
			link_ack_write(&p->owes, e.channel, e.generation,
			               (e.flags & LINK_QOS) == 1 ? MQTT_PUBACK : MQTT_PUBREC,
			               e.packet_id, RC_SUCCESS);
	}
}

static void check_frame(struct proxy *p, const struct link_head *h, struct str frame)
{
	struct str body = str_skip(frame, LINK_HEAD);

	buf_reset(&copy);
	MUST(link_copy(*h, frame, &copy) && str_eq(buf_str(&copy), frame));
	MUST(p->greeted == (h->type != LINK_HELLO));
	p->greeted = true;
	switch (h->type) {
	case LINK_HELLO:
	case LINK_PING:
	case LINK_PONG:
	case LINK_HOLD:
		break;
	case LINK_DELIVER:
		check_deliver(p, body);
		break;
	case LINK_OPENED:
		open_life(p, h);
		break;
	case LINK_CLOSED:
	case LINK_ACK:
	case LINK_SUBACK:
	case LINK_UNSUBACK:
		if (h->channel)
			(void)life_of(p, h->channel, h->generation);
		if (h->type == LINK_ACK && h->flags == MQTT_PUBREC)
			link_ack_write(&p->owes, h->channel, h->generation, MQTT_PUBREL,
			               (uint16_t)((uint8_t)body.p[0] | (uint8_t)body.p[1] << 8), 0);
		break;
	case LINK_FINISH: /* the answer comes late, or never */
		MUST(is_open(life_of(p, h->channel, h->generation)));
		link_bare_write(&p->owes, LINK_FINISHED, h->channel, h->generation);
		break;
	default:
		MUST(!"a frame that a core says");
	}
}

static void hear(struct proxy *p)
{
	static uint8_t room[64 << 10];
	struct link_head h;
	ssize_t n = 0;

	if (p->fd < 0)
		return;
	while ((n = recv(p->fd, room, sizeof(room), 0)) > 0)
		buf_bytes(&p->in, room, (size_t)n);
	while (link_head_read(buf_str(&p->in), &h) == PARSE_OK) {
		check_frame(p, &h, str_make(buf_data(&p->in), h.length));
		buf_consume(&p->in, h.length);
	}
	MUST(link_head_read(buf_str(&p->in), &h) == PARSE_MORE);
	if (n == 0) { /* the core has closed it */
		pull_out(p);
		MUST(anything);
	}
}

static void turn(void)
{
	for (unsigned i = 0; i < LINKS; i++) {
		struct proxy *p = &proxy[i];
		ssize_t n = p->fd < 0 || !buf_len(&p->out)
		                ? 0
		                : send(p->fd, buf_data(&p->out), buf_len(&p->out), MSG_NOSIGNAL);

		if (n > 0)
			buf_consume(&p->out, (size_t)n);
	}
	loop_turn(home->loop, 0);
	loop_turn(home->loop, 0); /* what the turn's commit let go */
	for (unsigned i = 0; i < LINKS; i++)
		hear(&proxy[i]);
}

/* ---- Steps ---- */
static struct str inner_of(uint64_t customer, struct str name, struct buf *room)
{
	struct space space;

	buf_reset(room);
	space_make(&space, customer);
	space_map(&space, name, room);
	return buf_str(room);
}

/* u8 which: bit 0 link, bits 1-3 channel */
static struct proxy *pick(struct take *t, uint32_t *channel)
{
	uint8_t which;
	struct proxy *p;

	if (!take_u8(t, &which))
		return NULL;
	p = &proxy[which & 1];
	*channel = which >> 1 & 7;
	return p->fd < 0 ? NULL : p;
}

static bool short_text(struct take *t, struct str *out)
{
	uint8_t n;

	return take_u8(t, &n) && take_bytes(t, size_min(n, take_left(t)), out);
}

/* which, u8 how: bit 0 clean, 1 Will, 2 resume at once, 3 customer 8, 4-5 client id, 6 expiry, 7
 * small window; with a Will: text */
static void step_open(struct take *t)
{
	static struct buf room;
	static const char *const ids[] = { "a", "b", "c", "d" };
	uint32_t channel;
	struct proxy *p = pick(t, &channel);
	struct str will = STR_NONE;
	struct link_open o;
	struct life *l;
	uint8_t how;

	if (!p || !channel || !take_u8(t, &how) || (how & 2 && !short_text(t, &will)))
		return;
	l = &p->life[channel];
	if (l->customer)
		link_close_write(&p->out, channel, l->generation, 0, 0);
	*l = (struct life){ .customer = how & 8 ? 8 : 7,
		            .generation = (uint16_t)(l->generation + 1) };
	o = (struct link_open){ .version = MQTT_V5,
		                .receive_maximum = how & 128 ? 2 : 20,
		                .customer = l->customer,
		                .token = 5,
		                .session_expiry_s = how & 64 ? 3600 : 0,
		                .will_delay_s = how & 64 ? 5 : 0,
		                .client_id = str_c(ids[how >> 4 & 3]),
		                .peer = STR("local") };
	if (!topic_name_ok(will))
		how &= (uint8_t)~2;
	else
		o.will = (struct link_msg){ .topic = inner_of(l->customer, will, &room),
			                    .payload = STR("gone"),
			                    .expiry_s = LINK_NO_EXPIRY };
	link_open_write(&p->out, channel, l->generation, how & 3, &o);
	if (how & 4)
		link_bare_write(&p->out, LINK_RESUME, channel, l->generation);
}

/* which, u8 options of MQTT, text: filter */
static void step_subscribe(struct take *t)
{
	static struct buf room;
	uint32_t channel;
	struct proxy *p = pick(t, &channel);
	struct share share;
	struct str text;
	struct life *l;
	uint8_t opts;
	size_t frame, item;

	if (!p || !take_u8(t, &opts) || !short_text(t, &text) || !p->life[channel].customer)
		return;
	l = &p->life[channel];
	opts &= 0x7f;
	if ((opts & 3) == 3 || (opts >> 4 & 3) == 3 || share_split(text, &share) == SHARE_BAD ||
	    !topic_filter_ok(share.filter) || filter_count == FILTERS)
		return;
	if (share.group.n)
		opts &= (uint8_t)~4; /* no-local and shared: the proxy knows that */
	filters[filter_count].text = share.filter;
	filters[filter_count++].customer = l->customer;
	frame = link_subscribe_begin(&p->out, LINK_SUBSCRIBE, channel, l->generation, 7, opts >> 4);
	item = link_item_begin(&p->out, frame, 0, opts, text);
	link_item_inner(&p->out, item, inner_of(l->customer, share.filter, &room), true);
	link_end(&p->out, frame);
}

/* which, text: filter */
static void step_unsubscribe(struct take *t)
{
	uint32_t channel;
	struct proxy *p = pick(t, &channel);
	struct str text;
	size_t frame;

	if (!p || !short_text(t, &text) || !text.n || !p->life[channel].customer)
		return;
	frame = link_unsubscribe_begin(&p->out, channel, p->life[channel].generation, 8);
	link_unsubscribe_add(&p->out, frame, text);
	link_end(&p->out, frame);
}

/* which, u8 flags of the link (bits 4-7: packet id), text: topic */
static void step_publish(struct take *t)
{
	static struct buf room;
	uint32_t channel;
	struct proxy *p = pick(t, &channel);
	struct link_publish pub = { .packet_id = 0 };
	struct str topic;
	uint8_t flags, qos;

	if (!p || !take_u8(t, &flags) || !short_text(t, &topic) || !topic_name_ok(topic) ||
	    !p->life[channel].customer)
		return;
	qos = (flags & 3) == 3 ? 0 : flags & 3;
	pub.packet_id = qos ? (uint16_t)(1 + (flags >> 4)) : 0;
	pub.msg = (struct link_msg){ .topic = inner_of(p->life[channel].customer, topic, &room),
		                     .payload = flags & 128 ? STR_NONE : STR("payload"),
		                     .expiry_s = flags & 64 ? 3 : LINK_NO_EXPIRY };
	link_publish_write(&p->out, channel, p->life[channel].generation,
	                   (uint8_t)(qos | (flags & (qos ? 12 : 4))), &pub);
}

/* u8 which link: all acknowledgements that it owes */
static void step_acknowledge(struct take *t)
{
	uint32_t channel;
	struct proxy *p = pick(t, &channel);

	if (!p)
		return;
	buf_str_add(&p->out, buf_str(&p->owes));
	buf_reset(&p->owes);
	turn();
}

/* which, u8 kind: CLOSE with flags, PAUSE, RESUME, WILL_DROP, TOKEN */
static void step_flow(struct take *t)
{
	uint32_t channel;
	struct proxy *p = pick(t, &channel);
	struct link_token token = { .token = 6 };
	struct life *l;
	uint8_t kind;

	if (!p || !take_u8(t, &kind) || !p->life[channel].customer)
		return;
	l = &p->life[channel];
	if (kind % 5 < 3)
		link_bare_write(&p->out,
		                kind % 5 == 0   ? LINK_PAUSE
		                : kind % 5 == 1 ? LINK_RESUME
		                                : LINK_WILL_DROP,
		                channel, l->generation);
	else if (kind % 5 == 3)
		link_token_write(&p->out, channel, l->generation, &token);
	else
		link_close_write(&p->out, channel, l->generation, kind >> 4 & 3, kind);
}

/* u8 link, u8 type, u8 flags, u8 channel, u8 length, body: a head that fits, and anything */
static void step_frame(struct take *t)
{
	uint32_t channel;
	struct proxy *p = pick(t, &channel);
	uint8_t type, flags, number;
	struct str body;

	if (!p || !take_u8(t, &type) || !take_u8(t, &flags) || !take_u8(t, &number) ||
	    !short_text(t, &body))
		return;
	anything = true;
	buf_le32(&p->out, (uint32_t)(LINK_HEAD + body.n));
	buf_u8(&p->out, type % 51);
	buf_u8(&p->out, flags);
	buf_le16(&p->out, number ? p->life[number % CHANNELS].generation : 0);
	buf_le32(&p->out, number);
	buf_str_add(&p->out, body);
	turn();
}

/* u8 link, text: any bytes */
static void step_bytes(struct take *t)
{
	uint32_t channel;
	struct proxy *p = pick(t, &channel);
	struct str bytes;

	if (!p || !short_text(t, &bytes))
		return;
	anything = true;
	buf_str_add(&p->out, bytes);
	turn();
}

/* u8: so many tenths of a second, squared */
static void step_time(struct take *t)
{
	uint8_t n;

	if (take_u8(t, &n))
		now += (int64_t)n * n * 10;
	for (unsigned i = 0; i < LINKS; i++) {
		if (proxy[i].fd >= 0)
			link_bare_write(&proxy[i].out, LINK_PONG, 0, 0);
	}
	turn();
	anything = anything || n >= 22; /* the link was dead meanwhile */
}

/* u8 link: cut, or there again */
static void step_cut(struct take *t)
{
	uint8_t which;

	if (!take_u8(t, &which))
		return;
	if (proxy[which & 1].fd >= 0)
		pull_out(&proxy[which & 1]);
	else
		plug_in(&proxy[which & 1]);
	turn();
}

/* u8: what a customer may do in a turn, in units (0: as always), and how soon output waits in
 * lanes: frames are parked, operations are cut, customers are held, slow and full */
static void step_budget(struct take *t)
{
	uint8_t n;
	uint32_t slice;

	if (!take_u8(t, &n))
		return;
	slice = 1 + (n & 7u) * 25;
	home->most = (struct work_most){ slice, slice, 2 * slice, 2 * slice, 4 * slice };
	if (n == 0)
		home->most =
		    (struct work_most){ WORK_SLICE, WORK_ALONE, WORK_TURN, WORK_DIRECT, WORK_ALL };
	if (n & 16)
		uplink->marks = (struct lane_marks){ 1, 50, 200, 400 };
	if (n & 32)
		config.link_high = 300;
	if (n & 64)
		config.customer_input = 300;
}

static void step_turn(struct take *t)
{
	(void)t;
	turn();
}

static void (*const steps[])(struct take *t) = {
	step_open, step_subscribe, step_publish, step_acknowledge, step_flow,  step_unsubscribe,
	step_turn, step_time,      step_cut,     step_frame,       step_bytes, step_budget,
};

/* ---- The end ---- */
static void tear_down(void)
{
	home->most = (struct work_most){ WORK_SLICE, WORK_ALONE, WORK_TURN, WORK_DIRECT, WORK_ALL };
	for (unsigned i = 0; i < LINKS; i++)
		pull_out(&proxy[i]);
	for (unsigned i = 0; i < 12; i++) {
		now += i < 6 ? 5000 : INT64_C(7) * 86400 * 1000;
		for (unsigned k = 0; k < 4; k++)
			loop_turn(home->loop, 0);
	}
	MUST(uplink_links(uplink) == 0);
	map_each(n, &home->customers) {
		const struct customer *c = container_of(n, struct customer, node);

		MUST(c->sessions.count == 0 && c->groups.count == 0 && c->subscriptions == 0);
		MUST(tree_empty(c->tree) && c->queue_bytes == 0);
		MUST(c->id == 0 || retained_count(c->retained));
	}
	uplink_close(&uplink);
	home_free(&home);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct take t = take_from(data, size);
	uint8_t step;

	set_up();
	turn();
	for (unsigned i = 0; i < STEPS && take_u8(&t, &step); i++)
		steps[step % ARRAY_LEN(steps)](&t);
	turn();
	tear_down();
	return 0;
}

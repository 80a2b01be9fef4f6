/* abuse.c - the neighbour: one customer that takes all it can get within the limits, while another
 * mbus-bench measures what a second customer notices of it (tests/bench/neighbours runs both).
 *
 * A load is a row of a table: what a client says once CONNACK has come, the block it then repeats,
 * and the answer that it waits for between two blocks. Nothing is verified here; what comes is
 * counted and thrown away. Prints "ready" on a line of its own when all clients are prepared, and
 * one JSON line at the end. */
#include "tests/bench/bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"

enum {
	FLOOD_0 = 300,    /* messages in a block of QoS 0 */
	FLOOD_1 = 90,     /* and of QoS 1: below the receive maximum that we announce */
	CHURN = 20,       /* filters that come and go together */
	HELD = 200,       /* filters of a session that is only there */
	SHARES = 199,     /* shared filters that are given up at once */
	CONDITIONS = 100, /* of one session */
	DEEP_LEVELS = 13, /* 2^13 filters {a,+}/{a,+}/... */
	DEEP_SESSION = 900,
	BLOCK_ACKS = 1000,
	RETAINED = 5000,
	SET_UP_MS = 60000,
	REAUTHENTICATE = 0x19,
};

struct abuse;
struct client {
	int fd;
	uint32_t index;
	bool open, ready, deaf, sending;
	unsigned step;    /* of its preparation */
	unsigned answers; /* still owed for the last block */
	uint64_t round;
	struct buf in, out;
};

struct load {
	const char *name;
	/* Appends the next packet of the preparation; false: nothing is left to prepare. Each is
	 * answered by one SUBACK. NULL: nothing. */
	bool (*prepare)(struct abuse *a, struct client *c);
	/* Appends the next block; returns how many answers to wait for. NULL: the client is idle.
	 */
	unsigned (*block)(struct abuse *a, struct client *c);
	uint8_t answer; /* type of the packet that is waited for */
	bool deaf;      /* subscribers do not read once they are prepared */
	bool reconnect; /* the block is the connection itself */
	bool authenticates;
};

struct abuse {
	const struct bench_options *o;
	const struct load *load;
	struct client *client;
	size_t clients, ready;
	int epoll;
	uint64_t blocks, received, connects, closed, refused;
	struct buf text;
	uint8_t in[256 << 10];
};

static uint8_t version_of(const struct abuse *a)
{
	return a->load->authenticates ? MQTT_V5 : (uint8_t)a->o->version;
}

/* ---- What clients say ---- */

static void publishes(struct abuse *a, struct client *c, const char *topic, struct str payload,
                      uint8_t qos, unsigned count)
{
	struct mqtt_publish p = { .qos = qos, .topic = str_c(topic), .payload = payload };

	for (unsigned i = 0; i < count; i++) {
		p.packet_id = qos ? (uint16_t)(i + 1) : 0;
		mqtt_publish_write(&c->out, version_of(a), &p);
	}
}

static const char fifty[] = "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy";

static unsigned flood_0(struct abuse *a, struct client *c)
{
	publishes(a, c, "f/x", str_c(fifty), 0, FLOOD_0);
	return 0;
}

static unsigned flood_1(struct abuse *a, struct client *c)
{
	publishes(a, c, "f/x", str_c(fifty), 1, FLOOD_1);
	return FLOOD_1;
}

/* One SUBSCRIBE or UNSUBSCRIBE of filters that `name` makes from their number. */
static void filters(struct abuse *a, struct client *c, bool add, unsigned from, unsigned count,
                    uint8_t qos, void (*name)(struct abuse *a, struct client *c, unsigned i))
{
	struct str text[1000];
	struct mqtt_sub_opts opts[1000];
	size_t at[1001];

	MUST(count <= ARRAY_LEN(text));
	buf_reset(&a->text);
	for (unsigned i = 0; i < count; i++) {
		at[i] = buf_len(&a->text);
		name(a, c, from + i);
		opts[i] = (struct mqtt_sub_opts){ .qos = qos };
	}
	at[count] = buf_len(&a->text);
	for (unsigned i = 0; i < count; i++)
		text[i] = str_make((const char *)buf_data(&a->text) + at[i], at[i + 1] - at[i]);
	if (add)
		mqtt_subscribe_write(&c->out, version_of(a), 1, text, opts, count, NULL);
	else
		mqtt_unsubscribe_write(&c->out, version_of(a), 2, text, count, NULL);
}

static void name_flood(struct abuse *a, struct client *c, unsigned i)
{
	(void)c;
	(void)i;
	buf_printf(&a->text, "f/#");
}

static void name_churn(struct abuse *a, struct client *c, unsigned i)
{
	buf_printf(&a->text, "c/%u/%llu/%u/+", c->index, (unsigned long long)c->round, i);
}

/* Of a token with grants "0000/x", "0001/x" ... */
static void name_held(struct abuse *a, struct client *c, unsigned i)
{
	(void)c;
	buf_printf(&a->text, "$share/g%u/%04u/#", i, i);
}

static void name_share(struct abuse *a, struct client *c, unsigned i)
{
	(void)c;
	buf_printf(&a->text, "$share/g%03u/+/+", i);
}

static void name_owed(struct abuse *a, struct client *c, unsigned i)
{
	(void)c;
	(void)i;
	buf_printf(&a->text, "owed/q");
}

/* 400 keys to look up in the payload, each hashed anew */
static void name_condition(struct abuse *a, struct client *c, unsigned i)
{
	buf_printf(&a->text, "$filter/payload=a");
	for (unsigned n = 1; n < 400; n++)
		buf_printf(&a->text, ".a");
	buf_printf(&a->text, "==%u/t", c->index * 1000 + i);
}

static void name_deep(struct abuse *a, struct client *c, unsigned i)
{
	unsigned bits = (c->index - 1) * DEEP_SESSION + i;

	for (unsigned level = 0; level < DEEP_LEVELS; level++)
		buf_printf(&a->text, "%s/", bits >> level & 1 ? "+" : "a");
	buf_printf(&a->text, "never");
}

static bool prepare_flood(struct abuse *a, struct client *c)
{
	if (c->index == 0 || c->step)
		return false;
	filters(a, c, true, 0, 1, 0, name_flood);
	return true;
}

static bool in_pieces(struct abuse *a, struct client *c, unsigned all, unsigned piece, uint8_t qos,
                      void (*name)(struct abuse *a, struct client *c, unsigned i))
{
	unsigned from = c->step * piece;

	if (from >= all)
		return false;
	filters(a, c, true, from, all - from < piece ? all - from : piece, qos, name);
	return true;
}

static bool prepare_held(struct abuse *a, struct client *c)
{
	return in_pieces(a, c, HELD, CHURN, 0, name_held);
}

static bool prepare_conditions(struct abuse *a, struct client *c)
{
	return c->index && in_pieces(a, c, CONDITIONS, 10, 0, name_condition);
}

static bool prepare_deep(struct abuse *a, struct client *c)
{
	unsigned all = 1u << DEEP_LEVELS, from = (c->index - 1) * DEEP_SESSION;

	if (c->index == 0 || from >= all)
		return false;
	return in_pieces(a, c, all - from < DEEP_SESSION ? all - from : DEEP_SESSION, CHURN, 0,
	                 name_deep);
}

static bool prepare_owed(struct abuse *a, struct client *c)
{
	if (c->index == 0 || c->step)
		return false;
	filters(a, c, true, 0, 1, 1, name_owed);
	return true;
}

static unsigned fan_out(struct abuse *a, struct client *c)
{
	if (c->index == 0)
		publishes(a, c, "f/x", str_c(fifty), 0, 20);
	return 0;
}

static unsigned churn(struct abuse *a, struct client *c)
{
	filters(a, c, true, 0, CHURN, 0, name_churn);
	filters(a, c, false, 0, CHURN, 0, name_churn);
	return 1;
}

static unsigned auth(struct abuse *a, struct client *c)
{
	struct mqtt_props props = { 0 };

	props.has = 1ull << PROP_AUTH_METHOD | 1ull << PROP_AUTH_DATA;
	props.auth_method = STR("token");
	props.auth_data = str_c(a->o->user);
	mqtt_auth_write(&c->out, REAUTHENTICATE, &props);
	return 1;
}

static unsigned acks(struct abuse *a, struct client *c)
{
	for (unsigned i = 0; i < BLOCK_ACKS; i++)
		mqtt_ack_write(&c->out, i & 1 ? MQTT_PUBREC : MQTT_PUBACK, version_of(a),
		               (uint16_t)(i * 61 + 1), 0, NULL);
	return 0;
}

/* The publisher keeps the others' queues full; they acknowledge nothing, and take 199 shared
 * filters and give them up again. */
static unsigned owed(struct abuse *a, struct client *c)
{
	if (c->index == 0) {
		publishes(a, c, "owed/q", STR("x"), 1, FLOOD_1);
		return 0;
	}
	filters(a, c, true, 0, SHARES, 1, name_share);
	filters(a, c, false, 0, SHARES, 1, name_share);
	return 1;
}

static unsigned small_json(struct abuse *a, struct client *c)
{
	if (c->index == 0)
		publishes(a, c, "t", STR("{\"b\":1}"), 0, 20);
	return 0;
}

static unsigned deep(struct abuse *a, struct client *c)
{
	if (c->index == 0)
		publishes(a, c, "a/a/a/a/a/a/a/a/a/a/a/a/a/b", str_c(fifty), 0, 20);
	return 0;
}

/* Messages that stay: RETAINED of them, and then nothing. */
static unsigned retained(struct abuse *a, struct client *c)
{
	struct mqtt_publish p = { .qos = 1, .retain = true, .payload = STR("x") };
	char topic[32];
	unsigned from = (unsigned)c->round * FLOOD_1;

	for (unsigned i = 0; i < FLOOD_1 && from < RETAINED; i++) {
		snprintf(topic, sizeof(topic), "r/%u/%u", c->index, from + i);
		p.topic = str_c(topic);
		p.packet_id = (uint16_t)(i + 1);
		mqtt_publish_write(&c->out, version_of(a), &p);
	}
	return from < RETAINED ? FLOOD_1 : 0;
}

static const struct load loads[] = {
	{ .name = "flood-0", .block = flood_0 },
	{ .name = "flood-1", .block = flood_1, .answer = MQTT_PUBACK },
	{ .name = "fan-out", .prepare = prepare_flood, .block = fan_out },
	{ .name = "deaf", .prepare = prepare_flood, .block = fan_out, .deaf = true },
	{ .name = "filters", .block = churn, .answer = MQTT_UNSUBACK },
	{ .name = "connects", .reconnect = true },
	{ .name = "auth",
	  .prepare = prepare_held,
	  .block = auth,
	  .answer = MQTT_AUTH,
	  .authenticates = true },
	{ .name = "acks", .block = acks },
	{ .name = "hold", .prepare = prepare_held },
	{ .name = "unsubscribe", .prepare = prepare_owed, .block = owed, .answer = MQTT_UNSUBACK },
	{ .name = "conditions", .prepare = prepare_conditions, .block = small_json },
	{ .name = "retained", .block = retained, .answer = MQTT_PUBACK },
	{ .name = "deep", .prepare = prepare_deep, .block = deep },
};

/* ---- Connections ---- */

static void watch(struct abuse *a, struct client *c, int op)
{
	struct epoll_event e = { .data.ptr = c };

	e.events = (c->deaf && c->ready ? 0u : EPOLLIN) | (c->sending ? EPOLLOUT : 0u);
	epoll_ctl(a->epoll, op, c->fd, &e);
}

static int dial(struct abuse *a, struct client *c)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)a->o->port) };
	struct mqtt_connect k = { .version = version_of(a),
		                  .clean_start = true,
		                  .keep_alive = 600 };
	char id[64];
	int one = 1, small = 4096;

	if (inet_pton(AF_INET, a->o->host, &to.sin_addr) != 1)
		return -E_INVALID;
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		return -E_IO;
	if (c->deaf)
		setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	if (connect(c->fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		return -E_IO;
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	snprintf(id, sizeof(id), "%s-%s-%u", a->o->name, a->load->name, c->index);
	k.client_id = str_c(id);
	if (a->load->authenticates) {
		k.props.has = 1ull << PROP_AUTH_METHOD | 1ull << PROP_AUTH_DATA;
		k.props.auth_method = STR("token");
		k.props.auth_data = str_c(a->o->user);
	} else if (a->o->user) {
		k.has_username = true;
		k.username = str_c(a->o->user);
	}
	buf_reset(&c->in);
	buf_reset(&c->out);
	mqtt_connect_write(&c->out, &k);
	c->open = true;
	c->sending = true;
	a->connects++;
	watch(a, c, EPOLL_CTL_ADD);
	return 0;
}

static void hang_up(struct abuse *a, struct client *c)
{
	epoll_ctl(a->epoll, EPOLL_CTL_DEL, c->fd, NULL);
	close(c->fd);
	c->open = false;
	c->fd = -1;
	(void)a;
}

static void prepared(struct abuse *a, struct client *c)
{
	if (c->ready)
		return;
	c->ready = true;
	a->ready++;
	watch(a, c, EPOLL_CTL_MOD);
}

static void go_on(struct abuse *a, struct client *c)
{
	const struct load *l = a->load;

	if (!c->ready) {
		if (l->prepare && l->prepare(a, c))
			c->step++;
		else
			prepared(a, c);
		return;
	}
	if (!l->block || a->ready < a->clients || c->answers || buf_len(&c->out))
		return;
	c->answers = l->block(a, c);
	c->round++;
	a->blocks++;
}

static void on_packet(struct abuse *a, struct client *c, const struct mqtt_head *h, struct str body)
{
	a->received++;
	if (h->type == MQTT_CONNACK) {
		if (body.n < 2 || body.p[1]) {
			a->refused++;
			return;
		}
		if (a->load->reconnect) {
			prepared(a, c);
			if (a->ready == a->clients)
				hang_up(a, c);
			return;
		}
		go_on(a, c);
	} else if (!c->ready && h->type == MQTT_SUBACK) {
		go_on(a, c);
	} else if (c->answers && h->type == a->load->answer) {
		c->answers--;
	}
}

static void take_packets(struct abuse *a, struct client *c)
{
	while (c->open) {
		struct mqtt_head h;
		struct str all = buf_str(&c->in);

		if (mqtt_head_read(all, &h) != PARSE_OK || all.n < (size_t)h.size + h.remaining)
			return;
		on_packet(a, c, &h, str_make(all.p + h.size, h.remaining));
		if (c->open)
			buf_consume(&c->in, (size_t)h.size + h.remaining);
	}
}

static void lost(struct abuse *a, struct client *c)
{
	a->closed++;
	hang_up(a, c);
}

static void on_readable(struct abuse *a, struct client *c)
{
	ssize_t n = recv(c->fd, a->in, sizeof(a->in), MSG_DONTWAIT);

	if (n > 0) {
		buf_bytes(&c->in, a->in, (size_t)n);
		take_packets(a, c);
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		lost(a, c);
	}
}

static void send_more(struct abuse *a, struct client *c)
{
	bool more;
	ssize_t n;

	go_on(a, c);
	if (buf_len(&c->out)) {
		n = send(c->fd, buf_data(&c->out), buf_len(&c->out), MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno != EAGAIN && errno != EINTR) {
			lost(a, c);
			return;
		}
		if (n > 0)
			buf_consume(&c->out, (size_t)n);
	}
	/* a load without answers goes on whenever the socket takes more */
	more = buf_len(&c->out) || (c->ready && a->load->block && !a->load->answer && c->round);
	if (more != c->sending) {
		c->sending = more;
		watch(a, c, EPOLL_CTL_MOD);
	}
}

static void turn(struct abuse *a, int wait_ms)
{
	struct epoll_event e[512];
	int n = epoll_wait(a->epoll, e, ARRAY_LEN(e), wait_ms);

	for (int i = 0; i < n; i++) {
		struct client *c = e[i].data.ptr;

		if (c->open && (e[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
			on_readable(a, c);
		if (c->open)
			send_more(a, c);
		else if (a->load->reconnect && a->ready == a->clients)
			(void)dial(a, c);
	}
}

static bool set_up(struct abuse *a)
{
	uint64_t end = bench_now() + (uint64_t)SET_UP_MS * 1000000;

	for (size_t i = 0; i < a->clients; i++) {
		struct client *c = &a->client[i];

		c->index = (uint32_t)i;
		c->deaf = a->load->deaf && i;
		if (dial(a, c)) {
			fprintf(stderr, "mbus-bench: cannot connect: %s\n", strerror(errno));
			return false;
		}
		if (i % 16 == 15)
			turn(a, 1);
	}
	while (a->ready < a->clients && bench_now() < end && !a->refused && !a->closed)
		turn(a, 10);
	if (a->ready < a->clients)
		fprintf(stderr,
		        "mbus-bench: %zu of %zu clients are prepared, %llu refused, %llu closed\n",
		        a->ready, a->clients, (unsigned long long)a->refused,
		        (unsigned long long)a->closed);
	return a->ready == a->clients;
}

static void start(struct abuse *a)
{
	printf("ready\n");
	fflush(stdout);
	a->closed = a->received = 0;
	for (size_t i = 0; i < a->clients; i++) {
		if (!a->client[i].open)
			(void)dial(a, &a->client[i]);
		else if (a->load->reconnect)
			hang_up(a, &a->client[i]), (void)dial(a, &a->client[i]);
		else
			send_more(a, &a->client[i]);
	}
}

int bench_abuse(const struct bench_options *o)
{
	struct abuse *a = mem_zalloc(sizeof(*a));
	uint64_t end;
	bool worked;

	if (!a)
		return 2;
	a->o = o;
	for (size_t i = 0; i < ARRAY_LEN(loads); i++) {
		if (strcmp(loads[i].name, o->load) == 0)
			a->load = &loads[i];
	}
	if (!a->load) {
		fprintf(stderr, "mbus-bench: --load %s is not known; there are", o->load);
		for (size_t i = 0; i < ARRAY_LEN(loads); i++)
			fprintf(stderr, " %s", loads[i].name);
		fprintf(stderr, "\n");
		mem_free(a);
		return 2;
	}
	a->clients = (size_t)o->connections;
	a->client = mem_array(a->clients, sizeof(*a->client));
	a->epoll = epoll_create1(EPOLL_CLOEXEC);
	worked = a->client && a->epoll >= 0 && set_up(a);
	if (worked) {
		start(a);
		for (end = bench_now() + (uint64_t)o->seconds * 1000000000; bench_now() < end;)
			turn(a, 20);
		printf("{\"load\":\"%s\",\"blocks\":%llu,\"received\":%llu,\"connects\":%llu,"
		       "\"closed\":%llu,\"refused\":%llu}\n",
		       a->load->name, (unsigned long long)a->blocks,
		       (unsigned long long)a->received, (unsigned long long)a->connects,
		       (unsigned long long)a->closed, (unsigned long long)a->refused);
	}
	for (size_t i = 0; a->client && i < a->clients; i++) {
		if (a->client[i].open)
			hang_up(a, &a->client[i]);
		buf_free(&a->client[i].in);
		buf_free(&a->client[i].out);
	}
	buf_free(&a->text);
	mem_free(a->client);
	if (a->epoll >= 0)
		close(a->epoll);
	mem_free(a);
	return worked ? 0 : 2;
}

/* run.c - one run: connect all, subscribe all, warm up, measure, stop publishing, drain, verify,
 * print one JSON line.
 *
 * In flight, as the figures mean it: a publisher's message counts until every subscriber that
 * should get it has got it and, with QoS 1, its PUBACK is here. With --rate the loop is open:
 * messages leave one by one at random moments (exponential gaps), as those of many independent
 * devices do; in flight is not bounded. */
#include "tests/bench/bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"

struct bench {
	const struct bench_options *o;
	struct bench_conn *conn, **flush;
	size_t conns, flushes, publishers, subscribers, ready;
	uint32_t copies; /* deliveries per message */
	int epoll;
	bool publishing, failed;
	struct bench_counts counts;
	uint8_t in[256 << 10];
	uint8_t payload[64 << 10];
	uint64_t due; /* with --rate: when the next message leaves */
	size_t rate_next;
	uint64_t dice;
	char why[128];
};

static void fail(struct bench *b, const char *why)
{
	if (!b->failed)
		snprintf(b->why, sizeof(b->why), "%s", why);
	b->failed = true;
}

static void want_flush(struct bench *b, struct bench_conn *c)
{
	if (!c->queued) {
		c->queued = true;
		b->flush[b->flushes++] = c;
	}
}

/* ---- Publishing ---- */

static bool windowed(const struct bench *b)
{
	return b->o->rate == 0;
}

static void publish(struct bench *b, struct bench_conn *c)
{
	struct mqtt_publish p = { .qos = (uint8_t)b->o->qos,
		                  .topic = str_c(c->topic),
		                  .payload = str_make(b->payload, (size_t)b->o->payload) };

	bench_payload_write(b->payload, (size_t)b->o->payload, c->index, c->seq, bench_now());
	if (p.qos) {
		/* packet id = place in the window + 1 while the window is bounded, else counting */
		p.packet_id = windowed(b)     ? (uint16_t)(c->seq % (unsigned)b->o->inflight + 1)
		              : ++c->next_pid ? c->next_pid
		                              : ++c->next_pid;
	}
	mqtt_publish_write(&c->out, (uint8_t)b->o->version, &p);
	if (windowed(b))
		c->flight[c->seq % (unsigned)b->o->inflight].owed = b->copies + (p.qos ? 1 : 0);
	c->seq++;
	c->flying++;
	b->counts.published++;
	want_flush(b, c);
}

static void publish_more(struct bench *b, struct bench_conn *c)
{
	while (b->publishing && windowed(b) && (int)c->flying < b->o->inflight &&
	       c->flight[c->seq % (unsigned)b->o->inflight].owed == 0)
		publish(b, c);
}

static void settle(struct bench *b, struct bench_conn *c, uint64_t seq)
{
	struct bench_flight *f;

	if (!windowed(b))
		return;
	f = &c->flight[seq % (unsigned)b->o->inflight];
	if (f->owed == 0)
		return;
	if (--f->owed == 0) {
		c->flying--;
		publish_more(b, c);
	}
}

static double exponential(struct bench *b)
{
	b->dice = b->dice * 6364136223846793005u + 1442695040888963407u;
	return -log(((double)(b->dice >> 11) + 0.5) / (double)(UINT64_C(1) << 53));
}

static void publish_by_clock(struct bench *b)
{
	for (uint64_t now = bench_now(); b->due <= now;) {
		publish(b, &b->conn[b->rate_next]);
		b->rate_next = (b->rate_next + 1) % b->publishers;
		b->due += (uint64_t)(exponential(b) * 1e9 / b->o->rate);
	}
}

/* ---- Receiving ---- */

static void on_message(struct bench *b, struct bench_conn *c, const struct mqtt_publish *p)
{
	uint32_t publisher;
	uint64_t seq, sent;

	if (p->qos)
		mqtt_ack_write(&c->out, MQTT_PUBACK, (uint8_t)b->o->version, p->packet_id, 0, NULL),
		    want_flush(b, c);
	if (!bench_payload_read(p->payload, &publisher, &seq, &sent) ||
	    publisher >= b->publishers || (int)p->payload.n != b->o->payload) {
		b->counts.corrupted++;
		fail(b, "a message was corrupted");
		return;
	}
	if (seq < c->expect[publisher]) {
		b->counts.duplicated++;
		fail(b, "a message was duplicated");
		return;
	}
	if (seq > c->expect[publisher]) {
		b->counts.lost += seq - c->expect[publisher];
		if (!b->o->count_losses)
			fail(b, "a message was lost");
	}
	c->expect[publisher] = seq + 1;
	b->counts.delivered++;
	bench_latency_add(&b->counts, bench_now() - sent);
	settle(b, &b->conn[publisher], seq);
}

static void on_packet(struct bench *b, struct bench_conn *c, const struct mqtt_head *h,
                      struct str body)
{
	struct mqtt_publish p;
	struct mqtt_connack k;
	struct mqtt_suback s;
	struct mqtt_ack a;
	uint8_t v = (uint8_t)b->o->version;

	switch (h->type) {
	case MQTT_CONNACK:
		if (mqtt_connack_read(body, v, &k) != RC_SUCCESS || k.code != 0) {
			fail(b, "a connection was refused");
			break;
		}
		if (c->subscriber) {
			struct str filter = str_c(c->topic);
			struct mqtt_sub_opts opts = { .qos = (uint8_t)b->o->qos };

			mqtt_subscribe_write(&c->out, v, 1, &filter, &opts, 1, NULL);
			want_flush(b, c);
		} else {
			c->ready = true;
			b->ready++;
		}
		break;
	case MQTT_SUBACK:
		if (mqtt_suback_read(body, MQTT_SUBACK, v, &s) != RC_SUCCESS || s.codes.n != 1 ||
		    (uint8_t)s.codes.p[0] != b->o->qos)
			fail(b, "a subscription was refused");
		c->ready = true;
		b->ready++;
		break;
	case MQTT_PUBLISH:
		if (mqtt_publish_read(body, h->flags, v, false, &p) != RC_SUCCESS)
			fail(b, "a packet does not parse");
		else
			on_message(b, c, &p);
		break;
	case MQTT_PUBACK:
		if (mqtt_ack_read(body, MQTT_PUBACK, v, &a) != RC_SUCCESS || a.code >= 0x80)
			fail(b, "a publish was refused");
		else
			settle(b, c, a.packet_id - 1u);
		break;
	default:
		fail(b, "an unexpected packet");
	}
}

static void closed(struct bench *b, struct bench_conn *c)
{
	c->closed = true;
	b->counts.closed++;
	epoll_ctl(b->epoll, EPOLL_CTL_DEL, c->fd, NULL);
	fail(b, "a connection was closed by the server");
}

static size_t take_packets(struct bench *b, struct bench_conn *c, struct str bytes)
{
	size_t done = 0;

	while (done < bytes.n) {
		struct mqtt_head h;
		struct str rest = str_skip(bytes, done);
		enum parse got = mqtt_head_read(rest, &h);

		if (got == PARSE_BAD) {
			fail(b, "a packet does not parse");
			return bytes.n;
		}
		if (got == PARSE_MORE || rest.n < (size_t)h.size + h.remaining)
			break;
		on_packet(b, c, &h, str_make(rest.p + h.size, h.remaining));
		done += h.size + h.remaining;
	}
	return done;
}

static void on_readable(struct bench *b, struct bench_conn *c)
{
	ssize_t n = c->pipe ? bench_pipe_recv(c->pipe, b->in, sizeof(b->in))
	                    : recv(c->fd, b->in, sizeof(b->in), 0);
	size_t done;

	if (n <= 0) {
		if (n == 0 || (errno != EAGAIN && errno != EINTR))
			closed(b, c);
		return;
	}
	if (buf_len(&c->in)) {
		buf_bytes(&c->in, b->in, (size_t)n);
		done = take_packets(b, c, buf_str(&c->in));
		buf_consume(&c->in, done);
	} else {
		done = take_packets(b, c, str_make(b->in, (size_t)n));
		if (done < (size_t)n)
			buf_bytes(&c->in, b->in + done, (size_t)n - done);
	}
}

static size_t waiting(const struct bench_conn *c)
{
	return buf_len(&c->out) + (c->pipe ? bench_pipe_kept(c->pipe) : 0);
}

static void flush_one(struct bench *b, struct bench_conn *c)
{
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = c };
	ssize_t n;

	c->queued = false;
	if (c->closed || waiting(c) == 0)
		return;
	n = c->pipe ? bench_pipe_send(c->pipe, &c->out)
	            : send(c->fd, buf_data(&c->out), buf_len(&c->out), MSG_NOSIGNAL);
	if (n < 0 && errno != EAGAIN) {
		closed(b, c);
		return;
	}
	if (n > 0 && !c->pipe)
		buf_consume(&c->out, (size_t)n);
	if (waiting(c)) {
		e.events |= EPOLLOUT;
		epoll_ctl(b->epoll, EPOLL_CTL_MOD, c->fd, &e);
		c->sent = 1;
	} else if (c->sent) {
		epoll_ctl(b->epoll, EPOLL_CTL_MOD, c->fd, &e);
		c->sent = 0;
	}
}

/* To the nanosecond: a message that is due in 30 us does not wait for a clock of 1 ms. */
static int wait_events(const struct bench *b, struct epoll_event *e, int room, int most_ms)
{
	uint64_t wait = (uint64_t)most_ms * 1000000, now;
	struct timespec t;

	if (b->publishing && !windowed(b)) {
		now = bench_now();
		wait = b->due <= now ? 0 : b->due - now < wait ? b->due - now : wait;
	}
	t = (struct timespec){ (time_t)(wait / 1000000000), (long)(wait % 1000000000) };
	return epoll_pwait2(b->epoll, e, room, &t, NULL);
}

static void turn(struct bench *b, int wait_ms)
{
	struct epoll_event e[512];
	int n = wait_events(b, e, ARRAY_LEN(e), wait_ms);

	for (int i = 0; i < n; i++) {
		struct bench_conn *c = e[i].data.ptr;

		if (!c->closed && (e[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))) {
			do {
				on_readable(b, c);
			} while (c->pipe && !c->closed && bench_pipe_more(c->pipe));
		}
		if (!c->closed && (e[i].events & EPOLLOUT))
			want_flush(b, c);
	}
	if (b->publishing && !windowed(b))
		publish_by_clock(b);
	for (size_t i = 0; i < b->flushes; i++)
		flush_one(b, b->flush[i]);
	b->flushes = 0;
}

/* ---- Setting up ---- */

static int dial(struct bench *b, struct bench_conn *c)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)b->o->port) };
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = c };
	struct mqtt_connect k = { .version = (uint8_t)b->o->version, .clean_start = true };
	char id[64];
	int one = 1;

	if (inet_pton(AF_INET, b->o->host, &to.sin_addr) != 1)
		return -E_INVALID;
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		return -E_IO;
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (b->o->door != BENCH_TCP && bench_pipe_open(&c->pipe, c->fd, b->o->door, b->o->key))
		return -E_IO;
	snprintf(id, sizeof(id), "%s-%c%u", b->o->name, c->publisher ? 'p' : 's', c->index);
	k.client_id = str_c(id);
	if (b->o->user) {
		k.has_username = true;
		k.username = str_c(b->o->user);
	}
	mqtt_connect_write(&c->out, &k);
	if (epoll_ctl(b->epoll, EPOLL_CTL_ADD, c->fd, &e) < 0)
		return -E_IO;
	flush_one(b, c);
	return 0;
}

static void name_topics(struct bench *b, struct bench_conn *c)
{
	size_t room = sizeof(c->topic);

	switch (b->o->scenario) {
	case BENCH_PAIRS:
		snprintf(c->topic, room, "%s/pair/%u/data", b->o->name, c->index);
		break;
	case BENCH_FANIN:
		snprintf(c->topic, room, c->publisher ? "bench/in/%u/data" : "#", c->index);
		break;
	case BENCH_FANOUT:
		snprintf(c->topic, room, "bench/out/data");
		break;
	case BENCH_TELEMATICS:
		snprintf(c->topic, room,
		         c->publisher ? "bench/gw/channels/1/%08u" : "bench/gw/channels/1/+",
		         35000000u + c->index);
		break;
	case BENCH_HANDSHAKES: /* handshakes.c */
	case BENCH_LINK:       /* link.c */
	case BENCH_ABUSE:      /* abuse.c */
		break;
	}
}

static int set_up(struct bench *b)
{
	const struct bench_options *o = b->o;

	b->publishers = o->scenario == BENCH_FANOUT ? 1 : (size_t)o->connections;
	b->subscribers = o->scenario == BENCH_PAIRS   ? b->publishers
	                 : o->scenario == BENCH_FANIN ? 1
	                                              : (size_t)o->subscribers;
	b->copies =
	    o->scenario == BENCH_PAIRS || o->scenario == BENCH_FANIN ? 1 : (uint32_t)b->subscribers;
	b->conns = b->publishers + b->subscribers;
	b->conn = mem_array(b->conns, sizeof(*b->conn));
	b->flush = mem_array(b->conns, sizeof(struct bench_conn *));
	b->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (!b->conn || !b->flush || b->epoll < 0)
		return -E_NOMEM;
	for (size_t i = 0; i < b->conns; i++) {
		struct bench_conn *c = &b->conn[i];
		int err;

		c->publisher = i < b->publishers;
		c->subscriber = !c->publisher;
		c->index = (uint32_t)(c->publisher ? i : i - b->publishers);
		name_topics(b, c);
		c->flight = mem_array((size_t)o->inflight, sizeof(*c->flight));
		c->expect = c->subscriber ? mem_array(b->publishers, sizeof(*c->expect)) : NULL;
		if (!c->flight || (c->subscriber && !c->expect))
			return -E_NOMEM;
		err = dial(b, c);
		if (err) {
			fprintf(stderr, "mbus-bench: cannot connect to %s:%d: %s\n", o->host,
			        o->port, strerror(errno));
			return err;
		}
		if (i % 64 == 63)
			turn(b, 0);
	}
	for (uint64_t end = bench_now() + 30000000000u;
	     b->ready < b->conns && !b->failed && bench_now() < end;)
		turn(b, 10);
	if (b->ready < b->conns)
		fail(b, "not all clients were accepted and subscribed within 30 s");
	return 0;
}

static void tear_down(struct bench *b)
{
	for (size_t i = 0; b->conn && i < b->conns; i++) {
		struct bench_conn *c = &b->conn[i];

		bench_pipe_free(&c->pipe);
		if (c->fd > 0)
			close(c->fd);
		buf_free(&c->in);
		buf_free(&c->out);
		mem_free(c->flight);
		mem_free(c->expect);
	}
	mem_free(b->conn);
	mem_free(b->flush);
	if (b->epoll > 0)
		close(b->epoll);
}

/* ---- Measuring ---- */

static uint64_t owed(const struct bench *b)
{
	return b->counts.published * b->copies - b->counts.delivered;
}

static void run_for(struct bench *b, double seconds)
{
	uint64_t end = bench_now() + (uint64_t)(seconds * 1e9);

	while (bench_now() < end && !b->failed)
		turn(b, 20);
}

struct window {
	double seconds, server_cpu, own_cpu;
	uint64_t delivered;
};

static struct window measure(struct bench *b)
{
	struct window w;
	uint64_t delivered, start;

	b->publishing = true;
	b->due = bench_now();
	for (size_t i = 0; i < b->publishers; i++)
		publish_more(b, &b->conn[i]);
	run_for(b, b->o->warmup);
	memset(b->counts.latency, 0, sizeof(b->counts.latency));
	delivered = b->counts.delivered;
	w.server_cpu = -bench_cpu(b->o->pid, b->o->pids);
	w.own_cpu = -bench_own_cpu();
	start = bench_now();
	run_for(b, b->o->seconds);
	w.server_cpu += bench_cpu(b->o->pid, b->o->pids);
	w.own_cpu += bench_own_cpu();
	w.seconds = (double)(bench_now() - start) / 1e9;
	w.delivered = b->counts.delivered - delivered;
	b->publishing = false;
	/* where losses are expected, nobody waits ten seconds for them */
	for (uint64_t end = bench_now() + (b->o->count_losses ? 2000000000u : 10000000000u);
	     owed(b) && !b->failed && bench_now() < end;)
		turn(b, 20);
	if (owed(b) && !b->failed) {
		b->counts.lost = owed(b);
		if (!b->o->count_losses)
			fail(b, "messages were still missing 10 s after the last publish");
	}
	return w;
}

static void print(const struct bench *b, const struct window *w)
{
	static const char *const names[] = { "pairs", "fan-in", "fan-out", "telematics" };
	const struct bench_options *o = b->o;
	double per = w->delivered ? 1e6 / (double)w->delivered : 0;
	/* The generator is the bottleneck when it had no time left while the servers had. */
	bool limited =
	    o->pids && w->own_cpu > 0.97 * w->seconds && w->server_cpu < 0.80 * w->seconds;

	printf("{\"scenario\":\"%s\",\"door\":\"%s\",\"connections\":%zu,\"qos\":%d,\"payload\":%d,"
	       "\"inflight\":%d,"
	       "\"rate\":%d,\"seconds\":%.3f,\"published\":%llu,\"delivered\":%llu,"
	       "\"per_second\":%.0f,\"server_cpu_us\":%.4f,\"server_cpu\":%.3f,\"generator_cpu_"
	       "us\":%.4f,\"generator_cpu\":%.3f,\"p50_us\":%.1f,\"p99_us\":%.1f,"
	       "\"p999_us\":%.1f,\"lost\":%llu,\"duplicated\":%llu,\"corrupted\":%llu,\"generator_"
	       "limited\":%s,\"valid\":%s,\"why\":\"%s\"}\n",
	       names[o->scenario], bench_doors[o->door], b->conns, o->qos, o->payload, o->inflight,
	       o->rate, w->seconds, (unsigned long long)b->counts.published,
	       (unsigned long long)w->delivered,
	       w->seconds > 0 ? (double)w->delivered / w->seconds : 0, w->server_cpu * per,
	       w->seconds > 0 ? w->server_cpu / w->seconds : 0, w->own_cpu * per,
	       w->seconds > 0 ? w->own_cpu / w->seconds : 0, bench_latency_us(&b->counts, 0.5),
	       bench_latency_us(&b->counts, 0.99), bench_latency_us(&b->counts, 0.999),
	       (unsigned long long)b->counts.lost, (unsigned long long)b->counts.duplicated,
	       (unsigned long long)b->counts.corrupted, limited ? "true" : "false",
	       b->failed || limited ? "false" : "true",
	       b->failed ? b->why
	       : limited ? "the generator was the bottleneck"
	                 : "");
}

int bench_run(const struct bench_options *o)
{
	struct bench *b = mem_zalloc(sizeof(*b));
	struct window w = { 0 };
	int code = 2;

	if (!b)
		return 2;
	b->o = o;
	if (set_up(b) == 0) {
		if (!b->failed)
			w = measure(b);
		print(b, &w);
		code = b->failed ? 1 : 0;
	}
	tear_down(b);
	mem_free(b);
	return code;
}

/* link.c - what the link alone costs: frames of PUBLISH written, sent through a Unix socket in
 * batches as large as the real ones, received and read to their last byte. One thread does both
 * sides: the sum is what a message costs on one way, whoever pays which part. */
#include "tests/bench/bench.h"

#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "wire/link.h"

enum { BATCH = 64, ROOM = 1 << 20 };

static void fill(struct buf *out, const struct bench_options *o, uint8_t *payload, uint64_t *seq)
{
	struct link_publish p = { .msg = { .prefix = STR("customer/7/"),
		                           .topic = STR("bench/pair/0/data"),
		                           .payload = str_make(payload, (size_t)o->payload),
		                           .expiry_s = LINK_NO_EXPIRY } };

	for (unsigned i = 0; i < BATCH; i++) {
		bench_payload_write(payload, (size_t)o->payload, 0, (*seq)++, 0);
		link_publish_write(out, 1, 1, 0, &p);
	}
}

/* How many messages were there; 0: something was not as it was written. */
static uint64_t drain(struct str bytes, uint64_t *seq)
{
	struct link_publish p;
	struct link_head h;
	uint64_t count = 0, number, sent;
	uint32_t publisher;

	while (bytes.n) {
		if (link_head_read(bytes, &h) != PARSE_OK ||
		    !link_publish_read(str_make(bytes.p + LINK_HEAD, h.length - LINK_HEAD), h.flags,
		                       &p) ||
		    !bench_payload_read(p.msg.payload, &publisher, &number, &sent) ||
		    number != (*seq)++)
			return 0;
		bytes = str_skip(bytes, h.length);
		count++;
	}
	return count;
}

static uint64_t one_batch(int pair[2], const struct bench_options *o, struct buf *out,
                          uint8_t *room, uint8_t *payload, uint64_t seq)
{
	uint64_t written = seq, read = seq;
	size_t have = 0;

	buf_reset(out);
	fill(out, o, payload, &written);
	if (send(pair[0], buf_data(out), buf_len(out), MSG_NOSIGNAL) != (ssize_t)buf_len(out))
		return 0;
	while (have < buf_len(out)) {
		ssize_t n = recv(pair[1], room + have, ROOM - have, 0);

		if (n <= 0)
			return 0;
		have += (size_t)n;
	}
	return drain(str_make(room, have), &read);
}

int bench_link(const struct bench_options *o)
{
	uint64_t start = bench_now(), end = start + (uint64_t)o->seconds * 1000000000, seq = 0, n;
	uint8_t *room = mem_alloc(ROOM), *payload = mem_alloc((size_t)o->payload);
	struct buf out = { 0 };
	int pair[2], size = 4 * ROOM, code = 1;
	double cpu = -bench_own_cpu();

	/* one thread: a batch must fit into the socket */
	if (!room || !payload || (size_t)o->payload * BATCH > ROOM / 2 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
		fputs("mbus-bench: no memory, no sockets, or a payload too large for this\n",
		      stderr);
		mem_free(room);
		mem_free(payload);
		return 2;
	}
	setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	do {
		n = one_batch(pair, o, &out, room, payload, seq);
		seq += n;
	} while (n && bench_now() < end);
	cpu += bench_own_cpu();
	if (n)
		code = 0;
	printf("{\"scenario\":\"link\",\"payload\":%d,\"messages\":%llu,\"ns\":%.1f,\"valid\":%s,"
	       "\"why\":\"%s\"}\n",
	       o->payload, (unsigned long long)seq, seq ? cpu * 1e9 / (double)seq : 0,
	       n ? "true" : "false", n ? "" : "a frame came back otherwise");
	close(pair[0]);
	close(pair[1]);
	buf_free(&out);
	mem_free(room);
	mem_free(payload);
	return code;
}

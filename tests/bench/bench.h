/* bench.h - mbus-bench: a load generator that verifies every message it caused and tells what the
 * servers paid for them. One thread, one epoll loop, one read and one write per ready connection
 * and turn; publishers and subscribers live in the same process, so that "delivered" is known
 * without asking anybody. Connections speak through wire/, the same code the servers read with; a
 * second opinion are the flow tests with other people's clients. */
#pragma once
#include "base/bytes.h"
#include "tests/bench/transport.h"
#include "wire/mqtt_write.h"

enum { BENCH_PIDS = 8, BENCH_PAYLOAD_MIN = 32, BENCH_BUCKETS = 64 * 16 };

enum bench_scenario {
	BENCH_PAIRS,
	BENCH_FANIN,
	BENCH_FANOUT,
	BENCH_TELEMATICS,
	BENCH_HANDSHAKES,
	BENCH_LINK,
	BENCH_ABUSE,
};

struct bench_options {
	const char *host, *user, *name, *load;
	int port, version, qos, payload, inflight, connections, subscribers, rate, seconds, warmup;
	enum bench_scenario scenario;
	enum bench_door door;
	const char *key; /* TLS: which certificate: "ecdsa", "rsa" or NULL */
	bool resume, count_losses;
	int pid[BENCH_PIDS], pids;
};

struct bench_conn {
	int fd;
	struct bench_pipe *pipe; /* NULL: plain TCP */
	bool publisher, subscriber, ready, closed;
	uint32_t index; /* among publishers, or among subscribers */
	uint16_t next_pid;
	struct buf in, out;
	size_t sent;    /* of out, already written */
	char topic[96]; /* what it publishes to, or its filter */
	uint64_t seq;   /* publisher: next number */
	/* publisher: deliveries and acks still owed for what is in flight */
	uint32_t open;
	uint32_t flying;             /* publisher: messages in flight */
	struct bench_flight *flight; /* publisher: ring of `inflight` */
	uint64_t *expect;            /* subscriber: next number per publisher */
	bool queued;                 /* in the list of connections to flush */
};

struct bench_flight { /* one message in flight */
	/* deliveries that have not come yet, plus one for the PUBACK of QoS 1 */
	uint32_t owed;
};

struct bench_counts {
	uint64_t published, delivered, lost, duplicated, corrupted, closed;
	uint64_t latency[BENCH_BUCKETS];
};

/* main.c: the words of --door */
extern const char *const bench_doors[];

/* measure.c */
uint64_t bench_now(void); /* monotonic ns */
/* user + system seconds of these processes, from /proc/PID/stat */
double bench_cpu(const int *pid, int pids);
double bench_own_cpu(void);
void bench_latency_add(struct bench_counts *c, uint64_t ns);
double bench_latency_us(const struct bench_counts *c, double quantile);

/* payload.c */
void bench_payload_write(uint8_t *p, size_t n, uint32_t publisher, uint64_t seq, uint64_t now);
/* false: not ours or not whole */
bool bench_payload_read(struct str payload, uint32_t *publisher, uint64_t *seq, uint64_t *sent);

/* run.c */
/* exit code: 0 the run counts, 1 it does not (the JSON line says why), 2 could not run */
int bench_run(const struct bench_options *o);

/* link.c */
int bench_link(const struct bench_options *o); /* as bench_run */

/* abuse.c: 0, or 2 could not run */
int bench_abuse(const struct bench_options *o);

/* handshakes.c: the same codes */
int bench_handshakes(const struct bench_options *o);

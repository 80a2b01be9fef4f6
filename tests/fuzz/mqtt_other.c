/* mqtt_other.c - fuzz target: our codec against another implementation, mqtt-packet of MQTT.js
 * (attack P37). A packet that we accept goes, as it came and as we write it, to a node process,
 * which reads it, writes it again from what it understood, and sends it back; both readings must be
 * the same. So a packet that the other refuses, or understands differently, is a finding; what only
 * we refuse is not: mqtt-packet does not look at UTF-8, wildcards or reserved values.
 *
 * The first byte says version and direction. The node process is tests/fuzz/mqtt_other.mjs of the
 * folder MBUS_ROOT, or of the current one; it ends with us. What it cannot do is listed there, and
 * not asked. */
#include "tests/fuzz/mqtt_again.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ANSWER_MAX = 1 << 20, REFUSED = 1 << 31, NOT_ASKED = 1 << 30 };

static int to_other = -1, from_other;
static struct str original; /* not empty: goes the detour in place of what we have written */
static struct str last;     /* what was sent last, for the message of a finding */
static bool not_asked;      /* the answer was "not that": nothing to compare */

static void start_other(void)
{
	const char *root = getenv("MBUS_ROOT");
	int down[2], up[2];

	MUST(pipe(down) == 0 && pipe(up) == 0);
	if (fork() == 0) {
		MUST(dup2(down[0], 0) == 0 && dup2(up[1], 1) == 1);
		close(down[1]);
		close(up[0]);
		MUST(chdir(root ? root : ".") == 0);
		execlp("node", "node", "tests/fuzz/mqtt_other.mjs", (char *)NULL);
		abort();
	}
	close(down[0]);
	close(up[1]);
	to_other = down[1];
	from_other = up[0];
	(void)signal(SIGPIPE, SIG_IGN);
}

static void put(const void *p, size_t n)
{
	for (const char *at = p; n;) {
		ssize_t done = write(to_other, at, n);

		MUST(done > 0 || errno == EINTR);
		at += done > 0 ? done : 0;
		n -= done > 0 ? (size_t)done : 0;
	}
}

static void get(void *p, size_t n)
{
	for (char *at = p; n;) {
		ssize_t done = read(from_other, at, n);

		MUST(done > 0 ||
		     (done < 0 && errno == EINTR)); /* 0: node or mqtt-packet is missing */
		at += done > 0 ? done : 0;
		n -= done > 0 ? (size_t)done : 0;
	}
}

/* u32 length, u8 version, packet; back: u32 length, packet - or, with REFUSED, why. */
static struct str through_other(struct str ours)
{
	static char answer[ANSWER_MAX];
	struct buf ask = { 0 };
	uint32_t n;

	last = original.n ? original : ours;
	buf_le32(&ask, (uint32_t)last.n);
	buf_u8(&ask, version);
	buf_str_add(&ask, last);
	MUST(buf_ok(&ask));
	put(buf_data(&ask), buf_len(&ask));
	buf_free(&ask);
	get(&n, sizeof(n));
	MUST((n & ~(uint32_t)(REFUSED | NOT_ASKED)) <= sizeof(answer));
	get(answer, n & ~(uint32_t)(REFUSED | NOT_ASKED));
	if (n & REFUSED)
		(void)fprintf(stderr, "mqtt-packet: %.*s\n", (int)(n & ~(uint32_t)REFUSED), answer);
	MUST(!(n & REFUSED));
	not_asked = n & NOT_ASKED;
	return not_asked ? last : str_make(answer, n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t versions[] = { MQTT_V5, MQTT_V311, MQTT_V31, MQTT_V5 };
	struct str rest;
	struct mqtt_head h;

	if (to_other < 0)
		start_other();
	if (size == 0)
		return 0;
	detour = through_other;
	version = versions[data[0] & 3];
	from_client = data[0] & 4;
	rest = str_make(data + 1, size - 1);
	while (mqtt_head_read(rest, &h) == PARSE_OK && h.remaining <= rest.n - h.size) {
		original = str_make(rest.p, h.size + (size_t)h.remaining);
		rest = str_skip(rest, h.size);
		packet_again(str_make(rest.p, h.remaining), &h);
		buf_reset(&out);
		original = STR_NONE;
		packet_again(str_make(rest.p, h.remaining), &h);
		buf_reset(&out);
		rest = str_skip(rest, h.remaining);
	}
	buf_free(&out);
	return 0;
}

/* core_link_help.h - for tests that speak to the core over a link: a home without a thread, a
 * socket pair, frames out and in. */
#pragma once
#include "tests/unit/core_help.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/uplink.h"

enum { FRAMES = 64 };

static struct uplink *uplink;
static int fd; /* the proxy's end */
static struct buf to, from;
static struct { /* frames that came, in order */
	struct link_head head;
	struct str body;
} got[FRAMES];
static unsigned count;

static void plug_in(void)
{
	int pair[2];

	MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
	fd = pair[0];
	MUST(uplink_take(uplink, pair[1]) == 0);
}

static uint16_t minor; /* that the proxy speaks */

static void hello_as(uint16_t major)
{
	struct link_hello h = {
		.major = major, .minor = minor, .features = LINK_MAY_ALL, .name = STR("test")
	};

	link_hello_write(&to, &h);
}

/* Sends what was written, lets the core work, and cuts what came into frames. */
static void talk(void)
{
	uint8_t *room;
	ssize_t n;

	MUST(buf_ok(&to));
	while (buf_len(&to)) {
		n = send(fd, buf_data(&to), buf_len(&to), MSG_NOSIGNAL);
		if (n > 0)
			buf_consume(&to, (size_t)n);
		turn();
		if (n < 0 && errno != EAGAIN)
			break;
	}
	turn();
	buf_reset(&to);
	buf_reset(&from);
	for (;;) {
		room = buf_reserve(&from, 1 << 20);
		n = recv(fd, room, 1 << 20, 0);
		if (n <= 0)
			break;
		buf_commit(&from, (size_t)n);
		turn();
	}
	count = 0;
	for (struct str rest = buf_str(&from);
	     count < FRAMES && link_head_read(rest, &got[count].head) == PARSE_OK; count++) {
		got[count].body = str_make(rest.p + LINK_HEAD, got[count].head.length - LINK_HEAD);
		rest = str_skip(rest, got[count].head.length);
	}
}

static void begin(void)
{
	const char *why;

	world_begins();
	MUST(uplink_open(&uplink, home, temp_file("link-0.sock", NULL), &why) == 0);
	plug_in();
	hello_as(LINK_MAJOR);
	talk();
}

static void end(void)
{
	if (fd >= 0)
		close(fd);
	uplink_close(&uplink);
	buf_free(&to);
	buf_free(&from);
	world_ends();
}

static __attribute__((unused)) void say_open(uint32_t channel, uint16_t generation, const char *id,
                                             uint32_t expiry)
{
	struct link_open o = { .version = MQTT_V5,
		               .receive_maximum = 10,
		               .customer = 7,
		               .token = 5,
		               .session_expiry_s = expiry,
		               .client_id = str_c(id),
		               .peer = STR("local") };

	link_open_write(&to, channel, generation, 0, &o);
	link_bare_write(&to, LINK_RESUME, channel, generation);
}

static __attribute__((unused)) void say_sub(uint32_t channel, uint16_t generation,
                                            const char *filter, uint8_t opts)
{
	struct room room;
	size_t frame =
	    link_subscribe_begin(&to, LINK_SUBSCRIBE, channel, generation, channel ? 7 : 1, 0);
	size_t item = link_item_begin(&to, frame, 0, opts, str_c(filter));

	link_item_inner(&to, item, inner(&room, filter), true);
	link_end(&to, frame);
}

static __attribute__((unused)) void say_pub(uint32_t channel, uint16_t generation,
                                            const char *topic, const char *payload, uint8_t flags,
                                            uint16_t packet_id)
{
	struct room room;
	struct link_publish p = { packet_id,
		                  { .topic = inner(&room, topic),
		                    .payload = str_c(payload),
		                    .expiry_s = LINK_NO_EXPIRY } };

	link_publish_write(&to, channel, generation, flags, &p);
}

__attribute__((unused)) static bool is_closed(void)
{
	char c;

	turn();
	return recv(fd, &c, 1, 0) == 0 && uplink_links(uplink) == 0;
}

/* admin_follow.c - live log streams on a real socket: who sees what, and how they end. */
#include "base/base.h"
#include "tests/unit/admin_server.h"

/* ---- Streams ---- */
static int start_following(const char *path)
{
	int fd = dial();

	(void)make(path, "\r\n");
	MUST(send(fd, request, strlen(request), 0) > 0);
	heard[0] = '\0';
	YES(hear(fd, heard, sizeof(heard), "following\n\n", 1000));
	CONTAINS(heard, "text/event-stream");
	return fd;
}

static void record(const char *topic, const char *payload)
{
	follow_record(follow, str_c(topic), str_c(payload));
}

static void a_follower_sees_its_branch_and_nobody_else(void)
{
	int fd;

	start();
	fd = start_following("GET /platform/customer/logs?follow=1");
	IS(atomic_load(&wanted), 1);
	record("customer/4/flespi/log/mqtt/sessions/x/connected",
	       "{\"event_code\":500,\"who\":\"omega\"}");
	record("customer/1/not/a/log", "{\"event_code\":500,\"who\":\"no log\"}");
	record("customer/3/flespi/log/mqtt/sessions/x/connected",
	       "{\"event_code\":500,\"who\":\"gamma\"}");
	record("customer/1/flespi/log/platform/tokens/1/updated",
	       "{\"event_code\":2,\"who\":\"alpha\"}");
	YES(hear(fd, heard, sizeof(heard), "alpha", 1000));
	CONTAINS(heard, "event: log\ndata: "
	                "{\"event_code\":500,\"who\":\"gamma\",\"log_topic\":\"flespi/log/mqtt/"
	                "sessions/x/connected\",\"cid\":3}\n\n");
	NO(strstr(heard, "omega"));
	NO(strstr(heard, "no log"));
	(void)close(fd);
	for (int i = 0; i < 100 && atomic_load(&wanted); i++)
		(void)usleep(20000);
	IS(atomic_load(&wanted), 0);
	stop();
}

static void the_mqtt_log_shows_only_what_is_mqtts(void)
{
	int fd;

	start();
	fd = start_following("GET /mqtt/logs?follow=1");
	record("customer/1/flespi/log/platform/tokens/1/updated", "{\"who\":\"platform\"}");
	record("customer/1/flespi/log/mqtt/sessions/x/connected", "{\"who\":\"mqtt\"}");
	YES(hear(fd, heard, sizeof(heard), "\"mqtt\"", 1000));
	NO(strstr(heard, "\"platform\""));
	(void)close(fd);
	stop();
}

static void a_record_keeps_what_it_says_itself(void)
{
	int fd;

	start();
	fd = start_following("GET /mqtt/logs?follow=1");
	record("customer/1/flespi/log/mqtt/sessions/x/subscribed",
	       "{\"event_code\":520,\"topic\":\"a/+/b\"}");
	YES(hear(fd, heard, sizeof(heard), "\"cid\"", 1000));
	CONTAINS(heard, "{\"event_code\":520,\"topic\":\"a/+/b\",\"log_topic\":"
	                "\"flespi/log/mqtt/sessions/x/subscribed\",\"cid\":1}");
	(void)close(fd);
	stop();
}

static void what_was_lost_is_told_to_whom_it_was_lost(void)
{
	static char large[(1 << 20) + 100]; /* finds no room at any time */
	int fd;

	start();
	memset(large, 'x', sizeof(large) - 1);
	fd = start_following("GET /platform/customer/logs?follow=1");
	for (int i = 0; i < 5; i++)
		record("customer/4/flespi/log/mqtt/sessions/x/a", large);
	(void)usleep(1500000); /* past the second in which losses are told */
	record("customer/1/flespi/log/mqtt/sessions/x/a", "{\"first\":1}");
	YES(hear(fd, heard, sizeof(heard), "\"first\"", 3000));
	NO(strstr(heard, "event: lost"));
	for (int i = 0; i < 2; i++)
		record("customer/3/flespi/log/mqtt/sessions/x/a", large);
	YES(hear(fd, heard, sizeof(heard), "event: lost\ndata: 2\n\n", 3000));
	(void)close(fd);
	stop();
}

static void a_record_with_line_breaks_stays_one_event(void)
{
	int fd;

	start();
	fd = start_following("GET /platform/customer/logs?follow=1");
	record("customer/1/flespi/log/a", "{\"x\":\n \"a\\n\\ndata: forged\"}");
	record("customer/1/flespi/log/b", "not json");
	record("customer/1/flespi/log/c", "[1]");
	record("customer/1/flespi/log/d", "{\"last\":1}");
	YES(hear(fd, heard, sizeof(heard), "last", 1000));
	NO(strstr(heard, "\ndata: forged"));
	NO(strstr(heard, "not json"));
	(void)close(fd);
	stop();
}

static void a_stream_ends_when_its_token_is_disabled(void)
{
	int fd, fd2;
	char body[200];

	start();
	fd = start_following("GET /platform/customer/logs?follow=1");
	(void)snprintf(body, sizeof(body),
	               "Content-Type: application/json\r\nContent-Length: 17\r\nConnection: "
	               "close\r\n\r\n{\"enabled\":false}");
	fd2 = dial();
	(void)snprintf(request, sizeof(request),
	               "PUT /platform/tokens/%llu HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\n%s",
	               (unsigned long long)w.id[ALPHA], w.key[ALPHA], body);
	MUST(send(fd2, request, strlen(request), 0) > 0);
	YES(hear(fd, heard, sizeof(heard), NULL, 4000)); /* the end, not silence */
	(void)close(fd);
	(void)close(fd2);
	stop();
}

static void a_reader_that_does_not_read_is_cut(void)
{
	static char payload[30000];
	struct pollfd p;
	int fd, small = 4096;
	bool cut = false;

	start();
	fd = start_following("GET /platform/customer/logs?follow=1");
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	(void)snprintf(payload, sizeof(payload), "{\"x\":\"%029000d\"}", 1);
	for (int i = 0; i < 400 && !cut; i++) {
		record("customer/1/flespi/log/a", payload);
		(void)usleep(5000);
		cut = atomic_load(&wanted) == 0;
	}
	YES(cut);
	p = (struct pollfd){ .fd = fd, .events = POLLIN };
	YES(poll(&p, 1, 1000) == 1);
	(void)close(fd);
	stop();
}

/* The library would spin on what it does not read. */
static void a_follower_that_speaks_or_closes_its_side_is_ended_at_once(void)
{
	start();
	for (int i = 0; i < 2; i++) {
		int fd = start_following("GET /platform/customer/logs?follow=1");

		if (i)
			MUST(shutdown(fd, SHUT_WR) == 0);
		else
			MUST(send(fd, "hello", 5, 0) == 5);
		YES(hear(fd, heard, sizeof(heard), NULL, 2000)); /* the end, not silence */
		(void)close(fd);
	}
	stop();
}

static void followers_have_a_most_per_customer(void)
{
	int fds[2];

	start();
	for (int i = 0; i < 2; i++)
		fds[i] = start_following("GET /platform/customer/logs?follow=1");
	IS(say(make("GET /platform/customer/logs?follow=1", "\r\n")), 1);
	CONTAINS(heard, "HTTP/1.1 429");
	for (int i = 0; i < 2; i++)
		(void)close(fds[i]);
	stop();
}

RUN(a_follower_sees_its_branch_and_nobody_else, the_mqtt_log_shows_only_what_is_mqtts,
    a_record_keeps_what_it_says_itself, what_was_lost_is_told_to_whom_it_was_lost,
    a_record_with_line_breaks_stays_one_event, a_stream_ends_when_its_token_is_disabled,
    a_reader_that_does_not_read_is_cut, a_follower_that_speaks_or_closes_its_side_is_ended_at_once,
    followers_have_a_most_per_customer)

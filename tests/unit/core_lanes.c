/* core_lanes.c - what waits for the other side of a link (core/uplink_lanes.c): a customer waits
 * behind a slice of another one's output, and only the one that fills the link is paused. */
#include "tests/unit/core_talk.h"

/* Channels 1 and 3 of customer 7 and 2 of customer 8 are subscribers; the other side does not read.
 * Messages of customer 7, so that so many bytes wait for it. */
static void fill_lane(size_t bytes)
{
	static char text[1001];
	struct link *l = list_first(&uplink->links, struct link, node);

	memset(text, 'x', 1000);
	while (l->self.lane && channel_find(l, 1)->lane->out.p == NULL
	           ? buf_len(&l->out) < bytes
	           : buf_len(&channel_find(l, 1)->lane->out) < bytes) {
		for (int i = 0; i < 20; i++)
			put_pub(&to, 3, 1, "t", text, 0, 0);
		MUST(send(fd, buf_data(&to), buf_len(&to), MSG_NOSIGNAL) == (ssize_t)buf_len(&to));
		buf_reset(&to);
		turn();
	}
}

static void begin_shared(void)
{
	begin();
	ears = heard[0];
	memset(heard[0], 0, sizeof(heard[0]));
	for (uint32_t c = 1; c <= 3; c++) {
		put_open(&to, c, 1, c == 1 ? "a" : c == 2 ? "b" : "c");
		if (c < 3)
			put_sub(&to, c, 1, "t", 0);
	}
	talk();
	buf_reset(&from);
	uplink->marks.slow = uplink->marks.slow_alone = 1u << 30;
}

static void say_b(void)
{
	put_pub(&to, 2, 1, "t", "b", 0, 0);
	MUST(send(fd, buf_data(&to), buf_len(&to), MSG_NOSIGNAL) == (ssize_t)buf_len(&to));
	buf_reset(&to);
	turn();
}

/* Bytes that the other side reads until it has the message of customer 8. */
static size_t bytes_until_b(void)
{
	struct link_head head;
	size_t bytes = 0;
	ssize_t n;

	while (heard[0][2].n == 0 && bytes < 64 << 20) {
		loop_turn(home->loop, 0);
		n = recv(fd, buf_reserve(&from, 4096), 4096, 0);
		if (n <= 0)
			continue;
		buf_commit(&from, (size_t)n);
		bytes += (size_t)n;
		while (link_head_read(buf_str(&from), &head) == PARSE_OK) {
			hear_frame(&head,
			           str_make(buf_str(&from).p + LINK_HEAD, head.length - LINK_HEAD));
			buf_consume(&from, head.length);
		}
	}
	return bytes;
}

static void a_message_stands_behind_a_slice_of_another_customers_only(void)
{
	size_t bytes;

	begin_shared();
	fill_lane(2 << 20);
	say_b();
	bytes = bytes_until_b();
	YES(bytes < 128 << 10);
	IS(home->counters.dropped_paused, 0);
	end();
	/* the control: all in one buffer */
	begin_shared();
	uplink->marks = (struct lane_marks){ 1u << 30, 1u << 30, 1u << 30, 1u << 30 };
	fill_lane(2 << 20);
	say_b();
	bytes = bytes_until_b();
	YES(bytes > 1 << 20);
	end();
}

static void only_the_customer_that_fills_a_link_is_paused(void)
{
	begin_shared();
	config.link_high = 64 << 10;
	fill_lane((64 << 10) + 1);
	put_pub(&to, 1, 1, "t", "lost", 0, 0);
	say_b();
	IS(home->counters.dropped_paused > 0, true);
	IS(home->counters.link_full, 1);
	(void)bytes_until_b();
	YES(heard[0][2].n > 0);
	for (int i = 0; i < 1000; i++) {
		loop_turn(home->loop, 0);
		listen_all();
	}
	memset(heard[0], 0, sizeof(heard[0]));
	put_pub(&to, 1, 1, "t", "again", 0, 0);
	say_b();
	listen_all();
	YES(strstr(heard[0][1].text, "DELIVER again") != NULL);
	end();
}

static void a_customer_whose_output_waits_is_not_served_until_it_was_taken(void)
{
	struct customer *c;
	uint64_t published;

	begin_shared();
	c = customer_find(home, 7);
	uplink->marks.slow = 100 << 10;
	fill_lane(100 << 10);
	YES(c->stopped);
	published = home->counters.published;
	put_pub(&to, 3, 1, "t", "waits", 0, 0);
	say_b();
	IS(home->counters.published, published + 1);
	IS(bytes_until_b() > 0, true);
	for (int i = 0; i < 1000; i++) {
		loop_turn(home->loop, 0);
		listen_all();
	}
	YES(!c->stopped);
	IS(c->parked_bytes, 0);
	YES(home->counters.published > published + 1);
	IS(home->counters.dropped_paused, 0);
	/* nobody takes anything: it goes on after a moment, and its clients are paused at the mark
	 */
	fill_lane(100 << 10);
	YES(c->stopped);
	put_pub(&to, 3, 1, "t", "waits", 0, 0);
	MUST(send(fd, buf_data(&to), buf_len(&to), MSG_NOSIGNAL) == (ssize_t)buf_len(&to));
	buf_reset(&to);
	turn();
	published = home->counters.published;
	later(2 * WORK_SLOW_MS);
	YES(!c->stopped);
	turn();
	YES(home->counters.published > published);
	IS(c->parked_bytes, 0);
	end();
}

/* FINISH of a channel is for the proxy an answer to a client that it knows as open: it ends the
 * link if OPENED has not been there. */
static void finish_stands_behind_opened_in_the_lane_of_its_customer(void)
{
	const char *opened, *finish;

	minor = LINK_MINOR;
	begin_shared();
	fill_lane(1 << 20);
	put_open(&to, 5, 1, "d");
	put_open(&to, 7, 1, "d");
	say_b();
	IS(home->counters.handovers, 1);
	(void)bytes_until_b();
	for (int i = 0; i < 1000; i++) {
		loop_turn(home->loop, 0);
		listen_all();
	}
	opened = strstr(heard[0][5].text, "OPENED");
	finish = strstr(heard[0][5].text, "FINISH");
	YES(opened && finish && opened < finish);
	end();
	minor = 0;
}

/* All that waits was appended to the link's buffer, while there was one customer only; then another
 * one comes, and all is read. */
static void another_one_comes_and_all_is_read(size_t bytes)
{
	begin();
	ears = heard[0];
	memset(heard[0], 0, sizeof(heard[0]));
	put_open(&to, 1, 1, "a");
	put_open(&to, 3, 1, "c");
	put_sub(&to, 1, 1, "t", 0);
	talk();
	buf_reset(&from);
	config.link_high = 64 << 10;
	uplink->marks.slow = uplink->marks.slow_alone = 32 << 10;
	if (bytes > 32 << 10)
		uplink->marks.slow = uplink->marks.slow_alone = 1u << 30;
	fill_lane(bytes);
	put_open(&to, 2, 1, "b");
	put_sub(&to, 2, 1, "t", 0);
	say_b();
	say_b();
	(void)bytes_until_b();
	for (int i = 0; i < 1000; i++) {
		loop_turn(home->loop, 0);
		listen_all();
	}
	memset(heard[0], 0, sizeof(heard[0]));
}

static void a_customer_that_was_full_alone_goes_on_when_another_one_has_come(void)
{
	another_one_comes_and_all_is_read((64 << 10) + 1);
	IS(home->counters.link_full, 1);
	put_pub(&to, 3, 1, "t", "again", 0, 0);
	say_b();
	listen_all();
	YES(strstr(heard[0][1].text, "DELIVER again") != NULL);
	end();
}

static void a_customer_that_was_slow_alone_is_served_when_another_one_has_come(void)
{
	another_one_comes_and_all_is_read(32 << 10);
	IS(home->counters.slowed, 1);
	IS(customer_find(home, 7)->slow_links, 0);
	YES(!customer_find(home, 7)->stopped);
	end();
}

RUN(a_message_stands_behind_a_slice_of_another_customers_only,
    only_the_customer_that_fills_a_link_is_paused,
    a_customer_whose_output_waits_is_not_served_until_it_was_taken,
    finish_stands_behind_opened_in_the_lane_of_its_customer,
    a_customer_that_was_full_alone_goes_on_when_another_one_has_come,
    a_customer_that_was_slow_alone_is_served_when_another_one_has_come)

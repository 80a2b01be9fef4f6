/* core_uplink_ends.c - a link that is full, is lost or ends, and its clients. */
#include "tests/unit/core_link_help.h"

static void a_full_link_counts_as_paused_until_it_is_drained(void)
{
	static char big[60001];
	struct link_deliver d;
	unsigned delivered = 0;

	memset(big, 'x', 60000);
	begin();
	config.link_high = 1 << 20;
	say_open(1, 1, "x", 0);
	say_sub(1, 1, "flespi/log/q0", 0);
	say_sub(1, 1, "flespi/log/q1", 1);
	talk();
	/* Nobody reads: the kernel takes some, the link up to its mark; then the customer waits for
	 * a moment, and the rest of QoS 0 is dropped. */
	for (int i = 0; i < 60; i++) {
		say_pub(0, 0, "flespi/log/q0", big, 0, 0);
		while (buf_len(&to)) {
			ssize_t n = send(fd, buf_data(&to), buf_len(&to), MSG_NOSIGNAL);

			if (n > 0)
				buf_consume(&to, (size_t)n);
			turn();
		}
	}
	IS(home->counters.dropped_paused, 0);
	later(2 * WORK_SLOW_MS);
	turn();
	YES(home->counters.dropped_paused > 0);
	IS(home->counters.link_full, 1);
	say_pub(0, 0, "flespi/log/q1", "queued", 0, 0);
	say_pub(1, 1, "flespi/log/q1", "queued", 1, 1);
	talk(); /* reads: drains */
	for (unsigned i = 0; i < count; i++) {
		if (got[i].head.type == LINK_DELIVER && link_deliver_read(got[i].body, &d) &&
		    str_eq(d.msg.payload, STR("queued")))
			delivered++;
	}
	IS(delivered, 1);
	end();
}

static void running_out_of_memory_costs_one_client_or_the_link(void)
{
	unsigned long n = 1;

	for (bool failed = true; failed; n++) {
		begin();
		say_open(300, 1, "x", 60);
		say_sub(300, 1, "t/#", 1);
		say_pub(300, 1, "t/1", "payload", 1, 3);
		MUST(send(fd, buf_data(&to), buf_len(&to), 0) == (ssize_t)buf_len(&to));
		buf_reset(&to);
		mem_fail_at(n, false);
		turn();
		failed = mem_count() >= n;
		mem_fail_at(0, false);
		if (uplink_links(uplink)) {
			link_bare_write(&to, LINK_PING, 0, 0);
			talk();
			IS(got[count - 1].head.type, LINK_PONG);
		}
		end();
	}
	YES(n > 10);
}

static void who_makes_us_answer_and_does_not_read_is_cut_off(void)
{
	begin();
	config.link_high = 64 << 10;
	say_open(1, 1, "x", 0);
	talk();
	for (int i = 0; i < 400 && uplink_links(uplink); i++) {
		for (int k = 0; k < 1000 && buf_len(&to) < 60000; k++)
			say_pub(1, 1, "t", "", 1, 1);
		ssize_t n = send(fd, buf_data(&to), buf_len(&to), MSG_NOSIGNAL);

		if (n > 0)
			buf_consume(&to, (size_t)n);
		later(50);
	}
	IS(uplink_links(uplink), 0);
	IS(home->counters.links_dead, 1);
	end();
}

static void wills_of_a_lost_link_wait_for_the_grace(void)
{
	struct link_open o = { .version = MQTT_V5,
		               .receive_maximum = 10,
		               .customer = 7,
		               .token = 5,
		               .client_id = STR("x"),
		               .will = { .topic = STR("customer/7/w"),
		                         .payload = STR("bye"),
		                         .expiry_s = LINK_NO_EXPIRY } };

	begin();
	link_open_write(&to, 1, 1, LINK_OPEN_WILL, &o);
	talk();
	close(fd);
	turn();
	IS(uplink_links(uplink), 0);
	IS(home->counters.lost, 1);
	IS(home->counters.wills_fired, 0);
	plug_in();
	later(config.will_grace + 100);
	IS(home->counters.wills_fired, 1);
	end();
}

static void open_of(uint32_t channel, uint64_t customer, bool will)
{
	char id[16], topic[32];
	struct link_open o = { .version = MQTT_V5,
		               .receive_maximum = 10,
		               .customer = customer,
		               .token = 5,
		               .session_expiry_s = 60 };

	(void)snprintf(id, sizeof(id), "c%u", channel);
	(void)snprintf(topic, sizeof(topic), "customer/%u/w", (unsigned)customer);
	o.client_id = str_c(id);
	o.will = (struct link_msg){ .topic = str_c(topic),
		                    .payload = STR("bye"),
		                    .expiry_s = LINK_NO_EXPIRY };
	link_open_write(&to, channel, 1, will ? LINK_OPEN_WILL : 0, &o);
}

/* A link with many clients of customer 7 and one of customer 8 is lost. */
static void lose_many(unsigned n)
{
	begin();
	for (uint32_t i = 1; i <= n; i++)
		open_of(i, 7, true);
	open_of(n + 1, 8, true);
	talk();
	IS(home->counters.opened, n + 2); /* and the link's own */
	home->most.slice = home->most.turn = 2000;
	close(fd);
	for (int i = 0; i < 10 && uplink_links(uplink); i++)
		loop_turn(home->loop, 0);
	IS(uplink_links(uplink), 0);
}

static void clients_of_a_lost_link_are_lost_in_slices(void)
{
	uint64_t spent, most = 0;

	lose_many(1000);
	YES(home->counters.lost < 100);
	for (int i = 0; i < 5; i++)
		loop_turn(home->loop, 0);
	IS_STR(session_id(session_find(customer_find(home, 8), STR("c1001"))), "c1001");
	YES(!session_find(customer_find(home, 8), STR("c1001"))->port);
	YES(home->counters.lost < 200);
	for (int i = 0; i < 200; i++) {
		spent = home->spent;
		loop_turn(home->loop, 0);
		most = home->spent - spent > most ? home->spent - spent : most;
	}
	IS(home->counters.lost, 1001);
	YES(most < 4000);
	end();
}

/* It comes back on another link before its turn to be lost has come: that is done first. */
static void a_client_that_comes_back_at_once_was_lost_before(void)
{
	lose_many(1000);
	plug_in();
	hello_as(LINK_MAJOR);
	open_of(1000, 7, false);
	for (int i = 0; i < 30; i++)
		talk();
	IS(home->counters.lost, 1001);
	IS(home->counters.taken_over, 0);
	IS(home->counters.wills_cancelled, 1);
	IS(home->counters.wills_fired, 0);
	YES(session_find(customer_find(home, 7), STR("c1000"))->port);
	end();
}

/* The program ends while they wait for that. */
static void clients_of_a_lost_link_do_not_outlive_the_home(void)
{
	for (unsigned told = 0; told < 2; told++) {
		lose_many(1000);
		if (told)
			sessions_close(home, RC_SERVER_SHUTTING_DOWN);
		fd = -1;
		end();
	}
}

/* A proxy that lets a client go: the same, for that client alone. */
static void a_client_let_go_has_the_grace_of_a_lost_link(void)
{
	struct link_open o = { .version = MQTT_V5,
		               .receive_maximum = 10,
		               .customer = 7,
		               .token = 5,
		               .session_expiry_s = 60,
		               .client_id = STR("x"),
		               .will = { .topic = STR("customer/7/w"),
		                         .payload = STR("bye"),
		                         .expiry_s = LINK_NO_EXPIRY } };

	for (unsigned comes_back = 0; comes_back < 2; comes_back++) {
		begin();
		link_open_write(&to, 1, 1, LINK_OPEN_WILL, &o);
		talk();
		link_close_write(&to, 1, 1, LINK_CLOSE_GRACE, 0);
		talk();
		IS(uplink_links(uplink), 1);
		IS(home->counters.wills_fired, 0);
		if (comes_back) {
			link_open_write(&to, 1, 2, 0, &o);
			talk();
		}
		later(config.will_grace / 2);
		IS(home->counters.wills_fired, 0);
		link_bare_write(&to, LINK_PING, 0, 0);
		talk();
		later(config.will_grace / 2 + 100);
		IS(home->counters.wills_fired, !comes_back);
		end();
	}
}

static void the_end_tells_every_client(void)
{
	uint8_t reason;

	begin();
	say_open(1, 1, "x", 0);
	talk();
	sessions_close(home, RC_SERVER_SHUTTING_DOWN);
	talk();
	IS(count, 1);
	IS(got[0].head.type, LINK_CLOSED);
	YES(link_closed_read(got[0].body, &reason));
	IS(reason, RC_SERVER_SHUTTING_DOWN);
	end();
}

RUN(a_full_link_counts_as_paused_until_it_is_drained, wills_of_a_lost_link_wait_for_the_grace,
    clients_of_a_lost_link_are_lost_in_slices, a_client_that_comes_back_at_once_was_lost_before,
    clients_of_a_lost_link_do_not_outlive_the_home, a_client_let_go_has_the_grace_of_a_lost_link,
    running_out_of_memory_costs_one_client_or_the_link,
    who_makes_us_answer_and_does_not_read_is_cut_off, the_end_tells_every_client)

/* proxy_auth_many.c - many asks at once: what runs, what waits, and whose share of the queue it is.
 */
#include "tests/unit/proxy_auth.h"

static void a_hundred_asks_for_one_token_are_one_request(void) /* F05 */
{
	static struct asked x[100];

	defaults();
	begin();
	atomic_store(&ep->delay_ms, 200);
	for (size_t i = 0; i < ARRAY_LEN(x); i++)
		send_ask(&x[i], "k1");
	for (size_t i = 0; i < ARRAY_LEN(x); i++) {
		UNTIL(x[i].back, 5000);
		IS(x[i].reason, RC_SUCCESS);
		YES(x[i].token == x[0].token || i == 0);
	}
	for (size_t i = 0; i < ARRAY_LEN(x); i++)
		auth_token_put(&x[i].token);
	IS(requests(), 1);
	IS(counted(&auth_counters(au)->merged), 99);
	end();
}

static void no_more_requests_run_at_once_than_allowed(void)
{
	static struct asked x[40];

	defaults();
	config.auth_parallel = 4;
	begin();
	atomic_store(&ep->delay_ms, 30);
	for (unsigned i = 0; i < ARRAY_LEN(x); i++)
		send_ask(&x[i], key_no(i + 1));
	for (size_t i = 0; i < ARRAY_LEN(x); i++) {
		UNTIL(x[i].back, 10000);
		IS(x[i].reason, RC_SUCCESS);
		auth_token_put(&x[i].token);
	}
	IS(requests(), 40);
	YES(atomic_load(&ep->busy_most) <= 4);
	end();
}

static void who_does_not_fit_into_the_queue_is_told_at_once(void)
{
	static struct asked x[20];
	unsigned told_busy = 0;

	defaults();
	config.auth_parallel = 1;
	config.auth_queue = 4;
	begin();
	atomic_store(&ep->delay_ms, 400);
	for (unsigned i = 0; i < ARRAY_LEN(x); i++)
		send_ask(&x[i], key_no(i + 1));
	turn_for(150);
	for (size_t i = 0; i < ARRAY_LEN(x); i++)
		told_busy += x[i].back && x[i].reason == RC_SERVER_BUSY;
	YES(told_busy >= ARRAY_LEN(x) - 6 && told_busy <= ARRAY_LEN(x) - 4);
	IS(counted(&auth_counters(au)->overflow), told_busy);
	for (size_t i = 0; i < ARRAY_LEN(x); i++) {
		UNTIL(x[i].back, 5000);
		auth_token_put(&x[i].token);
	}
	end();
}

static const struct sock_addr asks_much = { .bytes = { [10] = 0xff, 0xff, 192, 0, 2, 1 } },
			      neighbour = { .bytes = { [10] = 0xff, 0xff, 192, 0, 2, 2 } },
			      this_machine = { .bytes = { [10] = 0xff, 0xff, 127, 0, 0, 1 } };

static unsigned count_back(const struct asked *x, size_t n, unsigned reason)
{
	unsigned count = 0;

	for (size_t i = 0; i < n; i++)
		count += x[i].back && x[i].reason == reason;
	return count;
}

static void let_all_go(struct asked *x, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		UNTIL(x[i].back, 10000);
		auth_token_put(&x[i].token);
	}
}

static void an_address_that_asks_about_many_keys_waits_behind_itself(void)
{
	static struct asked x[40], other;

	defaults();
	config.auth_parallel = 1;
	config.auth_queue_per_ip = 0;
	begin();
	atomic_store(&ep->delay_ms, 20);
	for (unsigned i = 0; i < ARRAY_LEN(x); i++)
		send_as(&x[i], whole(key_no(i + 1)), &asks_much);
	turn_for(10);
	send_as(&other, whole(key_no(900)), &neighbour);
	UNTIL(other.back, 10000);
	IS(other.reason, RC_SUCCESS);
	/* the one that was under way, and one whose turn it was; with room for a late look */
	YES(count_back(x, ARRAY_LEN(x), RC_SUCCESS) <= 5);
	auth_token_put(&other.token);
	let_all_go(x, ARRAY_LEN(x));
	end();
}

static void an_address_has_a_share_of_the_queue(void)
{
	static struct asked x[20], other, mine[20];

	defaults();
	config.auth_parallel = 1;
	config.auth_queue_per_ip = 4;
	begin();
	atomic_store(&ep->delay_ms, 30);
	for (unsigned i = 0; i < ARRAY_LEN(x); i++)
		send_as(&x[i], whole(key_no(i + 1)), &asks_much);
	turn_for(10);
	YES(count_back(x, ARRAY_LEN(x), RC_SERVER_BUSY) >= ARRAY_LEN(x) - 6);
	IS(counted(&auth_counters(au)->over_share), count_back(x, ARRAY_LEN(x), RC_SERVER_BUSY));
	send_as(&other, whole(key_no(900)), &neighbour);
	for (unsigned i = 0; i < ARRAY_LEN(mine); i++) /* whoever forwards for many */
		send_as(&mine[i], whole(key_no(i + 100)), &this_machine);
	let_all_go(x, ARRAY_LEN(x));
	let_all_go(&other, 1);
	let_all_go(mine, ARRAY_LEN(mine));
	IS(other.reason, RC_SUCCESS);
	IS(count_back(mine, ARRAY_LEN(mine), RC_SUCCESS), ARRAY_LEN(mine));
	end();
}

static void a_full_queue_has_room_for_an_address_that_has_less_of_it(void)
{
	static struct asked x[20], other;

	defaults();
	config.auth_parallel = 1;
	config.auth_queue = 6;
	config.auth_queue_per_ip = 0;
	begin();
	atomic_store(&ep->delay_ms, 50);
	for (unsigned i = 0; i < ARRAY_LEN(x); i++) {
		send_as(&x[i], whole(key_no(i + 1)), &asks_much);
		if (i % 5 == 0) /* one leaves the queue for the endpoint */
			turn_for(2);
	}
	turn_for(2);
	send_as(&other, whole(key_no(900)), &neighbour);
	let_all_go(&other, 1);
	IS(other.reason, RC_SUCCESS);
	let_all_go(x, ARRAY_LEN(x));
	YES(count_back(x, ARRAY_LEN(x), RC_SERVER_BUSY) >= 1);
	IS(counted(&auth_counters(au)->over_share), 1);
	end();
}

static void a_slow_endpoint_is_given_up_in_time(void)
{
	int64_t start;

	defaults();
	config.auth_timeout = 500;
	begin();
	atomic_store(&ep->delay_ms, 5000);
	start = clock_mono_ms();
	IS(ask("k1"), RC_SERVER_UNAVAILABLE);
	YES(clock_mono_ms() - start >= 450 && clock_mono_ms() - start < 1500);
	end();
}

static void nobody_waits_for_a_slot_longer_than_the_deadline(void)
{
	static struct asked x[8];
	int64_t start;

	defaults();
	config.auth_parallel = 1;
	config.auth_timeout = 300;
	begin();
	atomic_store(&ep->delay_ms, 5000);
	start = clock_mono_ms();
	for (unsigned i = 0; i < ARRAY_LEN(x); i++)
		send_ask(&x[i], key_no(i + 1));
	for (size_t i = 0; i < ARRAY_LEN(x); i++) {
		UNTIL(x[i].back, 5000);
		YES(x[i].reason == RC_SERVER_UNAVAILABLE || x[i].reason == RC_SERVER_BUSY);
	}
	YES(clock_mono_ms() - start < 1500);
	end();
}

static void unanswered_asks_are_freed_when_all_ends(void)
{
	static struct asked x[8];

	defaults();
	config.auth_parallel = 2;
	begin();
	atomic_store(&ep->delay_ms, 5000);
	for (unsigned i = 0; i < ARRAY_LEN(x); i++)
		send_ask(&x[i], key_no(i / 2 + 1));
	turn_for(50);
	end();
	for (size_t i = 0; i < ARRAY_LEN(x); i++)
		NO(x[i].back);
}

RUN(a_hundred_asks_for_one_token_are_one_request, no_more_requests_run_at_once_than_allowed,
    who_does_not_fit_into_the_queue_is_told_at_once,
    an_address_that_asks_about_many_keys_waits_behind_itself, an_address_has_a_share_of_the_queue,
    a_full_queue_has_room_for_an_address_that_has_less_of_it, a_slow_endpoint_is_given_up_in_time,
    nobody_waits_for_a_slot_longer_than_the_deadline, unanswered_asks_are_freed_when_all_ends)

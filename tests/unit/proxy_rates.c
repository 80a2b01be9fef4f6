/* Rates: how often addresses, customers, tokens and clients may connect, how much one connection
 * may do. */
#include <stdio.h>

#include "proxy/pace.h"
#include "proxy/rates.h"
#include "tests/kit/kit.h"

static struct rates *rates;

static struct sock_addr v4(uint8_t last)
{
	return (struct sock_addr){
		.bytes = { [10] = 0xff, [11] = 0xff, [12] = 192, [14] = 2, [15] = last }
	};
}

static struct sock_addr v6(uint8_t net, uint8_t host)
{
	return (struct sock_addr){ .bytes = { 0x20, 0x01, [7] = net, [15] = host } };
}

static unsigned taken(struct sock_addr peer, int64_t per_second, int64_t now, unsigned tries)
{
	unsigned n = 0;

	for (unsigned i = 0; i < tries; i++)
		n += rates_take_peer(rates, &peer, 0, per_second, now) == 0;
	return n;
}

static void an_address_has_a_burst_and_then_its_rate(void)
{
	IS(rates_new(&rates), 0);
	IS(taken(v4(1), 2, 1000, 100), 2 * RATES_BURST_S);
	IS(taken(v4(1), 2, 1000, 100), 0);
	IS(taken(v4(1), 2, 1500, 100), 1);
	IS(taken(v4(1), 2, 4500, 100), 6);
	IS(taken(v4(1), 2, 60000, 100), 2 * RATES_BURST_S);
	rates_free(&rates);
}

static void addresses_have_buckets_of_their_own(void)
{
	IS(rates_new(&rates), 0);
	IS(taken(v4(1), 1, 0, 100), RATES_BURST_S);
	IS(taken(v4(2), 1, 0, 100), RATES_BURST_S);
	rates_free(&rates);
}

static void an_address_has_a_bucket_in_each_ledger(void)
{
	struct sock_addr peer = v4(1);

	IS(rates_new(&rates), 0);
	IS(taken(peer, 1, 0, 100), RATES_BURST_S);
	IS(rates_take_peer(rates, &peer, 0, 1, 0), -E_LIMIT);
	IS(rates_take_peer(rates, &peer, 1, 1, 0), 0);
	rates_free(&rates);
}

static void an_ipv6_address_counts_as_its_64(void)
{
	IS(rates_new(&rates), 0);
	IS(taken(v6(1, 1), 1, 0, 100), RATES_BURST_S);
	IS(taken(v6(1, 2), 1, 0, 100), 0);
	IS(taken(v6(2, 1), 1, 0, 100), RATES_BURST_S);
	rates_free(&rates);
}

static void customers_are_no_addresses(void)
{
	struct sock_addr zero = { .port = 0 };

	IS(rates_new(&rates), 0);
	IS(taken(zero, 1, 0, 100), RATES_BURST_S);
	IS(rates_take_customer(rates, 0, 1, 0), 0);
	IS(rates_count(rates), 2);
	rates_free(&rates);
}

static void tokens_customers_and_clients_have_buckets_of_their_own(void)
{
	unsigned n = 0;

	IS(rates_new(&rates), 0);
	for (unsigned i = 0; i < 100; i++)
		n += rates_take_token(rates, 7, 1, 1, 0) == 0;
	IS(n, RATES_BURST_S);
	IS(rates_take_token(rates, 7, 2, 1, 0), 0);
	IS(rates_take_token(rates, 8, 1, 1, 0), 0);
	IS(rates_take_customer(rates, 7, 1, 0), 0);
	n = 0;
	for (unsigned i = 0; i < 100; i++)
		n += !rates_take_client(rates, 7, STR("a"), 1, 0);
	IS(n, RATES_BURST_S);
	NO(rates_take_client(rates, 7, STR("b"), 1, 0));
	NO(rates_take_client(rates, 8, STR("a"), 1, 0));
	IS(rates_take_token(rates, 9, 1, 0, 0), -E_LIMIT); /* 0 lets nobody in */
	IS(rates_take_token(rates, 9, 1, INT64_MAX, 0), 0);
	rates_free(&rates);
}

static void client_ids_leave_room_for_others_and_pass_when_there_is_none(void)
{
	char id[16];

	IS(rates_new(&rates), 0);
	for (unsigned i = 0; i < RATES_MAX / 2 + 10; i++) {
		(void)snprintf(id, sizeof(id), "%u", i);
		NO(rates_take_client(rates, 7, str_c(id), 1, 0));
	}
	IS(rates_count(rates), RATES_MAX / 2);
	IS(rates_take_customer(rates, 7, 1, 0), 0);
	for (unsigned i = 0; i < 2 * RATES_BURST_S; i++)
		NO(rates_take_client(rates, 7, STR("new"), 1, 0));
	rates_free(&rates);
}

static void no_rate_is_no_limit_and_costs_nothing(void)
{
	IS(rates_new(&rates), 0);
	IS(taken(v4(1), 0, 0, 10000), 10000);
	IS(rates_count(rates), 0);
	rates_free(&rates);
}

static void names_are_forgotten_when_their_buckets_are_full_again(void)
{
	IS(rates_new(&rates), 0);
	for (unsigned i = 0; i < 200; i++)
		IS(taken(v4((uint8_t)i), 1, 0, 1), 1);
	IS(rates_count(rates), 200);
	for (unsigned i = 0; i < 200; i++)
		IS(taken(v4(250), 1000, 20000 + i, 1), 1);
	IS(rates_count(rates), 1);
	rates_free(&rates);
}

static void this_machine_is_known(void)
{
	struct sock_addr local = { .local = true }, six = { .bytes = { [15] = 1 } },
			 four = { .bytes = { [10] = 0xff, [11] = 0xff, [12] = 127, [15] = 9 } },
			 any = { .port = 1 }, far = v4(1);

	YES(rates_loopback(&local));
	YES(rates_loopback(&six));
	YES(rates_loopback(&four));
	NO(rates_loopback(&any));
	NO(rates_loopback(&far));
}

static void rates_survive_missing_memory(void)
{
	struct sock_addr peer = v4(1);

	each_alloc_failure(n)
	{
		rates = NULL;
		if (rates_new(&rates) == 0)
			YES(rates_take_peer(rates, &peer, 0, 1, 0) != -E_LIMIT);
		rates_free(&rates);
	}
}

/* ---- One connection ---- */

static void a_burst_is_free_and_then_there_is_a_pause(void)
{
	struct pace p = { .per_second = 10 };

	for (unsigned i = 0; i < 50; i++)
		NO(pace_take(&p, 1, 1000));
	YES(pace_take(&p, 1, 1000));
	IS(pace_free(&p), 1000 + 100 + PACE_STEP_MS);
	NO(pace_take(&p, 1, pace_free(&p)));
}

static void great_numbers_at_once_are_waited_for(void)
{
	struct pace p = { .per_second = 1000 };

	YES(pace_take(&p, 8000, 0));
	IS(pace_free(&p), 3000 + PACE_STEP_MS);
	YES(pace_take(&p, UINT64_MAX, 0)); /* and nothing overflows */
	YES(pace_free(&p) > 1000000);
}

static void without_a_rate_nothing_is_counted(void)
{
	struct pace p = { .per_second = 0 };

	for (unsigned i = 0; i < 1000; i++)
		NO(pace_take(&p, 1000, 0));
	IS(p.due, 0);
}

static void being_over_it_begins_with_the_first_pause_and_ends_with_a_rest(void)
{
	struct pace p = { .per_second = 10 };
	int64_t now = 1000;

	for (unsigned i = 0; i < 200; i++) {
		if (pace_take(&p, 1, now))
			now = pace_free(&p);
	}
	IS(pace_over(&p, now), now - 1000);
	YES(pace_over(&p, now) > 10000);
	now += 3000; /* half of the burst is free again */
	NO(pace_take(&p, 1, now));
	IS(pace_over(&p, now), 0);
}

RUN(an_address_has_a_burst_and_then_its_rate, addresses_have_buckets_of_their_own,
    an_address_has_a_bucket_in_each_ledger, an_ipv6_address_counts_as_its_64,
    customers_are_no_addresses, tokens_customers_and_clients_have_buckets_of_their_own,
    client_ids_leave_room_for_others_and_pass_when_there_is_none,
    no_rate_is_no_limit_and_costs_nothing, names_are_forgotten_when_their_buckets_are_full_again,
    this_machine_is_known, rates_survive_missing_memory, a_burst_is_free_and_then_there_is_a_pause,
    great_numbers_at_once_are_waited_for, without_a_rate_nothing_is_counted,
    being_over_it_begins_with_the_first_pause_and_ends_with_a_rest)

/* States and ends of a connection, counting connections, the settings. */
#include "proxy/caps.h"
#include "proxy/config.h"
#include "proxy/conn.h"
#include "tests/kit/kit.h"

static void states_lead_to_open_only_through_auth(void)
{
	YES(conn_may_become(CONN_GREETING, CONN_AUTH));
	YES(conn_may_become(CONN_AUTH, CONN_OPENING));
	YES(conn_may_become(CONN_OPENING, CONN_OPEN));
	NO(conn_may_become(CONN_GREETING, CONN_OPENING));
	NO(conn_may_become(CONN_GREETING, CONN_OPEN));
	NO(conn_may_become(CONN_AUTH, CONN_OPEN));
	NO(conn_may_become(CONN_OPEN, CONN_AUTH));
}

static void every_state_can_end_and_the_end_is_the_end(void)
{
	for (unsigned from = 0; from < CONN_STATE_COUNT; from++) {
		IS(conn_may_become(from, CONN_CLOSING), from != CONN_CLOSING);
		NO(conn_may_become(CONN_CLOSING, from));
	}
}

static void every_end_has_its_own_word(void)
{
	for (unsigned a = 0; a < END_COUNT; a++) {
		YES(*conn_end_row(a)->word);
		for (unsigned b = a + 1; b < END_COUNT; b++)
			YES(strcmp(conn_end_row(a)->word, conn_end_row(b)->word));
	}
}

static void a_broken_rule_finds_its_end(void)
{
	IS(conn_end_of(RC_MALFORMED_PACKET), END_MALFORMED);
	IS(conn_end_of(RC_PROTOCOL_ERROR), END_PROTOCOL);
	IS(conn_end_of(RC_TOPIC_NAME_INVALID), END_TOPIC_NAME);
	IS(conn_end_of(RC_TOPIC_ALIAS_INVALID), END_TOPIC_ALIAS);
	IS(conn_end_of(RC_QUOTA_EXCEEDED), END_QUOTA);
	IS(conn_end_of(RC_PACKET_TOO_LARGE), END_TOO_LARGE);
	IS(conn_end_of(RC_PAYLOAD_FORMAT_INVALID), END_PAYLOAD_FORMAT);
	IS(conn_end_of(RC_BANNED), END_OTHER);
}

static void a_broken_rule_sends_the_will_and_a_goodbye_does_not(void)
{
	YES(conn_end_row(END_MALFORMED)->flags & END_WILL);
	YES(conn_end_row(END_GONE)->flags & END_WILL);
	YES(conn_end_row(END_KEEP_ALIVE)->flags & END_WILL);
	NO(conn_end_row(END_DISCONNECT)->flags & END_WILL);
	NO(conn_end_row(END_REVOKED)->flags & END_WILL);
}

/* ---- Counting ---- */

static void an_address_is_counted_apart_from_others(void)
{
	struct sock_addr a = { .bytes = { 1 } }, b = { .bytes = { 2 } };
	struct caps *caps = NULL;
	struct cap *one = NULL, *two = NULL, *three = NULL;

	IS(caps_new(&caps), 0);
	IS(caps_enter_peer(caps, &a, 0, 10, 1, &one), 0);
	IS(caps_enter_peer(caps, &a, 0, 10, 1, &two), -E_LIMIT);
	IS(caps_enter_peer(caps, &b, 0, 10, 1, &three), 0);
	caps_leave(caps, &one);
	IS(caps_enter_peer(caps, &a, 0, 10, 1, &two), 0);
	caps_leave(caps, &two);
	caps_leave(caps, &three);
	caps_free(&caps);
}

static void an_ipv6_address_is_counted_as_its_64_and_an_ipv4_address_whole(void)
{
	struct sock_addr a = { .bytes = { 0x20, 1, [7] = 1, [15] = 1 } }, b = a, c = a;
	struct sock_addr d = { .bytes = { [10] = 0xff, [11] = 0xff, [15] = 1 } }, e = d;
	struct caps *caps = NULL;
	struct cap *one = NULL, *two = NULL, *three = NULL, *four = NULL, *none = NULL;

	b.bytes[15] = 2;
	c.bytes[7] = 2;
	e.bytes[15] = 2;
	IS(caps_new(&caps), 0);
	IS(caps_enter_peer(caps, &a, 0, 10, 1, &one), 0);
	IS(caps_enter_peer(caps, &b, 0, 10, 1, &none), -E_LIMIT);
	IS(caps_enter_peer(caps, &c, 0, 10, 1, &two), 0);
	IS(caps_enter_peer(caps, &d, 0, 10, 1, &three), 0);
	IS(caps_enter_peer(caps, &e, 0, 10, 1, &four), 0);
	caps_leave(caps, &one);
	caps_leave(caps, &two);
	caps_leave(caps, &three);
	caps_leave(caps, &four);
	caps_free(&caps);
}

static void an_address_is_counted_in_each_ledger_and_all_connections_over_them(void)
{
	struct sock_addr a = { .bytes = { 1 } };
	struct caps *caps = NULL;
	struct cap *one = NULL, *two = NULL, *three = NULL;

	IS(caps_new(&caps), 0);
	IS(caps_enter_peer(caps, &a, 0, 2, 1, &one), 0);
	IS(caps_enter_peer(caps, &a, 0, 2, 1, &three), -E_LIMIT);
	IS(caps_enter_peer(caps, &a, 1, 2, 1, &two), 0);
	IS(caps_enter_peer(caps, &a, 2, 2, 1, &three), -E_LIMIT);
	caps_leave(caps, &one);
	IS(caps_enter_peer(caps, &a, 1, 2, 1, &three), -E_LIMIT);
	IS(caps_enter_peer(caps, &a, 0, 2, 1, &three), 0);
	caps_leave(caps, &two);
	caps_leave(caps, &three);
	caps_free(&caps);
}

static void all_addresses_together_have_a_limit(void)
{
	struct sock_addr a = { .bytes = { 1 } }, b = { .bytes = { 2 } };
	struct caps *caps = NULL;
	struct cap *one = NULL, *two = NULL;

	IS(caps_new(&caps), 0);
	IS(caps_enter_peer(caps, &a, 0, 1, 0, &one), 0);
	IS(caps_enter_peer(caps, &b, 0, 1, 0, &two), -E_LIMIT);
	caps_leave(caps, &one);
	IS(caps_enter_peer(caps, &b, 0, 1, 0, &two), 0);
	caps_leave(caps, &two);
	caps_free(&caps);
}

static void a_token_is_counted_by_customer_and_id(void)
{
	struct caps *caps = NULL;
	struct cap *one = NULL, *two = NULL;

	IS(caps_new(&caps), 0);
	IS(caps_enter_token(caps, 7, 1, 1, &one), 0);
	IS(caps_enter_token(caps, 8, 1, 1, &two), 0);
	caps_leave(caps, &two);
	IS(caps_enter_token(caps, 7, 1, 1, &two), -E_LIMIT);
	caps_leave(caps, &one);
	caps_free(&caps);
}

static void a_customer_is_counted_over_its_tokens_and_0_lets_nobody_in(void)
{
	struct caps *caps = NULL;
	struct cap *one = NULL, *two = NULL, *three = NULL;

	IS(caps_new(&caps), 0);
	IS(caps_enter_customer(caps, 7, 2, &one), 0);
	IS(caps_enter_customer(caps, 7, 2, &two), 0);
	IS(caps_enter_customer(caps, 7, 2, &three), -E_LIMIT);
	IS(caps_enter_customer(caps, 8, 0, &three), -E_LIMIT);
	IS(caps_enter_token(caps, 7, 0, 1, &three), 0); /* no customer */
	caps_leave(caps, &three);
	IS(caps_enter_customer(caps, 7, INT64_MAX, &three), 0);
	caps_leave(caps, &one);
	caps_leave(caps, &two);
	caps_leave(caps, &three);
	caps_free(&caps);
}

static void counting_survives_missing_memory(void)
{
	struct sock_addr a = { .bytes = { 1 } };

	each_alloc_failure(n)
	{
		struct caps *caps = NULL;
		struct cap *one = NULL;
		int err = caps_new(&caps);

		if (err)
			continue;
		err = caps_enter_peer(caps, &a, 0, 10, 1, &one);
		IS(err != 0, one == NULL);
		caps_leave(caps, &one);
		caps_free(&caps);
	}
}

/* ---- Settings ---- */

static void addresses_are_read_and_doubtful_ones_refused(void)
{
	char host[64];
	uint16_t port = 0;

	IS(config_address("0.0.0.0:1883", host, sizeof(host), &port), 0);
	IS_STR(str_c(host), "0.0.0.0");
	IS(port, 1883);
	IS(config_address("[::1]:0", host, sizeof(host), &port), 0);
	IS_STR(str_c(host), "::1");
	IS(config_address("*:1883", host, sizeof(host), &port), 0);
	IS_STR(str_c(host), "::");
	IS(config_address("::1:1883", host, sizeof(host), &port), -E_INVALID);
	IS(config_address("127.0.0.1", host, sizeof(host), &port), -E_INVALID);
	IS(config_address(":1883", host, sizeof(host), &port), -E_INVALID);
	IS(config_address("127.0.0.1:65536", host, sizeof(host), &port), -E_INVALID);
}

static void the_defaults_agree_with_each_other(void)
{
	struct proxy_config c = { 0 };
	struct opt_set set = proxy_opts;
	char *argv[] = { (char[]){ "mbus-proxy" }, NULL };
	const char *why = NULL;

	set.config = &c;
	IS(opts_read(&set, 1, argv), OPT_RUN);
	IS(config_check(&c, &why), 0);
	IS(c.packet_max, 256 << 10);
	IS(c.publish_rate, 0);
	c.out_low = c.out_high;
	IS(config_check(&c, &why), -E_INVALID);
	opts_free(&set);
}

RUN(states_lead_to_open_only_through_auth, every_state_can_end_and_the_end_is_the_end,
    every_end_has_its_own_word, a_broken_rule_finds_its_end,
    a_broken_rule_sends_the_will_and_a_goodbye_does_not, an_address_is_counted_apart_from_others,
    an_ipv6_address_is_counted_as_its_64_and_an_ipv4_address_whole,
    an_address_is_counted_in_each_ledger_and_all_connections_over_them,
    all_addresses_together_have_a_limit, a_token_is_counted_by_customer_and_id,
    a_customer_is_counted_over_its_tokens_and_0_lets_nobody_in, counting_survives_missing_memory,
    addresses_are_read_and_doubtful_ones_refused, the_defaults_agree_with_each_other)

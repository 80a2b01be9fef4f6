/* proxy_front.c - lists of the configuration: addresses of doors, networks in front of us, Origins;
 * and the keys of session tickets. */
#include "base/base.h"
#include "tests/kit/kit.h"

#include <string.h>

#include "base/clock.h"
#include "proxy/config.h"
#include "proxy/front.h"
#include "proxy/listen.h"
#include "proxy/tls.h"
#include "wire/address.h"

/* ---- Networks ---- */

static bool holds(const char *list, const char *address)
{
	const char *why = NULL;
	struct sock_addr a;
	struct peers p;

	IS(peers_read(&p, list, &why), 0);
	YES(address_read(str_c(address), &a));
	return peers_hold(&p, &a);
}

static void a_network_holds_its_addresses_and_no_other(void)
{
	YES(holds("10.0.0.0/8", "10.255.0.1"));
	NO(holds("10.0.0.0/8", "11.0.0.1"));
	YES(holds("192.0.2.128/25", "192.0.2.128"));
	NO(holds("192.0.2.128/25", "192.0.2.127"));
	YES(holds("192.0.2.7", "192.0.2.7"));
	NO(holds("192.0.2.7", "192.0.2.6"));
	YES(holds("2001:db8::/33", "2001:db8:7fff::1"));
	NO(holds("2001:db8::/33", "2001:db8:8000::1"));
	YES(holds("::1, 10.0.0.1 ,192.0.2.0/31", "192.0.2.1"));
	YES(holds("0.0.0.0/0", "255.255.255.255"));
}

static void a_network_of_one_family_is_none_of_the_other(void)
{
	NO(holds("0.0.0.0/0", "2001:db8::1"));
	YES(holds("::/0", "192.0.2.1")); /* mapped: all there is */
	NO(holds("::1/128", "0.0.0.1"));
}

static void an_empty_list_holds_nobody(void)
{
	NO(holds(NULL, "127.0.0.1"));
	NO(holds("", "127.0.0.1"));
}

static void a_unix_socket_is_in_no_network(void)
{
	struct sock_addr local = { .local = true };
	const char *why = NULL;
	struct peers p;

	IS(peers_read(&p, "::/0", &why), 0);
	NO(peers_hold(&p, &local));
}

static void what_is_no_network_is_refused(void)
{
	static const char *const wrong[] = { "10.0.0.0/33", "::/129",   "10.0.0/8",  "localhost",
		                             "10.0.0.0/",   ",",        "10.0.0.1,", "10.0.0.0/8/8",
		                             "10.0.0.0/-1", "1.2.3.4:5" };
	const char *why = NULL;
	struct peers p;

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		IS(peers_read(&p, wrong[i], &why), -E_INVALID);
	YES(why);
}

static void a_list_has_a_limit(void)
{
	char text[PEERS_MAX * 8 + 16] = "";
	const char *why = NULL;
	struct peers p;

	for (int i = 0; i < PEERS_MAX; i++)
		strcat(text, i ? ",1.2.3.4" : "1.2.3.4");
	IS(peers_read(&p, text, &why), 0);
	strcat(text, ",1.2.3.4");
	IS(peers_read(&p, text, &why), -E_INVALID);
}

/* ---- Origins ---- */

static void origins_are_a_list_or_all(void)
{
	struct proxy_config c = { .ws_origins = (char[]){ "https://a.example, null" } };
	const char *what = NULL, *why = NULL;
	struct front f;

	IS(front_read(&f, &c, &what, &why), 0);
	NO(f.rules.any_origin);
	IS(f.rules.origin_count, 2);
	IS_STR(f.rules.origins[1], "null");
	c.ws_origins = (char[]){ "*" };
	IS(front_read(&f, &c, &what, &why), 0);
	YES(f.rules.any_origin);
	c.ws_origins = NULL; /* nobody with an Origin */
	IS(front_read(&f, &c, &what, &why), 0);
	NO(f.rules.any_origin);
	c.ws_path = (char[]){ "mqtt" };
	IS(front_read(&f, &c, &what, &why), -E_INVALID);
	IS_STR(str_c(what), "ws_path");
}

/* ---- Addresses of doors ---- */

static void doors_are_read_with_their_kinds(void)
{
	struct proxy_config c = { .mqtt = (char[]){ "127.0.0.1:1, [::1]:2" },
		                  .wss = (char[]){ "*:3" } };
	const char *what = NULL, *why = NULL;
	static struct listen l;

	IS(listen_read(&l, &c, &what, &why), 0);
	IS(l.count, 3);
	IS_STR(str_c(l.at[1].host), "::1");
	IS(l.at[1].port, 2);
	IS_STR(str_c(l.at[0].kind->name), "tcp");
	IS_STR(str_c(l.at[2].kind->name), "wss");
	YES(listen_any_tls(&l));
	listen_close(&l);
	c.wss = NULL;
	IS(listen_read(&l, &c, &what, &why), 0);
	NO(listen_any_tls(&l));
}

static void without_any_door_nothing_starts(void)
{
	struct proxy_config c = { .mqtt = (char[]){ "" } };
	const char *what = NULL, *why = NULL;
	static struct listen l;

	IS(listen_read(&l, &c, &what, &why), -E_INVALID);
	c.mqtt = (char[]){ "1:1,,2:2" };
	IS(listen_read(&l, &c, &what, &why), -E_INVALID);
}

/* ---- Tickets ---- */

enum { HOUR = 3600 * 1000 };

static struct tls_seed seed_of(uint8_t byte)
{
	struct tls_seed seed = { .since = 1000 };

	memset(seed.secret, byte, sizeof(seed.secret));
	return seed;
}

static void rings_of_one_seed_turn_alike(void)
{
	struct tls_seed seed = seed_of(1);
	struct tls_ring a, b;

	tls_ring_start(&a, &seed, 1000);
	for (int64_t now = 1000; now < 1000 + 10 * HOUR; now += HOUR / 7)
		tls_ring_turn(&a, now);
	tls_ring_start(&b, &seed, 1000 + 10 * HOUR - 1);
	IS(a.turn, 9);
	IS(b.turn, 9);
	IS(memcmp(a.key, b.key, sizeof(a.key)), 0);
	IS(memcmp(a.secret, b.secret, sizeof(a.secret)), 0);
}

static void a_ticket_is_good_for_its_hour_and_two_more(void)
{
	struct tls_seed seed = seed_of(1);
	uint8_t name[TLS_TICKET_NAME];
	struct tls_ring r;
	bool turned = true;

	tls_ring_start(&r, &seed, 1000);
	memcpy(name, r.key[0].name, sizeof(name));
	YES(tls_ring_find(&r, name, &turned));
	NO(turned);
	tls_ring_turn(&r, 1000 + HOUR);
	YES(tls_ring_find(&r, name, &turned));
	YES(turned);
	tls_ring_turn(&r, 1000 + 3 * HOUR - 1);
	YES(tls_ring_find(&r, name, &turned));
	tls_ring_turn(&r, 1000 + 3 * HOUR);
	NO(tls_ring_find(&r, name, &turned));
}

static void a_name_of_zeros_finds_no_key_of_zeros(void)
{
	struct tls_seed seed = seed_of(1);
	uint8_t zeros[TLS_TICKET_NAME] = { 0 };
	struct tls_ring r;
	bool turned;

	tls_ring_start(&r, &seed, 1000);
	NO(tls_ring_find(&r, zeros, &turned));
	tls_ring_turn(&r, 1000 + HOUR);
	NO(tls_ring_find(&r, zeros, &turned));
}

static void the_secret_of_the_last_hour_is_gone(void)
{
	struct tls_seed seed = seed_of(1), other = seed_of(2);
	struct tls_ring r, s;

	tls_ring_start(&r, &seed, 1000);
	IS(memcmp(r.secret, seed.secret, sizeof(r.secret)), 0);
	tls_ring_turn(&r, 1000 + HOUR);
	NO(memcmp(r.secret, seed.secret, sizeof(r.secret)) == 0);
	tls_ring_start(&s, &other, 1000 + HOUR);
	NO(memcmp(r.key, s.key, sizeof(r.key)) == 0);
	tls_ring_wipe(&r);
	IS(r.key[0].cipher[0] | r.secret[0], 0);
}

RUN(a_network_holds_its_addresses_and_no_other, a_network_of_one_family_is_none_of_the_other,
    an_empty_list_holds_nobody, a_unix_socket_is_in_no_network, what_is_no_network_is_refused,
    a_list_has_a_limit, origins_are_a_list_or_all, doors_are_read_with_their_kinds,
    without_any_door_nothing_starts, rings_of_one_seed_turn_alike,
    a_ticket_is_good_for_its_hour_and_two_more, a_name_of_zeros_finds_no_key_of_zeros,
    the_secret_of_the_last_hour_is_gone)

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

static void the_word_unix_holds_who_has_no_address(void)
{
	struct sock_addr local = { .local = true };
	const char *why = NULL;
	struct peers p;

	IS(peers_read(&p, "0.0.0.0/0, ::/0", &why), 0);
	NO(peers_hold(&p, &local));
	IS(peers_read(&p, "unix", &why), 0);
	YES(peers_hold(&p, &local));
	NO(peers_hold(&p, &(struct sock_addr){ 0 }));
	IS(peers_read(&p, "", &why), 0);
	NO(peers_hold(&p, &local));
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
	IS(l.tls, 1);
	listen_close(&l);
	c.wss = NULL;
	IS(listen_read(&l, &c, &what, &why), 0);
	IS(l.tls, 0);
}

static void without_any_door_nothing_starts(void)
{
	struct proxy_config c = { .mqtt = (char[]){ "" } };
	const char *what = NULL, *why = NULL;
	static struct listen l;
	static struct inherited none;

	IS(listen_read(&l, &c, &what, &why), 0);
	IS(listen_named(&l, &none, &what, &why), -E_INVALID);
	IS_STR(str_c(what), "doors");
	c.mqtt = (char[]){ "1:1,,2:2" };
	IS(listen_read(&l, &c, &what, &why), -E_INVALID);
}

static void a_door_may_be_a_path(void)
{
	struct proxy_config c = { .mqtt = (char[]){ "unix:/run/x.sock, 127.0.0.1:1" } };
	const char *what = NULL, *why = NULL;
	static struct listen l;
	unsigned mode = 0;

	IS(listen_read(&l, &c, &what, &why), 0);
	IS(l.count, 2);
	YES(l.at[0].local);
	IS_STR(str_c(l.at[0].host), "/run/x.sock");
	NO(l.at[1].local);
	c.mqtt = (char[]){ "unix:x.sock" };
	IS(listen_read(&l, &c, &what, &why), -E_INVALID);
	IS(config_mode("0660", &mode), 0);
	IS(mode, 0660);
	IS(config_mode("777", &mode), 0);
	IS(config_mode("1000", &mode), -E_INVALID);
	IS(config_mode("7777777777777777", &mode), -E_INVALID);
	IS(config_mode("0668", &mode), -E_INVALID);
	IS(config_mode("", &mode), -E_INVALID);
}

static void sockets_with_the_name_of_a_kind_replace_its_addresses(void)
{
	struct proxy_config c = { .mqtt = (char[]){ "127.0.0.1:1, 127.0.0.1:2" },
		                  .ws = (char[]){ "127.0.0.1:3" } };
	const char *what = NULL, *why = NULL;
	static struct listen l;
	static struct inherited in = {
		.at = { { .fd = 90, .name = "mqtt", .host = "127.0.0.9", .port = 7 },
		        { .fd = 91, .name = "other", .host = "127.0.0.9", .port = 8 },
		        { .fd = 92, .name = "mqtt", .host = "127.0.0.9", .port = 7 },
		        { .fd = 93, .name = "wss", .host = "/run/x.sock", .local = true } },
		.count = 4,
	};
	unsigned i = 0;

	IS(listen_read(&l, &c, &what, &why), 0);
	IS(listen_named(&l, &in, &what, &why), 0);
	IS(l.count, 3);
	IS_STR(str_c(l.at[0].kind->name), "ws");
	IS_STR(str_c(l.at[1].kind->name), "tcp");
	IS_STR(str_c(l.at[1].host), "127.0.0.9");
	IS(l.at[1].port, 7);
	IS_STR(str_c(l.at[2].kind->name), "wss");
	YES(l.at[2].local);
	IS(inherit_at(&in, "127.0.0.9", 7, &i)->fd, 90);
	IS(inherit_at(&in, "127.0.0.9", 7, &i)->fd, 92);
	YES(!inherit_at(&in, "127.0.0.9", 7, &i));
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

RUN(a_network_holds_its_addresses_and_no_other, the_word_unix_holds_who_has_no_address,
    a_network_of_one_family_is_none_of_the_other, an_empty_list_holds_nobody,
    a_unix_socket_is_in_no_network, what_is_no_network_is_refused, a_list_has_a_limit,
    origins_are_a_list_or_all, doors_are_read_with_their_kinds, without_any_door_nothing_starts,
    a_door_may_be_a_path, sockets_with_the_name_of_a_kind_replace_its_addresses,
    rings_of_one_seed_turn_alike, a_ticket_is_good_for_its_hour_and_two_more,
    a_name_of_zeros_finds_no_key_of_zeros, the_secret_of_the_last_hour_is_gone)

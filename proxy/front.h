/* front.h - who stands in front of us and speaks for others, and what browsers may do: lists of the
 * configuration, read once. Nobody else's word about an address counts (attacks A22, A23). */
#pragma once
#include "base/sock.h"
#include "wire/upgrade.h"

struct proxy_config;

enum { PEERS_MAX = 64, FRONT_ORIGINS_MAX = 64 };

/* Networks: "10.0.0.0/8, 192.0.2.1, 2001:db8::/32" */
struct peers {
	struct {
		uint8_t bytes[16];
		uint8_t bits; /* of 128; an IPv4 network has 96 more */
	} net[PEERS_MAX];
	unsigned count;
	bool local; /* the word "unix": who comes over a Unix socket */
};
/* Pure. 0, or -E_INVALID and *why; NULL and "" are an empty list, which holds nobody. */
int peers_read(struct peers *p, const char *text, const char **why) MUST_CHECK;
bool peers_hold(const struct peers *p, const struct sock_addr *a);

struct front { /* constant after front_read */
	struct peers proxy_protocol, forwarded;
	enum upgrade_source source;
	struct upgrade_rules rules;
	struct str origin[FRONT_ORIGINS_MAX];
	bool token_header, token_query;
};
/* Borrows config's texts. 0, or -E_INVALID with *what (the key) and *why. */
int front_read(struct front *f, const struct proxy_config *config, const char **what,
               const char **why) MUST_CHECK;

/* address.h - an IP address as text, as other programs write it about their clients: PROXY protocol
 * v1, X-Forwarded-For, X-Real-IP. Strict: no names, no octal, no scope, no spaces. Pure. */
#pragma once
#include "base/sock.h"

/* "192.0.2.7" or "2001:db8::1"; the port becomes 0. */
bool address_read(struct str text, struct sock_addr *out);
/* Also "192.0.2.7:4711", "[2001:db8::1]" and "[2001:db8::1]:4711". */
bool address_port_read(struct str text, struct sock_addr *out);
/* Digits without leading zeros, at most 65535. */
bool address_port(struct str text, uint16_t *out);

void address_v4(struct sock_addr *out, const uint8_t bytes[4], uint16_t port); /* mapped */

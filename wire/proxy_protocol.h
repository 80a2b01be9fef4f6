/* proxy_protocol.h - what a load balancer says before the client's first byte: PROXY protocol,
 * version 1 (a line of text) and 2 (binary, with TLVs), as of haproxy's proxy-protocol.txt.
 * Whether a peer may say it, and must, is the caller's: from nobody else is this parser called, and
 * where it is expected, nothing else will do (attack A22). Pure.
 *
 * The answer to bytes that cannot become a header is BAD at the first of them. */
#pragma once
#include "base/sock.h"
#include "wire/mqtt.h"

/* Longest header of each version: 1 with CRLF, as the standard counts; 2 is our limit, since
 * addresses and TLS fields take some hundred bytes of the 64 KiB that it could say. */
enum { PROXY_V1_MAX = 107, PROXY_V2_HEAD = 16, PROXY_V2_MAX = 4096 };

/* Bits of ssl_client, as on the wire: the client came over TLS; gave a certificate on this
 * connection; or on another one of this TLS session. */
enum { PROXY_SSL = 1, PROXY_SSL_CERT_CONN = 2, PROXY_SSL_CERT_SESSION = 4 };

/* Slices borrow the bytes; absent: p is NULL. */
struct proxy_protocol {
	size_t size; /* what follows is the client's */
	uint8_t version;
	bool own; /* LOCAL or UNKNOWN: the peer speaks for itself (a health check); no addresses */
	/* of a Unix socket: local is set, the paths are not kept */
	struct sock_addr source, destination;
	struct str alpn;      /* "mqtt", "http/1.1" */
	struct str authority; /* SNI */
	struct str unique_id;
	bool ssl; /* the four below were said */
	uint8_t ssl_client;
	uint32_t ssl_verify; /* 0: the certificate was verified, if there was one */
	struct str ssl_version, ssl_cn;
};

/* OK when the header is whole; MORE; BAD: not PROXY, too long, a length that does not fit,
 * addresses that are none, another family or transport than TCP over IPv4, IPv6 or a Unix socket, a
 * fact said twice, a checksum that is wrong, text that is not UTF-8 or has a NUL in it (attack
 * W06). */
enum parse proxy_protocol_read(struct str bytes, struct proxy_protocol *out);

/* A certificate was given, and found good by the peer. */
bool proxy_protocol_verified(const struct proxy_protocol *p);

/* config.h - the proxy's settings: one struct, filled by the table in config.c (base/opts.h).
 * Read-only once threads run. */
#pragma once
#include "base/opts.h"

struct listener_config;

struct proxy_config {
	int64_t workers; /* 0 = one per CPU, at most 16 */
	/* doors: "host:port, host:port", unset = none */
	char *mqtt;  /* plain TCP */
	char *mqtts; /* TLS */
	char *ws;    /* WebSocket */
	char *wss;   /* WebSocket over TLS */
	/* PEM files, "a, b": as many of both; the n-th key belongs to the n-th certificate */
	char *tls_cert, *tls_key;
	/* authorities of client certificates, unset = none are asked for; their revocations */
	char *tls_client_ca, *tls_client_crl;
	bool tls_client_required; /* else a client may also show none */
	/* WebSocket: the only path, "" = any; Origins with commas, "*" = any */
	char *ws_path, *ws_origins;
	/* a CONNECT without user name and password may have brought its token in the request */
	bool ws_token_header, ws_token_query;
	/* networks in front of us whose word about a client's address counts (front.h) */
	char *proxy_protocol_from, *forwarded_from;
	int forwarded_header; /* enum upgrade_source */
	char *unix_mode;      /* octal, of Unix sockets among the doors */
	/* Unix socket where a successor gets our listening sockets, or unset (takeover.h) */
	char *takeover;
	char *core_dir; /* folder of the core's sockets: link-0.sock ... */
	/* authentication */
	/* http://127.0.0.1:9005/auth/info or https://... ; unix:PATH is allowed too */
	char *auth_url;
	char *auth_ca;         /* PEM file, or unset = the system's */
	bool auth_insecure;    /* plain http to anything but a Unix socket */
	int auth_key_form;     /* 0 mbus: only keys of wire/token.h; 1 any */
	int auth_key_in;       /* with any: 0 password, 1 username is looked at first */
	bool auth_certificate; /* the name of a client's certificate is told, and judged */
	/* ms */
	int64_t auth_connect_timeout, auth_timeout, auth_cache, auth_no, auth_stale, auth_poll;
	int64_t auth_parallel, auth_queue, auth_queue_per_ip, auth_known_max, auth_no_max,
	    auth_body_max;
	/* quotas, in the client's terms: what holds where token and customer say nothing (quotas.h)
	 */
	int64_t packet_max, topic_max, levels_max, client_id_max, user_properties_max,
	    user_properties_bytes, filters_per_subscribe, subscriptions_max, receive_maximum,
	    queue_messages, queue_bytes, keep_alive_max, session_expiry_max, topic_alias_max,
	    topic_alias_out_max, alias_bytes;
	/* for clients that read slowly, all of a worker together */
	int64_t waiting_bytes;
	/* of half-received packets, all connections of a worker together: with and without a token
	 */
	int64_t partial_bytes, partial_strangers;
	int64_t connections_max, connections_per_ip, connections_per_token,
	    connections_per_customer;
	/* letting clients go: per second over all workers, 0 = all at once; ms for all of them */
	int64_t drain_rate, drain_deadline;
	char *drain_reference;    /* Server Reference of MQTT 5, or unset */
	bool drain_moved;         /* 0x9D instead of 0x9C */
	int64_t connect_deadline; /* ms from accept to a whole CONNECT */
	/* ms for verdict and core together, which have shorter ones of their own */
	int64_t answer_deadline;
	int64_t write_deadline; /* ms without progress towards a reader */
	/* bytes waiting for one client: PAUSE above, RESUME below */
	int64_t out_high, out_low;
	/* bytes waiting for the core: stop reading clients above */
	int64_t link_high;
	/* per second and connection, 0 = none; burst 5x; reading pauses above (pace.h) */
	int64_t publish_rate, publish_bytes, subscribe_rate, control_rate;
	int64_t rate_patience; /* ms over a rate until it is closed; 0 = never */
	/* per second, 0 = none; burst 10x (rates.h) */
	int64_t connect_rate_per_ip, connect_rate_per_token, connect_rate_per_customer,
	    connect_rate_per_client;
	bool connect_rate_loopback; /* addresses of this machine too */
	int64_t packet_grace;       /* ms that a packet may come at any speed */
	int64_t conditions_max;     /* filters with conditions of one session */
	int flespi_extensions;      /* enum config_extensions */
	int64_t gather_us;          /* gather.h; 0 = never */
	/* MQTT 5 deliveries carry flespi's `timestamp` and `cid` */
	bool user_properties;
	bool events; /* publish flespi/log/mqtt/... */
	int log_level;
	/* sections [listener NAME]: doors of their own */
	struct listener_config *listener;
	unsigned listeners;
	/* only in those */
	int listener_kind; /* row of door_kinds */
	char *listener_address;
};

/* Whose filters are read with flespi's extensions: nobody's, of customers that want it, everybody's
 */
enum config_extensions { EXTENSIONS_OFF, EXTENSIONS_CUSTOMER, EXTENSIONS_ON };

enum { LISTENERS_MAX = 16, LISTENER_NAME = 32, CONFIG_ROWS = 128 };

struct listener_config {
	char name[LISTENER_NAME];
	bool seen[CONFIG_ROWS];     /* has a value of its own (opts.h) */
	struct proxy_config config; /* config_settle: the others are those of [proxy] */
};
/* Once all is read: listeners get what their sections do not say. */
void config_settle(struct proxy_config *c);
bool listener_says(const struct listener_config *l, const char *key); /* itself; key of [proxy] */
extern const struct opt_named listener_opts;

extern const struct opt_set proxy_opts; /* .config is set by main and tests */

/* What no single row of the table can tell: values that contradict each other. 0, or -E_INVALID and
 * *why. */
int config_check(const struct proxy_config *c, const char **why) MUST_CHECK;
/* "0660": 0 or -E_INVALID */
int config_mode(const char *text, unsigned *mode) MUST_CHECK;
/* "host:port", "[::]:1883", "*:1883" (both families). host is written NUL-terminated. */
int config_address(const char *text, char *host, size_t host_size, uint16_t *port) MUST_CHECK;

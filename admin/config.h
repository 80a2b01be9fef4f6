/* config.h - the settings of mbus-admin: one struct, filled by the table in config.c (base/opts.h).
 * Read-only once threads run. */
#pragma once
#include "base/opts.h"

struct admin_config {
	char *dir;          /* folder of the database, the pepper and the lock; 0700 */
	char *listen;       /* "host:port" of the REST API */
	char *core;         /* the core's trusted MQTT socket, "" = none: nothing is pushed */
	char *auth_socket;  /* of proxies; without a slash: in the folder of `core`; unset = none */
	char *trusted_uids; /* who may connect to it besides root and ourselves */
	char *cors_origins; /* comma-separated, exact; unset = no cross-origin answers */
	char *first_customer, *token_out;
	int log_level;
	int64_t auth_connections_max;
	int64_t connections_max, connections_per_address, header_max, body_max, request_deadline,
	    idle_deadline;
	int64_t followers_max, followers_per_customer, follower_buffer;
	int64_t api_calls_per_token, api_calls_per_customer; /* per minute; 0: any number */
	int64_t tokens_per_customer, subaccounts_per_customer;
	int64_t access_bytes, metadata_bytes;
	int64_t accessed_every, busy_timeout, token_grace;
	int64_t bus_queue, bus_queue_bytes;
};

struct opt_set admin_opts(struct admin_config *config);

enum { CONFIG_HOST = 64 };
/* "127.0.0.1:9005", "[::1]:9005"; false: not of that form. */
bool config_listen(const char *listen, char host[CONFIG_HOST], uint16_t *port);
enum { CONFIG_SOCKET = 108 }; /* a Unix socket's path */
/* Where auth_socket is; "" = there is none. 0, or -E_INVALID with *why. */
int config_auth_socket(const struct admin_config *config, char path[CONFIG_SOCKET],
                       const char **why) MUST_CHECK;
/* Is this Origin one of those listed, byte for byte? */
bool config_origin_listed(const char *origins, struct str origin);

/* config.c - the table of mbus-admin's settings, and those of them that need reading: the
 * address, the socket of proxies, the list of origins. */
#include "base/base.h"
#include "admin/config.h"

#include <stdio.h>

#include "base/log.h"

static const char *const levels[] = { "debug", "info", "warn", "error", NULL };

#define AT(field) offsetof(struct admin_config, field)
#define TEXT(name, field, preset, help) \
	{ \
		name, OPT_TEXT, AT(field), preset, 0, 0, NULL, help, false \
	}
#define NUMBER(name, field, preset, min, max, help) \
	{ \
		name, OPT_INT, AT(field), preset, min, max, NULL, help, false \
	}
#define SIZE(name, field, preset, min, max, help) \
	{ \
		name, OPT_SIZE, AT(field), preset, min, max, NULL, help, false \
	}
#define TIME(name, field, preset, min, max, help) \
	{ \
		name, OPT_MSEC, AT(field), preset, min, max, NULL, help, false \
	}

enum { KB = 1024, MB = 1024 * 1024, SECOND = 1000, MINUTE = 60 * SECOND };
#define DAY INT64_C(86400000)

static const struct opt table[] = {
	TEXT("dir", dir, "/var/lib/mbus/admin",
	     "folder of the token database; made with mode 0700"),
	TEXT("listen", listen, "127.0.0.1:9005",
	     "address and port of the REST API; port 0 takes a free one"),
	TEXT("core", core, "/run/mbus/mqtt.sock",
	     "the core's trusted MQTT socket; empty: nothing is pushed or followed"),
	TEXT("auth_socket", auth_socket, "auth.sock",
	     "Unix socket of /auth/info for proxies; without a slash, beside `core`; empty: none"),
	TEXT("trusted_uids", trusted_uids, NULL,
	     "user ids that may connect to it besides root and mbus-admin's own, with commas"),
	NUMBER("auth_connections_max", auth_connections_max, "512", 4, 65536,
	       "open connections of proxies; the longest silent one gives its place"),
	{ "log_level", OPT_ENUM, AT(log_level), "info", 0, 0, levels, "least level that is logged",
	  false },
	TEXT("cors_origins", cors_origins, NULL,
	     "comma-separated origins whose pages may call the API, exactly as browsers send them"),
	TEXT("first_customer", first_customer, NULL,
	     "name of the customer made when the database is empty (with token_out)"),
	TEXT("token_out", token_out, NULL,
	     "file that gets the first customer's master token, mode 0600"),
	NUMBER("connections_max", connections_max, "512", 4, 65536, "open HTTP connections"),
	NUMBER("connections_per_address", connections_per_address, "128", 0, 65536,
	       "open HTTP connections of one address, of IPv6 of a /64; 0: any number"),
	SIZE("header_max", header_max, "16k", 2 * KB, 64 * KB - 1,
	     "bytes of request line and headers together"),
	SIZE("body_max", body_max, "1m", KB, 64 * MB, "bytes of a request's body"),
	TIME("request_deadline", request_deadline, "30s", SECOND, 10 * MINUTE,
	     "from a request's head to the end of its answer, or to the next slice of a long one"),
	TIME("idle_deadline", idle_deadline, "15s", SECOND, 10 * MINUTE,
	     "silence until an HTTP connection is closed, and from the first byte of a head to its "
	     "end"),
	NUMBER("followers_max", followers_max, "256", 0, 65536,
	       "live log streams, all customers together"),
	NUMBER("followers_per_customer", followers_per_customer, "16", 0, 65536,
	       "live log streams of one customer"),
	SIZE("follower_buffer", follower_buffer, "1m", 64 * KB, 64 * MB,
	     "bytes waiting for one live log stream before it is cut"),
	NUMBER("api_calls_per_token", api_calls_per_token, "0", 0, 10000000,
	       "REST calls of a token per minute; 0: any number"),
	NUMBER("api_calls_per_customer", api_calls_per_customer, "12000", 0, 10000000,
	       "REST calls of all tokens of a customer per minute; 0: any number"),
	NUMBER("tokens_per_customer", tokens_per_customer, "10000", 1, 1000000,
	       "tokens of one customer"),
	NUMBER("subaccounts_per_customer", subaccounts_per_customer, "1000", 0, 1000000,
	       "direct subaccounts of one customer"),
	SIZE("access_bytes", access_bytes, "64k", KB, MB,
	     "bytes of a token's access object as JSON"),
	SIZE("metadata_bytes", metadata_bytes, "8k", KB, MB, "bytes of a metadata object as JSON"),
	TIME("accessed_every", accessed_every, "5s", SECOND, MINUTE,
	     "how often the times of last use are written to disk"),
	TIME("token_grace", token_grace, "1d", 0, 366 * DAY,
	     "how long an ended token is kept, refused, before it is deleted"),
	TIME("busy_timeout", busy_timeout, "1s", 1, MINUTE,
	     "how long a locked database is waited for"),
	NUMBER("bus_queue", bus_queue, "10000", 16, 1000000, "messages waiting for the core"),
	SIZE("bus_queue_bytes", bus_queue_bytes, "64m", MB, 1024 * MB,
	     "bytes waiting for the core"),
};

struct opt_set admin_opts(struct admin_config *config)
{
	return (struct opt_set){
		.program = "mbus-admin",
		.section = "admin",
		.summary = "token authority and REST API of MBUS",
		.table = table,
		.count = ARRAY_LEN(table),
		.config = config,
	};
}

bool config_listen(const char *listen, char host[CONFIG_HOST], uint16_t *port)
{
	const char *colon = strrchr(listen, ':');
	struct str name;
	uint64_t number;

	if (!colon || !str_to_u64(str_c(colon + 1), &number) || number > UINT16_MAX)
		return false;
	name = str_make(listen, (size_t)(colon - listen));
	if (name.n > 2 && name.p[0] == '[' && name.p[name.n - 1] == ']')
		name = str_make(name.p + 1, name.n - 2);
	else if (memchr(name.p, ':', name.n))
		return false; /* "::1:9005": nobody can say where the port begins */
	if (name.n == 0 || name.n >= CONFIG_HOST)
		return false;
	(void)snprintf(host, CONFIG_HOST, "%.*s", STR_ARG(name));
	*port = (uint16_t)number;
	return true;
}

int config_auth_socket(const struct admin_config *config, char path[CONFIG_SOCKET],
                       const char **why)
{
	const char *name = config->auth_socket, *core = config->core, *slash;
	int n = 0;

	path[0] = '\0';
	if (!name || !*name)
		return 0;
	if (strchr(name, '/')) {
		n = snprintf(path, CONFIG_SOCKET, "%s", name);
	} else {
		slash = core ? strrchr(core, '/') : NULL;
		if (!slash)
			return 0; /* nothing to be beside of */
		n = snprintf(path, CONFIG_SOCKET, "%.*s/%s", (int)(slash - core), core, name);
	}
	if (n < CONFIG_SOCKET)
		return 0;
	*why = "auth_socket: the path is longer than the 107 bytes of a Unix socket's";
	return -E_INVALID;
}

/* Byte for byte: no case folding, no prefix, no "null", no wildcard (attack M06). */
bool config_origin_listed(const char *origins, struct str origin)
{
	struct str rest = str_c(origins);

	if (origin.n == 0)
		return false;
	while (rest.n) {
		const char *comma = memchr(rest.p, ',', rest.n);
		struct str one = str_make(rest.p, comma ? (size_t)(comma - rest.p) : rest.n);

		rest = str_skip(rest, size_min(rest.n, one.n + 1));
		while (one.n && one.p[0] == ' ')
			one = str_skip(one, 1);
		while (one.n && one.p[one.n - 1] == ' ')
			one.n--;
		if (str_eq(one, origin))
			return true;
	}
	return false;
}

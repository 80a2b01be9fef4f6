/* config.c - the table behind proxy/config.h. The defaults are the quotas of the design: what a
 * stranger may take unless an operator or his token says otherwise. */
#include "base/base.h"
#include "proxy/config.h"

#include <stdio.h>

#include "base/log.h"
#include "proxy/gather.h"

#define AT(field) offsetof(struct proxy_config, field)
#define KB(n)     ((int64_t)(n) << 10)
#define MB(n)     ((int64_t)(n) << 20)
#define SEC(n)    ((int64_t)(n)*1000)
#define DAY(n)    SEC((int64_t)(n)*86400)

static const char *const key_forms[] = { "mbus", "any", NULL };
static const char *const key_fields[] = { "password", "username", NULL };
static const char *const forwarded_headers[] = { "x-forwarded-for", "x-real-ip", NULL };
/* enum config_extensions */
static const char *const extensions[] = { "off", "customer", "on", NULL };
/* enum log_level */
static const char *const log_levels[] = { "debug", "info", "warn", "error", NULL };

static const struct opt table[] = {
	{ "workers", OPT_INT, AT(workers), "0", 0, 16, NULL,
	  "threads that serve clients; 0 = one per CPU", false },
	{ "mqtt", OPT_TEXT, AT(mqtt), "[::]:1883", 0, 0, NULL,
	  "addresses of the plain TCP door, host:port or unix:/path with commas; [::] = both "
	  "families",
	  false },
	{ "mqtts", OPT_TEXT, AT(mqtts), NULL, 0, 0, NULL,
	  "addresses of the TLS door, host:port with commas; needs tls_cert and tls_key", false },
	{ "ws", OPT_TEXT, AT(ws), NULL, 0, 0, NULL,
	  "addresses of the WebSocket door, host:port with commas", false },
	{ "wss", OPT_TEXT, AT(wss), NULL, 0, 0, NULL,
	  "addresses of the door for WebSocket over TLS; needs tls_cert and tls_key", false },
	{ "tls_cert", OPT_TEXT, AT(tls_cert), NULL, 0, 0, NULL,
	  "PEM files, each a certificate and what stands behind it, with commas; chosen by the "
	  "name "
	  "a client asks for and the keys it knows; the first of each kind where no name fits",
	  false },
	{ "tls_key", OPT_TEXT, AT(tls_key), NULL, 0, 0, NULL,
	  "PEM files of their private keys, in the same order", false },
	{ "tls_client_ca", OPT_TEXT, AT(tls_client_ca), NULL, 0, 0, NULL,
	  "PEM file of the authorities whose client certificates open the TLS doors and name "
	  "their clients (the token still says whose they are); unset = none are asked for",
	  false },
	{ "tls_client_crl", OPT_TEXT, AT(tls_client_crl), NULL, 0, 0, NULL,
	  "PEM file of the revocation lists of all of tls_client_ca", false },
	{ "tls_client_required", OPT_BOOL, AT(tls_client_required), "on", 0, 0, NULL,
	  "with tls_client_ca: refuse clients without a certificate", false },
	{ "ws_path", OPT_TEXT, AT(ws_path), NULL, 0, 0, NULL,
	  "the only path of a WebSocket, such as /mqtt; unset = any", false },
	{ "ws_origins", OPT_TEXT, AT(ws_origins), "*", 0, 0, NULL,
	  "whose pages may connect, such as https://console.example.com, with commas; * = all (a "
	  "token is always needed, cookies never count)",
	  false },
	{ "ws_token_header", OPT_BOOL, AT(ws_token_header), "off", 0, 0, NULL,
	  "a CONNECT without user name and password may take its token from Authorization", false },
	{ "ws_token_query", OPT_BOOL, AT(ws_token_query), "off", 0, 0, NULL,
	  "the same from ?token= of the address; such addresses end up in logs of others", false },
	{ "proxy_protocol_from", OPT_TEXT, AT(proxy_protocol_from), NULL, 0, 0, NULL,
	  "networks of load balancers, 10.0.0.0/8 with commas, that begin each connection with a "
	  "PROXY header (version 1 or 2), and must",
	  false },
	{ "forwarded_from", OPT_TEXT, AT(forwarded_from), NULL, 0, 0, NULL,
	  "networks of HTTP proxies whose forwarded_header counts on the WebSocket doors", false },
	{ "forwarded_header", OPT_ENUM, AT(forwarded_header), "x-forwarded-for", 0, 0,
	  forwarded_headers, "which header they set", false },
	{ "unix_mode", OPT_TEXT, AT(unix_mode), "0660", 0, 0, NULL,
	  "permissions of the Unix sockets among the doors", false },
	{ "takeover", OPT_TEXT, AT(takeover), NULL, 0, 0, NULL,
	  "path of a Unix socket; a second mbus-proxy that is started with it takes the listening "
	  "sockets over, and the first one lets its clients go; unset = none",
	  false },
	{ "core_dir", OPT_TEXT, AT(core_dir), "/run/mbus", 0, 0, NULL,
	  "folder of the core's sockets (link-0.sock ...)", false },

	{ "auth_url", OPT_TEXT, AT(auth_url), "unix:auth.sock", 0, 0, NULL,
	  "who is asked what a token is worth: unix:PATH (without a slash: in core_dir), https:// "
	  "or http://",
	  false },
	{ "auth_ca", OPT_TEXT, AT(auth_ca), NULL, 0, 0, NULL,
	  "PEM file with the authority of auth_url; unset = the system's", false },
	{ "auth_insecure", OPT_BOOL, AT(auth_insecure), "off", 0, 0, NULL,
	  "allow plain http: anybody on the way, or who takes the port, then gets every token",
	  false },
	{ "auth_key_form", OPT_ENUM, AT(auth_key_form), "mbus", 0, 0, key_forms,
	  "mbus: only keys with our check sum are asked about; any: every run of visible ASCII",
	  false },
	{ "auth_key_in", OPT_ENUM, AT(auth_key_in), "password", 0, 0, key_fields,
	  "with auth_key_form = any: which field holds the key when a client sends both and "
	  "neither "
	  "has the form of our keys",
	  false },
	{ "auth_certificate", OPT_BOOL, AT(auth_certificate), "off", 0, 0, NULL,
	  "the name in a client's certificate is told to the endpoint; an answer then counts for "
	  "this key with this name only",
	  false },
	{ "auth_connect_timeout", OPT_MSEC, AT(auth_connect_timeout), "1s", 10, SEC(60), NULL,
	  "to reach the endpoint", false },
	{ "auth_timeout", OPT_MSEC, AT(auth_timeout), "3s", 10, SEC(60), NULL, "for a whole answer",
	  false },
	{ "auth_cache", OPT_MSEC, AT(auth_cache), "60s", 100, SEC(3600), NULL,
	  "how long a yes is believed", false },
	{ "auth_no", OPT_MSEC, AT(auth_no), "8s", 100, SEC(60), NULL, "how long a no is remembered",
	  false },
	{ "auth_stale", OPT_MSEC, AT(auth_stale), "5m", 0, SEC(3600), NULL,
	  "how long clients already connected may stay while the endpoint is down", false },
	{ "auth_poll", OPT_MSEC, AT(auth_poll), "60s", 0, SEC(3600), NULL,
	  "tokens in use are asked again so often; 0 = only when their yes runs out", false },
	{ "auth_parallel", OPT_INT, AT(auth_parallel), "32", 1, 1024, NULL, "calls at once",
	  false },
	{ "auth_queue", OPT_INT, AT(auth_queue), "10000", 1, 1000000, NULL,
	  "clients waiting for an answer; beyond it 0x89", false },
	{ "auth_queue_per_ip", OPT_INT, AT(auth_queue_per_ip), "1000", 0, 1000000, NULL,
	  "of one address; beyond it 0x89. 0 = any number, as for addresses of this machine",
	  false },
	{ "auth_known_max", OPT_INT, AT(auth_known_max), "200000", 1, 10000000, NULL,
	  "tokens remembered with a yes", false },
	{ "auth_no_max", OPT_INT, AT(auth_no_max), "20000", 1, 10000000, NULL,
	  "refusals remembered", false },
	{ "auth_body_max", OPT_SIZE, AT(auth_body_max), "64k", 256, MB(4), NULL,
	  "bytes of an answer", false },

	{ "packet_max", OPT_SIZE, AT(packet_max), "256k", 1024, MB(255), NULL,
	  "bytes of one packet of a client", false },
	{ "topic_max", OPT_SIZE, AT(topic_max), "4096", 16, 65535, NULL,
	  "bytes of a topic or filter, as the client writes it", false },
	{ "levels_max", OPT_INT, AT(levels_max), "32", 1, 128, NULL, "levels of a topic or filter",
	  false },
	{ "client_id_max", OPT_SIZE, AT(client_id_max), "128", 23, KB(16), NULL,
	  "bytes of a client id", false },
	{ "user_properties_max", OPT_INT, AT(user_properties_max), "32", 0, 10000, NULL,
	  "user properties of one packet", false },
	{ "user_properties_bytes", OPT_SIZE, AT(user_properties_bytes), "8k", 0, MB(1), NULL,
	  "bytes of them together", false },
	{ "filters_per_subscribe", OPT_INT, AT(filters_per_subscribe), "1000", 1, 10000, NULL,
	  "filters judged in one SUBSCRIBE; the rest get 0x97", false },
	{ "subscriptions_max", OPT_INT, AT(subscriptions_max), "1000", 1, 1000000, NULL,
	  "subscriptions of one session", false },
	{ "receive_maximum", OPT_INT, AT(receive_maximum), "100", 1, 1000, NULL,
	  "QoS 1 and 2 messages of a client not yet acknowledged", false },
	{ "queue_messages", OPT_INT, AT(queue_messages), "1000", 1, 10000000, NULL,
	  "messages waiting for one session", false },
	{ "queue_bytes", OPT_SIZE, AT(queue_bytes), "4m", 1024, MB(1024), NULL,
	  "bytes waiting for one session", false },
	{ "keep_alive_max", OPT_MSEC, AT(keep_alive_max), "300s", SEC(1), SEC(65535), NULL,
	  "longest keep-alive of an MQTT 5 client; 0 and longer ones are lowered to it, which it "
	  "is told",
	  false },
	{ "session_expiry_max", OPT_MSEC, AT(session_expiry_max), "7d", 0, DAY(3650), NULL,
	  "longest life of a session without its client", false },
	{ "topic_alias_max", OPT_INT, AT(topic_alias_max), "16", 0, 1000, NULL,
	  "topic aliases a client may use", false },
	{ "topic_alias_out_max", OPT_INT, AT(topic_alias_out_max), "16", 0, 1000, NULL,
	  "topic aliases that are used towards a client, if it takes so many", false },
	{ "alias_bytes", OPT_SIZE, AT(alias_bytes), "32m", 1024, MB(65536), NULL,
	  "topic aliases of one customer's clients on one worker, both ways", false },
	{ "partial_bytes", OPT_SIZE, AT(partial_bytes), "64m", KB(256), MB(16384), NULL,
	  "half-received packets of all customers of a worker together; when they are more, who "
	  "holds most loses its oldest connections with one",
	  false },
	{ "partial_strangers", OPT_SIZE, AT(partial_strangers), "16m", KB(64), MB(16384), NULL,
	  "the same of connections without a token yet, handshakes included; by address", false },
	{ "waiting_bytes", OPT_SIZE, AT(waiting_bytes), "512m", MB(1), MB(65536), NULL,
	  "bytes waiting for slow readers, all connections of a worker together", false },
	{ "connections_max", OPT_INT, AT(connections_max), "200000", 1, 10000000, NULL,
	  "connections in all", false },
	{ "connections_per_ip", OPT_INT, AT(connections_per_ip), "20000", 0, 10000000, NULL,
	  "of one address (IPv6: /64); 0 = no limit", false },
	{ "connections_per_token", OPT_INT, AT(connections_per_token), "100000", 0, 10000000, NULL,
	  "with one token; 0 = no limit", false },
	{ "connections_per_customer", OPT_INT, AT(connections_per_customer), "100000", 0, 10000000,
	  NULL, "with all tokens of one customer; 0 = no limit", false },
	{ "drain_rate", OPT_INT, AT(drain_rate), "1000", 0, 10000000, NULL,
	  "clients per second that are let go when the program is told to stop; 0 = all at once",
	  false },
	{ "drain_deadline", OPT_MSEC, AT(drain_deadline), "3s", 0, DAY(1), NULL,
	  "after so long all the others go at once", false },
	{ "drain_reference", OPT_TEXT, AT(drain_reference), NULL, 0, 0, NULL,
	  "where MQTT 5 clients are sent then, such as mqtt2.example.com:8883 (Server Reference, "
	  "with 0x9C); unset = 0x8B",
	  false },
	{ "drain_moved", OPT_BOOL, AT(drain_moved), "off", 0, 0, NULL,
	  "with drain_reference: for good (0x9D)", false },
	{ "connect_deadline", OPT_MSEC, AT(connect_deadline), "10s", 100, SEC(600), NULL,
	  "from accept to a whole CONNECT; half of it to the first byte", false },
	{ "answer_deadline", OPT_MSEC, AT(answer_deadline), "30s", 100, SEC(600), NULL,
	  "from a whole CONNECT to its answer, authentication and core together; 0x88 beyond it",
	  false },
	{ "write_deadline", OPT_MSEC, AT(write_deadline), "10s", 100, SEC(600), NULL,
	  "a client that takes nothing for so long is closed", false },
	{ "out_high", OPT_SIZE, AT(out_high), "256k", KB(4), MB(64), NULL,
	  "bytes waiting for a client that pause its session", false },
	{ "out_low", OPT_SIZE, AT(out_low), "64k", 0, MB(64), NULL,
	  "bytes waiting that let it go on", false },
	{ "link_high", OPT_SIZE, AT(link_high), "1m", KB(64), MB(256), NULL,
	  "bytes waiting for the core that stop the reading of its clients", false },
	{ "publish_rate", OPT_INT, AT(publish_rate), "0", 0, 10000000, NULL,
	  "messages per second and connection, with a burst of five seconds; 0 = no limit", false },
	{ "publish_bytes", OPT_SIZE, AT(publish_bytes), "0", 0, MB(1024), NULL,
	  "bytes of them per second and connection, with the same burst; 0 = no limit", false },
	{ "subscribe_rate", OPT_INT, AT(subscribe_rate), "250", 0, 10000000, NULL,
	  "filters of SUBSCRIBE and UNSUBSCRIBE per second and connection, with the same burst; "
	  "0 = no limit",
	  false },
	{ "control_rate", OPT_INT, AT(control_rate), "200", 0, 10000000, NULL,
	  "PINGREQs, and PUBACKs, PUBRECs, PUBRELs and PUBCOMPs that answer nothing we sent, per "
	  "second and connection, with the same burst; an AUTH counts as 20; 0 = no limit",
	  false },
	{ "rate_patience", OPT_MSEC, AT(rate_patience), "60s", 0, DAY(1), NULL,
	  "over one of these rates a client is read slower; after so long without a break it is "
	  "closed with 0x96; 0 = never",
	  false },
	{ "connect_rate_per_ip", OPT_INT, AT(connect_rate_per_ip), "100", 0, 1000000, NULL,
	  "connections per second of one address (IPv6: /64), with a burst of ten seconds; closed "
	  "at once beyond it; 0 = no limit",
	  false },
	{ "connect_rate_loopback", OPT_BOOL, AT(connect_rate_loopback), "off", 0, 0, NULL,
	  "the same for addresses of this machine", false },
	{ "connect_rate_per_token", OPT_INT, AT(connect_rate_per_token), "0", 0, 1000000, NULL,
	  "clients with one token that connect per second, with a burst of ten seconds; 0x9F "
	  "beyond it; 0 = no limit but that of the customer",
	  false },
	{ "connect_rate_per_client", OPT_INT, AT(connect_rate_per_client), "10", 0, 1000000, NULL,
	  "connects under one client id per second, with a burst of ten seconds; 0x9F beyond it; "
	  "0 = no limit",
	  false },
	{ "connect_rate_per_customer", OPT_INT, AT(connect_rate_per_customer), "5000", 0, 1000000,
	  NULL,
	  "clients of one customer that connect per second, with a burst of ten seconds; 0x9F "
	  "beyond it; 0 = no limit",
	  false },
	{ "packet_grace", OPT_MSEC, AT(packet_grace), "10s", 100, SEC(600), NULL,
	  "a packet that takes longer must come at 1 KiB/s", false },
	{ "flespi_extensions", OPT_ENUM, AT(flespi_extensions), "customer", 0, 0, extensions,
	  "whose filters may hold lists (1,2,3), $filter/ and sticky groups: of customers with "
	  "flespi_extensions, all, none (off); for the others they are plain MQTT",
	  false },
	{ "conditions_max", OPT_INT, AT(conditions_max), "100", 0, 1000000, NULL,
	  "subscriptions of one session that have conditions ($filter/)", false },
	{ "gather_us", OPT_INT, AT(gather_us), "200", 0, GATHER_MOST_US, NULL,
	  "microseconds that a worker lets messages gather when it is woken thousands of times a "
	  "second for few of them; 0 = never",
	  false },
	{ "user_properties", OPT_BOOL, AT(user_properties), "off", 0, 0, NULL,
	  "add flespi's timestamp and cid to deliveries to all MQTT 5 clients; those of customers "
	  "with flespi_extensions have them anyway",
	  false },
	{ "events", OPT_BOOL, AT(events), "on", 0, 0, NULL,
	  "publish the log of connections as flespi/log/mqtt/... of each customer", false },
	{ "log_level", OPT_ENUM, AT(log_level), "info", 0, 0, log_levels,
	  "least level that is logged", false },
};

const struct opt_set proxy_opts = {
	.program = "mbus-proxy",
	.section = "proxy",
	.summary = "The public MQTT door of MBUS: keeps customers apart, lets through what a token "
		   "allows.",
	.table = table,
	.count = ARRAY_LEN(table),
	.named = &listener_opts,
};

static bool is_set(const char *text)
{
	return text && *text;
}

/* What concerns doors: of [proxy], or of a listener; tls: some of them have it. */
static int check_doors(const struct proxy_config *c, bool with_tls, const char **why)
{
	if (with_tls && !is_set(c->tls_cert)) {
		*why = "mqtts and wss need tls_cert and tls_key";
		return -E_INVALID;
	}
	if (config_mode(c->unix_mode, &(unsigned){ 0 })) {
		*why = "unix_mode is an octal number up to 0777, such as 0660";
		return -E_INVALID;
	}
	if (is_set(c->tls_client_crl) && !is_set(c->tls_client_ca)) {
		*why = "tls_client_crl needs tls_client_ca";
		return -E_INVALID;
	}
	return 0;
}

static int check_listener(const struct listener_config *l, const char **why)
{
	static char text[LISTENER_NAME + 128]; /* *why points here: main thread, once */
	const char *reason = "address is missing";
	int err = is_set(l->config.listener_address) ? 0 : -E_INVALID;

	if (!err)
		err = check_doors(&l->config, l->config.listener_kind % 2, &reason);
	if (err) {
		(void)snprintf(text, sizeof(text), "[listener %s]: %s", l->name, reason);
		*why = text;
	}
	return err;
}

int config_check(const struct proxy_config *c, const char **why)
{
	int err;

	if (c->out_low > c->out_high / 2) {
		*why = "out_low must be at most half of out_high";
		return -E_INVALID;
	}
	if (!c->core_dir || !*c->core_dir) {
		*why = "core_dir is empty: name the folder of the core's sockets";
		return -E_INVALID;
	}
	err = check_doors(c, is_set(c->mqtts) || is_set(c->wss), why);
	for (unsigned i = 0; !err && i < c->listeners; i++)
		err = check_listener(&c->listener[i], why);
	return err;
}

int config_mode(const char *text, unsigned *mode)
{
	unsigned n = 0;

	if (!text || !*text)
		return -E_INVALID;
	for (; *text; text++) {
		if (*text < '0' || *text > '7' || n > 0777)
			return -E_INVALID;
		n = n * 8 + (unsigned)(*text - '0');
	}
	if (n > 0777)
		return -E_INVALID;
	*mode = n;
	return 0;
}

int config_address(const char *text, char *host, size_t host_size, uint16_t *port)
{
	struct str all = str_c(text), name;
	const char *colon = strrchr(text, ':');
	uint64_t number;

	if (!colon || !str_to_u64(str_c(colon + 1), &number) || number > UINT16_MAX)
		return -E_INVALID;
	name = str_make(all.p, (size_t)(colon - text));
	if (name.n >= 2 && name.p[0] == '[' && name.p[name.n - 1] == ']')
		name = str_make(name.p + 1, name.n - 2);
	else if (memchr(name.p, ':', name.n))
		return -E_INVALID; /* "::1:1883" could mean two things */
	if (str_eq(name, STR("*")))
		name = STR("::");
	if (name.n == 0 || name.n >= host_size)
		return -E_INVALID;
	memcpy(host, name.p, name.n);
	host[name.n] = 0;
	*port = (uint16_t)number;
	return 0;
}

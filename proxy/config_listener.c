/* config_listener.c - sections [listener NAME]: the keys of [proxy] that concern a door, for doors
 * of their own. What a section does not say is as in [proxy], so each listener has a whole
 * configuration in the end, and nobody asks where a value came from. */
#include "base/base.h"
#include "proxy/config.h"

#include "base/mem.h"

static const char *const kinds[] = { "mqtt", "mqtts", "ws", "wss", NULL }; /* as door_kinds */

static const struct opt own[] = {
	{ "kind", OPT_ENUM, offsetof(struct proxy_config, listener_kind), "mqtt", 0, 0, kinds,
	  "what is spoken there", false },
	{ "address", OPT_TEXT, offsetof(struct proxy_config, listener_address), NULL, 0, 0, NULL,
	  "host:port or unix:/path, several with commas", false },
};

static const char *const shared[] = {
	"tls_cert",
	"tls_key",
	"tls_client_ca",
	"tls_client_crl",
	"tls_client_required",
	"ws_path",
	"ws_origins",
	"ws_token_header",
	"ws_token_query",
	"proxy_protocol_from",
	"forwarded_from",
	"forwarded_header",
	"unix_mode",
	"connections_per_ip",
	"connect_deadline",
	"write_deadline",
	"packet_grace",
	"connect_rate_per_ip",
	"connect_rate_loopback",
	NULL,
};

static int begin(void *config, struct str name, struct opt_place *out, const char **why)
{
	struct proxy_config *c = config;
	struct listener_config *l;

	MUST(ARRAY_LEN(own) + proxy_opts.count <= CONFIG_ROWS);
	if (name.n >= LISTENER_NAME || c->listeners == LISTENERS_MAX) {
		*why = "the name has more than 31 bytes, or there are more than 16 listeners";
		return -E_LIMIT;
	}
	for (unsigned i = 0; i < c->listeners; i++) {
		if (str_eq(name, str_c(c->listener[i].name))) {
			*why = "stands twice";
			return -E_INVALID;
		}
	}
	*why = "out of memory";
	if (!c->listener)
		c->listener = mem_array(LISTENERS_MAX, sizeof(*c->listener));
	if (!c->listener)
		return -E_NOMEM;
	l = &c->listener[c->listeners++];
	memcpy(l->name, name.p, name.n);
	*out = (struct opt_place){ &l->config, l->seen };
	return 0;
}

/* Texts that a section has said itself; the others are those of [proxy]. */
static void forget(struct listener_config *l)
{
	for (size_t i = 0; i < ARRAY_LEN(own) + proxy_opts.count; i++) {
		const struct opt *o =
		    i < ARRAY_LEN(own) ? &own[i] : &proxy_opts.table[i - ARRAY_LEN(own)];

		if (o->type == OPT_TEXT && l->seen[i])
			mem_free(*(char **)(void *)((char *)&l->config + o->offset));
	}
}

static void end(void *config)
{
	struct proxy_config *c = config;

	for (unsigned i = 0; i < c->listeners; i++)
		forget(&c->listener[i]);
	mem_free(c->listener);
	c->listener = NULL;
	c->listeners = 0;
}

const struct opt_named listener_opts = {
	.word = "listener",
	.own = own,
	.own_count = ARRAY_LEN(own),
	.shared = shared,
	.help = "more doors, each with settings of its own; what it does not say is as in [proxy].",
	.begin = begin,
	.end = end,
};

bool listener_says(const struct listener_config *l, const char *key)
{
	for (size_t i = 0; i < proxy_opts.count; i++) {
		if (strcmp(proxy_opts.table[i].name, key) == 0)
			return l->seen[ARRAY_LEN(own) + i];
	}
	MUST(!"a key of [proxy]");
	return false;
}

static size_t size_of(const struct opt *o)
{
	switch (o->type) {
	case OPT_BOOL:
		return sizeof(bool);
	case OPT_TEXT:
		return sizeof(char *);
	case OPT_ENUM:
		return sizeof(int);
	default:
		return sizeof(int64_t);
	}
}

void config_settle(struct proxy_config *c)
{
	for (unsigned i = 0; i < c->listeners; i++) {
		struct listener_config *l = &c->listener[i];

		for (size_t k = 0; k < proxy_opts.count; k++) {
			const struct opt *o = &proxy_opts.table[k];

			if (!l->seen[ARRAY_LEN(own) + k])
				memcpy((char *)&l->config + o->offset, (const char *)c + o->offset,
				       size_of(o));
		}
	}
}

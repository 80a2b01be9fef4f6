/* front.c - the lists of front.h. */
#include "base/base.h"
#include "proxy/front.h"

#include "proxy/config.h"
#include "proxy/listen.h"
#include "wire/address.h"

/* ---- Networks ---- */

static bool read_net(struct peers *p, struct str text)
{
	const char *slash = text.n ? memchr(text.p, '/', text.n) : NULL;
	struct str host = slash ? str_make(text.p, (size_t)(slash - text.p)) : text;
	struct sock_addr a;
	uint64_t bits, most;

	if (!address_read(host, &a))
		return false;
	most = memchr(host.p, ':', host.n) ? 128 : 32;
	bits = most;
	if (slash && (!str_to_u64(str_skip(text, host.n + 1), &bits) || bits > most))
		return false;
	memcpy(p->net[p->count].bytes, a.bytes, 16);
	p->net[p->count++].bits = (uint8_t)(128 - most + bits);
	return true;
}

int peers_read(struct peers *p, const char *text, const char **why)
{
	struct str list = text && *text ? str_c(text) : STR_NONE, item;

	p->count = 0;
	p->local = false;
	while (listen_next(&list, &item)) {
		if (str_eq(item, STR("unix"))) {
			p->local = true;
			continue;
		}
		if (p->count == PEERS_MAX) {
			*why = "more than 64 networks";
			return -E_INVALID;
		}
		if (!read_net(p, item)) {
			*why = "not a network: write 192.0.2.7, 10.0.0.0/8 or unix, several with "
			       "commas";
			return -E_INVALID;
		}
	}
	return 0;
}

static bool same_bits(const uint8_t *a, const uint8_t *b, unsigned bits)
{
	unsigned whole = bits / 8, rest = bits % 8;

	return memcmp(a, b, whole) == 0 && (rest == 0 || (a[whole] ^ b[whole]) >> (8 - rest) == 0);
}

bool peers_hold(const struct peers *p, const struct sock_addr *a)
{
	if (a->local)
		return p->local;
	for (unsigned i = 0; i < p->count; i++) {
		if (same_bits(p->net[i].bytes, a->bytes, p->net[i].bits))
			return true;
	}
	return false;
}

/* ---- All of it ---- */

static int read_origins(struct front *f, const char *text, const char **why)
{
	struct str list = text && *text ? str_c(text) : STR_NONE, item;

	f->rules.origins = f->origin;
	while (listen_next(&list, &item)) {
		if (str_eq(item, STR("*"))) {
			f->rules.any_origin = true;
			continue;
		}
		if (f->rules.origin_count == FRONT_ORIGINS_MAX || item.n == 0) {
			*why = "an empty one, or more than 64";
			return -E_INVALID;
		}
		f->origin[f->rules.origin_count++] = item;
	}
	return 0;
}

int front_read(struct front *f, const struct proxy_config *config, const char **what,
               const char **why)
{
	int err;

	*f = (struct front){
		.source = config->forwarded_header ? UPGRADE_REAL_IP : UPGRADE_FORWARDED_FOR,
		.token_header = config->ws_token_header,
		.token_query = config->ws_token_query,
		.rules.path = str_c(config->ws_path),
	};
	*what = "proxy_protocol_from";
	err = peers_read(&f->proxy_protocol, config->proxy_protocol_from, why);
	if (err)
		return err;
	*what = "forwarded_from";
	err = peers_read(&f->forwarded, config->forwarded_from, why);
	if (err)
		return err;
	*what = "ws_path";
	*why = "begins with /";
	if (f->rules.path.n && f->rules.path.p[0] != '/')
		return -E_INVALID;
	*what = "ws_origins";
	return read_origins(f, config->ws_origins, why);
}

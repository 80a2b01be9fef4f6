/* tls_ring.c - the keys of session tickets (tls.h). A ticket is only a shorter handshake: token,
 * ips and limits are judged again each time. */
#include "base/base.h"
#include "proxy/tls.h"

#include "base/clock.h"
#include "base/crypt.h"
#include "base/mem.h"

int tls_seed_make(struct tls_seed *seed)
{
	seed->since = clock_mono_ms();
	return crypt_random(seed->secret, sizeof(seed->secret));
}

static int derive(uint8_t out[32], const uint8_t secret[32], struct str what)
{
	return crypt_hmac(out, str_make(secret, 32), what);
}

static int make_key(struct tls_ticket_key *k, const uint8_t secret[32])
{
	uint8_t name[32];
	int err = derive(name, secret, STR("name"));

	if (!err)
		err = derive(k->cipher, secret, STR("cipher"));
	if (!err)
		err = derive(k->mac, secret, STR("mac"));
	memcpy(k->name, name, sizeof(k->name));
	return err;
}

static void fresh(struct tls_ring *r)
{
	mem_wipe(&r->key[TLS_TICKET_KEYS - 1], sizeof(r->key[0]));
	memmove(r->key + 1, r->key, sizeof(r->key[0]) * (TLS_TICKET_KEYS - 1));
	if (make_key(&r->key[0], r->secret))
		r->broken = true;
}

static void step(struct tls_ring *r)
{
	uint8_t next[32];

	if (derive(next, r->secret, STR("next")))
		r->broken = true;
	memcpy(r->secret, next, sizeof(r->secret));
	mem_wipe(next, sizeof(next));
	r->turn++;
	fresh(r);
}

void tls_ring_start(struct tls_ring *r, const struct tls_seed *seed, int64_t now)
{
	*r = (struct tls_ring){ .since = seed->since };
	memcpy(r->secret, seed->secret, sizeof(r->secret));
	fresh(r);
	tls_ring_turn(r, now);
}

void tls_ring_turn(struct tls_ring *r, int64_t now)
{
	uint64_t turn = now > r->since ? (uint64_t)(now - r->since) / (TLS_TICKET_S * 1000) : 0;

	while (r->turn < turn && !r->broken)
		step(r);
}

void tls_ring_wipe(struct tls_ring *r)
{
	mem_wipe(r, sizeof(*r));
}

const struct tls_ticket_key *tls_ring_find(const struct tls_ring *r,
                                           const uint8_t name[TLS_TICKET_NAME], bool *turned)
{
	if (r->broken)
		return NULL;
	/* in the first hours there are fewer keys, and nobody may use one of zeros */
	for (unsigned i = 0; i < TLS_TICKET_KEYS && i <= r->turn; i++) {
		if (memcmp(r->key[i].name, name, TLS_TICKET_NAME) == 0) {
			*turned = i > 0;
			return &r->key[i];
		}
	}
	return NULL;
}

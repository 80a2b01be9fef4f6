/* tls_context.c - the rules of TLS, put together with the files into what one worker uses (tls.h).
 * What concerns one connection is in transport_tls.c. */
#include "base/base.h"
#include "proxy/tls_parts.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"

/* RFC 9325 4.2: forward secrecy and AEAD only. */
#define SUITES_12 \
	"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:" \
	"ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:" \
	"ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
#define SUITES_13 "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
#define GROUPS    "X25519:P-256:P-384"

struct tls_context {
	SSL_CTX *ctx;
};

/* ---- Tickets ---- */

static int ring_index = -1, files_index = -1; /* written by indexes() under its once */

static int ticket_params(EVP_MAC_CTX *mac, const struct tls_ticket_key *key)
{
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)(uintptr_t)key->mac,
		                                  sizeof(key->mac)),
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char[]){ "sha256" }, 0),
		OSSL_PARAM_construct_end(),
	};

	return EVP_MAC_CTX_set_params(mac, params);
}

/* SSL_CTX_set_tlsext_ticket_key_evp_cb(3): 1 as it should be; 0 not ours: a full handshake, or none
 * is made; 2 good, but give a fresh one; -1 the connection fails. */
static int ticket_key(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                      EVP_MAC_CTX *mac, int making)
{
	struct tls_ring *ring = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), ring_index);
	const struct tls_ticket_key *key;
	bool turned = false;

	tls_ring_turn(ring, clock_mono_ms());
	key = making ? ring->broken ? NULL : &ring->key[0] : tls_ring_find(ring, name, &turned);
	if (!key)
		return 0;
	if (making) {
		memcpy(name, key->name, TLS_TICKET_NAME);
		if (RAND_bytes(iv, EVP_MAX_IV_LENGTH) != 1)
			return -1;
	}
	if (EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, key->cipher, iv, making) != 1 ||
	    ticket_params(mac, key) != 1)
		return -1;
	return turned ? 2 : 1;
}

/* ---- Which certificate ---- */

static bool names(const struct tls_pair *p, const char *name)
{
	return X509_check_host(p->cert, name, 0, 0, NULL) == 1;
}

/* Of each kind of key the first certificate that names the host; if none does, those that the
 * context has from the beginning. 1: go on, 0: alert. */
static int choose_certificate(SSL *ssl, void *arg)
{
	const struct tls_files *f = arg;
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	int kinds[TLS_PAIRS_MAX], kind;
	unsigned used = 0, i, j;

	for (i = 0; name && i < f->pairs; i++) {
		if (!names(&f->pair[i], name))
			continue;
		kind = EVP_PKEY_get_base_id(f->pair[i].key);
		for (j = 0; j < used && kinds[j] != kind; j++)
			;
		if (j < used)
			continue;
		if (used == 0)
			SSL_certs_clear(ssl);
		kinds[used++] = kind;
		if (SSL_use_cert_and_key(ssl, f->pair[i].cert, f->pair[i].key, f->pair[i].chain,
		                         1) != 1)
			return 0;
	}
	return 1;
}

/* For clients that name no host, or one that nobody has: of each kind of key the first. */
static bool use_first_of_each_kind(SSL_CTX *ctx, const struct tls_files *f)
{
	for (unsigned i = f->pairs; i > 0; i--) {
		const struct tls_pair *p = &f->pair[i - 1];

		/* a later call for the same kind replaces */
		if (SSL_CTX_use_cert_and_key(ctx, p->cert, p->key, p->chain, 1) != 1)
			return false;
	}
	return true;
}

/* ---- Certificates of clients ---- */

/* Tickets are not given then: each connection shows its certificate, and it is held against the
 * revocations of today (attack W06). */
static bool ask_clients(SSL_CTX *ctx, const struct tls_files *f)
{
	X509_STORE *store = SSL_CTX_get_cert_store(ctx);

	for (int i = 0; i < sk_X509_num(f->client_ca); i++) {
		X509 *ca = sk_X509_value(f->client_ca, i);

		if (X509_STORE_add_cert(store, ca) != 1 || SSL_CTX_add_client_CA(ctx, ca) != 1)
			return false;
	}
	for (int i = 0; f->client_crl && i < sk_X509_CRL_num(f->client_crl); i++) {
		if (X509_STORE_add_crl(store, sk_X509_CRL_value(f->client_crl, i)) != 1)
			return false;
	}
	if (f->client_crl)
		(void)X509_STORE_set_flags(store,
		                           X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
	SSL_CTX_set_verify(
	    ctx, SSL_VERIFY_PEER | (f->client_required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
	    NULL);
	SSL_CTX_set_verify_depth(ctx, 5);
	(void)SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
	return SSL_CTX_set_num_tickets(ctx, 0) == 1;
}

/* ---- The context ---- */

static void files_gone(void *parent, void *files, CRYPTO_EX_DATA *data, int index, long argl,
                       void *argp)
{
	struct tls_files *f = files;

	(void)parent;
	(void)data;
	(void)index;
	(void)argl;
	(void)argp;
	tls_files_put(&f);
}

static void make_indexes(void)
{
	ring_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, NULL);
	files_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, files_gone);
}

static bool indexes(void)
{
	static CRYPTO_ONCE once = CRYPTO_ONCE_STATIC_INIT;

	return CRYPTO_THREAD_run_once(&once, make_indexes) && ring_index >= 0 && files_index >= 0;
}

static bool set_rules(SSL_CTX *ctx)
{
	(void)SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
	                                   SSL_OP_CIPHER_SERVER_PREFERENCE |
	                                   SSL_OP_PRIORITIZE_CHACHA | SSL_OP_IGNORE_UNEXPECTED_EOF);
	(void)SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
	                                SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	(void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	(void)SSL_CTX_set_timeout(ctx, TLS_TICKET_S * (TLS_TICKET_KEYS - 1));
	return SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1 &&
	       SSL_CTX_set_cipher_list(ctx, SUITES_12) == 1 &&
	       SSL_CTX_set_ciphersuites(ctx, SUITES_13) == 1 &&
	       SSL_CTX_set1_groups_list(ctx, GROUPS) == 1 &&
	       SSL_CTX_set_max_early_data(ctx, 0) == 1 &&
	       SSL_CTX_set_recv_max_early_data(ctx, 0) == 1 &&
	       SSL_CTX_set_num_tickets(ctx, 1) == 1 &&
	       SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"mbus", 4) == 1;
}

static bool fill(SSL_CTX *ctx, struct tls_files *f, struct tls_ring *ring)
{
	if (!set_rules(ctx) || !use_first_of_each_kind(ctx, f) ||
	    SSL_CTX_check_private_key(ctx) != 1)
		return false;
	if (f->ask_client && !ask_clients(ctx, f))
		return false;
	SSL_CTX_set_cert_cb(ctx, choose_certificate, f);
	return SSL_CTX_set_ex_data(ctx, ring_index, ring) == 1 &&
	       SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, ticket_key) == 1;
}

int tls_context_new(struct tls_context **out, struct tls_files *files, struct tls_ring *ring,
                    char why[TLS_WHY])
{
	struct tls_context *x = mem_zalloc(sizeof(*x));

	ERR_clear_error();
	if (x && indexes())
		x->ctx = SSL_CTX_new(TLS_server_method());
	if (!x || !x->ctx) {
		(void)snprintf(why, TLS_WHY, "out of memory");
		tls_context_free(&x);
		return -E_NOMEM;
	}
	/* the context gives it back, whenever its last connection is gone */
	if (SSL_CTX_set_ex_data(x->ctx, files_index, tls_files_get(files)) != 1) {
		struct tls_files *f = files;

		tls_files_put(&f);
	} else if (fill(x->ctx, files, ring)) {
		*out = x;
		return 0;
	}
	(void)snprintf(why, TLS_WHY, "tls_cert: %s", tls_error());
	tls_context_free(&x);
	return -E_INVALID;
}

void tls_context_free(struct tls_context **slot)
{
	struct tls_context *x = *slot;

	*slot = NULL;
	if (!x)
		return;
	SSL_CTX_free(x->ctx);
	mem_free(x);
}

struct ssl_ctx_st *tls_context_raw(struct tls_context *x)
{
	return x->ctx;
}

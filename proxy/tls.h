/* tls.h - certificates, keys and the rules of TLS, as every TLS door uses them. With transport_tls
 * the only door to OpenSSL's TLS.
 *
 *   files  --tls_files_read-->  tls_files (parsed, checked, immutable, counted)
 *          --tls_context_new-->  tls_context, one for each worker: no two threads share its locks
 *
 * Only a complete set of files that fits together becomes a context, so a reload with a bad one
 * changes nothing (attacks W07, A24). A connection keeps the context that it began with.
 *
 * TLS 1.2 and 1.3, AEAD suites with forward secrecy, no renegotiation, no compression, no early
 * data (W01, W02, W10). */
#pragma once
#include "base/base.h"

struct proxy_config;
struct tls_files;
struct tls_context;
struct tls_ring;
struct ssl_ctx_st;

enum { TLS_WHY = 400, TLS_PAIRS_MAX = 16 };

/* ---- Files ---- */
/* Any thread, in practice main: it reads files. why: a sentence that names the file. */
int tls_files_read(struct tls_files **out, const struct proxy_config *config,
                   char why[TLS_WHY]) MUST_CHECK;
void tls_files_put(struct tls_files **slot); /* any thread */
/* Today is within the times of every certificate. A start goes on without it, with a warning; a
 * reload does not, for what is in force may be better. */
int tls_files_check_times(const struct tls_files *f, char why[TLS_WHY]) MUST_CHECK;
/* Logs what is in them, and what is left of each; a certificate that ends within two weeks, or has
 * ended, as a warning; without all only such ones. listener: its name, or "". Returns the seconds
 * until the first of them ends (negative: it has). */
int64_t tls_files_tell(const struct tls_files *f, const char *listener, bool all);
/* Changes when one of the files does: of time, size and place; cheap. */
uint64_t tls_files_mark(const struct proxy_config *config);

/* ---- Contexts ---- */
/* ring: of the worker that will use it; it outlives all its connections */
int tls_context_new(struct tls_context **out, struct tls_files *files, struct tls_ring *ring,
                    char why[TLS_WHY]) MUST_CHECK;
void tls_context_free(struct tls_context **slot); /* its connections go on */
/* borrowed; for transport_tls */
struct ssl_ctx_st *tls_context_raw(struct tls_context *x);

/* ---- Keys of session tickets: tls_ring.c ----
 *
 * The workers share a secret and a beginning, and each turns the same wheel alone: every hour the
 * secret is hashed on and the old one wiped, so that all have the same three keys without telling
 * each other, and a key that is gone cannot be computed again. Never on disk. */
struct tls_seed {
	uint8_t secret[32];
	int64_t since; /* monotonic ms */
};
int tls_seed_make(struct tls_seed *seed) MUST_CHECK;

enum { TLS_TICKET_NAME = 16, TLS_TICKET_KEYS = 3, TLS_TICKET_S = 3600 };
struct tls_ticket_key {
	uint8_t name[TLS_TICKET_NAME], cipher[32], mac[32];
};
struct tls_ring {
	uint8_t secret[32];
	int64_t since;
	uint64_t turn; /* keys[0] is of this one, keys[1] of the one before ... */
	struct tls_ticket_key key[TLS_TICKET_KEYS];
	bool broken; /* OpenSSL had no memory for a hash: no tickets any more */
};
void tls_ring_start(struct tls_ring *r, const struct tls_seed *seed, int64_t now);
void tls_ring_turn(struct tls_ring *r, int64_t now); /* cheap when no hour has passed */
void tls_ring_wipe(struct tls_ring *r);
/* NULL: nobody's, or too old. *turned: not the newest, a fresh ticket is due */
const struct tls_ticket_key *tls_ring_find(const struct tls_ring *r,
                                           const uint8_t name[TLS_TICKET_NAME], bool *turned);

/* tls_files.c - certificates, keys, authorities and revocations, read whole and checked before
 * anybody uses them (tls.h). */
#include "base/base.h"
#include "proxy/tls_parts.h"

#include <inttypes.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "proxy/config.h"
#include "proxy/listen.h"

enum { FILE_MOST = 1 << 20, CERTS_MOST = 1000, SOON_S = 14 * 86400, PATH_MOST = 1024 };

const char *tls_error(void)
{
	const char *text = ERR_reason_error_string(ERR_peek_error());

	ERR_clear_error();
	return text ? text : "no reason was given";
}

static int say(char why[TLS_WHY], const char *path, const char *what)
{
	(void)snprintf(why, TLS_WHY, "%s: %s", path, what);
	ERR_clear_error();
	return -E_INVALID;
}

/* ---- One file ---- */

/* We have no terminal to ask at, and a key that nobody can open must not stop a start in silence.
 */
static int no_passphrase(char *to, int size, int writing, void *arg)
{
	(void)to;
	(void)size;
	(void)writing;
	*(bool *)arg = true;
	return -1;
}

static BIO *open_file(const char *path, char why[TLS_WHY])
{
	BIO *file;

	ERR_clear_error();
	file = BIO_new_file(path, "r");
	if (!file)
		(void)say(why, path, "cannot be opened; look at its path and permissions");
	return file;
}

/* All certificates of a file, in their order. */
static STACK_OF(X509) * read_certs(const char *path, char why[TLS_WHY])
{
	STACK_OF(X509) *list = sk_X509_new_null();
	BIO *file = open_file(path, why);
	bool asked = false;
	X509 *one;

	while (list && file && (one = PEM_read_bio_X509_AUX(file, NULL, no_passphrase, &asked))) {
		if (sk_X509_num(list) < CERTS_MOST && sk_X509_push(list, one) > 0)
			continue;
		X509_free(one);
		break;
	}
	if (file && list && ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE) {
		(void)say(why, path, "is damaged, or not a PEM file of certificates");
	} else if (file && list && sk_X509_num(list) == 0) {
		(void)say(why, path, "holds no certificate");
	} else if (file && list) {
		BIO_free(file);
		ERR_clear_error();
		return list;
	}
	BIO_free(file);
	sk_X509_pop_free(list, X509_free);
	return NULL;
}

static STACK_OF(X509_CRL) * read_crls(const char *path, char why[TLS_WHY])
{
	STACK_OF(X509_CRL) *list = sk_X509_CRL_new_null();
	BIO *file = open_file(path, why);
	X509_CRL *one;

	while (list && file && (one = PEM_read_bio_X509_CRL(file, NULL, NULL, NULL))) {
		if (sk_X509_CRL_num(list) < CERTS_MOST && sk_X509_CRL_push(list, one) > 0)
			continue;
		X509_CRL_free(one);
		break;
	}
	if (file && list && sk_X509_CRL_num(list) > 0 &&
	    ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE) {
		BIO_free(file);
		ERR_clear_error();
		return list;
	}
	if (file)
		(void)say(why, path, "holds no revocation list, or a damaged one");
	BIO_free(file);
	sk_X509_CRL_pop_free(list, X509_CRL_free);
	return NULL;
}

static EVP_PKEY *read_key(const char *path, char why[TLS_WHY])
{
	BIO *file = open_file(path, why);
	bool asked = false;
	struct stat st;
	EVP_PKEY *key;

	if (!file)
		return NULL;
	key = PEM_read_bio_PrivateKey(file, NULL, no_passphrase, &asked);
	BIO_free(file);
	if (!key)
		(void)say(why, path,
		          asked ? "is protected by a passphrase; remove it (openssl pkey)"
		                : "holds no private key in PEM form");
	else if (stat(path, &st) == 0 && (st.st_mode & 0007))
		LOG_WARN("", "key-readable",
		         "file=%s why=\"everybody on this machine can read it\"",
		         log_esc(str_c(path)));
	return key;
}

/* ---- A certificate and its key ---- */

static int read_pair(struct tls_pair *p, const char *cert, const char *key, char why[TLS_WHY])
{
	p->chain = read_certs(cert, why);
	if (!p->chain)
		return -E_INVALID;
	p->cert = sk_X509_shift(p->chain);
	p->key = read_key(key, why);
	if (!p->key)
		return -E_INVALID;
	if (X509_check_private_key(p->cert, p->key) != 1)
		return say(why, key, "is the key of another certificate");
	return 0;
}

static bool copy_path(char to[PATH_MOST], struct str path)
{
	if (path.n == 0 || path.n >= PATH_MOST)
		return false;
	memcpy(to, path.p, path.n);
	to[path.n] = 0;
	return true;
}

static unsigned count_paths(struct str list)
{
	struct str path;
	unsigned count = 0;

	while (listen_next(&list, &path))
		count++;
	return count;
}

static int read_pairs(struct tls_files *f, const struct proxy_config *config, char why[TLS_WHY])
{
	struct str certs = str_c(config->tls_cert), keys = str_c(config->tls_key), cert, key;
	char cert_path[PATH_MOST], key_path[PATH_MOST];
	unsigned count = count_paths(certs);

	if (count == 0 || count > TLS_PAIRS_MAX)
		return say(why, "tls_cert", "names no file, or more than 16");
	if (count_paths(keys) != count)
		return say(why, "tls_key", "needs as many files as tls_cert");
	while (listen_next(&certs, &cert) && listen_next(&keys, &key)) {
		if (!copy_path(cert_path, cert) || !copy_path(key_path, key))
			return say(why, "tls_cert, tls_key", "an empty or too long name");
		f->pairs++;
		if (read_pair(&f->pair[f->pairs - 1], cert_path, key_path, why))
			return -E_INVALID;
	}
	return 0;
}

static int read_clients(struct tls_files *f, const struct proxy_config *config, char why[TLS_WHY])
{
	if (!config->tls_client_ca || !*config->tls_client_ca)
		return 0;
	f->ask_client = true;
	f->client_required = config->tls_client_required;
	f->client_ca = read_certs(config->tls_client_ca, why);
	if (!f->client_ca)
		return -E_INVALID;
	if (!config->tls_client_crl || !*config->tls_client_crl)
		return 0;
	f->client_crl = read_crls(config->tls_client_crl, why);
	return f->client_crl ? 0 : -E_INVALID;
}

/* OpenSSL works some things out when it needs them first, and keeps them in the object: here, while
 * it is ours alone, and not in the threads that share it. */
static void work_out(const struct tls_files *f)
{
	for (int i = 0; i < sk_X509_num(f->client_ca); i++)
		(void)X509_check_purpose(sk_X509_value(f->client_ca, i), -1, 0);
	for (int i = 0; i < sk_X509_CRL_num(f->client_crl); i++)
		(void)X509_CRL_sort(sk_X509_CRL_value(f->client_crl, i));
	ERR_clear_error();
}

/* ---- All of them ---- */

int tls_files_read(struct tls_files **out, const struct proxy_config *config, char why[TLS_WHY])
{
	struct tls_files *f = mem_zalloc(sizeof(*f));
	int err;

	(void)snprintf(why, TLS_WHY, "out of memory");
	if (!f)
		return -E_NOMEM;
	f->refs = 1;
	err = read_pairs(f, config, why);
	if (!err)
		err = read_clients(f, config, why);
	if (!err) {
		work_out(f);
		*out = f;
	} else {
		tls_files_put(&f);
	}
	return err;
}

struct tls_files *tls_files_get(struct tls_files *f)
{
	atomic_fetch_add_explicit(&f->refs, 1, memory_order_relaxed);
	return f;
}

void tls_files_put(struct tls_files **slot)
{
	struct tls_files *f = *slot;

	*slot = NULL;
	if (!f || atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (unsigned i = 0; i < f->pairs; i++) {
		X509_free(f->pair[i].cert);
		sk_X509_pop_free(f->pair[i].chain, X509_free);
		EVP_PKEY_free(f->pair[i].key);
	}
	sk_X509_pop_free(f->client_ca, X509_free);
	sk_X509_CRL_pop_free(f->client_crl, X509_CRL_free);
	mem_free(f);
}

int tls_files_check_times(const struct tls_files *f, char why[TLS_WHY])
{
	char name[256] = "";

	for (unsigned i = 0; i < f->pairs; i++) {
		const X509 *cert = f->pair[i].cert;

		(void)X509_NAME_oneline(X509_get_subject_name(cert), name, sizeof(name));
		if (X509_cmp_current_time(X509_get0_notAfter(cert)) <= 0)
			return say(why, name, "has expired");
		if (X509_cmp_current_time(X509_get0_notBefore(cert)) >= 0)
			return say(why, name,
			           "is not valid yet; look at the clock of this machine");
	}
	return 0;
}

/* By our clock, as everything else that tells of it. */
static int64_t seconds_left(const X509 *cert)
{
	ASN1_TIME *now = ASN1_TIME_set(NULL, (time_t)(clock_wall_ms() / 1000));
	int days = 0, seconds = 0;

	if (!now || !ASN1_TIME_diff(&days, &seconds, now, X509_get0_notAfter(cert)))
		days = seconds = 0; /* and be told of it */
	ASN1_TIME_free(now);
	return (int64_t)days * 86400 + seconds;
}

static void tell_one(const struct tls_pair *p, const char *listener, int64_t left, bool all)
{
	char name[256] = "", text[1024];

	if (left >= SOON_S && !all)
		return;
	(void)X509_NAME_oneline(X509_get_subject_name(p->cert), name, sizeof(name));
	(void)snprintf(text, sizeof(text),
	               "subject=%s kind=%s days=%" PRId64 " seconds=%" PRId64 "%s%s",
	               log_esc(str_c(name)), EVP_PKEY_get0_type_name(p->key), left / 86400, left,
	               *listener ? " listener=" : "", listener);
	if (left >= SOON_S)
		LOG_INFO("", "certificate", "%s", text);
	else
		LOG_WARN("", "certificate-ends", "%s why=\"%s\"", text,
		         left < 0 ? "it has expired" : "renew it");
}

int64_t tls_files_tell(const struct tls_files *f, const char *listener, bool all)
{
	int64_t first = INT64_MAX;

	for (unsigned i = 0; i < f->pairs; i++) {
		int64_t left = seconds_left(f->pair[i].cert);

		tell_one(&f->pair[i], listener, left, all);
		first = left < first ? left : first;
	}
	return first;
}

static uint64_t mark_one(uint64_t mark, struct str path)
{
	char z[PATH_MOST];
	struct stat st = { 0 };

	if (!copy_path(z, path) || stat(z, &st) != 0)
		return hash_mix(mark, 1);
	mark = hash_mix(mark, (uint64_t)st.st_ino);
	mark = hash_mix(mark, (uint64_t)st.st_size);
	mark = hash_mix(mark, (uint64_t)st.st_mtim.tv_sec);
	return hash_mix(mark, (uint64_t)st.st_mtim.tv_nsec);
}

uint64_t tls_files_mark(const struct proxy_config *config)
{
	const char *const lists[] = { config->tls_cert, config->tls_key, config->tls_client_ca,
		                      config->tls_client_crl };
	uint64_t mark = 0;

	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		struct str list = str_c(lists[i]), path;

		while (listen_next(&list, &path))
			mark = mark_one(mark, path);
	}
	return mark;
}

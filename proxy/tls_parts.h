/* tls_parts.h - between the files of TLS only. */
#pragma once
#include <openssl/ssl.h>
#include <stdatomic.h>

#include "proxy/tls.h"

/* A certificate with what stands behind it, and its key. */
struct tls_pair {
	X509 *cert;
	STACK_OF(X509) * chain;
	EVP_PKEY *key;
};

struct tls_files { /* written by tls_files_read, then constant but for refs */
	_Atomic unsigned refs;
	struct tls_pair pair[TLS_PAIRS_MAX];
	unsigned pairs;
	bool ask_client, client_required;
	STACK_OF(X509) * client_ca;
	STACK_OF(X509_CRL) * client_crl;
};

struct tls_files *tls_files_get(struct tls_files *f);
/* What OpenSSL says of the last call that failed: static text, never NULL; its queue is emptied. */
const char *tls_error(void);

struct conn;
/* What the certificate of this connection says of the client, when one was asked for, shown and
 * verified: conn_certify. The handshake is over. 0 or -E_NOMEM. */
int tls_certify(struct conn *c, const SSL *ssl) MUST_CHECK;
/* May who has shown this certificate go on under the authorities and revocations of another
 * context? NULL, or why not. What has only grown old is no reason: neither a certificate nor a list
 * of revocations. */
const char *tls_revoked(const SSL *ssl, SSL_CTX *now);

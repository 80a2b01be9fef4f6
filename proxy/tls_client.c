/* tls_client.c - whose certificate a client has shown, and whether it is still good (tls_parts.h).
 *
 * The identity is the subject's common name, in UTF-8, and nothing else: it is what load balancers
 * tell too (PROXY protocol, version 2), so that one list of names in a token means the same at
 * every door. A subject with several common names, and one whose name is not text, is nobody: which
 * of them was meant is not ours to guess. Alternative names are not looked at. */
#include "base/base.h"
#include "proxy/tls_parts.h"

#include <openssl/err.h>

#include "base/log.h"
#include "proxy/conn.h"

static int unnamed(const struct conn *c, const char *why)
{
	LOG_INFO(conn_name(c), "certificate-unnamed", "why=\"%s\"", why);
	return 0;
}

static int certify(struct conn *c, const X509_NAME *subject)
{
	int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
	unsigned char *utf8 = NULL;
	int n, err;

	if (at < 0)
		return unnamed(c, "its subject has no common name");
	if (X509_NAME_get_index_by_NID(subject, NID_commonName, at) >= 0)
		return unnamed(c, "its subject has several common names");
	n = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
	ERR_clear_error();
	if (n <= 0)
		err = unnamed(c, "its common name is not text");
	else
		err = conn_certify(c, str_make(utf8, (size_t)n));
	OPENSSL_free(utf8);
	return err;
}

int tls_certify(struct conn *c, const SSL *ssl)
{
	const X509 *cert = SSL_get0_peer_certificate(ssl);

	if (!cert || c->cert_front || SSL_get_verify_result(ssl) != X509_V_OK)
		return 0;
	return certify(c, X509_get_subject_name(cert));
}

/* ---- After a reload ---- */

static const char *judge(X509_STORE_CTX *x)
{
	int error = X509_verify_cert(x) == 1 ? X509_V_OK : X509_STORE_CTX_get_error(x);

	switch (error) {
	case X509_V_OK:
	case X509_V_ERR_UNABLE_TO_GET_CRL: /* nobody new comes in, and nobody was revoked */
	case X509_V_ERR_OUT_OF_MEM:
	case X509_V_ERR_UNSPECIFIED:
		return NULL;
	default:
		return X509_verify_cert_error_string(error);
	}
}

const char *tls_revoked(const SSL *ssl, SSL_CTX *now)
{
	X509 *cert = SSL_get0_peer_certificate(ssl);
	X509_STORE_CTX *x = cert ? X509_STORE_CTX_new() : NULL;
	const char *why = NULL;

	if (x &&
	    X509_STORE_CTX_init(x, SSL_CTX_get_cert_store(now), cert,
	                        SSL_get_peer_cert_chain(ssl)) == 1 &&
	    X509_STORE_CTX_set_default(x, "ssl_client") == 1) {
		X509_STORE_CTX_set_flags(x, X509_V_FLAG_NO_CHECK_TIME);
		X509_STORE_CTX_set_depth(x, SSL_CTX_get_verify_depth(now));
		why = judge(x);
	}
	X509_STORE_CTX_free(x);
	ERR_clear_error();
	return why;
}

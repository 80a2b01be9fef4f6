/* proxy_auth_tls.c - an endpoint over https: only a certificate that auth_ca vouches for, for the
 * name that was asked, gets to see a token. */
#include "tests/unit/proxy_auth.h"

#include <openssl/ssl.h>

static SSL_CTX *tls;
static int listener;
static pthread_t server;
static _Atomic bool stop;
static _Atomic unsigned seen; /* requests that were read */

static void serve(SSL *s)
{
	static const char body[] =
	    "{\"result\":[{\"id\":1,\"cid\":7,\"enabled\":true," ACCESS("#") "}]}";
	char text[4096];
	int n = SSL_read(s, text, sizeof(text));

	if (n <= 0)
		return;
	atomic_fetch_add(&seen, 1);
	n = snprintf(text, sizeof(text),
	             "HTTP/1.1 " OK_JSON "\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s",
	             strlen(body), body);
	(void)SSL_write(s, text, n);
	(void)SSL_shutdown(s);
}

static void *server_main(void *arg)
{
	struct pollfd p = { .fd = listener, .events = POLLIN };

	(void)arg;
	while (!atomic_load(&stop)) {
		int fd;
		SSL *s;

		if (poll(&p, 1, 20) <= 0)
			continue;
		fd = accept(listener, NULL, NULL);
		s = SSL_new(tls);
		SSL_set_fd(s, fd);
		if (SSL_accept(s) == 1)
			serve(s);
		SSL_free(s);
		close(fd);
	}
	return NULL;
}

/* path.key and path.pem, self-signed, for this IP address */
static void make_certificate(const char *path, const char *name)
{
	char command[600];

	(void)snprintf(command, sizeof(command),
	               "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days "
	               "2 -subj /CN=test "
	               "-addext subjectAltName=IP:%s -keyout %s.key -out %s.pem 2>/dev/null",
	               name, path, path);
	MUST(system(command) == 0);
}

static void server_start(const char *path)
{
	char file[300];

	tls = SSL_CTX_new(TLS_server_method());
	(void)snprintf(file, sizeof(file), "%s.pem", path);
	MUST(SSL_CTX_use_certificate_file(tls, file, SSL_FILETYPE_PEM) == 1);
	(void)snprintf(file, sizeof(file), "%s.key", path);
	MUST(SSL_CTX_use_PrivateKey_file(tls, file, SSL_FILETYPE_PEM) == 1);
	atomic_store(&stop, false);
	atomic_store(&seen, 0);
	listener = endpoint_listen(0, NULL);
	MUST(pthread_create(&server, NULL, server_main, NULL) == 0);
}

static void server_stop(void)
{
	atomic_store(&stop, true);
	pthread_join(server, NULL);
	close(listener);
	SSL_CTX_free(tls);
}

/* What k1 is told by a server with this certificate, when that one is trusted. */
static uint8_t told_by(const char *address, bool trusted, bool any_ca)
{
	char own[200], other[200], ca[220];
	uint8_t reason;

	(void)snprintf(own, sizeof(own), "%s/own", temp_dir());
	(void)snprintf(other, sizeof(other), "%s/other", temp_dir());
	make_certificate(own, address);
	make_certificate(other, address);
	(void)snprintf(ca, sizeof(ca), "%s.pem", trusted ? own : other);
	defaults();
	if (any_ca)
		config.auth_ca = ca;
	server_start(own);
	(void)snprintf(url, sizeof(url), "https://127.0.0.1:%u/auth/info", sock_port(listener));
	start_auth(true);
	reason = ask("k1");
	end();
	server_stop();
	return reason;
}

static void a_trusted_certificate_lets_us_ask(void)
{
	IS(told_by("127.0.0.1", true, true), RC_SUCCESS);
	IS(atomic_load(&seen), 1);
}

static void a_certificate_of_somebody_else_never_sees_the_token(void)
{
	IS(told_by("127.0.0.1", false, true), RC_SERVER_UNAVAILABLE);
	IS(atomic_load(&seen), 0);
	/* the system's authorities do not know it */
	IS(told_by("127.0.0.1", true, false), RC_SERVER_UNAVAILABLE);
	IS(atomic_load(&seen), 0);
}

static void a_certificate_for_another_name_never_sees_the_token(void)
{
	IS(told_by("127.0.0.9", true, true), RC_SERVER_UNAVAILABLE);
	IS(atomic_load(&seen), 0);
}

RUN(a_trusted_certificate_lets_us_ask, a_certificate_of_somebody_else_never_sees_the_token,
    a_certificate_for_another_name_never_sees_the_token)

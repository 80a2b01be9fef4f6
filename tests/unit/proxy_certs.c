/* What is told of certificates as they grow old: the clock is moved, stderr is a pipe. */
#include "tests/kit/kit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "proxy/certs.h"
#include "proxy/config.h"
#include "proxy/listen.h"

#define DAY INT64_C(86400000)

static struct proxy_config config;
static struct listen listeners;
static struct certs certs;
static int pipe_ends[2], real_stderr;

static void listen_to_log(void)
{
	MUST(pipe(pipe_ends) == 0 && fcntl(pipe_ends[0], F_SETFL, O_NONBLOCK) == 0);
	(void)fflush(stderr);
	real_stderr = dup(2);
	(void)dup2(pipe_ends[1], 2);
}

/* How many lines with this word were written since the last call. */
static unsigned said(const char *word)
{
	static char text[65536];
	ssize_t n = read(pipe_ends[0], text, sizeof(text) - 1);
	unsigned count = 0;

	text[n > 0 ? n : 0] = 0;
	for (const char *at = text; (at = strstr(at, word)); at++)
		count++;
	return count;
}

static void end(void)
{
	(void)dup2(real_stderr, 2);
	(void)close(real_stderr);
	(void)close(pipe_ends[0]);
	(void)close(pipe_ends[1]);
	clock_shift(0, 0);
	certs_free(&certs);
	free(config.tls_cert);
	free(config.tls_key);
}

static void begin(void)
{
	const char *what, *why;
	char command[600], text[TLS_WHY] = "";

	config = (struct proxy_config){ .ws_origins = (char[]){ "*" },
		                        .mqtts = (char[]){ "127.0.0.1:8883" } };
	config.tls_key = strdup(temp_file("key.pem", NULL));
	config.tls_cert = strdup(temp_file("cert.pem", NULL));
	(void)snprintf(command, sizeof(command),
	               "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "
	               "-days 30 -subj /CN=old -keyout %s -out %s 2>/dev/null",
	               config.tls_key, config.tls_cert);
	MUST(system(command) == 0);
	IS(listen_read(&listeners, &config, &what, &why), 0);
	listen_to_log();
	IS(certs_start(&certs, &listeners, NULL, 0, text), 0);
}

/* In so many days, less an hour; a second of ticks. */
static void tick_in(int64_t days)
{
	clock_shift(0, days * DAY - DAY / 24);
	certs_tick(&certs);
}

static void a_certificate_is_warned_of_once_a_day_in_its_last_two_weeks(void)
{
	begin();
	IS(said("ev=certificate "), 1);
	tick_in(15);
	IS(said("ev=certificate"), 0);
	tick_in(17);
	IS(said("ev=certificate-ends subject=/CN=old "), 1);
	for (unsigned i = 0; i < 100; i++)
		certs_tick(&certs);
	IS(said("ev=certificate"), 0);
	for (int64_t day = 18; day < 33; day++) {
		tick_in(day);
		IS(said("ev=certificate-ends"), 1);
	}
	certs_tell(&certs);
	IS(said("why=\"it has expired\""), 1);
	end();
}

static void what_is_left_is_told_in_seconds_and_is_less_than_nothing_afterwards(void)
{
	int64_t left;

	begin();
	left = certs_left_s(&certs);
	YES(left > 29 * 86400 && left <= 30 * 86400);
	tick_in(29);
	left = certs_left_s(&certs);
	YES(left > 0 && left <= 86400 + 3600);
	tick_in(31);
	left = certs_left_s(&certs);
	YES(left < 0 && left >= -86400);
	certs_free(&certs);
	YES(certs_left_s(&certs) == INT64_MAX);
	end();
}

RUN(a_certificate_is_warned_of_once_a_day_in_its_last_two_weeks,
    what_is_left_is_told_in_seconds_and_is_less_than_nothing_afterwards)

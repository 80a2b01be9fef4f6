/* main.c - mbus-admin: the program. Opens everything, waits for SIGTERM or SIGINT, ends everything
 * in order. */
#include "base/base.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/config.h"
#include "admin/service.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"

/* The pepper and keys pass through this memory: no core file, no debugger of the same user. A
 * sanitizer needs the latter. */
static void keep_secrets_in(void)
{
	const struct rlimit none = { 0, 0 };

	(void)umask(077);
	(void)setrlimit(RLIMIT_CORE, &none);
	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
}

/* Blocked in every thread, taken here: no handler runs anywhere. A write over a file size limit is
 * an error, not the end. */
static void block_signals(sigset_t *ends)
{
	(void)sigemptyset(ends);
	(void)sigaddset(ends, SIGTERM);
	(void)sigaddset(ends, SIGINT);
	(void)pthread_sigmask(SIG_BLOCK, ends, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGXFSZ, SIG_IGN);
	(void)signal(SIGHUP, SIG_IGN);
}

static int serve(const struct admin_config *config)
{
	struct service *s = NULL;
	char why[4600] = "out of memory";
	sigset_t ends;
	int got = 0, err;

	block_signals(&ends);
	err = service_open(&s, config, why, sizeof(why));
	if (!err)
		err = service_start(s);
	if (err) {
		(void)fprintf(stderr, "mbus-admin: %s\n", why);
		service_stop(&s);
		return err;
	}
	LOG_INFO("", "ready", "version=%s listen=%s port=%u auth_socket=%s pid=%ld", mbus_version(),
	         log_esc(str_c(config->listen)), service_port(s),
	         log_esc(str_c(service_auth_socket(s))), (long)getpid());
	while (sigwait(&ends, &got) != 0) {
	}
	LOG_INFO("", "ending", "signal=%d", got);
	service_stop(&s);
	return 0;
}

int main(int argc, char **argv)
{
	static struct admin_config config;
	struct opt_set set = admin_opts(&config);
	int err;

	switch (opts_read(&set, argc, argv)) {
	case OPT_EXIT_OK:
		return EXIT_SUCCESS;
	case OPT_EXIT_BAD:
		return EXIT_FAILURE;
	case OPT_RUN:
		break;
	}
	keep_secrets_in();
	log_start("mbus-admin", (enum log_level)config.log_level);
	hash_start();
	mem_start();
	err = serve(&config);
	opts_free(&set);
	return err ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* main.c - mbus-proxy: the public door of MBUS. Starts the workers and the authentication thread,
 * waits for SIGTERM or SIGINT, ends within 5 s. */
#include "base/base.h"

#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/rcu.h"
#include "base/sock.h"
#include "proxy/auth.h"
#include "proxy/badge.h"
#include "proxy/caps.h"
#include "proxy/worker.h"

enum {
	WORKERS_MAX = 16,
	/* for the core, the endpoint, the log: clients never get these (fault F14) */
	FDS_RESERVED = 128,
	/* data nobody acknowledges: the peer is gone (fault F17) */
	USER_TIMEOUT_MS = 30000,
};

static struct proxy_config config;
static struct crew crew = { .config = &config };
static struct worker *workers[WORKERS_MAX];
static int listeners[WORKERS_MAX];
static uint16_t port;

static int fail(const char *what, const char *why)
{
	LOG_ERROR("", "start", "what=\"%s\" why=\"%s\"", what, why);
	return 1;
}

/* ---- Listening: in the main thread, so that a busy port is told at once and by one line ---- */

static int listen_one(const char *host, unsigned i, const char **why)
{
	int err = sock_listen_tcp(&listeners[i], host, port, true, why);

	if (err)
		return err;
	(void)setsockopt(listeners[i], IPPROTO_TCP, TCP_USER_TIMEOUT,
	                 &(unsigned){ USER_TIMEOUT_MS }, sizeof(unsigned));
	/* of the first: all others share it, also when it was 0 */
	port = sock_port(listeners[i]);
	return 0;
}

/* SO_REUSEPORT would let a second proxy of ours share the port in silence: the first socket is
 * bound alone, as a test. */
static int port_is_free(const char *host, const char **why)
{
	int fd = -1, err = port ? sock_listen_tcp(&fd, host, port, false, why) : 0;

	sock_close(&fd);
	return err;
}

static int open_doors(const char **why)
{
	char host[64];
	const char *address = host;
	int err = config_address(config.mqtt, host, sizeof(host), &port);

	*why = "not an address: write host:port, [::1]:1883 or *:1883";
	if (err)
		return err;
	err = port_is_free(address, why);
	if (err && err != -E_BUSY && err != -E_DENIED && strcmp(host, "::") == 0) {
		address = "0.0.0.0"; /* a machine without IPv6 */
		err = port_is_free(address, why);
	}
	for (unsigned i = 0; !err && i < crew.workers; i++)
		err = listen_one(address, i, why);
	return err;
}

/* ---- Limits of the process ---- */

static void set_limits(void)
{
	struct rlimit files, no_core = { 0, 0 };

	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
		(void)getrlimit(RLIMIT_NOFILE, &files);
		if (files.rlim_cur != RLIM_INFINITY &&
		    config.connections_max > (int64_t)files.rlim_cur - FDS_RESERVED) {
			config.connections_max = (int64_t)files.rlim_cur > 2 * FDS_RESERVED
			                             ? (int64_t)files.rlim_cur - FDS_RESERVED
			                             : FDS_RESERVED;
			LOG_INFO("", "limit", "connections_max=%" PRId64 " why=\"open files\"",
			         config.connections_max);
		}
	}
	(void)setrlimit(RLIMIT_CORE, &no_core); /* keys are in our memory (attack O01) */
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	(void)prctl(PR_SET_DUMPABLE, 0);
#endif
}

static unsigned count_workers(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	if (config.workers)
		return (unsigned)config.workers;
	return cpus < 1 ? 1 : cpus > WORKERS_MAX ? WORKERS_MAX : (unsigned)cpus;
}

/* ---- Life ---- */

static void ready(struct crew *c)
{
	LOG_INFO("", "ready", "port=%u workers=%u pid=%d", port, c->workers, (int)getpid());
}

static int start_all(void)
{
	const char *why = NULL;
	int err = caps_new(&crew.caps);

	if (err)
		return fail("start", err_text(err));
	err = open_doors(&why);
	if (err)
		return fail(config.mqtt, why);
	err = auth_start(&crew.auth, &config, &why);
	if (err)
		return fail("authentication", why);
	for (unsigned i = 0; i < crew.workers; i++) {
		int listener = listeners[i];

		listeners[i] = -1;
		err = worker_new(&workers[i], &crew, i, listener);
		if (err)
			return fail("worker", err_text(err));
		auth_add_worker(crew.auth, workers[i]->inbox, workers[i], rights_notice);
	}
	err = auth_run(crew.auth);
	for (unsigned i = 0; !err && i < crew.workers; i++)
		err = worker_run(workers[i]);
	if (err)
		return fail("thread", err_text(err));
	LOG_INFO("", "listening", "port=%u workers=%u core=%s", port, crew.workers,
	         config.core_dir);
	return 0;
}

static void stop_all(void)
{
	for (unsigned i = 0; i < crew.workers; i++) {
		if (workers[i] && workers[i]->thread)
			worker_stop(workers[i]);
	}
	for (unsigned i = 0; i < crew.workers; i++) {
		if (workers[i])
			worker_end(workers[i]);
	}
	auth_stop(&crew.auth);
}

static void log_counters(void)
{
	struct worker_counters sum = { 0 };
	struct buf text = { 0 };

	for (unsigned i = 0; i < crew.workers; i++) {
		if (workers[i])
			worker_add_counters(workers[i], &sum);
	}
#define C(name) buf_printf(&text, "%s" #name "=%" PRIu64, buf_len(&text) ? " " : "", sum.name);
	WORKER_COUNTERS(C)
#undef C
	LOG_INFO("", "end", "%.*s", STR_ARG(buf_str(&text)));
	buf_free(&text);
}

static void free_all(void)
{
	for (unsigned i = 0; i < WORKERS_MAX; i++) {
		worker_free(&workers[i]);
		sock_close(&listeners[i]);
	}
	caps_free(&crew.caps);
	rcu_drain();
}

static void wait_for_signal(const sigset_t *wanted)
{
	int number = 0;

	while (sigwait(wanted, &number) != 0)
		;
	LOG_INFO("", "stopping", "signal=%d", number);
}

int main(int argc, char **argv)
{
	struct opt_set set = proxy_opts;
	const char *why = NULL;
	sigset_t wanted;
	int code;

	set.config = &config;
	switch (opts_read(&set, argc, argv)) {
	case OPT_EXIT_OK:
		return 0;
	case OPT_EXIT_BAD:
		return 2;
	default:
		break;
	}
	log_start("mbus-proxy", (enum log_level)config.log_level);
	hash_start();
	(void)signal(SIGPIPE, SIG_IGN);
	(void)sigemptyset(&wanted);
	(void)sigaddset(&wanted, SIGTERM);
	(void)sigaddset(&wanted, SIGINT);
	MUST(sigprocmask(SIG_BLOCK, &wanted, NULL) == 0);
	for (unsigned i = 0; i < WORKERS_MAX; i++)
		listeners[i] = -1;
	crew.workers = count_workers();
	crew.on_ready = ready;
	if (config_check(&config, &why)) {
		opts_free(&set);
		return fail("configuration", why);
	}
	set_limits();
	code = start_all();
	if (code == 0)
		wait_for_signal(&wanted);
	/* not before: a reader that sleeps would stop all freeing */
	rcu_thread_enter();
	stop_all();
	log_counters();
	free_all();
	rcu_thread_leave();
	opts_free(&set);
	return code;
}

/* main.c - mbus-proxy: the public door of MBUS. Starts the workers and the authentication thread,
 * waits for SIGTERM or SIGINT, ends within 5 s. */
#include "base/base.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rcu.h"
#include "proxy/auth.h"
#include "proxy/badge.h"
#include "proxy/caps.h"
#include "proxy/certs.h"
#include "proxy/front.h"
#include "proxy/listen.h"
#include "proxy/rates.h"
#include "proxy/worker.h"

enum {
	WORKERS_MAX = LISTEN_WORKERS,
	/* for the core, the endpoint, the log: clients never get these (fault F14) */
	FDS_RESERVED = 128,
};

static struct proxy_config config;
static struct front front;
static struct crew crew = { .config = &config, .front = &front };
static struct worker *workers[WORKERS_MAX];
static struct listen listeners;
static struct certs certs;
static bool tls; /* there is a door with TLS */

static int fail(const char *what, const char *why)
{
	LOG_ERROR("", "start", "what=\"%s\" why=\"%s\"", what, why);
	return 1;
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
	LOG_INFO("", "ready", "workers=%u pid=%d", c->workers, (int)getpid());
}

static void log_doors(void)
{
	for (unsigned i = 0; i < listeners.count; i++) {
		const struct listen_at *at = &listeners.at[i];

		LOG_INFO("", "listening", "kind=%s host=%s port=%u workers=%u", at->kind->name,
		         at->host, at->port, crew.workers);
	}
}

static int make_worker(unsigned i)
{
	int err = worker_new(&workers[i], &crew, i);

	if (err)
		return err;
	for (unsigned j = 0; j < listeners.count; j++) {
		struct listen_at *at = &listeners.at[j];

		worker_add_door(workers[i], at->kind, at->fd[i]);
		at->fd[i] = -1;
	}
	auth_add_worker(crew.auth, workers[i]->inbox, workers[i], rights_notice);
	return 0;
}

/* With TLS: tickets of one worker are good for all, and nobody begins without certificates. */
static int make_workers(void)
{
	struct tls_seed seed;
	char why[TLS_WHY] = "";
	int err = 0;

	tls = listen_any_tls(&listeners);
	if (tls && tls_seed_make(&seed))
		return fail("tls", "no randomness");
	crew.tls_seed = tls ? &seed : NULL;
	for (unsigned i = 0; !err && i < crew.workers; i++)
		err = make_worker(i);
	mem_wipe(&seed, sizeof(seed));
	crew.tls_seed = NULL;
	if (err)
		return fail("worker", err_text(err));
	if (tls && certs_start(&certs, &config, workers, crew.workers, why))
		return fail("tls", why);
	return 0;
}

static int start_all(void)
{
	const char *what = NULL, *why = NULL;
	int err = caps_new(&crew.caps);

	if (!err)
		err = rates_new(&crew.rates);
	if (err)
		return fail("start", err_text(err));
	err = front_read(&front, &config, &what, &why);
	if (!err)
		err = listen_read(&listeners, &config, &what, &why);
	if (!err)
		err = listen_open(&listeners, crew.workers, &what, &why);
	if (err)
		return fail(what, why);
	err = auth_start(&crew.auth, &config, &why);
	if (err)
		return fail("authentication", why);
	if (make_workers())
		return 1;
	err = auth_run(crew.auth);
	for (unsigned i = 0; !err && i < crew.workers; i++)
		err = worker_run(workers[i]);
	if (err)
		return fail("thread", err_text(err));
	log_doors();
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
	for (unsigned i = 0; i < WORKERS_MAX; i++)
		worker_free(&workers[i]);
	listen_close(&listeners);
	caps_free(&crew.caps);
	rates_free(&crew.rates);
	rcu_drain();
}

/* SIGHUP reads the certificates again; SIGTERM and SIGINT end the wait. */
static void serve(const sigset_t *wanted)
{
	const struct timespec tick = { .tv_sec = CERTS_TICK_MS / 1000 };
	int number;

	do {
		number = tls ? sigtimedwait(wanted, NULL, &tick) : sigwaitinfo(wanted, NULL);
		if (tls && number == SIGHUP)
			certs_reload(&certs);
		else if (tls && number < 0)
			certs_tick(&certs);
	} while (number != SIGTERM && number != SIGINT);
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
	(void)sigaddset(&wanted, SIGHUP);
	MUST(sigprocmask(SIG_BLOCK, &wanted, NULL) == 0);
	crew.workers = count_workers();
	crew.on_ready = ready;
	if (config_check(&config, &why)) {
		opts_free(&set);
		return fail("configuration", why);
	}
	set_limits();
	code = start_all();
	if (code == 0)
		serve(&wanted);
	/* not before: a reader that sleeps would stop all freeing */
	rcu_thread_enter();
	stop_all();
	log_counters();
	free_all();
	rcu_thread_leave();
	opts_free(&set);
	return code;
}

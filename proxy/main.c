/* main.c - mbus-proxy: the public door of MBUS. Starts the workers and the authentication thread,
 * serves until it is told to stop, and lets its clients go (drain.h). */
#include "base/base.h"

#include <inttypes.h>
#include <signal.h>
#include <poll.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rcu.h"
#include "proxy/auth.h"
#include "proxy/badge.h"
#include "proxy/caps.h"
#include "proxy/certs.h"
#include "proxy/listen.h"
#include "proxy/numbers.h"
#include "proxy/rates.h"
#include "proxy/takeover.h"
#include "proxy/worker.h"

enum {
	WORKERS_MAX = LISTEN_WORKERS,
	/* for the core, the endpoint, the log: clients never get these (fault F14) */
	FDS_RESERVED = 128,
	LOOK_MS = 50, /* while clients are let go: have all workers ended? */
};

static struct proxy_config config;
static struct crew crew = { .config = &config };
static struct worker *workers[WORKERS_MAX];
static struct listen listeners;
static struct certs certs;
static struct inherited inherited;
static struct takeover takeover = { .listener = -1, .other = -1 };
static int ready_fd = -1; /* an eventfd: all links are up */
static bool tls;          /* there is a door with TLS */

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
	(void)c;
	(void)eventfd_write(ready_fd, 1);
}

static void log_doors(void)
{
	for (unsigned i = 0; i < listeners.count; i++) {
		const struct listen_at *at = &listeners.at[i];

		LOG_INFO("", "listening", "kind=%s host=%s port=%u workers=%u%s%s", at->kind->name,
		         at->host, at->port, crew.workers, *at->listener->name ? " listener=" : "",
		         at->listener->name);
	}
}

static int make_worker(unsigned i)
{
	int err = worker_new(&workers[i], &crew, i);

	if (err)
		return err;
	workers[i]->doors_wait = listeners.inherited;
	for (unsigned j = 0; !err && j < listeners.count; j++) {
		const struct listen_at *at = &listeners.at[j];

		for (unsigned k = i; !err && k < at->fds; k += crew.workers)
			err = worker_add_door(workers[i], at->kind, at->listener, at->fd[k]);
	}
	if (err)
		return err;
	auth_add_worker(crew.auth, workers[i]->inbox, workers[i], rights_notice);
	return 0;
}

/* With TLS: tickets of one worker are good for all, and nobody begins without certificates. */
static int make_workers(void)
{
	struct tls_seed seed;
	char why[TLS_WHY] = "";
	int err = 0;

	tls = listeners.tls > 0;
	if (tls && tls_seed_make(&seed))
		return fail("tls", "no randomness");
	crew.tls_seed = tls ? &seed : NULL;
	for (unsigned i = 0; !err && i < crew.workers; i++)
		err = make_worker(i);
	mem_wipe(&seed, sizeof(seed));
	crew.tls_seed = NULL;
	if (err)
		return fail("worker", err_text(err));
	if (tls && certs_start(&certs, &listeners, workers, crew.workers, why))
		return fail("tls", why);
	return 0;
}

/* What we were given first: somebody may be connecting to it right now. */
static int open_doors(void)
{
	const char *what = "LISTEN_FDS", *why = NULL;
	struct inherited_socket *left;
	int err = inherit_from_parent(&inherited, &why);

	if (!err)
		err = listen_named(&listeners, &inherited, &what, &why);
	if (err)
		return fail(what, why);
	what = "takeover";
	err = takeover_ask(&takeover, config.takeover, &inherited, &why);
	if (!err)
		err = listen_open(&listeners, crew.workers, &inherited, &what, &why);
	if (err)
		return fail(what, why);
	while ((left = inherit_left(&inherited))) {
		if (!takeover.from)
			return fail(
			    left->name[0] ? left->name : left->host,
			    "a socket of LISTEN_FDS that no door has; name it mqtt, mqtts, ws "
			    "or wss (FileDescriptorName=), or configure its address");
		LOG_INFO("", "door-closed", "host=%s port=%u", left->host, left->port);
		sock_close(&left->fd);
	}
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
	err = listen_read(&listeners, &config, &what, &why);
	if (err)
		return fail(what, why);
	if (open_doors())
		return 1;
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

static void end_all(void)
{
	for (unsigned i = 0; i < crew.workers; i++) {
		if (workers[i])
			worker_end(workers[i]);
	}
	auth_stop(&crew.auth);
}

static int64_t certificate_left(void)
{
	return tls ? certs_left_s(&certs) : NUMBERS_NO_CERTIFICATE;
}

static void free_all(void)
{
	for (unsigned i = 0; i < WORKERS_MAX; i++)
		worker_free(&workers[i]);
	certs_free(&certs);
	listen_close(&listeners);
	inherit_close(&inherited);
	caps_free(&crew.caps);
	rates_free(&crew.rates);
	rcu_drain();
}

/* ---- Serving, and letting go ---- */

enum leaving {
	STAY,
	DRAIN, /* SIGTERM: at drain_rate, for drain_deadline */
	SOFT,  /* SIGUSR1: at drain_rate, without an end */
	SUCCEEDED /* as SIGTERM, but the sockets are the successor's too */,
	NOW, /* SIGINT, or any of them again */
};

static void each_worker(void (*tell)(struct worker *, const struct drain_order *),
                        const struct drain_order *order)
{
	for (unsigned i = 0; i < crew.workers; i++) {
		if (workers[i] && workers[i]->thread)
			tell(workers[i], order);
	}
}

static void tell_stop(struct worker *w, const struct drain_order *order)
{
	(void)order;
	worker_stop(w);
}

static enum leaving leave(enum leaving was, enum leaving now)
{
	struct drain_order order = { .shared = now == SUCCEEDED,
		                     .deadline_ms = now == SOFT ? 0 : config.drain_deadline };

	if (was == NOW)
		return was;
	if (was != STAY && now != SOFT)
		now = NOW;
	if (was == now)
		return was;
	LOG_INFO("", "stopping", "how=%s",
	         now == NOW         ? "now"
	         : now == SOFT      ? "soft"
	         : now == SUCCEEDED ? "succeeded"
	                            : "drain");
	takeover_end(&takeover);
	/* before the workers empty theirs, or the last copy would go with somebody in its queue */
	listen_close(&listeners);
	each_worker(now == NOW ? tell_stop : worker_drain, &order);
	return now;
}

static enum leaving heed(int signals, enum leaving was)
{
	struct signalfd_siginfo s;

	if (read(signals, &s, sizeof(s)) != (ssize_t)sizeof(s))
		return was;
	switch (s.ssi_signo) {
	case SIGHUP:
		if (tls)
			certs_reload(&certs);
		return was;
	case SIGUSR1:
		return leave(was, SOFT);
	case SIGUSR2:
		if (tls)
			certs_tell(&certs);
		numbers_now(workers, crew.workers, certificate_left());
		return was;
	case SIGTERM:
		return leave(was, was == SOFT ? NOW : DRAIN);
	default:
		return leave(was, NOW);
	}
}

/* Said last: whoever starts a successor once we are ready must find the path. */
static void serving(void)
{
	takeover_serve(&takeover);
	LOG_INFO("", "ready", "workers=%u pid=%d", crew.workers, (int)getpid());
}

static void serve(int signals)
{
	enum leaving how = STAY;
	eventfd_t count;

	while (atomic_load(&crew.ended) < crew.workers) {
		struct pollfd at[4] = { { .fd = signals, .events = POLLIN },
			                { .fd = ready_fd, .events = POLLIN } };
		int64_t begun = clock_mono_ms();
		int n;

		takeover_wait(&takeover, at + 2);
		n = poll(at, ARRAY_LEN(at), how == STAY ? CERTS_TICK_MS : LOOK_MS);
		if (n > 0 && at[1].revents && eventfd_read(ready_fd, &count) == 0 && how == STAY)
			serving();
		if (n > 0 && at[0].revents)
			how = heed(signals, how);
		if (n > 0 && takeover_look(&takeover, at + 2, &listeners))
			how = leave(how, SUCCEEDED);
		if (tls && (n == 0 || clock_mono_ms() - begun >= CERTS_TICK_MS))
			certs_tick(&certs);
	}
}

/* As a start that failed leaves them. */
static void stop_what_runs(void)
{
	takeover_end(&takeover);
	each_worker(tell_stop, NULL);
}

static int watch_signals(void)
{
	static const int wanted[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2 };
	sigset_t set;

	(void)signal(SIGPIPE, SIG_IGN);
	(void)sigemptyset(&set);
	for (unsigned i = 0; i < ARRAY_LEN(wanted); i++)
		(void)sigaddset(&set, wanted[i]);
	MUST(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int main(int argc, char **argv)
{
	struct opt_set set = proxy_opts;
	const char *why = NULL;
	int code, signals;

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
	mem_start();
	signals = watch_signals();
	ready_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	MUST(signals >= 0 && ready_fd >= 0);
	crew.workers = count_workers();
	crew.on_ready = ready;
	config_settle(&config);
	if (config_check(&config, &why)) {
		opts_free(&set);
		return fail("configuration", why);
	}
	set_limits();
	code = start_all();
	if (code == 0)
		serve(signals);
	else
		stop_what_runs();
	/* not before: a reader that sleeps would stop all freeing */
	rcu_thread_enter();
	end_all();
	numbers_end(workers, crew.workers, certificate_left());
	free_all();
	rcu_thread_leave();
	opts_free(&set);
	return code;
}

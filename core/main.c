/* main.c - mbus-core: the program. Makes the homes and their doors, waits for SIGTERM or SIGINT,
 * ends everything in order. SIGUSR2: each home logs its counters. */
#include "base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rcu.h"
#include "core/door.h"
#include "core/uplink.h"

enum { PATH_ROOM = 4096 };

struct core {
	struct core_config config;
	int lock;
	struct home *homes[LINK_HOMES_MAX];
	struct uplink *uplinks[LINK_HOMES_MAX];
	struct door *door;
	unsigned count;
};

static int complain(const char *what, const char *why)
{
	(void)fprintf(stderr, "mbus-core: %s: %s\n", what, why);
	return -E_INVALID;
}

/* ---- The folder, and being the only one in it (attack B05) ---- */
static int own_folder(const char *dir)
{
	struct stat st;

	if (mkdir(dir, 0750) < 0 && errno != EEXIST)
		return complain(dir, strerror(errno));
	if (stat(dir, &st) < 0)
		return complain(dir, strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return complain(dir, "is not a folder");
	if (st.st_uid != geteuid() && st.st_uid != 0)
		return complain(dir, "belongs to another user");
	if (st.st_mode & S_IWOTH)
		return complain(dir, "everybody may write there; expected mode 0750");
	return 0;
}

static int lock_folder(struct core *core)
{
	char path[PATH_ROOM], text[32], why[128];
	ssize_t n;

	if (snprintf(path, sizeof(path), "%s/lock", core->config.dir) >= (int)sizeof(path))
		return complain(core->config.dir, "is too long a path");
	core->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (core->lock < 0)
		return complain(path, strerror(errno));
	if (flock(core->lock, LOCK_EX | LOCK_NB) < 0) {
		n = pread(core->lock, text, sizeof(text) - 1, 0);
		text[n > 0 ? n : 0] = '\0';
		text[strspn(text, "0123456789")] = '\0';
		(void)snprintf(
		    why, sizeof(why),
		    "in use by another mbus-core (pid %s); stop it, or choose another dir",
		    *text ? text : "unknown");
		return complain(core->config.dir, why);
	}
	n = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
	if (ftruncate(core->lock, 0) < 0 || pwrite(core->lock, text, (size_t)n, 0) != n)
		return complain(path, strerror(errno));
	return 0;
}

/* ---- Start and end ---- */
static int open_homes(struct core *core)
{
	char path[PATH_ROOM];
	const char *why;

	core->count = (unsigned)core->config.homes;
	for (unsigned i = 0; i < core->count; i++) {
		if (home_new(&core->homes[i], &core->config, i, &why))
			return complain("cannot make a home", why);
	}
	for (unsigned i = 0; i < core->count; i++) {
		home_know(core->homes[i], core->homes, core->count);
		(void)snprintf(path, sizeof(path), "%s/link-%u.sock", core->config.dir, i);
		if (uplink_open(&core->uplinks[i], core->homes[i], path, &why))
			return complain(path, why);
	}
	(void)snprintf(path, sizeof(path), "%s/mqtt.sock", core->config.dir);
	if (door_open(&core->door, core->homes[0], path, &why))
		return complain(path, why);
	return 0;
}

static int run_homes(struct core *core)
{
	for (unsigned i = 0; i < core->count; i++) {
		if (home_run(core->homes[i]))
			return complain("cannot start a thread", err_text(-E_NOMEM));
	}
	return 0;
}

static void close_all(struct core *core)
{
	for (unsigned i = 0; i < core->count && core->homes[i]; i++)
		home_end_begin(core->homes[i]);
	for (unsigned i = 0; i < core->count && core->homes[i]; i++)
		home_end(core->homes[i]);
	door_close(&core->door);
	for (unsigned i = 0; i < core->count; i++)
		uplink_close(&core->uplinks[i]);
	for (unsigned i = 0; i < core->count; i++)
		home_free(&core->homes[i]);
	rcu_drain();
	if (core->lock >= 0)
		/* the file stays: whoever comes next locks the same one */
		close(core->lock);
}

/* Blocked in every thread, taken here: no handler runs anywhere. */
static void block_signals(sigset_t *ends)
{
	(void)sigemptyset(ends);
	(void)sigaddset(ends, SIGTERM);
	(void)sigaddset(ends, SIGINT);
	(void)sigaddset(ends, SIGUSR2);
	(void)pthread_sigmask(SIG_BLOCK, ends, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGHUP,
	             SIG_IGN); /* nothing to read anew; a closed terminal is no reason to end */
}

static void tell_numbers(struct core *core, int signal)
{
	for (unsigned i = 0; signal == SIGUSR2 && i < core->count; i++)
		home_numbers(core->homes[i]);
}

static int serve(struct core *core)
{
	sigset_t ends;
	int got = 0, err;

	block_signals(&ends);
	err = own_folder(core->config.dir);
	if (!err)
		err = lock_folder(core);
	if (!err)
		err = open_homes(core);
	if (!err)
		err = run_homes(core);
	if (!err) {
		LOG_INFO("", "ready", "version=%s dir=%s homes=%u store=%s pid=%ld", mbus_version(),
		         log_esc(str_c(core->config.dir)), core->count,
		         store_name(home_store(core->homes[0])), (long)getpid());
		while (sigwait(&ends, &got) != 0 || got == SIGUSR2)
			tell_numbers(core, got);
		LOG_INFO("", "ending", "signal=%d", got);
	}
	return err;
}

int main(int argc, char **argv)
{
	static struct core core = { .lock = -1 };
	struct opt_set set = core_opts;
	const char *why;
	int err;

	set.config = &core.config;
	switch (opts_read(&set, argc, argv)) {
	case OPT_EXIT_OK:
		return EXIT_SUCCESS;
	case OPT_EXIT_BAD:
		return EXIT_FAILURE;
	case OPT_RUN:
		break;
	}
	err = core_config_finish(&core.config, &why);
	if (err) {
		(void)complain("configuration", why);
		return EXIT_FAILURE;
	}
	log_start("mbus-core", (enum log_level)core.config.log_level);
	hash_start();
	mem_start();
	err = serve(&core);
	close_all(&core);
	opts_free(&set);
	return err ? EXIT_FAILURE : EXIT_SUCCESS;
}

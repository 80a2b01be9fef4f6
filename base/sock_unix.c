/* sock_unix.c - Unix sockets: who may take a path (attack B05), and dialling. */
#include "base/base.h"
#include "base/sock.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { BACKLOG = 4096, LOCK_TRIES = 100, LOCK_PAUSE_NS = 10 * 1000 * 1000 };

static bool path_fits(struct sockaddr_un *a, const char *path)
{
	size_t n = strlen(path);

	memset(a, 0, sizeof(*a));
	a->sun_family = AF_UNIX;
	if (n == 0 || n >= sizeof(a->sun_path))
		return false;
	memcpy(a->sun_path, path, n);
	return true;
}

static int dial(int *out, const struct sockaddr_un *a)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), number;

	if (fd < 0)
		return -E_IO;
	if (connect(fd, (const struct sockaddr *)a, sizeof(*a)) == 0) {
		*out = fd;
		return 0;
	}
	number = errno;
	sock_close(&fd);
	switch (number) {
	case ENOENT:
	case ECONNREFUSED: /* a socket file that nobody listens on */
		return -E_NOTFOUND;
	case EAGAIN: /* its queue is full */
		return -E_BUSY;
	case EACCES:
	case EPERM:
		return -E_DENIED;
	default:
		return -E_IO;
	}
}

int sock_dial_unix(int *out, const char *path)
{
	struct sockaddr_un a;

	return path_fits(&a, path) ? dial(out, &a) : -E_INVALID;
}

/* Two programs that find the same stale socket must not both replace it: the second would remove
 * the first one's. The lock is on the folder, so that no lock file stays behind. May wait up to a
 * second; only at start. */
static int lock_folder(const char *path)
{
	char copy[sizeof(((struct sockaddr_un *)NULL)->sun_path) + 1];
	int fd;

	(void)snprintf(copy, sizeof(copy), "%s", path);
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (unsigned tries = 0; fd >= 0 && tries < LOCK_TRIES; tries++) {
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			return fd;
		(void)nanosleep(&(struct timespec){ .tv_nsec = LOCK_PAUSE_NS }, NULL);
	}
	sock_close(&fd);
	return -1;
}

/* What is at the path may go only if it is a socket, ours, and dead. */
static int remove_stale(const struct sockaddr_un *a, const char **why)
{
	struct stat st;
	int fd, err;

	if (lstat(a->sun_path, &st) < 0)
		return errno == ENOENT ? 0 : -E_IO;
	if (!S_ISSOCK(st.st_mode)) {
		*why = "the path is taken by something that is not a socket; move it away or "
		       "choose another path";
		return -E_EXISTS;
	}
	if (st.st_uid != geteuid()) {
		*why = "the path is a socket of another user; choose a folder that only this "
		       "service can write to";
		return -E_DENIED;
	}
	err = dial(&fd, a);
	if (err == 0)
		sock_close(&fd);
	if (err != -E_NOTFOUND) {
		*why = "another program listens on this path; stop it, or choose another path";
		return -E_BUSY;
	}
	return unlink(a->sun_path) == 0 || errno == ENOENT ? 0 : -E_IO;
}

static int listen_error(int number, const char **why)
{
	switch (number) {
	case EACCES:
	case EPERM:
	case EROFS:
		*why = "this user may not write to the socket's folder";
		return -E_DENIED;
	case ENOENT:
	case ENOTDIR:
		*why = "the socket's folder does not exist; create it first";
		return -E_NOTFOUND;
	default:
		*why = "the system refused the socket";
		return -E_IO;
	}
}

static int bind_and_listen(int fd, const struct sockaddr_un *a, mode_t mode, const char **why)
{
	/* The mode on the socket before bind: the file never exists with more than it, whatever the
	 * umask. */
	if (fchmod(fd, mode) < 0 || bind(fd, (const struct sockaddr *)a, sizeof(*a)) < 0)
		return listen_error(errno, why);
	if (chmod(a->sun_path, mode) < 0 || listen(fd, BACKLOG) < 0) {
		int err = listen_error(errno, why);

		(void)unlink(a->sun_path);
		return err;
	}
	return 0;
}

int sock_listen_unix(int *out, const char *path, mode_t mode, const char **why)
{
	struct sockaddr_un a;
	int fd = -1, lock, err;

	if (!path_fits(&a, path)) {
		*why = "a Unix socket's path has 1 to 107 bytes; choose a shorter one";
		return -E_INVALID;
	}
	lock = lock_folder(path);
	if (lock < 0) {
		err = errno == EWOULDBLOCK ? -E_BUSY : listen_error(errno, why);
		if (err == -E_BUSY)
			*why = "another program is starting in the socket's folder";
		return err;
	}
	*why = "the system refused the socket";
	err = remove_stale(&a, why);
	if (err)
		goto done;
	err = -E_IO;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		goto done;
	err = bind_and_listen(fd, &a, mode, why);
	if (err)
		goto done;
	err = -E_INVALID;
	*why = "the system bound another path than this one";
	if (!sock_is_at(fd, path, 0))
		goto done;
	err = 0;
	*out = fd;
	fd = -1;
done:
	sock_close(&fd);
	sock_close(&lock);
	return err;
}

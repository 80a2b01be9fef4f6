/* takeover.c - see takeover.h for who says what. One byte is a word; a socket travels with its own.
 */
#include "base/base.h"
#include "proxy/takeover.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/sock.h"
#include "proxy/inherit.h"
#include "proxy/listen.h"

enum {
	SAY_SOCKET = 'S',
	SAY_ALL = 'A',
	SAY_READY = 'R',
	PATIENCE_MS = 5000,
};

static bool of_our_user(int fd)
{
	uid_t uid;

	return sock_peer_uid(fd, &uid) == 0 && (uid == geteuid() || uid == 0);
}

static bool readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, PATIENCE_MS) == 1;
}

/* ---- One word ---- */

union room { /* of one descriptor, aligned as the kernel wants it */
	char bytes[CMSG_SPACE(sizeof(int))];
	struct cmsghdr align;
};

static bool say(int to, char word, int fd)
{
	union room room = { 0 };
	struct iovec bytes = { .iov_base = &word, .iov_len = 1 };
	struct msghdr m = { .msg_iov = &bytes, .msg_iovlen = 1 };

	if (fd >= 0) {
		struct cmsghdr *c;

		m.msg_control = room.bytes;
		m.msg_controllen = sizeof(room.bytes);
		c = CMSG_FIRSTHDR(&m);
		*c = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int)),
			               .cmsg_level = SOL_SOCKET,
			               .cmsg_type = SCM_RIGHTS };
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	return sendmsg(to, &m, MSG_NOSIGNAL | MSG_DONTWAIT) == 1;
}

/* The descriptor that came, -1 if it was not exactly one; alignment leaves room for two. */
static int take_one(const struct cmsghdr *c)
{
	int fd[2] = { -1, -1 };
	size_t n;

	if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
		return -1;
	n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	MUST(n <= 2);
	memcpy(fd, CMSG_DATA(c), n * sizeof(int));
	if (n == 2) {
		sock_close(&fd[0]);
		sock_close(&fd[1]);
	}
	return fd[0];
}

/* The word, 0 at the end, -1; *fd is -1 if none came with it. */
static int hear(int from, int *fd)
{
	union room room = { 0 };
	char word = 0;
	struct iovec bytes = { .iov_base = &word, .iov_len = 1 };
	struct msghdr m = { .msg_iov = &bytes,
		            .msg_iovlen = 1,
		            .msg_control = room.bytes,
		            .msg_controllen = sizeof(room.bytes) };
	ssize_t n;

	*fd = -1;
	n = readable(from) ? recvmsg(from, &m, MSG_CMSG_CLOEXEC) : -1;
	if (n <= 0)
		return (int)n;
	*fd = take_one(CMSG_FIRSTHDR(&m));
	return word;
}

/* ---- The new one ---- */

static int receive_all(struct takeover *t, struct inherited *in, const char **why)
{
	for (;;) {
		int fd, word = hear(t->other, &fd), err;

		if (word == SAY_SOCKET && fd >= 0) {
			err = inherit_add(in, fd, STR_NONE, why);
			if (err)
				return err;
			continue;
		}
		sock_close(&fd);
		if (word == SAY_ALL)
			return 0;
		*why = "the proxy that is there does not hand over its sockets (is another "
		       "takeover under way?)";
		return -E_BUSY;
	}
}

int takeover_ask(struct takeover *t, const char *path, struct inherited *in, const char **why)
{
	int err;

	*t = (struct takeover){ .listener = -1, .other = -1 };
	if (!path || !*path)
		return 0;
	t->path = path;
	err = sock_dial_unix(&t->other, path);
	if (err == -E_NOTFOUND)
		return 0;
	*why = "the path cannot be connected to";
	if (err)
		return err;
	t->from = true;
	*why = "somebody of another user listens there";
	if (!of_our_user(t->other))
		return -E_DENIED;
	err = receive_all(t, in, why);
	if (!err)
		LOG_INFO("", "takeover", "sockets=%u", in->count);
	return err;
}

void takeover_serve(struct takeover *t)
{
	const char *why = NULL;
	int none;

	if (!t->path)
		return;
	if (t->from) {
		if (!say(t->other, SAY_READY, -1) || hear(t->other, &none) != 0)
			LOG_WARN("", "takeover", "why=\"the old proxy did not let go\"");
		sock_close(&none);
		sock_close(&t->other);
		t->from = false;
	}
	if (sock_listen_unix(&t->listener, t->path, 0600, &why))
		LOG_ERROR("", "takeover", "path=%s why=\"%s\" note=\"nobody can take over\"",
		          log_esc(str_c(t->path)), why);
}

/* ---- The old one ---- */

void takeover_wait(const struct takeover *t, struct pollfd two[2])
{
	two[0] = (struct pollfd){ .fd = t->listener, .events = POLLIN };
	two[1] = (struct pollfd){ .fd = t->from ? -1 : t->other, .events = POLLIN };
}

static bool hand_over(int to, const struct listen *l)
{
	for (unsigned i = 0; i < l->count; i++) {
		for (unsigned j = 0; j < l->at[i].fds; j++) {
			/* copies of one socket: once is enough */
			if ((j == 0 || !l->at[i].shared) && !say(to, SAY_SOCKET, l->at[i].fd[j]))
				return false;
		}
	}
	return say(to, SAY_ALL, -1);
}

static void come(struct takeover *t, const struct listen *l)
{
	struct sock_addr peer;
	int fd;

	if (sock_accept(t->listener, &fd, &peer))
		return;
	if (t->other < 0 && of_our_user(fd) && hand_over(fd, l)) {
		LOG_INFO("", "takeover", "note=\"a successor has our sockets\"");
		t->other = fd;
		return;
	}
	LOG_WARN("", "takeover", "why=\"another user, or one is taking over already\"");
	sock_close(&fd);
}

bool takeover_look(struct takeover *t, const struct pollfd two[2], const struct listen *l)
{
	int none, word;

	if (two[1].revents) {
		word = hear(t->other, &none);
		sock_close(&none);
		if (word == SAY_READY) {
			sock_close(&t->listener);
			(void)unlink(t->path);
			/* tells it that the path is free */
			sock_close(&t->other);
			return true;
		}
		LOG_WARN("", "takeover", "why=\"the successor has gone\"");
		sock_close(&t->other);
	}
	if (two[0].revents)
		come(t, l);
	return false;
}

void takeover_end(struct takeover *t)
{
	if (t->listener >= 0)
		(void)unlink(t->path);
	sock_close(&t->listener);
	sock_close(&t->other);
}

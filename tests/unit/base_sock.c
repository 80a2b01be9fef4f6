/* Sockets, on loopback and in a folder of the test. */
#include "base/base.h"
#include "tests/kit/kit.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/sock.h"

static const char *why;

static int dial_tcp(uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
		                 .sin_port = htons(port),
		                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	MUST(fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0);
	return fd;
}

static bool is_async_and_private(int fd)
{
	return (fcntl(fd, F_GETFL) & O_NONBLOCK) && (fcntl(fd, F_GETFD) & FD_CLOEXEC);
}

/* ---- TCP ---- */
static void a_client_is_accepted_with_its_address(void)
{
	int listener, client, fd = -1, on = 0;
	socklen_t n = sizeof(on);
	struct sock_addr peer;
	char text[SOCK_TEXT];

	IS(sock_listen_tcp(&listener, "127.0.0.1", 0, false, &why), 0);
	YES(sock_port(listener) > 0);
	YES(is_async_and_private(listener));
	IS(sock_accept(listener, &fd, &peer), -E_AGAIN);
	client = dial_tcp(sock_port(listener));
	IS(sock_accept(listener, &fd, &peer), 0);
	YES(is_async_and_private(fd));
	IS(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, &n), 0);
	YES(on);
	sock_text(&peer, text);
	IS_STR(str_c(text), "127.0.0.1");
	IS(peer.port, sock_port(client));
	NO(peer.local);
	sock_close(&fd);
	IS(fd, -1);
	sock_close(&fd);
	close(client);
	sock_close(&listener);
}

static void a_socket_is_at_its_address_and_at_no_other(void)
{
	const char *path = temp_file("s", NULL);
	int fd;

	IS(sock_listen_tcp(&fd, "127.0.0.1", 0, false, &why), 0);
	YES(sock_is_at(fd, "127.0.0.1", sock_port(fd)));
	YES(sock_is_at(fd, "127.0.0.1", 0));
	NO(sock_is_at(fd, "127.0.0.1", (uint16_t)(sock_port(fd) ^ 1)));
	NO(sock_is_at(fd, "127.0.0.2", 0));
	NO(sock_is_at(fd, "0.0.0.0", 0));
	NO(sock_is_at(fd, "::1", 0));
	NO(sock_is_at(fd, path, 0));
	sock_close(&fd);
	IS(sock_listen_tcp(&fd, "0.0.0.0", 0, false, &why), 0);
	NO(sock_is_at(fd, "127.0.0.1", 0));
	sock_close(&fd);
	IS(sock_listen_unix(&fd, path, 0600, &why), 0);
	YES(sock_is_at(fd, path, 0));
	NO(sock_is_at(fd, "127.0.0.1", 0));
	NO(sock_is_at(fd, "/tmp/another", 0));
	sock_close(&fd);
}

static void the_double_colon_listens_to_both_families(void)
{
	int listener, client, fd;
	struct sock_addr peer;
	char text[SOCK_TEXT];

	if (sock_listen_tcp(&listener, "::", 0, false, &why))
		SKIP(); /* a machine without IPv6 */
	client = dial_tcp(sock_port(listener));
	IS(sock_accept(listener, &fd, &peer), 0);
	sock_text(&peer, text);
	IS_STR(str_c(text), "127.0.0.1"); /* the same peer looks the same through either door */
	sock_close(&fd);
	close(client);
	sock_close(&listener);
}

static void a_port_in_use_names_the_way_out(void)
{
	int first, second = -1;

	IS(sock_listen_tcp(&first, "127.0.0.1", 0, false, &why), 0);
	IS(sock_listen_tcp(&second, "127.0.0.1", sock_port(first), false, &why), -E_BUSY);
	CONTAINS(why, "the port is in use");
	CONTAINS(why, "PORT_OFFSET");
	IS(sock_listen_tcp(&second, "127.0.0.1", sock_port(first), true, &why), -E_BUSY);
	IS(second, -1);
	sock_close(&first);
}

static void workers_share_a_port_that_a_stranger_probes_as_taken(void)
{
	int first, second, probe = -1;

	IS(sock_listen_tcp(&first, "127.0.0.1", 0, true, &why), 0);
	IS(sock_listen_tcp(&second, "127.0.0.1", sock_port(first), true, &why), 0);
	IS(sock_port(second), sock_port(first));
	IS(sock_listen_tcp(&probe, "127.0.0.1", sock_port(first), false, &why), -E_BUSY);
	sock_close(&first);
	sock_close(&second);
}

static void an_address_that_is_none_is_refused(void)
{
	static const char *const bad[] = { "",      "localhost", "1.2.3",    "1.2.3.4:5",
		                           "[::1]", "::g",       "256.0.0.1" };
	int fd = -1;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		IS(sock_listen_tcp(&fd, bad[i], 0, false, &why), -E_INVALID);
	CONTAINS(why, "0.0.0.0");
	IS(sock_listen_tcp(&fd, "192.0.2.1", 0, false, &why), -E_NOTFOUND);
	CONTAINS(why, "no such address");
	IS(fd, -1);
}

/* Runs in a child, which gives its rights away for good. */
static int listen_low_without_rights(void)
{
	int fd = -1, status = 0, child = kit_fork();

	if (child == 0) {
		if (setgid(65534) < 0 || setuid(65534) < 0)
			_exit(77);
		_exit(sock_listen_tcp(&fd, "127.0.0.1", 1, false, &why) == -E_DENIED &&
		              strstr(why, "CAP_NET_BIND_SERVICE")
		          ? 0
		          : 1);
	}
	(void)waitpid(child, &status, 0);
	return WEXITSTATUS(status);
}

static void a_low_port_without_rights_names_the_way_out(void)
{
	char text[16] = "";
	FILE *f = fopen("/proc/sys/net/ipv4/ip_unprivileged_port_start", "r");

	YES(f && fgets(text, sizeof(text), f));
	fclose(f);
	if (geteuid() != 0 || strcmp(text, "1024\n") != 0)
		SKIP();
	IS(listen_low_without_rights(), 0);
}

static void without_descriptors_the_client_waits_and_nobody_spins(void)
{
	int listener, client, fd = -1, highest;
	struct sock_addr peer;
	struct rlimit before, tight;

	IS(sock_listen_tcp(&listener, "127.0.0.1", 0, false, &why), 0);
	client = dial_tcp(sock_port(listener));
	highest = dup(0);
	close(highest);
	IS(getrlimit(RLIMIT_NOFILE, &before), 0);
	tight = before;
	tight.rlim_cur = (rlim_t)highest;
	IS(setrlimit(RLIMIT_NOFILE, &tight), 0);
	IS(sock_accept(listener, &fd, &peer), -E_LIMIT);
	IS(setrlimit(RLIMIT_NOFILE, &before), 0);
	IS(sock_accept(listener, &fd, &peer), 0); /* it is still there */
	sock_close(&fd);
	close(client);
	sock_close(&listener);
}

static void addresses_print_as_people_write_them(void)
{
	struct sock_addr a = { .bytes = { 0x20, 0x01, 0x0d, 0xb8, [15] = 1 } };
	char text[SOCK_TEXT];

	sock_text(&a, text);
	IS_STR(str_c(text), "2001:db8::1");
	a = (struct sock_addr){
		.bytes = { [10] = 0xff, [11] = 0xff, [12] = 192, [13] = 0, [14] = 2, [15] = 7 }
	};
	sock_text(&a, text);
	IS_STR(str_c(text), "192.0.2.7");
	a = (struct sock_addr){ .local = true };
	sock_text(&a, text);
	IS_STR(str_c(text), "local");
}

/* ---- Unix ---- */
static void a_unix_socket_has_its_mode_and_knows_who_dials(void)
{
	const char *path = temp_file("s", NULL);
	mode_t mask = umask(0);
	struct stat st;
	struct sock_addr peer;
	int listener, client, fd;
	uid_t uid = 12345;

	IS(sock_listen_unix(&listener, path, 0660, &why), 0);
	umask(mask);
	IS(lstat(path, &st), 0);
	IS(st.st_mode & 07777, 0660);
	IS(sock_dial_unix(&client, path), 0);
	YES(is_async_and_private(client));
	IS(sock_accept(listener, &fd, &peer), 0);
	YES(peer.local);
	IS(sock_peer_uid(fd, &uid), 0);
	IS(uid, geteuid());
	sock_close(&fd);
	sock_close(&client);
	sock_close(&listener);
}

static void the_mode_holds_whatever_the_umask_says(void)
{
	const char *path = temp_file("s", NULL);
	mode_t mask = umask(0777);
	struct stat st;
	int listener, err;

	err = sock_listen_unix(&listener, path, 0666, &why);
	umask(mask);
	IS(err, 0);
	IS(lstat(path, &st), 0);
	IS(st.st_mode & 07777, 0666);
	sock_close(&listener);
}

static void a_path_somebody_listens_on_is_refused(void)
{
	const char *path = temp_file("s", NULL);
	int first, second = -1, fd;
	struct sock_addr peer;

	IS(sock_listen_unix(&first, path, 0600, &why), 0);
	IS(sock_listen_unix(&second, path, 0600, &why), -E_BUSY);
	CONTAINS(why, "another program listens");
	IS(second, -1);
	IS(sock_accept(first, &fd, &peer), 0); /* the probe; the first one is untouched */
	sock_close(&fd);
	IS(sock_dial_unix(&fd, path), 0);
	sock_close(&fd);
	sock_close(&first);
}

static void a_stale_socket_is_replaced(void)
{
	const char *path = temp_file("s", NULL);
	int fd;

	IS(sock_listen_unix(&fd, path, 0600, &why), 0);
	sock_close(&fd); /* as after a crash: the file stays */
	IS(sock_dial_unix(&fd, path), -E_NOTFOUND);
	IS(sock_listen_unix(&fd, path, 0600, &why), 0);
	sock_close(&fd);
}

static void what_is_no_socket_is_never_removed(void)
{
	const char *file = temp_file("file", "precious"), *link = temp_file("link", NULL),
		   *path = temp_file("s", NULL);
	int fd = -1, live;

	IS(sock_listen_unix(&fd, file, 0600, &why), -E_EXISTS);
	CONTAINS(why, "not a socket");
	IS(access(file, F_OK), 0);
	IS(sock_listen_unix(&live, path, 0600, &why), 0);
	sock_close(&live);
	IS(symlink(path, link), 0); /* a link to a stale socket is not a socket */
	IS(sock_listen_unix(&fd, link, 0600, &why), -E_EXISTS);
	IS(access(path, F_OK), 0);
}

static void a_socket_of_another_user_is_left_alone(void)
{
	const char *path = temp_file("s", NULL);
	int fd;

	if (geteuid() != 0)
		SKIP();
	IS(sock_listen_unix(&fd, path, 0600, &why), 0);
	sock_close(&fd);
	IS(chown(path, 65534, 65534), 0);
	IS(sock_listen_unix(&fd, path, 0600, &why), -E_DENIED);
	CONTAINS(why, "another user");
	IS(access(path, F_OK), 0);
}

static void a_path_that_cannot_be_is_explained(void)
{
	char longest[200];
	int fd = -1;

	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	IS(sock_listen_unix(&fd, longest, 0600, &why), -E_INVALID);
	CONTAINS(why, "107 bytes");
	IS(sock_dial_unix(&fd, longest), -E_INVALID);
	IS(sock_listen_unix(&fd, "", 0600, &why), -E_INVALID);
	IS(sock_listen_unix(&fd, temp_file("no/such/s", NULL), 0600, &why), -E_NOTFOUND);
	CONTAINS(why, "does not exist");
	IS(sock_dial_unix(&fd, temp_file("none", NULL)), -E_NOTFOUND);
	IS(fd, -1);
}

static void only_unix_sockets_tell_who_is_there(void)
{
	int listener, client, fd;
	struct sock_addr peer;
	uid_t uid = 12345;

	IS(sock_listen_tcp(&listener, "127.0.0.1", 0, false, &why), 0);
	client = dial_tcp(sock_port(listener));
	IS(sock_accept(listener, &fd, &peer), 0);
	IS(sock_peer_uid(fd, &uid), -E_INVALID);
	IS(uid, 12345);
	IS(sock_port(0), 0);
	sock_close(&fd);
	close(client);
	sock_close(&listener);
}

RUN(a_client_is_accepted_with_its_address, a_socket_is_at_its_address_and_at_no_other,
    the_double_colon_listens_to_both_families, a_port_in_use_names_the_way_out,
    workers_share_a_port_that_a_stranger_probes_as_taken, an_address_that_is_none_is_refused,
    a_low_port_without_rights_names_the_way_out,
    without_descriptors_the_client_waits_and_nobody_spins, addresses_print_as_people_write_them,
    a_unix_socket_has_its_mode_and_knows_who_dials, the_mode_holds_whatever_the_umask_says,
    a_path_somebody_listens_on_is_refused, a_stale_socket_is_replaced,
    what_is_no_socket_is_never_removed, a_socket_of_another_user_is_left_alone,
    a_path_that_cannot_be_is_explained, only_unix_sockets_tell_who_is_there)

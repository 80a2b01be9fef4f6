/* admin_auth.c - /auth/info for proxies on its Unix socket: what a request may look like, which
 * peers may ask, and that nothing of the public side reaches it. */
#include "base/base.h"
#include "tests/unit/admin_help.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "admin/auth_door.h"
#include "admin/auth_request.h"
#include "base/sock.h"

static struct world w;
static struct auth_door *door;
static char path[CONFIG_SOCKET];

static void start_for(int64_t connections, const char *uids)
{
	char why[300];

	world_open(&w);
	w.config.dir = w.dir;
	(void)snprintf(path, sizeof(path), "%s/run/auth.sock", temp_dir());
	w.config.auth_socket = path;
	w.config.auth_connections_max = connections;
	w.config.header_max = 4096;
	w.config.request_deadline = 1500;
	w.config.trusted_uids = (char *)(uintptr_t)uids;
	IS(auth_door_open(&door, &w.config, w.rest.tokens, why, sizeof(why)), 0);
	IS(auth_door_start(door), 0);
}

static void start(int64_t connections)
{
	start_for(connections, NULL);
}

static void stop(void)
{
	auth_door_stop(&door);
	world_close(&w);
}

static int dial(void)
{
	int fd;

	IS(sock_dial_unix(&fd, path), 0);
	return fd;
}

static char heard[1 << 16];

/* Hears until there are so many answers, the end, or ms of silence; how many there were. */
static int hear(int fd, int answers, int ms)
{
	size_t n = 0;
	int found = 0;

	heard[0] = '\0';
	while (found < answers && n + 1 < sizeof(heard)) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		ssize_t more;

		if (poll(&p, 1, ms) <= 0)
			return found;
		more = recv(fd, heard + n, sizeof(heard) - 1 - n, 0);
		if (more <= 0)
			return found;
		n += (size_t)more;
		heard[n] = '\0';
		found = 0;
		for (const char *at = heard; (at = strstr(at, "HTTP/1.1 ")); at++)
			found++;
	}
	return found;
}

static bool is_closed(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char c;

	return poll(&p, 1, ms) == 1 && recv(fd, &c, 1, MSG_DONTWAIT) == 0;
}

static char text[1 << 16];

static const char *request(const char *key)
{
	(void)snprintf(text, sizeof(text),
	               "GET /auth/info HTTP/1.1\r\nHost: localhost\r\nAuthorization: FlespiToken "
	               "%s\r\nAccept: application/json\r\n\r\n",
	               key);
	return text;
}

static void say(int fd, const char *what)
{
	MUST(send(fd, what, strlen(what), MSG_NOSIGNAL) == (ssize_t)strlen(what));
}

/* ---- Requests ---- */
static void a_request_is_read_with_its_credential(void)
{
	const struct str whole =
	    STR("GET /auth/info HTTP/1.1\r\nHost: x\r\nAUTHORIZATION:  FlespiToken k \r\n"
	        "Content-Length: 0\r\nConnection: close\r\n\r\nGET ");
	struct auth_request r;

	IS(auth_request_read(whole, 0, 4096, &r), PARSE_OK);
	IS(r.size, whole.n - 4);
	IS_STR(r.method, "GET");
	IS_STR(r.target, "/auth/info");
	IS_STR(r.authorization, "FlespiToken k");
	YES(r.close);
}

static void a_request_cut_anywhere_asks_for_more(void)
{
	const struct str whole =
	    STR("GET /auth/info HTTP/1.1\r\nAuthorization: FlespiToken k\r\n\r\n");
	struct auth_request r;

	each_prefix(p, whole) IS(auth_request_read(p.first, 0, 4096, &r), PARSE_MORE);
	IS(auth_request_read(guard_str(whole), 0, 4096, &r), PARSE_OK);
}

static void what_could_be_read_in_two_ways_is_no_request(void)
{
	static const char *const texts[] = {
		"GET /auth/info HTTP/1.0\r\n\r\n",
		"GET /auth/info HTTP/1.1 \r\n\r\n",
		"GET  /auth/info HTTP/1.1\r\n\r\n",
		"GET /auth/info\r\n\r\n",
		"GET HTTP/1.1\r\n\r\n",
		" GET /auth/info HTTP/1.1\r\n\r\n",
		"\r\nGET /auth/info HTTP/1.1\r\n\r\n",
		"G\x01T /auth/info HTTP/1.1\r\n\r\n",
		"GET /auth/info HTTP/1.1\r\nHost\r\n\r\n",
		"GET /auth/info HTTP/1.1\r\nHost : x\r\n\r\n",
		"GET /auth/info HTTP/1.1\r\n: x\r\n\r\n",
		"GET /auth/info HTTP/1.1\r\nA: b\r\n c\r\n\r\n",
		"GET /auth/info HTTP/1.1\r\nA: b\nAuthorization: k\r\n\r\n",
		"GET /auth/info HTTP/1.1\r\nA: b\rc\r\n\r\n",
		"GET /auth/info HTTP/1.1\r\nAuthorization: a\r\nAuthorization: a\r\n\r\n",
		"GET /auth/info HTTP/1.1\r\nContent-Length: 1\r\n\r\n",
		"GET /auth/info HTTP/1.1\r\nContent-Length: 00\r\n\r\n",
		"GET /auth/info HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
		"GET /auth/info HTTP/1.1\r\nUpgrade: h2c\r\n\r\n",
		"GET /auth/info HTTP/1.1\r\nExpect: 100-continue\r\n\r\n",
	};
	struct auth_request r;

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		IS(auth_request_read(guard_str(str_c(texts[i])), 0, 4096, &r), PARSE_BAD);
	IS(auth_request_read(STR("GET /auth/info HTTP/1.1\r\nA: b\0c\r\n\r\n"), 0, 4096, &r),
	   PARSE_BAD);
}

/* ---- The socket ---- */
static void a_proxy_is_told_what_a_token_is_worth_again_and_again_on_one_connection(void)
{
	int fd;

	start(20);
	fd = dial();
	for (int i = 0; i < 3; i++) {
		say(fd, request(w.key[BETA]));
		IS(hear(fd, 1, 2000), 1);
		CONTAINS(heard, "HTTP/1.1 200 OK\r\n");
		CONTAINS(heard, "\"cid\":2");
		CONTAINS(heard, "\"blocked\":false");
		say(fd, request("mbusnobody"));
		IS(hear(fd, 1, 2000), 1);
		CONTAINS(heard, "HTTP/1.1 401 ");
	}
	(void)close(fd);
	stop();
}

static void the_socket_and_its_folder_are_for_the_group_at_most(void)
{
	char folder[CONFIG_SOCKET];
	struct stat st;

	start(20);
	IS(stat(path, &st), 0);
	IS(st.st_mode & 07777, 0660);
	(void)snprintf(folder, sizeof(folder), "%.*s", (int)(strrchr(path, '/') - path), path);
	IS(stat(folder, &st), 0);
	IS(st.st_mode & 07777, 0750);
	stop();
	IS(stat(path, &st), -1); /* nobody is left at the door */
}

static void a_folder_that_everybody_may_write_to_ends_the_start(void)
{
	char why[300];

	start(20);
	auth_door_stop(&door);
	(void)snprintf(text, sizeof(text), "%.*s", (int)(strrchr(path, '/') - path), path);
	MUST(chmod(text, 0777) == 0);
	IS(auth_door_open(&door, &w.config, w.rest.tokens, why, sizeof(why)), -E_INVALID);
	CONTAINS(why, "auth_socket");
	YES(door == NULL);
	world_close(&w);
}

static void what_another_thread_changes_is_seen_at_once(void)
{
	int fd;

	start(20);
	fd = dial();
	say(fd, request(w.key[BETA]));
	IS(hear(fd, 1, 2000), 1);
	CONTAINS(heard, "HTTP/1.1 200 ");
	(void)snprintf(text, sizeof(text), "/platform/tokens/%llu", (unsigned long long)w.id[BETA]);
	IS(ASK(&w, HTTP_PUT, text, w.key[ALPHA], .body = "{\"enabled\":false}"), 200);
	say(fd, request(w.key[BETA]));
	IS(hear(fd, 1, 2000), 1);
	CONTAINS(heard, "HTTP/1.1 403 ");
	CONTAINS(heard, "\"cid\":2");
	(void)close(fd);
	stop();
}

/* The other thread is in the middle of a change, and stays there. */
static void a_writer_never_makes_a_proxy_wait(void)
{
	int64_t begun;
	int fd;

	start(20);
	fd = dial();
	IS(db_begin(w.rest.db), 0);
	IS(tokens_delete(w.rest.tokens, w.id[GAMMA]), 0);
	begun = clock_mono_ms();
	say(fd, request(w.key[GAMMA]));
	IS(hear(fd, 1, 2000), 1);
	CONTAINS(heard, "HTTP/1.1 200 ");
	YES(clock_mono_ms() - begun < 1000);
	IS(db_commit(w.rest.db), 0);
	say(fd, request(w.key[GAMMA]));
	IS(hear(fd, 1, 2000), 1);
	CONTAINS(heard, "HTTP/1.1 401 ");
	(void)close(fd);
	stop();
}

static int64_t accessed_in(struct db *db, uint64_t id)
{
	struct db_q q = db_start(db, "SELECT accessed FROM token WHERE id = ?");
	int64_t at = -1;

	db_int(&q, (int64_t)id);
	if (db_row(&q))
		at = db_get_int(&q, 0);
	IS(db_end(&q), 0);
	return at;
}

static void a_question_of_a_proxy_is_a_use_that_both_threads_see(void)
{
	struct token_row row;
	char wanted[64];
	int fd;

	start(20);
	fd = dial();
	say(fd, request(w.key[BETA]));
	IS(hear(fd, 1, 2000), 1);
	IS(tokens_get(w.rest.tokens, ALPHA, w.id[BETA], &row), 0);
	YES(row.accessed > 0); /* before it is written */
	token_row_free(&row);
	IS(accessed_in(w.rest.db, w.id[BETA]), 0);
	IS(tokens_flush(w.rest.tokens), 0);
	YES(accessed_in(w.rest.db, w.id[BETA]) > 0);
	/* and the other way: what REST used is not over by disuse for the proxy */
	IS(tokens_get(w.rest.tokens, ALPHA, w.id[GAMMA], &row), 0);
	tokens_touch(w.rest.tokens, &row);
	(void)snprintf(wanted, sizeof(wanted), "\"accessed\":%lld", (long long)row.accessed);
	token_row_free(&row);
	say(fd, request(w.key[GAMMA]));
	IS(hear(fd, 1, 2000), 1);
	CONTAINS(heard, wanted);
	(void)close(fd);
	stop();
}

static void many_requests_in_one_segment_are_all_answered_in_order(void)
{
	char many[40 * 200];
	size_t n = 0;
	int fd;

	start(20);
	fd = dial();
	for (int i = 0; i < 15; i++) {
		(void)request(i % 2 ? w.key[ALPHA] : w.key[OMEGA]);
		memcpy(many + n, text, strlen(text) + 1);
		n += strlen(text);
	}
	say(fd, many);
	IS(hear(fd, 15, 2000), 15);
	n = 0;
	for (const char *at = heard; (at = strstr(at, "\"cid\":")); at += 6, n++)
		IS(at[6], n % 2 ? '1' : '4');
	(void)close(fd);
	stop();
}

static void only_one_path_and_method_is_here(void)
{
	static const struct {
		const char *what, *status;
	} cases[] = {
		{ "GET /platform/tokens/all HTTP/1.1\r\n\r\n", "HTTP/1.1 404 " },
		{ "GET /auth/info?fields=id HTTP/1.1\r\n\r\n", "HTTP/1.1 404 " },
		{ "DELETE /auth/info HTTP/1.1\r\n\r\n", "HTTP/1.1 405 " },
		{ "POST /auth/info HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}", "HTTP/1.1 400 " },
		{ "nonsense\r\n\r\n", "HTTP/1.1 400 " },
	};

	start(20);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int fd = dial();

		say(fd, cases[i].what);
		IS(hear(fd, 1, 2000), 1);
		CONTAINS(heard, cases[i].status);
		CONTAINS(heard, "Connection: close");
		YES(is_closed(fd, 2000));
		(void)close(fd);
	}
	stop();
}

static void a_head_without_an_end_is_refused_or_given_up(void)
{
	int big, slow;

	start(20);
	slow = dial();
	say(slow, "GET /auth/info HTTP/1.1\r\nAuthor");
	big = dial();
	memset(text, 'a', 5000);
	text[5000] = '\0';
	say(big, text);
	IS(hear(big, 1, 2000), 1);
	CONTAINS(heard, "HTTP/1.1 400 ");
	YES(is_closed(slow, 6000)); /* request_deadline */
	(void)close(big);
	(void)close(slow);
	stop();
}

static void a_connection_too_many_takes_the_place_of_the_longest_silent(void)
{
	int fds[12];

	start(8);
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		fds[i] = dial();
		say(fds[i], request(w.key[BETA]));
		IS(hear(fds[i], 1, 2000), 1);
		CONTAINS(heard, "HTTP/1.1 200 ");
	}
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		YES(is_closed(fds[i], i < 4 ? 2000 : 0) == (i < 4));
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		(void)close(fds[i]);
	stop();
}

/* How many answers uid 65534 gets. */
static int answers_of_nobody(const char *uids)
{
	int status;
	pid_t child;

	if (geteuid() != 0)
		SKIP(); /* only root can be somebody else */
	start_for(20, uids);
	/* the folder and the mode do not stop this one */
	MUST(chmod(temp_dir(), 0755) == 0 && chmod(path, 0666) == 0);
	(void)snprintf(text, sizeof(text), "%.*s", (int)(strrchr(path, '/') - path), path);
	MUST(chmod(text, 0755) == 0);
	(void)request(w.key[BETA]);
	child = fork();
	MUST(child >= 0);
	if (child == 0) {
		int fd;

		if (setgid(65534) || setuid(65534) || sock_dial_unix(&fd, path))
			_exit(9);
		(void)send(fd, text, strlen(text), MSG_NOSIGNAL);
		_exit(hear(fd, 1, 2000));
	}
	IS(waitpid(child, &status, 0), child);
	stop();
	return WEXITSTATUS(status);
}

static void another_user_is_not_heard(void)
{
	IS(answers_of_nobody(NULL), 0);
}

static void a_user_that_is_not_listed_is_not_heard(void)
{
	IS(answers_of_nobody("65533"), 0);
}

static void a_user_that_is_listed_is_heard(void)
{
	IS(answers_of_nobody("1,65534"), 1);
}

static void where_the_socket_is_follows_from_two_settings(void)
{
	static const struct {
		const char *socket, *core, *wanted;
	} cases[] = {
		{ NULL, "/run/mbus/mqtt.sock", "" },
		{ "", "/run/mbus/mqtt.sock", "" },
		{ "auth.sock", "/run/mbus/mqtt.sock", "/run/mbus/auth.sock" },
		{ "auth.sock", "mqtt.sock", "" },
		{ "auth.sock", NULL, "" },
		{ "/x/y.sock", "/run/mbus/mqtt.sock", "/x/y.sock" },
	};
	char got[CONFIG_SOCKET];
	const char *why;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct admin_config c = { .auth_socket = (char *)(uintptr_t)cases[i].socket,
			                  .core = (char *)(uintptr_t)cases[i].core };

		IS(config_auth_socket(&c, got, &why), 0);
		IS_BYTES(str_c(got), str_c(cases[i].wanted));
	}
}

RUN(a_request_is_read_with_its_credential, a_request_cut_anywhere_asks_for_more,
    what_could_be_read_in_two_ways_is_no_request,
    a_proxy_is_told_what_a_token_is_worth_again_and_again_on_one_connection,
    the_socket_and_its_folder_are_for_the_group_at_most,
    a_folder_that_everybody_may_write_to_ends_the_start,
    what_another_thread_changes_is_seen_at_once, a_writer_never_makes_a_proxy_wait,
    a_question_of_a_proxy_is_a_use_that_both_threads_see,
    many_requests_in_one_segment_are_all_answered_in_order, only_one_path_and_method_is_here,
    a_head_without_an_end_is_refused_or_given_up,
    a_connection_too_many_takes_the_place_of_the_longest_silent, another_user_is_not_heard,
    a_user_that_is_not_listed_is_not_heard, a_user_that_is_listed_is_heard,
    where_the_socket_is_follows_from_two_settings)

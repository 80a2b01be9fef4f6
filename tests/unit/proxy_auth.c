/* proxy_auth.c - asking an endpoint over a real socket: what lets in, what refuses, what is
 * remembered (A11, A13, A20). */
#include "tests/unit/proxy_auth.h"

#include <sys/stat.h>
#include <sys/wait.h>

static void a_good_answer_lets_in(void)
{
	struct token *t;

	defaults();
	begin();
	t = use("k1");
	IS(auth_verdict(t)->info.customer, 7);
	IS(auth_verdict(t)->info.id, 1);
	YES(may(t, "a/x"));
	NO(may(t, "b/x"));
	auth_token_put(&t);
	IS(look("k1"), RC_SUCCESS);
	IS(requests(), 1);
	end();
}

static void the_request_carries_the_key_and_nothing_to_be_unpacked(void)
{
	char seen[REQUEST_MAX];

	defaults();
	begin();
	IS(ask("k1"), RC_SUCCESS);
	pthread_mutex_lock(&ep->lock);
	memcpy(seen, ep->last, sizeof(seen));
	pthread_mutex_unlock(&ep->lock);
	CONTAINS(seen, "GET /auth/info HTTP/1.1\r\n");
	CONTAINS(seen, "\r\nAuthorization: FlespiToken k1\r\n");
	NO(strstr(seen, "Accept-Encoding"));
	end();
}

static void the_short_form_is_asked_as_id_and_characters(void)
{
	const struct credential c = { .key = STR("0123456789abcdef"), .short_id = 12 };
	struct token *t;

	defaults();
	begin();
	IS(ask_as(c, &home, &t), RC_SUCCESS);
	IS(auth_verdict(t)->info.id, 12);
	pthread_mutex_lock(&ep->lock);
	CONTAINS(ep->last, "\r\nAuthorization: FlespiToken 12:0123456789abcdef\r\n");
	pthread_mutex_unlock(&ep->lock);
	auth_token_put(&t);
	end();
}

static void token_99(struct endpoint *e, int fd, const char *key)
{
	(void)key;
	good(e, fd, "k99");
}

static void the_short_form_of_one_token_never_opens_another(void)
{
	const struct credential c = { .key = STR("0123456789abcdef"), .short_id = 12 };
	struct token *t;

	defaults();
	begin();
	atomic_store(&ep->reply, token_99);
	IS(ask_as(c, &home, &t), RC_SERVER_UNAVAILABLE);
	end();
}

static void credentials_that_read_alike_are_not_the_same(void) /* A11 */
{
	const struct credential a = { .key = STR("0123456789abcdef"), .short_id = 1 };
	const struct credential b = { .key = STR("0123456789abcdef"), .short_id = 0x3130 };
	struct credential forms[] = {
		a,
		b,
		whole("1:0123456789abcdef"),
		whole("0123456789abcdef"),
		{ .key = STR("cdef"), .cert = STR("0123456789ab") },
		{ .key = STR("bcdef"), .cert = STR("0123456789a") },
		{ .key = STR("0123456789abcdef"), .cert = STR("a") },
		{ .key = STR("0123456789abcdef"), .cert = STR("b") },
		{ .key = STR("0123456789abcdef"), .cert = STR("a"), .short_id = 1 },
		{ .key = STR("a0123456789abcdef") },
	};
	uint8_t digest[ARRAY_LEN(forms)][CRYPT_HASH];

	defaults();
	begin();
	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		auth_table_digest(&au->table, &forms[i], digest[i]);
		for (size_t k = 0; k < i; k++)
			NO(memcmp(digest[i], digest[k], CRYPT_HASH) == 0);
	}
	end();
}

static void an_unauthorized_key_is_refused_and_remembered(void)
{
	defaults();
	begin();
	atomic_store(&ep->reply, says_401);
	IS(ask("k1"), RC_BAD_USER_NAME_OR_PASSWORD);
	IS(look("k1"), RC_BAD_USER_NAME_OR_PASSWORD);
	IS(ask("k1"), RC_BAD_USER_NAME_OR_PASSWORD);
	IS(requests(), 1);
	end();
}

static void a_forbidden_key_is_not_authorized(void)
{
	defaults();
	begin();
	atomic_store(&ep->reply, says_403);
	IS(ask("k1"), RC_NOT_AUTHORIZED);
	end();
}

static void a_refusal_is_forgotten_in_time(void)
{
	defaults();
	config.auth_no = 200;
	begin();
	atomic_store(&ep->reply, says_401);
	IS(ask("k1"), RC_BAD_USER_NAME_OR_PASSWORD);
	atomic_store(&ep->reply, good);
	UNTIL(look("k1") == -1, 1000);
	IS(ask("k1"), RC_SUCCESS);
	IS(look("k1"), RC_SUCCESS);
	end();
}

static void refuses(const char *extra, int64_t expire)
{
	defaults();
	begin();
	atomic_store(&ep->extra, extra);
	atomic_store(&ep->expire, expire);
	IS(ask("k1"), RC_NOT_AUTHORIZED);
	IS(look("k1"), RC_NOT_AUTHORIZED);
	end();
}

static void says_disabled(struct endpoint *e, int fd, const char *key)
{
	(void)key;
	endpoint_say(e, fd, OK_JSON,
	             "{\"result\":[{\"id\":1,\"cid\":7,\"enabled\":false," ACCESS("#") "}]}");
}

static void a_disabled_token_an_ended_one_and_a_blocked_customer_are_refused(void)
{
	defaults();
	begin();
	atomic_store(&ep->reply, says_disabled);
	IS(ask("k1"), RC_NOT_AUTHORIZED);
	end();
	refuses("", 1000000000);
	refuses(",\"blocked\":true", 0);
}

static void a_string_that_is_no_key_costs_no_request(void) /* A20 */
{
	char key[TOKEN_KEY + 1] = "";
	uint8_t random[TOKEN_RANDOM] = { 1 };

	defaults();
	config.auth_key_form = 0;
	begin();
	token_make(key, random);
	IS(look("k1"), RC_BAD_USER_NAME_OR_PASSWORD);
	IS(ask("k1"), RC_BAD_USER_NAME_OR_PASSWORD);
	IS(look(key), -1);
	key[20] ^= 1;
	IS(look(key), RC_BAD_USER_NAME_OR_PASSWORD);
	IS(ask(key), RC_BAD_USER_NAME_OR_PASSWORD);
	IS(requests(), 0);
	IS(counted(&auth_counters(au)->refused_form), 4);
	end();
}

/* ---- What is remembered ---- */
static void a_hit_does_not_prolong_a_yes(void) /* A13 */
{
	int64_t start;

	defaults();
	config.auth_cache = 500;
	begin();
	IS(ask("k1"), RC_SUCCESS);
	start = clock_mono_ms();
	UNTIL(look("k1") == -1, 2000);
	YES(clock_mono_ms() - start <= 800);
	IS(requests(), 1);
	end();
}

static void what_nobody_uses_is_forgotten(void)
{
	defaults();
	config.auth_cache = 200;
	begin();
	for (unsigned i = 1; i <= 20; i++)
		IS(ask(key_no(i)), RC_SUCCESS);
	turn_for(2600);
	IS(requests(), 20); /* not refreshed either */
	loop_stop(au->loop);
	thread_join(&au->thread); /* so that this thread may look into the table */
	IS(au->table.count, 0);
	IS(au->table.all.count, 0);
	end();
}

static void a_full_table_gives_up_the_oldest_that_is_not_in_use(void)
{
	struct token *used;

	defaults();
	config.auth_known_max = 4;
	begin();
	used = use("k1");
	for (unsigned i = 2; i <= 5; i++)
		IS(ask(key_no(i)), RC_SUCCESS);
	IS(look("k1"), RC_SUCCESS); /* the oldest, but in use */
	IS(look("k2"), -1);
	IS(look("k3"), RC_SUCCESS);
	IS(look("k5"), RC_SUCCESS);
	auth_token_put(&used);
	end();
}

static void a_table_full_of_tokens_in_use_takes_nobody_new(void)
{
	struct token *t[4];

	defaults();
	config.auth_known_max = 4;
	begin();
	for (unsigned i = 0; i < 4; i++)
		t[i] = use(key_no(i + 1));
	IS(ask("k9"), RC_SERVER_BUSY);
	auth_token_put(&t[2]);
	IS(ask("k9"), RC_SUCCESS);
	auth_token_put(&t[0]);
	auth_token_put(&t[1]);
	auth_token_put(&t[3]);
	end();
}

static void a_flood_of_wrong_keys_pushes_out_only_its_own(void) /* A20 */
{
	struct sock_addr flooder = home;
	struct token *none;
	unsigned remembered = 0;

	defaults();
	config.auth_no_max = 160; /* ten for each source */
	config.auth_no = 60000;
	begin();
	IS(ask("k1"), RC_SUCCESS);
	atomic_store(&ep->reply, says_401);
	IS(ask("k2"), RC_BAD_USER_NAME_OR_PASSWORD);
	flooder.bytes[15] = 2;
	for (unsigned i = 100; i < 400; i++) {
		struct credential c = whole(key_no(i));

		IS(ask_as(c, &flooder, &none), RC_BAD_USER_NAME_OR_PASSWORD);
	}
	IS(look("k1"), RC_SUCCESS);
	IS(look("k2"), RC_BAD_USER_NAME_OR_PASSWORD);
	for (unsigned i = 100; i < 400; i++)
		remembered += look(key_no(i)) != -1;
	IS(remembered, 10);
	end();
}

/* ---- Where the endpoint may be ---- */
static int starts_with(const char *where, const char **why)
{
	struct auth *a = NULL;
	int err;

	(void)snprintf(url, sizeof(url), "%s", where);
	err = auth_start(&a, &config, why);
	auth_stop(&a);
	return err;
}

static void plain_http_goes_nowhere_unless_that_is_asked_for(void)
{
	static const char *const plain[] = {
		"http://127.0.0.1:1/auth/info", "http://localhost:1/auth/info",
		"http://[::1]:1/auth/info",     "http://192.0.2.1/auth/info",
		"HTTP://127.0.0.1:1/auth/info", "http://localhost.example.com/",
	};
	const char *why = "";

	defaults();
	config.auth_insecure = false;
	IS(starts_with("https://example.com/auth/info", &why), 0);
	IS(starts_with("unix:/tmp/auth.sock", &why), 0);
	for (size_t i = 0; i < ARRAY_LEN(plain); i++) {
		config.auth_insecure = false;
		IS(starts_with(plain[i], &why), -E_INVALID);
		CONTAINS(why, "auth_insecure = on");
		CONTAINS(why, "unix:/path");
		config.auth_insecure = true;
		IS(starts_with(plain[i], &why), 0);
	}
}

static void an_endpoint_that_cannot_be_is_told_at_the_start(void)
{
	const char *why = "";

	defaults();
	IS(starts_with("", &why), -E_INVALID);
	IS(starts_with("127.0.0.1", &why), -E_INVALID);
	IS(starts_with("ftp://127.0.0.1/", &why), -E_INVALID);
	IS(starts_with("file:///etc/passwd", &why), -E_INVALID);
	IS(starts_with("http://user:word@127.0.0.1/", &why), -E_INVALID);
	CONTAINS(why, "user name");
	IS(starts_with("unix:", &why), -E_INVALID);
	IS(starts_with("unix:relative/path", &why), -E_INVALID);
	IS(starts_with("unix:nowhere", &why), -E_INVALID); /* without core_dir */
	config.auth_ca = (char *)(uintptr_t) "/nonexistent/ca.pem";
	IS(starts_with("https://127.0.0.1/", &why), -E_INVALID);
	CONTAINS(why, "auth_ca");
}

static const char *socket_path; /* of the endpoint, in a folder of the test */

static void begin_unix(const char *word)
{
	socket_path = temp_file("auth.sock", NULL);
	ep = endpoint_start(0, socket_path);
	(void)snprintf(url, sizeof(url), "unix:%s", word ? word : socket_path);
	start_auth(true);
}

static void a_unix_socket_is_an_endpoint_too(void)
{
	defaults();
	config.auth_insecure = false;
	begin_unix(NULL);
	IS(ask("k1"), RC_SUCCESS);
	IS(ask("k2"), RC_SUCCESS); /* over the connection that was looked at before */
	end();
}

static void a_socket_without_a_slash_is_beside_the_cores(void)
{
	defaults();
	config.core_dir = (char *)(uintptr_t)temp_dir();
	begin_unix("auth.sock");
	IS(ask("k1"), RC_SUCCESS);
	end();
}

/* SO_PEERCRED tells who called listen(): a child that is nobody. */
static int listen_as_nobody(const char *path, pid_t *child)
{
	int ready[2];
	char c;

	MUST(pipe(ready) == 0);
	*child = fork();
	MUST(*child >= 0);
	if (*child == 0) {
		int fd;

		if (setgid(65534) || setuid(65534))
			_exit(1);
		fd = endpoint_listen(0, path);
		(void)!write(ready[1], "x", 1);
		for (;;) {
			char bytes[100];
			int conn = accept(fd, NULL, NULL);

			/* what it was sent would be seen as an exit code */
			if (conn >= 0 && recv(conn, bytes, sizeof(bytes), 0) > 0)
				_exit(2);
			(void)close(conn);
		}
	}
	(void)close(ready[1]);
	MUST(read(ready[0], &c, 1) == 1);
	return ready[0];
}

static void a_key_is_never_sent_to_a_socket_of_a_stranger(void)
{
	char path[120], folder[100];
	pid_t child;
	int pipe_end, status;

	if (geteuid() != 0)
		SKIP(); /* only root can be somebody else */
	defaults();
	(void)snprintf(folder, sizeof(folder), "%s/open", temp_dir());
	MUST(chmod(temp_dir(), 0755) == 0 && mkdir(folder, 0755) == 0 && chmod(folder, 01777) == 0);
	(void)snprintf(path, sizeof(path), "%s/auth.sock", folder);
	pipe_end = listen_as_nobody(path, &child);
	(void)snprintf(url, sizeof(url), "unix:%s", path);
	log_start("test", LOG_ERROR + 1);
	start_auth(true);
	IS(ask("k1"), RC_SERVER_UNAVAILABLE);
	IS(look("k1"), -1);
	/* nobody's own folder: the operator said that this user is the authority */
	MUST(chown(folder, 65534, 65534) == 0 && chmod(folder, 0755) == 0);
	IS(waitpid(child, &status, WNOHANG), 0); /* it has heard nothing */
	turn_for(400); /* the key rests after an answer that said nothing */
	(void)ask("k2");
	IS(waitpid(child, &status, 0), child);
	IS(WEXITSTATUS(status), 2);
	(void)close(pipe_end);
	end();
}

RUN(a_good_answer_lets_in, the_request_carries_the_key_and_nothing_to_be_unpacked,
    the_short_form_is_asked_as_id_and_characters, the_short_form_of_one_token_never_opens_another,
    credentials_that_read_alike_are_not_the_same, an_unauthorized_key_is_refused_and_remembered,
    a_forbidden_key_is_not_authorized, a_refusal_is_forgotten_in_time,
    a_disabled_token_an_ended_one_and_a_blocked_customer_are_refused,
    a_string_that_is_no_key_costs_no_request, a_hit_does_not_prolong_a_yes,
    what_nobody_uses_is_forgotten, a_full_table_gives_up_the_oldest_that_is_not_in_use,
    a_table_full_of_tokens_in_use_takes_nobody_new, a_flood_of_wrong_keys_pushes_out_only_its_own,
    plain_http_goes_nowhere_unless_that_is_asked_for,
    an_endpoint_that_cannot_be_is_told_at_the_start, a_unix_socket_is_an_endpoint_too,
    a_socket_without_a_slash_is_beside_the_cores, a_key_is_never_sent_to_a_socket_of_a_stranger)

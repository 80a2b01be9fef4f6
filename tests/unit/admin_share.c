/* admin_share.c - the REST server: whose request is handled next, on real sockets. */
#include "base/base.h"
#include "tests/unit/admin_server.h"

enum { MANY = 16, WORK_MS = 3, ORDER = 64 };

/* Which requests were handled, by their first argument, in order. */
static char order[ORDER];
static _Atomic unsigned handled;

static bool takes(void *arg, const struct http_req *req, struct http_resp *resp)
{
	(void)arg;
	(void)req;
	(void)resp;
	return true;
}

/* /block holds the thread until all others have come. The authorization is the customer. */
static void work(void *arg, const struct http_req *req, struct http_resp *resp)
{
	unsigned n = atomic_load(&handled);

	(void)arg;
	(void)usleep(1000 * (str_eq(req->path, STR("/block")) ? 300 : WORK_MS));
	MUST(n < ORDER);
	order[n] = req->path.p[1];
	atomic_store(&handled, n + 1);
	resp->status = 200;
	resp->cid = req->authorization.n ? (uint64_t)req->authorization.p[0] : 0;
	buf_str_add(&resp->body, STR("{}"));
}

static void open_server(void)
{
	const struct http_config config = { .host = "127.0.0.1",
		                            .connections_max = 40,
		                            .header_max = 8192,
		                            .body_max = 4096,
		                            .request_deadline_ms = 5000,
		                            .idle_deadline_ms = 5000,
		                            .stream_buffer = 65536 };
	const struct http_handler handler = { takes, work, NULL, NULL, NULL };
	char why[300];

	atomic_store(&handled, 0);
	memset(order, 0, sizeof(order));
	IS(http_open(&http, &config, &handler, why, sizeof(why)), 0);
	MUST(pthread_create(&thread, NULL, serve, NULL) == 0);
}

static void close_server(void)
{
	http_stop(http);
	MUST(pthread_join(thread, NULL) == 0);
	http_close(&http);
}

static void ask_for(int fd, const char *path, const char *customer)
{
	char text[200];
	int n =
	    snprintf(text, sizeof(text), "GET /%s HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\n\r\n",
	             path, customer);

	MUST(send(fd, text, (size_t)n, MSG_NOSIGNAL) == n);
}

static void await(unsigned count)
{
	for (int i = 0; i < 500 && atomic_load(&handled) < count; i++)
		(void)usleep(10000);
	IS(atomic_load(&handled), count);
}

/* How many were handled before the first of this path. */
static unsigned before(char path)
{
	unsigned n = 0;

	while (n < ORDER && order[n] != path)
		n++;
	return n;
}

static void an_address_waits_behind_others_for_its_second_request(void)
{
	int block, many[MANY], one;

	open_server();
	block = dial_from("127.0.0.9");
	one = dial_from("127.0.0.2");
	for (int i = 0; i < MANY; i++)
		many[i] = dial_from("127.0.0.3");
	ask_for(block, "block", "");
	(void)usleep(50000);
	for (int i = 0; i < MANY; i++)
		ask_for(many[i], "many", "");
	/* it comes last, and its socket is looked at last */
	(void)close(one);
	one = dial_from("127.0.0.2");
	ask_for(one, "one", "");
	await(1 + MANY + 1);
	YES(before('o') <= 3);
	for (int i = 0; i < MANY; i++)
		(void)close(many[i]);
	(void)close(one);
	(void)close(block);
	close_server();
}

static void customers_behind_one_address_take_turns_once_their_tokens_are_known(void)
{
	int block, many[MANY], one;

	open_server();
	block = dial_from("127.0.0.9");
	for (int i = 0; i < MANY; i++)
		many[i] = dial_from("127.0.0.3");
	one = dial_from("127.0.0.3");
	ask_for(one, "x", "B");
	ask_for(many[0], "x", "A");
	await(2);
	ask_for(block, "block", "");
	(void)usleep(50000);
	heard[0] = '\0';
	YES(hear(one, heard, sizeof(heard), "{}", 1000));
	heard[0] = '\0';
	YES(hear(many[0], heard, sizeof(heard), "{}", 1000));
	for (int i = 0; i < MANY; i++)
		ask_for(many[i], "many", "A");
	ask_for(one, "one", "B");
	await(2 + 1 + MANY + 1);
	YES(before('o') <= 2 + 3);
	for (int i = 0; i < MANY; i++)
		(void)close(many[i]);
	(void)close(one);
	(void)close(block);
	close_server();
}

static void who_leaves_while_it_waits_is_not_handled_and_the_rest_is(void)
{
	int block, many[MANY];

	open_server();
	block = dial_from("127.0.0.9");
	for (int i = 0; i < MANY; i++)
		many[i] = dial_from("127.0.0.3");
	for (int i = 0; i < MANY; i++) {
		ask_for(many[i], "many", "");
		/* the next head while this one waits: the connection ends, or both are answered */
		if (i % 2)
			ask_for(many[i], "many", "");
	}
	ask_for(block, "block", "");
	for (int i = 0; i < MANY; i += 4)
		(void)close(many[i]);
	for (int i = 0; i < MANY; i++) {
		if (i % 4 == 0)
			continue;
		heard[0] = '\0';
		if (i % 2 == 0)
			YES(hear(many[i], heard, sizeof(heard), "{}", 2000));
		(void)close(many[i]);
	}
	heard[0] = '\0';
	YES(hear(block, heard, sizeof(heard), "{}", 2000));
	(void)close(block);
	close_server();
}

/* An address whose only waiting request leaves is still in the list of turns, and came into it a
 * second time with the next request: the list then led to itself, and to memory that was given
 * back. */
static void who_leaves_as_the_last_of_its_address_harms_no_list(void)
{
	static const char two[] = "POST /leaver HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
				  "GET /leaver HTTP/1.1\r\nHost: x\r\n\r\n";
	int first, second, leaver, next, other;

	open_server();
	first = dial_from("127.0.0.9");
	second = dial_from("127.0.0.8");
	leaver = dial_from("127.0.0.3");
	next = dial_from("127.0.0.3");
	other = dial_from("127.0.0.4");
	ask_for(first, "block", "");
	(void)usleep(50000);
	/* both are found after the first; while the second holds the thread, the leaver waits. Its
	 * GET ends the connection then. */
	ask_for(second, "block", "");
	MUST(send(leaver, two, sizeof(two) - 1, MSG_NOSIGNAL) == (ssize_t)sizeof(two) - 1);
	await(1);
	(void)usleep(100000);
	ask_for(next, "next", "");
	ask_for(other, "other", "");
	heard[0] = '\0';
	YES(hear(next, heard, sizeof(heard), "{}", 5000));
	heard[0] = '\0';
	YES(hear(other, heard, sizeof(heard), "{}", 5000));
	IS(before('l'), ORDER);
	(void)close(first);
	(void)close(second);
	(void)close(leaver);
	(void)close(next);
	(void)close(other);
	close_server();
}

RUN(an_address_waits_behind_others_for_its_second_request,
    customers_behind_one_address_take_turns_once_their_tokens_are_known,
    who_leaves_while_it_waits_is_not_handled_and_the_rest_is,
    who_leaves_as_the_last_of_its_address_harms_no_list)

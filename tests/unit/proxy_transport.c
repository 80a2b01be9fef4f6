/* proxy_transport.c - the layers between socket and MQTT on a socket pair: TLS against OpenSSL's
 * client, WebSocket against bytes. W02, W04 and W20 are rows of the attack table. */
#include "base/base.h"
#include "tests/kit/kit.h"

#include <fcntl.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/certs.h"
#include "proxy/config.h"
#include "proxy/conn.h"
#include "proxy/listen.h"
#include "proxy/transport_tls.h"
#include "proxy/worker.h"
#include "wire/ws.h"

/* ---- A worker without thread, and a connection without client ---- */

static struct proxy_config config;
static struct listener listener;
static struct crew crew;
static struct worker worker;
static struct door door;
static struct conn conn;
static struct transport *t = &conn.transport;
static int ours, theirs;
static uint8_t *room;
static SSL_CTX *trusting;
static SSL *peer;
static struct buf out, heard;

static void take_certificates(void)
{
	char command[600], why[TLS_WHY];
	struct tls_context *x = NULL;
	struct tls_files *f = NULL;

	config.tls_cert = (char *)(uintptr_t)temp_file("cert.pem", NULL);
	config.tls_key = strdup(temp_file("key.pem", NULL));
	config.tls_cert = strdup(temp_file("cert.pem", NULL));
	(void)snprintf(
	    command, sizeof(command),
	    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 "
	    "-subj /CN=test -keyout %s -out %s 2>/dev/null",
	    config.tls_key, config.tls_cert);
	MUST(system(command) == 0);
	IS(tls_files_read(&f, &config, why), 0);
	IS(tls_context_new(&x, f, tls_side_ring(worker.tls), why), 0);
	tls_side_take(worker.tls, 0, x);
	tls_files_put(&f);
}

static void pair_up(int size)
{
	int fd[2];

	MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd) == 0);
	ours = fd[0];
	theirs = fd[1];
	if (size)
		MUST(setsockopt(ours, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)) == 0);
}

/* A handshake is charged to the share of its connection. */
static void share_in(struct conn *c)
{
	list_init(&c->share_node);
	list_init(&c->unread);
	list_init(&c->regrant);
	list_init(&c->due);
	list_init(&c->todo);
	share_begin(c);
}

static void begin(unsigned kind, int send_buffer)
{
	struct tls_seed seed;
	const char *what, *why;

	config = (struct proxy_config){ .ws_origins = (char[]){ "*" } };
	listener = (struct listener){ .name = "", .config = &config };
	IS(front_read(&listener.front, &config, &what, &why), 0);
	crew = (struct crew){ .config = &config };
	worker = (struct worker){ .crew = &crew, .config = &config };
	shares_init(&worker);
	IS(loop_open(&worker.loop), 0);
	IS(tls_seed_make(&seed), 0);
	IS(tls_side_new(&worker.tls, worker.loop, &seed), 0);
	if (door_kinds[kind].tls)
		take_certificates();
	door = (struct door){
		.worker = &worker, .kind = &door_kinds[kind], .listener = &listener, .fd = -1
	};
	conn = (struct conn){ .worker = &worker, .door = &door, .state = CONN_GREETING };
	share_in(&conn);
	room = mem_alloc(TRANSPORT_ROOM);
	pair_up(send_buffer);
	t->ops = door.kind->transport;
	IS(t->ops->open(t, &conn), 0);
}

static void finish(void)
{
	t->ops->end(t);
	share_leave(&conn);
	shares_free(&worker);
	SSL_free(peer);
	SSL_CTX_free(trusting);
	peer = NULL;
	trusting = NULL;
	close(ours);
	close(theirs);
	tls_side_free(&worker.tls);
	loop_close(&worker.loop);
	mem_free(room);
	buf_free(&out);
	buf_free(&heard);
	free(config.tls_cert);
	free(config.tls_key);
}

/* As conn_io does it: one read, then one write if there is something. */
static int turn(struct str *plain)
{
	int err = t->ops->read(t, ours, room, plain);

	if (err != -E_AGAIN && (t->held || buf_len(&out)))
		(void)t->ops->write(t, ours, &out);
	loop_turn(worker.loop, 0);
	return err;
}

static void meet(int version)
{
	struct str plain;
	int done = 0;

	trusting = SSL_CTX_new(TLS_client_method());
	(void)SSL_CTX_set_max_proto_version(trusting, version);
	peer = SSL_new(trusting);
	IS(SSL_set_fd(peer, theirs), 1);
	for (int i = 0; i < 20 && !(done == 1 && t->settled); i++) {
		done = SSL_connect(peer);
		(void)turn(&plain);
	}
	IS(done, 1);
	YES(t->settled);
}

static void hear(void) /* what the client can read now */
{
	uint8_t bytes[4096];
	int n;

	while ((n = SSL_read(peer, bytes, sizeof(bytes))) > 0)
		buf_bytes(&heard, bytes, (size_t)n);
}

/* ---- TLS ---- */

static void bytes_pass_both_ways(int version)
{
	struct str plain = STR_NONE;

	begin(1, 0);
	meet(version);
	IS(SSL_write(peer, "hello", 5), 5);
	IS(turn(&plain), 0);
	IS_STR(plain, "hello");
	buf_str_add(&out, STR("good day"));
	IS(t->ops->write(t, ours, &out), 0);
	IS(t->held, 0);
	hear();
	IS_STR(buf_str(&heard), "good day");
	IS(turn(&plain), -E_AGAIN);
	finish();
}

static void tls_1_2_carries_bytes_both_ways(void)
{
	bytes_pass_both_ways(TLS1_2_VERSION);
}

static void tls_1_3_carries_bytes_both_ways(void)
{
	bytes_pass_both_ways(TLS1_3_VERSION);
}

static void several_records_of_one_recv_are_one_read(void)
{
	struct str plain = STR_NONE;

	begin(1, 0);
	meet(TLS1_3_VERSION);
	for (int i = 0; i < 10; i++)
		IS(SSL_write(peer, "abc", 3), 3);
	IS(turn(&plain), 0);
	IS(plain.n, 30);
	finish();
}

static void a_record_in_pieces_is_kept_until_it_is_whole(void)
{
	struct str plain = STR_NONE;
	uint8_t record[64];
	ssize_t n;

	begin(1, 0);
	meet(TLS1_3_VERSION);
	IS(SSL_write(peer, "abc", 3), 3);
	n = recv(ours, record, sizeof(record), 0); /* taken off, and given back byte by byte */
	for (ssize_t i = 0; i < n; i++) {
		IS(send(theirs, record + i, 1, 0), 1);
		IS(turn(&plain), 0);
		IS(plain.n, i == n - 1 ? 3 : 0);
	}
	finish();
}

static void a_full_socket_keeps_a_bounded_part_and_loses_nothing(void)
{
	const size_t most = 600 << 10;
	int err = -E_AGAIN;

	begin(1, 8192);
	meet(TLS1_3_VERSION);
	for (size_t i = 0; i < most; i++)
		buf_u8(&out, (uint8_t)(i * 7 >> 3));
	for (int i = 0; err == -E_AGAIN; i++) {
		err = t->ops->write(t, ours, &out);
		YES(t->held <= TRANSPORT_READ);
		YES((err == -E_AGAIN) == (t->held > 0));
		hear();
		MUST(i < 1000);
	}
	IS(err, 0);
	hear();
	IS(buf_len(&heard), most);
	for (size_t i = 0; i < most; i++)
		MUST(buf_data(&heard)[i] == (uint8_t)(i * 7 >> 3));
	finish();
}

static void what_stands_before_the_end_is_handed_over_first(void)
{
	struct str plain = STR_NONE;

	begin(1, 0);
	meet(TLS1_3_VERSION);
	IS(SSL_write(peer, "last", 4), 4);
	(void)SSL_shutdown(peer);
	IS(turn(&plain), 0);
	IS_STR(plain, "last");
	IS(t->over, -E_CLOSED);
	finish();
}

static void a_damaged_record_ends_with_an_alert(void)
{
	struct str plain = STR_NONE;
	uint8_t record[64];
	ssize_t n;

	begin(1, 0);
	meet(TLS1_3_VERSION);
	IS(SSL_write(peer, "abc", 3), 3);
	n = recv(ours, record, sizeof(record), 0);
	record[n - 1] ^= 1;
	IS(send(theirs, record, (size_t)n, 0), n);
	buf_str_add(&out, STR("nobody hears this"));
	IS(turn(&plain), -E_INVALID);
	IS(plain.n, 0);
	IS(buf_len(&out), 0);
	hear();
	IS(SSL_get_error(peer, SSL_read(peer, record, 1)), SSL_ERROR_SSL);
	finish();
}

static void our_end_is_told_after_the_last_byte(void)
{
	begin(1, 0);
	meet(TLS1_3_VERSION);
	buf_str_add(&out, STR("bye"));
	t->ending = true;
	IS(t->ops->write(t, ours, &out), 0);
	hear();
	IS_STR(buf_str(&heard), "bye");
	IS(SSL_get_shutdown(peer) & SSL_RECEIVED_SHUTDOWN, SSL_RECEIVED_SHUTDOWN);
	finish();
}

static int change_keys(int times)
{
	struct str plain;
	int err = 0;

	for (int i = 0; i < times && (!err || err == -E_AGAIN); i++) {
		IS(SSL_key_update(peer, SSL_KEY_UPDATE_REQUESTED), 1);
		(void)SSL_do_handshake(peer);
		err = turn(&plain);
		hear();
	}
	return err;
}

static void W02_some_changes_of_keys_are_fine_and_a_flood_is_not(void)
{
	struct str plain = STR_NONE;

	begin(1, 0);
	meet(TLS1_3_VERSION);
	IS(change_keys(32), 0);
	IS(SSL_write(peer, "ok", 2), 2);
	IS(turn(&plain), 0);
	IS_STR(plain, "ok");
	IS(change_keys(1), -E_INVALID);
	finish();
}

static void W04_a_turn_does_a_bounded_amount_of_handshakes(void)
{
	enum { MANY = 200 };
	static struct conn many[MANY];
	struct str plain;
	int fd[MANY][2];

	begin(1, 0);
	meet(TLS1_3_VERSION);
	for (int i = 0; i < MANY; i++) {
		SSL *s = SSL_new(trusting);

		MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd[i]) == 0);
		IS(SSL_set_fd(s, fd[i][1]), 1);
		(void)SSL_connect(s);
		SSL_free(s);
		many[i] = (struct conn){ .worker = &worker, .door = &door };
		share_in(&many[i]);
		many[i].transport.ops = &transport_tls;
		IS(transport_tls.open(&many[i].transport, &many[i]), 0);
		(void)transport_tls.read(&many[i].transport, fd[i][0], room, &plain);
	}
	YES(worker.n.handshakes_postponed > 0);
	YES(worker.n.handshakes_postponed < MANY);
	/* who is connected is read all the same */
	IS(SSL_write(peer, "x", 1), 1);
	IS(t->ops->read(t, ours, room, &plain), 0);
	IS(plain.n, 1);
	for (int i = 0; i < MANY; i++) {
		transport_tls.end(&many[i].transport);
		share_leave(&many[i]);
		close(fd[i][0]);
		close(fd[i][1]);
	}
	finish();
}

static void without_memory_a_connection_is_refused_and_nothing_leaks(void)
{
	each_alloc_failure(n)
	{
		struct tls_side *side = NULL;
		struct tls_seed seed = { .since = 0 };
		struct loop *loop = NULL;

		if (loop_open(&loop) == 0) {
			if (tls_side_new(&side, loop, &seed) == 0)
				tls_side_free(&side);
			IS(side == NULL, true);
		}
		loop_close(&loop);
	}
}

/* ---- WebSocket ---- */

#define REQUEST \
	"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" \
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n" \
	"Sec-WebSocket-Protocol: mqtt\r\n\r\n"

static void tell(struct str bytes)
{
	IS(send(theirs, bytes.p, bytes.n, MSG_NOSIGNAL), bytes.n);
}

static void hear_raw(void)
{
	uint8_t bytes[4096];
	ssize_t n;

	while ((n = recv(theirs, bytes, sizeof(bytes), 0)) > 0)
		buf_bytes(&heard, bytes, (size_t)n);
}

static void upgrade(void)
{
	struct str plain;

	tell(STR(REQUEST));
	IS(turn(&plain), 0);
	YES(t->settled);
	hear_raw();
	YES(str_starts(buf_str(&heard), STR("HTTP/1.1 101 ")));
	buf_reset(&heard);
}

static void ping(const char *text)
{
	struct buf b = { 0 };
	struct str plain;

	buf_u8(&b, 0x89);
	buf_u8(&b, (uint8_t)(0x80 | strlen(text)));
	buf_u32(&b, 0); /* a mask of zeros */
	buf_str_add(&b, str_c(text));
	tell(buf_str(&b));
	buf_free(&b);
	IS(t->ops->read(t, ours, room, &plain), 0);
	IS(plain.n, 0);
}

static void what_was_written_in_one_turn_is_one_frame(void)
{
	begin(2, 0);
	upgrade();
	buf_str_add(&out, STR("one"));
	buf_str_add(&out, STR("two"));
	IS(t->ops->write(t, ours, &out), 0);
	hear_raw();
	IS_BYTES(buf_str(&heard), STR("\x82\x06onetwo"));
	finish();
}

static void of_several_pings_the_last_is_answered(void)
{
	begin(2, 0);
	upgrade();
	ping("a");
	ping("b");
	YES(t->held > 0);
	IS(t->ops->write(t, ours, &out), 0);
	hear_raw();
	IS_BYTES(buf_str(&heard), STR("\x8a\x01"
	                              "b"));
	finish();
}

/* Takes the frames of what was heard apart: the payload of the binary ones, and how many pongs. */
static size_t unframe(struct buf *payload)
{
	struct str s = buf_str(&heard);
	size_t pongs = 0;

	while (s.n) {
		const uint8_t *p = (const uint8_t *)s.p;
		size_t n = p[1] < 126 ? p[1] : (size_t)p[2] << 8 | p[3], head = p[1] < 126 ? 2 : 4;

		if (p[1] == 127) {
			head = 10;
			n = (size_t)p[6] << 24 | (size_t)p[7] << 16 | (size_t)p[8] << 8 | p[9];
		}
		MUST(p[1] < 128 && (p[0] == 0x82 || p[0] == 0x8a) && s.n >= head + n);
		if (p[0] == 0x82)
			buf_bytes(payload, p + head, n);
		else
			pongs++;
		s = str_skip(s, head + n);
	}
	return pongs;
}

static void W20_pongs_and_new_packets_wait_for_the_end_of_a_frame(void)
{
	struct buf payload = { 0 };
	size_t written = 0;
	int err = -E_AGAIN;

	begin(2, 8192);
	upgrade();
	for (int i = 0; i < 300 || err == -E_AGAIN; i++) {
		if (i < 300) {
			for (int j = 0; j < 1000 + i; j++)
				buf_u8(&out, (uint8_t)(written++ * 13 >> 2));
		}
		if (i % 50 == 7)
			ping("still there?");
		err = t->ops->write(t, ours, &out);
		if (i % 3 == 0)
			hear_raw();
	}
	IS(err, 0);
	hear_raw();
	YES(unframe(&payload) >= 3);
	IS(buf_len(&payload), written);
	for (size_t i = 0; i < written; i++)
		MUST(buf_data(&payload)[i] == (uint8_t)(i * 13 >> 2));
	buf_free(&payload);
	finish();
}

static void nothing_follows_a_frame_that_was_torn(void)
{
	begin(2, 8192);
	upgrade();
	for (int i = 0; i < 200000; i++)
		buf_u8(&out, 1);
	IS(t->ops->write(t, ours, &out), -E_AGAIN);
	buf_reset(&out); /* as conn_io does when the connection is lost */
	t->ending = true;
	hear_raw();
	buf_reset(&heard);
	buf_str_add(&out, STR("x"));
	IS(t->ops->write(t, ours, &out), 0);
	hear_raw();
	IS(buf_len(&heard), 0);
	finish();
}

static void our_end_is_a_close_frame_with_a_code(void)
{
	begin(2, 0);
	upgrade();
	buf_str_add(&out, STR("bye"));
	t->ending = true;
	t->reason = 0x8B;
	IS(t->ops->write(t, ours, &out), 0);
	IS(t->ops->write(t, ours, &out), 0);
	hear_raw();
	IS_BYTES(buf_str(&heard), STR("\x82\x03"
	                              "bye\x88\x02\x03\xe9"));
	finish();
}

static void a_request_comes_at_every_split(void)
{
	struct str plain;

	for (size_t cut = 1; cut < sizeof(REQUEST) - 1; cut += 3) {
		begin(2, 0);
		tell(str_make(REQUEST, cut));
		IS(turn(&plain), 0);
		NO(t->settled);
		tell(str_make(REQUEST + cut, sizeof(REQUEST) - 1 - cut));
		IS(turn(&plain), 0);
		YES(t->settled);
		finish();
	}
}

static void a_shutdown_in_the_middle_of_a_request_is_answered(void)
{
	struct str plain;

	begin(2, 0);
	tell(STR("GET / HT"));
	IS(turn(&plain), 0);
	t->ending = true;
	t->reason = 0x8B;
	IS(t->ops->write(t, ours, &out), 0);
	hear_raw();
	YES(str_starts(buf_str(&heard), STR("HTTP/1.1 503 ")));
	finish();
}

RUN(tls_1_2_carries_bytes_both_ways, tls_1_3_carries_bytes_both_ways,
    several_records_of_one_recv_are_one_read, a_record_in_pieces_is_kept_until_it_is_whole,
    a_full_socket_keeps_a_bounded_part_and_loses_nothing,
    what_stands_before_the_end_is_handed_over_first, a_damaged_record_ends_with_an_alert,
    our_end_is_told_after_the_last_byte, W02_some_changes_of_keys_are_fine_and_a_flood_is_not,
    W04_a_turn_does_a_bounded_amount_of_handshakes,
    without_memory_a_connection_is_refused_and_nothing_leaks,
    what_was_written_in_one_turn_is_one_frame, of_several_pings_the_last_is_answered,
    W20_pongs_and_new_packets_wait_for_the_end_of_a_frame, nothing_follows_a_frame_that_was_torn,
    our_end_is_a_close_frame_with_a_code, a_request_comes_at_every_split,
    a_shutdown_in_the_middle_of_a_request_is_answered)

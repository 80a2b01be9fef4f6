/* transport_tls.c - TLS over memory (transport_tls.h).
 *
 * Handshakes cost a hundred times what a message costs. So that a storm of them does not starve who
 * is connected already, a turn does a bounded amount of that work; the rest stays in the sockets
 * and is due in the next turn (attack W04). */
#include "base/base.h"
#include "proxy/transport_tls.h"

#include <openssl/err.h>
#include <time.h>

#include "base/log.h"
#include "base/mem.h"
#include "proxy/conn.h"
#include "proxy/door.h"
#include "proxy/listen.h"
#include "proxy/share.h"
#include "proxy/tls_parts.h"
#include "proxy/worker.h"

enum {
	/* of handshakes in one turn, and at least one */
	TURN_US = 2000,
	/* What a client may send until its handshake is done: hello, and a chain of certificates
	 * where we ask for one (attack W03) */
	HELLO_MAX = 16 << 10,
	HELLO_CERTS_MAX = 64 << 10,
	LOOK_PAUSE_MS = TURN_US / 1000,
	/* attack W02 */
	KEY_UPDATES = 32,
	KEY_UPDATES_MS = 60000,
	/* most that is encrypted before a send has shown that the socket takes it; the heads of its
	 * records come on top */
	CHUNK = TRANSPORT_READ - (1 << 10),
};

struct tls_side { /* worker's thread */
	struct loop *loop;
	struct tls_context *context[TLS_SIDE_MAX]; /* by listener->tls */
	struct tls_ring ring;
	BIO_METHOD *method;
	struct str in;      /* what is being decrypted; only during a call */
	struct buf *out;    /* where OpenSSL writes to; only during a call */
	struct buf scratch; /* what is being sent */
	int64_t spent_us;   /* on handshakes in this turn */
	struct hook end_of_turn;
	/* connections that have shown a certificate; those that were looked at since the last
	 * reload at the end */
	struct list shown;
	uint32_t reloads;
	struct timer look;
};

struct tls { /* one connection */
	struct transport under;
	struct tls_side *side;
	struct conn *conn;
	SSL *ssl;        /* from the first byte on: who says nothing costs nothing */
	struct buf kept; /* to be sent before anything else */
	uint32_t hello;  /* bytes that came during the handshake */
	uint32_t record; /* bytes that came of a record that is not whole */
	uint32_t key_updates;
	int64_t key_updates_since;
	struct list shown; /* side->shown, or in no list */
	uint32_t reloads;  /* side->reloads when its certificate was looked at */
	bool broken;       /* nothing can be said any more, but what is kept */
	bool said_bye;
};

/* ---- OpenSSL's side: bytes from and to memory ---- */

static bool too_long(const struct tls *l)
{
	return l->hello >
	       (SSL_get_verify_mode(l->ssl) == SSL_VERIFY_NONE ? HELLO_MAX : HELLO_CERTS_MAX);
}

static int bio_read(BIO *b, char *to, int n)
{
	struct tls *l = BIO_get_data(b);
	struct str *in = &l->side->in;
	size_t take = size_min(in->n, n > 0 ? (size_t)n : 0);

	BIO_clear_retry_flags(b);
	if (n == SSL3_RT_HEADER_LENGTH) /* between two records */
		l->record = 0;
	if (take == 0) {
		BIO_set_retry_read(b);
		return -1;
	}
	if (!SSL_is_init_finished(l->ssl)) {
		l->hello += (uint32_t)take;
		if (too_long(l))
			return -1;
	}
	l->record += (uint32_t)take;
	memcpy(to, in->p, take);
	*in = str_skip(*in, take);
	return (int)take;
}

static int bio_write(BIO *b, const char *from, int n)
{
	struct tls *l = BIO_get_data(b);

	BIO_clear_retry_flags(b);
	buf_bytes(l->side->out, from, n > 0 ? (size_t)n : 0);
	return buf_ok(l->side->out) ? n : -1;
}

static long bio_ctrl(BIO *b, int command, long number, void *pointer)
{
	(void)b;
	(void)number;
	(void)pointer;
	return command == BIO_CTRL_FLUSH; /* nothing waits in between */
}

/* Sees every message inside TLS: a peer that changes keys all the time makes us work for nothing.
 */
static void saw_message(int writing, int version, int type, const void *bytes, size_t n, SSL *ssl,
                        void *arg)
{
	struct tls *l;
	int64_t now;

	(void)version;
	(void)arg;
	if (likely(type != SSL3_RT_HANDSHAKE) || writing || n == 0 ||
	    *(const uint8_t *)bytes != SSL3_MT_KEY_UPDATE)
		return;
	l = SSL_get_app_data(ssl);
	now = loop_now(l->side->loop);
	if (now - l->key_updates_since >= KEY_UPDATES_MS) {
		l->key_updates_since = now;
		l->key_updates = 0;
	}
	l->key_updates++;
}

/* Only the protocol of the door, so that nobody can lead a browser's session for another service to
 * it (attack W09). A client that names none is asked for none. */
static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_size,
                           const unsigned char *offered, unsigned size, void *arg)
{
	const struct tls *l = SSL_get_app_data(ssl);
	struct str wanted = str_c(l->conn->door->kind->alpn);

	(void)arg;
	for (unsigned i = 0; i < size && offered[i] < size - i; i += offered[i] + 1u) {
		if (!str_eq(str_make(offered + i + 1, offered[i]), wanted))
			continue;
		*out = offered + i + 1;
		*out_size = offered[i];
		return SSL_TLSEXT_ERR_OK;
	}
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* ---- What a worker's connections share ---- */

static void turn_ended(struct hook *h)
{
	container_of(h, struct tls_side, end_of_turn)->spent_us = 0;
}

static int64_t now_us(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* ---- Certificates that were shown, after a reload ---- */

/* As many a turn as handshakes, and then as long a pause: what it costs is checking signatures. */
static void look_at_shown(struct timer *t)
{
	struct tls_side *side = container_of(t, struct tls_side, look);
	int64_t since = now_us();
	struct tls *l;

	while ((l = list_first(&side->shown, struct tls, shown)) && l->reloads != side->reloads) {
		const char *why = tls_revoked(
		    l->ssl, tls_context_raw(side->context[l->conn->door->listener->tls]));

		list_del(&l->shown);
		list_add_tail(&side->shown, &l->shown);
		l->reloads = side->reloads;
		if (why && l->conn->state != CONN_CLOSING) {
			LOG_INFO(conn_name(l->conn), "certificate-revoked", "cert=%s why=\"%s\"",
			         l->conn->cert ? log_esc(str_c(l->conn->cert)) : "-", why);
			conn_close_with(l->conn, END_REVOKED, RC_NOT_AUTHORIZED,
			                "certificate is not valid any more");
		}
		if (now_us() - since >= TURN_US) {
			timer_set(side->loop, &side->look, LOOK_PAUSE_MS);
			return;
		}
	}
}

/* Who began before a reload and is done after it was held against what is not in force any more. */
static void shows(struct tls_side *side, struct tls *l)
{
	SSL_CTX *now = tls_context_raw(side->context[l->conn->door->listener->tls]);

	if (!SSL_get0_peer_certificate(l->ssl))
		return;
	if (SSL_get_SSL_CTX(l->ssl) == now) {
		l->reloads = side->reloads;
		list_add_tail(&side->shown, &l->shown);
	} else {
		l->reloads = side->reloads - 1;
		list_add_head(&side->shown, &l->shown);
		timer_set(side->loop, &side->look, 0);
	}
}

int tls_side_new(struct tls_side **out, struct loop *loop, const struct tls_seed *seed)
{
	struct tls_side *side = mem_zalloc(sizeof(*side));

	if (!side)
		return -E_NOMEM;
	side->loop = loop;
	hook_init(&side->end_of_turn, turn_ended);
	list_init(&side->shown);
	timer_init(&side->look, look_at_shown);
	tls_ring_start(&side->ring, seed, seed->since);
	side->method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "turn");
	if (!side->method || BIO_meth_set_read(side->method, bio_read) != 1 ||
	    BIO_meth_set_write(side->method, bio_write) != 1 ||
	    BIO_meth_set_ctrl(side->method, bio_ctrl) != 1) {
		tls_side_free(&side);
		return -E_NOMEM;
	}
	*out = side;
	return 0;
}

void tls_side_free(struct tls_side **slot)
{
	struct tls_side *side = *slot;

	*slot = NULL;
	if (!side)
		return;
	hook_cancel(&side->end_of_turn);
	timer_stop(&side->look);
	for (unsigned i = 0; i < TLS_SIDE_MAX; i++)
		tls_context_free(&side->context[i]);
	tls_ring_wipe(&side->ring);
	BIO_meth_free(side->method);
	buf_free(&side->scratch);
	mem_free(side);
}

struct tls_ring *tls_side_ring(struct tls_side *side)
{
	return &side->ring;
}

void tls_side_take(struct tls_side *side, unsigned listener, struct tls_context *x)
{
	SSL_CTX *ctx = tls_context_raw(x);

	SSL_CTX_set_msg_callback(ctx, saw_message);
	SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, NULL);
	tls_context_free(&side->context[listener]);
	side->context[listener] = x;
	side->reloads++;
	if (!list_empty(&side->shown))
		timer_set(side->loop, &side->look, 0);
}

/* ---- A connection begins and ends ---- */

static int tls_open(struct transport *t, struct conn *c)
{
	struct tls *l = mem_zalloc(sizeof(*l));

	if (!l)
		return -E_NOMEM;
	t->layer = l;
	l->side = c->worker->tls;
	l->conn = c;
	list_init(&l->shown);
	l->under.ops = door_base(c);
	return l->under.ops->open(&l->under, c);
}

static void tls_end(struct transport *t)
{
	struct tls *l = t->layer;

	t->layer = NULL;
	if (!l)
		return;
	list_del(&l->shown);
	SSL_free(l->ssl);
	buf_free(&l->kept);
	l->under.ops->end(&l->under);
	mem_free(l);
}

static bool begin(struct tls *l)
{
	BIO *bio;

	l->ssl = SSL_new(tls_context_raw(l->side->context[l->conn->door->listener->tls]));
	if (!l->ssl)
		return false;
	(void)SSL_set_app_data(l->ssl, l);
	SSL_set_accept_state(l->ssl);
	bio = BIO_new(l->side->method);
	if (!bio)
		return false;
	BIO_set_data(bio, l);
	BIO_set_init(bio, 1);
	SSL_set_bio(l->ssl, bio, bio);
	return true;
}

/* ---- Reading ---- */

static int failed(struct tls *l, const char *why)
{
	l->broken = true;
	l->conn->worker->n.handshakes_failed += !SSL_is_init_finished(l->ssl);
	LOG_INFO(conn_name(l->conn), "tls", "why=\"%s\"", why);
	return -E_INVALID;
}

/* 0: go on, or wait for more. OpenSSL has put what is to be said where side->out points to. */
static int answer_of(struct tls *l, int result)
{
	switch (SSL_get_error(l->ssl, result)) {
	case SSL_ERROR_WANT_READ:
		return 0;
	case SSL_ERROR_ZERO_RETURN:
		return -E_CLOSED;
	default:
		return failed(l, too_long(l) ? "handshake too long" : tls_error());
	}
}

static int settle(struct transport *t, struct tls *l)
{
	t->settled = true;
	l->conn->worker->n.handshakes++;
	if (SSL_session_reused(l->ssl))
		l->conn->worker->n.handshakes_resumed++;
	LOG_DEBUG(conn_name(l->conn), "tls", "version=%s suite=%s resumed=%d",
	          SSL_get_version(l->ssl), SSL_get_cipher_name(l->ssl), SSL_session_reused(l->ssl));
	shows(l->side, l);
	return tls_certify(l->conn, l->ssl);
}

static int shake_hands(struct transport *t, struct tls *l)
{
	struct tls_side *side = l->side;
	int64_t since = now_us();
	int err, result;

	if (!l->ssl && !begin(l))
		return -E_NOMEM;
	ERR_clear_error();
	result = SSL_do_handshake(l->ssl);
	err = result == 1 ? settle(t, l) : answer_of(l, result);
	since = now_us() - since;
	side->spent_us += since;
	loop_at_end(side->loop, &side->end_of_turn);
	return err;
}

/* Does another record stand behind the one that begins here? */
static bool more_behind(const struct tls *l)
{
	const struct str *in = &l->side->in;
	const unsigned char *head = (const unsigned char *)in->p;

	return l->record == 0 && in->n > SSL3_RT_HEADER_LENGTH &&
	       in->n - SSL3_RT_HEADER_LENGTH > ((size_t)head[3] << 8 | head[4]);
}

/* OpenSSL gives its buffer back after each record, so that idle connections hold none: for
 * thousands of records of a byte that is most of the work (attack W22). It keeps it until the last
 * one. */
static void keep_buffer(struct tls *l)
{
	if (more_behind(l))
		(void)SSL_clear_mode(l->ssl, SSL_MODE_RELEASE_BUFFERS);
	else
		(void)SSL_set_mode(l->ssl, SSL_MODE_RELEASE_BUFFERS);
}

/* All that can be decrypted of what came; *got grows. */
static int decrypt(struct tls *l, uint8_t *room, size_t *got)
{
	int n = 0, err = 0;

	while (*got < TRANSPORT_PLAIN) {
		ERR_clear_error();
		keep_buffer(l);
		n = SSL_read(l->ssl, room + *got, (int)(TRANSPORT_PLAIN - *got));
		if (n <= 0)
			break;
		*got += (size_t)n;
		if (SSL_pending(l->ssl) == 0)
			l->record = 0;
		if (l->side->in.n == 0 && SSL_pending(l->ssl) == 0)
			break;
	}
	if (n <= 0)
		err = answer_of(l, n);
	if (!err && l->key_updates > KEY_UPDATES)
		err = failed(l, "too many changes of keys");
	return err;
}

static int tls_read(struct transport *t, int fd, uint8_t *room, struct str *plain)
{
	struct tls *l = t->layer;
	struct tls_side *side = l->side;
	size_t got = 0;
	int err;

	*plain = STR_NONE;
	if (t->over) /* only so that the peer can read our last words */
		return l->under.ops->read(&l->under, fd, room, &side->in);
	if (!t->settled && side->spent_us >= TURN_US) {
		l->conn->worker->n.handshakes_postponed++;
		return 0;
	}
	err = l->under.ops->read(&l->under, fd, room + TRANSPORT_PLAIN, &side->in);
	if (err || side->in.n == 0)
		return err;
	side->out = &l->kept;
	if (!t->settled)
		err = shake_hands(t, l);
	if (!err && t->settled)
		err = decrypt(l, room, &got);
	side->in = STR_NONE;
	t->held = (uint32_t)buf_len(&l->kept);
	t->partial = (t->settled ? l->record : l->hello) + l->under.partial;
	t->over = (int8_t)err;
	*plain = str_make(room, got);
	return got ? 0 : err;
}

/* ---- Writing ---- */

static int encrypt(struct tls *l, struct buf *out, size_t left)
{
	while (buf_len(out) && left) {
		int n = SSL_write(l->ssl, buf_data(out), (int)size_min(buf_len(out), left));

		if (n <= 0) {
			ERR_clear_error();
			return -E_IO;
		}
		buf_consume(out, (size_t)n);
		left -= (size_t)n;
	}
	return 0;
}

/* What we say now goes to `to`. */
static int say(struct transport *t, struct tls *l, struct buf *out, struct buf *to)
{
	int err = 0;

	l->side->out = to;
	if (!t->settled || l->broken)
		buf_reset(out); /* nobody can hear it */
	else if (buf_len(to) < CHUNK)
		err = encrypt(l, out, CHUNK - buf_len(to));
	if (!err && t->ending && t->settled && !l->broken && !l->said_bye && buf_len(out) == 0) {
		l->said_bye = true;
		ERR_clear_error();
		(void)SSL_shutdown(l->ssl); /* close_notify; theirs is not waited for */
	}
	return err ? err : buf_ok(to) ? 0 : -E_NOMEM;
}

static int keep(struct transport *t, struct tls *l, struct buf *rest)
{
	if (rest != &l->kept)
		buf_str_add(&l->kept, buf_str(rest));
	t->held = (uint32_t)buf_len(&l->kept);
	return buf_ok(&l->kept) ? -E_AGAIN : -E_NOMEM;
}

static int tls_write(struct transport *t, int fd, struct buf *out)
{
	struct tls *l = t->layer;
	int err;

	do {
		struct buf *to = buf_len(&l->kept) ? &l->kept : &l->side->scratch;

		if (to == &l->side->scratch)
			buf_reset(to);
		err = say(t, l, out, to);
		if (!err)
			err = l->under.ops->write(&l->under, fd, to);
		if (err == -E_AGAIN)
			return keep(t, l, to);
		if (err)
			return err;
		buf_free(&l->kept);
		t->held = 0;
	} while (buf_len(out));
	return 0;
}

static void tls_shut(struct transport *t, int fd)
{
	struct tls *l = t->layer;

	l->under.ops->shut(&l->under, fd);
}

const struct transport_ops transport_tls = {
	.open = tls_open,
	.read = tls_read,
	.write = tls_write,
	.shut = tls_shut,
	.end = tls_end,
};
